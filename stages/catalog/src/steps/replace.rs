//! `replace`: cells, or parts of texts, become others.

use std::collections::BTreeMap;

use contract::artifact::{Column, DType, DatasetType, Types};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{is_text, names, only};
use super::expression::{compiles, placed};
use super::{Around, Rules};
use crate::columns::cast::fits;
use crate::columns::pattern;
use crate::params::scalar::Scalar;
use crate::params::shape::OneOrMany;
use crate::question::{Expression, Pattern};

/// Options of `replace`: `values`, or `pattern` and `with`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// Names or patterns with `*`.
    pub columns: OneOrMany<String>,
    /// What the whole cell is, as text, and what it becomes: `{ "-999": null, "n.a.": null, Lon: London }`; `null` is missing.
    #[serde(default)]
    pub values: BTreeMap<String, Option<Scalar>>,
    /// A regular expression; everything in a text that matches it is replaced.
    #[serde(default)]
    pub pattern: Option<String>,
    /// What matches of `pattern` become; `$1` is the first group, `$0` all that matched. Where a letter or digit follows, and for a group with
    /// a name: `$${1}st`, `$${name}`.
    #[serde(default)]
    pub with: Option<String>,
}

impl Rules for Replace {
    fn check(&self, at: &Route) -> Vec<Fault> {
        let wrong = match (self.values.is_empty(), &self.pattern, &self.with) {
            (false, None, None) | (true, Some(_), Some(_)) => return Vec::new(),
            (true, None, _) => "`replace` needs `values`, or `pattern` and `with`",
            (true, Some(_), None) => "`pattern` needs `with`: what matches become",
            (false, ..) => "`values` and `pattern` are two steps",
        };
        vec![
            Fault::error(contract::code!("data::replace_what"), wrong)
                .help("for example `values: { \"-999\": null }`, or `pattern: \"[0-9]\"` with `with: \"#\"`")
                .at(at.clone()),
        ]
    }

    fn infer(&self, dataset: &mut DatasetType, around: &Around<'_>, at: &Route) -> Vec<Fault> {
        let mut faults = compiles(self.pattern.as_deref(), None, at, around);
        if faults.is_empty() {
            faults.extend(groups(self, at, around));
        }
        faults.extend(self.cells(dataset, at));
        faults
    }
}

impl Replace {
    fn cells(&self, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let at_columns = at.join("columns");
        let positions = match pattern::select(&self.columns, &names(columns), &at_columns) {
            Ok(positions) => positions,
            Err(faults) => return faults.into_vec(),
        };
        let plain = |column: &Column| column.shape.is_empty() && column.dtype != DType::Binary;
        let mut faults = if self.pattern.is_some() {
            only(
                columns,
                &positions,
                is_text,
                contract::code!("data::text_type"),
                "text",
                "patterns are for texts",
                &at_columns,
            )
        } else {
            only(
                columns,
                &positions,
                plain,
                contract::code!("data::text_type"),
                "a plain cell",
                "leave it out",
                &at_columns,
            )
        };
        for position in positions {
            let column = &mut columns[position];
            for (old, new) in &self.values {
                match new {
                    None => column.nullable = true,
                    Some(value) if fits(column, value) => {}
                    Some(value) => faults.push(
                        Fault::error(
                            contract::code!("data::fill_type"),
                            format!(
                                "`{}` does not fit `{}`, which is {}",
                                value.text(),
                                column.name,
                                column.type_name()
                            ),
                        )
                        .help("replace by a value of the column's type, or `cast` the column first")
                        .at(at.join("values").join(old.as_str())),
                    ),
                }
            }
            column.classes = None;
        }
        faults
    }
}

/// Whether the groups that `with` of a `replace` names are groups of its pattern.
fn groups(options: &Replace, at: &Route, around: &Around<'_>) -> Vec<Fault> {
    let (Some(text), Some(with)) = (&options.pattern, &options.with) else { return Vec::new() };
    if !with.contains('$') {
        return Vec::new();
    }
    let asked = Expression::Pattern(Pattern { text: text.clone(), groups: None, with: Some(with.clone()) });
    (around.ask)(&asked, &Types::new())
        .err()
        .map_or_else(Vec::new, |faults| placed(faults.into_vec(), &at.join("with")))
}
