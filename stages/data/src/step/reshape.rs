//! Steps that make columns out of columns, cell by cell.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, StringBuilder, UInt8Array,
    make_comparator,
};
use arrow::compute::kernels::cmp;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{SortOptions, cast, prep_null_mask_filter};
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use catalog::columns::dates::Format;
use catalog::params::scalar::Scalar;
use catalog::steps::clip::Clip;
use contract::artifact::{Column, DType};
use regex::Regex;

use super::fill;
use crate::fault::{Outcome, kernel};
use crate::table::convert::convert;

/// Texts as dates or datetimes by the first format that fits, and the rows whose text no format fits (their cells are missing).
pub fn dates(array: &ArrayRef, formats: &[Format], into: DType) -> Outcome<(ArrayRef, Vec<usize>)> {
    let mut wrong = Vec::new();
    let mut micros: Vec<Option<i64>> = Vec::with_capacity(array.len());
    for (row, text) in array.as_string::<i32>().iter().enumerate() {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let read = text.and_then(|text| formats.iter().find_map(|format| format.parse(text)));
        if text.is_some() && read.is_none() {
            wrong.push(row);
        }
        micros.push(read);
    }
    let micros = Int64Array::from(micros);
    let stamps = cast(&micros, &DataType::Timestamp(TimeUnit::Microsecond, None))
        .map_err(|error| kernel("reading dates", &error))?;
    let array = convert(&stamps, into).map_err(|_| kernel("reading dates", &"a year is out of range"))?;
    Ok((array, wrong))
}

/// The parts of texts, one array for each: at a separator (the last takes the rest) or the groups of a pattern.
pub fn parts(array: &ArrayRef, count: usize, by: Option<&str>, pattern: Option<&Regex>) -> Vec<ArrayRef> {
    let mut builders: Vec<StringBuilder> = (0..count).map(|_| StringBuilder::new()).collect();
    for text in array.as_string::<i32>().iter() {
        let found: Vec<Option<&str>> = match (text, by, pattern) {
            (Some(text), Some(by), _) => text.splitn(count, by).map(Some).collect(),
            (Some(text), None, Some(pattern)) => pattern.captures(text).map_or_else(Vec::new, |groups| {
                groups.iter().skip(1).map(|group| group.map(|group| group.as_str())).collect()
            }),
            _ => Vec::new(),
        };
        for (index, builder) in builders.iter_mut().enumerate() {
            builder.append_option(found.get(index).copied().flatten());
        }
    }
    builders.into_iter().map(|mut builder| Arc::new(builder.finish()) as ArrayRef).collect()
}

/// The cells of several columns one behind the other; missing when all of them are.
pub fn joined(arrays: &[ArrayRef], between: &str, rows: usize) -> Outcome<ArrayRef> {
    let options = FormatOptions::default();
    let formatters = arrays
        .iter()
        .map(|array| ArrayFormatter::try_new(array, &options))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| kernel("writing cells as text", &error))?;
    let cells = (0..rows).map(|row| {
        let there: Vec<String> = arrays
            .iter()
            .zip(&formatters)
            .filter(|(array, _)| array.is_valid(row))
            .map(|(_, formatter)| formatter.value(row).to_string())
            .collect();
        (!there.is_empty()).then(|| there.join(between))
    });
    Ok(Arc::new(cells.collect::<StringArray>()))
}

/// Where the cells equal a value: a mask without missing entries.
fn equal(array: &ArrayRef, cell: &ArrayRef) -> Outcome<BooleanArray> {
    let one = arrow::array::Scalar::new(cell.clone());
    let mask = cmp::eq(array, &one).map_err(|error| kernel("comparing cells", &error))?;
    Ok(if mask.nulls().is_some() { prep_null_mask_filter(&mask) } else { mask })
}

/// A column of 0 and 1 for each category, and the rows that hold another value.
pub fn one_hot(array: &ArrayRef, column: &Column, categories: &[Scalar]) -> Outcome<(Vec<ArrayRef>, Vec<usize>)> {
    let mut known = fill::missing(array);
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(categories.len());
    for value in categories {
        // The catalog has made sure that each is a value of the column.
        let Some(cell) = fill::cell(value, column) else { continue };
        let mask = equal(array, &cell)?;
        known = &known | mask.values();
        arrays.push(Arc::new(UInt8Array::from_iter_values(mask.values().iter().map(u8::from))));
    }
    let strangers = (0..array.len()).filter(|row| !known.value(*row)).collect();
    Ok((arrays, strangers))
}

/// The names of the bins that numbers fall into; a missing cell and NaN stay missing.
pub fn bin(array: &ArrayRef, edges: &[f64], names: &[String]) -> Outcome<ArrayRef> {
    let floats = cast(array, &DataType::Float64).map_err(|error| kernel("binning numbers", &error))?;
    let floats = floats.as_primitive::<Float64Type>();
    let cells = floats.iter().map(|value| {
        let value = value.filter(|value| !value.is_nan())?;
        Some(names[edges.partition_point(|edge| *edge <= value)].as_str())
    });
    Ok(Arc::new(cells.collect::<StringArray>()))
}

/// Numbers inside a range, in their own type.
pub fn clip(array: &ArrayRef, options: &Clip) -> Outcome<ArrayRef> {
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
            BooleanArray::new(beyond.values() & &!&fill::missing(&array), None)
        } else {
            beyond
        };
        array = zip(&beyond, &one, &array.as_ref()).map_err(fail)?;
    }
    Ok(array)
}

/// Whole cells replaced: those that read as `old` become `new`, or missing. `old` that is no value of the column is nowhere.
pub fn replace(array: &ArrayRef, column: &Column, values: &[(String, Option<Scalar>)]) -> Outcome<ArrayRef> {
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
            Some(value) => match fill::cell(value, column) {
                Some(cell) => cell,
                None => continue,
            },
        };
        made = zip(&mask, &arrow::array::Scalar::new(new), &made.as_ref()).map_err(fail)?;
    }
    Ok(made)
}

/// Every text through a function.
pub fn texts<'a>(array: &'a ArrayRef, f: impl Fn(&'a str) -> std::borrow::Cow<'a, str>) -> ArrayRef {
    Arc::new(array.as_string::<i32>().iter().map(|text| text.map(&f)).collect::<StringArray>())
}

/// How many cells differ between two arrays of one length.
pub fn changed(old: &ArrayRef, new: &ArrayRef) -> u64 {
    if old.data_type() != new.data_type() {
        let missing = |row: usize| new.is_null(row) && old.is_null(row);
        return (0..new.len()).filter(|row| !missing(*row)).count() as u64;
    }
    if old.to_data().ptr_eq(&new.to_data()) {
        return 0;
    }
    if old.data_type().is_nested() {
        let compare = make_comparator(old, new, SortOptions::default());
        return compare.map_or(0, |compare| (0..new.len()).filter(|row| compare(*row, *row).is_ne()).count() as u64);
    }
    cmp::distinct(old, new).map_or(0, |mask| mask.true_count() as u64)
}
