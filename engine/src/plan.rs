//! Graph + registry -> plan: parameters typed, ports matched, types inferred through the graph.

use std::time::Duration;

use serde_json::Value;

use crate::artifact::Types;
use crate::error::Fault;
use crate::graph::{PipelineSpec, Resources};
use crate::kind::{CommandLine, Executor, FileInput, Oracle, OutputPort, Registry, Stage};

/// A stage by its position in [`Plan::stages`], which is in topological order (ties in document order).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub u32);

/// A pipeline that has been proved as far as it can be.
pub struct Plan {
    /// What it was made from.
    pub spec: PipelineSpec,
    /// In topological order.
    pub stages: Vec<PlannedStage>,
}

/// One stage of a plan.
pub struct PlannedStage {
    /// Its position.
    pub id: StageId,
    /// Its position in [`PipelineSpec::stages`], which is in document order.
    pub document: u32,
    /// Its name.
    pub name: String,
    /// The kind's name.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// Who carries it out.
    pub executor: Executor,
    /// Whether the seed enters the key.
    pub seeded: bool,
    /// The kind's own view of it.
    pub stage: Box<dyn Stage>,
    /// Canonical parameters.
    pub params: Value,
    /// What of them enters the key.
    pub keyed: Value,
    /// Connected inputs, sorted by port.
    pub inputs: Vec<PlannedInput>,
    /// Stages that must be done first: those behind inputs, `needs` and path edges; sorted, without repeats.
    pub after: Vec<StageId>,
    /// Outputs; the first is the main one.
    pub outputs: Vec<OutputPort>,
    /// Inferred types by output port.
    pub types: Types,
    /// Outside files. A file that another stage writes is listed here, too, and that stage is among `after`.
    pub files: Vec<FileInput>,
    /// Which of `files` other stages of the plan write; sorted by file.
    pub written: Vec<Written>,
    /// The program, for `command`.
    pub command: Option<CommandLine>,
    /// The resolved seed.
    pub seed: u64,
    /// The requested device: `auto`, `cpu`, `cuda`, `cuda:N`.
    pub device: String,
    /// Slots.
    pub resources: Resources,
    /// Limit of wall time.
    pub timeout: Option<Duration>,
    /// Further attempts after a failure.
    pub retries: u32,
    /// Whether its result may be reused.
    pub cache: bool,
}

/// A path edge: a file or folder the stage reads and another stage writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written {
    /// Index into [`PlannedStage::files`].
    pub file: u32,
    /// The stage that writes it (or something inside it).
    pub from: StageId,
    /// Which of its outputs.
    pub output: u32,
    /// Whether the file is that output and nothing else: then its digest is the output's, known without looking
    /// at the project. Otherwise it is a part of the output, or a folder or pattern that holds it.
    pub exact: bool,
}

/// What planning came to.
pub struct Planned {
    /// The plan; `None` when there is an error among the faults.
    pub plan: Option<Plan>,
    /// Errors and warnings, routes absolute, in document order.
    pub faults: Vec<Fault>,
}

/// Proves a pipeline as far as it can be proved before anything runs, and orders it.
pub fn plan(spec: PipelineSpec, registry: &Registry, oracle: &dyn Oracle) -> Planned {
    let _ = (spec, registry, oracle);
    Planned { plan: None, faults: Vec::new() }
}

/// A connected input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedInput {
    /// The port.
    pub port: String,
    /// The stage that makes it.
    pub from: StageId,
    /// Which of its outputs.
    pub output: usize,
}
