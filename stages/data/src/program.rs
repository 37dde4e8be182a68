//! The program: requests and questions to the functions that answer them.

use std::collections::BTreeMap;
use std::path::Path;

use catalog::kinds::collect::params::Collect;
use catalog::kinds::preprocess::PreprocessStage;
use catalog::kinds::preprocess::params::Preprocess;
use catalog::kinds::profile::Expressions;
use catalog::kinds::profile::params::Profile;
use catalog::kinds::split::params::Split;
use catalog::question::Expression;
use contract::artifact::{ArtifactKind, ArtifactType, Column, DatasetType, Types};
use contract::fault::Fault;
use contract::kind::{InferContext, Oracle, Program, Question, Stage as _};
use contract::remote::LOOK;
use contract::route;
use contract::worker::protocol::{Finished, Hello, InputFile, PROTOCOL, RunRequest};
use contract::worker::{Channel, Worker};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answers::difference::difference;
use crate::answers::show::{Show, show};
use crate::fault::{Outcome, unwritable};
use crate::kinds::collect::{Rooms, gather, infer, look};
use crate::kinds::preprocess::{Scene, expression, preprocess};
use crate::kinds::split::split;
use crate::profile;
use crate::read::bytes::Limits;
use crate::step::query::type_of;
use crate::table::dataset::{Table, open, write};
use crate::table::spill::{Memory, pieces};
use crate::table::writer::Rows;

/// `pipeline-data`.
#[derive(Debug, Default)]
pub struct Data;

impl Worker for Data {
    fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            program: "pipeline-data".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            toolchain: BTreeMap::from([
                ("arrow".to_owned(), "59".to_owned()),
                ("datafusion".to_owned(), datafusion::DATAFUSION_VERSION.to_owned()),
            ]),
            cuda_devices: Vec::new(),
        }
    }

    fn run(&mut self, request: &RunRequest, channel: &Channel) -> Outcome<Finished> {
        same_version(request)?;
        let limits = Limits { threads: request.threads.max(1), memory: request.memory, ..Limits::default() };
        match request.kind.as_str() {
            "collect" => {
                let params: Collect = typed(&request.params)?;
                let rooms = Rooms { scratch: &request.scratch };
                let collected = gather(&params, &request.files, &limits, &rooms, channel)?;
                let from = DatasetType { sources: vec![request.stage.clone()], ..DatasetType::default() };
                let mut outputs: Vec<Made<'_>> = vec![("data", &collected.table, &from)];
                if request.outputs.contains_key("rejected") {
                    outputs.push(("rejected", &collected.rejected, &from));
                }
                let mut finished = finish(request, outputs, collected.warnings)?;
                if collected.counts.rejected > 0 || request.outputs.contains_key("rejected") {
                    finished.summary.remove("rejected.rows");
                    finished.summary.insert("rejected".into(), collected.counts.rejected as f64);
                }
                if collected.counts.filled > 0 {
                    finished.summary.insert("filled".into(), collected.counts.filled as f64);
                }
                if let (Some(labels), Some(path)) = (collected.labels, request.outputs.get("labels")) {
                    write(&labels, path, limits.threads)?;
                    finished.summary.insert("labels".into(), labels.rows() as f64);
                    finished.types.insert("labels".into(), ArtifactType::Other(ArtifactKind::Labels));
                }
                Ok(finished)
            }
            "preprocess" => {
                let params: Preprocess = typed(&request.params)?;
                let (table, from) = input(request, "data")?;
                let mut others = BTreeMap::new();
                for port in request.inputs.keys().filter(|port| *port != "data") {
                    others.insert(port.clone(), input(request, port)?.0);
                }
                let memory = Memory::new(request.memory, request.scratch.clone());
                let scene = Scene { others, memory: &memory, threads: request.threads.max(1), channel };
                let made = preprocess(&params, table, &scene)?;
                let lineage = lineage(params, request);
                let outputs: Vec<Made<'_>> = vec![("data", &made.table, &lineage), ("rejected", &made.rejected, &from)];
                let mut finished = finish(request, outputs, made.warnings)?;
                finished.observations = json!({ "steps": made.steps });
                finished.summary.insert("rejected.rows".into(), made.counted as f64);
                let kept = made.rejected.rows() as u64;
                if kept < made.counted {
                    let text = format!("{} rows were rejected, of which {kept} are kept", made.counted);
                    let fault = Fault::warning("data::rejected_rows", text);
                    let help = "`keep_rejected` says how many are kept of every step; without it all are";
                    finished.warnings.push(fault.help(help).at(route!["keep_rejected"]));
                }
                Ok(finished)
            }
            "profile" => run_profile(request, channel),
            "split" => {
                let params: Split = typed(&request.params)?;
                let (table, from) = input(request, "data")?;
                let memory = Memory::new(request.memory, request.scratch.clone());
                let table = pieces(table, &memory);
                let (parts, warnings) = split(&params, request.seed, &table, &memory, request.threads.max(1))?;
                let lineage = |name: &str| catalog::kinds::split::divided(&from, &request.stage, &params, name);
                let parts: Vec<_> = parts.into_iter().map(|(name, part)| (lineage(&name), name, part)).collect();
                for (_, name, part) in &parts {
                    channel.info(format!("{name}: {} rows", part.rows()));
                }
                let made = parts.iter().map(|(from, name, part)| (name.as_str(), part as &dyn Rows, from));
                finish(request, made.collect(), warnings)
            }
            other => Err(vec![stranger(other)]),
        }
    }

    fn infer(&mut self, _root: &Path, question: &Question, files: &[InputFile]) -> Outcome<Value> {
        match question.kind.as_str() {
            "collect" => {
                let params: Collect = typed(&question.params)?;
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                let limits = Limits { threads, ..Limits::default() };
                answer(&infer(&params, files, &limits)?)
            }
            LOOK => answer(&look(&typed(&question.params)?)?),
            "preprocess" => asked(question),
            "profile" => {
                let asked: Expressions = typed(&question.params)?;
                let wrong =
                    asked.expressions.into_iter().filter_map(|(at, text)| profile::expect::expression(&text, at).err());
                let wrong: Vec<Fault> = wrong.collect();
                if wrong.is_empty() { Ok(json!({})) } else { Err(wrong) }
            }
            "show" => show(&typed::<Show>(&question.params)?),
            "difference" => difference(&typed(&question.params)?),
            other => Err(vec![stranger(other)]),
        }
    }
}

