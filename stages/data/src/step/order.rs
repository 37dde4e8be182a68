//! Rows in the order of their keys, however many there are: as many as fit are sorted and written as a run, then the runs are merged.
//!
//! The order is that of Arrow's row format: numbers by size (NaN behind them), texts by their bytes; missing cells come last. Rows
//! with equal keys stay in the order they had. How much memory there is decides how many runs there are and nothing else.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{SortOptions, interleave};
use arrow::row::{Row, RowConverter, Rows, SortField};
use contract::artifact::Column;

use crate::fault::{Outcome, kernel};
use crate::table::dataset::{Table, arrow_type, batch};
use crate::table::missing::missing;
use crate::table::spill::{Keeper, Memory, size};

/// Runs that are merged at once.
const FAN: usize = 128;

/// What rows are ordered by.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The column's position.
    pub column: usize,
    /// Whether large values come first.
    pub descending: bool,
    /// Whether NaN is a missing cell.
    pub nan_missing: bool,
}

/// Rows as bytes that compare as their keys do.
struct Coder<'a> {
    keys: &'a [Key],
    converter: RowConverter,
}

impl<'a> Coder<'a> {
    fn new(keys: &'a [Key], columns: &[Column]) -> Outcome<Self> {
        let fields = keys.iter().map(|key| {
            let options = SortOptions { descending: key.descending, nulls_first: false };
            SortField::new_with_options(arrow_type(&columns[key.column]), options)
        });
        let converter = RowConverter::new(fields.collect()).map_err(|error| kernel("comparing rows", &error))?;
        Ok(Self { keys, converter })
    }

    fn rows(&self, rows: &RecordBatch) -> Outcome<Rows> {
        let arrays = self.keys.iter().map(|key| {
            let array = rows.column(key.column);
            if key.nan_missing && array.data_type().is_floating() { without_nan(array) } else { Ok(array.clone()) }
        });
        let arrays = arrays.collect::<Outcome<Vec<ArrayRef>>>()?;
        self.converter.convert_columns(&arrays).map_err(|error| kernel("comparing rows", &error))
    }
}

/// The column with missing cells for NaN.
fn without_nan(array: &ArrayRef) -> Outcome<ArrayRef> {
    let there = NullBuffer::new(!&missing(array));
    let data = array.to_data().into_builder().nulls(Some(there)).build();
    data.map(make_array).map_err(|error| kernel("comparing rows", &error))
}

/// The rows in the order of their keys.
///
/// # Errors
/// A disk that is full, a column of a type that has no order.
pub fn ordered(table: &Table, keys: &[Key], memory: &Memory) -> Outcome<Table> {
    if keys.is_empty() || table.rows() < 2 {
        return Ok(table.clone());
    }
    let coder = Coder::new(keys, &table.columns)?;
    let width = table.batches.iter().map(size).sum::<u64>() / table.rows().max(1) as u64;
    let mut runs: Vec<Table> = Vec::new();
    let mut group: Vec<(RecordBatch, Rows)> = Vec::new();
    let mut bytes = 0;
    for whole in &table.batches {
        let step = memory.rows(width.max(16));
        for start in (0..whole.num_rows()).step_by(step) {
            let rows = whole.slice(start, step.min(whole.num_rows() - start));
            let coded = coder.rows(&rows)?;
            // The bytes to compare, and two numbers for each row.
            let more = (coded.size() + rows.num_rows() * 8) as u64;
            if bytes + more > memory.limit / 6 && !group.is_empty() {
                runs.push(run(&std::mem::take(&mut group), &table.columns, width, memory, true)?);
                bytes = 0;
            }
            bytes += more;
            group.push((rows, coded));
        }
    }
    let last = run(&group, &table.columns, width, memory, !runs.is_empty())?;
    drop(group);
    if runs.is_empty() {
        return Ok(last);
    }
    runs.push(last);
    while runs.len() > FAN {
        let merged = runs.chunks(FAN).map(|some| merge(some, &coder, width, memory, true));
        runs = merged.collect::<Outcome<_>>()?;
    }
    merge(&runs, &coder, width, memory, false)
}

fn keeper<'a>(columns: &[Column], memory: &'a Memory, aside: bool) -> Keeper<'a> {
    if aside { Keeper::within(columns.to_vec(), memory, 0) } else { Keeper::new(columns.to_vec(), memory) }
}

