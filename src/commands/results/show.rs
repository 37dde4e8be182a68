//! `pipeline show`: a stage's result, in the form that suits it.

use contract::artifact::{ArtifactKind, ArtifactType, ModelType};
use contract::kind::Question;
use serde_json::{Value, json};

use super::data::ask_data;
use super::found::{Found, find, tell_stale};
use crate::session::{Failure, FileArgs, Project, Proved};
use crate::terminal::quantity::{bytes, count, some};
use crate::terminal::{self, result};

/// Show a stage's result: metrics, confusion matrix, training curve, rows of a data set.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// `stage` or `stage.port`.
    #[arg(value_name = "STAGE[.PORT]")]
    pub target: String,
    /// Rows of a data set to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub head: u64,
    /// So many rows of a data set chosen at random, in their order, in place of the first.
    #[arg(long, value_name = "N", conflicts_with = "head")]
    pub sample: Option<u64>,
    /// Only rows of a data set for which an SQL expression is true: `--where "delay > 60 AND carrier = 'UA'"`.
    #[arg(long, value_name = "EXPRESSION")]
    pub r#where: Option<String>,
    /// Describe each column of a data set: missing, distinct, range, mean.
    #[arg(long)]
    pub describe: bool,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Shows.
///
/// # Errors
/// An unknown stage or port, a stage that never ran, a blob that is gone.
pub fn execute(args: &Args) -> Result<u8, Failure> {
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

fn one(project: &Project, proved: &Proved, found: &mut Found, args: &Args) -> Result<(), Failure> {
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
                Ok(value) if terminal::profile::is_profile(&value) => {
                    terminal::out(&terminal::profile::summary(&value));
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

fn dataset(project: &Project, proved: &Proved, found: &Found, args: &Args) -> Result<(), Failure> {
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

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), terminal::quantity::number),
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
