//! Which cells are missing.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Float32Type, Float64Type};

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
