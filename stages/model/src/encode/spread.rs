//! Where the numbers of a column lie: their centre and width, and their quantiles.

use serde::{Deserialize, Serialize};

use crate::onnx::graph::Graph;

/// Where a column lies and how wide it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Subtracted.
    pub centre: f64,
    /// Multiplied with; 0 for a constant.
    pub factor: f64,
}

impl Spread {
    pub(super) fn of(self, value: f64) -> f64 {
        (value - self.centre) * self.factor
    }

    /// Median and 1 / (q75 − q25); 2 / (max − min) where the quartiles are equal; 0 for a constant (pytabkit's
    /// `RobustScaleSmoothClip`).
    pub(super) fn robust(sorted: &[f64]) -> Self {
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

    /// (x − centre) · factor of a float64 value in an ONNX graph.
    pub(super) fn graph(self, graph: &mut Graph, input: &str) -> String {
        let centre = graph.doubles("centre", &[1, 1], &[self.centre]);
        let factor = graph.doubles("factor", &[1, 1], &[self.factor]);
        let centred = graph.node("Sub", &[input, &centre], &[]);
        graph.node("Mul", &[&centred, &factor], &[])
    }

    /// Centre and width of a column, for rows made up to check a file with.
    pub(super) fn likeness(self) -> (f64, f64) {
        (self.centre, if self.factor > 0.0 { 1.0 / self.factor } else { 1.0 })
    }
}

/// 0, …, 1 in `count` equal steps; of one: the middle.
pub(super) fn steps(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |step| if count == 1 { 0.5 } else { step as f64 / (count - 1) as f64 })
}

/// A quantile of sorted numbers, linear between neighbours (type 7 of Hyndman and Fan 1996); 0 of none.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// Centre and width of a column whose quantiles are known.
pub(super) fn between(sorted: &[f64]) -> (f64, f64) {
    let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
    ((first + last) / 2.0, if last > first { (last - first) / 4.0 } else { 1.0 })
}
