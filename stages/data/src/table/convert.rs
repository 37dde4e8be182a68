//! A column as another type, refused where anything would be lost.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float64Array, UInt64Array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, TimeUnit, TimestampNanosecondType};
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Route};

use crate::table::cell;
use crate::table::dataset::{arrow_type, item};
use crate::table::display::shown;
use crate::table::sink::{Missing, Sink, Target};

/// Why a column is not converted.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No cell of this type is one of that type (numbers are no dates).
    Types,
    /// The cells of these rows (from 0) are not, and how many there are.
    Cells(Vec<usize>, usize),
}

/// As [`convert`], but cells that are not of the type are missing; and the rows they are in.
///
/// # Errors
/// No cell of this type is one of that type.
pub fn convert_some(array: &ArrayRef, to: DType) -> Result<(ArrayRef, Vec<usize>), Refusal> {
    match convert(array, to) {
        Ok(array) => Ok((array, Vec::new())),
        Err(Refusal::Types) => Err(Refusal::Types),
        Err(Refusal::Cells(rows, _)) => {
            let mut wrong = rows.iter().peekable();
            let kept: UInt64Array =
                (0..array.len()).map(|row| wrong.next_if_eq(&&row).is_none().then_some(row as u64)).collect();
            let rest = take(array, &kept, None).map_err(|_| Refusal::Types)?;
            Ok((convert(&rest, to)?, rows))
        }
    }
}

/// The cells as another type: texts are read, numbers must keep their value (floats become integers only when they are whole,
/// integers floats only when these have all their digits, bools only from 0 and 1), a datetime becomes a date by dropping the time of day. Missing cells stay missing; a blank text
/// becomes one.
///
/// # Errors
/// What cannot be converted.
pub fn convert(array: &ArrayRef, to: DType) -> Result<ArrayRef, Refusal> {
    if let DataType::FixedSizeList(_, size) = array.data_type() {
        let list = array.as_fixed_size_list();
        let values = list.values().slice(list.value_offset(0) as usize, list.len() * *size as usize);
        if !matches!(to, DType::Float32 | DType::UInt8) {
            return Err(Refusal::Types);
        }
        let values = convert(&values, to).map_err(|refusal| match refusal {
            Refusal::Cells(rows, count) => {
                let mut rows: Vec<usize> = rows.into_iter().map(|row| row / *size as usize).collect();
                rows.dedup();
                Refusal::Cells(rows, count)
            }
            Refusal::Types => Refusal::Types,
        })?;
        let list = FixedSizeListArray::new(item(values.data_type().clone()), *size, values, list.nulls().cloned());
        return Ok(Arc::new(list));
    }
    let target = arrow_type(&Column::new("", to));
    let from = array.data_type().clone();
    if from == target {
        return Ok(array.clone());
    }
    match (&from, &target) {
        (DataType::Utf8, DataType::Binary) | (DataType::Binary, DataType::Utf8) => kernel(array, &target),
        (DataType::Utf8, _) => read(array, to),
        (DataType::Boolean, target) if target.is_numeric() => kernel(array, target),
        (from, DataType::Boolean) if from.is_numeric() => {
            let floats = kernel(array, &DataType::Float64)?;
            let floats = floats.as_primitive::<Float64Type>();
            refuse(array, |row| floats.value(row) != 0.0 && floats.value(row) != 1.0)?;
            kernel(array, &target)
        }
        (from, to) if from.is_numeric() && to.is_numeric() => number(array, to),
        // Functions of SQL give nanoseconds.
        (DataType::Timestamp(unit, None), DataType::Timestamp(TimeUnit::Microsecond, None)) => {
            if *unit == TimeUnit::Nanosecond {
                let exact = array.as_primitive::<TimestampNanosecondType>();
                refuse(array, |row| exact.value(row) % 1000 != 0)?;
            }
            kernel(array, &target)
        }
        (DataType::Date32, DataType::Timestamp(TimeUnit::Microsecond, None))
        | (DataType::Timestamp(TimeUnit::Microsecond, None), DataType::Date32) => kernel(array, &target),
        (DataType::Binary, _) => Err(Refusal::Types),
        (_, DataType::Utf8) => kernel(array, &target),
        _ => Err(Refusal::Types),
    }
}

/// The fault of a column of which no cell can become the type.
pub fn no_such_cast(column: &Column, dtype: DType, route: &Route) -> Fault {
    let text = format!("column `{}` is {}, which cannot become {}", column.name, column.type_name(), dtype.name());
    Fault::error(contract::code!("data::cannot_cast"), text)
        .help("numbers, bools and text become each other, dates and datetimes too; go over `string` if you must")
        .at(route.clone())
}

