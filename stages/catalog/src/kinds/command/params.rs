//! Parameters of `command`.

use contract::artifact::ArtifactKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Runs any program. What it reads (`deps`, `inputs`) and writes (`outs`) is declared, so that it is cached like
/// every other stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// A shell line (`sh`), run in the pipeline's folder. Inputs are at `$INPUT_<PORT>`, the port in capitals.
    #[schemars(length(min = 1))]
    pub run: String,
    /// Files or folders it reads. A path that another stage writes makes this stage wait for that one.
    #[serde(default)]
    pub deps: Vec<String>,
    /// Files or folders it writes. They are stored by content and put back on a hit. Each is an output, named after its path: the
    /// last part up to the first dot, so that `out/features.parquet` is `stage.features`.
    #[serde(default)]
    pub outs: Vec<Out>,
    /// Environment variables it may see. Their values enter the key; no others are passed on but PATH, HOME, LANG and the like.
    #[serde(default)]
    pub env: Vec<String>,
}

/// A path, or a path with what it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Out {
    /// A file or a folder; what ends with `/` must be a folder.
    Path(String),
    /// A file or a folder, and what it is.
    Described(DescribedOut),
}

/// Options of one of `outs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribedOut {
    /// Where it writes, relative to the pipeline's folder.
    #[schemars(length(min = 1))]
    pub path: String,
    /// What it holds.
    #[serde(default)]
    pub kind: OutKind,
}

/// What a file written by a command holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutKind {
    /// Anything.
    #[default]
    File,
    /// A folder with anything.
    Directory,
    /// A JSON file of numbers that reports and comparisons show.
    Metrics,
    /// A JSON or CSV file of points to draw.
    Plot,
    /// Arrow IPC that other stages take as a data set.
    Dataset,
    /// A model bundle that other stages take as a model.
    Model,
}

impl OutKind {
    /// The artifact kind of the port.
    pub fn artifact(self) -> ArtifactKind {
        match self {
            Self::File | Self::Plot => ArtifactKind::File,
            Self::Directory => ArtifactKind::Directory,
            Self::Metrics => ArtifactKind::Metrics,
            Self::Dataset => ArtifactKind::Dataset,
            Self::Model => ArtifactKind::Model,
        }
    }
}
