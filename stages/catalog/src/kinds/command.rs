//! `command`: any program.
//!
//! An output's port is named after its path: the last part of it up to the first dot, everything but ASCII letters,
//! digits and `_` turned into `_`, with `_` before a leading digit (`out/features.parquet` is `features`). A name already
//! taken gets `_2`, `_3` ...

pub mod params;

use std::collections::BTreeSet;

use contract::artifact::ArtifactType;
use contract::fault::{Fault, Faults, suggest};
use contract::kind::{
    ANY_NAME, About, CommandLine, DeclaredInput, DeclaredOutput, FileInput, InferContext, Inference, InputPort, Kind,
    Look, OutputPort, Program, Stage, input_ports,
};
use contract::name;
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::kinds::command::params::{Command, DescribedOut, Out, OutKind};
use crate::params::typed::{decode, encode, is_identifier, sound};

/// The input ports.
const INPUTS: &[DeclaredInput] = &[DeclaredInput::optional(
    ANY_NAME,
    &[],
    "Any names; the artifact is at `$INPUT_<NAME>`, in capitals. Of several (`model[*]`) it has one path a line, `$INPUT_<NAME>_COUNT` their number, `$INPUT_<NAME>_LABELS` what tells them apart (`seed=1`), one a line.",
)];

/// The output ports.
const OUTPUTS: &[DeclaredOutput] = &[DeclaredOutput {
    name: ANY_NAME,
    kind: None,
    summary: "One for each of `outs`, named after the file up to its first dot: `out/features.parquet` is `features`. The first is the main one.",
}];

/// The kind.
pub struct CommandKind;

impl Kind for CommandKind {
    fn name(&self) -> &'static str {
        "command"
    }

    fn version(&self) -> u32 {
        1
    }

    fn program(&self) -> Program {
        Program::Command
    }

    fn seeded(&self) -> bool {
        false
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Command::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Runs any program you already have. What it reads (`deps`, `inputs`, `env`) and writes (`outs`) is declared, \
                      so that it is cached like every other stage: outputs are stored by content and put back when nothing it \
                      reads has changed.",
            inputs: INPUTS,
            outputs: OUTPUTS,
            example: "features:\n  kind: command\n  run: python featurize.py --max 100 data/clean.csv out/features.parquet\n  deps: [featurize.py, data/clean.csv]\n  outs: [out/features.parquet, { path: out/scores.json, kind: metrics }]\n  env: [CUDA_VISIBLE_DEVICES]\n",
        }
    }

    fn look(&self) -> Look {
        Look { hue: 215, saturation: 12 }
    }

    fn synonyms(&self) -> &'static [(&'static str, &'static str)] {
        &[("cmd", "run"), ("script", "run"), ("command", "run"), ("dependencies", "deps"), ("outputs", "outs")]
    }

    fn smallest(&self) -> Value {
        json!({ "run": "true", "outs": ["a"] })
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        let mut params: Command = decode(params)?;
        let faults = check(&params);
        settle(&mut params);
        sound(Box::new(CommandStage(params)), faults)
    }
}

/// One form for everything that can be written in two.
fn settle(params: &mut Command) {
    params.run.truncate(params.run.trim_end().len());
    for out in &mut params.outs {
        let described = describe(out);
        *out = Out::Described(described);
    }
    params.env.sort();
    params.env.dedup();
}

fn describe(out: &Out) -> DescribedOut {
    let mut described = match out {
        Out::Path(path) => DescribedOut { path: path.clone(), kind: OutKind::File },
        Out::Described(described) => described.clone(),
    };
    if described.path.ends_with('/') && described.kind == OutKind::File {
        described.kind = OutKind::Directory;
    }
    described
}

/// A path without `./`, doubled and trailing slashes, so that two ways to write one are equal.
fn plain(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

fn check(params: &Command) -> Vec<Fault> {
    let mut faults = Vec::new();
    if params.run.trim().is_empty() {
        faults.push(
            Fault::error(contract::code!("command::empty"), "`run` is empty")
                .help("write a shell line, for example `python train.py`")
                .at(route!["run"]),
        );
    }
    if params.run.contains('\0') {
        faults.push(
            Fault::error(contract::code!("command::nul"), "`run` has a character that no command can have (NUL)")
                .help("take it away, or let a program make it: `printf '\\000'`")
                .at(route!["run"]),
        );
    }
    for (index, name) in params.env.iter().enumerate() {
        if !is_identifier(name) {
            faults.push(
                Fault::error(
                    contract::code!("command::env_name"),
                    format!("`{name}` cannot be the name of an environment variable"),
                )
                .help("list names only, as in `env: [CUDA_VISIBLE_DEVICES]`; the values come from the environment")
                .at(route!["env", index]),
            );
        }
    }
    for (index, path) in params.deps.iter().enumerate().filter(|(_, path)| path.trim().is_empty()) {
        faults.push(
            Fault::error(contract::code!("command::path"), format!("the dependency `{path}` is empty"))
                .help("name a file or a folder")
                .at(route!["deps", index]),
        );
    }
    let outs: Vec<String> = params.outs.iter().map(|out| plain(&describe(out).path)).collect();
    let deps: Vec<String> = params.deps.iter().map(|path| plain(path)).collect();
    for (index, out) in params.outs.iter().enumerate() {
        let at = match out {
            Out::Path(_) => route!["outs", index],
            Out::Described(_) => route!["outs", index, "path"],
        };
        // Paths that leave the project are found where all stages' outputs are compared.
        if describe(out).path.trim().is_empty() {
            faults.push(
                Fault::error(contract::code!("command::path"), "an output's path is empty")
                    .help("name a file or a folder")
                    .at(at),
            );
            continue;
        }
        let path = &outs[index];
        if let Some(other) =
            outs[..index].iter().find(|other| *other == path || within(path, other) || within(other, path))
        {
            let message = if other == path {
                format!("`{path}` is listed twice")
            } else {
                format!("`{path}` and `{other}` lie inside each other")
            };
            faults.push(
                Fault::error(contract::code!("command::outs_overlap"), message)
                    .help("list every output once: the folder or its files")
                    .at(at.clone()),
            );
        }
        if deps.contains(path) {
            faults.push(
                Fault::error(
                    contract::code!("command::reads_its_output"),
                    format!("`{path}` is among `deps` and among `outs`"),
                )
                .help("write the result to another file: a stage that changes what it reads would run every time")
                .at(at),
            );
        }
    }
    faults
}

fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// The port names of a command's outputs, in their order; see the module's documentation.
pub fn ports<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    paths
        .map(|path| {
            let trimmed = path.trim_end_matches('/');
            let file = trimmed.rsplit('/').next().unwrap_or(trimmed);
            // A hidden file's first dot begins its name.
            let stem = file.trim_start_matches('.').split('.').next().unwrap_or_default();
            let mut name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            if name.is_empty() {
                name.push_str("out");
            }
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                name.insert(0, '_');
            }
            let mut unique = name.clone();
            let mut number = 2;
            while !taken.insert(unique.clone()) {
                unique = format!("{name}_{number}");
                number += 1;
            }
            unique
        })
        .collect()
}

