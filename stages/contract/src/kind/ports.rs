//! The ports and outside files of a stage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactKind;
use crate::fault::Route;

/// An input port of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPort {
    /// The name under `inputs:`.
    pub name: String,
    /// What may be connected; empty means anything.
    pub accepts: Vec<ArtifactKind>,
    /// Whether it must be connected.
    pub required: bool,
}

/// An output port of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPort {
    /// The name after the dot in `stage.port`.
    pub name: String,
    /// What comes out.
    pub kind: ArtifactKind,
    /// Where the engine puts a copy in the project (an `outs` path of `command`, `to` of `export`), relative to
    /// the pipeline's folder, and the parameter that says so.
    pub path: Option<(String, Route)>,
    /// Whether it is a folder (stored as a tree) rather than one file.
    pub tree: bool,
}

impl OutputPort {
    /// A one-file output that stays in the store.
    pub fn new(name: impl Into<String>, kind: ArtifactKind) -> Self {
        Self { name: name.into(), kind, path: None, tree: false }
    }
}

/// An outside file or folder a stage reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInput {
    /// What it is to the stage; enters the key with the content's digest.
    pub role: String,
    /// The path as written, relative to the pipeline's folder; may hold `*`, `?`, `**` when `glob` is set.
    pub path: String,
    /// Whether the path is a pattern (matches are sorted; the names relative to its fixed part enter the key).
    pub glob: bool,
    /// The parameter that names it, relative to the stage's mapping.
    pub route: Route,
}

/// Which port is the one meant by a reference without a port.
pub const MAIN: usize = 0;

/// What lies at a port that takes many, in order: `models[0]`, `models[1]` …
pub fn many<'a, T>(inputs: &'a BTreeMap<String, T>, port: &str) -> Vec<&'a T> {
    (0..).map_while(|at| inputs.get(&format!("{port}[{at}]"))).collect()
}
