//! `split_column`: a text column becomes several.

use contract::artifact::{DType, DatasetType};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{add, is_text, nullable, one, only};
use super::expression::compiles;
use super::{Around, Rules};

/// Options of `split_column`: `by` or `pattern`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitColumn {
    /// The text column.
    pub column: String,
    /// The new columns. What is not there is missing; with `by`, the last takes the rest.
    #[schemars(length(min = 1))]
    pub into: Vec<String>,
    /// The text between two parts.
    #[serde(default)]
    pub by: Option<String>,
    /// A regular expression with one group for each new column; texts that do not match give missing cells.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Whether the column stays.
    #[serde(default)]
    pub keep: bool,
}

impl Rules for SplitColumn {
    fn check(&self, at: &Route) -> Vec<Fault> {
        match (&self.by, &self.pattern) {
            (Some(by), None) if !by.is_empty() => Vec::new(),
            (None, Some(_)) => Vec::new(),
            _ => vec![
                Fault::error(
                    contract::code!("data::split_by"),
                    "a column is split either `by` a text or with a `pattern`",
                )
                .help("for example `by: \"-\"`, or `pattern: \"(\\\\d+)x(\\\\d+)\"` with one group for each new column")
                .at(at.clone()),
            ],
        }
    }

    fn infer(&self, dataset: &mut DatasetType, around: &Around<'_>, at: &Route) -> Vec<Fault> {
        let mut faults = compiles(self.pattern.as_deref(), Some(self.into.len()), at, around);
        let Some(columns) = &mut dataset.columns else { return faults };
        let position = match one(&self.column, columns, &at.join("column")) {
            Ok(position) => position,
            Err(fault) => {
                faults.push(fault);
                return faults;
            }
        };
        faults.extend(only(
            columns,
            &[position],
            is_text,
            contract::code!("data::text_type"),
            "text",
            "`cast` it to `string` first",
            &at.join("column"),
        ));
        if !self.keep {
            columns.remove(position);
        }
        for (index, name) in self.into.iter().enumerate() {
            faults.extend(add(columns, nullable(name, DType::String), &at.join("into").join(index)));
        }
        faults
    }
}
