//! `pipeline show`: a stage's result, in the form that suits it.

use std::path::Path;

use contract::artifact::{ArtifactKind, ArtifactType, ModelType};
use contract::fault::Fault;
use contract::kind::{Oracle, Program, Question};
use engine::execute::WorkerOracle;
use engine::key::explain::Reason;
use engine::run::driver::Detail;
use engine::run::preview::State;
use serde_json::{Value, json};

use super::{ENGINE_FAILED, INVALID};
use crate::cli::Show;
use crate::project::{Failure, Project, Proved, render};
use crate::report::quantity::{bytes, count, some};
use crate::report::result;
use crate::report::terminal::{self, Styles};

/// An output of a stage, found in the store.
pub struct Found {
    /// The stage.
    pub stage: String,
    /// The port.
    pub port: String,
    /// Its bytes.
    pub blob: cache::Blob,
    /// What it is.
    pub artifact: ArtifactType,
    /// What was measured while it was made.
    pub observations: Value,
    /// Whether the pipeline as it stands would make something else.
    pub stale: bool,
}

/// Shows.
///
/// # Errors
/// An unknown stage or port, a stage that never ran, a blob that is gone.
pub fn execute(args: &Show) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    let mut found = find(&proved, &args.target)?;
    // The model of a training run is opaque; people who ask for the stage want the curve beside it.
    let curve = if found.artifact.kind() == ArtifactKind::Model && !args.target.contains('.') {
        ["metrics", "report"].iter().find_map(|port| find(&proved, &format!("{}.{port}", found.stage)).ok())
    } else {
        None
    };
    tell_stale(&found);
    for shown in std::iter::once(&mut found).chain(curve.into_iter().collect::<Vec<_>>().iter_mut()) {
        one(&project, &proved, shown, args)?;
    }
    Ok(0)
}

/// Says of a result that it is not that of the pipeline as it is now.
pub fn tell_stale(found: &Found) {
    if found.stale {
        terminal::err(&format!(
            "{} `{}`, or what it is made from, has changed since; this is its last result (`pipeline why {}` says more)",
            Styles::warn().apply_to("!"),
            found.stage,
            found.stage
        ));
    }
}

fn one(project: &Project, proved: &Proved, found: &mut Found, args: &Show) -> Result<(), Failure> {
    let size = bytes(found.blob.size);
    match &found.artifact {
        ArtifactType::Dataset(_) | ArtifactType::Other(ArtifactKind::Labels) => dataset(project, proved, found, args),
        ArtifactType::Model(model) => {
            if args.json {
                terminal::out(&format!("{:#}", json!(model)));
            } else {
                terminal::out(&describe_model(&found.stage, model, &size));
            }
            Ok(())
        }
        _ if found.blob.tree => {
            terminal::out(&format!("{}.{}: a folder, {size}; `pipeline get` copies it out", found.stage, found.port));
            Ok(())
        }
        _ => {
            let content = proved.store.read(&found.blob.digest)?;
            match serde_json::from_slice::<Value>(&content) {
                Ok(value) if args.json => {
                    let mut value = value;
                    if !found.observations.is_null()
                        && let Some(map) = value.as_object_mut()
                    {
                        map.insert("observations".into(), found.observations.clone());
                    }
                    terminal::out(&format!("{value:#}"));
                }
                Ok(value) if crate::report::profile::is_profile(&value) => {
                    terminal::out(&crate::report::profile::summary(&value));
                }
                Ok(value) => terminal::out(&result::json_result(&value, &found.observations)),
                Err(_) => match std::str::from_utf8(&content) {
                    Ok(text) if text.starts_with("<!doctype html>") => terminal::out(&format!(
                        "a page of {size}; `pipeline get {}.{} -o {}.html` copies it out, any browser shows it",
                        found.stage, found.port, found.stage
                    )),
                    Ok(text) if content.len() <= 1 << 20 => terminal::out(text),
                    _ => {
                        terminal::out(&format!("{}.{}: {size}; `pipeline get` copies it out", found.stage, found.port))
                    }
                },
            }
            Ok(())
        }
    }
}

