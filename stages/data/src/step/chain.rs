//! Steps that need a piece of the rows at a time, carried out together.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, make_comparator};
use arrow::compute::kernels::cmp;
use arrow::compute::{SortOptions, filter_record_batch};
use catalog::params::on_error::OnError;
use contract::artifact::Column;
use contract::fault::{Fault, Faults};
use contract::route;
use serde::Serialize;

use super::rejected::Rejected;
use super::scene::Scene;
use crate::fault::{FaultList, Outcome, kernel};
use crate::table::dataset::{Table, batch};
use crate::table::spill::Keeper;
use crate::threads;

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// The step's name.
    pub step: &'static str,
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that went out.
    pub rows_out: u64,
    /// Rows that it rejected, whether they are kept in the output `rejected` or not. Rows that a query or a sample leaves out are
    /// not rejected: they were not asked for.
    pub rejected: u64,
    /// Cells of columns that stayed which have another value now; of new columns, those that are not missing. `None` where rows
    /// become other rows (`group_by`, `sql`), so that there is nothing to compare with.
    pub changed: Option<u64>,
    /// Columns that went out.
    pub columns: u64,
}

/// The arrays of a piece, and the rows that are to be rejected with the reason (none twice, ascending).
pub(super) type Piece = (Vec<ArrayRef>, Vec<(usize, String)>);

/// What a step does to a piece of rows, of which so many came into it before.
pub(super) type Work<'a> = Box<dyn Fn(&RecordBatch, usize) -> Outcome<Piece> + Sync + 'a>;

/// Cells that became missing because they could not be read. Pieces may be told of in any order.
#[derive(Debug, Default)]
pub(crate) struct Lost(Mutex<Losses>);

#[derive(Debug, Default)]
struct Losses {
    cells: u64,
    /// Rows, each once: a piece tells of its rows together.
    rows: u64,
    first: Option<(usize, String)>,
}

impl Lost {
    /// Cells of a piece by their rows (from 0 in the piece), so many rows before it, each with the reason.
    pub(super) fn add(&self, before: usize, cells: &[(usize, String)]) {
        let Some((row, reason)) = cells.iter().min_by_key(|(row, _)| *row) else { return };
        let rows: BTreeSet<usize> = cells.iter().map(|(row, _)| *row).collect();
        let mut losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        losses.cells += cells.len() as u64;
        losses.rows += rows.len() as u64;
        if losses.first.as_ref().is_none_or(|(first, _)| *first > before + row) {
            losses.first = Some((before + row, reason.clone()));
        }
    }

    pub(crate) fn warning(&self, index: usize, name: &str) -> Option<Fault> {
        let losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (row, reason) = losses.first.as_ref()?;
        let cells = if losses.cells == 1 { "1 cell".to_owned() } else { format!("{} cells", losses.cells) };
        let rows = if losses.rows == 1 { "1 row".to_owned() } else { format!("{} rows", losses.rows) };
        let text =
            format!("{cells} of {rows} could not be read and became missing; the first: row {}: {reason}", row + 1);
        let help = "`on_error: reject` leaves such rows out and keeps them with the reason";
        Some(Fault::warning(contract::code!("data::filled"), text).help(help).at(route!["steps", index, name]))
    }
}

/// A step that needs no more than a piece of the rows at a time.
pub(crate) struct Link<'a> {
    pub(crate) index: usize,
    pub(crate) name: &'static str,
    /// The columns it gives.
    pub(crate) columns: Vec<Column>,
    /// Whether cells that differ from those before are counted.
    counts: bool,
    /// The cells it could not read.
    pub(crate) lost: Arc<Lost>,
    work: Work<'a>,
}

impl<'a> Link<'a> {
    pub(super) fn new(columns: Vec<Column>, work: impl Fn(&RecordBatch, usize) -> Outcome<Piece> + Sync + 'a) -> Self {
        Self { index: 0, name: "", columns, counts: true, lost: Arc::default(), work: Box::new(work) }
    }

    /// The same, as the step of this number and name.
    pub(crate) fn numbered(self, index: usize, name: &'static str) -> Self {
        Self { index, name, ..self }
    }

