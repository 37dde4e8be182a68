//! The options and the summary of a run.

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

/// The options of a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The pipeline's folder.
    pub root: PathBuf,
    /// The stages asked for by name, with everything above them; empty is all.
    pub targets: Vec<String>,
    /// The stages that run although they are recorded.
    pub force: Force,
    /// Whether remote sources count as changed, whatever their servers report.
    pub refresh: bool,
    /// Whether stages that do not depend on a failed one go on.
    pub keep_going: bool,
    /// Number of processors that all stages may take together; `None` is the number of the pipeline
    /// or the machine.
    pub jobs: Option<usize>,
    /// The worker programs.
    pub programs: Programs,
    /// The part of this machine that enters keys.
    pub environment: Environment,
    /// The kinds, for stages that make children of other kinds.
    pub registry: Arc<Kinds>,
    /// Worker processes that outlive the run; `None` starts them for this run alone.
    pub workers: Option<Workers>,
    /// If set, stages run again only to be compared: see [`Scratch`].
    pub scratch: Option<Scratch>,
    /// The keys that a cancel does not interrupt.
    pub spare: Spare,
}

/// The keys of stages that run to their end although the run is cancelled, because a newer run
/// wants the same keys. The newer run waits for them, as it would for another process, and finds
/// their records. The names of the stages do not matter.
#[derive(Debug, Clone, Default)]
pub struct Spare(Arc<Mutex<DigestSet>>);

impl Spare {
    /// Sets the keys that are still wanted. Must be called before the cancel.
    pub fn set(&self, wanted: DigestSet) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }

    /// Whether the work of this key is wanted.
    pub(crate) fn holds(&self, key: &Digest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
}

/// A store for the outputs of stages that run again only to be compared. Nothing is recorded. The
/// stages below and the paths in the project get the recorded outputs.
#[derive(Debug, Clone)]
pub struct Scratch {
    /// The store for the new outputs.
    pub store: Arc<Store>,
    /// The comparisons, in the order in which the stages ended.
    pub compared: Arc<Mutex<Vec<Compared>>>,
}

/// A recorded output and the output of the new attempt.
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

/// The stages that run although they are recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Force {
    /// Nothing.
    #[default]
    None,
    /// The chosen stages (all, if none are chosen), but not the stages above them.
    Targets,
    /// Everything that takes part.
    All,
    /// These stages.
    Stages(Vec<String>),
}

/// The result of a run. It is kept in the store (`runs`).
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

/// The result of one stage in a run.
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
    /// Its outputs were cached.
    Hit,
    /// It ran.
    Ran,
    /// It failed.
    Failed,
    /// It did not run, or a cancel interrupted it.
    Skipped,
}

impl Summary {
    /// The names of the stages with this end, in topological order.
    pub fn ended(&self, end: End) -> Vec<&str> {
        self.stages.iter().filter(|stage| stage.end == end).map(|stage| stage.stage.as_str()).collect()
    }

    /// The part that is kept in the store. Outputs are left out, since the records of the keys have
    /// them.
    pub(crate) fn kept(&self) -> serde_json::Value {
        let mut kept = self.clone();
        kept.stages.iter_mut().for_each(|stage| stage.outputs.clear());
        serde_json::to_value(kept).unwrap_or_default()
    }
}

/// Durations as seconds.
pub(crate) use crate::event::seconds;
