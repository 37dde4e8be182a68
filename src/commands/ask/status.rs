//! `pipeline status`: each stage's state, last duration and size.

use console::Style;
use engine::run::driver::Detail;
use engine::run::preview::State;
use serde_json::{Value, json};

use super::family::families;
use super::preview::{preview_json, restored, unmet};
use crate::session::{Failure, FileArgs, Project};
use crate::terminal::quantity::some;
use crate::terminal::{self, plain, result};

/// Show each stage's state, last duration and size.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Shows.
///
/// # Errors
/// An invalid pipeline.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    let previews = engine::run::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root);
    if args.json {
        let stages: Vec<Value> = previews.iter().map(|preview| preview_json(&proved.plan, preview)).collect();
        terminal::out(&format!("{:#}", json!({ "pipeline": proved.plan.spec.name, "stages": stages })));
        return Ok(0);
    }
    let families = families(&proved.plan, &previews);
    let rows = families.iter().map(|family| {
        let mut cells = family.cells(&proved.plan, state);
        let shut = family.members.iter().filter(|preview| unmet(preview).is_some()).count();
        if shut > 0 {
            cells[0] = format!("{} {}", Style::new().red().apply_to("✗"), family.name);
            cells[2] = match family.members.as_slice() {
                [_] => format!("{}, gate not met", cells[2]),
                _ => format!("{}, {} not met", cells[2], some(shut, "gate")),
            };
        }
        cells.push(match family.members.as_slice() {
            [preview] => {
                let headline = |record: &cache::Record| plain::headline(&Detail::of(&record.detail).summary);
                let headline = preview.record.as_ref().map(headline).filter(|text| !text.is_empty());
                headline.into_iter().chain(restored(preview)).collect::<Vec<_>>().join("; ")
            }
            many => {
                let back: usize = many.iter().map(|preview| preview.restores.len()).sum();
                let back =
                    if back > 0 { format!("; {} will be restored", some(back, "output")) } else { String::new() };
                format!("{}{back}", some(many.len(), "stage"))
            }
        });
        cells
    });
    terminal::out(&result::table(&["stage", "kind", "state", "took", "size", ""], rows, &[3, 4]));
    Ok(0)
}

fn state(state: &State) -> &'static str {
    match state {
        State::Hit => "up to date",
        State::Miss { .. } => "due",
        State::Unknown { .. } => "waiting",
    }
}
