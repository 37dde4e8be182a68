//! `pipeline verify`: stages run again into a store of their own, and what they give is compared with what is recorded.

use std::sync::{Arc, Mutex};

use cache::Store;
use engine::event::Outcome;
use engine::execute::WorkerOracle;
use engine::run::difference;
use engine::run::driver::{CancellationToken, Compared, Force, RunOptions, Scratch};
use engine::run::preview::State;
use serde_json::{Value, json};

use super::drive::{cancel_on_signal, drive, quiet_reporter, runtime};
use crate::session::{Failure, FileArgs, Project, check_names};
use crate::terminal::{self, Styles};

/// Run stages again beside the store and compare what they give with what is recorded.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// Stages to run again. Default: all that are up to date.
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// Stages at a time. Default: the number of processors.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub jobs: Option<u32>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Verifies. Exit code 1 when something came out differently.
///
/// # Errors
/// An invalid pipeline, an unknown stage, a stage that is not up to date.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let mut names = args.stages.clone();
    let project = Project::find_with(&args.file, &mut names)?;
    let proved = project.proved(&args.file.set)?;
    check_names(&proved.plan, names.iter())?;
    let meant = proved.plan.targets(&names).unwrap_or_default();
    let names: Vec<String> = meant.into_iter().map(|id| proved.plan.stage(id).name.clone()).collect();
    let previews = engine::run::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root);
    let named = |name: &String| names.is_empty() || names.contains(name);
    let (mut chosen, mut due, mut uncached) = (Vec::new(), Vec::new(), Vec::new());
    for (stage, preview) in proved.plan.stages.iter().zip(&previews).filter(|(stage, _)| named(&stage.name)) {
        match preview.state {
            _ if !stage.cache => uncached.push(stage.name.clone()),
            State::Hit => chosen.push(stage.name.clone()),
            _ => due.push(stage.name.clone()),
        }
    }
    if chosen.is_empty() || (!names.is_empty() && !due.is_empty()) {
        let (what, help) = match due.first() {
            Some(stage) => {
                (format!("`{stage}` is not up to date"), "`pipeline run` it first; `pipeline plan` says why")
            }
            None => ("there is nothing to compare".to_owned(), "stages with `cache: false` are never the same twice"),
        };
        return Err(Failure::user(contract::code!("verify::not_recorded"), what, help));
    }
    let staging = proved.store.staging()?;
    let scratch = Scratch { store: Arc::new(Store::open(&staging.path().join("store"))?), compared: Arc::default() };
    let options = RunOptions {
        root: proved.root.clone(),
        targets: chosen.clone(),
        force: Force::Stages(chosen.clone()),
        keep_going: true,
        jobs: args.jobs.map(|jobs| jobs as usize),
        programs: proved.programs.clone(),
        environment: proved.environment.clone(),
        registry: std::sync::Arc::clone(&proved.registry),
        scratch: Some(scratch.clone()),
        ..RunOptions::default()
    };
    let mut reporter = quiet_reporter(&proved);
    let cancel = CancellationToken::new();
    let summary = runtime()?.block_on(async {
        tokio::spawn(cancel_on_signal(cancel.clone()));
        drive(&proved, options, &mut *reporter, cancel).await
    })?;
    let compared = taken(&scratch.compared);
    let oracle = WorkerOracle::new(Arc::clone(&proved.store), &proved.programs, &proved.root);
    let differing: Vec<(&Compared, String)> = compared
        .iter()
        .filter(|of| of.recorded.digest != of.again.digest)
        .map(|of| {
            let stage = proved.plan.find(&of.stage);
            let output = stage.and_then(|stage| stage.outputs.iter().find(|output| output.name == of.port));
            let (old, new) = ((&*proved.store, &of.recorded), (&*scratch.store, &of.again));
            let place = output.and_then(|output| difference::found(&oracle, output.kind, old, new));
            (of, place.unwrap_or_else(|| "one of them cannot be read".to_owned()))
        })
        .collect();
    let done: Vec<&String> = chosen.iter().filter(|name| compared.iter().any(|of| of.stage == **name)).collect();
    let good = |name: &str| !differing.iter().any(|(of, _)| of.stage == name);
    if args.json {
        let stages: Vec<Value> = done
            .iter()
            .map(|name| {
                let outputs = compared.iter().filter(|of| of.stage == ***name).map(|of| {
                    let where_ = differing.iter().find(|(other, _)| *other == of).map(|(_, told)| told.clone());
                    let (recorded, again) = (of.recorded.digest.to_string(), of.again.digest.to_string());
                    json!({ "output": of.port, "recorded": recorded, "again": again, "difference": where_ })
                });
                json!({ "stage": name, "same": good(name), "outputs": outputs.collect::<Vec<_>>() })
            })
            .collect();
        terminal::out(&format!("{:#}", json!({ "stages": stages, "not_up_to_date": due, "uncached": uncached })));
    } else {
        for name in &done {
            if good(name) {
                terminal::out(&format!("{} {name}  the same bytes", console::Style::new().green().apply_to("=")));
            }
            for (of, told) in differing.iter().filter(|(of, _)| of.stage == **name) {
                let mark = console::Style::new().red().bold().apply_to("≠");
                terminal::out(&format!("{mark} {name}  `{}` differs: {told}", of.port));
            }
        }
        for (names, why) in [(&due, "not up to date"), (&uncached, "`cache: false`")] {
            if !names.is_empty() {
                let text = format!("not verified ({why}): {}", names.join(", "));
                terminal::err(&Styles::dim().apply_to(text).to_string());
            }
        }
    }
    Ok(match summary.outcome {
        Outcome::Success | Outcome::GateNotMet if differing.is_empty() => 0,
        Outcome::Success | Outcome::GateNotMet => 1,
        other => other.exit_code(),
    })
}

fn taken(compared: &Mutex<Vec<Compared>>) -> Vec<Compared> {
    std::mem::take(&mut *compared.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}
