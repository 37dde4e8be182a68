//! `window`: columns computed over the rows around each row.

use std::collections::BTreeMap;

use contract::artifact::{Column, DType, DatasetLineage, DatasetType, Mixed};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aggregate::{keys, over};
use super::chosen::{add, one};
use super::{Around, Rules};
use crate::columns::lineage;
use crate::params::shape::OneOrMany;

/// Options of `window`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Rows with equal keys belong together. Default: all rows.
    #[serde(default)]
    pub by: Option<OneOrMany<String>>,
    /// The order inside a group. Default: the order of the rows.
    #[serde(default)]
    pub order: Option<OneOrMany<String>>,
    /// The last so many rows, this one included, are computed over. Default: all from the group's first row on.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub rows: Option<u32>,
    /// New column to what is computed: `{ previous: { lag: delay }, smooth: { mean: delay }, position: number }`.
    #[schemars(length(min = 1))]
    pub columns: BTreeMap<String, WindowFunction>,
}

/// What is computed over the rows before each row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowFunction {
    /// The row's position in its group, from 1.
    Number,
    /// The value one row before.
    Lag(String),
    /// The value one row after.
    Lead(String),
    /// The value minus the one a row before.
    Difference(String),
    /// Number of present cells.
    Count(String),
    /// Sum.
    Sum(String),
    /// Mean.
    Mean(String),
    /// Smallest value.
    Min(String),
    /// Largest value.
    Max(String),
}

impl WindowFunction {
    /// The column a window function reads, with its name in a document.
    pub fn reads(&self) -> Option<(&'static str, &str)> {
        Some(match self {
            Self::Number => return None,
            Self::Lag(name) => ("lag", name),
            Self::Lead(name) => ("lead", name),
            Self::Difference(name) => ("difference", name),
            Self::Count(name) => ("count", name),
            Self::Sum(name) => ("sum", name),
            Self::Mean(name) => ("mean", name),
            Self::Min(name) => ("min", name),
            Self::Max(name) => ("max", name),
        })
    }
}

impl Rules for Window {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let mut faults = Vec::new();
        for (key, entries) in [("by", &self.by), ("order", &self.order)] {
            if let Some(entries) = entries
                && let Err(more) = keys(entries, columns, &at.join(key))
            {
                faults.extend(more);
            }
        }
        let before = columns.clone();
        for (name, function) in &self.columns {
            let route = at.join("columns").join(name.as_str());
            let (dtype, nullable) = match function.reads() {
                None => (DType::Int64, false),
                Some((function, column)) => {
                    let inside = route.join(function);
                    let typed =
                        one(column, &before, &inside).and_then(|position| over(function, &before[position], &inside));
                    match typed {
                        Ok(dtype) => (dtype, function != "count"),
                        Err(fault) => {
                            faults.push(fault);
                            (DType::Float64, true)
                        }
                    }
                }
            };
            faults.extend(add(columns, Column { nullable, ..Column::new(name, dtype) }, &route));
        }
        mix(self, dataset);
        faults
    }
}

/// What a window computes is made from the rows around. The number of a row says nothing of their cells.
fn mix(options: &Window, dataset: &mut DatasetType) {
    let ahead = |function: &WindowFunction| matches!(function, WindowFunction::Lead(_));
    let numbers = |function: &WindowFunction| matches!(function, WindowFunction::Number);
    let rows = DatasetLineage::from(&*dataset).strands();
    // What looks back is judged otherwise than what looks ahead.
    for past in [true, false] {
        let functions = options.columns.iter().filter(|(_, function)| !numbers(function) && ahead(function) != past);
        let columns: Vec<String> = functions.map(|(name, _)| name.clone()).collect();
        if columns.is_empty() {
            continue;
        }
        let mixed = Mixed {
            columns,
            step: "window".to_owned(),
            rows: rows.clone(),
            within: options.by.iter().flat_map(OneOrMany::iter).cloned().collect(),
            past,
            ..Mixed::default()
        };
        lineage::mix(dataset, [mixed]);
    }
}
