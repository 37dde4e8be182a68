//! `group_by`: one row for each group.

use std::collections::BTreeMap;

use contract::artifact::{Column, DType, DatasetType};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aggregate::{keys, over};
use super::chosen::{add, one};
use super::{Around, Rules};
use crate::params::shape::OneOrMany;

/// Options of `group_by`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupBy {
    /// The keys.
    pub by: OneOrMany<String>,
    /// New column to what is computed: `{ flights: count, delay: { mean: dep_delay } }`. The new columns follow the keys in the order of their
    /// names, as the order in which a mapping is written never matters; `select` puts columns in another.
    #[schemars(length(min = 1))]
    pub aggregates: BTreeMap<String, Aggregate>,
}

/// What is computed over many rows. Missing cells are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Rows.
    Count,
    /// Distinct values of a column.
    Distinct(String),
    /// Sum of a numeric column; of true/false, how many are true.
    Sum(String),
    /// Mean of a numeric column; of true/false, the share that is true.
    Mean(String),
    /// Median of a numeric column.
    Median(String),
    /// Standard deviation of a numeric column (of the sample: n - 1).
    Std(String),
    /// Smallest value.
    Min(String),
    /// Largest value.
    Max(String),
    /// The first value in the order of the rows.
    First(String),
    /// The last value in the order of the rows.
    Last(String),
}

impl Aggregate {
    /// The column an aggregate reads, with its name in a document.
    pub fn reads(&self) -> Option<(&'static str, &str)> {
        Some(match self {
            Self::Count => return None,
            Self::Distinct(name) => ("distinct", name),
            Self::Sum(name) => ("sum", name),
            Self::Mean(name) => ("mean", name),
            Self::Median(name) => ("median", name),
            Self::Std(name) => ("std", name),
            Self::Min(name) => ("min", name),
            Self::Max(name) => ("max", name),
            Self::First(name) => ("first", name),
            Self::Last(name) => ("last", name),
        })
    }
}

impl Rules for GroupBy {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        dataset.rows = None;
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let mut faults = Vec::new();
        let mut made: Vec<Column> = Vec::new();
        match keys(&self.by, columns, &at.join("by")) {
            Ok(positions) => made.extend(positions.into_iter().map(|position| columns[position].clone())),
            Err(more) => faults.extend(more),
        }
        for (name, aggregate) in &self.aggregates {
            let route = at.join("aggregates").join(name.as_str());
            let (dtype, nullable) = match aggregate.reads() {
                None => (DType::Int64, false),
                Some((function, column)) => {
                    let inside = route.join(function);
                    let typed = one(column, columns, &inside).and_then(|position| {
                        over(function, &columns[position], &inside).map(|dtype| (dtype, position))
                    });
                    match typed {
                        // The deviation of one row, and the sum of none, are missing.
                        Ok((dtype, position)) => {
                            let missing = columns[position].nullable || columns[position].dtype.is_float();
                            (dtype, function == "std" || (missing && function != "distinct"))
                        }
                        Err(fault) => {
                            faults.push(fault);
                            (DType::Float64, true)
                        }
                    }
                }
            };
            let route_key = at.join("aggregates").join(name.as_str());
            faults.extend(add(&mut made, Column { nullable, ..Column::new(name, dtype) }, &route_key));
        }
        *columns = made;
        faults
    }
}
