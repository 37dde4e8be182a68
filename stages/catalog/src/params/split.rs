//! Parameters of `split`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Divides rows at random, under the seed, into parts that become the stage's output ports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Part to share of the rows: at least two, which sum to 1. Every part is an output: `parts.train`.
    pub ratios: BTreeMap<String, f64>,
    /// Keep the shares of this column's values equal in all parts.
    #[serde(default)]
    pub stratify: Option<String>,
}
