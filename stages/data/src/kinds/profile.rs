//! `profile`: describes a data set, and checks what is expected of it.

use catalog::kinds::profile::params::Profile;
use catalog::kinds::profile::{Expressions, related};
use contract::artifact::{ArtifactKind, ArtifactType};
use contract::fault::{Fault, Faults};
use contract::kind::Question;
use contract::worker::Channel;
use contract::worker::protocol::{Finished, InputFile, RunRequest};
use serde_json::{Value, json};

use super::handler::Handler;
use crate::fault::{Outcome, unwritable};
use crate::profile::{Beside, expect, profile, reference, report};
use crate::request::{input, typed};
use crate::table::dataset::open;
use crate::table::spill::Memory;

/// What the program does for `profile`.
pub const HANDLER: Handler = Handler { kind: "profile", run, answer: Some(answer) };

fn run(request: &RunRequest, channel: &Channel) -> Outcome<Finished> {
    let params: Profile = typed(&request.params)?;
    let threads = request.threads.max(1);
    let memory = Memory::new(request.memory, request.scratch.clone());
    let (table, _) = input(request, "data")?;
    let mut tables = Vec::new();
    for (port, input) in &request.inputs {
        if let Some(name) = related(port) {
            tables.push((name, open(&input.path)?));
        }
    }
    let related = tables.iter().map(|(name, table)| (*name, table)).collect();
    let reference = match request.inputs.get("reference") {
        Some(input) => {
            let stored = input.artifact.kind() == ArtifactKind::Profile;
            Some(reference(&input.path, stored, &memory, threads)?)
        }
        None => None,
    };
    let beside = Beside { related, reference: reference.as_ref() };
    let (document, unmet) = profile(&params, &table, &beside, &memory, threads, channel)?;
    let mut finished = Finished { unmet, observations: json!({}), ..Finished::default() };
    let json = serde_json::to_vec(&document).unwrap_or_default();
    let page = report::page(&request.stage, &document).into_bytes();
    for (port, kind, content) in [("profile", ArtifactKind::Profile, json), ("report", ArtifactKind::Report, page)] {
        if let Some(path) = request.outputs.get(port) {
            std::fs::write(path, content).map_err(|error| Faults::from(unwritable(&error)))?;
        }
        finished.types.insert(port.to_owned(), ArtifactType::Other(kind));
    }
    finished.summary.insert("rows".into(), document.rows as f64);
    finished.summary.insert("columns".into(), document.variables.len() as f64);
    finished.summary.insert("alerts".into(), document.alerts.len() as f64);
    Ok(finished)
}

/// Whether the expressions of `expect` can be read.
fn answer(question: &Question, _: &[InputFile]) -> Outcome<Value> {
    let asked: Expressions = typed(&question.params)?;
    let wrong: Vec<Fault> =
        asked.expressions.into_iter().filter_map(|(at, text)| expect::expression(&text, at).err()).collect();
    if wrong.is_empty() { Ok(json!({})) } else { Err(Faults::from(wrong)) }
}
