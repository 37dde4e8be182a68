//! What a single number becomes: robust scaling, normal quantiles, piecewise-linear and periodic encodings.

use catalog::kinds::train::params::{Encoder, Periodic};
use serde::{Deserialize, Serialize};

use crate::random::Random;

/// How a number is encoded, with what was learnt of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberForm {
    /// z = (x − centre) · factor, then z / √(1 + (z/3)²).
    Robust(Spread),
    /// The inverse normal distribution of the share of the training part that is smaller.
    Quantile {
        /// Values at equal steps of the distribution, ascending; at least one.
        quantiles: Vec<f64>,
    },
    /// For each bin, how far the number has come through it, from 0 to 1.
    Piecewise {
        /// Ends of the bins, strictly ascending; n + 1 for n bins; a single one has no bins.
        edges: Vec<f64>,
    },
    /// z = (x − centre) · factor, and cos 2π(frequency · z + phase).
    Periodic {
        /// Mean, and the inverse of the deviation.
        spread: Spread,
        /// Waves per standard deviation.
        frequencies: Vec<f64>,
        /// In waves, from 0 to 1.
        phases: Vec<f64>,
    },
}

/// Where a column lies and how wide it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Subtracted.
    pub centre: f64,
    /// Multiplied with; 0 for a constant.
    pub factor: f64,
}

impl Spread {
    fn of(self, value: f64) -> f64 {
        (value - self.centre) * self.factor
    }

    /// Median and 1 / (q75 − q25); 2 / (max − min) where the quartiles are equal; 0 for a constant (pytabkit's
    /// `RobustScaleSmoothClip`).
    fn robust(sorted: &[f64]) -> Self {
        let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
            return Self { centre: 0.0, factor: 0.0 };
        };
        let quartiles = quantile(sorted, 0.75) - quantile(sorted, 0.25);
        let factor = match (quartiles > 0.0, last > first) {
            (true, _) => 1.0 / quartiles,
            (false, true) => 2.0 / (last - first),
            (false, false) => 0.0,
        };
        Self { centre: quantile(sorted, 0.5), factor: if factor.is_finite() { factor } else { 0.0 } }
    }
}

impl NumberForm {
    /// Fits the form an encoder asks for to the numbers of the training part (none of them NaN or infinite, in any order);
    /// `None` for encoders of other things.
    pub fn fit(encoder: &Encoder, mut values: Vec<f64>, random: &mut Random) -> Option<Self> {
        match encoder {
            Encoder::Robust => {
                values.sort_unstable_by(f64::total_cmp);
                Some(Self::Robust(Spread::robust(&values)))
            }
            Encoder::Quantile(options) => {
                values.sort_unstable_by(f64::total_cmp);
                let kept = (options.quantiles as usize).min(values.len()).max(1);
                let quantiles = steps(kept).map(|share| quantile(&values, share)).collect();
                Some(Self::Quantile { quantiles })
            }
            Encoder::Piecewise(options) => {
                values.sort_unstable_by(f64::total_cmp);
                let mut edges: Vec<f64> =
                    steps(options.bins as usize + 1).map(|share| quantile(&values, share)).collect();
                edges.dedup();
                Some(Self::Piecewise { edges })
            }
            Encoder::Periodic(options) => {
                let (mean, deviation) = super::moments(values.iter().copied());
                let spread = Spread { centre: mean, factor: 1.0 / deviation };
                let (frequencies, phases) = waves(options, random);
                Some(Self::Periodic { spread, frequencies, phases })
            }
            _ => None,
        }
    }

    /// How many numbers one number becomes.
    pub fn width(&self) -> usize {
        match self {
            Self::Robust(_) | Self::Quantile { .. } => 1,
            Self::Piecewise { edges } => edges.len() - 1,
            Self::Periodic { frequencies, .. } => frequencies.len() + 1,
        }
    }

    /// Encodes a finite number into [`NumberForm::width`] places.
    pub fn write(&self, value: f64, out: &mut [f32]) {
        match self {
            Self::Robust(spread) => out[0] = smooth_clip(spread.of(value)) as f32,
            Self::Quantile { quantiles } => out[0] = normal_quantile(share_below(quantiles, value)) as f32,
            Self::Piecewise { edges } => {
                for (place, bin) in out.iter_mut().zip(edges.windows(2)) {
                    *place = ((value - bin[0]) / (bin[1] - bin[0])).clamp(0.0, 1.0) as f32;
                }
            }
            Self::Periodic { spread, frequencies, phases } => {
                let z = spread.of(value);
                out[0] = z as f32;
                for (place, (frequency, phase)) in out[1..].iter_mut().zip(frequencies.iter().zip(phases)) {
                    *place = libm::cos(std::f64::consts::TAU * (frequency * z + phase)) as f32;
                }
            }
        }
    }