fn run_profile(request: &RunRequest, channel: &Channel) -> Outcome<Finished> {
    let params: Profile = typed(&request.params)?;
    let threads = request.threads.max(1);
    let memory = Memory::new(request.memory, request.scratch.clone());
    let (table, _) = input(request, "data")?;
    let mut tables = Vec::new();
    for (port, input) in &request.inputs {
        if let Some(name) = catalog::kinds::profile::related(port) {
            tables.push((name, open(&input.path)?));
        }
    }
    let related = tables.iter().map(|(name, table)| (*name, table)).collect();
    let reference = match request.inputs.get("reference") {
        Some(input) => {
            let stored = input.artifact.kind() == ArtifactKind::Profile;
            Some(profile::reference(&input.path, stored, &memory, threads)?)
        }
        None => None,
    };
    let beside = profile::Beside { related, reference: reference.as_ref() };
    let (document, unmet) = profile::profile(&params, &table, &beside, &memory, threads, channel)?;
    let mut finished = Finished { unmet, observations: json!({}), ..Finished::default() };
    let json = serde_json::to_vec(&document).unwrap_or_default();
    let page = profile::report::page(&request.stage, &document).into_bytes();
    for (port, kind, content) in [("profile", ArtifactKind::Profile, json), ("report", ArtifactKind::Report, page)] {
        if let Some(path) = request.outputs.get(port) {
            std::fs::write(path, content).map_err(|error| vec![unwritable(&error)])?;
        }
        finished.types.insert(port.to_owned(), ArtifactType::Other(kind));
    }
    finished.summary.insert("rows".into(), document.rows as f64);
    finished.summary.insert("columns".into(), document.variables.len() as f64);
    finished.summary.insert("alerts".into(), document.alerts.len() as f64);
    Ok(finished)
}

/// What an expression gives.
fn asked(question: &Question) -> Outcome<Value> {
    let asked: Expression = typed(&question.params)?;
    if let Expression::Query(text) = &asked {
        let tables = question
            .inputs
            .iter()
            .filter_map(|(port, artifact)| Some((port.clone(), artifact.dataset()?.columns.clone()?)));
        return answer(&type_of(text, &tables.collect())?);
    }
    answer(&expression(&asked, &columns(question)).map_err(|fault| vec![fault])?)
}

