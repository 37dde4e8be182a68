//! `bin`: numbers into stated bins.

use contract::artifact::{Classes, Column, DType, DatasetType};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{NUMBERS, add, is_number, one, only};
use super::{Around, Rules};

/// Options of `bin`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// The numeric column.
    pub column: String,
    /// Edges, ascending. A value on an edge belongs to the bin above. Below the first and from the last on there are bins, too.
    #[schemars(length(min = 1))]
    pub edges: Vec<f64>,
    /// Names of the bins: one more than edges. Default: `< 10`, `10 to 20`, `>= 20`.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
    /// The new column. Default: the column itself is replaced.
    #[serde(default)]
    pub into: Option<String>,
}

impl Rules for Bin {
    fn check(&self, at: &Route) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !self.edges.windows(2).all(|pair| pair[0] < pair[1]) || self.edges.iter().any(|edge| !edge.is_finite()) {
            faults.push(
                Fault::error(contract::code!("data::bin_edges"), "the edges of the bins do not ascend")
                    .help("for example `edges: [0, 18, 65]`, which makes four bins")
                    .at(at.join("edges")),
            );
        }
        if let Some(labels) = &self.labels
            && labels.len() != self.edges.len() + 1
        {
            faults.push(
                Fault::error(
                    contract::code!("data::bin_labels"),
                    format!("{} edges make {} bins, not {}", self.edges.len(), self.edges.len() + 1, labels.len()),
                )
                .help("there is a bin below the first edge and one from the last edge on")
                .at(at.join("labels")),
            );
        }
        faults
    }

    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let position = match one(&self.column, columns, &at.join("column")) {
            Ok(position) => position,
            Err(fault) => return vec![fault],
        };
        let mut faults = only(
            columns,
            &[position],
            is_number,
            contract::code!("data::number_type"),
            "a number",
            NUMBERS,
            &at.join("column"),
        );
        let mut values = self.names();
        values.sort();
        values.dedup();
        let classes = Some(Classes { count: values.len() as u64, values });
        // NaN is in no bin.
        let missing = columns[position].nullable || columns[position].dtype.is_float();
        let new =
            |name: &str| Column { classes: classes.clone(), nullable: missing, ..Column::new(name, DType::String) };
        match &self.into {
            Some(into) => faults.extend(add(columns, new(into), &at.join("into"))),
            None => {
                let role = columns[position].role;
                columns[position] = Column { role, ..new(&self.column) };
            }
        }
        faults
    }
}

impl Bin {
    /// The names of the bins, from below.
    pub fn names(&self) -> Vec<String> {
        if let Some(labels) = &self.labels {
            return labels.clone();
        }
        let first = self.edges.first().map(|edge| format!("< {edge}"));
        let last = self.edges.last().map(|edge| format!(">= {edge}"));
        let middle = self.edges.windows(2).map(|pair| format!("{} to {}", pair[0], pair[1]));
        first.into_iter().chain(middle).chain(last).collect()
    }
}
