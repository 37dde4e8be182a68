//! Rows that a step drops are kept with the reason.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::artifact::Column;
use serde_json::{Map, Value};

use crate::dataset::{Table, batch};
use crate::fault::Outcome;
use crate::spill::{Keeper, Memory};

/// Rows held before they are handed on.
const HELD: usize = 8192;

/// The output `rejected` being made.
pub struct Rejected<'a> {
    keeper: Keeper<'a>,
    keep: u64,
    step: i64,
    name: &'static str,
    here: u64,
    rows: Vec<(i64, &'static str, i64, String, String)>,
}

impl<'a> Rejected<'a> {
    /// Nothing yet; at most `keep` rows of every step are kept.
    pub fn new(keep: u64, memory: &'a Memory) -> Self {
        let keeper = Keeper::new(catalog::preprocess::rejected(), memory);
        Self { keeper, keep, step: 0, name: "", here: 0, rows: Vec::new() }
    }

    /// The next step begins.
    pub fn step(&mut self, index: usize, name: &'static str) {
        (self.step, self.name, self.here) = (index as i64 + 1, name, 0);
    }

    /// How many rows the present step has dropped.
    pub fn count(&self) -> u64 {
        self.here
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
        if self.here > self.keep {
            return Ok(());
        }
        let cells: Map<String, Value> = columns
            .iter()
            .zip(rows.columns())
            .map(|(column, array)| (column.name.clone(), value(array, row, 6)))
            .collect();
        let cells = Value::Object(cells).to_string();
        self.rows.push((self.step, self.name, (before + row) as i64 + 1, reason.to_owned(), cells));
        if self.rows.len() >= HELD { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Outcome<()> {
        let rows = std::mem::take(&mut self.rows);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.3))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.4))),
        ];
        self.keeper.push(batch(&catalog::preprocess::rejected(), arrays)?)
    }

    /// Adds the rows another one has kept, behind those that are here.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn take(&mut self, other: Self) -> Outcome<()> {
        self.flush()?;
        for rows in other.finish()?.batches {
            self.keeper.push(rows)?;
        }
        Ok(())
    }

    /// All of them as a table (of no rows, when none was dropped).
    ///
    /// # Errors
    /// A disk that is full.
    pub fn finish(mut self) -> Outcome<Table> {
        self.flush()?;
        self.keeper.finish()
    }
}

/// A cell as JSON: numbers and bools as such, everything else as text, of tensors the first so many elements.
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
        DataType::Binary => Value::String(format!("{} bytes", array.as_binary::<i32>().value(row).len())),
        DataType::Utf8 => Value::String(array.as_string::<i32>().value(row).to_owned()),
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
