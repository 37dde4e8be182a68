//! `clip`: numbers inside a range.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{NUMBERS, is_number, names, only};
use super::{Around, Rules};
use crate::columns::cast::in_range;
use crate::columns::pattern;
use crate::params::shape::OneOrMany;

/// Options of `clip`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Names or patterns with `*` of numeric columns.
    pub columns: OneOrMany<String>,
    /// The smallest value.
    #[serde(default)]
    pub min: Option<f64>,
    /// The largest value.
    #[serde(default)]
    pub max: Option<f64>,
}

impl Rules for Clip {
    fn check(&self, at: &Route) -> Vec<Fault> {
        let wrong = match (self.min, self.max) {
            (None, None) => "`clip` needs `min`, `max` or both",
            (Some(min), Some(max)) if min > max => "`min` is larger than `max`",
            _ => return Vec::new(),
        };
        vec![
            Fault::error(contract::code!("data::clip_range"), wrong)
                .help("for example `min: 0, max: 100`")
                .at(at.clone()),
        ]
    }

    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let at_columns = at.join("columns");
        match pattern::select(&self.columns, &names(columns), &at_columns) {
            Ok(positions) => {
                let mut faults = only(
                    columns,
                    &positions,
                    is_number,
                    contract::code!("data::number_type"),
                    "a number",
                    NUMBERS,
                    &at_columns,
                );
                for position in positions {
                    let column = &mut columns[position];
                    for (key, bound) in [("min", self.min), ("max", self.max)] {
                        if let Some(bound) = bound
                            && column.dtype.is_integer()
                            && (bound.fract() != 0.0 || !in_range(bound as i64, column.dtype))
                        {
                            faults.push(
                                Fault::error(
                                    contract::code!("data::clip_range"),
                                    format!("{bound} does not fit `{}`, which is {}", column.name, column.type_name()),
                                )
                                .help("choose a value of the column's type, or `cast` the column first")
                                .at(at.join(key)),
                            );
                        }
                    }
                    column.classes = None;
                }
                faults
            }
            Err(faults) => faults.into_vec(),
        }
    }
}
