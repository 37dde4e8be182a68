//! Parameters of `profile`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::params::scalar::Scalar;
use crate::params::shape::OneOrMany;

/// Describes a data set: its variables, how they depend on each other, and what must hold of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// The column a model is to predict: every other column is then tested for giving it away.
    pub target: Option<String>,
    /// What must hold. Where something does not, the run stops here (exit code 3) and shows example rows; the profile is kept.
    pub expect: Vec<Expectation>,
}

/// One thing that must hold. Missing cells are passed over by all but `not_null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The column; a list or a pattern with `*` for several.
    #[serde(default)]
    pub column: Option<OneOrMany<String>>,
    /// Every value is one of these.
    #[serde(default, rename = "in")]
    pub one_of: Option<Vec<Scalar>>,
    /// Every value lies between `min` and `max` (both allowed): numbers, or dates as text.
    #[serde(default)]
    pub range: Option<Range>,
    /// Every text matches this regular expression somewhere; `^` and `$` make it the whole text.
    #[serde(default)]
    pub regex: Option<String>,
    /// No value occurs twice; of several columns, no combination does.
    #[serde(default)]
    pub unique: bool,
    /// No cell is missing.
    #[serde(default)]
    pub not_null: bool,
    /// How many rows there are. Takes no column.
    #[serde(default)]
    pub rows: Option<Rows>,
    /// The columns of every row add up to this.
    #[serde(default)]
    pub sum: Option<Sum>,
    /// Rows that agree in the columns agree in this one, too.
    #[serde(default)]
    pub determines: Option<String>,
    /// Values follow each other in this order, from the first row to the last.
    #[serde(default)]
    pub monotone: Option<Direction>,
    /// Every value is in this column of the input `related`; `planes.tailnum` is a column of the input `related_planes`.
    #[serde(default)]
    pub foreign_key: Option<String>,
    /// The share of rows that is enough; 1 means every row.
    #[serde(default = "all")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub mostly: f64,
}

fn all() -> f64 {
    1.0
}

/// Bounds of values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Range {
    /// The smallest value allowed.
    pub min: Option<Scalar>,
    /// The largest value allowed.
    pub max: Option<Scalar>,
}

/// Bounds of the number of rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rows {
    /// At least so many.
    pub min: Option<u64>,
    /// At most so many.
    pub max: Option<u64>,
}

/// What the columns of a row add up to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    /// The sum.
    pub equals: f64,
    /// How far it may be off.
    #[serde(default = "close")]
    #[schemars(extend("minimum" = 0))]
    pub tolerance: f64,
}

fn close() -> f64 {
    1e-6
}

/// The order of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// No value is below the one before.
    Increasing,
    /// Every value is above the one before.
    StrictlyIncreasing,
    /// No value is above the one before.
    Decreasing,
    /// Every value is below the one before.
    StrictlyDecreasing,
}

impl Direction {
    /// The name in a document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Increasing => "increasing",
            Self::StrictlyIncreasing => "strictly_increasing",
            Self::Decreasing => "decreasing",
            Self::StrictlyDecreasing => "strictly_decreasing",
        }
    }
}
