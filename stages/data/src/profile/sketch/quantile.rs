//! Quantiles by the sketch of Karnin, Lang and Liberty (2016).
//!
//! Compaction keeps every second of a sorted level; which half alternates, level by level, instead of being drawn, so the
//! same rows give the same sketch. Ranks are off by less than 1 % of the count (a property test holds it to that).

use serde::{Deserialize, Serialize};

/// Size of the highest level.
const K: f64 = 512.0;
/// No level is smaller: compaction of a handful of values costs more than it saves.
const LEAST: usize = 64;

/// A sketch of numbers: level `h` holds values that stand for 2^h each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many numbers were seen.
    pub count: u64,
    /// The values kept, by level.
    pub levels: Vec<Vec<f64>>,
    /// Which half a level keeps next, one bit a level.
    pub parity: u64,
}

impl Quantiles {
    /// Takes a finite number in.
    pub fn add(&mut self, value: f64) {
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        self.count += 1;
        self.levels[0].push(value);
        if self.levels[0].len() >= self.capacity(0) {
            self.compact();
        }
    }

    /// Takes another's numbers in.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for (level, values) in other.levels.iter().enumerate() {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            self.levels[level].extend(values);
        }
        self.compact();
    }

    fn capacity(&self, level: usize) -> usize {
        let depth = (self.levels.len() - 1 - level) as i32;
        ((K * (2.0f64 / 3.0).powi(depth)).ceil() as usize).max(LEAST)
    }

    fn compact(&mut self) {
        let mut level = 0;
        while level < self.levels.len() {
            if self.levels[level].len() >= self.capacity(level) {
                if level + 1 == self.levels.len() {
                    self.levels.push(Vec::new());
                }
                let mut values = std::mem::take(&mut self.levels[level]);
                values.sort_unstable_by(f64::total_cmp);
                if values.len() % 2 == 1 {
                    self.levels[level].extend(values.pop());
                }
                let skip = (self.parity >> level.min(63) & 1) as usize;
                self.parity ^= 1 << level.min(63);
                self.levels[level + 1].extend(values.into_iter().skip(skip).step_by(2));
            }
            level += 1;
        }
    }

    /// Values in order, each with the share of numbers that are at most it.
    pub fn steps(&self) -> Vec<(f64, f64)> {
        let mut values: Vec<(f64, u64)> = Vec::new();
        for (level, kept) in self.levels.iter().enumerate() {
            values.extend(kept.iter().map(|value| (*value, 1 << level.min(63))));
        }
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let total: u64 = values.iter().map(|(_, weight)| weight).sum();
        let mut steps: Vec<(f64, f64)> = Vec::with_capacity(values.len());
        let mut below = 0;
        for (value, weight) in values {
            below += weight;
            let share = below as f64 / total as f64;
            match steps.last_mut() {
                Some(last) if last.0 == value => last.1 = share,
                _ => steps.push((value, share)),
            }
        }
        steps
    }
}

/// The smallest value that at least this share of numbers does not exceed.
pub fn quantile(steps: &[(f64, f64)], share: f64) -> Option<f64> {
    let at = steps.partition_point(|(_, below)| *below < share - 1e-12);
    steps.get(at).or(steps.last()).map(|(value, _)| *value)
}

/// The share of numbers that are at most `value`.
pub fn share(steps: &[(f64, f64)], value: f64) -> f64 {
    match steps.partition_point(|(step, _)| *step <= value) {
        0 => 0.0,
        at => steps[at - 1].1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_numbers_are_exact() {
        let mut sketch = Quantiles::default();
        for value in [3.0, 1.0, 2.0, 4.0] {
            sketch.add(value);
        }
        let steps = sketch.steps();
        assert_eq!([0.0, 0.25, 0.5, 0.75, 1.0].map(|q| quantile(&steps, q).unwrap()), [1.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!((share(&steps, 0.5), share(&steps, 2.5), share(&steps, 9.0)), (0.0, 0.5, 1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn ranks_are_off_by_less_than_one_percent(seed in any::<u64>(), n in 2_000u64..60_000, sorted in any::<bool>(), cuts in 1u64..9) {
            // A permutation of 0..n or its order: the true rank of a value is the value.
            let mut values: Vec<u64> = (0..n).collect();
            if !sorted {
                values.sort_by_key(|value| crate::profile::sketch::hash::word(value ^ seed));
            }
            let mut merged = Quantiles::default();
            for part in values.chunks((n / cuts + 1) as usize) {
                let mut sketch = Quantiles::default();
                part.iter().for_each(|value| sketch.add(*value as f64));
                merged.merge(&sketch);
            }
            prop_assert_eq!(merged.count, n);
            let kept: usize = merged.levels.iter().map(Vec::len).sum();
            prop_assert!(kept < 3000, "{} values kept", kept);
            let steps = merged.steps();
            for percent in 1..100 {
                let value = quantile(&steps, f64::from(percent) / 100.0).unwrap();
                let error = ((value + 1.0) / n as f64 - f64::from(percent) / 100.0).abs();
                prop_assert!(error < 0.01, "rank {} is off by {}", percent, error);
            }
        }
    }
}