/// The output a target names: the current result, else the last one.
///
/// # Errors
/// An unknown stage or port, a stage that never ran.
pub fn find(proved: &Proved, target: &str) -> Result<Found, Failure> {
    let plan = &proved.plan;
    let whole = plan.find(target);
    let (stage, port) = match whole {
        Some(stage) => (stage, None),
        None => {
            let (name, port) = contract::name::split(target);
            // Axes may be named in any order; what stands for several stages cannot be shown as one.
            let one = plan.named(name).ok().filter(|found| found.len() == 1).map(|found| plan.stage(found[0]));
            let stage = one.ok_or_else(|| super::run::unknown_stage(plan, name))?;
            (stage, port)
        }
    };
    let port = match port {
        None => match stage.outputs.get(contract::kind::MAIN) {
            Some(main) => main.name.clone(),
            None => {
                return Err(Failure::user(
                    "cli::no_output",
                    format!("`{}` gives nothing: it has no output", stage.name),
                    format!(
                        "what it said is in `pipeline logs {}`; what a program writes is named under `outs`",
                        stage.name
                    ),
                ));
            }
        },
        Some(port) if stage.outputs.iter().any(|output| output.name == port) => port.to_owned(),
        Some(port) => {
            let mut fault = Fault::error("cli::unknown_port", format!("`{}` has no output `{port}`", stage.name));
            fault.help = contract::fault::suggest(port, stage.outputs.iter().map(|output| output.name.as_str()));
            return Err(Failure::fault(&fault, INVALID));
        }
    };
    let previews = engine::run::preview::preview(plan, &proved.store, &proved.environment, &proved.root);
    let preview = &previews[stage.id.0 as usize];
    let stale = match &preview.state {
        State::Hit => false,
        State::Miss { reasons } => reasons.iter().any(|reason| *reason != Reason::Uncached),
        State::Unknown { .. } => !preview.shut,
    };
    let record = match preview.record.clone() {
        Some(record) => record,
        None => proved.store.last(&stage.name)?.ok_or_else(|| {
            Failure::user(
                "cli::never_ran",
                format!("`{}` has no result yet", stage.name),
                format!("run it with `pipeline run {}`", stage.name),
            )
        })?,
    };
    let gone = || {
        Failure::user(
            "cli::output_lost",
            format!("the result of `{}.{port}` is no longer in the store", stage.name),
            format!("make it again with `pipeline run {}`", stage.name),
        )
    };
    let blob = record.outputs.iter().find(|(name, _)| *name == port).map(|(_, blob)| *blob).ok_or_else(gone)?;
    if !proved.store.check(&blob)? {
        return Err(gone());
    }
    let known = Detail::of(&record.detail).types.remove(&port);
    let artifact = known.unwrap_or_else(|| stage.types[&port].clone());
    Ok(Found { stage: stage.name.clone(), port, blob, artifact, observations: record.observations, stale })
}

fn dataset(project: &Project, proved: &Proved, found: &Found, args: &Show) -> Result<(), Failure> {
    let question = Question {
        kind: "show".into(),
        version: 1,
        params: json!({
            "path": proved.store.blob_path(&found.blob.digest),
            "head": args.head,
            "describe": args.describe,
            "sample": args.sample,
            "where": args.r#where,
        }),
        inputs: Default::default(),
        files: Vec::new(),
    };
    let mut answer = ask_data(project, proved, &question)?;
    let steps = found.observations.get("steps").and_then(Value::as_array).filter(|_| found.port == "data");
    if args.json {
        if let (Some(steps), Some(map)) = (steps, answer.as_object_mut()) {
            map.insert("steps".into(), json!(steps));
        }
        terminal::out(&format!("{answer:#}"));
        return Ok(());
    }
    let mut text = describe_dataset(&answer, args.describe, &bytes(found.blob.size));
    if let Some(steps) = steps {
        text.push('\n');
        text.push_str(&describe_steps(&found.stage, steps));
    }
    terminal::out(&text);
    Ok(())
}

/// What each step of `preprocess` did.
fn describe_steps(stage: &str, steps: &[Value]) -> String {
    let field = |step: &Value, name: &str| match step.get(name) {
        Some(Value::Null) => "not counted".to_owned(),
        value => value.map(text_of).unwrap_or_default(),
    };
    let names = ["step", "rows_in", "rows_out", "rejected", "changed", "columns"];
    let lines = steps.iter().map(|step| names.iter().map(|name| field(step, name)).collect::<Vec<_>>());
    let heads = ["step", "rows in", "rows out", "rejected", "cells changed", "columns"];
    let mut text = result::table(&heads, lines, &[1, 2, 3, 4, 5]);
    if steps.iter().any(|step| step.get("rejected").and_then(Value::as_u64).is_some_and(|rows| rows > 0)) {
        text.push_str(&format!("\nrejected rows with their reasons: `pipeline show {stage}.rejected`\n"));
    }
    text
}

/// Asks `pipeline-data`.
///
/// # Errors
/// When it is not installed or cannot answer.
pub fn ask_data(project: &Project, proved: &Proved, question: &Question) -> Result<Value, Failure> {
    let oracle = WorkerOracle::new(std::sync::Arc::clone(&proved.store), &proved.programs, &project.root);
    match oracle.ask(Program::Data, question) {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Failure::user(
            "worker::missing",
            "`pipeline-data` is not installed, and only it reads data sets",
            "install the three programs side by side; `pipeline doctor` says where they are looked for",
        )),
        Err(faults) => Err(Failure {
            text: faults.iter().map(|fault| render(fault, &proved.sources)).collect::<Vec<_>>().join("\n"),
            exit_code: if faults.iter().all(asked_wrongly) { INVALID } else { ENGINE_FAILED },
        }),
    }
}

