//! The columns a step is about: found by name, checked by type, added.

use contract::artifact::{Column, DType, DatasetType};
use contract::fault::{Code, Fault, Faults, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::pattern;
use crate::columns::pattern::unknown;
use crate::params::shape::OneOrMany;

/// All columns, or some.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SomeColumns {
    /// Names or patterns with `*`. Default: all columns.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
}

/// What a numeric column is asked for, in a message.
pub(super) const NUMBERS: &str = "`cast` it to a number first, or leave it out";

pub(super) fn names(columns: &[Column]) -> Vec<&str> {
    columns.iter().map(|column| column.name.as_str()).collect()
}

/// The columns a step is about: those named, or all. `None` when the columns are not known.
pub(super) fn named(some: &SomeColumns, dataset: &DatasetType, at: &Route) -> Result<Option<Vec<usize>>, Faults> {
    let Some(columns) = &dataset.columns else { return Ok(None) };
    match &some.columns {
        None => Ok(Some((0..columns.len()).collect())),
        Some(entries) => pattern::select(entries, &names(columns), &at.join("columns")).map(Some),
    }
}

/// The position of one column.
pub(super) fn one(name: &str, columns: &[Column], at: &Route) -> Result<usize, Fault> {
    columns.iter().position(|column| column.name == name).ok_or_else(|| unknown(name, &names(columns)).at(at.clone()))
}

/// Refuses columns that are not of a sort.
pub(super) fn only(
    columns: &[Column],
    positions: &[usize],
    fits: impl Fn(&Column) -> bool,
    code: Code,
    wanted: &str,
    help: &str,
    at: &Route,
) -> Vec<Fault> {
    positions
        .iter()
        .map(|position| &columns[*position])
        .filter(|column| !fits(column))
        .map(|column| {
            Fault::error(code, format!("`{}` is {}, not {wanted}", column.name, column.type_name()))
                .help(help)
                .at(at.clone())
        })
        .collect()
}

pub(super) fn is_text(column: &Column) -> bool {
    column.dtype == DType::String && column.shape.is_empty()
}

pub(super) fn is_number(column: &Column) -> bool {
    column.dtype.is_numeric() && column.shape.is_empty()
}

/// Puts a new column behind all others, unless its name is taken.
pub(super) fn add(columns: &mut Vec<Column>, column: Column, at: &Route) -> Vec<Fault> {
    if column.name.trim().is_empty() {
        return vec![
            Fault::error(contract::code!("data::empty_name"), "the new column has no name")
                .help("name it")
                .at(at.clone()),
        ];
    }
    if columns.iter().any(|other| other.name == column.name) {
        return vec![
            Fault::error(
                contract::code!("data::duplicate_column"),
                format!("there is a column `{}` already", column.name),
            )
            .help("choose another name, or drop or rename that column before")
            .at(at.clone()),
        ];
    }
    columns.push(column);
    Vec::new()
}

pub(super) fn nullable(name: &str, dtype: DType) -> Column {
    Column { nullable: true, ..Column::new(name, dtype) }
}

pub(super) fn none_left(columns: &[Column], at: &Route) -> Option<Fault> {
    columns.is_empty().then(|| {
        Fault::error(contract::code!("data::no_columns"), "no column is left")
            .help("keep at least one column")
            .at(at.clone())
    })
}
