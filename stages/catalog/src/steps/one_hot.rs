//! `one_hot`: a column of 0 and 1 for each category.

use contract::artifact::{Classes, Column, DType, DatasetType};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{add, one};
use super::{Around, Rules};
use crate::columns::cast::fits;
use crate::params::on_error::OnError;
use crate::params::scalar::Scalar;

/// Options of `one_hot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneHot {
    /// The column: text, whole numbers or true/false. It is replaced by columns called `column_category`.
    pub column: String,
    /// All categories.
    #[schemars(length(min = 1))]
    pub categories: Vec<Scalar>,
    /// What happens to rows with another value: `fill` leaves all columns 0. A missing cell always does.
    #[serde(default)]
    pub on_error: OnError,
    /// Whether the column stays.
    #[serde(default)]
    pub keep: bool,
}

impl Rules for OneHot {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        if self.on_error == OnError::Reject {
            dataset.rows = None;
        }
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let position = match one(&self.column, columns, &at.join("column")) {
            Ok(position) => position,
            Err(fault) => return vec![fault],
        };
        let column = columns[position].clone();
        let mut faults = Vec::new();
        for (index, value) in self.categories.iter().enumerate() {
            if !fits(&column, value) {
                faults.push(
                    Fault::error(
                        contract::code!("data::fill_type"),
                        format!("`{}` is no value of `{}`, which is {}", value.text(), column.name, column.type_name()),
                    )
                    .help("categories are values of the column")
                    .at(at.join("categories").join(index)),
                );
            }
        }
        if let Some(classes) = &column.classes
            && !classes.values.is_empty()
        {
            let stated: Vec<String> = self.categories.iter().map(Scalar::text).collect();
            let missing: Vec<&str> =
                classes.values.iter().filter(|value| !stated.contains(value)).map(String::as_str).take(5).collect();
            if self.on_error == OnError::Fail && !missing.is_empty() {
                faults.push(
                    Fault::error(
                        contract::code!("data::category"),
                        format!(
                            "`{}` has other values than the stated categories: `{}`",
                            column.name,
                            missing.join("`, `")
                        ),
                    )
                    .help("state them, too, or write `on_error: fill` (all columns 0) or `on_error: reject`")
                    .at(at.join("categories")),
                );
            }
        }
        if !self.keep {
            columns.remove(position);
        }
        for (index, value) in self.categories.iter().enumerate() {
            let new = Column {
                classes: Some(Classes { count: 2, values: vec!["0".into(), "1".into()] }),
                ..Column::new(category(&column.name, value), DType::UInt8)
            };
            faults.extend(add(columns, new, &at.join("categories").join(index)));
        }
        faults
    }
}

/// The column of one category.
fn category(column: &str, value: &Scalar) -> String {
    format!("{column}_{}", value.text())
}
