//! Questions that only a worker can answer before a run, and the trait that answers them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FileInput, Program};
use crate::artifact::Types;
use crate::fault::Faults;

/// A question for a worker, answered without running the stage. Answers are cached by digest of the
/// question and of the files it names.
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

/// Where questions go. `engine::execute` has the one that asks workers and remembers the answers.
pub trait Oracle: Sync {
    /// Asks. `Ok(None)` means that the worker is not installed: the types stay unknown.
    ///
    /// # Errors
    /// What the worker found wrong: a missing file, a malformed header, an expression that does not
    /// parse. Routes are relative to the stage's mapping.
    fn ask(&self, executor: Program, question: &Question) -> Result<Option<Value>, Faults>;
}

/// An oracle that knows nothing: for tests and for `check --offline`.
pub struct Silent;

impl Oracle for Silent {
    fn ask(&self, _: Program, _: &Question) -> Result<Option<Value>, Faults> {
        Ok(None)
    }
}
