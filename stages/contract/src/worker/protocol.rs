//! What the engine and a worker say to each other: one JSON object a line, over stdin and stdout.
//!
//! A worker first says [`Hello`], then answers one request at a time. It may be killed at any moment without
//! harm: outputs are written to paths in a staging folder of the store and only become blobs when the engine
//! has read `done`. The same [`RunRequest`], given as a file, is what runs on another machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::ArtifactType;
use crate::fault::{Fault, Faults};
use crate::kind::Question;

/// Raised with every incompatible change of this page.
pub const PROTOCOL: u32 = 1;

/// Written to stderr before a request is answered, with the request's id behind it and a line feed: what came before
/// it belongs to that request. (The answer itself takes another pipe and may be faster.)
pub const END_OF_LOG: &str = "\u{1e}end of request ";

/// The first line of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// `pipeline-data` or `pipeline-torch`.
    pub program: String,
    /// The package's version.
    pub version: String,
    /// What enters keys and provenance: `libtorch` -> `2.13.0`, `cuda` -> `13.0` or absent, `onednn`, `cpu` ...
    pub toolchain: BTreeMap<String, String>,
    /// CUDA devices that can be used, by name.
    #[serde(default)]
    pub cuda_devices: Vec<String>,
}

/// Engine to worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Carry out a stage.
    Run(Box<RunRequest>),
    /// Answer a question.
    Infer {
        /// Repeated in the answer.
        id: u64,
        /// Folder that relative paths start from.
        root: PathBuf,
        /// The question; its files are already expanded and exist.
        question: Box<Question>,
        /// The files of the question, expanded, absolute, in the order of `question.files`.
        files: Vec<InputFile>,
    },
}

/// Everything a worker needs for one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// Repeated in every answer.
    pub id: u64,
    /// The stage's name (for messages only).
    pub stage: String,
    /// The kind's name.
    pub kind: String,
    /// The kind's version the engine expects; a worker with another one refuses.
    pub version: u32,
    /// Canonical parameters.
    pub params: Value,
    /// The resolved seed.
    pub seed: u64,
    /// `cpu` or `cuda:N`, resolved.
    pub device: String,
    /// Input artifacts by port.
    pub inputs: BTreeMap<String, InputArtifact>,
    /// Outside files, expanded.
    pub files: Vec<InputFile>,
    /// Output port -> path to write. The file (or folder) does not exist yet; its parent does.
    pub outputs: BTreeMap<String, PathBuf>,
    /// An empty folder for temporary files, removed afterwards.
    pub scratch: PathBuf,
    /// Folder that relative paths start from.
    pub root: PathBuf,
    /// How many threads the stage may use. Never changes a result.
    pub threads: usize,
    /// Memory the stage may use, in bytes.
    #[serde(default)]
    pub memory: Option<u64>,
}

/// An artifact in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputArtifact {
    /// A read-only file or folder.
    pub path: PathBuf,
    /// What is known of it.
    pub artifact: ArtifactType,
    /// Content digest, 64 hex digits.
    pub digest: String,
}

/// An outside file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputFile {
    /// As in [`crate::kind::FileInput`].
    pub role: String,
    /// Absolute path.
    pub path: PathBuf,
    /// As messages show it: relative to the pipeline's folder.
    pub shown: String,
}

/// Worker to engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// First of all.
    Hello(Hello),
    /// How far the stage is.
    Progress {
        /// The request.
        id: u64,
        /// The progress.
        progress: Progress,
    },
    /// A number worth watching while it runs.
    Metric {
        /// The request.
        id: u64,
        /// The sample.
        sample: Sample,
    },
    /// A line for the stage's log.
    Log {
        /// The request.
        id: u64,
        /// `info`, `warn` or `error`.
        level: Level,
        /// One line.
        text: String,
    },
    /// The stage is done, its outputs are written.
    Done {
        /// The request.
        id: u64,
        /// What it made.
        finished: Finished,
    },
    /// The question's answer.
    Answer {
        /// The request.
        id: u64,
        /// As the asking kind expects it.
        value: Value,
    },
    /// The stage or the question failed.
    Failed {
        /// The request.
        id: u64,
        /// At least one error; routes relative to the stage's mapping.
        faults: Faults,
    },
}

/// How far a stage is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units altogether, when known.
    #[serde(default)]
    pub total: Option<u64>,
    /// `epoch`, `row`, `byte` ...
    pub unit: String,
    /// Free text: `loss 0.113, accuracy 0.978`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Units a second, when it differs from what `done` suggests (samples a second during an epoch).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<(f64, String)>,
}

/// One point of a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sample {
    /// `loss`, `validation.accuracy` ...
    pub name: String,
    /// Epoch, or another step that only grows.
    pub step: u64,
    /// The value.
    pub value: f64,
}

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For the curious.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
}

/// What a stage made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The true type of every output, by port.
    pub types: BTreeMap<String, ArtifactType>,
    /// What was measured and is not part of any output's bytes: latency, peak memory, rates. Kept beside the
    /// record.
    #[serde(default)]
    pub observations: Value,
    /// Headline numbers for the report (`accuracy` -> 0.989). They follow from the outputs' bytes.
    #[serde(default)]
    pub summary: BTreeMap<String, f64>,
    /// Gates that were not met (exit code 3). The stage is done and recorded, stages below it do not run.
    #[serde(default)]
    pub unmet: Vec<Fault>,
    /// Warnings for the report.
    #[serde(default)]
    pub warnings: Vec<Fault>,
}
