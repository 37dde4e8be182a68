//! Questions that only a worker can answer, and the form of the answers.
//!
//! *What does this source hold?* `kind: collect`, the canonical parameters, the files of the stage. The answer is a
//! [`DatasetType`](engine::artifact::DatasetType) as the stage would write it, `columns:` applied as far as the names in it exist
//! (the caller reports those that do not); `parts` and `sources` are left empty.
//!
//! *What does this expression give?* `kind: preprocess`, an [`Expression`] as parameters (`{"filter": "a > 1"}`), the data set
//! it is about as the input `data`, no files. The answer is an [`ExpressionType`].

use engine::artifact::{ArtifactType, DType, DatasetType};
use engine::error::Fault;
use engine::kind::{Executor, Oracle, Question};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Parameters of the question about an expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expression {
    /// SQL over the columns of the input `data`.
    pub filter: String,
}

/// What an expression gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpressionType {
    /// Its type.
    pub dtype: DType,
    /// Whether it may be missing.
    #[serde(default)]
    pub nullable: bool,
}

/// Asks what an expression gives over a data set. `None` when nobody answers.
///
/// # Errors
/// What the worker found wrong with it.
pub fn expression(
    oracle: &dyn Oracle,
    version: u32,
    text: &str,
    dataset: &DatasetType,
) -> Result<Option<ExpressionType>, Vec<Fault>> {
    let asked = DatasetType { columns: dataset.columns.clone(), ..DatasetType::default() };
    let question = Question {
        kind: "preprocess".into(),
        version,
        params: json!(Expression { filter: text.to_owned() }),
        inputs: [("data".to_owned(), ArtifactType::Dataset(asked))].into(),
        files: Vec::new(),
    };
    let answer = oracle.ask(Executor::Data, &question)?;
    Ok(answer.and_then(|value| serde_json::from_value(value).ok()))
}
