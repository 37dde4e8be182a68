//! `sort`: rows in order.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{names, only};
use super::{Around, Rules};
use crate::columns::pattern;
use crate::params::shape::OneOrMany;

/// Options of `sort`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sort {
    /// Columns, the most important first.
    pub by: OneOrMany<String>,
    /// Largest first.
    #[serde(default)]
    pub descending: bool,
}

impl Rules for Sort {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let Some(columns) = &dataset.columns else { return Vec::new() };
        let at = at.join("by");
        match pattern::select(&self.by, &names(columns), &at) {
            Ok(positions) => only(
                columns,
                &positions,
                |column| column.shape.is_empty(),
                contract::code!("data::sort_type"),
                "a cell that has an order",
                "sort by numbers, texts or dates",
                &at,
            ),
            Err(faults) => faults.into_vec(),
        }
    }
}
