//! `pipeline run`: what is not done yet, in parallel.

use std::sync::Arc;

use contract::fault::Fault;
use engine::plan::Plan;
use engine::run::driver::{self, CancellationToken, Force, RunOptions, Summary};

use super::{ENGINE_FAILED, INVALID};
use crate::cli::{Run, RunArgs};
use crate::project::{Failure, Project, Proved, render};
use crate::report::json::JsonLines;
use crate::report::plain::{Lines, Plain, Reporter, Volume, up_to_date};
use crate::report::progress::Bars;
use crate::report::terminal;
use crate::shortcut::Shortcut;

/// Runs.
///
/// # Errors
/// An invalid pipeline, an unknown stage, a store that cannot be used.
pub fn execute(args: &Run) -> Result<u8, Failure> {
    let mut names = args.run.stages.clone();
    let project = Project::find_with(&args.run.file, &mut names)?;
    let shortcut = Shortcut::of(args, &project, &names);
    if let Some(unmoved) = shortcut.as_ref().and_then(Shortcut::unmoved) {
        for line in up_to_date(volume(&args.run), &unmoved.first, unmoved.stages, unmoved.took) {
            terminal::err(&line);
        }
        return Ok(engine::event::Outcome::Success.exit_code());
    }
    let proved = project.proved(&args.run.file.set)?;
    let options = options(&args.run, &proved, names)?;
    let lock = super::lock::Keeper::new(&project, &proved, &options, args)?;
    let mut reporter = reporter(&args.run, &proved);
    for warning in &proved.warnings {
        reporter.event(&engine::event::Event::Warning { fault: warning.clone() });
    }
    let cancel = CancellationToken::new();
    let summary = runtime()?.block_on(async {
        tokio::spawn(cancel_on_signal(cancel.clone()));
        drive(&proved, options, &mut *reporter, cancel).await
    })?;
    let code = lock.settle(&proved, &summary)?;
    if let Some(shortcut) = shortcut.filter(|_| proved.warnings.is_empty() && !lock.warned()) {
        shortcut.keep(&proved, &summary);
    }
    Ok(code)
}

/// One thread drives: the work is done by other processes, and hashing has its own threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        let fault = Fault::error("engine::no_runtime", format!("the run cannot start: {}", error.kind()))
            .help("the system is out of threads or file handles; close some programs and try again");
        Failure::fault(&fault, ENGINE_FAILED)
    })
}

/// Every word names stages ([`engine::plan::selection`]).
///
/// # Errors
/// The first one that does not, with the nearest that does.
pub fn check_names<'a>(plan: &Plan, names: impl Iterator<Item = &'a String>) -> Result<(), Failure> {
    let names: Vec<String> = names.cloned().collect();
    match plan.targets(&names) {
        Err(faults) if !faults.is_empty() => Err(unknown(faults[0].clone())),
        _ => Ok(()),
    }
}

/// No stage has this name; the nearest one does.
pub fn unknown_stage(plan: &Plan, name: &str) -> Failure {
    match plan.named(name) {
        Err(fault) => unknown(fault),
        Ok(many) => {
            let names: Vec<&str> = many.iter().take(5).map(|id| plan.stage(*id).name.as_str()).collect();
            let fault = Fault::error("cli::several_stages", format!("`{name}` is {} stages", many.len()))
                .help(format!("name one of them: {}{}", names.join(", "), if many.len() > 5 { ", …" } else { "" }));
            Failure::fault(&fault, INVALID)
        }
    }
}

fn unknown(mut fault: Fault) -> Failure {
    if fault.code == "graph::unknown_stage" {
        fault.code = "cli::unknown_stage".into();
    }
    Failure::fault(&fault, INVALID)
}

/// What was asked for, checked against the plan.
///
/// # Errors
/// An unknown stage.
pub fn options(args: &RunArgs, proved: &Proved, targets: Vec<String>) -> Result<RunOptions, Failure> {
    let forced: Vec<String> = args.force.iter().filter(|name| !name.is_empty()).cloned().collect();
    check_names(&proved.plan, targets.iter().chain(&forced))?;
    let force = if args.force.is_empty() {
        Force::None
    } else if forced.is_empty() {
        Force::Targets
    } else {
        Force::Stages(forced)
    };
    Ok(RunOptions {
        root: proved.root.clone(),
        targets,
        force,
        refresh: args.refresh,
        keep_going: args.keep_going,
        jobs: args.jobs.map(|jobs| jobs as usize),
        programs: proved.programs.clone(),
        environment: proved.environment.clone(),
        registry: Arc::clone(&proved.registry),
        ..RunOptions::default()
    })
}

/// How much is shown.
fn volume(args: &RunArgs) -> Volume {
    match (args.quiet, args.verbose) {
        (true, _) => Volume::Quiet,
        (_, true) => Volume::Verbose,
        _ => Volume::Normal,
    }
}

/// The reporter that fits the terminal and the options.
pub fn reporter(args: &RunArgs, proved: &Proved) -> Box<dyn Reporter> {
    if args.json {
        return Box::new(JsonLines);
    }
    let volume = volume(args);
    let sources = Arc::clone(&proved.sources);
    let lines = Lines::new(volume, Box::new(move |fault| render(fault, &sources)));
    if terminal::is_interactive() && volume != Volume::Quiet {
        Box::new(Bars::new(lines))
    } else {
        Box::new(Plain::new(lines))
    }
}

/// Bars on a terminal, and only what goes wrong in lines: for work whose result is told afterwards.
pub fn quiet_reporter(proved: &Proved) -> Box<dyn Reporter> {
    let sources = Arc::clone(&proved.sources);
    let failures = move |fault: &Fault| render(fault, &sources);
    Box::new(Plain::new(Lines::new(Volume::Failures, Box::new(failures))))
}

/// Runs the plan and shows what happens.
pub async fn drive(
    proved: &Proved,
    options: RunOptions,
    reporter: &mut dyn Reporter,
    cancel: CancellationToken,
) -> Result<Summary, Failure> {
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let run = driver::run(Arc::clone(&proved.plan), Arc::clone(&proved.store), options, sender, cancel);
    let mut run = std::pin::pin!(run);
    let ended = loop {
        tokio::select! {
            Some(event) = events.recv() => reporter.event(&event),
            ended = &mut run => break ended,
        }
    };
    while let Ok(event) = events.try_recv() {
        reporter.event(&event);
    }
    reporter.close();
    ended.map_err(|fault| Failure { text: render(&fault, &proved.sources), exit_code: ENGINE_FAILED })
}

/// The first Ctrl-C (or SIGTERM) ends the run cleanly, the second at once.
pub async fn cancel_on_signal(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if cancel.is_cancelled() {
            std::process::exit(130);
        }
        cancel.cancel();
    }
}