/// Some pieces, sorted; put `aside` into a file where there are more runs.
fn run(group: &[(RecordBatch, Rows)], columns: &[Column], width: u64, memory: &Memory, aside: bool) -> Outcome<Table> {
    let mut order: Vec<(u32, u32)> = Vec::with_capacity(group.iter().map(|(rows, _)| rows.num_rows()).sum());
    for (piece, (rows, _)) in group.iter().enumerate() {
        order.extend((0..rows.num_rows() as u32).map(|row| (piece as u32, row)));
    }
    let key = |at: &(u32, u32)| group[at.0 as usize].1.row(at.1 as usize);
    order.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then(a.cmp(b)));
    let mut keeper = keeper(columns, memory, aside);
    let pieces: Vec<&RecordBatch> = group.iter().map(|(rows, _)| rows).collect();
    for some in order.chunks(memory.rows(width)) {
        let picked: Vec<(usize, usize)> = some.iter().map(|(piece, row)| (*piece as usize, *row as usize)).collect();
        keeper.push(pick(&pieces, &picked, columns)?)?;
    }
    keeper.finish()
}

/// Rows of several batches, in any order.
fn pick(pieces: &[&RecordBatch], rows: &[(usize, usize)], columns: &[Column]) -> Outcome<RecordBatch> {
    let arrays = (0..columns.len()).map(|column| {
        let sources: Vec<&dyn Array> = pieces.iter().map(|piece| piece.column(column).as_ref()).collect();
        interleave(&sources, rows).map_err(|error| kernel("ordering rows", &error))
    });
    batch(columns, arrays.collect::<Outcome<_>>()?)
}

/// A run being read, a few rows at a time.
struct Cursor<'a> {
    run: &'a Table,
    /// The next batch of the run, and the first of its rows that has not been read.
    next: (usize, usize),
    keys: Option<Rows>,
    row: usize,
    /// Where its present rows stand among the sources of what is being made.
    source: usize,
}

impl Cursor<'_> {
    /// Present rows, or nothing when the run is over.
    fn refill(&mut self, coder: &Coder<'_>, count: usize) -> Outcome<Option<RecordBatch>> {
        self.keys = None;
        self.row = 0;
        while let Some(rows) = self.run.batches.get(self.next.0) {
            let left = rows.num_rows() - self.next.1;
            if left == 0 {
                self.next = (self.next.0 + 1, 0);
                continue;
            }
            let some = rows.slice(self.next.1, count.min(left));
            self.next.1 += some.num_rows();
            self.keys = Some(coder.rows(&some)?);
            return Ok(Some(some));
        }
        Ok(None)
    }

    fn key(&self) -> Option<Row<'_>> {
        self.keys.as_ref().map(|keys| keys.row(self.row))
    }
}

/// Runs as one; of equal rows those of an earlier run come first.
fn merge(runs: &[Table], coder: &Coder<'_>, width: u64, memory: &Memory, aside: bool) -> Outcome<Table> {
    let Some(columns) = runs.first().map(|run| &run.columns) else {
        return Err(kernel("ordering rows", &"there are no runs"));
    };
    let room = memory.limit / 8 / (runs.len() as u64 * (width + 16));
    let count = usize::try_from(room).unwrap_or(8192).clamp(16, 8192);
    let mut sources: Vec<RecordBatch> = Vec::new();
    let mut cursors: Vec<Cursor<'_>> = Vec::with_capacity(runs.len());
    for run in runs {
        let mut cursor = Cursor { run, next: (0, 0), keys: None, row: 0, source: sources.len() };
        if let Some(rows) = cursor.refill(coder, count)? {
            sources.push(rows);
            cursors.push(cursor);
        }
    }
    let mut heap: Vec<usize> = (0..cursors.len()).collect();
    for at in (0..heap.len() / 2).rev() {
        sift(&mut heap, at, &cursors);
    }
    let most = memory.rows(width);
    let mut keeper = keeper(columns, memory, aside);
    let mut picked: Vec<(usize, usize)> = Vec::new();
    while let Some(first) = heap.first().copied() {
        let cursor = &mut cursors[first];
        picked.push((cursor.source, cursor.row));
        cursor.row += 1;
        if cursor.keys.as_ref().is_some_and(|keys| cursor.row == keys.num_rows()) {
            match cursor.refill(coder, count)? {
                Some(rows) => {
                    cursor.source = sources.len();
                    sources.push(rows);
                }
                None => {
                    heap.swap_remove(0);
                }
            }
        }
        sift(&mut heap, 0, &cursors);
        // Rows that have been read stay until what is made of them is: not too many.
        if picked.len() >= most || sources.len() >= 4 * runs.len().max(16) || heap.is_empty() {
            let pieces: Vec<&RecordBatch> = sources.iter().collect();
            keeper.push(pick(&pieces, &picked, columns)?)?;
            picked.clear();
            let old = std::mem::take(&mut sources);
            for at in &heap {
                let cursor = &mut cursors[*at];
                sources.push(old[cursor.source].clone());
                cursor.source = sources.len() - 1;
            }
        }
    }
    keeper.finish()
}

