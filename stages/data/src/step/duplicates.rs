//! `drop_duplicates`: the first of equal rows stays.
//!
//! Rows are compared by 128 bits of their hash. Where even these would take more than a quarter of the stage's memory they are
//! dealt to scratch files by their first bits, and each file is looked through by itself.

use contract::fault::Faults;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{BufWriter, Write};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::row::{RowConverter, SortField};

use crate::fault::{Outcome, kernel, unwritable};
use crate::table::dataset::{Table, arrow_type};
use crate::table::spill::Memory;
use crate::threads;

/// Bytes a row takes while rows are compared: its record, and its place in a table of hashes that may have just grown.
const COST: u64 = 64;
/// Bytes of a row's digest and number in a scratch file.
const RECORD: usize = 24;

/// The rows that repeat an earlier one in these columns, in order, each with the first row that is equal to it (from 0, over all
/// batches). Missing equals missing, NaN equals NaN.
///
/// # Errors
/// A column of a type that cannot be compared, a disk that is full.
pub fn repeats(table: &Table, columns: &[usize], memory: &Memory, threads: usize) -> Outcome<Vec<(usize, usize)>> {
    let files = (table.rows() as u64 * COST).div_ceil((memory.limit / 4).max(1)).next_power_of_two().min(256);
    let mut repeats = Vec::new();
    if files == 1 {
        let mut seen = Seen::default();
        digests(table, columns, threads, |digest, row| {
            seen.add(digest, row, &mut repeats);
            Ok(())
        })?;
        return Ok(repeats);
    }
    let full = |error: std::io::Error| Faults::from(unwritable(&error));
    let paths: Vec<_> = (0..files).map(|_| memory.path()).collect();
    let mut parts = Vec::with_capacity(paths.len());
    for path in &paths {
        parts.push(BufWriter::with_capacity(1 << 14, File::create(path).map_err(full)?));
    }
    digests(table, columns, threads, |digest, row| {
        let part = &mut parts[(digest[0] >> (64 - files.ilog2())) as usize];
        let words = [digest[0].to_le_bytes(), digest[1].to_le_bytes(), (row as u64).to_le_bytes()];
        part.write_all(words.as_flattened()).map_err(full)
    })?;
    for (part, path) in parts.into_iter().zip(&paths) {
        part.into_inner().map_err(|error| full(error.into_error()))?;
        let bytes = std::fs::read(path).map_err(full)?;
        let _ = std::fs::remove_file(path);
        let mut seen = Seen::default();
        for record in bytes.chunks_exact(RECORD) {
            let mut words = [0; 3];
            for (word, bytes) in words.iter_mut().zip(record.as_chunks().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            seen.add([words[0], words[1]], words[2] as usize, &mut repeats);
        }
    }
    repeats.sort_unstable();
    Ok(repeats)
}

/// Every row's digest and number, in order.
///
/// # Errors
/// A column of a type that cannot be compared, and what `each` finds wrong.
pub fn digests(
    table: &Table,
    columns: &[usize],
    threads: usize,
    mut each: impl FnMut([u64; 2], usize) -> Outcome<()>,
) -> Outcome<()> {
    let fields = columns.iter().map(|index| SortField::new(arrow_type(&table.columns[*index]))).collect();
    let fail = |error: arrow::error::ArrowError| kernel("comparing rows", &error);
    let converter = RowConverter::new(fields).map_err(fail)?;
    let made = |batch: &RecordBatch| -> Outcome<Vec<[u64; 2]>> {
        let arrays: Vec<ArrayRef> = columns.iter().map(|index| batch.column(*index).clone()).collect();
        let rows = converter.convert_columns(&arrays).map_err(fail)?;
        // Two words, not one number of 128 bits: that would be aligned, and every entry of a table a third larger.
        let halves = |digest: u128| [digest as u64, (digest >> 64) as u64];
        Ok(rows.iter().map(|cells| halves(digest(cells.as_ref()))).collect())
    };
    let mut row = 0;
    for group in table.batches.chunks(threads.max(1)) {
        for digests in threads::map(group.len(), threads, |index| made(&group[index])) {
            for digest in digests? {
                each(digest, row)?;
                row += 1;
            }
        }
    }
    Ok(())
}

/// The first row of each digest.
#[derive(Default)]
struct Seen(HashMap<[u64; 2], usize, Folded>);

impl Seen {
    fn add(&mut self, digest: [u64; 2], row: usize, repeats: &mut Vec<(usize, usize)>) {
        let first = *self.0.entry(digest).or_insert(row);
        if first != row {
            repeats.push((row, first));
        }
    }
}

/// What is hashed is a digest already: its last word is as good a hash as any.
#[derive(Debug, Default, Clone, Copy)]
pub struct Half(u64);

/// Hashes of what is a digest already.
pub type Folded = BuildHasherDefault<Half>;

impl Hasher for Half {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(word) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*word);
        }
    }
}

/// The first 128 bits of SHA-256: two different rows have one digest with a probability of 2^-128.
pub fn digest(bytes: &[u8]) -> u128 {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    u128::from_le_bytes(short)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array};
    use contract::artifact::{Column, DType};

    use super::*;
    use crate::table::dataset::batch;

    #[test]
    fn the_same_rows_repeat_however_little_memory_there_is() {
        let columns = vec![Column::new("n", DType::Int64), Column::new("x", DType::Float64)];
        let batches = (0..7i64).map(|piece| {
            let n: ArrayRef =
                Arc::new((0..500).map(|row| (row % 9 != 0).then_some((row * piece) % 300)).collect::<Int64Array>());
            let x: ArrayRef = Arc::new(Float64Array::from_iter_values((0..500).map(|row| [0.5, f64::NAN][row % 2])));
            batch(&columns, vec![n, x]).unwrap()
        });
        let table = Table { batches: batches.collect(), columns };
        let scratch = tempfile::tempdir().unwrap();
        let run = |limit, threads| {
            let memory = Memory::new(Some(limit), scratch.path().to_owned());
            repeats(&table, &[0, 1], &memory, threads).unwrap()
        };
        let all = run(1 << 30, 1);
        assert!(all.len() > 2000 && all.iter().all(|(row, first)| first < row) && all.is_sorted(), "{}", all.len());
        assert_eq!(run(100_000, 2), all);
        assert_eq!(run(1, 3), all);
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "scratch files are removed");
    }
}
