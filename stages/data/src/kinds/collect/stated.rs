//! What `columns:` states, applied to what was read.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, RecordBatch};
use catalog::columns::pattern::unknown;
use catalog::kinds::collect::params::ColumnOptions;
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Route};
use contract::route;
use contract::worker::protocol::InputFile;

use crate::fault::{FaultList, Outcome, place};
use crate::read::normal;
use crate::read::reading::{Reading, Sieved, left_out};
use crate::table::convert::{Refusal, convert, convert_some, misfit, no_such_cast};
use crate::table::dataset::{Table, batch};
use crate::table::spill::Keeper;

/// One file's rows with the stated types, where the format has types of its own: cells that are not of them are faults, missing, or
/// their rows are left out.
pub(super) fn fitted(rows: Sieved, shown: &str, reading: &Reading<'_>) -> Outcome<Sieved> {
    let Sieved { table: Table { columns: old, batches }, gone } = rows;
    let mut columns = old.clone();
    let mut wanted: Vec<(usize, DType)> = Vec::new();
    for (index, column) in columns.iter_mut().enumerate() {
        if let Some(dtype) = reading.types.get(&column.name).filter(|dtype| **dtype != column.dtype) {
            column.dtype = *dtype;
            wanted.push((index, *dtype));
        }
    }
    if wanted.is_empty() {
        return Ok(Sieved { table: Table { columns, batches }, gone });
    }
    let mut keeper = Keeper::new(columns.clone(), reading.memory);
    let mut faults = FaultList::default();
    let mut left = Vec::new();
    let mut all = Sieved::numbers(&gone);
    for rows in &batches {
        let mut numbers: Vec<u64> = all.by_ref().take(rows.num_rows()).collect();
        let fit = Fit { old: &old, columns: &columns, wanted: &wanted, shown, reading };
        if let Some(rows) = fit.rows(rows, &mut numbers, &mut faults)? {
            keeper.push(rows)?;
        }
        left.extend(numbers);
    }
    let end = all.next().unwrap_or_default();
    let gone = left_out(0..end, &left);
    faults.or(Sieved { table: keeper.finish()?, gone })
}

/// Cells on their way to stated types.
struct Fit<'a> {
    old: &'a [Column],
    columns: &'a [Column],
    wanted: &'a [(usize, DType)],
    shown: &'a str,
    reading: &'a Reading<'a>,
}

impl Fit<'_> {
    /// The rows with their new types; `None` when something is wrong.
    fn rows(&self, rows: &RecordBatch, numbers: &mut Vec<u64>, faults: &mut FaultList) -> Outcome<Option<RecordBatch>> {
        let refusals = self.reading.refusals;
        let mut arrays: Vec<ArrayRef> = rows.columns().to_vec();
        let mut bad: BTreeMap<usize, Fault> = BTreeMap::new();
        let mut filled: BTreeSet<usize> = BTreeSet::new();
        let sound = faults.is_empty();
        let mut failed = false;
        for (index, dtype) in self.wanted {
            let column = &self.old[*index];
            let route = route!["columns", column.name.as_str(), "dtype"];
            let (array, unfit) = match convert_some(&arrays[*index], *dtype) {
                Ok(found) => found,
                Err(_) => {
                    failed = true;
                    if sound {
                        faults.add(|| no_such_cast(column, *dtype, &route));
                    }
                    continue;
                }
            };
            let fault = |row: usize| {
                misfit(&arrays[*index], row, numbers[row], column, *dtype).at(route.clone()).place(place(
                    self.shown,
                    Some(numbers[row] + 1),
                    None,
                ))
            };
            if refusals.reject() {
                for row in unfit {
                    bad.entry(row).or_insert_with(|| fault(row));
                }
            } else if refusals.fill() && column.shape.is_empty() {
                if let Some(first) = unfit.first() {
                    let new = unfit.iter().filter(|row| filled.insert(**row)).count();
                    refusals.filled(unfit.len() as u64, new as u64, Some(fault(*first)));
                }
            } else {
                failed |= !unfit.is_empty();
                unfit.into_iter().for_each(|row| faults.add(|| fault(row)));
            }
            arrays[*index] = array;
        }
        if failed {
            return Ok(None);
        }
        if bad.is_empty() {
            return batch(self.columns, arrays).map(Some);
        }
        let left = normal::leave_out(rows, bad, self.shown, numbers, self.reading)?;
        self.rows(&left, numbers, faults)
    }
}

/// Applies `columns:`. Readers have read stated types already; what came from elsewhere (folders, joins) is converted here.
pub(super) fn stated(
    mut table: Table,
    options: &BTreeMap<String, ColumnOptions>,
    files: &[InputFile],
) -> Outcome<Table> {
    let mut faults = FaultList::default();
    for (name, option) in options {
        let Some(index) = table.columns.iter().position(|column| column.name == *name) else {
            let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            faults.add(|| unknown(name, &names).at_key(route!["columns", name.as_str()]));
            continue;
        };
        if let Some(role) = option.role {
            table.columns[index].role = role;
        }
        if option.unit.is_some() {
            table.columns[index].unit.clone_from(&option.unit);
        }
        if let Some(dtype) = option.dtype
            && table.columns[index].dtype != dtype
        {
            let shown = files.first().map_or("", |file| file.shown.as_str());
            retype(&mut table, index, dtype, &mut faults, &route!["columns", name.as_str(), "dtype"], shown);
        }
    }
    faults.or(table)
}

fn retype(table: &mut Table, index: usize, dtype: DType, faults: &mut FaultList, route: &Route, shown: &str) {
    let old: Column = table.columns[index].clone();
    let mut columns = table.columns.clone();
    columns[index].dtype = dtype;
    let mut batches = Vec::with_capacity(table.batches.len());
    let mut before = 0;
    for rows in &table.batches {
        let mut arrays = rows.columns().to_vec();
        match convert(&arrays[index], dtype) {
            Ok(array) => {
                arrays[index] = array;
                match batch(&columns, arrays) {
                    Ok(batch) => batches.push(batch),
                    Err(more) => more.into_iter().for_each(|fault| faults.add(|| fault)),
                }
            }
            Err(refusal) => refused(&refusal, &old, dtype, &arrays[index], before, faults, route, shown),
        }
        before += rows.num_rows();
    }
    if faults.is_empty() {
        *table = Table { columns, batches };
    }
}

/// Names every cell that was refused: row (from 1), column and value.
#[expect(clippy::too_many_arguments, reason = "one sentence is made of all of them")]
fn refused(
    refusal: &Refusal,
    column: &Column,
    dtype: DType,
    array: &ArrayRef,
    before: usize,
    faults: &mut FaultList,
    route: &Route,
    shown: &str,
) {
    match refusal {
        // It is the same for every batch: said with the first.
        Refusal::Types if before > 0 => {}
        Refusal::Types => {
            faults.add(|| no_such_cast(column, dtype, route));
        }
        Refusal::Cells(rows, _) => {
            for row in rows {
                faults.add(|| {
                    let number = (before + row) as u64;
                    let at = place(shown, Some(number + 1), None);
                    misfit(array, *row, number, column, dtype).at(route.clone()).place(at)
                });
            }
        }
    }
}
