//! Parameters of `evaluate`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::metric::Metric;

/// Judges a model on data it has not seen, and fails the run where a gate is not met.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluate {
    /// What to compute. Default: everything that fits the task.
    #[schemars(extend("uniqueItems" = true))]
    pub metrics: Option<Vec<Metric>>,
    /// Gates: metric to condition, `accuracy: ">= 0.97"`; also `>`, `<=`, `<` and `==`. A metric is named as in the output:
    /// `f1.macro`, `recall.class.7`.
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1, "examples": [">= 0.97"] }))]
    pub require: BTreeMap<String, String>,
}
