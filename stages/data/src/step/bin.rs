//! `bin`: numbers into stated bins.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use catalog::steps::bin::Bin;

use super::chain::Link;
use super::{Input, Transform};
use crate::fault::{Outcome, kernel};

impl Transform for Bin {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let index = input.one(&self.column)?;
        let names = self.names();
        Ok(Link::new(after, move |rows, _| {
            let mut arrays = rows.columns().to_vec();
            let binned = self::binned(&arrays[index], &self.edges, &names)?;
            if self.into.is_some() {
                arrays.push(binned)
            } else {
                arrays[index] = binned
            }
            Ok((arrays, Vec::new()))
        }))
    }
}

/// The names of the bins that numbers fall into; a missing cell and NaN stay missing.
fn binned(array: &ArrayRef, edges: &[f64], names: &[String]) -> Outcome<ArrayRef> {
    let floats = cast(array, &DataType::Float64).map_err(|error| kernel("binning numbers", &error))?;
    let floats = floats.as_primitive::<Float64Type>();
    let cells = floats.iter().map(|value| {
        let value = value.filter(|value| !value.is_nan())?;
        Some(names[edges.partition_point(|edge| *edge <= value)].as_str())
    });
    Ok(Arc::new(cells.collect::<StringArray>()))
}
