//! Rows that a step drops are kept with the reason.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use contract::artifact::Column;
use serde_json::{Map, Value};

use crate::fault::Outcome;
use crate::table::dataset::{Table, batch};
use crate::table::display::value;
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
