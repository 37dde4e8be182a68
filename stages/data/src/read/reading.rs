//! What reading a source needs beside its files, and what becomes of input that cannot be read.
//!
//! A reader that meets such input describes it as a fault with its place. With `on_error: fail` that is what it is; otherwise its message
//! becomes the reason why a row is left out, or why a cell is missing. Readers tell of rows in the order in which they
//! stand in the source, so that neither threads nor blocks change what is kept.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use catalog::kinds::collect::rejected;
use catalog::params::on_error::OnError;
use contract::artifact::DType;
use contract::fault::{Fault, Place};
use contract::worker::Channel;

use super::bytes::Limits;
use super::scratch::Spill;
use crate::fault::Outcome;
use crate::table::dataset::{Table, batch};
use crate::table::spill::{Memory, size};

/// So many characters of a rejected row's text are kept.
const TEXT: usize = 1000;
/// Rows held before they are handed on.
const HELD: usize = 8192;
/// Bytes of their texts held before they are handed on.
const BYTES: usize = 1 << 20;

/// What a reader reads with.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// What it may cost.
    pub limits: &'a Limits,
    /// Where rows go that do not fit into memory.
    pub memory: &'a Memory,
    /// Where it is told how far reading has come.
    pub channel: &'a Channel,
    /// Types that are known better than they can be inferred.
    pub types: &'a BTreeMap<String, DType>,
    /// What becomes of input that cannot be read.
    pub refusals: &'a Refusals,
    /// What is worth knowing.
    pub warnings: &'a Mutex<Vec<Fault>>,
}

impl Reading<'_> {
    /// Says something that is worth knowing.
    pub fn warn(&self, fault: Fault) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }
}

/// One file's rows, and which rows of the file (from 0) are not among them.
#[derive(Debug)]
pub struct Sieved {
    /// The rows that could be read.
    pub table: Table,
    /// The numbers of the others, ascending.
    pub gone: Vec<u64>,
}

impl From<Table> for Sieved {
    fn from(table: Table) -> Self {
        Self { table, gone: Vec::new() }
    }
}

impl Sieved {
    /// The numbers of the rows that are left, ascending; without an end.
    pub fn numbers(gone: &[u64]) -> impl Iterator<Item = u64> + '_ {
        let mut gone = gone.iter().peekable();
        (0..).filter(move |row| gone.next_if_eq(&row).is_none())
    }
}

/// The number in its file of the `position`-th row that is left when the rows `gone` are not (all from 0).
pub fn original(gone: &[u64], position: u64) -> u64 {
    let mut number = position;
    for row in gone {
        if *row > number {
            break;
        }
        number += 1;
    }
    number
}

/// The numbers of a range that are not among those that are left (both ascending).
pub fn left_out(all: Range<u64>, left: &[u64]) -> Vec<u64> {
    if all.end - all.start == left.len() as u64 {
        return Vec::new();
    }
    let mut left = left.iter().peekable();
    all.filter(|row| left.next_if_eq(&row).is_none()).collect()
}

/// Something that could not be read.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The row's number in its file, from 0; `None` where the file is the row.
    pub row: Option<u64>,
    /// Its line in a text file, from 1.
    pub line: Option<u64>,
    /// Why.
    pub reason: String,
    /// The text as it stands there.
    pub text: Option<String>,
}

impl Refused {
    /// Why, and in which row.
    pub fn new(row: Option<u64>, reason: impl Into<String>) -> Self {
        Self { row, line: None, reason: reason.into(), text: None }
    }
}

/// At most so much of a row's text as is kept.
pub fn bounded(text: &[u8]) -> String {
    // A character has at most four bytes.
    let text = &text[..text.len().min(4 * TEXT)];
    let text = String::from_utf8_lossy(text);
    text.trim_end_matches(['\r', '\n']).chars().take(TEXT).collect()
}

/// How often input could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were left out.
    pub rejected: u64,
    /// Cells that became missing.
    pub filled: u64,
    /// Rows with such cells.
    pub touched: u64,
}

