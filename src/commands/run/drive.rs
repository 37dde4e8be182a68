//! Drives a plan: the runtime, the reporter that shows what happens, and the signals that end it.

use std::sync::Arc;

use contract::fault::Fault;
use engine::run::driver::{self, CancellationToken, RunOptions, Summary};

use super::options::RunArgs;
use crate::session::{ENGINE_FAILED, Failure, Proved};
use crate::terminal;
use crate::terminal::fault::render;
use crate::terminal::json::JsonLines;
use crate::terminal::plain::{Lines, Plain, Reporter, Volume};
use crate::terminal::progress::Bars;

/// One thread drives: the work is done by other processes, and hashing has its own threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        let fault =
            Fault::error(contract::code!("engine::no_runtime"), format!("the run cannot start: {}", error.kind()))
                .help("the system is out of threads or file handles; close some programs and try again");
        Failure::fault(&fault, ENGINE_FAILED)
    })
}

/// The reporter that fits the terminal and the options.
pub fn reporter(args: &RunArgs, proved: &Proved) -> Box<dyn Reporter> {
    if args.json {
        return Box::new(JsonLines);
    }
    let volume = args.volume();
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
            #[expect(
                clippy::disallowed_methods,
                reason = "the second request asks for an end at once, whatever is lost"
            )]
            std::process::exit(130);
        }
        cancel.cancel();
    }
}
