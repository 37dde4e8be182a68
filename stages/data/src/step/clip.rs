//! `clip`: numbers inside a range.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array};
use arrow::compute::kernels::cmp;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, prep_null_mask_filter};
use catalog::steps::clip::Clip;

use super::chain::{Link, cells};
use super::{Input, Transform};
use crate::fault::{Outcome, kernel};
use crate::table::missing::missing;

impl Transform for Clip {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let chosen = input.chosen(&self.columns)?;
        Ok(cells(after, chosen, move |array, _| clip(array, self)))
    }
}

/// Numbers inside a range, in their own type.
fn clip(array: &ArrayRef, options: &Clip) -> Outcome<ArrayRef> {
    let fail = |error: arrow::error::ArrowError| kernel("clipping numbers", &error);
    let mut array = array.clone();
    for (bound, low) in [(options.min, true), (options.max, false)] {
        let Some(bound) = bound else { continue };
        let one = cast(&(Arc::new(Float64Array::from(vec![bound])) as ArrayRef), array.data_type()).map_err(fail)?;
        let one = arrow::array::Scalar::new(one);
        let beyond = if low { cmp::lt(&array, &one) } else { cmp::gt(&array, &one) }.map_err(fail)?;
        let beyond = if beyond.nulls().is_some() { prep_null_mask_filter(&beyond) } else { beyond };
        // NaN is above every number in Arrow's order, and is no number to clip.
        let beyond = if array.data_type().is_floating() {
            BooleanArray::new(beyond.values() & &!&missing(&array), None)
        } else {
            beyond
        };
        array = zip(&beyond, &one, &array.as_ref()).map_err(fail)?;
    }
    Ok(array)
}
