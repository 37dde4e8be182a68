//! Foreign Arrow types as the types of a data set.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, RecordBatch, UInt64Array, new_null_array,
};
use arrow::compute::{cast, filter_record_batch, take};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit, TimestampNanosecondType};
use contract::artifact::{Column, DType, DatasetType};
use contract::fault::{Fault, Faults};

use super::reading::{Reading, Refused, bounded};
use crate::fault::{COLUMNS, FaultList, Outcome, kernel, place, too_wide};
use crate::table::dataset::{METADATA, arrow_type, batch, item};
use crate::table::display::{self, value};

/// The columns that the answer of a query becomes, as its expressions are typed.
///
/// # Errors
/// As [`stated_columns`].
pub fn columns(schema: &Schema, shown: &str) -> Outcome<Vec<Column>> {
    named_columns(schema, shown, |field| column(field, scalar(field.data_type())))
}

/// The columns that a foreign schema becomes. Roles, units and shapes survive where the file is a data set of ours. What no type of ours
/// holds without loss (decimals, nanoseconds) gets the type that is stated for it.
///
/// # Errors
/// Every column whose type has no counterpart: nested ones, durations, intervals.
pub fn stated_columns(schema: &Schema, shown: &str, types: &BTreeMap<String, DType>) -> Outcome<Vec<Column>> {
    named_columns(schema, shown, |field| column(field, exact(field.data_type(), types.get(field.name()).copied())))
}

