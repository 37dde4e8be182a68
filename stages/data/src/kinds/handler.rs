//! What this program does for one kind.

use contract::kind::Question;
use contract::worker::Channel;
use contract::worker::protocol::{Finished, InputFile, RunRequest};
use serde_json::Value;

use crate::fault::Outcome;

/// Answers a question about a stage, with the files that the question names.
pub type Answer = fn(&Question, &[InputFile]) -> Outcome<Value>;

/// What this program does for one kind.
#[derive(Debug)]
pub struct Handler {
    /// The kind's name, as in `catalog`.
    pub kind: &'static str,
    /// Runs a stage.
    pub run: fn(&RunRequest, &Channel) -> Outcome<Finished>,
    /// Answers a question of the kind about its parameters, where it asks any.
    pub answer: Option<Answer>,
}
