//! The traits of an executor and of the jobs that it sets up.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use contract::worker::protocol::{Finished, RunRequest};
use tokio_util::sync::CancellationToken;

use super::{AttemptError, StageLog};
use crate::plan::PlannedStage;

/// A future that a job returns.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A place where stages run: this machine's worker programs, its shell, a queue of a cluster.
///
/// The driver looks keys up, takes locks and moves outputs into the store. An executor only runs
/// the work. For each attempt the driver calls [`set_up`](Executor::set_up), perhaps before the
/// slots are free, then [`Job::begin`], then [`Job::finish`].
pub(crate) trait Executor: Send + Sync {
    /// Prepares a stage without letting its work begin. Called inside a tokio runtime, with the
    /// stage's locks held.
    ///
    /// # Errors
    /// Whatever would make every attempt fail.
    fn set_up(&self, setup: Setup<'_>) -> Result<Box<dyn Job>, AttemptError>;
}

/// The stage to set up.
pub(crate) struct Setup<'a> {
    /// The stage.
    pub(crate) stage: &'a PlannedStage,
    /// The name and path of each input. Empty for worker programs, whose [`RunRequest`] has them.
    pub(crate) inputs: Vec<(String, PathBuf)>,
    /// The pipeline's folder.
    pub(crate) root: &'a Path,
    /// The log of the stage.
    pub(crate) log: &'a StageLog,
}

/// One attempt of one stage at its executor.
pub(crate) trait Job: Send {
    /// Lets the work begin.
    fn begin(&mut self);

    /// Gives up a job that has not begun.
    fn abandon(self: Box<Self>) -> Work<()>;

    /// Waits for the end of the work. A stop ends the work and every process that it started.
    fn finish(self: Box<Self>, order: Order) -> Work<Result<Finished, AttemptError>>;
}

/// What a job needs once it has its slots.
pub(crate) struct Order {
    /// The request, for worker programs.
    pub(crate) request: Option<RunRequest>,
    /// The log of the stage.
    pub(crate) log: StageLog,
    /// The token that stops the work.
    pub(crate) stop: CancellationToken,
}
