//! One stage with its parameters typed, and what is known of it before it runs.

use serde_json::Value;

use super::{FileInput, InputPort, Oracle, OutputPort};
use crate::artifact::Types;
use crate::expansion::Expansion;
use crate::fault::Fault;

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

    /// For [`Program::Command`]: what to start.
    fn command(&self) -> Option<CommandLine> {
        None
    }
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
