//! A kind of stage: its name, version, parameters and documentation.

use serde_json::Value;

use super::{Program, Stage};
use crate::fault::Fault;

/// A kind of stage: `collect`, `train`, `command` ...
pub trait Kind: Send + Sync {
    /// The name after `kind:`.
    fn name(&self) -> &'static str;

    /// Bumped whenever the same parameters and inputs would give other bytes. Enters every key.
    fn version(&self) -> u32;

    /// Which program carries it out.
    fn program(&self) -> Program;

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
