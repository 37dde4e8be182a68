//! Does one column give the target away? A tree of depth 3 on each column alone, judged on rows it was not fitted to.
//!
//! The tree sees up to 64 bins of the column; those of a category are sorted by the target first (for two classes and for
//! numbers the best grouping is among the cuts of that order: Breiman et al. 1984, theorem 4.5). Even rows fit, odd rows judge.

use super::coded::{Coded, MISSING, Values};

/// Above it, a column gives the target away.
pub const SUSPICIOUS: f64 = 0.98;
/// Above it, one should ask whether it does.
pub const NEARLY: f64 = 0.9;
const BINS: usize = 64;
const DEPTH: usize = 3;
/// Classes that are tried one against the rest: the most frequent.
const CLASSES: usize = 20;

/// Count and sum of the target (0 or 1 for a class, a number otherwise), for each bin.
type Totals = Vec<(f64, f64)>;

/// `auc` of classes (the mean of one against the rest, weighted by their rows) or `r2` of numbers. `None` where too little is
/// there to tell.
pub fn leakage(column: &Coded, numeric: bool, target: &Coded, classes: bool) -> Option<(&'static str, f64)> {
    let (bin_of, bins) = column.bins(numeric, BINS, BINS);
    // Missing cells are a bin of their own, at the end.
    let bin = |code: u32| if code == MISSING { bins } else { usize::from(bin_of[code as usize]) };
    let rows: Vec<(usize, u32)> = column
        .codes
        .iter()
        .zip(target.codes.iter())
        .filter(|(_, target)| **target != MISSING)
        .map(|(code, target)| (bin(*code), *target))
        .collect();
    if rows.len() < 20 {
        return None;
    }
    let fold = |odd: usize, value: &dyn Fn(u32) -> f64| {
        let mut totals: Totals = vec![(0.0, 0.0); bins + 1];
        for (bin, target) in rows.iter().skip(odd).step_by(2) {
            totals[*bin].0 += 1.0;
            totals[*bin].1 += value(*target);
        }
        totals
    };
    if classes {
        let mut order: Vec<usize> = (0..target.distinct()).collect();
        order.sort_by(|a, b| target.counts[*b].cmp(&target.counts[*a]).then(a.cmp(b)));
        let (mut sum, mut weight) = (0.0, 0.0);
        for class in order.into_iter().take(CLASSES) {
            let value = |target: u32| f64::from(u8::from(target as usize == class));
            let leaves = fit(&fold(0, &value), numeric);
            let Some(area) = auc(&fold(1, &value), &leaves) else { continue };
            sum += area * f64::from(target.counts[class]);
            weight += f64::from(target.counts[class]);
        }
        return (weight > 0.0).then(|| ("auc", sum / weight));
    }
    let Values::Numbers(values) = &target.values else { return None };
    let middle = *values.get(values.len() / 2)?;
    let value = |target: u32| values[target as usize] - middle;
    let leaves = fit(&fold(0, &value), numeric);
    let judged = rows.iter().skip(1).step_by(2);
    let mean = judged.clone().map(|(_, target)| value(*target)).sum::<f64>() / (rows.len() / 2) as f64;
    let (mut off, mut total) = (0.0, 0.0);
    for (bin, target) in judged {
        off += (value(*target) - leaves[*bin]).powi(2);
        total += (value(*target) - mean).powi(2);
    }
    (total > 0.0 && total.is_finite()).then(|| ("r2", 1.0 - off / total))
}

/// What the tree says of each bin.
fn fit(totals: &Totals, numeric: bool) -> Vec<f64> {
    let (count, sum) = totals.iter().fold((0.0, 0.0), |all, bin| (all.0 + bin.0, all.1 + bin.1));
    let mean = if count > 0.0 { sum / count } else { 0.0 };
    let mut order: Vec<usize> = (0..totals.len()).collect();
    if !numeric {
        let of = |bin: usize| if totals[bin].0 > 0.0 { totals[bin].1 / totals[bin].0 } else { mean };
        order.sort_by(|a, b| of(*a).total_cmp(&of(*b)).then(a.cmp(b)));
    }
    let mut leaves = vec![mean; totals.len()];
    grow(totals, &order, DEPTH, &mut leaves);
    leaves
}

