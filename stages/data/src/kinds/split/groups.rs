//! Groups of rows that stay in one part: equal keys, equal rows, near duplicates.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef};
use arrow::row::{RowConverter, SortField};
use catalog::columns::pattern::select;
use catalog::kinds::split::params::Split;
use contract::fault::Faults;
use contract::route;

use super::rows::Row;
use crate::chance::Chance;
use crate::fault::{Outcome, kernel};
use crate::step::duplicates::{digest, repeats};
use crate::step::near;
use crate::table::dataset::Table;
use crate::table::spill::Memory;
use crate::threads;

/// The group of each row, by the number of its first row. Rows without a key are groups of their own.
///
/// # Errors
/// Columns that are not there or that cannot be compared.
pub fn groups(params: &Split, table: &Table, memory: &Memory, threads: usize) -> Outcome<Vec<Row>> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let mut parents: Vec<Row> = (0..table.rows() as Row).collect();
    if let Some(entries) = &params.group {
        keys(table, &select(entries, &names, &route!["group"])?, &mut parents)?;
    }
    if let Some(together) = &params.together {
        let columns = match &together.columns {
            Some(entries) => select(entries, &names, &route!["together", "columns"])?,
            None => (0..names.len()).filter(|index| table.columns[*index].shape.is_empty()).collect(),
        };
        match together.similarity {
            None => {
                for (row, first) in repeats(table, &columns, memory, threads)? {
                    unite(&mut parents, row, first);
                }
            }
            Some(similarity) => similar(table, &columns, similarity, (memory, threads), &mut parents)?,
        }
    }
    Ok((0..parents.len()).map(|row| root(&mut parents, row as Row)).collect())
}

