//! A network in 8 bits: rounded weights, and the points at which values between layers are rounded.
//!
//! Weights are symmetric, with one scale for each output (Krishnamoorthi 2018, "Quantizing deep convolutional networks for
//! efficient inference", 3.1).

use std::collections::BTreeMap;

use catalog::kinds::compress::params::Int8;
use catalog::network::Network;
use contract::fault::Fault;
use serde::{Deserialize, Serialize};

use super::packed::MAX_DEPTH;
use crate::array::{Array, Weights};
use crate::fault::Outcome;

/// Where a value is rounded: `real = (q − zero) · scale` with q in 0..=255. Real zero is always exact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "(f32, u8)", into = "(f32, u8)")]
pub struct Point {
    /// Size of a step.
    pub scale: f32,
    /// The q of real zero.
    pub zero: u8,
}

impl Default for Point {
    fn default() -> Self {
        Self { scale: 1.0, zero: 0 }
    }
}

impl From<(f32, u8)> for Point {
    fn from((scale, zero): (f32, u8)) -> Self {
        Self { scale, zero }
    }
}

impl From<Point> for (f32, u8) {
    fn from(point: Point) -> Self {
        (point.scale, point.zero)
    }
}

impl Point {
    /// The point for values from `low` to `high`, widened to hold 0.
    pub fn new(low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = (high - low) / 255.0;
        if !scale.is_finite() || scale < 1e-30 {
            return Self::default();
        }
        Self { scale, zero: (-low / scale).round_ties_even().clamp(0.0, 255.0) as u8 }
    }

    /// Smallest and largest `q − zero`.
    pub fn bounds(self) -> (i16, i16) {
        (-i16::from(self.zero), 255 - i16::from(self.zero))
    }
}

/// A linear layer, a convolution or a table of vectors in 8 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer8 {
    /// `[outputs, inputs]`, `[outputs, inputs, kernel, kernel]` or, for a table, `[values, dimensions]`.
    pub shape: Vec<usize>,
    /// −127..=127, row-major.
    pub weight: Vec<i8>,
    /// Real weight = weight · scale, one for each output (or vector).
    pub scale: Vec<f32>,
    /// One for each output; none for a table.
    pub bias: Vec<f32>,
}

/// A network in 8 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized {
    /// Folded: no dropout, no batch normalisation after linear layers and convolutions.
    pub network: Network,
    /// How values between layers are rounded.
    pub mode: Int8,
    /// By layer name, and by name of a table.
    pub layers: BTreeMap<String, Layer8>,
    /// The tensors of batch normalisations that could not be folded.
    pub norms: Weights,
    /// The rounding points in order; empty when `mode` is dynamic.
    pub points: Vec<Point>,
}

impl Layer8 {
    /// Rounds weights, one scale for each output. Outputs with more inputs than sums of full-range weights can
    /// hold exactly use fewer levels.
    pub fn round(weight: &Array, bias: &[f32]) -> Self {
        let outputs = weight.shape[0];
        let depth = weight.values.len() / outputs.max(1);
        let most = if depth <= MAX_DEPTH { 127.0 } else { (127.0 * MAX_DEPTH as f32 / depth as f32).floor().max(1.0) };
        let mut rounded = Self {
            shape: weight.shape.clone(),
            weight: Vec::with_capacity(weight.values.len()),
            scale: Vec::with_capacity(outputs),
            bias: bias.to_vec(),
        };
        for output in 0..outputs {
            let row = weight.row(output);
            let largest = row.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let scale = if largest > 1e-30 { largest / most } else { 1.0 };
            rounded.weight.extend(row.iter().map(|value| (value / scale).round_ties_even().clamp(-most, most) as i8));
            rounded.scale.push(scale);
        }
        rounded
    }

    /// The weights as real numbers.
    pub fn real(&self) -> Array {
        let depth = self.weight.len() / self.scale.len().max(1);
        let rows = self.weight.chunks(depth.max(1)).zip(&self.scale);
        let values = rows.flat_map(|(row, scale)| row.iter().map(move |weight| f32::from(*weight) * scale)).collect();
        Array::new(self.shape.clone(), values)
    }
}

impl Quantized {
    /// The layer of a name.
    ///
    /// # Errors
    /// `model::damaged` when it is not there.
    pub fn layer(&self, name: &str) -> Outcome<&Layer8> {
        self.layers.get(name).ok_or_else(|| damaged(&format!("there is no `{name}.weight`")))
    }
}

/// The fault for a quantised model whose parts do not fit.
pub fn damaged(what: &str) -> Fault {
    Fault::error(contract::code!("model::damaged"), format!("the quantised model does not fit its layers: {what}"))
        .help("it is damaged or was made by another version; run the `compress` stage again")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn real_zero_is_always_exact() {
        for (low, high) in [(0.0, 1.0), (-1.0, 0.0), (0.5, 2.0), (-3.0, -1.0), (-0.1, 12.0), (0.0, 0.0)] {
            let point = Point::new(low, high);
            let (bottom, top) = point.bounds();
            assert!(bottom <= 0 && top >= 0 && top - bottom == 255, "{point:?}");
        }
    }

    #[test]
    fn too_many_inputs_use_fewer_levels() {
        let inputs = 3 * MAX_DEPTH;
        let layer = Layer8::round(&Array::new([1, inputs], vec![1.0; inputs]), &[0.0]);
        assert_eq!(layer.weight[0], 42);
        assert!((layer.real().values[0] - 1.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn a_weight_is_off_by_at_most_half_a_step(values in prop::collection::vec(-10f32..10.0, 12)) {
            let array = Array::new([3, 4], values);
            let layer = Layer8::round(&array, &[0.0; 3]);
            for (index, (real, rounded)) in array.values.iter().zip(layer.real().values).enumerate() {
                prop_assert!((real - rounded).abs() <= layer.scale[index / 4] * 0.501);
            }
        }
    }
}
