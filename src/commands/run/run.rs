//! `pipeline run`: what is not done yet, in parallel.

use engine::event::{Event, Outcome};
use engine::run::driver::CancellationToken;

use super::drive::{cancel_on_signal, drive, reporter, runtime};
use super::lock::Keeper;
use super::options::RunArgs;
use super::shortcut::Shortcut;
use crate::session::{Failure, Project};
use crate::terminal;
use crate::terminal::plain::up_to_date;

/// Run what is not done yet.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub run: RunArgs,
    /// Fail where the lock file (`pipeline.lock`) would change: before anything runs where that can be known.
    #[arg(long)]
    pub locked: bool,
}

/// Runs.
///
/// # Errors
/// An invalid pipeline, an unknown stage, a store that cannot be used.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let mut names = args.run.stages.clone();
    let project = Project::find_with(&args.run.file, &mut names)?;
    let shortcut = if args.locked { None } else { Shortcut::of(&args.run, &project, &names) };
    if let Some(unmoved) = shortcut.as_ref().and_then(Shortcut::unmoved) {
        for line in up_to_date(args.run.volume(), &unmoved.first, unmoved.stages, unmoved.took) {
            terminal::err(&line);
        }
        return Ok(Outcome::Success.exit_code());
    }
    let proved = project.proved(&args.run.file.set)?;
    let options = args.run.options(&proved, names)?;
    let lock = Keeper::new(&project, &proved, &options, &args.run.file, args.locked)?;
    let mut reporter = reporter(&args.run, &proved);
    for warning in &proved.warnings {
        reporter.event(&Event::Warning { fault: warning.clone() });
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
