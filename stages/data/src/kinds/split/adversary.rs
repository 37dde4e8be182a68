//! Can a small classifier tell the test part from the training part? Then the two do not come from one distribution.
//!
//! Naive Bayes over the columns, each cut into 16 bins of equal counts (texts: by hash of the value), fitted on one half of a
//! sample and judged on the other by the area under the ROC curve (J. Hanley and B. McNeil, 1982).
//!
//! Of parts in time, columns that tell the time themselves (the month, the number of the row) are left out: that they differ
//! is how the parts were made.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use contract::artifact::{DType, Role};
use contract::fault::Fault;
use contract::route;

use super::rows::Row;
use crate::chance::Chance;
use crate::table::dataset::Table;

const SAMPLE: usize = 20_000;
const BINS: usize = 16;
/// Texts with more values than this tell rows apart, not parts.
const VALUES: usize = 64;
/// Above this area the parts can be told apart.
pub const LIMIT: f64 = 0.6;
/// A column whose ranks follow those of the time as closely (Spearman) is a clock.
const CLOCK: f64 = 0.9;

/// A warning that names the columns that tell most, when the parts can be told apart. `time` is the column of parts in time.
pub fn judge(
    table: &Table,
    assigned: &[u32],
    train: usize,
    test: usize,
    hidden: &[&str],
    time: Option<&str>,
) -> Option<Fault> {
    let (train, test) = (train as u32, test as u32);
    let mut rows: Vec<Row> =
        (0..assigned.len() as Row).filter(|row| [train, test].contains(&assigned[*row as usize])).collect();
    Chance::new(*b"pipeline advers1", 0).shuffle(&mut rows);
    rows.truncate(SAMPLE);
    let rows: Vec<usize> = rows.into_iter().map(|row| row as usize).collect();
    let labels: Vec<bool> = rows.iter().map(|row| assigned[*row] == test).collect();
    let half = rows.len() / 2;
    let fitting = |side: bool| labels[..half].iter().filter(|label| **label == side).count();
    let judging = |side: bool| labels[half..].iter().filter(|label| **label == side).count();
    // With so few rows an area of 0.6 is chance.
    if fitting(true).min(fitting(false)).min(judging(true)).min(judging(false)) < 30 {
        return None;
    }
    let mut sums = vec![0.0; rows.len() - half];
    let mut told: Vec<(f64, &str)> = Vec::new();
    let time = time
        .and_then(|name| table.columns.iter().position(|column| column.name == name))
        .and_then(|index| values(table, index, &rows));
    for (index, column) in table.columns.iter().enumerate() {
        // What no model sees may differ.
        let seen = matches!(column.role, Role::Feature | Role::Target) && !hidden.contains(&column.name.as_str());
        if !seen || !column.shape.is_empty() || column.dtype == DType::Binary {
            continue;
        }
        let clock =
            |time: &Vec<Option<f64>>| values(table, index, &rows).is_some_and(|own| together(time, &own) > CLOCK);
        if time.as_ref().is_some_and(clock) {
            continue;
        }
        let Some(bins) = bins(table, index, &rows, half) else { continue };
        let mut counts: HashMap<u32, [f64; 2]> = HashMap::new();
        for (bin, label) in bins.iter().zip(&labels).take(half) {
            counts.entry(*bin).or_insert([1.0, 1.0])[usize::from(*label)] += 1.0;
        }
        let scale = (fitting(false) as f64 / fitting(true) as f64).ln();
        let scores: Vec<f64> =
            bins[half..].iter().map(|bin| counts.get(bin).map_or(0.0, |[no, yes]| (yes / no).ln() + scale)).collect();
        for (sum, score) in sums.iter_mut().zip(&scores) {
            *sum += score;
        }
        told.push((area(&scores, &labels[half..]), &column.name));
    }
    told.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = told.first()?.0;
    // Columns that tell nothing add noise to the sum; the better of both is what a classifier reaches.
    let reached = area(&sums, &labels[half..]).max(best);
    if reached <= LIMIT {
        return None;
    }
    let names: Vec<String> = told
        .iter()
        .filter(|(area, _)| *area > 0.55)
        .take(3)
        .map(|(area, name)| format!("`{name}` ({area:.2})"))
        .collect();
    let columns = if names.is_empty() { "several columns together".to_owned() } else { names.join(", ") };
    Some(
        Fault::warning(
            contract::code!("split::told_apart"),
            format!("a small classifier tells `test` from `train` (AUC {reached:.2}); what tells most: {columns}"),
        )
        .help("the parts are not alike: that is expected of parts in time or by group, else look at these columns (`adversarial: false` is silent)")
        .at(route![]),
    )
}

/// Where a row is: the piece, and the row in it.
fn places(table: &Table) -> impl Fn(usize) -> (usize, usize) {
    let starts: Vec<usize> = table
        .batches
        .iter()
        .scan(0, |before, batch| {
            *before += batch.num_rows();
            Some(*before - batch.num_rows())
        })
        .collect();
    move |row: usize| {
        let piece = starts.partition_point(|start| *start <= row) - 1;
        (piece, row - starts[piece])
    }
}