/// The fault of a cell that cannot become the type; `number` is the number of its row, from 0.
pub fn misfit(array: &ArrayRef, row: usize, number: u64, column: &Column, dtype: DType) -> Fault {
    let text = format!(
        "`{}` in row {} of column `{}` is not {}: expected {}",
        shown(array, row),
        number + 1,
        column.name,
        dtype.name(),
        cell::expected(dtype)
    );
    Fault::error(contract::code!("data::cell"), text).help(
        "correct or drop the row, choose another type, or say what happens: `on_error: reject` or `on_error: fill`",
    )
}

/// Cells of a column that two sources have, which the type that is to hold those of both does not hold.
pub fn too_long(name: &str, dtype: DType) -> Fault {
    let text =
        format!("`{name}` is {} together, and some of its whole numbers have more digits than that", dtype.name());
    Fault::error(contract::code!("data::cell"), text).help("give the column the same `dtype` in both, such as `string`")
}

fn read(array: &ArrayRef, to: DType) -> Result<ArrayRef, Refusal> {
    let missing = Missing::new(&[]);
    let mut sink = Sink::new(Target::Stated(to), array.len());
    let mut wrong = Wrong::default();
    for (row, text) in array.as_string::<i32>().iter().enumerate() {
        if sink.push(text.unwrap_or_default().as_bytes(), false, &missing).is_err() {
            wrong.add(row);
        }
    }
    wrong.or(())?;
    sink.finish().ok().flatten().ok_or(Refusal::Types)
}

