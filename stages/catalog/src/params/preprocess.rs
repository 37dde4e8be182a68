//! Parameters of `preprocess`.

use std::collections::BTreeMap;

use engine::artifact::DType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::OneOrMany;

/// Cleans and reshapes rows and columns, step by step. Every step is stateless; what must be fitted on training data
/// belongs to `train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Carried out in order.
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Keeps the first of rows that are equal in all (or the named) columns.
    DropDuplicates(SomeColumns),
    /// Drops rows with a missing cell in any (or any of the named) columns.
    DropMissing(SomeColumns),
    /// Puts a value in place of missing cells.
    FillMissing(FillMissing),
    /// Renames columns: old name to new name.
    Rename(BTreeMap<String, String>),
    /// Keeps only these columns, in this order.
    Select(OneOrMany<String>),
    /// Drops these columns.
    Drop(OneOrMany<String>),
    /// Changes column types: column (or pattern) to type.
    Cast(BTreeMap<String, DType>),
    /// Keeps the rows for which an SQL expression is true: `body_mass_g > 3000 AND sex IS NOT NULL`.
    Filter(String),
    /// Packs numeric columns into one tensor column of 32-bit floats. Tensor columns give all their elements, so that an image
    /// can be scaled, too.
    Pack(Pack),
}

/// All columns, or some.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SomeColumns {
    /// Names or patterns with `*`. Default: all columns.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
}

/// Options of `fill_missing`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FillMissing {
    /// Names or patterns with `*`. Default: all columns the value fits.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
    /// The value. (A mean or a median would have to be fitted: `train` does that on the training part.)
    pub with: Scalar,
}

/// A constant in a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number.
    Float(f64),
    /// Text.
    Text(String),
}

/// Options of `pack`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Names or patterns with `*`, in the order of the data (a pattern sorts numbers inside names as numbers). They are
    /// replaced by the packed column.
    pub columns: OneOrMany<String>,
    /// The new column's name.
    pub into: String,
    /// Shape of one cell; its product is the number of columns. Default: one dimension, or the shape of a single tensor column.
    #[serde(default)]
    pub shape: Option<Vec<u32>>,
    /// Every value is divided by this.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub divide_by: f64,
}

fn one() -> f64 {
    1.0
}
