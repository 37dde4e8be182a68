//! `one_hot`: a column of 0 and 1 for each category.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt8Array};
use catalog::params::scalar::Scalar;
use catalog::steps::one_hot::OneHot;
use contract::artifact::Column;
use contract::fault::Fault;

use super::chain::{Link, policy};
use super::constant::equal;
use super::{Input, Transform, constant};
use crate::fault::Outcome;
use crate::table::display::shown;
use crate::table::missing::missing;

impl Transform for OneHot {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let before = input.columns().to_vec();
        let route = input.route.clone();
        let index = input.one(&self.column)?;
        Ok(Link::new(after, move |rows, start| {
            let mut arrays = rows.columns().to_vec();
            let (made, strangers) = one_hot(&arrays[index], &before[index], &self.categories)?;
            let wrong = strangers
                .into_iter()
                .map(|row| {
                    (row, format!("`{}` in column `{}` is no category", shown(&arrays[index], row), self.column))
                })
                .collect();
            let gone = policy(self.on_error, wrong, |row, reason| {
                Fault::error(contract::code!("data::category"), format!("row {}: {reason}", start + row + 1))
                    .help(
                        "state it under `categories`, or write `on_error: fill` (all columns 0) or `on_error: reject`",
                    )
                    .at(route.join("categories"))
            })?;
            if !self.keep {
                arrays.remove(index);
            }
            arrays.extend(made);
            Ok((arrays, gone))
        }))
    }
}

/// A column of 0 and 1 for each category, and the rows that hold another value.
fn one_hot(array: &ArrayRef, column: &Column, categories: &[Scalar]) -> Outcome<(Vec<ArrayRef>, Vec<usize>)> {
    let mut known = missing(array);
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(categories.len());
    for value in categories {
        // The catalog has made sure that each is a value of the column.
        let Some(cell) = constant::cell(value, column) else { continue };
        let mask = equal(array, &cell)?;
        known = &known | mask.values();
        arrays.push(Arc::new(UInt8Array::from_iter_values(mask.values().iter().map(u8::from))));
    }
    let strangers = (0..array.len()).filter(|row| !known.value(*row)).collect();
    Ok((arrays, strangers))
}
