//! `fill_missing`: a constant in place of missing cells.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
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

/// The column with `cell` wherever one is missing (or NaN).
///
/// # Errors
/// Never for a cell made by [`cell()`].
pub fn fill(array: &ArrayRef, cell: ArrayRef) -> Outcome<ArrayRef> {
    let gone = missing(array);
    if gone.count_set_bits() == 0 {
        return Ok(array.clone());
    }
    let cell = arrow::array::Scalar::new(cell);
    zip(&BooleanArray::new(gone, None), &cell, &array.as_ref()).map_err(|error| kernel("filling missing cells", &error))
}

/// Which cells are missing; NaN is.
pub fn missing(array: &ArrayRef) -> BooleanBuffer {
    match array.data_type() {
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            BooleanBuffer::collect_bool(array.len(), |row| array.is_null(row) || values[row].is_nan())
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().values();
            BooleanBuffer::collect_bool(array.len(), |row| array.is_null(row) || values[row].is_nan())
        }
        _ => match array.nulls() {
            Some(nulls) => !nulls.inner(),
            None => BooleanBuffer::new_unset(array.len()),
        },
    }
}