/// The bin of each of these rows; missing cells are one. `None` for texts with too many values. Borders come from the first half.
fn bins(table: &Table, index: usize, rows: &[usize], half: usize) -> Option<Vec<u32>> {
    let place = places(table);
    if table.columns[index].dtype == DType::String {
        let pieces = table.pieces(index);
        let mut codes: HashMap<&str, u32> = HashMap::new();
        let mut bins = Vec::with_capacity(rows.len());
        for row in rows {
            let (piece, row) = place(*row);
            let texts = pieces[piece].as_string::<i32>();
            let next = codes.len() as u32 + 1;
            bins.push(if texts.is_null(row) { 0 } else { *codes.entry(texts.value(row)).or_insert(next) });
            if codes.len() > VALUES {
                return None;
            }
        }
        return Some(bins);
    }
    let values = values(table, index, rows)?;
    let mut sorted: Vec<f64> = values[..half].iter().copied().flatten().collect();
    sorted.sort_by(f64::total_cmp);
    let borders: Vec<f64> = (1..BINS).filter_map(|bin| sorted.get(bin * sorted.len() / BINS).copied()).collect();
    Some(
        values
            .iter()
            .map(|value| value.map_or(0, |value| 1 + borders.partition_point(|border| *border <= value) as u32))
            .collect(),
    )
}

/// The numbers in these rows (of dates and times, those below them); `None` for text.
fn values(table: &Table, index: usize, rows: &[usize]) -> Option<Vec<Option<f64>>> {
    if matches!(table.columns[index].dtype, DType::String | DType::Binary) {
        return None;
    }
    let place = places(table);
    let pieces: Vec<ArrayRef> = table
        .pieces(index)
        .iter()
        .map(|piece| {
            let whole = match piece.data_type() {
                DataType::Date32 => cast(piece, &DataType::Int32).ok()?,
                DataType::Timestamp(..) => cast(piece, &DataType::Int64).ok()?,
                _ => piece.clone(),
            };
            cast(&whole, &DataType::Float64).ok()
        })
        .collect::<Option<Vec<_>>>()?;
    let value = |row: &usize| {
        let (piece, row) = place(*row);
        let floats = pieces[piece].as_primitive::<Float64Type>();
        floats.is_valid(row).then(|| floats.value(row)).filter(|value| !value.is_nan())
    };
    Some(rows.iter().map(value).collect())
}

/// How closely the ranks of two columns follow each other, whatever the direction (Spearman, equal values by their mean rank).
fn together(a: &[Option<f64>], b: &[Option<f64>]) -> f64 {
    let (a, b): (Vec<f64>, Vec<f64>) = a.iter().zip(b).filter_map(|(a, b)| Some(((*a)?, (*b)?))).unzip();
    let (a, b) = (ranks(&a), ranks(&b));
    // Ranks of all rows have this mean, ties or not.
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let (of_a, of_b) = (product(&a, &a), product(&b, &b));
    if of_a * of_b > 0.0 { (product(&a, &b) / (of_a * of_b).sqrt()).abs() } else { 0.0 }
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for tie in order.chunk_by(|a, b| values[*a] == values[*b]) {
        tie.iter().for_each(|row| ranks[*row] = below as f64 + (tie.len() as f64 - 1.0) / 2.0);
        below += tie.len();
    }
    ranks
}

/// The chance that a true row has a higher score than a false one; equal scores count half.
fn area(scores: &[f64], labels: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut below, mut sum, mut positives) = (0.0, 0.0, 0.0);
    for tie in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let yes = tie.iter().filter(|row| labels[**row]).count() as f64;
        let no = tie.len() as f64 - yes;
        sum += yes * (below + no / 2.0);
        below += no;
        positives += yes;
    }
    if positives * below == 0.0 { 0.5 } else { sum / (positives * below) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn clocks_follow_the_time_in_either_direction() {
        let numbers = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
        let time = numbers(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(super::together(&time, &numbers(&[10.0, 20.0, 30.0, 40.0, 1e9])), 1.0);
        assert_eq!(super::together(&time, &numbers(&[5.0, 4.0, 3.0, 2.0, 1.0])), 1.0);
        // scipy.stats.spearmanr([1, 2, 3, 4, 5], [0, 1, 0, 1, 0]) is 0.
        assert_eq!(super::together(&time, &numbers(&[0.0, 1.0, 0.0, 1.0, 0.0])), 0.0);
        assert_eq!(super::together(&time, &[None; 5]), 0.0);
    }

    #[test]
    fn the_area_counts_pairs() {
        assert_eq!(super::area(&[1.0, 2.0, 3.0, 4.0], &[false, true, false, true]), 0.75);
        assert_eq!(super::area(&[1.0, 1.0], &[false, true]), 0.5);
        assert_eq!(super::area(&[0.0, 1.0], &[true, false]), 0.0);
    }
}