/// Puts the entry at `at` where it belongs among those below it: the least is the first.
fn sift(heap: &mut [usize], mut at: usize, cursors: &[Cursor<'_>]) {
    let less = |a: usize, b: usize| match (cursors[a].key(), cursors[b].key()) {
        (Some(mine), Some(theirs)) => mine.cmp(&theirs).then(a.cmp(&b)) == Ordering::Less,
        (mine, _) => mine.is_some(),
    };
    loop {
        let mut least = at;
        for child in [2 * at + 1, 2 * at + 2] {
            if child < heap.len() && less(heap[child], heap[least]) {
                least = child;
            }
        }
        if least == at {
            return;
        }
        heap.swap(at, least);
        at = least;
    }
}

/// The table with a column of row numbers (from 0) behind the columns at these positions.
///
/// # Errors
/// A disk that is full.
pub fn numbered(table: &Table, positions: &[usize], name: &str, memory: &Memory) -> Outcome<Table> {
    let mut columns: Vec<Column> = positions.iter().map(|at| table.columns[*at].clone()).collect();
    columns.push(Column::new(name, contract::artifact::DType::Int64));
    let mut keeper = Keeper::new(columns.clone(), memory);
    let mut before = 0i64;
    for whole in &table.batches {
        let step = memory.rows(16);
        for start in (0..whole.num_rows()).step_by(step) {
            let rows = whole.slice(start, step.min(whole.num_rows() - start));
            let count = rows.num_rows() as i64;
            let mut arrays: Vec<ArrayRef> = positions.iter().map(|at| rows.column(*at).clone()).collect();
            arrays.push(Arc::new(arrow::array::Int64Array::from_iter_values(before..before + count)));
            before += count;
            keeper.push(batch(&columns, arrays)?)?;
        }
    }
    keeper.finish()
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Float64Array, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use contract::artifact::DType;

    use super::*;

    #[test]
    fn the_order_is_the_same_however_little_memory_there_is() {
        let columns =
            vec![Column::new("x", DType::Float64), Column::new("t", DType::String), Column::new("row", DType::Int64)];
        let batches = (0..5i64).map(|piece| {
            let rows = (0..4000).map(move |row| piece * 4000 + row);
            let x = rows.clone().map(|row| match row % 50 {
                0 => None,
                1 => Some(f64::NAN),
                _ => Some((row * 7919 % 300) as f64 / 4.0),
            });
            let t = rows.clone().map(|row| (row % 11 != 0).then(|| format!("t{}", row * 31 % 17)));
            let arrays: Vec<ArrayRef> = vec![
                Arc::new(x.collect::<Float64Array>()),
                Arc::new(t.collect::<StringArray>()),
                Arc::new(Int64Array::from_iter_values(rows)),
            ];
            batch(&columns, arrays).unwrap()
        });
        let table = Table { batches: batches.collect(), columns: columns.clone() };
        let scratch = tempfile::tempdir().unwrap();
        let run = |limit: u64| {
            let mut memory = Memory::new(None, scratch.path().to_owned());
            memory.limit = limit;
            let keys = [
                Key { column: 0, descending: true, nan_missing: true },
                Key { column: 1, descending: false, nan_missing: false },
            ];
            let made = ordered(&table, &keys, &memory).unwrap();
            let rows = made.pieces(2);
            rows.iter().flat_map(|rows| rows.as_primitive::<Int64Type>().values().to_vec()).collect::<Vec<i64>>()
        };
        let whole = run(1 << 30);
        assert_eq!(whole.len(), 20_000);
        assert!(whole[19_200..].iter().all(|row| row % 50 < 2), "missing cells and NaN come last");
        let x = |row: i64| if row % 50 < 2 { -1 } else { row * 7919 % 300 };
        for two in whole.windows(2) {
            assert!(x(two[0]) >= x(two[1]), "{two:?}");
        }
        for limit in [1 << 20, 1 << 17, 1 << 14] {
            assert!(run(limit) == whole, "with {limit} bytes");
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "scratch files are removed");
    }
}
