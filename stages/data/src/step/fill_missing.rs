//! `fill_missing`: a constant in place of missing cells.

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::kernels::zip::zip;
use catalog::steps::fill_missing::FillMissing;
use contract::fault::Fault;

use super::chain::Link;
use super::{Input, Transform, constant};
use crate::fault::{FaultList, Outcome, kernel};
use crate::table::missing::missing;

impl Transform for FillMissing {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let chosen = match &self.columns {
            Some(patterns) => Some(input.chosen(patterns)?),
            None => None,
        };
        let mut faults = FaultList::default();
        let mut cells = Vec::new();
        for index in chosen.clone().unwrap_or_else(|| (0..input.columns().len()).collect()) {
            let column = &input.columns()[index];
            match constant::cell(&self.with, column) {
                Some(cell) => cells.push((index, cell)),
                None if chosen.is_some() => faults.add(|| {
                    Fault::error(
                        contract::code!("data::fill_type"),
                        format!("the value does not fit column `{}`, which is {}", column.name, column.type_name()),
                    )
                    .help(format!("give {}", crate::table::cell::expected(column.dtype)))
                    .at(input.route.join("with"))
                }),
                None => {}
            }
        }
        if faults.is_empty() && cells.is_empty() {
            faults.add(|| {
                Fault::error(contract::code!("data::fill_type"), "there is no column that the value fits")
                    .help("text fills text columns and dates, numbers fill numeric columns")
                    .at(input.route.join("with"))
            });
        }
        if !faults.is_empty() {
            return Err(faults.into_vec());
        }
        Ok(Link::new(input.columns().to_vec(), move |rows, _| {
            let mut arrays = rows.columns().to_vec();
            for (index, cell) in &cells {
                arrays[*index] = fill(&arrays[*index], cell.clone())?;
            }
            Ok((arrays, Vec::new()))
        }))
    }
}

/// The column with `cell` wherever one is missing (or NaN).
///
/// # Errors
/// Never for a cell made by [`constant::cell`].
fn fill(array: &ArrayRef, cell: ArrayRef) -> Outcome<ArrayRef> {
    let gone = missing(array);
    if gone.count_set_bits() == 0 {
        return Ok(array.clone());
    }
    let cell = arrow::array::Scalar::new(cell);
    zip(&BooleanArray::new(gone, None), &cell, &array.as_ref()).map_err(|error| kernel("filling missing cells", &error))
}
