//! Questions that only a worker can answer, and the form of the answers.
//!
//! *What does this source hold?* `kind: collect`, the canonical parameters, the files of the stage. The answer is a
//! [`DatasetType`](contract::artifact::DatasetType) as the stage would write it, `columns:` applied as far as the names in it exist
//! (the caller reports those that do not); `parts` and `sources` are left empty.
//!
//! *What does this expression give?* `kind: preprocess`, an [`Expression`] as parameters (`{"filter": "a > 1"}`), the data sets
//! it is about as inputs, no files. The answer is an [`ExpressionType`], of a query a [`QueryType`].

use contract::artifact::{Column, DType, Types};
use contract::fault::Faults;
use contract::kind::{Oracle, Program, Question};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Parameters of the question about an expression: SQL over the columns of the input `data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expression {
    /// A condition over one row.
    Filter(String),
    /// Any value over one row.
    Value(String),
    /// A whole query over all inputs.
    Query(String),
    /// A regular expression, for whether it is one; no inputs.
    Pattern(Pattern),
}

/// A regular expression and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// The expression.
    pub text: String,
    /// How many groups it must have.
    pub groups: Option<usize>,
    /// What its matches become: `$1` and `${name}` in it must be groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
}

/// What an expression gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpressionType {
    /// Its type.
    pub dtype: DType,
    /// Whether it may be missing, whatever cells of columns that are never missing hold.
    #[serde(default = "unknown")]
    pub missing: bool,
}

/// An answer that does not say.
fn unknown() -> bool {
    true
}

/// What a query gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryType {
    /// Its columns.
    pub columns: Vec<Column>,
    /// The tables whose rows may be rows of the result, sorted.
    pub rows: Vec<String>,
    /// Tables whose cells are in the result beside those rows: what a `JOIN` or a subquery brings in; sorted.
    pub beside: Vec<String>,
    /// Columns that are computed from other rows than their own, as by a window function.
    pub mixed: Vec<String>,
}

/// Asks what an expression gives over data sets. `None` when nobody answers.
///
/// # Errors
/// What the worker found wrong with it.
pub fn expression(
    oracle: &dyn Oracle,
    version: u32,
    expression: &Expression,
    inputs: &Types,
) -> Result<Option<Value>, Faults> {
    let question = Question {
        kind: "preprocess".into(),
        version,
        params: json!(expression),
        inputs: inputs.clone(),
        files: Vec::new(),
    };
    oracle.ask(Program::Data, &question)
}