/// What becomes of input that cannot be read, and what has become of it.
pub struct Refusals {
    /// What the user wants.
    pub on_error: OnError,
    keep: u64,
    /// Bytes of rejected rows that are held at most, and where the others go.
    share: u64,
    scratch: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Rows that were left out and are held; those before them are put aside.
    batches: Vec<RecordBatch>,
    bytes: u64,
    aside: Option<Spill>,
    held: Vec<(String, Refused)>,
    /// Bytes of their texts and reasons.
    text: usize,
    counts: Counts,
    /// The first row that was left out, and the first cell that became missing.
    first: [Option<(Place, String)>; 2],
}

impl Refusals {
    /// None yet; at most `keep` rejected rows are kept.
    pub fn new(on_error: OnError, keep: u64, memory: &Memory) -> Self {
        Self { on_error, keep, share: memory.limit / 16, scratch: memory.scratch().to_owned(), inner: Mutex::default() }
    }

    /// Whether rows that cannot be read are left out.
    pub fn reject(&self) -> bool {
        self.on_error == OnError::Reject
    }

    /// Whether cells that cannot be read become missing.
    pub fn fill(&self) -> bool {
        self.on_error == OnError::Fill
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So far.
    pub fn counts(&self) -> Counts {
        self.inner().counts
    }

    /// A row is left out.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn rejected(&self, file: &str, refused: Refused) -> Outcome<()> {
        let mut inner = self.inner();
        inner.counts.rejected += 1;
        if inner.first[0].is_none() {
            let line = refused.line.or(refused.row.map(|row| row + 1));
            inner.first[0] = Some((crate::fault::place(file, line, None), refused.reason.clone()));
        }
        if inner.counts.rejected > self.keep {
            return Ok(());
        }
        inner.text += refused.reason.len() + refused.text.as_ref().map_or(0, String::len);
        inner.held.push((file.to_owned(), refused));
        if inner.held.len() < HELD && inner.text < BYTES {
            return Ok(());
        }
        inner.flush()?;
        if inner.bytes > self.share { inner.put_aside(&self.scratch) } else { Ok(()) }
    }

    /// Cells of some rows are missing; `first` is the first of them.
    pub fn filled(&self, cells: u64, rows: u64, first: Option<Fault>) {
        let mut inner = self.inner();
        inner.counts.filled += cells;
        inner.counts.touched += rows;
        if inner.first[1].is_none()
            && let Some(Fault { place: Some(place), message, .. }) = first
        {
            inner.first[1] = Some((place, message));
        }
    }

    /// What is wrong with a source of which so many rows are left since `before`: too much of it could not be read.
    pub fn too_many(&self, before: Counts, left: u64) -> Option<Fault> {
        let inner = self.inner();
        let (rejected, touched) = (inner.counts.rejected - before.rejected, inner.counts.touched - before.touched);
        let rows = left + rejected;
        let (count, what, first) = match (rejected, touched) {
            (0, 0) => return None,
            (0, touched) => (touched, "have cells that cannot be read", &inner.first[1]),
            (rejected, _) => (rejected, "cannot be read", &inner.first[0]),
        };
        if count * 2 <= rows {
            return None;
        }
        let (place, reason) = first.clone()?;
        Some(
            Fault::error(
                contract::code!("data::too_many_rejected"),
                format!("{count} of {rows} rows {what}; the first: {reason}"),
            )
            .help("that is more than half: is the format, a `dtype`, the `delimiter` or the `encoding` another one?")
            .place(place),
        )
    }

