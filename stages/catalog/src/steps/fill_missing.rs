//! `fill_missing`: a constant in place of missing cells.

use contract::artifact::{Classes, DType, DatasetType};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{SomeColumns, named};
use super::{Around, Rules};
use crate::columns::cast::fits;
use crate::params::scalar::Scalar;
use crate::params::shape::OneOrMany;

/// Options of `fill_missing`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FillMissing {
    /// Names or patterns with `*`. Default: all columns the value fits.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
    /// The value. (A mean or a median would have to be fitted: `train` does that on the training part.)
    pub with: Scalar,
}

impl Rules for FillMissing {
    fn check(&self, at: &Route) -> Vec<Fault> {
        fitted(self, at).into_iter().collect()
    }

    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let chosen = match named(&SomeColumns { columns: self.columns.clone() }, dataset, at) {
            Err(faults) => return faults.into_vec(),
            Ok(None) => return Vec::new(),
            Ok(Some(positions)) => positions,
        };
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let (fitting, others): (Vec<usize>, Vec<usize>) =
            chosen.into_iter().partition(|at| fits(&columns[*at], &self.with));
        let mut faults = Vec::new();
        if self.columns.is_some() {
            faults.extend(others.into_iter().map(|position| {
                let column = &columns[position];
                Fault::error(
                    contract::code!("data::fill_type"),
                    format!("{} does not fit `{}`, which is {}", self.with.shown(), column.name, column.type_name()),
                )
                .help(if column.shape.is_empty() {
                    "fill with a value of the column's type, or `cast` the column first"
                } else {
                    "a tensor column has no missing cells"
                })
                .at(at.join("with"))
            }));
        } else if !fitting.iter().any(|at| columns[*at].nullable) {
            faults.push(
                Fault::warning(
                    contract::code!("data::nothing_to_fill"),
                    format!("no column that {} fits has missing cells", self.with.shown()),
                )
                .help("name the columns, or remove the step")
                .at(at.join("with")),
            );
        }
        for position in fitting {
            let column = &mut columns[position];
            if !column.nullable {
                continue;
            }
            column.nullable = false;
            if let Some(classes) = &mut column.classes {
                add_class(classes, &self.with.text(), column.dtype);
            }
        }
        faults
    }
}

/// `fill_missing: { with: mean }` would have to be fitted.
fn fitted(fill: &FillMissing, at: &Route) -> Option<Fault> {
    let Scalar::Text(text) = &fill.with else { return None };
    let known = ["mean", "median", "mode", "most_frequent", "average"];
    known.contains(&text.to_lowercase().as_str()).then(|| {
        Fault::error(contract::code!("data::fitted_step"), format!("`{text}` has to be learned from the data, and here test rows would shape it"))
            .help(format!(
                "leave the cells missing: `features:` of `train` fills them with what it learns from the training part (`standard`, \
                 `robust`). Where the text `{text}` is meant: `derive: {{ column: \"coalesce(column, '{text}')\" }}`"
            ))
            .at(at.join("with"))
    })
}

fn add_class(classes: &mut Classes, value: &str, dtype: DType) {
    if classes.values.is_empty() {
        classes.count += 1;
    } else if !classes.values.iter().any(|known| known == value) {
        classes.count += 1;
        classes.values.push(value.to_owned());
        if dtype.is_integer() {
            classes.values.sort_by_key(|value| value.parse::<i128>().unwrap_or_default());
        } else {
            classes.values.sort();
        }
    }
}
