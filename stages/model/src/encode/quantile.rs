//! `quantile`: any distribution made normal.

use catalog::kinds::train::params::Encoder as Asked;
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::spread::{between, quantile, steps};
use crate::normal::normal_quantile;
use crate::onnx::graph::Graph;
use crate::random::Random;

/// The inverse normal distribution of the share of the training part that is smaller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// Values at equal steps of the distribution, ascending; at least one.
    pub quantiles: Vec<f64>,
}

impl Form for Quantile {
    fn asked(asked: &Asked) -> bool {
        matches!(asked, Asked::Quantile(_))
    }

    fn fit(asked: &Asked, values: &[f64], _: &mut Random) -> Option<Self> {
        let Asked::Quantile(options) = asked else { return None };
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        let kept = (options.quantiles as usize).min(values.len()).max(1);
        Some(Self { quantiles: steps(kept).map(|share| quantile(&values, share)).collect() })
    }

    fn width(&self) -> usize {
        1
    }

    fn write(&self, value: f64, out: &mut [f32]) {
        out[0] = normal_quantile(share_below(&self.quantiles, value)) as f32;
    }

    fn likeness(&self) -> (f64, f64) {
        between(&self.quantiles)
    }

    fn not_in_onnx(&self) -> Option<&'static str> {
        Some("quantile")
    }

    fn graph(&self, _: &mut Graph, _: &str) -> String {
        unreachable!("`export` refuses what `not_in_onnx` names")
    }
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
