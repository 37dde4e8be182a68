//! Parameters of `evaluate`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// A metric (or a family of them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of right classes.
    Accuracy,
    /// Of the rows given a class, the share that has it: micro, macro, weighted and for each class.
    Precision,
    /// Of the rows that have a class, the share that was given it: micro, macro, weighted and for each class.
    Recall,
    /// Harmonic mean of precision and recall: micro, macro, weighted and for each class.
    F1,
    /// Mean of −log of the right class's probability.
    LogLoss,
    /// Area under the ROC curve; one class against the rest, macro mean, for more than two classes.
    Auroc,
    /// Rows by true and predicted class.
    ConfusionMatrix,
    /// Mean absolute error.
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// 1 − residual / total sum of squares.
    R2,
}
