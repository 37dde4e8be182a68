//! An output of a stage, as the command line names it.

use contract::artifact::ArtifactType;
use contract::fault::Fault;
use engine::key::explain::Reason;
use engine::run::driver::Detail;
use engine::run::preview::State;
use serde_json::Value;

use crate::session::{Failure, INVALID, Proved, unknown_stage};
use crate::terminal::{self, Styles};

/// An output of a stage, found in the store.
pub struct Found {
    /// The stage.
    pub stage: String,
    /// The port.
    pub port: String,
    /// Its bytes.
    pub blob: cache::Blob,
    /// What it is.
    pub artifact: ArtifactType,
    /// What was measured while it was made.
    pub observations: Value,
    /// Whether the pipeline as it stands would make something else.
    pub stale: bool,
}

/// The output a target names: the current result, else the last one.
///
/// # Errors
/// An unknown stage or port, a stage that never ran.
pub fn find(proved: &Proved, target: &str) -> Result<Found, Failure> {
    let plan = &proved.plan;
    let whole = plan.find(target);
    let (stage, port) = match whole {
        Some(stage) => (stage, None),
        None => {
            let (name, port) = contract::name::split(target);
            // Axes may be named in any order; what stands for several stages cannot be shown as one.
            let one = plan.named(name).ok().filter(|found| found.len() == 1).map(|found| plan.stage(found[0]));
            let stage = one.ok_or_else(|| unknown_stage(plan, name))?;
            (stage, port)
        }
    };
    let port = match port {
        None => match stage.outputs.get(contract::kind::MAIN) {
            Some(main) => main.name.clone(),
            None => {
                return Err(Failure::user(
                    contract::code!("cli::no_output"),
                    format!("`{}` gives nothing: it has no output", stage.name),
                    format!(
                        "what it said is in `pipeline logs {}`; what a program writes is named under `outs`",
                        stage.name
                    ),
                ));
            }
        },
        Some(port) if stage.outputs.iter().any(|output| output.name == port) => port.to_owned(),
        Some(port) => {
            let mut fault =
                Fault::error(contract::code!("cli::unknown_port"), format!("`{}` has no output `{port}`", stage.name));
            fault.help = contract::fault::suggest(port, stage.outputs.iter().map(|output| output.name.as_str()));
            return Err(Failure::fault(&fault, INVALID));
        }
    };
    let previews = engine::run::preview::preview(plan, &proved.store, &proved.environment, &proved.root);
    let preview = &previews[stage.id.0 as usize];
    let stale = match &preview.state {
        State::Hit => false,
        State::Miss { reasons } => reasons.iter().any(|reason| *reason != Reason::Uncached),
        State::Unknown { .. } => !preview.shut,
    };
    let record = match preview.record.clone() {
        Some(record) => record,
        None => proved.store.last(&stage.name)?.ok_or_else(|| {
            Failure::user(
                contract::code!("cli::never_ran"),
                format!("`{}` has no result yet", stage.name),
                format!("run it with `pipeline run {}`", stage.name),
            )
        })?,
    };
    let gone = || {
        Failure::user(
            contract::code!("cli::output_lost"),
            format!("the result of `{}.{port}` is no longer in the store", stage.name),
            format!("make it again with `pipeline run {}`", stage.name),
        )
    };
    let blob = record.outputs.iter().find(|(name, _)| *name == port).map(|(_, blob)| *blob).ok_or_else(gone)?;
    if !proved.store.check(&blob)? {
        return Err(gone());
    }
    let known = Detail::of(&record.detail).types.remove(&port);
    let artifact = known.unwrap_or_else(|| stage.types[&port].clone());
    Ok(Found { stage: stage.name.clone(), port, blob, artifact, observations: record.observations, stale })
}

/// Says of a result that it is not that of the pipeline as it is now.
pub fn tell_stale(found: &Found) {
    if found.stale {
        terminal::err(&format!(
            "{} `{}`, or what it is made from, has changed since; this is its last result (`pipeline why {}` says more)",
            Styles::warn().apply_to("!"),
            found.stage,
            found.stage
        ));
    }
}
