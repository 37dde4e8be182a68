//! The state that all attempts of one run share.

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

/// The state that all attempts of one run share. The loop alone writes outputs and late stages.
pub(crate) struct Run {
    /// The run's name.
    pub(crate) name: String,
    pub(crate) plan: Arc<Plan>,
    pub(crate) store: Arc<Store>,
    pub(crate) options: RunOptions,
    /// The project's folder, without links in its path.
    pub(crate) place: PathBuf,
    pub(crate) events: UnboundedSender<Event>,
    /// The outputs of each stage of the plan, once it has ended well.
    pub(crate) outputs: Vec<OnceLock<StageOutputs>>,
    /// The keys of the stages that run now.
    pub(crate) at_work: Mutex<HashMap<StageId, Digest>>,
    /// Stages whose remote sources were looked at in this run.
    pub(crate) away: Mutex<HashSet<StageId>>,
    /// Look-ups of misses whose files all come from stages of this run. They still hold when the
    /// stages begin.
    pub(crate) found: Mutex<HashMap<StageId, Lookup>>,
    /// Stages that ran again because a file was written to without a change of its content. Once a
    /// run is enough.
    pub(crate) touched: Mutex<HashSet<StageId>>,
    /// Asks workers for the state of remote sources.
    pub(crate) looker: WorkerOracle,
    /// For each stage of the plan, whether it runs although it is recorded.
    pub(crate) forced: Vec<bool>,
    /// Children of expanding stages; their ids follow those of the plan.
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

/// What a look-up found for a stage whose inputs are known.
pub(crate) struct Lookup {
    pub(crate) key: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) files: Vec<Digested>,
    /// The record, if it is usable: its outputs are whole in the store and, where they have a path,
    /// in the project.
    pub(crate) hit: Option<Hit>,
    /// Outputs that the record names and the store has lost.
    pub(crate) lost: Vec<Reason>,
}

/// A usable record.
pub(crate) struct Hit {
    pub(crate) result: StageOutputs,
    pub(crate) record: Record,
}

/// A stage that joined the run after its start.
pub(crate) struct Late {
    pub(crate) stage: PlannedStage,
    pub(crate) outputs: OnceLock<StageOutputs>,
}

impl Run {
    /// Whether a stage runs under a key that must not be interrupted by a cancel, because a newer
    /// run wants it.
    pub(crate) fn spared(&self, id: StageId) -> bool {
        let key = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        key.is_some_and(|key| self.options.spare.holds(&key))
    }

    /// A stage of the plan, or one that joined later.
    ///
    /// # Panics
    /// For an id that is not of this run.
    pub(crate) fn stage(&self, id: StageId) -> &PlannedStage {
        self.later(id).map_or_else(|| self.plan.stage(id), |late| &late.stage)
    }

    /// The outputs of a stage, once it has ended well.
    pub(crate) fn outputs_of(&self, id: StageId) -> &OnceLock<StageOutputs> {
        self.later(id).map_or_else(|| &self.outputs[id.0 as usize], |late| &late.outputs)
    }

    /// Whether a stage runs although it is recorded. Children have no entry: they run only with
    /// `Force::All`.
    pub(crate) fn forced(&self, id: StageId) -> bool {
        self.forced.get(id.0 as usize).copied().unwrap_or(self.options.force == Force::All)
    }

    fn later(&self, id: StageId) -> Option<&Late> {
        self.late.get((id.0 as usize).checked_sub(self.plan.stages.len())?)
    }
}