    /// Where the column lies and how wide it is: for rows made up to check a file with.
    pub fn spread(&self) -> (f64, f64) {
        let between = |sorted: &[f64]| {
            let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
            ((first + last) / 2.0, if last > first { (last - first) / 4.0 } else { 1.0 })
        };
        match self {
            Self::Robust(spread) | Self::Periodic { spread, .. } => {
                (spread.centre, if spread.factor > 0.0 { 1.0 / spread.factor } else { 1.0 })
            }
            Self::Quantile { quantiles: sorted } | Self::Piecewise { edges: sorted } => between(sorted),
        }
    }
}

/// z / √(1 + (z/3)²): the identity near 0, ±3 far out.
fn smooth_clip(z: f64) -> f64 {
    z / (1.0 + (z / 3.0).powi(2)).sqrt()
}

/// 0, …, 1 in `count` equal steps; of one: the middle.
fn steps(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |step| if count == 1 { 0.5 } else { step as f64 / (count - 1) as f64 })
}

/// A quantile of sorted numbers, linear between neighbours (type 7 of Hyndman and Fan 1996); 0 of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// Which share of the distribution lies below a value, the middle of it where quantiles are equal, as
/// scikit-learn's `QuantileTransformer`.
fn share_below(quantiles: &[f64], value: f64) -> f64 {
    let last = quantiles.len() - 1;
    if last == 0 {
        return if value < quantiles[0] {
            0.0
        } else if value > quantiles[0] {
            1.0
        } else {
            0.5
        };
    }
    let place = |index: usize| index as f64 / last as f64;
    let (low, high) = (quantiles.partition_point(|q| *q < value), quantiles.partition_point(|q| *q <= value));
    if low < high {
        // Met exactly: from the first of equals to the last.
        return (place(low) + place(high - 1)) / 2.0;
    }
    match low {
        0 => 0.0,
        above if above > last => 1.0,
        above => {
            let (from, to) = (quantiles[above - 1], quantiles[above]);
            place(above - 1) + (value - from) / (to - from) / last as f64
        }
    }
}

fn waves(options: &Periodic, random: &mut Random) -> (Vec<f64>, Vec<f64>) {
    (0..options.frequencies)
        .map(|_| {
            let frequency = normal_quantile(f64::from(random.unit())) * options.sigma;
            (frequency, f64::from(random.unit()))
        })
        .unzip()
}

