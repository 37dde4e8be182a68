//! The lock file beside the pipeline: compared before a run with `--locked`, written after a complete one without.

use std::cell::Cell;
use std::path::PathBuf;

use engine::event::Outcome;
use engine::run::driver::{RunOptions, Summary};
use engine::run::lockfile::Lock;

use crate::session::{Failure, FileArgs, INVALID, Project, Proved};
use crate::terminal;
use crate::terminal::fault::{render, render_all};

/// Where the lock file of a pipeline is.
pub fn lock_file(project: &Project) -> PathBuf {
    project.file.with_extension("lock")
}

/// What a run has to do with the lock file.
pub struct Keeper {
    path: PathBuf,
    /// How messages call it.
    name: String,
    /// What it says, with `--locked`.
    locked: Option<Lock>,
    /// Every stage takes part.
    complete: bool,
    /// What ran is what the file says, without overrides: the lock is of the file alone.
    plain: bool,
    /// It could not be written, which every run has to say again.
    warned: Cell<bool>,
}

impl Keeper {
    /// Compares what can be compared before anything runs.
    ///
    /// # Errors
    /// With `--locked`: there is no lock file, or it would change (exit code 2).
    pub fn new(
        project: &Project,
        proved: &Proved,
        options: &RunOptions,
        file: &FileArgs,
        locked: bool,
    ) -> Result<Self, Failure> {
        let path = lock_file(project);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut keeper = Self {
            path,
            name,
            locked: None,
            complete: options.targets.is_empty(),
            plain: file.set.is_empty() && file.profile.is_none(),
            warned: Cell::new(false),
        };
        if !locked {
            return Ok(keeper);
        }
        let Some(lock) = Lock::read(&keeper.path).map_err(|fault| Failure::fault(&fault, INVALID))? else {
            return Err(Failure::user(
                contract::code!("lock::missing"),
                format!("there is no `{}`", keeper.name),
                "a complete `pipeline run` writes it; put it under version control",
            ));
        };
        let wanted = proved.plan.select(&options.targets).unwrap_or_default();
        let faults = lock.before(&proved.plan, &proved.store, &proved.environment, &wanted, &keeper.name);
        if !faults.is_empty() {
            return Err(Failure { text: render_all(&faults, &proved.sources), exit_code: INVALID });
        }
        keeper.locked = Some(lock);
        Ok(keeper)
    }

    /// Whether there was something to say that the next run must say again.
    pub fn warned(&self) -> bool {
        self.warned.get()
    }

    /// Compares what the run came to, or writes it down.
    ///
    /// # Errors
    /// With `--locked`, when the run came to something else (exit code 2).
    pub fn settle(&self, proved: &Proved, summary: &Summary) -> Result<u8, Failure> {
        let code = summary.outcome.exit_code();
        if summary.outcome != Outcome::Success || (self.locked.is_none() && !(self.complete && self.plain)) {
            return Ok(code);
        }
        let now = Lock::of(&proved.plan, &proved.store, &proved.environment, summary);
        match &self.locked {
            Some(lock) => {
                let faults = lock.after(&now, self.complete, &self.name);
                if faults.is_empty() {
                    Ok(code)
                } else {
                    Err(Failure { text: render_all(&faults, &proved.sources), exit_code: INVALID })
                }
            }
            None => {
                if let Err(warning) = now.write(&self.path) {
                    self.warned.set(true);
                    terminal::err(&render(&warning, &proved.sources));
                }
                Ok(code)
            }
        }
    }
}