fn named_columns(schema: &Schema, shown: &str, typed: impl Fn(&Field) -> Option<Column>) -> Outcome<Vec<Column>> {
    let ours: Option<DatasetType> = schema.metadata().get(METADATA).and_then(|json| serde_json::from_str(json).ok());
    if schema.fields().len() > COLUMNS {
        return Err(Faults::from(too_wide(shown, None)));
    }
    let mut faults = FaultList::default();
    let mut columns: Vec<Column> = Vec::new();
    let mut known: HashSet<&str> = HashSet::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let at = || place(shown, None, Some(index as u64 + 1));
        if field.name().trim().is_empty() {
            let text = format!("column {} of `{shown}` has no name", index + 1);
            faults.add(|| {
                Fault::error(contract::code!("data::empty_name"), text)
                    .help("name it where the file is written")
                    .place(at())
            });
        } else if !known.insert(field.name()) {
            let text = format!("`{shown}` has two columns called `{}`", field.name());
            let help = "rename one of them where the file is written";
            faults.add(|| Fault::error(contract::code!("data::duplicate_column"), text).help(help).place(at()));
        }
        match typed(field) {
            Some(mut column) => {
                if let Some(known) = ours.as_ref().and_then(|ours| ours.column(field.name()))
                    && arrow_type(known) == arrow_type(&column)
                {
                    column.shape.clone_from(&known.shape);
                    column.role = known.role;
                    column.unit.clone_from(&known.unit);
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
                    Fault::error(contract::code!("data::unsupported_type"), text)
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

fn column(field: &Field, scalar: Option<DType>) -> Option<Column> {
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
    column.dtype = scalar?;
    Some(column)
}

/// The type that keeps all digits, or the one that is stated.
fn exact(data_type: &DataType, stated: Option<DType>) -> Option<DType> {
    match (data_type, stated) {
        (data_type, Some(to)) if decimal(data_type).is_some() && (to.is_integer() || to == DType::String) => Some(to),
        (DataType::Timestamp(TimeUnit::Nanosecond, _), Some(DType::String)) => Some(DType::String),
        // As the same number from a database.
        (data_type, _) if decimal(data_type).is_some_and(|(digits, scale)| digits <= 18 && scale == 0) => {
            Some(DType::Int64)
        }
        (data_type, _) => scalar(data_type),
    }
}

/// Digits and decimal places.
fn decimal(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale) => Some((*digits, *scale)),
        _ => None,
    }
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

/// A batch of a query's answer as one of ours. `before` rows came earlier (for messages).
///
/// # Errors
/// Cells that do not fit.
pub fn rows(foreign: &RecordBatch, columns: &[Column], shown: &str, before: usize) -> Outcome<RecordBatch> {
    let mut faults = FaultList::default();
    let mut arrays = Vec::with_capacity(columns.len());
    let numbers: Vec<u64> = (0..foreign.num_rows()).map(|row| (before + row) as u64).collect();
    for (array, column) in foreign.columns().iter().zip(columns) {
        match cells(array, column, Some(column.dtype)) {
            Ok(array) => arrays.push(array),
            Err(unfit) if unfit.rows.is_empty() => faults.add(|| no_type(column, shown)),
            Err(unfit) => {
                unfit.rows.iter().for_each(|row| faults.add(|| unfit.fault(array, column, *row, shown, &numbers)));
            }
        }
    }
    if faults.is_empty() { batch(columns, arrays) } else { Err(faults.into_vec()) }
}

fn no_type(column: &Column, shown: &str) -> Fault {
    let text = format!("column `{}` of `{shown}` cannot be kept as {}", column.name, column.type_name());
    Fault::error(contract::code!("data::unsupported_type"), text)
        .help("write it as another type, or state one: `columns: { NAME: { dtype: string } }`")
        .place(place(shown, None, None))
}

/// A foreign batch as one of ours. `numbers` tell which rows of the file they are (from 0); rows that are left out are taken out of it.
///
/// # Errors
/// Tensors with missing cells, numbers and times that would lose digits.
pub fn read_rows(
    foreign: &RecordBatch,
    columns: &[Column],
    shown: &str,
    numbers: &mut Vec<u64>,
    reading: &Reading<'_>,
) -> Outcome<RecordBatch> {
    let mut faults = FaultList::default();
    let mut bad: BTreeMap<usize, Fault> = BTreeMap::new();
    let mut filled: BTreeSet<usize> = BTreeSet::new();
    let mut arrays = Vec::with_capacity(columns.len());
    for (array, column) in foreign.columns().iter().zip(columns) {
        let stated = reading.types.get(&column.name).copied();
        let unfit = match cells(array, column, stated) {
            Ok(array) => {
                arrays.push(array);
                continue;
            }
            Err(unfit) => unfit,
        };
        if unfit.rows.is_empty() {
            faults.add(|| no_type(column, shown));
        } else if reading.refusals.fill() && column.shape.is_empty() {
            let first = unfit.fault(array, column, unfit.rows[0], shown, numbers);
            let new = unfit.rows.iter().filter(|row| filled.insert(**row)).count();
            reading.refusals.filled(unfit.rows.len() as u64, new as u64, Some(first));
            let gone: HashSet<usize> = unfit.rows.into_iter().collect();
            let kept: UInt64Array = (0..array.len()).map(|row| (!gone.contains(&row)).then_some(row as u64)).collect();
            let array = take(array, &kept, None).map_err(|error| kernel("leaving out cells", &error))?;
            arrays.push(cells(&array, column, stated).map_err(|_| kernel("leaving out cells", &column.name))?);
        } else {
            for row in &unfit.rows {
                let fault = || unfit.fault(array, column, *row, shown, numbers);
                if reading.refusals.reject() {
                    bad.entry(*row).or_insert_with(fault);
                } else {
                    faults.add(fault);
                }
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    if bad.is_empty() {
        return batch(columns, arrays);
    }
    let left = leave_out(foreign, bad, shown, numbers, reading)?;
    read_rows(&left, columns, shown, numbers, reading)
}

/// A batch without the rows that cannot be read.
///
/// # Errors
/// None that a user can cause.
pub fn leave_out(
    rows: &RecordBatch,
    bad: BTreeMap<usize, Fault>,
    shown: &str,
    numbers: &mut Vec<u64>,
    reading: &Reading<'_>,
) -> Outcome<RecordBatch> {
    let mut kept = vec![true; rows.num_rows()];
    for (row, fault) in bad {
        kept[row] = false;
        let text = Some(text(rows, row));
        let (row, line) = (Some(numbers[row]), None);
        reading.refusals.rejected(shown, Refused { row, line, reason: fault.message, text })?;
    }
    let mut at = kept.iter();
    numbers.retain(|_| at.next().copied().unwrap_or(true));
    filter_record_batch(rows, &BooleanArray::from(kept)).map_err(|error| kernel("leaving out rows", &error))
}

/// A row's plain cells as JSON.
fn text(rows: &RecordBatch, row: usize) -> String {
    let plain = |data_type: &DataType| scalar(data_type).is_some_and(|dtype| dtype != DType::Binary);
    let schema = rows.schema();
    let cells = schema.fields().iter().zip(rows.columns()).filter(|(field, _)| plain(field.data_type()));
    let cells: serde_json::Map<String, serde_json::Value> =
        cells.map(|(field, array)| (field.name().clone(), value(array, row, 6))).collect();
    bounded(serde_json::Value::Object(cells).to_string().as_bytes())
}

/// The cells that a column cannot keep: none, where it cannot keep any.
struct Unfit {
    rows: Vec<usize>,
    why: &'static str,
    help: &'static str,
}

const TENSOR: (&str, &str) =
    ("cannot be kept: a tensor needs every element", "fill or drop it where the file is written");
const FINER: (&str, &str) = (
    "is finer than a microsecond, and the rest would be cut off",
    "`dtype: string` keeps all digits, `dtype: datetime` says that they may be cut off",
);
const DIGITS: (&str, &str) = (
    "has more digits than a float64 keeps",
    "`dtype: string` keeps all digits, `dtype: float64` says that the nearest float will do",
);
const OTHER: (&str, &str) =
    ("does not fit", "state a type that holds it, such as `string`, or correct it where the file is written");

impl Unfit {
    fn of(rows: Vec<usize>, (why, help): (&'static str, &'static str)) -> Self {
        Self { rows, why, help }
    }

    fn fault(&self, array: &ArrayRef, column: &Column, row: usize, shown: &str, numbers: &[u64]) -> Fault {
        let (number, name) = (numbers[row] + 1, &column.name);
        let what =
            if column.shape.is_empty() { format!("`{}`", display::shown(array, row)) } else { "the cell".to_owned() };
        let why = if self.why == OTHER.0 {
            format!("does not fit into {}", column.dtype.name())
        } else {
            self.why.to_owned()
        };
        let help = if column.shape.is_empty() {
            format!("{}, as in `columns: {{ {name}: {{ dtype: string }} }}`", self.help)
        } else {
            self.help.to_owned()
        };
        Fault::error(
            contract::code!("data::cell"),
            format!("{what} in row {number} of column `{name}` of `{shown}` {why}"),
        )
        .help(help)
        .place(place(shown, Some(number), None))
    }
}

/// A foreign column as ours, or the rows that cannot be.
fn cells(array: &ArrayRef, column: &Column, stated: Option<DType>) -> Result<ArrayRef, Unfit> {
    let none = |_| Unfit::of(Vec::new(), OTHER);
    let to = arrow_type(column);
    if array.data_type() == &to && column.shape.is_empty() {
        return Ok(array.clone());
    }
    if let DataType::FixedSizeList(_, size) = array.data_type() {
        let list = array.as_fixed_size_list();
        let width = *size as usize;
        let values = list.values().slice(list.value_offset(0) as usize, list.len() * width);
        let missing = |row: usize| list.is_null(row) || values.slice(row * width, width).null_count() > 0;
        let rows: Vec<usize> = (0..list.len()).filter(|row| missing(*row)).collect();
        if !rows.is_empty() {
            return Err(Unfit::of(rows, TENSOR));
        }
        let element = if column.dtype == DType::UInt8 { DataType::UInt8 } else { DataType::Float32 };
        let values = cast(&values, &element).map_err(none)?;
        return Ok(Arc::new(FixedSizeListArray::new(item(element), *size, values, None)));
    }
    let plain = match array.data_type() {
        DataType::Null => return Ok(new_null_array(&DataType::Utf8, array.len())),
        DataType::Dictionary(_, values) => cast(array, values).map_err(none)?,
        DataType::RunEndEncoded(_, values) => cast(array, values.data_type()).map_err(none)?,
        // Instants are kept as UTC; the zone they are shown in is dropped.
        DataType::Timestamp(unit, Some(_)) => cast(array, &DataType::Timestamp(*unit, None)).map_err(none)?,
        _ => array.clone(),
    };
    if plain.data_type() == &to {
        return Ok(plain);
    }
    if let Some(unfit) = losses(&plain, column.dtype, stated) {
        return Err(unfit);
    }
    let converted = cast(&plain, &to).map_err(none)?;
    if converted.null_count() > plain.null_count() {
        let rows = (0..plain.len()).filter(|row| plain.is_valid(*row) && converted.is_null(*row)).collect();
        return Err(Unfit::of(rows, OTHER));
    }
    Ok(converted)
}

/// The cells that would lose digits.
fn losses(array: &ArrayRef, to: DType, stated: Option<DType>) -> Option<Unfit> {
    let (lost, why): (Vec<usize>, _) = match (array.data_type(), to) {
        (DataType::Timestamp(TimeUnit::Nanosecond, _), DType::Datetime) if stated != Some(to) => {
            let times = array.as_primitive::<TimestampNanosecondType>();
            let fine = |row: &usize| times.is_valid(*row) && times.value(*row) % 1000 != 0;
            ((0..times.len()).filter(fine).collect(), FINER)
        }
        (data_type, DType::Float64) if stated != Some(to) && decimal(data_type)?.0 > 15 => {
            let texts = cast(array, &DataType::Utf8).ok()?;
            let texts = texts.as_string::<i32>();
            let whole = |text: &str| text.split_once('.').is_none_or(|(_, rest)| rest.bytes().all(|byte| byte == b'0'));
            let large = |text: &str| crate::table::cell::inexact(text.split('.').next().unwrap_or_default().as_bytes());
            let lost = |row: &usize| texts.is_valid(*row) && whole(texts.value(*row)) && large(texts.value(*row));
            ((0..texts.len()).filter(lost).collect(), DIGITS)
        }
        (data_type, to) if to.is_integer() && decimal(data_type)?.1 > 0 => {
            let texts = cast(array, &DataType::Utf8).ok()?;
            let texts = texts.as_string::<i32>();
            let broken =
                |text: &str| text.split_once('.').is_some_and(|(_, rest)| rest.bytes().any(|byte| byte != b'0'));
            ((0..texts.len()).filter(|row| texts.is_valid(*row) && broken(texts.value(*row))).collect(), OTHER)
        }
        _ => return None,
    };
    (!lost.is_empty()).then(|| Unfit::of(lost, why))
}
