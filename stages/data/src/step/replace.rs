//! `replace`: cells, or parts of texts, become others.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::kernels::zip::zip;
use catalog::params::scalar::Scalar;
use catalog::steps::replace::Replace;
use contract::artifact::{Column, DType};
use contract::fault::Faults;

use super::chain::{Link, cells};
use super::constant::equal;
use super::pattern::{pattern, texts};
use super::{Input, Transform, constant};
use crate::fault::{Outcome, kernel};
use crate::table::convert::convert;

impl Transform for Replace {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let before = input.columns().to_vec();
        let route = input.route.clone();
        let chosen = input.chosen(&self.columns)?;
        let values: Vec<(String, Option<Scalar>)> =
            self.values.iter().map(|(old, new)| (old.clone(), new.clone())).collect();
        let pattern = self.pattern.as_deref().map(|text| pattern(text, None));
        let pattern = pattern.transpose().map_err(|fault| Faults::from(fault.at(route.join("pattern"))))?;
        let with = self.with.as_deref().unwrap_or_default();
        Ok(cells(after, chosen, move |array, index| match &pattern {
            Some(pattern) => Ok(texts(array, |text| pattern.replace_all(text, with))),
            None => replace(array, &before[index], &values),
        }))
    }
}

/// Whole cells replaced: those that read as `old` become `new`, or missing. `old` that is no value of the column is nowhere.
fn replace(array: &ArrayRef, column: &Column, values: &[(String, Option<Scalar>)]) -> Outcome<ArrayRef> {
    let fail = |error: arrow::error::ArrowError| kernel("replacing cells", &error);
    let mut made = array.clone();
    for (old, new) in values {
        let text: ArrayRef = Arc::new(StringArray::from(vec![old.as_str()]));
        let Ok(cell) = convert(&text, column.dtype) else { continue };
        let cell = if cell.is_null(0) && column.dtype == DType::String { text } else { cell };
        if cell.is_null(0) {
            continue;
        }
        // Against the cells as they came in, so that two values can change places.
        let mask = equal(array, &cell)?;
        let new = match new {
            None => arrow::array::new_null_array(array.data_type(), 1),
            Some(value) => match constant::cell(value, column) {
                Some(cell) => cell,
                None => continue,
            },
        };
        made = zip(&mask, &arrow::array::Scalar::new(new), &made.as_ref()).map_err(fail)?;
    }
    Ok(made)
}