    /// The rows that were left out (of no rows, when none was), how many cells and rows it was, and warnings that say so.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn finish(&self) -> Outcome<(Table, Counts, Vec<Fault>)> {
        let mut inner = self.inner();
        inner.flush()?;
        if inner.aside.is_some() {
            inner.put_aside(&self.scratch)?;
        }
        let Inner { batches, aside, counts, first: [left_out, filled], .. } = std::mem::take(&mut *inner);
        let batches = aside.map_or(Ok(batches), |aside| aside.finish().map(|table| table.batches))?;
        let mut warnings = Vec::new();
        if let Some((place, reason)) = left_out {
            let count = number(counts.rejected, "row was", "rows were");
            let kept =
                if counts.rejected > self.keep { format!(" (the first {} of them)", self.keep) } else { String::new() };
            warnings.push(
                Fault::warning(contract::code!("data::rejected"), format!("{count} rejected; the first: {reason}"))
                    .help(format!("they are in the output `rejected`, each with the reason{kept}"))
                    .place(place),
            );
        }
        if let Some((place, reason)) = filled {
            let count = number(counts.filled, "cell", "cells");
            let rows = number(counts.touched, "row", "rows");
            warnings.push(
                Fault::warning(
                    contract::code!("data::filled"),
                    format!("{count} of {rows} could not be read and became missing; the first: {reason}"),
                )
                .help("`on_error: reject` leaves such rows out and keeps them with the reason")
                .place(place),
            );
        }
        Ok((Table { columns: rejected(), batches }, counts, warnings))
    }
}

fn number(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

impl Inner {
    fn flush(&mut self) -> Outcome<()> {
        let rows = std::mem::take(&mut self.held);
        self.text = 0;
        let number = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok());
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(file, _)| file))),
            Arc::new(rows.iter().map(|(_, row)| number(row.row.map(|row| row + 1))).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|(_, row)| number(row.line)).collect::<Int64Array>()),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, row)| &row.reason))),
            Arc::new(rows.iter().map(|(_, row)| row.text.as_deref()).collect::<StringArray>()),
        ];
        if !rows.is_empty() {
            let rows = batch(&rejected(), arrays)?;
            self.bytes += size(&rows);
            self.batches.push(rows);
        }
        Ok(())
    }

    /// Writes what is held.
    fn put_aside(&mut self, scratch: &Path) -> Outcome<()> {
        let aside = match &mut self.aside {
            Some(aside) => aside,
            none => none.insert(Spill::new(scratch, rejected())?),
        };
        self.bytes = 0;
        self.batches.drain(..).try_for_each(|rows| aside.push(rows.columns().to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_numbers_when_others_are_left_out() {
        let numbers = |gone: &[u64]| (0..4).map(|position| original(gone, position)).collect::<Vec<_>>();
        assert_eq!(numbers(&[]), [0, 1, 2, 3]);
        assert_eq!(numbers(&[0, 2, 3]), [1, 4, 5, 6]);
        assert_eq!(numbers(&[9]), [0, 1, 2, 3]);
    }

    #[test]
    fn rejected_rows_that_are_too_many_to_be_held_are_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        let mut memory = Memory::new(None, folder.path().to_owned());
        let mut run = |limit: u64| {
            memory.limit = limit;
            let refusals = Refusals::new(OnError::Reject, 100_000, &memory);
            for row in 0..100_005u64 {
                let text = (row % 3 != 0).then(|| format!("text of row {row}"));
                let refused = Refused { line: Some(row * 2), text, ..Refused::new(Some(row), format!("why {row}")) };
                refusals.rejected("a file", refused).unwrap();
            }
            let (table, counts, _) = refusals.finish().unwrap();
            assert_eq!((table.rows(), counts.rejected), (100_000, 100_005));
            arrow::compute::concat_batches(&crate::table::dataset::schema(&table.columns), &table.batches).unwrap()
        };
        let held = run(1 << 40);
        assert_eq!(files(), 0);
        assert_eq!(run(1 << 20), held);
        assert_eq!(files(), 1, "they went through a file");
    }

    #[test]
    fn text_is_bounded_by_characters() {
        assert_eq!(bounded("é".repeat(3000).as_bytes()), "é".repeat(TEXT));
        assert_eq!(bounded(b"a\xff,b\r\n"), "a\u{fffd},b");
    }
}
