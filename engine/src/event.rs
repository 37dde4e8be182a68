//! What the outside may watch while a run goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::fault::Fault;
use contract::worker::protocol::{Level, Progress, Sample};
use serde::{Deserialize, Serialize};

use crate::key::explain::Reason;

/// Something happened. Serialised as one line of `run --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The plan is known.
    RunStarted {
        /// Identifies the run in `runs` and `diff`.
        run: String,
        /// The pipeline's name.
        pipeline: String,
        /// Stages in topological order.
        stages: Vec<String>,
    },
    /// Nothing to do: outputs are in the store.
    StageHit {
        /// The stage.
        stage: String,
        /// Its key, 64 hex digits.
        key: String,
        /// Output port -> digest.
        outputs: BTreeMap<String, String>,
        /// Headline numbers of the recorded run.
        summary: BTreeMap<String, f64>,
    },
    /// The stage has been handed to a worker.
    StageStarted {
        /// The stage.
        stage: String,
        /// Its key.
        key: String,
        /// Why it is not a hit; at least one.
        reasons: Vec<Reason>,
        /// 1 for the first try.
        attempt: u32,
    },
    /// It works through children, and these are its next ones: stages of their own from here on.
    StageExpanded {
        /// The stage.
        stage: String,
        /// Their names, as `tune[0]`.
        children: Vec<String>,
    },
    /// How far it is.
    StageProgress {
        /// The stage.
        stage: String,
        /// The progress.
        progress: Progress,
    },
    /// A point of a curve.
    StageMetric {
        /// The stage.
        stage: String,
        /// The sample.
        sample: Sample,
    },
    /// A line of its log.
    StageLog {
        /// The stage.
        stage: String,
        /// Severity.
        level: Level,
        /// One line.
        text: String,
    },
    /// It is done and recorded.
    StageDone {
        /// The stage.
        stage: String,
        /// Its key.
        key: String,
        /// Output port -> digest.
        outputs: BTreeMap<String, String>,
        /// Wall time.
        #[serde(with = "seconds")]
        #[schemars(with = "f64")]
        took: Duration,
        /// Headline numbers.
        summary: BTreeMap<String, f64>,
        /// Gates that were not met.
        unmet: Vec<Fault>,
        /// Warnings.
        warnings: Vec<Fault>,
        /// Whether every output is byte for byte what the stage gave last time (early cutoff below it).
        unchanged: bool,
    },
    /// It failed; nothing was recorded.
    StageFailed {
        /// The stage.
        stage: String,
        /// Why; routes are absolute.
        faults: Vec<Fault>,
        /// Wall time.
        #[serde(with = "seconds")]
        #[schemars(with = "f64")]
        took: Duration,
        /// Whether another attempt follows.
        retrying: bool,
    },
    /// It did not run because something above it failed, was cancelled or missed its gate.
    StageSkipped {
        /// The stage.
        stage: String,
        /// The stage to blame.
        because: String,
    },
    /// Something worth saying about the run as a whole.
    Warning {
        /// The warning.
        fault: Fault,
    },
    /// The last event.
    RunFinished {
        /// How it ended.
        outcome: Outcome,
        /// Number of stages that were hits.
        hit: usize,
        /// Number of stages that ran.
        ran: usize,
        /// Number of stages that failed.
        failed: usize,
        /// Number of stages that were skipped.
        skipped: usize,
        /// Wall time.
        #[serde(with = "seconds")]
        #[schemars(with = "f64")]
        took: Duration,
        /// Stages that were at work when the run was cancelled, and whose work is lost.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lost: Vec<String>,
    },
}

/// The JSON Schema of one line of `run --json`, as text.
pub fn json_schema_text() -> String {
    let mut schema = schemars::schema_for!(Event);
    schema.insert("$id".into(), "https://github.com/pipeline-rs/pipeline/schemas/events.schema.json".into());
    schema.insert("title".into(), "One line of `pipeline run --json`".into());
    // A schema of strings and maps always has a text.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// How a run ended, in the order of exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is done.
    Success,
    /// A stage failed.
    Failed,
    /// A gate was not met.
    GateNotMet,
    /// The engine or the store failed.
    EngineFailed,
    /// Interrupted.
    Cancelled,
}

impl Outcome {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::GateNotMet => 3,
            Self::EngineFailed => 4,
            Self::Cancelled => 130,
        }
    }
}

/// Durations as seconds.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(value.as_secs_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}
