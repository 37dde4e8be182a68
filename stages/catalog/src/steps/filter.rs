//! `filter`: rows for which a condition is true stay.

use contract::artifact::{ArtifactType, DType, DatasetType, Types};
use contract::fault::{Fault, Route};
use serde::{Deserialize, Serialize};

use super::expression::placed;
use super::{Around, Rules};
use crate::question::{Expression, ExpressionType};

/// An SQL condition over the columns of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(pub String);

schema_of!(Filter, String);

impl Rules for Filter {
    fn check(&self, at: &Route) -> Vec<Fault> {
        if !self.0.trim().is_empty() {
            return Vec::new();
        }
        vec![
            Fault::error(contract::code!("data::expression"), "the expression is empty")
                .help("write a condition over columns: `filter: \"age >= 18\"`")
                .at(at.clone()),
        ]
    }

    fn infer(&self, dataset: &mut DatasetType, around: &Around<'_>, at: &Route) -> Vec<Fault> {
        dataset.rows = None;
        if dataset.columns.is_none() {
            return Vec::new();
        }
        let asked = DatasetType { columns: dataset.columns.clone(), ..DatasetType::default() };
        let inputs: Types = [("data".to_owned(), ArtifactType::Dataset(asked.into()))].into();
        let answer = match (around.ask)(&Expression::Filter(self.0.clone()), &inputs) {
            Err(faults) => return placed(faults.into_vec(), at),
            Ok(answer) => answer.and_then(|value| serde_json::from_value::<ExpressionType>(value).ok()),
        };
        match answer {
            Some(answer) if answer.dtype != DType::Bool => vec![
                Fault::error(
                    contract::code!("data::filter_type"),
                    format!("the expression gives {}, not true or false", answer.dtype.name()),
                )
                .help("compare it with something: `x > 0`, `x IS NOT NULL`")
                .at(at.clone()),
            ],
            _ => Vec::new(),
        }
    }
}
