//! `drop_near_duplicates`: rows that are nearly like an earlier one go.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{names, only};
use super::{Around, Rules};
use crate::columns::pattern;
use crate::params::shape::OneOrMany;

/// Options of `drop_near_duplicates`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NearDuplicates {
    /// Names or patterns with `*`. Default: all columns that are no tensors.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
    /// From this Jaccard similarity of their pieces (five characters of a text, or a cell) two rows are near duplicates.
    #[serde(default = "similarity")]
    #[schemars(range(min = 0.5, max = 1.0))]
    pub similarity: f64,
}

impl Rules for NearDuplicates {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        dataset.rows = None;
        let (Some(columns), Some(entries)) = (&dataset.columns, &self.columns) else { return Vec::new() };
        let at = at.join("columns");
        match pattern::select(entries, &names(columns), &at) {
            Ok(positions) => only(
                columns,
                &positions,
                |column| column.shape.is_empty(),
                contract::code!("data::near_type"),
                "cells that can be compared",
                "images are compared by `drop_duplicate_images`",
                &at,
            ),
            Err(faults) => faults.into_vec(),
        }
    }
}

fn similarity() -> f64 {
    0.8
}
