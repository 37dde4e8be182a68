//! The values that occur most: SpaceSaving (Metwally et al. 2005) in the form of Agarwal et al. (2012), "Mergeable summaries",
//! where the counters that overflow are taken off all at once.
//!
//! Up to [`LIMIT`] different values counts are exact. Beyond, a count is too low by at most [`Frequent::error`], which is at
//! most the total / (KEPT + 1): what is taken off is taken off more than KEPT counters.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash};

use serde::{Deserialize, Serialize};

use crate::table::classes::Fx;

/// So many different values are counted exactly.
pub const LIMIT: usize = 1024;
/// So many are left when there are more.
pub const KEPT: usize = 256;

/// Counters of values.
#[derive(Debug, Clone)]
pub struct Frequent<K> {
    counts: HashMap<K, u64, BuildHasherDefault<Fx>>,
    error: u64,
}

impl<K> Default for Frequent<K> {
    fn default() -> Self {
        Self { counts: HashMap::default(), error: 0 }
    }
}

/// As stored: values with counts, the most frequent first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted<V> {
    /// Values and counts.
    pub values: Vec<(V, u64)>,
    /// By how much a count may be too low; 0 means that every value is listed and every count is exact.
    pub error: u64,
}

impl<K: Hash + Eq + Ord + Clone> Frequent<K> {
    /// Counts a value `count` times more.
    pub fn add<Q>(&mut self, value: &Q, count: u64)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        K: for<'a> From<&'a Q>,
    {
        if let Some(counted) = self.counts.get_mut(value) {
            *counted += count;
            return;
        }
        self.counts.insert(K::from(value), count);
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.counts.len() <= LIMIT {
            return;
        }
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let (_, &mut off, _) = counts.select_nth_unstable_by(KEPT, |a, b| b.cmp(a));
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(off);
            *count > 0
        });
        self.error += off;
    }

    /// Takes another's counts in.
    pub fn merge(&mut self, other: &Self) {
        // In order, so that where a shrink falls between does not depend on the map.
        for (value, count) in other.sorted() {
            *self.counts.entry(value).or_default() += count;
        }
        self.error += other.error;
        self.shrink();
    }

    /// Values with counts, the most frequent first, equal counts by value.
    pub fn sorted(&self) -> Vec<(K, u64)> {
        let mut all: Vec<(K, u64)> = self.counts.iter().map(|(value, count)| (value.clone(), *count)).collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all
    }

    /// By how much a count may be too low.
    pub fn error(&self) -> u64 {
        self.error
    }
}

/// A number as a key of counters: equal numbers are equal keys, in the order of their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bits(pub u64);

impl From<&Bits> for Bits {
    fn from(bits: &Bits) -> Self {
        *bits
    }
}

impl Bits {
    /// Of a number.
    pub fn of(value: f64) -> Self {
        let bits = (value + 0.0).to_bits();
        Self(if bits >> 63 == 1 { !bits } else { bits | 1 << 63 })
    }

    /// The number.
    pub fn value(self) -> f64 {
        f64::from_bits(if self.0 >> 63 == 1 { self.0 & !(1 << 63) } else { !self.0 })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_keep_their_order_as_keys() {
        let values = [f64::NEG_INFINITY, -2.5, -1e-300, 0.0, 1e-300, 3.0, f64::INFINITY];
        assert!(values.windows(2).all(|two| Bits::of(two[0]) < Bits::of(two[1])));
        assert!(values.iter().all(|value| Bits::of(*value).value() == *value));
        assert_eq!(Bits::of(-0.0), Bits::of(0.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn counts_are_within_the_bound(
            values in proptest::collection::vec((0u64..4000, 1u64..20), 1..4000), cut in 0.0..1.0f64,
        ) {
            let mut truth: BTreeMap<u64, u64> = BTreeMap::new();
            for (value, count) in &values {
                *truth.entry(*value).or_default() += count;
            }
            let of = |values: &[(u64, u64)]| {
                let mut sketch: Frequent<Bits> = Frequent::default();
                values.iter().for_each(|(value, count)| sketch.add(&Bits(*value), *count));
                sketch
            };
            let cut = (values.len() as f64 * cut) as usize;
            let (left, right) = (of(&values[..cut]), of(&values[cut..]));
            for (first, second) in [(&left, &right), (&right, &left)] {
                let mut merged = first.clone();
                merged.merge(second);
                let total: u64 = truth.values().sum();
                prop_assert!(merged.error() <= total / (KEPT + 1) as u64);
                let found: BTreeMap<u64, u64> = merged.sorted().into_iter().map(|(bits, count)| (bits.0, count)).collect();
                for (value, count) in &truth {
                    let counted = found.get(value).copied().unwrap_or(0);
                    prop_assert!(counted <= *count && *count <= counted + merged.error());
                }
                if truth.len() <= LIMIT {
                    prop_assert_eq!(&found, &truth);
                }
            }
        }
    }
}
