//! How pairs of columns hang together. One pass over the rows of a pair fills a small table of bins; numbers also give their
//! ranks. Rows where either cell is missing do not count.

use arrow::buffer::ScalarBuffer;

use super::coded::{Coded, MISSING, Values, ranks};
use super::document::{Measure, Pair};
use crate::fault::Outcome;
use crate::table::spill::Memory;
use crate::threads;

/// Bins of numbers in mutual information.
const BINS: usize = 10;
/// Categories of a column; rarer ones are one together.
const CATEGORIES: usize = 50;

/// A column made ready for comparisons.
pub struct Side<'a> {
    column: &'a Coded,
    numeric: bool,
    /// The bin of every row; `bins` for a missing cell.
    rows: ScalarBuffer<u8>,
    bins: usize,
    ranks: ScalarBuffer<f64>,
}

impl<'a> Side<'a> {
    /// Of a column.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn new(column: &'a Coded, numeric: bool, memory: &Memory) -> Outcome<Self> {
        let (of_code, bins) = column.bins(numeric, BINS, CATEGORIES);
        let rows = column
            .codes
            .iter()
            .map(|code| if *code == MISSING { bins as u8 } else { of_code[*code as usize] })
            .collect::<Vec<u8>>();
        let ranks = memory.park(if numeric { column.ranks() } else { Vec::new() })?;
        Ok(Self { column, numeric, rows: memory.park(rows)?, bins, ranks })
    }
}

/// Every pair of columns.
pub fn pairs(sides: &[Side<'_>], threads: usize) -> Vec<Pair> {
    let between: Vec<(usize, usize)> =
        (0..sides.len()).flat_map(|a| (a + 1..sides.len()).map(move |b| (a, b))).collect();
    threads::map(between.len(), threads, |index| {
        let (a, b) = between[index];
        let (measure, value, information, uncertainty) = associate(&sides[a], &sides[b]);
        Pair { between: (a, b), measure, value: value.filter(|value| value.is_finite()), information, uncertainty }
    })
}

fn associate(a: &Side<'_>, b: &Side<'_>) -> (Measure, Option<f64>, f64, Option<(f64, f64)>) {
    let width = b.bins + 1;
    let mut table = vec![0u32; (a.bins + 1) * width];
    for (x, y) in a.rows.iter().zip(b.rows.iter()) {
        table[usize::from(*x) * width + usize::from(*y)] += 1;
    }
    // Without missing cells.
    let table: Vec<Vec<f64>> =
        (0..a.bins).map(|x| (0..b.bins).map(|y| f64::from(table[x * width + y])).collect()).collect();
    let information = information(&table);
    match (a.numeric, b.numeric) {
        (true, true) => (Measure::Spearman, spearman(a, b), information, None),
        (false, false) => (Measure::CramersV, cramers_v(&table), information, uncertainty(&table, information)),
        (true, false) => (Measure::CorrelationRatio, correlation_ratio(b, a), information, None),
        (false, true) => (Measure::CorrelationRatio, correlation_ratio(a, b), information, None),
    }
}

/// Theil's U both ways (H. Theil, On the estimation of relationships involving qualitative variables, 1970): the share of the entropy of
/// the columns' category that the rows' tells, and the other way round.
pub fn uncertainty(table: &[Vec<f64>], information: f64) -> Option<(f64, f64)> {
    let rows: Vec<f64> = table.iter().map(|row| row.iter().sum()).collect();
    let columns: Vec<f64> = (0..table.first()?.len()).map(|y| table.iter().map(|row| row[y]).sum()).collect();
    let total: f64 = rows.iter().sum();
    let entropy = |sums: &[f64]| {
        let shares = sums.iter().filter(|sum| **sum > 0.0).map(|sum| sum / total);
        shares.map(|share| -share * share.ln()).sum::<f64>()
    };
    let (of_rows, of_columns) = (entropy(&rows), entropy(&columns));
    let share = |entropy: f64| (information / entropy).clamp(0.0, 1.0);
    (of_rows > 0.0 && of_columns > 0.0).then(|| (share(of_columns), share(of_rows)))
}

/// Mutual information in nats.
pub fn information(table: &[Vec<f64>]) -> f64 {
    let rows: Vec<f64> = table.iter().map(|row| row.iter().sum()).collect();
    let total: f64 = rows.iter().sum();
    let columns: Vec<f64> =
        (0..table.first().map_or(0, Vec::len)).map(|y| table.iter().map(|row| row[y]).sum()).collect();
    let mut sum = 0.0;
    for (row, of_row) in table.iter().zip(&rows) {
        for (count, of_column) in row.iter().zip(&columns).filter(|(count, _)| **count > 0.0) {
            sum += count / total * (count * total / (of_row * of_column)).ln();
        }
    }
    sum.max(0.0)
}

/// Cramér's V without its bias (W. Bergsma, A bias-correction for Cramér's V and Tschuprow's T, 2013).
pub fn cramers_v(table: &[Vec<f64>]) -> Option<f64> {
    let rows: Vec<f64> = table.iter().map(|row| row.iter().sum()).collect();
    let columns: Vec<f64> = (0..table.first()?.len()).map(|y| table.iter().map(|row| row[y]).sum()).collect();
    let total: f64 = rows.iter().sum();
    let r = rows.iter().filter(|sum| **sum > 0.0).count() as f64;
    let c = columns.iter().filter(|sum| **sum > 0.0).count() as f64;
    if r < 2.0 || c < 2.0 || total < 2.0 {
        return None;
    }
    let mut phi = -1.0;
    for (row, of_row) in table.iter().zip(&rows) {
        for (count, of_column) in row.iter().zip(&columns).filter(|(count, _)| **count > 0.0) {
            phi += count / of_row * (count / of_column);
        }
    }
    let free = total - 1.0;
    let phi = (phi - (r - 1.0) * (c - 1.0) / free).max(0.0);
    let (r, c) = (r - (r - 1.0).powi(2) / free, c - (c - 1.0).powi(2) / free);
    let least = (r - 1.0).min(c - 1.0);
    (least > 0.0).then(|| (phi / least).sqrt().min(1.0))
}

/// Spearman's rank correlation of the rows where both are there, ties by average rank.
fn spearman(a: &Side<'_>, b: &Side<'_>) -> Option<f64> {
    let same_rows = a.column.missing == 0 && b.column.missing == 0;
    if same_rows {
        return correlate(&a.column.codes, &b.column.codes, &a.ranks, &b.ranks);
    }
    // Ranks among the rows where both are there.
    let mut counts = (vec![0u32; a.column.distinct()], vec![0u32; b.column.distinct()]);
    for (x, y) in a.column.codes.iter().zip(b.column.codes.iter()) {
        if *x != MISSING && *y != MISSING {
            counts.0[*x as usize] += 1;
            counts.1[*y as usize] += 1;
        }
    }
    correlate(&a.column.codes, &b.column.codes, &ranks(&counts.0), &ranks(&counts.1))
}

fn correlate(a: &[u32], b: &[u32], rank_a: &[f64], rank_b: &[f64]) -> Option<f64> {
    let count = a.iter().zip(b).filter(|(x, y)| **x != MISSING && **y != MISSING).count() as f64;
    // The mean of ranks 1 … n, ties or not.
    let mean = (count + 1.0) / 2.0;
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        if *x != MISSING && *y != MISSING {
            let (x, y) = (rank_a[*x as usize] - mean, rank_b[*y as usize] - mean);
            xx += x * x;
            yy += y * y;
            xy += x * y;
        }
    }
    (count > 1.0 && xx > 0.0 && yy > 0.0).then(|| (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0))
}