/// Asks this program itself.
struct Inside;

impl Oracle for Inside {
    fn ask(&self, _: Program, question: &Question) -> Outcome<Option<Value>> {
        asked(question).map(Some)
    }
}

/// The lineage of what comes out of `preprocess`: the plan's, from the types of what came in.
fn lineage(params: Preprocess, request: &RunRequest) -> DatasetType {
    let inputs: Types = request.inputs.iter().map(|(port, input)| (port.clone(), input.artifact.clone())).collect();
    let connected: Vec<&str> = inputs.keys().map(String::as_str).collect();
    let context = InferContext { stage: &request.stage, connected: &connected, inputs: &inputs, oracle: &Inside };
    let mut made = PreprocessStage(params).infer(&context);
    made.outputs.remove("data").and_then(|made| made.dataset().cloned()).unwrap_or_default()
}

fn columns(question: &Question) -> Vec<Column> {
    let dataset = question.inputs.values().find_map(ArtifactType::dataset);
    dataset.and_then(|dataset| dataset.columns.clone()).unwrap_or_default()
}

/// A kind of another version would give other bytes under the same key.
fn same_version(request: &RunRequest) -> Outcome<()> {
    let kinds = catalog::kinds();
    let Some(kind) = kinds.get(&request.kind) else { return Err(vec![stranger(&request.kind)]) };
    if kind.version() == request.version {
        return Ok(());
    }
    let text = format!(
        "`{}` is version {} here, the engine expects version {}",
        request.kind,
        kind.version(),
        request.version
    );
    Err(vec![
        Fault::error("worker::version", text)
            .help("install `pipeline` and `pipeline-data` together: `cargo xtask install`"),
    ])
}

/// An output: its port, its rows, and where they come from.
type Made<'a> = (&'a str, &'a dyn Rows, &'a DatasetType);

/// Writes the outputs and says what they are.
fn finish(request: &RunRequest, made: Vec<Made<'_>>, warnings: Vec<Fault>) -> Outcome<Finished> {
    let mut finished = Finished { warnings, observations: json!({}), ..Finished::default() };
    for (port, table, from) in made {
        let Some(path) = request.outputs.get(port) else {
            let text = format!("the request has no path for the output `{port}`");
            return Err(vec![
                Fault::error("worker::bad_request", text).help("`pipeline` and `pipeline-data` must be of one version"),
            ]);
        };
        let mut dataset = write(table, path, request.threads.max(1))?;
        dataset.follow(from);
        let rows =
            if request.outputs.len() == 1 || port == "data" { "rows".to_owned() } else { format!("{port}.rows") };
        finished.summary.insert(rows, dataset.rows.unwrap_or_default() as f64);
        finished.types.insert(port.to_owned(), ArtifactType::Dataset(dataset.into()));
    }
    Ok(finished)
}

/// A port's rows, and where they come from.
fn input(request: &RunRequest, port: &str) -> Outcome<(Table, DatasetType)> {
    let Some(input) = request.inputs.get(port) else {
        let text = format!("the input `{port}` is not connected");
        return Err(vec![
            Fault::error("worker::bad_request", text).help("`pipeline` and `pipeline-data` must be of one version"),
        ]);
    };
    let from = input.artifact.dataset().cloned().unwrap_or_default();
    Ok((open(&input.path)?, from))
}

fn typed<T: DeserializeOwned>(params: &Value) -> Outcome<T> {
    serde_json::from_value(params.clone()).map_err(|error| {
        vec![
            Fault::error("worker::bad_request", format!("the parameters do not fit: {error}"))
                .help("`pipeline` and `pipeline-data` must be of one version"),
        ]
    })
}

fn answer<T: serde::Serialize>(value: &T) -> Outcome<Value> {
    serde_json::to_value(value).map_err(|error| vec![Fault::error("worker::bad_answer", error.to_string())])
}

fn stranger(kind: &str) -> Fault {
    Fault::error("worker::unknown_kind", format!("`pipeline-data` does not know the kind `{kind}`"))
        .help("`pipeline` and `pipeline-data` must be of one version")
}
