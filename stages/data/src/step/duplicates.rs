//! `drop_duplicates`: the first of equal rows stays.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::row::{RowConverter, SortField};

use crate::dataset::Table;
use crate::fault::{Outcome, kernel};

/// For every row of every batch, the first row (from 0, over all batches) that is equal in these columns: itself, when it is the
/// first. Missing equals missing, NaN equals NaN. Rows are compared by 128 bits of their hash, so that a table larger than
/// memory needs little of it.
///
/// # Errors
/// A column of a type that cannot be compared.
pub fn drop_duplicates(table: &Table, columns: &[usize]) -> Outcome<Vec<Vec<usize>>> {
    let Some(first) = table.batches.first() else { return Ok(Vec::new()) };
    let fields = columns.iter().map(|index| SortField::new(first.column(*index).data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(|error| kernel("comparing rows", &error))?;
    let mut seen: HashMap<u128, usize> = HashMap::new();
    let mut before = 0;
    let mut firsts = Vec::with_capacity(table.batches.len());
    for batch in &table.batches {
        let arrays: Vec<ArrayRef> = columns.iter().map(|index| batch.column(*index).clone()).collect();
        let rows = converter.convert_columns(&arrays).map_err(|error| kernel("comparing rows", &error))?;
        firsts.push(
            rows.iter()
                .enumerate()
                .map(|(row, cells)| *seen.entry(digest(cells.as_ref())).or_insert(before + row))
                .collect(),
        );
        before += batch.num_rows();
    }
    Ok(firsts)
}

/// The first 128 bits of SHA-256: two different rows have one digest with a probability of 2^-128.
pub fn digest(bytes: &[u8]) -> u128 {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    u128::from_le_bytes(short)
}
