//! Parameters of `split`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::params::scalar::Scalar;
use crate::params::shape::OneOrMany;

/// Divides rows into parts that become the stage's output ports: by `ratios` (at random under the seed, or in the order of `time`),
/// into `folds`, at points in `time`, or as a column `by` says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Part to share of the rows: at least two, which sum to 1. Every part is an output: `parts.train`.
    #[serde(default)]
    pub ratios: BTreeMap<String, f64>,
    /// So many folds of equal size: the outputs are `train_1` and `test_1` to `train_5` and `test_5`. Each row is in one `test_…`.
    #[serde(default)]
    #[schemars(range(min = 2, max = 100))]
    pub folds: Option<u32>,
    /// Keep the shares of this column's values equal in all parts; with `group` or `together` as equal as whole groups allow.
    #[serde(default)]
    pub stratify: Option<String>,
    /// Rows with equal values in these columns (a patient, a user) stay in one part.
    #[serde(default)]
    pub group: Option<OneOrMany<String>>,
    /// Rows that are equal stay in one part; with `similarity`, rows that are nearly equal, too.
    #[serde(default)]
    pub together: Option<Together>,
    /// A column of dates, datetimes or numbers: parts follow each other in time, `train` first. Rows of one time stay together.
    #[serde(default)]
    pub time: Option<String>,
    /// With `time`, in place of `ratios`: part to the time it begins at; what is earlier is `train`.
    #[serde(default)]
    pub cuts: BTreeMap<String, Scalar>,
    /// A column that says which part a row belongs to.
    #[serde(default)]
    pub by: Option<Predefined>,
    /// Whether a small classifier tries to tell `train` from `test`: when it can (AUC above 0.6), a warning names the columns.
    #[serde(default = "yes")]
    pub adversarial: bool,
}

fn yes() -> bool {
    true
}

/// Which rows stay together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Together {
    /// Names or patterns with `*`. Default: all columns.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
    /// From this Jaccard similarity (found by MinHash) rows stay together. Default: only equal rows do.
    #[serde(default)]
    #[schemars(range(min = 0.5, max = 1.0))]
    pub similarity: Option<f64>,
}

/// Parts by the values of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predefined {
    /// The column.
    pub column: String,
    /// Part to the values (as text) of its rows: `{ train: [train, extra], test: test }`.
    pub parts: BTreeMap<String, OneOrMany<String>>,
}
