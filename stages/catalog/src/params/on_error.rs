//! What happens to cells that cannot be read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to cells that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The stage fails and names them.
    #[default]
    Fail,
    /// Their rows are dropped and kept in the output `rejected`.
    Reject,
    /// The cells become missing.
    Fill,
}
