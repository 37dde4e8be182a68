//! Count, mean and central moments, merged without loss (P. Pébay, SAND2008-6212).

use serde::{Deserialize, Serialize};

/// The moments of the numbers seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Sums of powers 2, 3 and 4 of the distance from the mean.
    pub m2: f64,
    /// See `m2`.
    pub m3: f64,
    /// See `m2`.
    pub m4: f64,
    /// The smallest; none when nothing was seen.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

impl Moments {
    /// Of a slice of finite numbers, in two passes.
    pub fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        // Divided first: a sum of large numbers must not overflow. From the first value on: of equal numbers the mean is exact.
        let scale = 1.0 / values.len() as f64;
        let first = values[0];
        let mean = first + values.iter().map(|value| value * scale - first * scale).sum::<f64>();
        let (mut m2, mut m3, mut m4) = (0.0, 0.0, 0.0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            let d = value - mean;
            let square = d * d;
            m2 += square;
            m3 += square * d;
            m4 += square * square;
            min = min.min(*value);
            max = max.max(*value);
        }
        Self { count: values.len() as u64, mean, m2, m3, m4, min: Some(min), max: Some(max) }
    }

    /// Takes `count` times the same number in.
    pub fn add(&mut self, value: f64, count: u64) {
        self.merge(&Self { count, mean: value, min: Some(value), max: Some(value), ..Self::default() });
    }

    /// Takes another's numbers in.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other.clone();
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let n = a + b;
        let d = other.mean - self.mean;
        let dn = d / n;
        let m4 = self.m4
            + other.m4
            + d * dn * dn * dn * a * b * (a * a - a * b + b * b)
            + 6.0 * dn * dn * (a * a * other.m2 + b * b * self.m2)
            + 4.0 * dn * (a * other.m3 - b * self.m3);
        let m3 = self.m3 + other.m3 + d * dn * dn * a * b * (a - b) + 3.0 * dn * (a * other.m2 - b * self.m2);
        self.m2 += other.m2 + d * dn * a * b;
        (self.m3, self.m4) = (m3, m4);
        self.mean += dn * b;
        self.count += other.count;
        self.min = self.min.zip(other.min).map(|(a, b)| a.min(b));
        self.max = self.max.zip(other.max).map(|(a, b)| a.max(b));
    }

    /// The sample's standard deviation (n − 1).
    pub fn deviation(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.m2 / (self.count - 1) as f64).sqrt()).filter(|value| value.is_finite())
    }

    /// Skewness g₁ = m₃ / m₂^1.5.
    pub fn skewness(&self) -> Option<f64> {
        let n = self.count as f64;
        Some((self.m3 / n) / (self.m2 / n).powf(1.5)).filter(|value| value.is_finite())
    }

    /// Excess kurtosis g₂ = m₄ / m₂² − 3.
    pub fn kurtosis(&self) -> Option<f64> {
        let n = self.count as f64;
        Some(n * self.m4 / (self.m2 * self.m2) - 3.0).filter(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_those_of_scipy() {
        // scipy.stats.describe([2, 8, 0, 4, 1, 9, 9, 0]): mean 4.125, variance 110.875 / 7; skew(…) 0.26505541, the
        // example of scipy's own documentation of `skew`.
        let moments = Moments::of(&[2.0, 8.0, 0.0, 4.0, 1.0, 9.0, 9.0, 0.0]);
        assert_eq!((moments.count, moments.mean, moments.min, moments.max), (8, 4.125, Some(0.0), Some(9.0)));
        assert!((moments.deviation().unwrap().powi(2) - 15.839_285_714_285_714).abs() < 1e-12);
        assert!((moments.skewness().unwrap() - 0.265_055_411_965_728_5).abs() < 1e-8);
        // By hand: of [0, 0, 1, 1] m4/m2² = 1, less 3.
        assert!((Moments::of(&[0.0, 0.0, 1.0, 1.0]).kurtosis().unwrap() + 2.0).abs() < 1e-12);
        assert_eq!(Moments::of(&[5.0]).skewness(), None);
        let equal = Moments::of(&[2013.1; 65_536]);
        assert_eq!((equal.mean, equal.m2, equal.skewness()), (2013.1, 0.0, None));
        assert_eq!(Moments::of(&[]).deviation(), None);
    }

    proptest! {
        #[test]
        fn merging_is_the_same_as_one_pass(
            values in proptest::collection::vec(-1e3..1e3f64, 2..80), cut in 0.0..1.0f64,
        ) {
            let cut = (values.len() as f64 * cut) as usize;
            let whole = Moments::of(&values);
            let (left, right) = (Moments::of(&values[..cut]), Moments::of(&values[cut..]));
            for (first, second) in [(&left, &right), (&right, &left)] {
                let mut merged = first.clone();
                merged.merge(second);
                prop_assert_eq!((merged.count, merged.min, merged.max), (whole.count, whole.min, whole.max));
                for (got, expected, power) in [
                    (merged.mean, whole.mean, 1), (merged.m2, whole.m2, 2), (merged.m3, whole.m3, 3), (merged.m4, whole.m4, 4),
                ] {
                    prop_assert!((got - expected).abs() <= 1e-9 * 1e3f64.powi(power) * values.len() as f64);
                }
            }
        }
    }
}
