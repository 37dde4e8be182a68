//! Foreign Arrow types as the types of a data set.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use engine::artifact::{Column, DType, DatasetType};
use engine::error::Fault;

use crate::dataset::{METADATA, arrow_type, batch, item};
use crate::fault::{COLUMNS, Faults, Outcome, place, too_wide};

/// The columns that a foreign schema becomes. Roles and shapes survive where the file is a data set of ours.
///
/// # Errors
/// Every column whose type has no counterpart: nested ones, durations, intervals.
pub fn columns(schema: &Schema, shown: &str) -> Outcome<Vec<Column>> {
    let ours: Option<DatasetType> = schema.metadata().get(METADATA).and_then(|json| serde_json::from_str(json).ok());
    if schema.fields().len() > COLUMNS {
        return Err(vec![too_wide(shown, None)]);
    }
    let mut faults = Faults::default();
    let mut columns: Vec<Column> = Vec::new();
    let mut known: HashSet<&str> = HashSet::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let at = || place(shown, None, Some(index as u64 + 1));
        if field.name().trim().is_empty() {
            let text = format!("column {} of `{shown}` has no name", index + 1);
            faults.add(|| Fault::error("data::empty_name", text).help("name it where the file is written").place(at()));
        } else if !known.insert(field.name()) {
            let text = format!("`{shown}` has two columns called `{}`", field.name());
            let help = "rename one of them where the file is written";
            faults.add(|| Fault::error("data::duplicate_column", text).help(help).place(at()));
        }
        match column(field) {
            Some(mut column) => {
                if let Some(known) = ours.as_ref().and_then(|ours| ours.column(field.name()))
                    && arrow_type(known) == arrow_type(&column)
                {
                    column.shape.clone_from(&known.shape);
                    column.role = known.role;
                }
                columns.push(column);
            }
            None => {
                let text = format!(
                    "column `{}` of `{shown}` is {}, which a data set cannot hold",
                    field.name(),
                    field.data_type()
                );
                faults.add(|| {
                    Fault::error("data::unsupported_type", text)
                        .help("write it as plain columns (numbers, text, bools, dates) or as lists of numbers of one fixed length")
                        .place(at())
                });
            }
        }
    }
    if schema.fields().is_empty() {
        faults.add(|| crate::fault::empty(shown, "it has no columns"));
    }
    faults.or(columns)
}

fn column(field: &Field) -> Option<Column> {
    let mut column = Column::new(field.name(), DType::String);
    column.nullable = field.is_nullable();
    if let DataType::FixedSizeList(item, size) = field.data_type() {
        column.dtype = match item.data_type() {
            DataType::UInt8 => DType::UInt8,
            other if other.is_numeric() => DType::Float32,
            _ => return None,
        };
        column.shape = vec![u64::try_from(*size).ok()?];
        column.nullable = false;
        return Some(column);
    }
    column.dtype = scalar(field.data_type())?;
    Some(column)
}

/// The type of a plain Arrow type, where a data set has one.
pub fn scalar(data_type: &DataType) -> Option<DType> {
    Some(match data_type {
        DataType::Boolean => DType::Bool,
        DataType::Int8 => DType::Int8,
        DataType::Int16 => DType::Int16,
        DataType::Int32 => DType::Int32,
        DataType::Int64 => DType::Int64,
        DataType::UInt8 => DType::UInt8,
        DataType::UInt16 => DType::UInt16,
        DataType::UInt32 => DType::UInt32,
        DataType::UInt64 => DType::UInt64,
        DataType::Float16 | DataType::Float32 => DType::Float32,
        DataType::Float64 => DType::Float64,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            DType::Float64
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DType::String,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DType::Binary,
        DataType::Date32 | DataType::Date64 => DType::Date,
        DataType::Timestamp(..) => DType::Datetime,
        DataType::Dictionary(_, values) => scalar(values)?,
        DataType::RunEndEncoded(_, values) => scalar(values.data_type())?,
        _ => return None,
    })
}

/// A foreign batch as one of ours. `before` rows of the file came earlier (for messages).
///
/// # Errors
/// Tensors with missing cells, instants that microseconds cannot hold.
pub fn rows(foreign: &RecordBatch, columns: &[Column], shown: &str, before: usize) -> Outcome<RecordBatch> {
    let mut faults = Faults::default();
    let mut arrays = Vec::with_capacity(columns.len());
    for (array, column) in foreign.columns().iter().zip(columns) {
        match cells(array, column) {
            Ok(array) => arrays.push(array),
            Err(row) => {
                let row = before + row + 1;
                faults.add(|| {
                    Fault::error(
                        "data::cell",
                        format!("row {row} of column `{}` in `{shown}` cannot be kept as {}", column.name, column.type_name()),
                    )
                    .help("fill or drop the cell where the file is written; tensors need every element, times fit in microseconds")
                    .place(place(shown, Some(row as u64), None))
                });
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    batch(columns, arrays)
}

/// A foreign column as ours, or the first row that cannot be.
fn cells(array: &ArrayRef, column: &Column) -> Result<ArrayRef, usize> {
    let to = arrow_type(column);
    if array.data_type() == &to && column.shape.is_empty() {
        return Ok(array.clone());
    }
    if let DataType::FixedSizeList(_, size) = array.data_type() {
        let list = array.as_fixed_size_list();
        if let Some(row) = (0..list.len()).find(|row| list.is_null(*row)) {
            return Err(row);
        }
        let width = *size as usize;
        let values = list.values().slice(list.value_offset(0) as usize, list.len() * width);
        if let Some(position) = (0..values.len()).find(|position| values.is_null(*position)) {
            return Err(position / width.max(1));
        }
        let element = if column.dtype == DType::UInt8 { DataType::UInt8 } else { DataType::Float32 };
        let values = cast(&values, &element).map_err(|_| 0usize)?;
        return Ok(Arc::new(FixedSizeListArray::new(item(element), *size, values, None)));
    }
    let plain = match array.data_type() {
        DataType::Null => return Ok(new_null_array(&DataType::Utf8, array.len())),
        DataType::Dictionary(_, values) => cast(array, values).map_err(|_| 0usize)?,
        DataType::RunEndEncoded(_, values) => cast(array, values.data_type()).map_err(|_| 0usize)?,
        // Instants are kept as UTC; the zone they are shown in is dropped.
        DataType::Timestamp(unit, Some(_)) => cast(array, &DataType::Timestamp(*unit, None)).map_err(|_| 0usize)?,
        _ => array.clone(),
    };
    if plain.data_type() == &to {
        return Ok(plain);
    }
    let converted = cast(&plain, &to).map_err(|_| 0usize)?;
    if converted.null_count() > plain.null_count() {
        let row = (0..plain.len()).find(|row| plain.is_valid(*row) && converted.is_null(*row));
        return Err(row.unwrap_or(0));
    }
    Ok(converted)
}