fn number(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Refusal> {
    let converted = kernel(array, to)?;
    if from_float(array) && to.is_integer() {
        let floats = kernel(array, &DataType::Float64)?;
        let floats: &Float64Array = floats.as_primitive();
        refuse(array, |row| floats.value(row).fract() != 0.0)?;
    }
    // Beyond 2^53 (2^24) a float is not every whole number.
    if array.data_type().is_integer() && to.is_floating() {
        let wide = |array: &ArrayRef| match kernel(array, &DataType::Decimal128(38, 0)) {
            Ok(exact) => Ok(exact),
            Err(_) => Err(Refusal::Types),
        };
        let limit = if to == &DataType::Float64 { 1_i128 << 53 } else { 1 << 24 };
        let whole = wide(array)?;
        let whole = whole.as_primitive::<Decimal128Type>();
        let kept = |row: usize| {
            let value = whole.value(row);
            value.abs() <= limit
                || match to {
                    DataType::Float64 => value as f64 as i128 == value,
                    _ => value as f32 as i128 == value,
                }
        };
        refuse(array, |row| !kept(row))?;
    }
    if array.data_type() == &DataType::Float64 && to == &DataType::Float32 {
        let (wide, narrow) = (array.as_primitive::<Float64Type>(), converted.as_primitive::<Float32Type>());
        refuse(array, |row| wide.value(row).is_finite() && !narrow.value(row).is_finite())?;
    }
    Ok(converted)
}

fn from_float(array: &ArrayRef) -> bool {
    array.data_type().is_floating()
}

fn kernel(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Refusal> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let converted = cast_with_options(array, to, &options).map_err(|_| Refusal::Types)?;
    if converted.null_count() > array.null_count() {
        refuse(array, |row| converted.is_null(row))?;
    }
    Ok(converted)
}

fn refuse(array: &ArrayRef, bad: impl Fn(usize) -> bool) -> Result<(), Refusal> {
    let mut wrong = Wrong::default();
    for row in 0..array.len() {
        if array.is_valid(row) && bad(row) {
            wrong.add(row);
        }
    }
    wrong.or(())
}

#[derive(Default)]
struct Wrong {
    rows: Vec<usize>,
    count: usize,
}

impl Wrong {
    fn add(&mut self, row: usize) {
        self.rows.push(row);
        self.count += 1;
    }

    fn or<T>(self, value: T) -> Result<T, Refusal> {
        if self.count == 0 { Ok(value) } else { Err(Refusal::Cells(self.rows, self.count)) }
    }
}

/// The type that holds the cells of both, where there is one.
pub fn wider(a: DType, b: DType) -> Option<DType> {
    use DType::{Date, Datetime, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32};
    if a == b {
        return Some(a);
    }
    let bits = |dtype| match dtype {
        Int8 | UInt8 => 8,
        Int16 | UInt16 => 16,
        Int32 | UInt32 => 32,
        _ => 64,
    };
    let signed = |dtype| matches!(dtype, Int8 | Int16 | Int32 | Int64);
    match (a, b) {
        (Date, Datetime) | (Datetime, Date) => Some(Datetime),
        _ if a.is_integer() && b.is_integer() => {
            let (large, small) = if bits(a) >= bits(b) { (a, b) } else { (b, a) };
            if signed(large) == signed(small) {
                return Some(large);
            }
            // A signed type holds an unsigned one of half its bits.
            let (unsigned, signed) = if signed(a) { (b, a) } else { (a, b) };
            match bits(signed).max(2 * bits(unsigned)) {
                16 => Some(Int16),
                32 => Some(Int32),
                64 => Some(Int64),
                _ => None,
            }
        }
        _ if a.is_numeric() && b.is_numeric() => {
            let integer = if a.is_integer() { Some(a) } else { b.is_integer().then_some(b) };
            let small = integer.is_none_or(|integer| bits(integer) <= 16);
            let float32 = (a == Float32 || b == Float32) && a != Float64 && b != Float64;
            Some(if float32 && small { Float32 } else { Float64 })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Date32Array, Int64Array, StringArray};

    use super::*;

    fn texts(cells: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(cells.to_vec()))
    }

    #[test]
    fn what_keeps_its_value_is_converted() {
        let numbers = convert(&texts(&["1", " 2 ", "", "181.0"]), DType::Int64).unwrap();
        assert_eq!(numbers.as_ref(), &Int64Array::from(vec![Some(1), Some(2), None, Some(181)]));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(3.0), None]));
        assert_eq!(convert(&floats, DType::Int64).unwrap().as_ref(), &Int64Array::from(vec![Some(3), None]));
        assert_eq!(convert(&floats, DType::String).unwrap().as_ref(), &StringArray::from(vec![Some("3.0"), None]));
        let bits: ArrayRef = Arc::new(Int64Array::from(vec![0, 1]));
        assert_eq!(convert(&bits, DType::Bool).unwrap().as_ref(), &BooleanArray::from(vec![false, true]));
        let days = convert(&texts(&["1970-01-02"]), DType::Date).unwrap();
        assert_eq!(days.as_ref(), &Date32Array::from(vec![1]));
        let times = convert(&days, DType::Datetime).unwrap();
        assert_eq!(convert(&times, DType::Date).unwrap().as_ref(), &Date32Array::from(vec![1]));
        assert_eq!(shown(&times, 0), "1970-01-02T00:00:00");
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        assert_eq!(convert(&texts(&["1", "x", "y"]), DType::Int64), Err(Refusal::Cells(vec![1, 2], 2)));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 1.5, f64::NAN, 1e300]));
        assert_eq!(convert(&floats, DType::Int64), Err(Refusal::Cells(vec![2, 3], 2)));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 1.5]));
        assert_eq!(convert(&floats, DType::Int64), Err(Refusal::Cells(vec![1], 1)));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1e300, f64::INFINITY]));
        assert_eq!(convert(&floats, DType::Float32), Err(Refusal::Cells(vec![0], 1)));
        let exact = 1_i64 << 53;
        let long: ArrayRef =
            Arc::new(Int64Array::from(vec![Some(exact), Some(exact + 1), None, Some(-exact - 1), Some(exact * 4)]));
        assert_eq!(convert(&long, DType::Float64), Err(Refusal::Cells(vec![1, 3], 2)));
        let long: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 1 << 63]));
        assert_eq!(convert(&long, DType::Float64), Err(Refusal::Cells(vec![0], 1)));
        let long: ArrayRef = Arc::new(Int64Array::from(vec![1 << 24, (1 << 24) + 1]));
        assert_eq!(convert(&long, DType::Float32), Err(Refusal::Cells(vec![1], 1)));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 300, 2]));
        assert_eq!(convert(&numbers, DType::UInt8), Err(Refusal::Cells(vec![1], 1)));
        assert_eq!(convert(&numbers, DType::Bool), Err(Refusal::Cells(vec![1, 2], 2)));
        assert_eq!(convert(&numbers, DType::Date), Err(Refusal::Types));
        let (rest, wrong) = convert_some(&texts(&["1", "x", "3"]), DType::Int64).unwrap();
        assert_eq!((rest.as_ref(), wrong), (&Int64Array::from(vec![Some(1), None, Some(3)]) as &dyn Array, vec![1]));
    }

    #[test]
    fn wider_types_hold_both() {
        use DType::{Bool, Float32, Float64, Int8, Int16, Int32, Int64, String, UInt8, UInt16, UInt32, UInt64};
        for (a, b, expected) in [
            (Int8, Int64, Some(Int64)),
            (UInt8, Int8, Some(Int16)),
            (UInt8, Int16, Some(Int16)),
            (UInt16, Int8, Some(Int32)),
            (UInt32, Int8, Some(Int64)),
            (UInt32, Int64, Some(Int64)),
            (UInt64, Int8, None),
            (UInt8, UInt64, Some(UInt64)),
            (Int32, Float32, Some(Float64)),
            (Int16, Float32, Some(Float32)),
            (Float32, Float64, Some(Float64)),
            (Int64, Float64, Some(Float64)),
            (Bool, Int8, None),
            (String, Int8, None),
        ] {
            assert_eq!(wider(a, b), expected, "{a:?} {b:?}");
            assert_eq!(wider(b, a), expected, "{b:?} {a:?}");
        }
    }
}
