//! A kind of stage: its name, version, parameters and documentation.

use serde_json::{Value, json};

use super::{DeclaredInput, DeclaredOutput, Look, Program, Stage};
use crate::fault::Faults;

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

    /// The documentation: what the kind does, its ports, an example.
    fn about(&self) -> About;

    /// How pictures show its stages.
    fn look(&self) -> Look {
        Look::of_name(self.name())
    }

    /// What other tools call its parameters: (their word in lower case, the key here). The help for an unknown key says
    /// what it is called here.
    fn synonyms(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The fewest parameters that make a stage: tests that go through all kinds start from it.
    fn smallest(&self) -> Value {
        json!({})
    }

    /// Types the parameters. The value has passed the schema, so what is reported here are faults no
    /// schema can express; routes are relative to the stage's mapping.
    ///
    /// # Errors
    /// All faults found.
    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults>;
}

/// A kind's documentation.
#[derive(Debug, Clone)]
pub struct About {
    /// One paragraph.
    pub summary: &'static str,
    /// The input ports. Where their number depends on a stage, [`Stage::inputs`] makes more of one declaration, or fewer.
    pub inputs: &'static [DeclaredInput],
    /// The output ports; the first is the main one. Where their number depends on a stage, [`Stage::outputs`] makes more of
    /// one declaration, or fewer.
    pub outputs: &'static [DeclaredOutput],
    /// A complete stage that can be pasted under `stages:`.
    pub example: &'static str,
}
