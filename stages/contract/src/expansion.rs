//! Expanding while it runs: what a kind that proposes children says, round by round.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::fault::{Fault, Faults};

/// What a stage does that works through children: `Stage::expansion`.
///
/// [`Expansion::next`] is a pure function of the stage (its parameters and seed) and of what is in the round: the same
/// finished children give the same proposal, today and in ten years. A run that was killed between two rounds
/// therefore proposes the same children again, and they are hits.
pub trait Expansion: Send + Sync {
    /// What comes after these children: more of them, or the outputs.
    ///
    /// # Errors
    /// What makes the whole stage fail; routes relative to the stage's mapping.
    fn next(&self, round: &dyn Round) -> Result<Next, Faults>;
}

/// What [`Expansion::next`] may look at.
pub trait Round {
    /// The resolved seed of the stage.
    fn seed(&self) -> u64;

    /// All children so far, in the order they were proposed; every one has its outputs.
    fn finished(&self) -> &[Finished];

    /// The bytes of the output `port` of the finished child `child`, by its position in [`Round::finished`].
    ///
    /// # Errors
    /// No such output, or a store that cannot be read.
    fn bytes(&self, child: usize, port: &str) -> Result<Vec<u8>, Fault>;

    /// The bytes at an input port of the stage itself.
    ///
    /// # Errors
    /// As [`Round::bytes`].
    fn input(&self, port: &str) -> Result<Vec<u8>, Fault>;
}

/// A child that has its outputs.
#[derive(Debug, Clone)]
pub struct Finished {
    /// As it was proposed.
    pub label: String,
    /// Headline numbers.
    pub summary: BTreeMap<String, f64>,
    /// Whether its gate was met.
    pub open: bool,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// These run, side by side as far as they do not need each other; then the question is asked again. At least one.
    Run(Vec<Proposal>),
    /// The stage is done.
    Done(Outputs),
    /// The stage finishes in its own worker program, with its own inputs and with what these children gave. The worker
    /// finds the latter at the ports `child[0].model`, `child[1].model` … ([`child_port`]), in the order they are listed.
    /// [`Expansion::next`] is not asked again.
    Finish {
        /// Children by their position in [`Round::finished`], each with one of its output ports.
        inputs: Vec<(usize, String)>,
    },
}

/// The port at which a finishing stage finds the output `port` of the child that is at `position` of the list.
pub fn child_port(position: usize, port: &str) -> String {
    format!("child[{position}].{port}")
}

/// A child to run: a stage of any kind, with a key of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proposal {
    /// What stands between the brackets of its name: `0`, `lr=0.1`. No two children of a stage have the same.
    pub label: String,
    /// The kind's name.
    pub kind: String,
    /// Its parameters.
    pub params: Value,
    /// Port to what comes in.
    pub inputs: Vec<(String, Source)>,
    /// Its own seed; `None` is the parent's.
    pub seed: Option<u64>,
    /// Slots.
    pub resources: Resources,
    /// Limit of wall time.
    pub timeout: Option<Duration>,
    /// Further attempts after a failure.
    pub retries: u32,
}

/// Where an input of a child comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// What is connected to this port of the parent.
    Parent(String),
    /// A child of an earlier round, or one before it in the same round.
    Child {
        /// Its label.
        label: String,
        /// Its port; `None` is the main output.
        port: Option<String>,
    },
}

/// What the stage gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outputs {
    /// Every output port.
    pub outputs: Vec<(String, Output)>,
    /// Headline numbers.
    pub summary: BTreeMap<String, f64>,
    /// Gates that were not met; routes relative to the stage's mapping.
    pub unmet: Vec<Fault>,
    /// Warnings; routes as above.
    pub warnings: Vec<Fault>,
}

/// One output of an expanding stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// What a child gave.
    Child {
        /// Its label.
        label: String,
        /// Its port.
        port: String,
    },
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Slots a stage takes while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Processors; `None` is the kind's own default (1).
    pub cpus: Option<u32>,
    /// Bytes of memory; enforced for workers.
    pub memory: Option<u64>,
    /// CUDA devices.
    pub gpus: Option<u32>,
}
