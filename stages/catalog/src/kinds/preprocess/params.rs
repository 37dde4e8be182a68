//! Parameters of `preprocess`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::steps::Step;

/// Cleans and reshapes rows and columns, step by step. No step learns anything; what must be fitted on training data
/// belongs to `train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Carried out in order.
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
    /// So many rejected rows are kept for each step in the output `rejected`, each with the reason. Default: all. All are counted.
    #[serde(default)]
    pub keep_rejected: Option<u64>,
}