    /// The same, with the count of the cells it could not read.
    pub(super) fn losing(self, lost: Arc<Lost>) -> Self {
        Self { lost, ..self }
    }

    /// Other names or fewer columns, the same cells.
    pub(super) fn picked(columns: Vec<Column>, kept: Vec<usize>) -> Self {
        let work = move |rows: &RecordBatch, _: usize| {
            Ok((kept.iter().map(|index| rows.column(*index).clone()).collect(), Vec::new()))
        };
        Self { counts: false, ..Self::new(columns, work) }
    }

    /// The columns at these positions, in this order.
    pub(super) fn project(columns: &[Column], kept: Vec<usize>) -> Self {
        Self::picked(kept.iter().map(|index| columns[*index].clone()).collect(), kept)
    }
}

/// What one step of a chain has come to.
struct Tally<'a> {
    done: Done,
    faults: FaultList,
    rejected: Rejected<'a>,
}

/// Carries steps out together: a few pieces through all of them, then the next few.
pub(crate) fn carry_out<'a>(
    table: Table,
    chain: &[Link<'_>],
    keep: Option<u64>,
    scene: &Scene<'a>,
    rejected: &mut Rejected<'a>,
) -> Outcome<(Table, Vec<Done>)> {
    let last = chain.last().map_or_else(|| table.columns.clone(), |link| link.columns.clone());
    let mut keeper = Keeper::new(last, scene.memory);
    let mut tallies: Vec<Tally<'a>> = chain
        .iter()
        .map(|link| {
            let mut rejected = Rejected::new(keep, scene.memory, chain.len() + 1);
            rejected.step(link.index, link.name);
            let columns = link.columns.len() as u64;
            let done = Done { step: link.name, rows_in: 0, rows_out: 0, rejected: 0, changed: Some(0), columns };
            Tally { done, faults: FaultList::default(), rejected }
        })
        .collect();
    // Steps beyond one that has failed are not carried out; those before it are, for they may fail, too.
    let mut reach = chain.len();
    for group in table.batches.chunks(scene.threads.max(1)) {
        let mut pieces = group.to_vec();
        let mut columns = &table.columns;
        for (link, tally) in chain.iter().zip(&mut tallies).take(reach) {
            pieces = link.carry_out(&pieces, columns, tally, scene)?;
            columns = &link.columns;
        }
        if let Some(failed) = tallies.iter().position(|tally| !tally.faults.is_empty()) {
            reach = failed + 1;
            continue;
        }
        for piece in pieces {
            keeper.push(piece)?;
        }
    }
    let mut done = Vec::with_capacity(tallies.len());
    for mut tally in tallies {
        if !tally.faults.is_empty() {
            return Err(tally.faults.into_vec());
        }
        tally.done.rejected = tally.rejected.count();
        let empty = tally.done.rows_out == 0;
        rejected.take(tally.rejected)?;
        done.push(tally.done);
        if empty {
            break;
        }
    }
    Ok((keeper.finish()?, done))
}

