//! What `run` and `watch` are told on the command line, and what that means for a run.

use std::sync::Arc;

use engine::run::driver::{Force, RunOptions};

use crate::session::{Failure, FileArgs, Proved, check_names};
use crate::terminal::plain::Volume;

/// What `run` and `watch` share.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Stages to run, with everything they need: `model`, `model+` (and all below), `feat*`, `tag:nightly` (or the
    /// pipeline's file). Default: all.
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// Run these stages even where they are done; without names, all that were asked for.
    #[arg(long, value_name = "STAGE", num_args = 0..=1, default_missing_value = "")]
    pub force: Vec<String>,
    /// Fetch sources behind URLs, in object stores and in databases again, also those that seem unchanged.
    #[arg(long)]
    pub refresh: bool,
    /// After a failure, go on with everything that does not depend on it.
    #[arg(short, long)]
    pub keep_going: bool,
    /// Stages at a time. Default: the number of processors.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub jobs: Option<u32>,
    /// One event a line, as JSON, on stdout.
    #[arg(long)]
    pub json: bool,
    /// Show the log lines of stages while they run.
    #[arg(short, long)]
    pub verbose: bool,
    /// Show nothing but failures and the last line.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
}

impl RunArgs {
    /// What was asked for, checked against the plan.
    ///
    /// # Errors
    /// An unknown stage.
    pub fn options(&self, proved: &Proved, targets: Vec<String>) -> Result<RunOptions, Failure> {
        let forced: Vec<String> = self.force.iter().filter(|name| !name.is_empty()).cloned().collect();
        check_names(&proved.plan, targets.iter().chain(&forced))?;
        let force = if self.force.is_empty() {
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
            refresh: self.refresh,
            keep_going: self.keep_going,
            jobs: self.jobs.map(|jobs| jobs as usize),
            programs: proved.programs.clone(),
            environment: proved.environment.clone(),
            registry: Arc::clone(&proved.registry),
            ..RunOptions::default()
        })
    }

    /// How much is shown.
    pub fn volume(&self) -> Volume {
        match (self.quiet, self.verbose) {
            (true, _) => Volume::Quiet,
            (_, true) => Volume::Verbose,
            _ => Volume::Normal,
        }
    }
}