fn grow(totals: &Totals, bins: &[usize], depth: usize, leaves: &mut [f64]) {
    let (count, sum) = bins.iter().fold((0.0, 0.0), |all, bin| (all.0 + totals[*bin].0, all.1 + totals[*bin].1));
    if count == 0.0 {
        return;
    }
    for bin in bins {
        leaves[*bin] = sum / count;
    }
    if depth == 0 {
        return;
    }
    // The cut that leaves least variance: for 0 and 1 that is the one by Gini.
    let mut best = (sum * sum / count * (1.0 + 1e-9) + 1e-12, None);
    let (mut n, mut s) = (0.0, 0.0);
    for (at, bin) in bins.iter().enumerate().take(bins.len() - 1) {
        n += totals[*bin].0;
        s += totals[*bin].1;
        if n > 0.0 && n < count {
            let score = s * s / n + (sum - s).powi(2) / (count - n);
            if score > best.0 {
                best = (score, Some(at + 1));
            }
        }
    }
    if let Some(at) = best.1 {
        grow(totals, &bins[..at], depth - 1, leaves);
        grow(totals, &bins[at..], depth - 1, leaves);
    }
}

/// The area under the ROC curve of bins with scores: the chance that a row of the class scores above one of the rest.
fn auc(totals: &Totals, scores: &[f64]) -> Option<f64> {
    let mut order: Vec<usize> = (0..totals.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut area, mut below) = (0.0, 0.0);
    let mut at = 0;
    while at < order.len() {
        let end = at + order[at..].iter().take_while(|bin| scores[**bin] == scores[order[at]]).count();
        let ones: f64 = order[at..end].iter().map(|bin| totals[*bin].1).sum();
        let zeros: f64 = order[at..end].iter().map(|bin| totals[*bin].0).sum::<f64>() - ones;
        area += ones * (below + zeros / 2.0);
        below += zeros;
        at = end;
    }
    let ones: f64 = totals.iter().map(|bin| bin.1).sum();
    (ones > 0.0 && below > 0.0).then(|| area / (ones * below))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::*;
    use crate::profile::sketch::hash::word;

    fn numbers(values: impl Iterator<Item = f64>) -> Coded {
        Coded::of(&[Arc::new(Float64Array::from_iter_values(values)) as ArrayRef], 1).unwrap()
    }

    fn texts(values: impl Iterator<Item = String>) -> Coded {
        Coded::of(&[Arc::new(StringArray::from_iter_values(values)) as ArrayRef], 1).unwrap()
    }

    fn chance(row: u64) -> f64 {
        (word(row) >> 11) as f64 / (1u64 << 53) as f64
    }

    #[test]
    fn the_area_counts_pairs() {
        // Two bins: scores 0.1 with 1 of 4, 0.9 with 3 of 4. Pairs won: 3·3, drawn: 1·3 + 3·1, of 16.
        assert_eq!(auc(&vec![(4.0, 1.0), (4.0, 3.0)], &[0.1, 0.9]), Some((9.0 + 3.0) / 16.0));
        assert_eq!(auc(&vec![(4.0, 0.0)], &[0.1]), None);
    }

    #[test]
    fn a_copy_of_the_target_is_caught_and_chance_is_not() {
        let n = 2000;
        let target = texts((0..n).map(|row| if chance(row) < 0.3 { "yes" } else { "no" }.to_owned()));
        let copy = numbers((0..n).map(|row| chance(row) * 100.0));
        let noise = numbers((0..n).map(|row| chance(row + n)));
        let ids = texts((0..n).map(|row| format!("row {row}")));
        assert!(leakage(&copy, true, &target, true).unwrap().1 > SUSPICIOUS);
        assert!(leakage(&noise, true, &target, true).unwrap().1 < 0.6);
        assert!(leakage(&ids, false, &target, true).unwrap().1 < 0.6, "a key tells nothing of rows not seen");
        let price = numbers((0..n).map(|row| (chance(row) * 8.0).floor()));
        let twice = numbers((0..n).map(|row| (chance(row) * 8.0).floor() * 2.0 + 1.0));
        assert_eq!(leakage(&twice, true, &price, false), Some(("r2", 1.0)));
        assert!(leakage(&noise, true, &price, false).unwrap().1 < 0.05);
    }
}