/// η: the root of the share of a number's variance that lies between categories.
fn correlation_ratio(category: &Side<'_>, number: &Side<'_>) -> Option<f64> {
    let Values::Numbers(values) = &number.column.values else { return None };
    // Around a value of the middle, so that large numbers keep their digits.
    let middle = *values.get(values.len() / 2)?;
    let mut groups = vec![(0.0f64, 0.0f64); category.bins];
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for (bin, code) in category.rows.iter().zip(number.column.codes.iter()) {
        if usize::from(*bin) < category.bins && *code != MISSING {
            let value = values[*code as usize] - middle;
            groups[usize::from(*bin)].0 += 1.0;
            groups[usize::from(*bin)].1 += value;
            sum += value;
            squares += value * value;
            count += 1.0;
        }
    }
    let total = squares - sum * sum / count;
    let between: f64 = groups.iter().filter(|(n, _)| *n > 0.0).map(|(n, s)| s * s / n).sum::<f64>() - sum * sum / count;
    let kinds = groups.iter().filter(|(n, _)| *n > 0.0).count();
    (kinds > 1 && total > 0.0 && total.is_finite()).then(|| (between / total).clamp(0.0, 1.0).sqrt())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::*;

    fn numbers(values: &[f64]) -> Coded {
        Coded::of(&[Arc::new(Float64Array::from(values.to_vec())) as ArrayRef], 1).unwrap()
    }

    fn texts(values: &[&str]) -> Coded {
        Coded::of(&[Arc::new(StringArray::from(values.to_vec())) as ArrayRef], 1).unwrap()
    }

    fn of(a: &Coded, a_numeric: bool, b: &Coded, b_numeric: bool) -> (f64, f64) {
        let memory = Memory::new(Some(1 << 30), std::env::temp_dir());
        let side = |column, numeric| Side::new(column, numeric, &memory).unwrap();
        let found = pairs(&[side(a, a_numeric), side(b, b_numeric)], 2);
        (found[0].value.unwrap_or(f64::NAN), found[0].information)
    }

    #[test]
    fn spearman_is_that_of_scipy() {
        // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]): 0.8207826816681233 (scipy's own example).
        let (value, _) = of(&numbers(&[1.0, 2.0, 3.0, 4.0, 5.0]), true, &numbers(&[5.0, 6.0, 7.0, 8.0, 7.0]), true);
        assert!((value - 0.820_782_681_668_123_3).abs() < 1e-12, "{value}");
        // A missing cell on either side takes its row out of both rankings.
        let nan = f64::NAN;
        let (gone, _) = of(
            &numbers(&[1.0, 2.0, nan, 3.0, 4.0, 5.0, 0.0]),
            true,
            &numbers(&[5.0, 6.0, 1.0, 7.0, 8.0, 7.0, nan]),
            true,
        );
        assert!((gone - value).abs() < 1e-12, "{gone}");
        assert!(of(&numbers(&[1.0, 1.0]), true, &numbers(&[1.0, 2.0]), true).0.is_nan(), "a constant has no order");
    }

    #[test]
    fn cramers_v_and_information_are_those_of_the_formulas() {
        // [[10, 20], [20, 10]]: χ² = 60·(10·10 − 20·20)² / 30⁴ = 20/3, φ² = 1/9; less 1/59, over 2 − 1/59 − 1.
        let table = vec![vec![10.0, 20.0], vec![20.0, 10.0]];
        let expected = ((1.0 / 9.0 - 1.0 / 59.0) / (1.0 - 1.0 / 59.0f64)).sqrt();
        assert!((cramers_v(&table).unwrap() - expected).abs() < 1e-12);
        // 2 · (1/6 · ln(2/3) + 1/3 · ln(4/3)) = 0.0566330…, sklearn.metrics.mutual_info_score of the same rows.
        assert!((information(&table) - 2.0 * ((2.0f64 / 3.0).ln() / 6.0 + (4.0f64 / 3.0).ln() / 3.0)).abs() < 1e-12);
        assert_eq!(cramers_v(&[vec![5.0, 5.0], vec![5.0, 5.0]]), Some(0.0));
        assert_eq!(cramers_v(&[vec![5.0, 5.0]]), None);
        let left = texts(&["a", "b", "c", "a", "b", "c"]);
        let (value, information) = of(&left, false, &texts(&["x", "y", "z", "x", "y", "z"]), false);
        assert!((value - 1.0).abs() < 1e-12 && (information - 3.0f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn the_correlation_ratio_is_that_of_the_textbook() {
        // Wikipedia, "Correlation ratio": algebra 45 70 29 15 21, geometry 40 20 30 42, statistics 65 95 80 70 85 73:
        // η² = 6780 / 9640.
        let names = [["algebra"; 5].as_slice(), &["geometry"; 4], &["statistics"; 6]].concat();
        let marks = [45., 70., 29., 15., 21., 40., 20., 30., 42., 65., 95., 80., 70., 85., 73.];
        let (value, _) = of(&texts(&names), false, &numbers(&marks), true);
        assert!((value - (6780.0f64 / 9640.0).sqrt()).abs() < 1e-12, "{value}");
        let (turned, _) = of(&numbers(&marks), true, &texts(&names), false);
        assert_eq!(turned, value);
    }

    #[test]
    fn what_one_category_tells_of_another_has_a_direction() {
        // Six towns in three countries: a town tells the country, a country half of what there is to know of the town
        // (ln 3 of ln 6 nats).
        let towns = texts(&["a", "b", "c", "d", "e", "f"]);
        let countries = texts(&["x", "x", "y", "y", "z", "z"]);
        let memory = Memory::new(Some(1 << 30), std::env::temp_dir());
        let side = |column| Side::new(column, false, &memory).unwrap();
        let (tells, told) = pairs(&[side(&towns), side(&countries)], 1)[0].uncertainty.unwrap();
        assert!((tells - 1.0).abs() < 1e-12, "{tells}");
        assert!((told - 3.0f64.ln() / 6.0f64.ln()).abs() < 1e-12, "{told}");
        assert_eq!(uncertainty(&[vec![2.0, 2.0]], 0.0), None, "of one category there is nothing to know");
    }
}