fn keys(table: &Table, columns: &[usize], parents: &mut [Row]) -> Outcome<()> {
    let Some(first) = table.batches.first() else { return Ok(()) };
    let fail = |error: arrow::error::ArrowError| kernel("comparing rows", &error);
    let fields = columns.iter().map(|index| SortField::new(first.column(*index).data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(fail)?;
    let mut seen: HashMap<u128, usize> = HashMap::new();
    let mut before = 0;
    for batch in &table.batches {
        let arrays: Vec<ArrayRef> = columns.iter().map(|index| batch.column(*index).clone()).collect();
        let rows = converter.convert_columns(&arrays).map_err(fail)?;
        for (row, cells) in rows.iter().enumerate().filter(|(row, _)| arrays.iter().all(|array| array.is_valid(*row))) {
            let first = *seen.entry(digest(cells.as_ref())).or_insert(before + row);
            unite(parents, before + row, first);
        }
        before += batch.num_rows();
    }
    Ok(())
}

fn similar(
    table: &Table,
    columns: &[usize],
    similarity: f64,
    (memory, threads): (&Memory, usize),
    parents: &mut [Row],
) -> Outcome<()> {
    let mut index = near::Index::new(memory);
    let mut before = 0;
    for batch in &table.batches {
        let signed = threads::map(batch.num_rows(), threads, |row| {
            let shingles = near::shingles(batch, columns, row)?;
            let signature = near::signature(&shingles);
            Ok::<_, Faults>((shingles, signature))
        });
        for (row, signed) in signed.into_iter().enumerate() {
            let (shingles, signature) = signed?;
            if let Some((first, _)) = index.similar(&shingles, &signature, similarity)? {
                unite(parents, before + row, first);
            }
            // A row that is like an earlier one may be the bridge to a third.
            index.add(before + row, &shingles, &signature)?;
        }
        before += batch.num_rows();
    }
    Ok(())
}

/// The smallest row of a row's set (with path halving: R. Tarjan and J. van Leeuwen, 1984).
fn root(parents: &mut [Row], mut row: Row) -> Row {
    while parents[row as usize] != row {
        let above = parents[row as usize];
        parents[row as usize] = parents[above as usize];
        row = parents[row as usize];
    }
    row
}

fn unite(parents: &mut [Row], left: usize, right: usize) {
    let (left, right) = (root(parents, left as Row), root(parents, right as Row));
    parents[left.max(right) as usize] = left.min(right);
}

/// The part of each row: groups in random order, the large ones first, each to the part that lacks most of its share.
pub fn deal(groups: &[Row], shares: &[f64], seed: u64) -> Vec<u32> {
    let mut sizes: HashMap<Row, usize> = HashMap::new();
    for group in groups {
        *sizes.entry(*group).or_default() += 1;
    }
    let mut order: Vec<Row> = sizes.keys().copied().collect();
    order.sort_unstable();
    Chance::new(*b"pipeline groups1", seed).shuffle(&mut order);
    order.sort_by_key(|group| std::cmp::Reverse(sizes[group]));
    let mut room: Vec<f64> = shares.iter().map(|share| share * groups.len() as f64).collect();
    let mut part_of: HashMap<Row, u32> = HashMap::new();
    for group in order {
        let mut best = 0;
        for part in 1..room.len() {
            if room[part] > room[best] + 1e-9 {
                best = part;
            }
        }
        room[best] -= sizes[&group] as f64;
        part_of.insert(group, best as u32);
    }
    groups.iter().map(|group| part_of[group]).collect()
}

/// The part of each row: whole groups, so that the parts get nearly equal shares of every class.
///
/// Greedy, as scikit-learn's `StratifiedGroupKFold` (`sklearn/model_selection/_split.py`), here for parts of any share: the groups
/// whose classes differ most in number come first (before, they are shuffled under the seed), and each goes to the part with which the
/// filling of the parts, rows there by rows wanted there, deviates least, on average over the classes. Of parts that are equal
/// in that the one that is least filled gets it. `classes` says of each row which of `count` classes it is of.
pub fn deal_stratified(groups: &[Row], classes: &[u32], count: usize, shares: &[f64], seed: u64) -> Vec<u32> {
    let mut members: HashMap<Row, Vec<(u32, f64)>> = HashMap::new();
    let mut totals = vec![0.0; count];
    for (group, class) in groups.iter().zip(classes) {
        totals[*class as usize] += 1.0;
        let own = members.entry(*group).or_default();
        match own.iter_mut().find(|(known, _)| known == class) {
            Some((_, rows)) => *rows += 1.0,
            None => own.push((*class, 1.0)),
        }
    }
    let mut order: Vec<Row> = members.keys().copied().collect();
    order.sort_unstable();
    Chance::new(*b"pipeline groups1", seed).shuffle(&mut order);
    let spread = |group: &Row| {
        let (sum, squares) = members[group].iter().fold((0.0, 0.0), |(a, b), (_, n)| (a + n, b + n * n));
        deviation(sum, squares, count as f64)
    };
    order.sort_by(|a, b| spread(b).total_cmp(&spread(a)));
    let parts = shares.len();
    // Of every class and part: rows there by rows wanted there; of every class the sum of these and of their squares.
    let mut filled = vec![vec![0.0; parts]; count];
    let mut sums = vec![(0.0, 0.0); count];
    let mut rows = vec![0.0; parts];
    let mut part_of: HashMap<Row, u32> = HashMap::new();
    for group in order {
        let own = &members[&group];
        // Classes the group has no rows of add the same for every part.
        let cost = |part: usize| -> f64 {
            own.iter()
                .map(|(class, more)| {
                    let class = *class as usize;
                    let old: f64 = filled[class][part];
                    let new = old + more / (shares[part] * totals[class]);
                    let (sum, squares): (f64, f64) = sums[class];
                    deviation(sum - old + new, squares - old * old + new * new, parts as f64)
                        - deviation(sum, squares, parts as f64)
                })
                .sum()
        };
        let costs: Vec<f64> = (0..parts).map(cost).collect();
        let mut best = 0;
        for part in 1..parts {
            let (less, fuller) = (costs[part] - costs[best], rows[part] / shares[part] - rows[best] / shares[best]);
            if less < -1e-12 || (less < 1e-12 && fuller < -1e-9) {
                best = part;
            }
        }
        for (class, more) in own {
            let class = *class as usize;
            let old = filled[class][best];
            let new = old + more / (shares[best] * totals[class]);
            filled[class][best] = new;
            sums[class].0 += new - old;
            sums[class].1 += new * new - old * old;
            rows[best] += more;
        }
        part_of.insert(group, best as u32);
    }
    groups.iter().map(|group| part_of[group]).collect()
}

/// The standard deviation of `count` numbers of this sum and sum of squares.
fn deviation(sum: f64, squares: f64, count: f64) -> f64 {
    (squares / count - (sum / count).powi(2)).max(0.0).sqrt()
}
