//! What is wrong with the parameters of `profile` whatever the data.

use contract::fault::{Code, Fault, Route};

use super::params::Expectation;
use crate::params::scalar::Scalar;

/// What is wrong with an expectation whatever the data.
pub(super) fn check(one: &Expectation, at: &Route) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut wrong = |code: Code, text: String, help: &str, at: Route| {
        faults.push(Fault::error(code, text).help(help).at(at));
    };
    let of_columns = one.one_of.is_some()
        || one.range.is_some()
        || one.regex.is_some()
        || one.unique
        || one.not_null
        || one.sum.is_some()
        || one.determines.is_some()
        || one.monotone.is_some()
        || one.foreign_key.is_some();
    if !of_columns && one.rows.is_none() {
        wrong(
            contract::code!("profile::nothing_expected"),
            "this demands nothing".into(),
            "say what must hold: `in`, `range`, `regex`, `unique: true`, `not_null: true`, `sum`, `monotone`, `foreign_key` or `rows`",
            at.clone(),
        );
    }
    if of_columns && one.column.is_none() {
        wrong(
            contract::code!("profile::no_column"),
            "this does not say of which column".into(),
            "add `column: name`",
            at.clone(),
        );
    }
    if one.rows.is_some() && one.column.is_some() {
        wrong(
            contract::code!("profile::rows_of_column"),
            "the number of rows belongs to no column".into(),
            "give `rows` an entry of its own: `- { rows: { min: 1000 } }`",
            at.join("rows"),
        );
    }
    if let Some(rows) = &one.rows {
        let (min, max) = (rows.min, rows.max);
        if min.is_none() && max.is_none() || min.zip(max).is_some_and(|(min, max)| min > max) {
            wrong(
                contract::code!("profile::bounds"),
                "no number of rows is excluded, or all are".into(),
                "for example `{ min: 1000 }`",
                at.join("rows"),
            );
        }
    }
    if let Some(range) = &one.range {
        let reversed = match (&range.min, &range.max) {
            (None, None) => true,
            (Some(min), Some(max)) => match (number(min), number(max)) {
                (Some(min), Some(max)) => min > max,
                (None, None) => text(min) > text(max),
                _ => true,
            },
            _ => false,
        };
        if reversed {
            wrong(
                contract::code!("profile::bounds"),
                "no value is excluded, or all are".into(),
                "for example `{ min: 0, max: 100 }` or `{ min: 2020-01-01 }`, the smaller one as `min`",
                at.join("range"),
            );
        }
    }
    if one.one_of.as_ref().is_some_and(Vec::is_empty) {
        wrong(contract::code!("profile::bounds"), "no value is allowed".into(), "list the values", at.join("in"));
    }
    if let Some(sum) = &one.sum
        && !(sum.equals.is_finite() && sum.tolerance >= 0.0)
    {
        wrong(
            contract::code!("profile::bounds"),
            "this is no sum".into(),
            "for example `{ equals: 100, tolerance: 0.5 }`",
            at.join("sum"),
        );
    }
    if !(one.mostly > 0.0 && one.mostly <= 1.0) {
        wrong(
            contract::code!("profile::bounds"),
            format!("{} is no share of the rows", one.mostly),
            "a share is above 0 and at most 1: `mostly: 0.99`",
            at.join("mostly"),
        );
    }
    faults
}

/// The number a constant is.
pub fn number(value: &Scalar) -> Option<f64> {
    match value {
        Scalar::Int(value) => Some(*value as f64),
        Scalar::Float(value) => Some(*value),
        Scalar::Bool(_) | Scalar::Text(_) => None,
    }
}

/// A constant as a cell of a text column shows it.
pub fn text(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::Text(value) => value.clone(),
    }
}
