//! `pipeline plan`: what `run` would do, why, and how long it took last time.

use std::collections::HashMap;
use std::time::Duration;

use contract::fault::Fault;
use engine::key::explain::Reason;
use engine::plan::{Plan, StageId};
use engine::run::driver::Detail;
use engine::run::preview::{StagePreview, State};
use serde_json::{Value, json};

use super::family::families;
use super::status::word;
use crate::cli::Plan as Args;
use crate::project::{Failure, Project};
use crate::report::forecast::{Forecast, Task, forecast};
use crate::report::quantity::{bytes, duration, some};
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

/// The first reason, in words.
pub fn reason(plan: &Plan, preview: &StagePreview) -> String {
    match &preview.state {
        State::Hit => {
            let unstable = preview.changed.contains(&Reason::Unstable).then(|| Reason::Unstable.to_string());
            let told = unmet(preview).map(|gate| gate.message).into_iter().chain(restored(preview)).chain(unstable);
            told.collect::<Vec<_>>().join("; ")
        }
        State::Miss { reasons } => {
            let first = reasons.first().map(ToString::to_string).unwrap_or_default();
            if reasons.len() > 1 { format!("{first} (and {} more)", reasons.len() - 1) } else { first }
        }
        State::Unknown { because } => {
            let names: Vec<&str> = because.iter().map(|id| plan.stages[id.0 as usize].name.as_str()).collect();
            match preview.shut {
                true => format!("the gate of {} is not met", names.join(", ")),
                false => format!("{} may give other bytes", names.join(", ")),
            }
        }
    }
}

/// The first gate that the result of a stage does not meet.
pub fn unmet(preview: &StagePreview) -> Option<Fault> {
    let record = preview.record.as_ref().filter(|_| preview.state == State::Hit)?;
    Detail::of(&record.detail).unmet.into_iter().next()
}

/// What a run would put into the project again, in words.
pub fn restored(preview: &StagePreview) -> Option<String> {
    let named: Vec<String> = preview.restores.iter().take(3).map(|path| format!("`{path}`")).collect();
    let more = preview.restores.len() - named.len();
    let more = if more > 0 { format!(" and {}", some(more, "more output")) } else { String::new() };
    (!named.is_empty()).then(|| format!("will restore {}{more}", named.join(", ")))
}

/// A preview for `--json`.
pub fn preview_json(plan: &Plan, preview: &StagePreview) -> Value {
    let stage = &plan.stages[preview.id.0 as usize];
    let reasons = match &preview.state {
        State::Miss { reasons } => json!(reasons),
        _ => json!([]),
    };
    let unstable = match &preview.state {
        State::Miss { reasons } => reasons.contains(&Reason::Unstable),
        _ => preview.changed.contains(&Reason::Unstable),
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
        "unstable": unstable,
        "waits_for": waits,
        "restores": preview.restores,
        "unmet": unmet(preview).map(|gate| gate.message),
        "took": preview.took.map(|took| took.as_secs_f64()),
        "bytes": preview.bytes,
    })
}
