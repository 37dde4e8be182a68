//! `pipeline why`: what changed since a stage last ran, component by component, down to the root cause.

use std::collections::BTreeSet;

use engine::plan::{Plan, StageId};
use engine::preview::{StagePreview, State};
use serde_json::{Value, json};

use super::plan::preview_json;
use crate::cli::Why;
use crate::project::{Failure, Project};
use crate::report::terminal::{self, Styles};

/// Explains.
///
/// # Errors
/// An invalid pipeline, an unknown stage.
pub fn execute(args: &Why) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    super::run::check_names(&proved.plan, std::iter::once(&args.stage))?;
    let previews = engine::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root);
    let Some(stage) = proved.plan.stages.iter().find(|stage| stage.name == args.stage) else { return Ok(0) };
    let mut chain = Vec::new();
    collect(&proved.plan, &previews, stage.id, 0, &mut BTreeSet::new(), &mut chain);
    if args.json {
        let chain: Vec<Value> =
            chain.iter().map(|(_, id)| preview_json(&proved.plan, &previews[id.0 as usize])).collect();
        terminal::out(&format!("{:#}", json!({ "stage": args.stage, "chain": chain })));
        return Ok(0);
    }
    let mut text = String::new();
    for (depth, id) in chain {
        explain(&proved.plan, &previews[id.0 as usize], depth, &mut text);
    }
    terminal::out(&text);
    Ok(0)
}

/// The stage, then those it waits for, each once, deepest causes last.
fn collect(
    plan: &Plan,
    previews: &[StagePreview],
    start: StageId,
    depth: usize,
    seen: &mut BTreeSet<StageId>,
    chain: &mut Vec<(usize, StageId)>,
) {
    // An explicit stack: a chain of 100,000 stages is no reason to overflow one.
    let mut stack = vec![(depth, start)];
    while let Some((depth, id)) = stack.pop() {
        if !seen.insert(id) {
            continue;
        }
        chain.push((depth, id));
        let preview = &previews[id.0 as usize];
        let mut above: Vec<StageId> = match &preview.state {
            State::Unknown { because } => because.clone(),
            State::Miss { reasons } => reasons
                .iter()
                .filter_map(|reason| match reason {
                    engine::explain::Reason::InputChanged { from, .. } => {
                        plan.stages.iter().find(|stage| stage.name == *from).map(|stage| stage.id)
                    }
                    _ => None,
                })
                .collect(),
            State::Hit => Vec::new(),
        };
        above.reverse();
        stack.extend(above.into_iter().map(|id| (depth + 1, id)));
    }
}

fn explain(plan: &Plan, preview: &StagePreview, depth: usize, text: &mut String) {
    let stage = &plan.stages[preview.id.0 as usize];
    let indent = "  ".repeat(depth.min(20));
    let name = Styles::name().apply_to(&stage.name);
    match &preview.state {
        State::Hit if depth == 0 => {
            text.push_str(&format!(
                "{indent}{name} is up to date: same kind, parameters, inputs, files and environment\n"
            ));
        }
        State::Hit => {
            // Up to date now, yet it gave other bytes since the stage below last ran.
            let when = preview.changed.iter().map(ToString::to_string).collect::<Vec<_>>();
            if when.is_empty() {
                text.push_str(&format!("{indent}{name} has run since and gave other bytes\n"));
            } else {
                text.push_str(&format!("{indent}{name} has run since:\n"));
                when.iter().for_each(|line| text.push_str(&format!("{indent}  - {line}\n")));
            }
        }
        State::Miss { reasons } => {
            text.push_str(&format!("{indent}{name} would run:\n"));
            reasons.iter().for_each(|reason| text.push_str(&format!("{indent}  - {reason}\n")));
        }
        State::Unknown { because } => {
            let above: Vec<&str> = because.iter().map(|id| plan.stages[id.0 as usize].name.as_str()).collect();
            text.push_str(&format!("{indent}{name} would run if {} gives other bytes\n", above.join(" or ")));
            preview.changed.iter().for_each(|reason| text.push_str(&format!("{indent}  - {reason}\n")));
        }
    }
}
