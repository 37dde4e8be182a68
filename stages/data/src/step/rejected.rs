//! Rows that a step drops are kept with the reason.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use contract::artifact::Column;
use serde_json::{Map, Value};

use crate::fault::Outcome;
use crate::table::dataset::{Table, batch};
use crate::table::spill::{Keeper, Memory};

/// Rows held before they are handed on.
const HELD: usize = 8192;
/// Bytes of their cells held before they are handed on.
const BYTES: usize = 1 << 20;

/// The output `rejected` being made.
pub struct Rejected<'a> {
    done: Vec<RecordBatch>,
    keeper: Keeper<'a>,
    memory: &'a Memory,
    share: u64,
    keep: u64,
    step: i64,
    name: &'static str,
    here: u64,
    counted: u64,
    bytes: usize,
    rows: Vec<(i64, &'static str, i64, String, String)>,
}

impl<'a> Rejected<'a> {
    /// Nothing yet; of every step `keep` rows are kept at most, or all. So many `parts` there are at once.
    pub fn new(keep: Option<u64>, memory: &'a Memory, parts: usize) -> Self {
        let share = memory.limit / 16 / parts.max(1) as u64;
        let keeper = Keeper::within(catalog::kinds::preprocess::rejected(), memory, share);
        let (keep, rows, done) = (keep.unwrap_or(u64::MAX), Vec::new(), Vec::new());
        Self { done, keeper, memory, share, keep, step: 0, name: "", here: 0, counted: 0, bytes: 0, rows }
    }

    /// The next step begins.
    pub fn step(&mut self, index: usize, name: &'static str) {
        (self.step, self.name, self.here) = (index as i64 + 1, name, 0);
    }

    /// How many rows the present step has dropped.
    pub fn count(&self) -> u64 {
        self.here
    }

    /// How many rows all steps have dropped, whether they are kept or not.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// Adds a row of a batch; `before` rows came into the step earlier.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn add(
        &mut self,
        rows: &RecordBatch,
        columns: &[Column],
        row: usize,
        before: usize,
        reason: &str,
    ) -> Outcome<()> {
        self.here += 1;
        self.counted += 1;
        if self.here > self.keep {
            return Ok(());
        }
        let cells: Map<String, Value> = columns
            .iter()
            .zip(rows.columns())
            .map(|(column, array)| (column.name.clone(), value(array, row, usize::MAX)))
            .collect();
        let cells = Value::Object(cells).to_string();
        self.bytes += cells.len() + reason.len();
        self.rows.push((self.step, self.name, (before + row) as i64 + 1, reason.to_owned(), cells));
        if self.rows.len() >= HELD || self.bytes > BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Outcome<()> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.3))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.4))),
        ];
        self.keeper.push(batch(&catalog::kinds::preprocess::rejected(), arrays)?)
    }

    /// Adds the rows another one has kept, behind those that are here.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn take(&mut self, other: Self) -> Outcome<()> {
        self.flush()?;
        let next = Keeper::within(catalog::kinds::preprocess::rejected(), self.memory, self.share);
        self.done.extend(std::mem::replace(&mut self.keeper, next).finish()?.batches);
        self.counted += other.counted;
        self.done.extend(other.finish()?.batches);
        Ok(())
    }

    /// All of them as a table (of no rows, when none was dropped).
    ///
    /// # Errors
    /// A disk that is full.
    pub fn finish(mut self) -> Outcome<Table> {
        self.flush()?;
        let last = self.keeper.finish()?;
        self.done.extend(last.batches);
        Ok(Table { columns: last.columns, batches: self.done })
    }
}

/// A cell as JSON: numbers and bools as such, everything else as text (bytes as Base64), of tensors the first so many elements. Of
/// bytes only how many there are is said when not everything is wanted.
pub fn value(array: &ArrayRef, row: usize, elements: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::FixedSizeList(..) => {
            let cells = array.as_fixed_size_list().value(row);
            let mut values: Vec<Value> = (0..cells.len().min(elements)).map(|index| value(&cells, index, 0)).collect();
            if cells.len() > elements {
                values.push(Value::String("…".into()));
            }
            Value::Array(values)
        }
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(row);
            Value::String(if elements == usize::MAX { base64(bytes) } else { format!("{} bytes", bytes.len()) })
        }
        DataType::Utf8 => Value::String(array.as_string::<i32>().value(row).to_owned()),
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 if array.as_primitive::<Float64Type>().value(row).is_finite() => {
            Value::from(array.as_primitive::<Float64Type>().value(row))
        }
        other => {
            let options = FormatOptions::default();
            let text = ArrayFormatter::try_new(array, &options)
                .map(|formatter| formatter.value(row).to_string())
                .unwrap_or_default();
            let plain = other.is_numeric() || *other == DataType::Boolean;
            match serde_json::from_str::<Value>(&text) {
                Ok(value) if plain => value,
                _ => Value::String(text),
            }
        }
    }
}

/// Bytes as text (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_standard() {
        // RFC 4648, section 10.
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
