//! `pipeline plan`: what `run` would do, why, and how long it took last time.

use std::collections::HashMap;
use std::time::Duration;

use engine::plan::{Plan, StageId};
use engine::run::preview::{StagePreview, State};
use serde_json::{Value, json};

use super::family::families;
use super::preview::{preview_json, reason, word};
use crate::session::{Failure, FileArgs, Project, check_names};
use crate::terminal::forecast::{Forecast, Task, forecast};
use crate::terminal::quantity::{bytes, duration, some};
use crate::terminal::{self, result};

/// Show what `run` would do, and why.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// Stages to plan for, with everything they need: `model`, `model+` (and all below), `feat*`, `tag:nightly`. Default: all.
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// Stages at a time, for the forecast. Default: as for `run`.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub jobs: Option<u32>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Predicts.
///
/// # Errors
/// An invalid pipeline, an unknown stage.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let mut names = args.stages.clone();
    let project = Project::find_with(&args.file, &mut names)?;
    let proved = project.proved(&args.file.set)?;
    check_names(&proved.plan, names.iter())?;
    let wanted = proved.plan.select(&names).unwrap_or_default();
    let previews = engine::run::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root);
    let chosen: Vec<&StagePreview> = previews.iter().filter(|preview| wanted[preview.id.0 as usize]).collect();
    if args.json {
        let stages: Vec<Value> = chosen.iter().map(|preview| preview_json(&proved.plan, preview)).collect();
        let (forecast, names, slots) = expected(&proved.plan, &chosen, args.jobs);
        let critical: Vec<&str> = forecast.critical.iter().map(|at| names[*at].as_str()).collect();
        let forecast = json!({
            "jobs": slots, "time": forecast.time.as_secs_f64(), "critical_path": critical,
            "critical_time": forecast.critical_time.as_secs_f64(), "peak_memory": forecast.peak_memory,
            "disk": forecast.disk, "never_ran": forecast.unknown,
        });
        let all = json!({ "pipeline": proved.plan.spec.name, "stages": stages, "forecast": forecast,
            "off": off_json(&proved.plan) });
        terminal::out(&format!("{all:#}"));
        return Ok(0);
    }
    let families = families(&proved.plan, chosen.iter().copied());
    let rows = families.iter().map(|family| {
        let mut cells = family.cells(&proved.plan, word);
        cells.push(match family.members.as_slice() {
            [preview] => reason(&proved.plan, preview),
            many => format!("{} stages", many.len()),
        });
        cells
    });
    terminal::out(&result::table(&["stage", "kind", "would", "last took", "size", "because"], rows, &[3, 4]));
    if !proved.plan.off.is_empty() {
        terminal::out(&format!("\n{}", off(&proved.plan).trim_end()));
    }
    let due: Vec<&&StagePreview> = chosen.iter().filter(|preview| !matches!(preview.state, State::Hit)).collect();
    let back: usize = chosen.iter().map(|preview| preview.restores.len()).sum();
    if due.is_empty() && back > 0 {
        terminal::out(&format!("\nnothing to run; {} would be restored", some(back, "output")));
    } else if due.is_empty() {
        terminal::out("\nnothing to do");
    } else {
        let (forecast, names, slots) = expected(&proved.plan, &chosen, args.jobs);
        let all = some(chosen.len(), "stage");
        let mut line = format!("\n{} of {all} would run", due.len());
        if due.iter().any(|preview| matches!(preview.state, State::Unknown { .. })) {
            line = format!("\n{} of {all} would run, or may", due.len());
        }
        if forecast.time > Duration::ZERO {
            let jobs = if slots == 1 { "1 job".to_owned() } else { format!("{slots} jobs") };
            line.push_str(&format!("; going by last time about {} with {jobs} at most", duration(forecast.time)));
            if forecast.peak_memory > 0 {
                line.push_str(&format!(", {} of memory", bytes(forecast.peak_memory)));
            }
            if forecast.disk > 0 {
                line.push_str(&format!(", {} of disk", bytes(forecast.disk)));
            }
        }
        if forecast.unknown > 0 {
            line.push_str(&format!("; {} never ran before", forecast.unknown));
        }
        if forecast.critical.len() > 1 && forecast.critical_time > Duration::ZERO {
            let shown: Vec<&str> = forecast.critical.iter().take(12).map(|at| names[*at].as_str()).collect();
            let more = if forecast.critical.len() > 12 { " → …" } else { "" };
            line.push_str(&format!(
                "\nlongest chain: {}{more} ({})",
                shown.join(" → "),
                duration(forecast.critical_time)
            ));
        }
        terminal::out(&line);
    }
    Ok(0)
}

/// The forecast of what is due, the names of its tasks, and the slots it goes by.
fn expected(plan: &Plan, chosen: &[&StagePreview], jobs: Option<u32>) -> (Forecast, Vec<String>, u32) {
    let machine = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u32;
    let slots = jobs.or(plan.spec.resources.cpus).unwrap_or(machine).max(1);
    let due: Vec<&&StagePreview> = chosen.iter().filter(|preview| preview.state != State::Hit).collect();
    let place: HashMap<StageId, usize> = due.iter().enumerate().map(|(at, preview)| (preview.id, at)).collect();
    let tasks: Vec<Task> = due
        .iter()
        .map(|preview| {
            let stage = plan.stage(preview.id);
            let observed = preview.record.as_ref().and_then(|record| record.observations["peak_memory"].as_u64());
            Task {
                after: stage.after.iter().filter_map(|before| place.get(before).copied()).collect(),
                took: preview.took,
                memory: observed.or(stage.resources.memory).unwrap_or(0),
                cpus: stage.resources.cpus.unwrap_or(1),
                disk: preview.bytes.unwrap_or(0),
            }
        })
        .collect();
    let names = due.iter().map(|preview| plan.stage(preview.id).name.clone()).collect();
    (forecast(&tasks, slots), names, slots)
}

/// What does not take part, and why.
fn off(plan: &Plan) -> String {
    let line = |off: &engine::plan::Off| match &off.because {
        None => format!("`{}` is off: its `when` does not hold\n", off.stage),
        Some(other) => format!("`{}` is off: it reads from `{other}`\n", off.stage),
    };
    plan.off.iter().map(line).collect()
}

fn off_json(plan: &Plan) -> Value {
    plan.off.iter().map(|off| json!({ "stage": off.stage, "because": off.because })).collect()
}
