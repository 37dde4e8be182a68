//! `pipeline why`: what changed since a stage last ran, component by component, down to the root cause.

use std::collections::BTreeSet;

use contract::artifact::ArtifactType;
use engine::key::explain::Reason;
use engine::plan::{Plan, StageId};
use engine::run::driver::Detail;
use engine::run::preview::{StagePreview, State};
use serde_json::{Value, json};

use super::preview::preview_json;
use crate::session::{Failure, FileArgs, Project, Proved, check_names, unknown_stage};
use crate::terminal::quantity::count;
use crate::terminal::{self, Styles};

/// Say why a stage would run: what changed since it last did, down to the root cause.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// The stage.
    #[arg(value_name = "STAGE")]
    pub stage: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Explains.
///
/// # Errors
/// An invalid pipeline, an unknown stage.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    // One stage by its name: a pattern that means several has no one answer.
    if proved.plan.find(&args.stage).is_none() {
        check_names(&proved.plan, std::iter::once(&args.stage))?;
        return Err(unknown_stage(&proved.plan, &args.stage));
    }
    let previews = engine::run::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root);
    let (mut chain, mut seen) = (Vec::new(), BTreeSet::new());
    let stages = proved.plan.named(&args.stage).unwrap_or_default();
    for id in &stages {
        collect(&proved.plan, &previews, *id, 0, &mut seen, &mut chain);
    }
    // Of many children, the first speaks in a sentence; the chain has them all.
    let sentence = stages.first().and_then(|id| sentence(&proved, &previews, *id));
    if args.json {
        let chain: Vec<Value> =
            chain.iter().map(|(_, id)| preview_json(&proved.plan, &previews[id.0 as usize])).collect();
        terminal::out(&format!("{:#}", json!({ "stage": args.stage, "because": sentence, "chain": chain })));
        return Ok(0);
    }
    let mut text = String::new();
    if let Some(sentence) = sentence {
        text.push_str(&format!("{sentence}\n\n"));
    }
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
                    engine::key::explain::Reason::InputChanged { from, .. } => {
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

/// From the stage to the root cause in one sentence; `None` for a stage that is up to date or has its cause in itself.
fn sentence(proved: &Proved, previews: &[StagePreview], start: StageId) -> Option<String> {
    let plan = &proved.plan;
    let mut text = format!("`{}`", plan.stage(start).name);
    let (mut at, mut seen) = (start, BTreeSet::new());
    while seen.insert(at) {
        let (stage, preview) = (plan.stage(at), &previews[at.0 as usize]);
        let first = seen.len() == 1;
        let reasons = match &preview.state {
            State::Miss { reasons } => reasons,
            _ => &preview.changed,
        };
        // What is of the stage itself comes before what came from above.
        let own = reasons.iter().find(|reason| !matches!(reason, Reason::InputChanged { .. }));
        let above = match (&preview.state, own) {
            (_, Some(_)) => None,
            (State::Unknown { because }, None) => because.first().copied(),
            (_, None) => reasons.iter().find_map(|reason| match reason {
                Reason::InputChanged { port, .. } => {
                    stage.inputs.iter().find(|input| input.port == *port).map(|input| input.from)
                }
                _ => None,
            }),
        };
        if let Some(reason) = own {
            let told = match reason {
                Reason::FileChanged { path, old: Some(_), new: Some(_) } => format!("read another `{path}`"),
                reason => reason.to_string(),
            };
            let name =
                if matches!(reason, Reason::FileChanged { .. }) { format!("`{}` ", stage.name) } else { String::new() };
            let rows = rows(proved, preview).unwrap_or_default();
            let place = if name.is_empty() && !first { format!(" (in `{}`)", stage.name) } else { String::new() };
            text.push_str(&format!("{} because {name}{told}{rows}{place}", if first { " runs" } else { "" }));
            return (!first || !rows.is_empty()).then_some(text);
        }
        let above = above?;
        let input = stage.inputs.iter().find(|input| input.from == above);
        let port = input.map(|input| &plan.stage(above).outputs[input.output]);
        let one = plan.stage(above).outputs.len() == 1;
        let from = &plan.stage(above).name;
        let what = port.filter(|_| !one).map_or_else(|| from.clone(), |port| format!("{from}.{}", port.name));
        let sure = matches!(preview.state, State::Miss { .. } | State::Hit);
        let verb = if sure { "changed" } else { "may change" };
        let runs = match (first, sure) {
            (true, true) => " runs",
            (true, false) => " may run",
            _ => "",
        };
        text.push_str(&format!("{runs} because `{what}` {verb}"));
        at = above;
    }
    Some(text)
}

/// ` (1,797 → 1,798 rows)`, where a data set has another number of rows than before.
fn rows(proved: &Proved, preview: &StagePreview) -> Option<String> {
    let stage = proved.plan.stage(preview.id);
    let port = &stage.outputs.first()?.name;
    let of = |artifact: Option<&ArtifactType>| match artifact {
        Some(ArtifactType::Dataset(dataset)) => dataset.rows,
        _ => None,
    };
    let recorded = |record: &cache::Record| of(Detail::of(&record.detail).types.get(port));
    let history = proved.store.history(&stage.name, 2).ok()?;
    let (old, new) = match preview.state {
        State::Hit => (recorded(history.get(1)?)?, recorded(history.first()?)?),
        _ => (recorded(history.first()?)?, of(stage.types.get(port))?),
    };
    (old != new).then(|| format!(" ({} → {} rows)", count(old), count(new)))
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
            if preview.changed.contains(&Reason::Unstable) {
                text.push_str(&format!("{indent}  - {}\n", Reason::Unstable));
            }
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