/// The inverse of the normal distribution (Wichura 1988, algorithm AS 241, PPND16), of shares kept within 1e-7 of 0 and 1.
pub fn normal_quantile(share: f64) -> f64 {
    /// Coefficients from the highest power down.
    fn polynomial(coefficients: [f64; 8], x: f64) -> f64 {
        coefficients.into_iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
    }
    let share = share.clamp(1e-7, 1.0 - 1e-7);
    let q = share - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        let above = polynomial(
            [
                2.509_080_928_730_122_7e3,
                3.343_057_558_358_813e4,
                6.726_577_092_700_87e4,
                4.592_195_393_154_987e4,
                1.373_169_376_550_946e4,
                1.971_590_950_306_551_3e3,
                1.331_416_678_917_843_8e2,
                3.387_132_872_796_366_5,
            ],
            r,
        );
        let below = polynomial(
            [
                5.226_495_278_852_854e3,
                2.872_908_573_572_194_3e4,
                3.930_789_580_009_271e4,
                2.121_379_430_158_66e4,
                5.394_196_021_424_751e3,
                6.871_870_074_920_579e2,
                4.231_333_070_160_091e1,
                1.0,
            ],
            r,
        );
        return q * above / below;
    }
    let r = (-libm::log(if q < 0.0 { share } else { 1.0 - share })).sqrt();
    // Shares are kept within 1e-7 of 0 and 1, where r is at most 4.02: the third pair of polynomials, for r > 5, has no use.
    let far = {
        let r = r - 1.6;
        polynomial(
            [
                7.745_450_142_783_414e-4,
                2.272_384_498_926_918_4e-2,
                2.417_807_251_774_506e-1,
                1.270_458_252_452_368_4,
                3.647_848_324_763_204_5,
                5.769_497_221_460_691,
                4.630_337_846_156_546,
                1.423_437_110_749_683_5,
            ],
            r,
        ) / polynomial(
            [
                1.050_750_071_644_416_9e-9,
                5.475_938_084_995_345e-4,
                1.519_866_656_361_645_7e-2,
                1.481_039_764_274_800_8e-1,
                6.897_673_349_851e-1,
                1.676_384_830_183_803_8,
                2.053_191_626_637_759,
                1.0,
            ],
            r,
        )
    };
    if q < 0.0 { -far } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    fn random() -> Random {
        Random::new(1, Purpose::Encoders)
    }

    fn encoded(form: &NumberForm, value: f64) -> Vec<f32> {
        let mut out = vec![0.0; form.width()];
        form.write(value, &mut out);
        out
    }

    /// Values of `scipy.stats.norm.ppf`.
    #[test]
    fn normal_quantiles_are_scipy_s() {
        for (share, expected) in [
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.3, -0.524_400_512_708_041),
            (0.001, -3.090_232_306_167_813_5),
            (1e-7, -5.199_337_582_187_471),
            (0.0, -5.199_337_582_187_471),
        ] {
            assert!((normal_quantile(share) - expected).abs() < 1e-9, "{share}: {}", normal_quantile(share));
        }
    }

    #[test]
    fn robust_scaling_is_pytabkit_s() {
        // Median 3, quartiles 2 and 4.
        let form = NumberForm::fit(&Encoder::Robust, vec![5.0, 1.0, 3.0, 2.0, 4.0], &mut random()).unwrap();
        assert_eq!(form, NumberForm::Robust(Spread { centre: 3.0, factor: 0.5 }));
        assert_eq!(encoded(&form, 3.0), [0.0]);
        assert!((f64::from(encoded(&form, 9.0)[0]) - 3.0 / 2f64.sqrt()).abs() < 1e-6);
        assert!(encoded(&form, 1e12)[0] <= 3.0);
        let mostly_equal = NumberForm::fit(&Encoder::Robust, vec![1.0, 1.0, 1.0, 1.0, 5.0], &mut random()).unwrap();
        assert_eq!(mostly_equal, NumberForm::Robust(Spread { centre: 1.0, factor: 0.5 }));
        let constant = NumberForm::fit(&Encoder::Robust, vec![7.0; 4], &mut random()).unwrap();
        assert_eq!(encoded(&constant, 100.0), [0.0]);
    }

    #[test]
    fn quantiles_make_any_distribution_normal() {
        let values: Vec<f64> = (0..101).map(|value| f64::from(value).exp()).collect();
        let form = NumberForm::fit(&Encoder::Quantile(Default::default()), values.clone(), &mut random()).unwrap();
        assert_eq!(encoded(&form, values[50]), [0.0]);
        assert!((f64::from(encoded(&form, values[90])[0]) - 1.281_551_565_544_600_4).abs() < 1e-6, "ppf(0.9)");
        assert_eq!(encoded(&form, -1.0), encoded(&form, f64::MIN));
        // Half of the values are equal: all of them are in the middle of their share.
        let tied: Vec<f64> = [0.0; 50].into_iter().chain((1..=51).map(f64::from)).collect();
        let form = NumberForm::fit(&Encoder::Quantile(Default::default()), tied, &mut random()).unwrap();
        assert!((f64::from(encoded(&form, 0.0)[0]) - normal_quantile(0.245)).abs() < 1e-6);
    }

    #[test]
    fn piecewise_counts_the_bins_come_through() {
        let values: Vec<f64> = (0..=8).map(f64::from).collect();
        let encoder = Encoder::Piecewise(catalog::kinds::train::params::Piecewise { bins: 4 });
        let form = NumberForm::fit(&encoder, values, &mut random()).unwrap();
        assert_eq!(form, NumberForm::Piecewise { edges: vec![0.0, 2.0, 4.0, 6.0, 8.0] });
        assert_eq!(encoded(&form, 5.0), [1.0, 1.0, 0.5, 0.0]);
        assert_eq!(encoded(&form, -3.0), [0.0; 4]);
        assert_eq!(encoded(&form, 30.0), [1.0; 4]);
        let tied = NumberForm::fit(&encoder, vec![1.0, 1.0, 1.0, 1.0, 9.0], &mut random()).unwrap();
        assert_eq!(tied.width(), 1);
        let constant = NumberForm::fit(&encoder, vec![1.0], &mut random()).unwrap();
        assert_eq!(constant.width(), 0);
    }

    #[test]
    fn waves_follow_the_seed() {
        let encoder = Encoder::Periodic(Periodic { frequencies: 4, sigma: 1.0 });
        let fit =
            |seed| NumberForm::fit(&encoder, vec![1.0, 2.0, 3.0], &mut Random::new(seed, Purpose::Encoders)).unwrap();
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
        let row = encoded(&fit(1), 2.0);
        assert_eq!((row.len(), row[0]), (5, 0.0));
        assert!(row[1..].iter().all(|value| value.abs() <= 1.0));
    }
}
