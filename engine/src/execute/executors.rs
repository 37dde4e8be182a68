//! The executors of one run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::kind::Program;

use super::local::program::LocalPrograms;
use super::local::worker::{LocalWorkers, Pool};
use super::{Executor, Programs, StageLog};
use crate::key::Environment;
use crate::plan::PlannedStage;

/// The executors of one run.
pub(crate) struct Executors {
    workers: LocalWorkers,
    programs: LocalPrograms,
}

impl Executors {
    /// The executors of this machine. No process is started yet.
    pub(crate) fn new(workers: &Workers) -> Self {
        Self { workers: LocalWorkers(Arc::clone(&workers.pool)), programs: LocalPrograms::new() }
    }

    /// The executor of a stage.
    pub(crate) fn of(&self, stage: &PlannedStage) -> &dyn Executor {
        if stage.program.is_worker() { &self.workers } else { &self.programs }
    }

    /// Starts a worker ahead of its first request.
    pub(crate) async fn warm(&self, program: Program, log: &StageLog) {
        self.workers.0.warm(program, log).await;
    }
}

/// Worker processes that several runs of one pipeline share, one run after the other. Dropping the
/// last clone ends them.
#[derive(Debug, Clone)]
pub struct Workers {
    pool: Arc<Pool>,
    programs: Programs,
    environment: Environment,
    root: PathBuf,
}

impl Workers {
    /// Starts no process yet. All runs must use one runtime: the pipes of a worker belong to the
    /// runtime that opened them.
    pub fn new(programs: &Programs, environment: &Environment, root: &Path) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let pool = Arc::new(Pool::new(programs.clone(), environment.clone(), &root));
        Self { pool, programs: programs.clone(), environment: environment.clone(), root }
    }

    /// Whether a run with these options would start the same processes.
    pub fn fit(&self, programs: &Programs, environment: &Environment, root: &Path) -> bool {
        self.programs == *programs && self.environment == *environment && self.root == root
    }
}