impl Link<'_> {
    /// Some pieces through the step; rejected rows are left out.
    fn carry_out(
        &self,
        pieces: &[RecordBatch],
        columns: &[Column],
        tally: &mut Tally<'_>,
        scene: &Scene<'_>,
    ) -> Outcome<Vec<RecordBatch>> {
        let starts: Vec<usize> = pieces
            .iter()
            .scan(tally.done.rows_in as usize, |before, rows| {
                *before += rows.num_rows();
                Some(*before - rows.num_rows())
            })
            .collect();
        tally.done.rows_in += pieces.iter().map(|rows| rows.num_rows() as u64).sum::<u64>();
        let stays: Vec<Option<usize>> = self
            .columns
            .iter()
            .map(|column| columns.iter().position(|old| old.name == column.name && old.shape == column.shape))
            .collect();
        let made = threads::map(pieces.len(), scene.threads, |index| {
            let rows = &pieces[index];
            let (arrays, gone) = (self.work)(rows, starts[index])?;
            let cells = arrays.iter().zip(&stays).filter(|_| self.counts).map(|(array, stays)| match stays {
                Some(old) => changed(rows.column(*old), array),
                None => (array.len() - array.null_count()) as u64,
            });
            let changed: u64 = cells.sum();
            let made = batch(&self.columns, arrays).and_then(|made| {
                if gone.is_empty() {
                    return Ok(made);
                }
                let mut kept = vec![true; made.num_rows()];
                gone.iter().for_each(|(row, _)| kept[*row] = false);
                let kept = filter_record_batch(&made, &BooleanArray::from(kept));
                kept.map_err(|error| kernel("dropping rows", &error))
            });
            // A piece behind one with a fault may be half done: what it gives is looked at only when there was none.
            Ok::<_, Faults>((made, gone, changed))
        });
        let mut kept = Vec::with_capacity(pieces.len());
        for ((rows, before), outcome) in pieces.iter().zip(starts).zip(made) {
            match outcome {
                Err(more) => more.into_iter().for_each(|fault| tally.faults.add(|| fault)),
                Ok((made, gone, changed)) if tally.faults.is_empty() => {
                    let made = made?;
                    for (row, reason) in &gone {
                        tally.rejected.add(rows, columns, *row, before, reason)?;
                    }
                    tally.done.changed = tally.done.changed.map(|sum| sum + changed);
                    tally.done.rows_out += made.num_rows() as u64;
                    kept.push(made);
                }
                Ok(_) => {}
            }
        }
        kept.retain(|rows| rows.num_rows() > 0);
        Ok(if tally.faults.is_empty() { kept } else { Vec::new() })
    }
}

/// Drops rows by a mask of those that stay.
pub(super) fn filter<'a>(
    columns: Vec<Column>,
    mask: impl Fn(&RecordBatch, usize) -> Outcome<BooleanArray> + Sync + 'a,
    reason: impl Fn(&RecordBatch, usize) -> String + Sync + 'a,
) -> Link<'a> {
    Link::new(columns, move |rows, before| {
        let mask = mask(rows, before)?;
        let gone = (0..rows.num_rows()).filter(|row| !mask.value(*row)).map(|row| (row, reason(rows, row))).collect();
        Ok((rows.columns().to_vec(), gone))
    })
}

/// Cells that could not be read: faults, rejections, or nothing.
pub(super) fn policy(
    on_error: OnError,
    wrong: Vec<(usize, String)>,
    fault: impl Fn(usize, &str) -> Fault,
) -> Outcome<Vec<(usize, String)>> {
    match on_error {
        OnError::Fill => Ok(Vec::new()),
        OnError::Reject => Ok(wrong),
        OnError::Fail if wrong.is_empty() => Ok(wrong),
        OnError::Fail => {
            let mut faults = FaultList::default();
            for (row, reason) in &wrong {
                faults.add(|| fault(*row, reason));
            }
            Err(faults.into_vec())
        }
    }
}

/// Some columns of every piece through a function.
pub(super) fn cells<'a>(
    after: Vec<Column>,
    chosen: Vec<usize>,
    f: impl Fn(&ArrayRef, usize) -> Outcome<ArrayRef> + Sync + 'a,
) -> Link<'a> {
    Link::new(after, move |rows, _| {
        let mut arrays = rows.columns().to_vec();
        for index in &chosen {
            arrays[*index] = f(&arrays[*index], *index)?;
        }
        Ok((arrays, Vec::new()))
    })
}

/// How many cells differ between two arrays of one length.
fn changed(old: &ArrayRef, new: &ArrayRef) -> u64 {
    if old.data_type() != new.data_type() {
        let missing = |row: usize| new.is_null(row) && old.is_null(row);
        return (0..new.len()).filter(|row| !missing(*row)).count() as u64;
    }
    if old.to_data().ptr_eq(&new.to_data()) {
        return 0;
    }
    if old.data_type().is_nested() {
        let compare = make_comparator(old, new, SortOptions::default());
        return compare.map_or(0, |compare| (0..new.len()).filter(|row| compare(*row, *row).is_ne()).count() as u64);
    }
    cmp::distinct(old, new).map_or(0, |mask| mask.true_count() as u64)
}
