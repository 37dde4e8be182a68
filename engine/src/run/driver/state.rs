//! What the stages of one run share, and what is known of each.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cache::{Blob, Digest, Record, Store};
use tokio::sync::mpsc::UnboundedSender;

use super::growing::Growing;
use super::{Force, Offload, RunOptions};
use crate::event::Event;
use crate::execute::{Executors, WorkerOracle};
use crate::key::Manifest;
use crate::key::digests::Digested;
use crate::key::explain::Reason;
use crate::plan::{Plan, PlannedStage, StageId};

/// Everything the stages of one run share.
pub(crate) struct Run {
    /// The run's name.
    pub(crate) name: String,
    pub(crate) plan: Arc<Plan>,
    pub(crate) store: Arc<Store>,
    pub(crate) options: RunOptions,
    /// The project's folder without links on the way to it.
    pub(crate) place: PathBuf,
    pub(crate) events: UnboundedSender<Event>,
    /// What each stage of the plan has given, once it has.
    pub(crate) made: Vec<OnceLock<StageOutputs>>,
    /// The keys under which stages are at work now.
    pub(crate) at_work: Mutex<HashMap<StageId, Digest>>,
    /// Stages whose sources that lie elsewhere were looked at in this run.
    pub(crate) away: Mutex<HashSet<StageId>>,
    /// What was found of stages that are to run and whose inputs nothing but other stages of the run can change: it still holds
    /// when they begin.
    pub(crate) found: Mutex<HashMap<StageId, Lookup>>,
    /// Stages that ran once more because a file was written to that is what it was.
    pub(crate) touched: Mutex<HashSet<StageId>>,
    /// Asks for the state of such sources.
    pub(crate) looker: WorkerOracle,
    /// Stages that run although they are recorded.
    pub(crate) forced: Vec<bool>,
    /// Stages that joined the run; their ids follow those of the plan.
    pub(crate) late: Growing<Late>,
    pub(crate) executors: Executors,
    pub(crate) offload: Offload,
}

/// The outputs of a stage in this run.
#[derive(Debug, Clone)]
pub(crate) struct StageOutputs {
    pub(crate) key: Digest,
    /// In the order of the stage's output ports.
    pub(crate) outputs: Vec<Blob>,
}

/// What is known of a stage whose inputs are there.
pub(crate) struct Lookup {
    pub(crate) key: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) files: Vec<Digested>,
    /// The record, when it is a hit: its outputs are in the store and, where they have a path, in the project.
    pub(crate) hit: Option<Hit>,
    /// Outputs the record claims and the store has lost.
    pub(crate) lost: Vec<Reason>,
}

/// A record that may be used.
pub(crate) struct Hit {
    pub(crate) made: StageOutputs,
    pub(crate) record: Record,
}

/// A stage that joined the run while it went on.
pub(crate) struct Late {
    pub(crate) stage: PlannedStage,
    pub(crate) made: OnceLock<StageOutputs>,
}

impl Run {
    /// Whether a stage is at work on something that is wanted even after a cancel.
    pub(crate) fn spared(&self, id: StageId) -> bool {
        let key = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        key.is_some_and(|key| self.options.spare.holds(&key))
    }

    /// A stage of the plan, or one that joined later.
    ///
    /// # Panics
    /// For an id that nobody gave out.
    pub(crate) fn stage(&self, id: StageId) -> &PlannedStage {
        self.later(id).map_or_else(|| self.plan.stage(id), |late| &late.stage)
    }

    /// What a stage has given, once it has.
    pub(crate) fn made(&self, id: StageId) -> &OnceLock<StageOutputs> {
        self.later(id).map_or_else(|| &self.made[id.0 as usize], |late| &late.made)
    }

    /// Whether a stage runs although it is recorded. Children do when everything does.
    pub(crate) fn forced(&self, id: StageId) -> bool {
        self.forced.get(id.0 as usize).copied().unwrap_or(self.options.force == Force::All)
    }

    fn later(&self, id: StageId) -> Option<&Late> {
        self.late.get((id.0 as usize).checked_sub(self.plan.stages.len())?)
    }
}
