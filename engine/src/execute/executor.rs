//! Where stages are carried out.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use contract::worker::protocol::{Finished, RunRequest};
use tokio_util::sync::CancellationToken;

use super::{AttemptError, StageLog};
use crate::plan::PlannedStage;

/// A future that an executor gives.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A home for the work of stages: this machine's worker programs, its shell, a queue of a cluster.
///
/// The driver looks keys up, takes locks and moves outputs into the store; an executor only lets the work be done. Of one
/// stage, [`set_up`](Executor::set_up) is called first, perhaps before its slots are free, then [`Job::begin`], then
/// [`Job::finish`].
pub(crate) trait Executor: Send + Sync {
    /// Sets a stage up without letting it begin. Called inside a tokio runtime, with the stage's locks held.
    ///
    /// # Errors
    /// What would make every attempt fail.
    fn set_up(&self, setup: Setup<'_>) -> Result<Box<dyn Job>, AttemptError>;
}

/// A stage that is to be set up.
pub(crate) struct Setup<'a> {
    /// The stage.
    pub(crate) stage: &'a PlannedStage,
    /// The name of each input, and where it lies. Empty for worker programs, whose [`RunRequest`] has them.
    pub(crate) inputs: Vec<(String, PathBuf)>,
    /// The pipeline's folder.
    pub(crate) root: &'a Path,
    /// Where its lines go.
    pub(crate) log: &'a StageLog,
}

/// One attempt of one stage at its executor.
pub(crate) trait Job: Send {
    /// Lets the work begin.
    fn begin(&mut self);

    /// Gives up what has not begun.
    fn abandon(self: Box<Self>) -> Work<()>;

    /// Waits for the end of the work. A stop ends the work and all that it started.
    fn finish(self: Box<Self>, order: Order) -> Work<Result<Finished, AttemptError>>;
}

/// What a job needs once it has its slots.
pub(crate) struct Order {
    /// The request, for worker programs.
    pub(crate) request: Option<RunRequest>,
    /// Where its lines go.
    pub(crate) log: StageLog,
    /// The request to stop.
    pub(crate) stop: CancellationToken,
}
