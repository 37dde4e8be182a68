//! `pipeline plan`: what `run` would do, why, and how long it took last time.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::plan::{Plan, StageId};
use engine::preview::{StagePreview, State};
use serde_json::{Value, json};

use super::status::{mark, word};
use crate::cli::Plan as Args;
use crate::project::{Failure, Project};
use crate::report::quantity::duration;
use crate::report::{result, terminal};

/// Predicts.
///
/// # Errors
/// An invalid pipeline, an unknown stage.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let mut names = args.stages.clone();
    let project = Project::find_with(&args.file, &mut names)?;
    let proved = project.proved(&args.file.set)?;
    super::run::check_names(&proved.plan, names.iter())?;
    let previews = engine::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root);
    let wanted = wanted(&proved.plan, &names);
    let chosen: Vec<&StagePreview> = previews.iter().filter(|preview| wanted.contains(&preview.id)).collect();
    if args.json {
        let stages: Vec<Value> = chosen.iter().map(|preview| preview_json(&proved.plan, preview)).collect();
        terminal::out(&format!("{:#}", json!({ "pipeline": proved.plan.spec.name, "stages": stages })));
        return Ok(0);
    }
    let rows = chosen.iter().map(|preview| {
        let stage = &proved.plan.stages[preview.id.0 as usize];
        vec![
            format!("{} {}", mark(&preview.state), stage.name),
            stage.kind.clone(),
            word(&preview.state).to_owned(),
            preview.took.map_or_else(|| "-".into(), duration),
            reason(&proved.plan, preview),
        ]
    });
    terminal::out(&result::table(&["stage", "kind", "would", "last took", "because"], rows, &[3]));
    let due: Vec<&&StagePreview> = chosen.iter().filter(|preview| !matches!(preview.state, State::Hit)).collect();
    if due.is_empty() {
        terminal::out("\nnothing to do");
    } else {
        let known: Duration = due.iter().filter_map(|preview| preview.took).sum();
        let unknown = due.iter().filter(|preview| preview.took.is_none()).count();
        let mut line = format!("\n{} of {} stages would run", due.len(), chosen.len());
        if known > Duration::ZERO {
            line.push_str(&format!(", {} of work at most, going by last time", duration(known)));
        }
        if unknown > 0 {
            line.push_str(&format!("; {unknown} never ran before"));
        }
        terminal::out(&line);
    }
    Ok(0)
}

/// The named stages and all they need; every stage when none is named.
fn wanted(plan: &Plan, names: &[String]) -> BTreeSet<StageId> {
    if names.is_empty() {
        return plan.stages.iter().map(|stage| stage.id).collect();
    }
    let mut wanted: BTreeSet<StageId> =
        plan.stages.iter().filter(|stage| names.contains(&stage.name)).map(|stage| stage.id).collect();
    for stage in plan.stages.iter().rev() {
        if wanted.contains(&stage.id) {
            wanted.extend(&stage.after);
        }
    }
    wanted
}

/// The first reason, in words.
pub fn reason(plan: &Plan, preview: &StagePreview) -> String {
    match &preview.state {
        State::Hit => String::new(),
        State::Miss { reasons } => {
            let first = reasons.first().map(ToString::to_string).unwrap_or_default();
            if reasons.len() > 1 { format!("{first} (and {} more)", reasons.len() - 1) } else { first }
        }
        State::Unknown { because } => {
            let names: Vec<&str> = because.iter().map(|id| plan.stages[id.0 as usize].name.as_str()).collect();
            format!("{} may give other bytes", names.join(", "))
        }
    }
}

/// A preview for `--json`.
pub fn preview_json(plan: &Plan, preview: &StagePreview) -> Value {
    let stage = &plan.stages[preview.id.0 as usize];
    let reasons = match &preview.state {
        State::Miss { reasons } => json!(reasons),
        _ => json!([]),
    };
    let waits = match &preview.state {
        State::Unknown { because } => because.iter().map(|id| plan.stages[id.0 as usize].name.clone()).collect(),
        _ => Vec::new(),
    };
    json!({
        "stage": stage.name,
        "kind": stage.kind,
        "state": word(&preview.state),
        "reasons": reasons,
        "waits_for": waits,
        "took": preview.took.map(|took| took.as_secs_f64()),
        "bytes": preview.bytes,
    })
}
