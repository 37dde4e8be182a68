//! A constant of a document as a cell.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::compute::kernels::cmp;
use arrow::compute::prep_null_mask_filter;
use catalog::params::scalar::Scalar;
use contract::artifact::{Column, DType};

use crate::fault::{Outcome, kernel};
use crate::table::convert::convert;
use crate::table::dataset::arrow_type;

/// The value as a cell of the column, when it fits: whole numbers fit numbers, decimals fit floats, text fits text, dates and
/// datetimes.
pub fn cell(value: &Scalar, column: &Column) -> Option<ArrayRef> {
    if !column.shape.is_empty() {
        return None;
    }
    let dtype = column.dtype;
    let one: ArrayRef = match value {
        Scalar::Bool(value) if dtype == DType::Bool => Arc::new(BooleanArray::from(vec![*value])),
        Scalar::Int(value) if dtype.is_numeric() => Arc::new(Int64Array::from(vec![*value])),
        Scalar::Float(value) if dtype.is_numeric() => Arc::new(Float64Array::from(vec![*value])),
        Scalar::Text(text) if dtype == DType::String => Arc::new(StringArray::from(vec![text.as_str()])),
        Scalar::Text(text) if matches!(dtype, DType::Date | DType::Datetime) => {
            Arc::new(StringArray::from(vec![text.as_str()]))
        }
        _ => return None,
    };
    let one = convert(&one, dtype).ok()?;
    (one.null_count() == 0 && one.data_type() == &arrow_type(column)).then_some(one)
}

/// Where the cells equal a value: a mask without missing entries.
pub fn equal(array: &ArrayRef, cell: &ArrayRef) -> Outcome<BooleanArray> {
    let one = arrow::array::Scalar::new(cell.clone());
    let mask = cmp::eq(array, &one).map_err(|error| kernel("comparing cells", &error))?;
    Ok(if mask.nulls().is_some() { prep_null_mask_filter(&mask) } else { mask })
}
