//! The graph a document lowers into: stages, references, order. It knows no YAML and no kind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use contract::expansion::Resources;
use contract::fault::Route;
use serde_json::Value;

/// `stage` or `stage.port`; a stage that was expanded is named `model[seed=1]`, many of them
/// `model[*]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The stage's name.
    pub stage: String,
    /// The port; `None` is the main output.
    pub port: Option<String>,
}

/// One stage as the document states it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StageSpec {
    /// The name under `stages:`.
    pub name: String,
    /// `kind:`.
    pub kind: String,
    /// `inputs:` in document order: port, reference. The route of an input is
    /// `stages.<name>.inputs.<port>`.
    pub inputs: Vec<(String, ReferenceSpec)>,
    /// `needs:`: order without data.
    pub needs: Vec<String>,
    /// The kind's own parameters, structurally valid under its schema. A JSON object.
    pub params: Value,
    /// `description:`.
    pub description: Option<String>,
    /// `seed:`.
    pub seed: Option<u64>,
    /// `device:`.
    pub device: Option<String>,
    /// `resources:`.
    pub resources: Resources,
    /// `timeout:`.
    pub timeout: Option<Duration>,
    /// `retries:`: further attempts after a failure.
    pub retries: u32,
    /// `cache:`; `Some(false)` runs every time.
    pub cache: Option<bool>,
    /// `tags:`.
    pub tags: Vec<String>,
    /// Which child of which stage it is, when a `matrix` made it.
    pub child: Option<Child>,
    /// The folder that its paths start from: that of the file which declares it, relative to
    /// [`PipelineSpec::root`]. Empty for the root itself. A program runs in it.
    pub folder: String,
    /// Its `when:` does not hold: neither it nor what reads from it takes part. It is proved as far
    /// as that needs no file.
    pub off: bool,
    /// The front end has found and reported a fault in it: it is planned as far as its name, inputs
    /// and `needs` go, so that the faults of the others are found in the same pass. Such a pipeline
    /// never runs.
    pub faulty: bool,
}

/// What makes a stage one of many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Child {
    /// The stage of the document it was made from.
    pub of: String,
    /// What its value of every axis is called, in the order of the axes.
    pub values: Vec<(String, String)>,
}

impl Child {
    /// The part of its name that differs from its siblings: `seed=1,lr=0.1`.
    pub fn label(&self) -> String {
        let values: Vec<String> = self.values.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
        values.join(",")
    }
}

/// A reference with its place in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceSpec {
    /// What it says.
    pub reference: Reference,
    /// Where.
    pub route: Route,
}

/// A whole pipeline as the document states it: what the front end hands to [`crate::plan`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PipelineSpec {
    /// `pipeline:`.
    pub name: String,
    /// The folder relative paths start from: that of the pipeline's file (empty: the current one).
    pub root: PathBuf,
    /// The files it was read from, absolute or as seen from the current folder; the main one first.
    /// No stage may write them.
    pub documents: Vec<PathBuf>,
    /// `description:`.
    pub description: Option<String>,
    /// `seed:`; 0 when not given.
    pub seed: u64,
    /// `device:`; `auto` when not given.
    pub device: String,
    /// Stages in document order.
    pub stages: Vec<StageSpec>,
    /// `vars:` after overrides (for the record; already interpolated).
    pub vars: BTreeMap<String, Value>,
    /// Total slots: `resources:` of the pipeline; `None` is what the machine has.
    pub resources: Resources,
}
