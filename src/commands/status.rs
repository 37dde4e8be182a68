//! `pipeline status`: each stage's state, last duration and size.

use engine::driver::Detail;
use engine::preview::State;
use serde_json::{Value, json};

use super::family::families;
use super::plan::preview_json;
use crate::cli::Status;
use crate::project::{Failure, Project};
use crate::report::{plain, result, terminal};

/// Shows.
///
/// # Errors
/// An invalid pipeline.
pub fn execute(args: &Status) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    let previews = engine::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root);
    if args.json {
        let stages: Vec<Value> = previews.iter().map(|preview| preview_json(&proved.plan, preview)).collect();
        terminal::out(&format!("{:#}", json!({ "pipeline": proved.plan.spec.name, "stages": stages })));
        return Ok(0);
    }
    let families = families(&proved.plan, &previews);
    let rows = families.iter().map(|family| {
        let mut cells = family.cells(&proved.plan, state);
        cells.push(match family.members.as_slice() {
            [preview] => preview
                .record
                .as_ref()
                .map(|record| plain::headline(&Detail::of(&record.detail).summary))
                .unwrap_or_default(),
            many => format!("{} stages", many.len()),
        });
        cells
    });
    terminal::out(&result::table(&["stage", "kind", "state", "took", "size", ""], rows, &[3, 4]));
    Ok(0)
}

/// What a run would do with a stage.
pub fn word(state: &State) -> &'static str {
    match state {
        State::Hit => "reuse",
        State::Miss { .. } => "run",
        State::Unknown { .. } => "maybe run",
    }
}

fn state(state: &State) -> &'static str {
    match state {
        State::Hit => "up to date",
        State::Miss { .. } => "due",
        State::Unknown { .. } => "waiting",
    }
}

/// One character for a state.
pub fn mark(state: &State) -> String {
    use console::Style;
    match state {
        State::Hit => Style::new().green().apply_to("=").to_string(),
        State::Miss { .. } => Style::new().yellow().apply_to("▶").to_string(),
        State::Unknown { .. } => Style::new().dim().apply_to("?").to_string(),
    }
}
