//! `drop_duplicates`: the first of equal rows stays.

use std::collections::HashSet;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::row::{RowConverter, Rows, SortField};

use crate::dataset::Table;
use crate::fault::{Outcome, kernel};

/// Keeps the first of rows that are equal in these columns. Missing equals missing, NaN equals NaN; order stays.
///
/// # Errors
/// A column of a type that cannot be compared.
pub fn drop_duplicates(table: &Table, columns: &[usize]) -> Outcome<Vec<RecordBatch>> {
    let Some(first) = table.batches.first() else { return Ok(Vec::new()) };
    let fields = columns.iter().map(|index| SortField::new(first.column(*index).data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(|error| kernel("comparing rows", &error))?;
    let encoded = table
        .batches
        .iter()
        .map(|batch| {
            let arrays: Vec<ArrayRef> = columns.iter().map(|index| batch.column(*index).clone()).collect();
            converter.convert_columns(&arrays)
        })
        .collect::<Result<Vec<Rows>, _>>()
        .map_err(|error| kernel("comparing rows", &error))?;
    let mut seen = HashSet::new();
    let mut kept = Vec::with_capacity(table.batches.len());
    for (batch, rows) in table.batches.iter().zip(&encoded) {
        let mask: BooleanArray = rows.iter().map(|row| Some(seen.insert(row))).collect();
        kept.push(filter_record_batch(batch, &mask).map_err(|error| kernel("dropping rows", &error))?);
    }
    Ok(kept)
}