/// The environment variable in which a command finds an input: `train-set` is `INPUT_TRAIN_SET`.
pub fn variable(port: &str) -> String {
    let name: String =
        port.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("INPUT_{name}")
}

/// A `command` with its parameters.
pub struct CommandStage(pub Command);

impl CommandStage {
    fn described(&self) -> Vec<DescribedOut> {
        self.0.outs.iter().map(describe).collect()
    }
}

impl Stage for CommandStage {
    fn params(&self) -> Value {
        encode(&self.0)
    }

    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        input_ports(INPUTS, connected)
    }

    fn takes_many(&self, _: &str) -> bool {
        true
    }

    fn outputs(&self) -> Vec<OutputPort> {
        let outs = self.described();
        let names = ports(outs.iter().map(|out| out.path.as_str()));
        let port = |(index, (out, name)): (usize, (&DescribedOut, String))| OutputPort {
            path: Some((out.path.clone(), route!["outs", index])),
            tree: out.kind == OutKind::Directory,
            // The declaration leaves the artifact to the parameters.
            ..OutputPort::new(name, out.kind.artifact())
        };
        outs.iter().zip(names).enumerate().map(port).collect()
    }

    fn files(&self) -> Vec<FileInput> {
        let file = |(index, path): (usize, &String)| FileInput {
            // A program finds its files by their names, so the name is what the content is to it.
            role: format!("dep:{}", plain(path)),
            path: path.clone(),
            glob: path.contains(['*', '?']),
            route: route!["deps", index],
        };
        self.0.deps.iter().enumerate().map(file).collect()
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let mut faults = Vec::new();
        let mut variables: BTreeSet<String> = BTreeSet::new();
        for slot in context.connected {
            // `models[0]`, `models[1]` … are one port, told of once.
            let port = name::family(slot).unwrap_or(slot);
            let more: &[&str] = match name::label(slot) {
                None => &[""],
                Some("0") => &["", "_COUNT", "_LABELS"],
                Some(_) => continue,
            };
            for suffix in more {
                let name = variable(port) + suffix;
                if !variables.insert(name.clone()) {
                    faults.push(
                        Fault::error(
                            contract::code!("command::input_name"),
                            format!("two inputs would both be `${name}`"),
                        )
                        .help("give the inputs names that differ in more than case and punctuation")
                        .at_key(route!["inputs", port]),
                    );
                }
            }
        }
        for used in used_inputs(&self.0.run) {
            // What is named under `env` comes from there.
            if !variables.contains(used) && !self.0.env.iter().any(|name| name == used) {
                let fault = Fault::error(
                    contract::code!("command::unknown_input"),
                    format!("`${used}` is used, but no input has that name"),
                );
                let port = used.trim_start_matches("INPUT_").to_lowercase();
                let help = suggest(used, variables.iter().map(String::as_str))
                    .unwrap_or_else(|| format!("connect it: `inputs: {{ {port}: … }}`"));
                faults.push(fault.help(help).at(route!["run"]));
            }
        }
        let outputs = self
            .outputs()
            .into_iter()
            .zip(self.described())
            .map(|(port, out)| {
                let artifact = match out.kind {
                    OutKind::Dataset => ArtifactType::unknown_dataset(),
                    OutKind::Model => ArtifactType::Model(Box::default()),
                    OutKind::Metrics => ArtifactType::Metrics(Vec::new()),
                    other => ArtifactType::Other(other.artifact()),
                };
                (port.name, artifact)
            })
            .collect();
        Inference { outputs, faults }
    }

    fn command(&self) -> Option<CommandLine> {
        Some(CommandLine { run: self.0.run.clone(), env: self.0.env.clone() })
    }
}

/// The names of the form `INPUT_…` that a shell line takes from the environment.
fn used_inputs(run: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for (at, _) in run.match_indices('$') {
        let rest = &run[at + 1..];
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if rest[..end].starts_with("INPUT_") {
            found.insert(&rest[..end]);
        }
    }
    found
}
