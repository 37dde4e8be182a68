//! `join`: the columns of another table by equal keys. Rows keep the order of the left table, and among the partners of one row the
//! order of the right.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow::compute::{interleave, take_record_batch};
use arrow::row::{RowConverter, SortField};
use catalog::params::preprocess::{How, Join};
use catalog::steps::tables::joined;
use engine::artifact::Column;
use engine::error::Route;

use super::rejected::Rejected;
use crate::dataset::{Table, batch};
use crate::fault::{Outcome, kernel};
use crate::spill::{Keeper, Memory, PIECE_ROWS};

/// Joins. Missing keys have no partner. Also says how many rows have found more than one.
///
/// # Errors
/// As the catalog's.
pub fn join(
    options: &Join,
    table: &Table,
    other: &Table,
    memory: &Memory,
    rejected: &mut Rejected<'_>,
    at: &Route,
) -> Outcome<(Table, u64)> {
    let resolved = joined(options, &table.columns, &other.columns, at)?;
    let fail = |error: arrow::error::ArrowError| kernel("joining", &error);
    let types = resolved.keys.iter().map(|(left, _)| SortField::new(crate::dataset::arrow_type(&table.columns[*left])));
    let converter = RowConverter::new(types.collect()).map_err(fail)?;
    let keys = |rows: &RecordBatch, positions: &[usize]| {
        let arrays: Vec<ArrayRef> = positions.iter().map(|position| rows.column(*position).clone()).collect();
        let missing: Vec<usize> =
            (0..rows.num_rows()).filter(|row| arrays.iter().any(|array| array.is_null(*row))).collect();
        converter.convert_columns(&arrays).map(|rows| (rows, missing)).map_err(fail)
    };
    let (left_keys, right_keys): (Vec<usize>, Vec<usize>) = resolved.keys.iter().copied().unzip();
    let mut partners: HashMap<Vec<u8>, Vec<(usize, usize)>> = HashMap::new();
    for (piece, rows) in other.batches.iter().enumerate() {
        let (encoded, missing) = keys(rows, &right_keys)?;
        for row in (0..rows.num_rows()).filter(|row| missing.binary_search(row).is_err()) {
            partners.entry(encoded.row(row).as_ref().to_vec()).or_default().push((piece, row));
        }
    }
    let mut columns = table.columns.clone();
    for (position, name) in &resolved.columns {
        let column = &other.columns[*position];
        columns.push(Column {
            name: name.clone(),
            nullable: column.nullable || options.how == How::Left,
            ..column.clone()
        });
    }
    let nowhere = (other.batches.len(), 0);
    let sources: Vec<Vec<ArrayRef>> = resolved
        .columns
        .iter()
        .map(|(position, _)| {
            let mut pieces = other.pieces(*position);
            let data_type = crate::dataset::arrow_type(&other.columns[*position]);
            if other.columns[*position].shape.is_empty() {
                pieces.push(new_null_array(&data_type, 1));
            }
            pieces
        })
        .collect();
    let mut keeper = Keeper::new(columns.clone(), memory);
    let mut before = 0;
    let mut repeated = 0;
    for rows in &table.batches {
        let (encoded, missing) = keys(rows, &left_keys)?;
        let (mut lefts, mut rights): (Vec<u64>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
        for row in 0..rows.num_rows() {
            let found =
                if missing.binary_search(&row).is_ok() { None } else { partners.get(encoded.row(row).as_ref()) };
            match found {
                Some(found) => {
                    repeated += u64::from(found.len() > 1);
                    for partner in found {
                        lefts.push(row as u64);
                        rights.push(*partner);
                    }
                }
                None if options.how == How::Left => {
                    lefts.push(row as u64);
                    rights.push(nowhere);
                }
                None => {
                    let reason = format!("no row of `{}` has its key", options.with);
                    rejected.add(rows, &table.columns, row, before, &reason)?;
                }
            }
            // A key with very many partners must not make one batch of everything.
            if rights.len() >= PIECE_ROWS || row + 1 == rows.num_rows() {
                let left = take_record_batch(rows, &UInt64Array::from(std::mem::take(&mut lefts))).map_err(fail)?;
                let mut arrays = left.columns().to_vec();
                for pieces in &sources {
                    let pieces: Vec<&dyn Array> = pieces.iter().map(|piece| piece.as_ref() as &dyn Array).collect();
                    arrays.push(if rights.is_empty() {
                        pieces.first().map_or_else(
                            || new_null_array(&arrow::datatypes::DataType::Null, 0),
                            |piece| piece.slice(0, 0),
                        )
                    } else {
                        interleave(&pieces, &rights).map_err(fail)?
                    });
                }
                rights.clear();
                keeper.push(batch(&columns, arrays)?)?;
            }
        }
        before += rows.num_rows();
    }
    Ok((keeper.finish()?, repeated))
}
