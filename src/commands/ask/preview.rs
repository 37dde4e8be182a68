//! What a run would do with a stage: as a mark, in words, and as JSON.

use console::Style;
use contract::fault::Fault;
use engine::key::explain::Reason;
use engine::plan::Plan;
use engine::run::driver::Detail;
use engine::run::preview::{StagePreview, State};
use serde_json::{Value, json};

use crate::terminal::quantity::some;

/// What a run would do with a stage.
pub fn word(state: &State) -> &'static str {
    match state {
        State::Hit => "reuse",
        State::Miss { .. } => "run",
        State::Unknown { .. } => "maybe run",
    }
}

/// One character for a state.
pub fn mark(state: &State) -> String {
    match state {
        State::Hit => Style::new().green().apply_to("=").to_string(),
        State::Miss { .. } => Style::new().yellow().apply_to("▶").to_string(),
        State::Unknown { .. } => Style::new().dim().apply_to("?").to_string(),
    }
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