/// Whether a worker's fault is of what was asked for: not of the machine, and not of the worker.
fn asked_wrongly(fault: &Fault) -> bool {
    let machine = ["data::disk_full", "data::read_only", "data::unwritable", "data::kernel", "data::memory"];
    fault.code.starts_with("data::") && !machine.contains(&fault.code.as_str())
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), crate::report::quantity::number),
        value => value.to_string(),
    }
}

fn describe_dataset(answer: &Value, describe: bool, size: &str) -> String {
    let columns: Vec<&Value> = answer.get("columns").and_then(Value::as_array).into_iter().flatten().collect();
    let rows = answer.get("rows").and_then(Value::as_u64);
    let matching = answer.get("matching").and_then(Value::as_u64);
    let shape = match (matching, rows) {
        (Some(matching), Some(rows)) => format!("{} of {} × ", count(matching), some(rows as usize, "row")),
        (_, rows) => rows.map_or_else(String::new, |rows| format!("{} × ", some(rows as usize, "row"))),
    };
    let mut text = format!("{shape}{}, {size}\n\n", some(columns.len(), "column"));
    let field = |value: &Value, name: &str| value.get(name).map(text_of).unwrap_or_default();
    if describe {
        let fields = ["missing", "distinct", "min", "mean", "max"];
        // Units are shown where there are any.
        let united = columns.iter().any(|value| value.get("unit").is_some());
        let heads: Vec<&str> =
            ["column", "type", "role"].into_iter().chain(united.then_some("unit")).chain(fields).collect();
        let numbers: Vec<usize> = (heads.len() - fields.len()..heads.len()).collect();
        let lines = columns.iter().map(|value| {
            let mut row = vec![field(value, "name"), field(value, "type"), field(value, "role")];
            row.extend(united.then(|| field(value, "unit")));
            row.extend(fields.iter().map(|field| value.get(*field).map_or_else(|| "-".into(), text_of)));
            row
        });
        text.push_str(&result::table(&heads, lines, &numbers));
        return text;
    }
    // As many columns as fit; the rest is counted.
    let head: Vec<Vec<String>> = answer
        .get("head")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|row| row.as_array().into_iter().flatten().map(text_of).collect())
        .collect();
    let names: Vec<String> =
        columns.iter().map(|value| format!("{}\n{}", field(value, "name"), field(value, "type"))).collect();
    let room = terminal::width();
    let mut used = 0;
    let mut shown = 0;
    for (index, name) in names.iter().enumerate() {
        let widest = name.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let widest = head
            .iter()
            .filter_map(|row| row.get(index))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(widest);
        used += widest.min(40) + 2;
        if used > room && index > 0 {
            break;
        }
        shown = index + 1;
    }
    let cut = |cell: &String| {
        if cell.chars().count() > 40 {
            format!("{}…", cell.chars().take(39).collect::<String>())
        } else {
            cell.clone()
        }
    };
    let lines = head.iter().map(|row| row.iter().take(shown).map(cut).collect::<Vec<_>>());
    let heads: Vec<&str> = names.iter().take(shown).map(String::as_str).collect();
    text.push_str(&result::table(&heads, lines, &[]));
    if shown < names.len() {
        let rest: Vec<&str> = names[shown..].iter().take(8).filter_map(|name| name.lines().next()).collect();
        let more = if names.len() - shown > 8 { ", …" } else { "" };
        let left = some(names.len() - shown, "more column");
        text.push_str(&format!("\nand {left}: {}{more}\n", rest.join(", ")));
    }
    text
}

fn describe_model(stage: &str, model: &ModelType, size: &str) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row("model", format!("{stage}, {size}"));
    if let Some(target) = &model.target {
        let classes = target.classes.as_ref().map_or(String::new(), |classes| format!(", {} classes", classes.count));
        row("predicts", format!("{} ({}{classes})", target.name, target.type_name()));
    }
    if let Some(task) = model.task {
        row("task", format!("{task:?}").to_lowercase());
    }
    let names: Vec<String> =
        model.inputs.iter().take(8).map(|column| format!("{} ({})", column.name, column.type_name())).collect();
    let more = if model.inputs.len() > 8 { format!(" and {} more", model.inputs.len() - 8) } else { String::new() };
    row("reads", format!("{}{more}", names.join(", ")));
    if let Some(parameters) = model.parameters {
        row("parameters", count(parameters));
    }
    if let Some(operations) = model.operations {
        row("operations", format!("{} multiply-adds a row", count(operations)));
    }
    result::table(&["", ""], rows, &[]).trim_start_matches('\n').to_owned()
}

/// Whether a path asks for stdout.
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}
