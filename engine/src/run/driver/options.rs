//! What a run is told, and what it came to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache::{Blob, Digest, DigestSet, Store};
use contract::kind::Kinds;
use serde::{Deserialize, Serialize};

use crate::event::Outcome;
use crate::execute::Programs;
use crate::execute::Workers;
use crate::key::Environment;

/// What a run is told.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The pipeline's folder.
    pub root: PathBuf,
    /// The stages asked for by name, with everything above them; empty is all.
    pub targets: Vec<String>,
    /// What runs although it is recorded.
    pub force: Force,
    /// Whether sources that lie elsewhere count as changed, whatever their servers say.
    pub refresh: bool,
    /// Whether a failure lets everything go on that does not depend on it.
    pub keep_going: bool,
    /// How many processors stages may take together; `None` is what the pipeline or the machine
    /// says.
    pub jobs: Option<usize>,
    /// The worker programs.
    pub programs: Programs,
    /// What of this machine enters keys.
    pub environment: Environment,
    /// The kinds, for stages that make children of other kinds.
    pub registry: Arc<Kinds>,
    /// Worker processes that outlive the run; `None` starts them for this run alone.
    pub workers: Option<Workers>,
    /// The run is done again and compared: see [`Scratch`].
    pub scratch: Option<Scratch>,
    /// What a cancel spares.
    pub spare: Spare,
}

/// What goes on to its end although the run is cancelled: stages that a newer run wants under the
/// very same keys. The newer run waits for them, as it would for another process, and finds their
/// records. What a stage is called does not matter to that.
#[derive(Debug, Clone, Default)]
pub struct Spare(Arc<Mutex<DigestSet>>);

impl Spare {
    /// Says which keys are still wanted. To be called before the cancel.
    pub fn set(&self, wanted: DigestSet) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }

    /// Whether the work of this key is wanted.
    pub(crate) fn holds(&self, key: &Digest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
}

/// Where the outputs of stages go that run again only to be compared: a store of its own. Nothing
/// is recorded, stages below get what is recorded, and so do the paths in the project.
#[derive(Debug, Clone)]
pub struct Scratch {
    /// The outputs of this time.
    pub store: Arc<Store>,
    /// What was compared, in the order in which the stages ended.
    pub compared: Arc<Mutex<Vec<Compared>>>,
}

/// An output, as it is recorded and as it came out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The stage.
    pub stage: String,
    /// Its output.
    pub port: String,
    /// In the store.
    pub recorded: Blob,
    /// In the scratch store.
    pub again: Blob,
}

/// What runs although it is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Force {
    /// Nothing.
    #[default]
    None,
    /// The stages asked for (all, when none are), not what is above them.
    Targets,
    /// Everything that takes part.
    All,
    /// These stages.
    Stages(Vec<String>),
}

/// What a run came to. Kept in the store (`runs`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Identifies the run: the time it started in UTC, and the process.
    pub run: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// How it ended.
    pub outcome: Outcome,
    /// When it started, in ms since 1970.
    pub started: u64,
    /// Wall time in seconds.
    #[serde(with = "seconds")]
    pub took: Duration,
    /// Number of stages that were hits.
    pub hit: usize,
    /// Number of stages that ran and are recorded.
    pub ran: usize,
    /// Number of stages that failed.
    pub failed: usize,
    /// Number of stages that did not run, or not to their end.
    pub skipped: usize,
    /// Every stage that took part, in topological order.
    pub stages: Vec<StageSummary>,
}

/// What one stage came to in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSummary {
    /// Its name.
    pub stage: String,
    /// How it ended.
    pub end: End,
    /// Its key, 64 hex digits; empty when it was never known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Output port -> digest, when there are outputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Wall time in seconds, when it ran.
    #[serde(with = "seconds")]
    pub took: Duration,
    /// Whether its gate was met (true for stages without one).
    pub open: bool,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Its outputs were there.
    Hit,
    /// It ran.
    Ran,
    /// It failed.
    Failed,
    /// It did not run, or was ended by a cancel.
    Skipped,
}

impl Summary {
    /// The names of the stages that ended so, in topological order.
    pub fn ended(&self, end: End) -> Vec<&str> {
        self.stages.iter().filter(|stage| stage.end == end).map(|stage| stage.stage.as_str()).collect()
    }

    /// What is kept of it in the store. The outputs follow from the keys: their records have them.
    pub(crate) fn kept(&self) -> serde_json::Value {
        let mut kept = self.clone();
        kept.stages.iter_mut().for_each(|stage| stage.outputs.clear());
        serde_json::to_value(kept).unwrap_or_default()
    }
}

/// Durations as seconds.
pub(crate) use crate::event::seconds;
