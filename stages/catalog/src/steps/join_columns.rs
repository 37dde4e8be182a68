//! `join_columns`: the cells of several columns as one text.

use contract::artifact::{Column, DType, DatasetType};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{add, names, only};
use super::{Around, Rules};
use crate::columns::pattern;
use crate::params::shape::OneOrMany;

/// Options of `join_columns`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinColumns {
    /// Names or patterns with `*`, in this order.
    pub columns: OneOrMany<String>,
    /// The new column.
    pub into: String,
    /// What stands between two cells. Missing cells are left out.
    #[serde(default = "space")]
    pub between: String,
    /// Whether the columns stay.
    #[serde(default)]
    pub keep: bool,
}

impl Rules for JoinColumns {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let at_columns = at.join("columns");
        let positions = match pattern::select(&self.columns, &names(columns), &at_columns) {
            Ok(positions) => positions,
            Err(faults) => return faults.into_vec(),
        };
        let plain = |column: &Column| column.shape.is_empty() && column.dtype != DType::Binary;
        let mut faults = only(
            columns,
            &positions,
            plain,
            contract::code!("data::text_type"),
            "something that can be written as text",
            "leave it out",
            &at_columns,
        );
        let all_missing = positions.iter().all(|position| columns[*position].nullable);
        if !self.keep {
            let mut position = 0;
            columns.retain(|_| {
                position += 1;
                !positions.contains(&(position - 1))
            });
        }
        let column = Column { nullable: all_missing, ..Column::new(&self.into, DType::String) };
        faults.extend(add(columns, column, &at.join("into")));
        faults
    }
}

fn space() -> String {
    " ".to_owned()
}
