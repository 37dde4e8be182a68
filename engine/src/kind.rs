//! What a kind of stage is to the engine: parameters in, ports, files, types out. No work is done here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::{ArtifactKind, Types};
use crate::error::{Fault, Route};
use crate::expand::course::Expansion;

/// Which program carries a stage out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Executor {
    /// `pipeline-data`: tables.
    Data,
    /// `pipeline-torch`: libtorch.
    Torch,
    /// A program of the user's, started by the engine itself.
    Command,
}

impl Executor {
    /// The worker program's file name; `None` for commands.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Data => Some("pipeline-data"),
            Self::Torch => Some("pipeline-torch"),
            Self::Command => None,
        }
    }
}

/// A kind of stage: `collect`, `train`, `command` ...
pub trait Kind: Send + Sync {
    /// The name after `kind:`.
    fn name(&self) -> &'static str;

    /// Bumped whenever the same parameters and inputs would give other bytes. Enters every key.
    fn version(&self) -> u32;

    /// Which program carries it out.
    fn executor(&self) -> Executor;

    /// Whether its result depends on the seed (only then does the seed enter the key).
    fn seeded(&self) -> bool;

    /// The parameters' JSON Schema: a closed object, without the keys every stage may have. Doc comments of the
    /// parameter structs are the documentation editors and the reference show.
    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema;

    /// The first paragraph of the kind's documentation, and its ports, for the reference.
    fn about(&self) -> About;

    /// Types the parameters. The value has passed the schema, so what is reported here are faults no
    /// schema can express; routes are relative to the stage's mapping.
    ///
    /// # Errors
    /// All faults found.
    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Vec<Fault>>;
}

/// A kind's documentation.
#[derive(Debug, Clone)]
pub struct About {
    /// One paragraph.
    pub summary: &'static str,
    /// (port, artifact kind, required, what it is)
    pub inputs: &'static [(&'static str, &'static str, bool, &'static str)],
    /// (port, artifact kind, what it is)
    pub outputs: &'static [(&'static str, &'static str, &'static str)],
    /// A complete stage that can be pasted under `stages:`.
    pub example: &'static str,
}

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

/// One stage with its parameters typed.
pub trait Stage: Send + Sync {
    /// The parameters after defaults, canonical: what the worker gets and what `why` compares.
    fn params(&self) -> Value;

    /// What of the parameters enters the key. The default is all of it; paths whose *content* enters the key
    /// are left out by the kinds that read them.
    fn keyed(&self) -> Value {
        self.params()
    }

    /// The input ports. `command` has one for each of its declared inputs, hence `connected`: the ports the
    /// document connects, in order.
    fn inputs(&self, connected: &[&str]) -> Vec<InputPort>;

    /// Whether an input port takes many artifacts (`model[*]`). It then gets them as `port[0]`, `port[1]` … in order, and
    /// [`many`] finds them again.
    fn takes_many(&self, port: &str) -> bool {
        let _ = port;
        false
    }

    /// How it works, when it works through children of its own: such a stage is never handed to a worker.
    fn expansion(&self) -> Option<&dyn Expansion> {
        None
    }

    /// The output ports; the first is the main one.
    fn outputs(&self) -> Vec<OutputPort>;

    /// The outside files it reads.
    fn files(&self) -> Vec<FileInput> {
        Vec::new()
    }

    /// Carries types from the inputs to the outputs and finds what cannot work, before anything runs.
    /// Every output port has an entry in the result. Inputs whose stage could not be typed are absent.
    fn infer(&self, context: &InferContext<'_>) -> Inference;

    /// For [`Executor::Command`]: what to start.
    fn command(&self) -> Option<CommandLine> {
        None
    }
}

/// What lies at a port that takes many, in order: `models[0]`, `models[1]` …
pub fn many<'a, T>(inputs: &'a BTreeMap<String, T>, port: &str) -> Vec<&'a T> {
    (0..).map_while(|at| inputs.get(&format!("{port}[{at}]"))).collect()
}

/// A program of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Given to `sh -c` (with `set -e`), in the pipeline's folder.
    pub run: String,
    /// Environment variables passed on; their values enter the key.
    pub env: Vec<String>,
}

/// What [`Stage::infer`] may look at.
pub struct InferContext<'a> {
    /// The stage's name.
    pub stage: &'a str,
    /// The ports the document connects, in order: also those whose stage could not be typed. Of a port that takes
    /// many: `port[0]`, `port[1]` …
    pub connected: &'a [&'a str],
    /// Types at the connected input ports.
    pub inputs: &'a Types,
    /// Answers questions only a worker can: what columns does this file have, what does this expression give.
    pub oracle: &'a dyn Oracle,
}

/// What inference found.
#[derive(Debug, Clone, Default)]
pub struct Inference {
    /// By output port.
    pub outputs: Types,
    /// Errors and warnings; routes relative to the stage's mapping.
    pub faults: Vec<Fault>,
}

/// A question for a worker, answered without running the stage. Answers are cached by digest of the question
/// and of the files it names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The kind that asks.
    pub kind: String,
    /// The kind's version: part of the cached answer's key.
    pub version: u32,
    /// Its canonical parameters, or the part of them in question.
    pub params: Value,
    /// Types at its inputs.
    pub inputs: Types,
    /// Files the answer depends on.
    pub files: Vec<FileInput>,
}

/// Where questions go. `engine::oracle` has the one that asks workers and remembers the answers.
pub trait Oracle: Sync {
    /// Asks. `Ok(None)` means nobody is there to answer (no worker installed): the types stay unknown.
    ///
    /// # Errors
    /// What the worker found wrong: a missing file, a malformed header, an expression that does not parse. Routes are relative
    /// to the stage's mapping.
    fn ask(&self, executor: Executor, question: &Question) -> Result<Option<Value>, Vec<Fault>>;
}

/// An oracle that knows nothing: for tests and for `check --offline`.
pub struct Silent;

impl Oracle for Silent {
    fn ask(&self, _: Executor, _: &Question) -> Result<Option<Value>, Vec<Fault>> {
        Ok(None)
    }
}

/// The known kinds by name.
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Box<dyn Kind>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind.
    ///
    /// # Panics
    /// When two kinds have one name: a mistake in the program, not of a user.
    pub fn add(&mut self, kind: impl Kind + 'static) {
        let name = kind.name();
        assert!(self.kinds.insert(name, Box::new(kind)).is_none(), "two kinds are called `{name}`");
    }

    /// The kind of a name.
    pub fn get(&self, name: &str) -> Option<&dyn Kind> {
        self.kinds.get(name).map(Box::as_ref)
    }

    /// All kinds, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Kind> {
        self.kinds.values().map(Box::as_ref)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.keys().copied()
    }
}
