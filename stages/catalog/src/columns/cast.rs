//! Which values fit a column, and which types become which.

use contract::artifact::{Classes, Column, DType};

use crate::params::scalar::Scalar;

/// Whether the values of a column can become another type at all. A single value may still not (the text `abc` is
/// no number): that is found when the stage runs.
///
/// # Errors
/// Why not.
pub fn castable(column: &Column, to: DType) -> Result<(), &'static str> {
    use DType::{Binary, Bool, Date, Datetime, Float32, String, UInt8};
    let from = column.dtype;
    if from == to {
        return Ok(());
    }
    if !column.shape.is_empty() {
        return if matches!(to, Float32 | UInt8) { Ok(()) } else { Err("a tensor holds float32 or uint8") };
    }
    let plain = |dtype: DType| dtype.is_numeric() || dtype == Bool;
    match (from, to) {
        (from, to) if plain(from) && plain(to) => Ok(()),
        (Binary, String) | (String, _) | (Date, Datetime) | (Datetime, Date) => Ok(()),
        (Binary, _) => Err("bytes become nothing but text"),
        (_, Binary) => Err("only text becomes bytes"),
        (_, String) => Ok(()),
        _ => Err("dates are not numbers"),
    }
}

/// Whether a constant can stand in a column.
pub fn fits(column: &Column, value: &Scalar) -> bool {
    if !column.shape.is_empty() {
        return false;
    }
    match (value, column.dtype) {
        (Scalar::Bool(_), DType::Bool) | (Scalar::Text(_), DType::String) => true,
        (Scalar::Int(_) | Scalar::Float(_), dtype) if dtype.is_float() => true,
        (Scalar::Int(value), dtype) => in_range(*value, dtype),
        (Scalar::Float(value), dtype) => value.fract() == 0.0 && in_range(*value as i64, dtype),
        (Scalar::Text(text), DType::Date) => is_date(text),
        (Scalar::Text(text), DType::Datetime) => text.get(..10).is_some_and(is_date),
        _ => false,
    }
}

/// Whether a text has the form `2024-02-29`; that the day exists is found when the stage runs.
fn is_date(text: &str) -> bool {
    let digits = |at: &[usize]| at.iter().all(|at| text.as_bytes()[*at].is_ascii_digit());
    text.len() == 10 && digits(&[0, 1, 2, 3, 5, 6, 8, 9]) && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-'
}

pub(crate) fn in_range(value: i64, dtype: DType) -> bool {
    match dtype {
        DType::Int8 => i8::try_from(value).is_ok(),
        DType::Int16 => i16::try_from(value).is_ok(),
        DType::Int32 => i32::try_from(value).is_ok(),
        DType::Int64 => true,
        DType::UInt8 => u8::try_from(value).is_ok(),
        DType::UInt16 => u16::try_from(value).is_ok(),
        DType::UInt32 => u32::try_from(value).is_ok(),
        DType::UInt64 => value >= 0,
        _ => false,
    }
}

/// Gives a column another type; what is known of its values follows as far as it can.
pub(crate) fn retype(column: &mut Column, dtype: DType) {
    let from = std::mem::replace(&mut column.dtype, dtype);
    let Some(Classes { count, values }) = &mut column.classes else { return };
    match (from, dtype) {
        (from, to) if from.is_integer() && to.is_integer() => {}
        (from, DType::String) if from.is_integer() || matches!(from, DType::Bool | DType::String) => values.sort(),
        (_, DType::Bool) => {
            *count = (*count).min(2);
            values.clear();
        }
        (_, to) if to.is_float() => column.classes = None,
        _ => values.clear(),
    }
}
