//! A proved pipeline: its stages in topological order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::artifact::Types;
use contract::expansion::Resources;
use contract::fault::{Fault, Faults};
use contract::kind::{CommandLine, FileInput, OutputPort, Program, Stage};
use serde_json::Value;

use super::sources::{Reading, reads};
use crate::graph::PipelineSpec;
use crate::graph::dag::Dag;
use crate::graph::selector::{Names, Selected};

/// A stage by its position in [`Plan::stages`], which is in topological order (ties in document
/// order).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub u32);

/// A pipeline that has been proved as far as it can be.
pub struct Plan {
    /// What it was made from. The stages' parameters have moved on: [`PlannedStage::params`] gives
    /// them after defaults.
    pub spec: PipelineSpec,
    /// In topological order.
    pub stages: Vec<PlannedStage>,
    /// What does not take part because a `when` does not hold, in document order.
    pub off: Vec<Off>,
}

/// A stage that does not take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Off {
    /// Its name.
    pub stage: String,
    /// The stage it reads from, which is off; `None` when it is its own `when`.
    pub because: Option<String>,
}

/// One stage of a plan.
pub struct PlannedStage {
    /// Its position.
    pub id: StageId,
    /// Its position in [`PipelineSpec::stages`], which is in document order.
    pub document: u32,
    /// Its name.
    pub name: String,
    /// What it is a child of, when it is one of many.
    pub parent: Option<Parent>,
    /// The kind's name.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// Who carries it out.
    pub program: Program,
    /// Whether the seed enters the key.
    pub seeded: bool,
    /// The kind's own view of it.
    pub stage: Box<dyn Stage>,
    /// Connected inputs, sorted by port.
    pub inputs: Vec<PlannedInput>,
    /// Stages that must be done first: those behind inputs, `needs` and path edges; sorted, without
    /// repeats.
    pub after: Vec<StageId>,
    /// Outputs; the first is the main one.
    pub outputs: Vec<OutputPort>,
    /// Inferred types by output port.
    pub types: Types,
    /// Outside files. A file that another stage writes is listed here, too, and that stage is among
    /// `after`.
    pub files: Vec<FileInput>,
    /// Which of `files` other stages of the plan write; sorted by file.
    pub written: Vec<Written>,
    /// The program, for `command`.
    pub command: Option<CommandLine>,
    /// The folder a program runs in, relative to [`Plan::root`]; empty is that one.
    pub folder: String,
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

/// The stage that a child was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its name.
    pub name: String,
    /// The part of the child's name that differs from its siblings: `seed=1,lr=0.1`, `0`.
    pub label: String,
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
    /// Whether the file is that output and nothing else: then its digest is the output's, known
    /// without looking at the project. Otherwise it is a part of the output, or a folder or pattern
    /// that holds it.
    pub exact: bool,
}

/// The result of planning.
pub struct Planned {
    /// The plan; `None` when there is an error among the faults, or when the front end found a
    /// stage faulty ([`crate::graph::StageSpec::faulty`]).
    pub plan: Option<Plan>,
    /// Errors and warnings, routes absolute, in document order.
    pub faults: Vec<Fault>,
    /// What it reads, as far as that is known: [`Plan::sources`] also of a pipeline that is not
    /// valid. What is missing is among it.
    pub sources: Vec<PathBuf>,
}

/// A connected input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedInput {
    /// The port; of a port that takes many `port[0]`, `port[1]` …
    pub port: String,
    /// Which child it comes from (`seed=1`), when it is one of many.
    pub label: Option<String>,
    /// The stage that makes it.
    pub from: StageId,
    /// Which of its outputs.
    pub output: usize,
}

impl PlannedStage {
    /// Canonical parameters. They are made when they are asked for: in memory a hundred thousand of
    /// them weigh more than all the rest of a plan.
    pub fn params(&self) -> Value {
        self.stage.params()
    }

    /// What of them enters the key; for a program, where it runs, too.
    pub fn keyed(&self) -> Value {
        let mut keyed = self.stage.keyed();
        if self.program == Program::Command
            && !self.folder.is_empty()
            && let Value::Object(keyed) = &mut keyed
        {
            keyed.insert("folder".to_owned(), self.folder.as_str().into());
        }
        keyed
    }
}

impl Plan {
    /// The stage of an id.
    pub fn stage(&self, id: StageId) -> &PlannedStage {
        &self.stages[id.0 as usize]
    }

    /// The stage of a name.
    pub fn find(&self, name: &str) -> Option<&PlannedStage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// The stages that a name on the command line means: one, or all of `model`, `model[*]` or
    /// `model[seed=1,*]`.
    ///
    /// # Errors
    /// A name that no stage has; without a place.
    pub fn named(&self, name: &str) -> Result<Vec<StageId>, Fault> {
        if let Some(stage) = self.find(name) {
            return Ok(vec![stage.id]);
        }
        let mut ids = vec![None; self.spec.stages.len()];
        for stage in &self.stages {
            ids[stage.document as usize] = Some(stage.id);
        }
        let mut names = Names::new(&self.spec.stages);
        let found = match names.resolve(None, name) {
            // In a document this is ambiguous. On the command line it means all of them.
            Err(fault) if fault.code == contract::code!("matrix::which") => {
                names.resolve(None, &format!("{name}[*]"))?
            }
            found => found?,
        };
        Ok(match found {
            Selected::One(position) => ids[position as usize].into_iter().collect(),
            Selected::Many(positions) => positions.into_iter().filter_map(|position| ids[position as usize]).collect(),
        })
    }

    /// The plan's edges over [`StageId`]s.
    pub fn dag(&self) -> Dag {
        let mut dag = Dag::new(self.stages.len());
        for stage in &self.stages {
            for before in &stage.after {
                dag.edge(before.0, stage.id.0);
            }
        }
        dag
    }

    /// Which stages `targets` ([`crate::plan::selection`]; none means all) and everything above
    /// them are.
    ///
    /// # Errors
    /// As [`Plan::targets`].
    pub fn select(&self, targets: &[String]) -> Result<Vec<bool>, Faults> {
        if targets.is_empty() {
            return Ok(vec![true; self.stages.len()]);
        }
        Ok(self.dag().needed_by(self.targets(targets)?.into_iter().map(|id| id.0)))
    }

    /// The folders and files outside the store whose change can change a result: what `watch` looks
    /// at. Folders of patterns are given as far as they are fixed; what stages write is left out.
    pub fn sources(&self) -> Vec<PathBuf> {
        let reading = self.stages.iter().map(|stage| {
            let exact = stage.written.iter().filter(|written| written.exact).map(|written| written.file).collect();
            Reading { program: stage.program, files: &stage.files, exact }
        });
        reads(&self.spec.root, reading)
    }

    /// The folder relative paths start from; absolute.
    pub fn root(&self) -> &Path {
        &self.spec.root
    }
}
