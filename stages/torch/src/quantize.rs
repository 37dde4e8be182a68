//! Post-training quantisation to 8 bits.
//!
//! Weights: symmetric, one scale for each output (Krishnamoorthi 2018, "Quantizing deep convolutional networks for
//! efficient inference", 3.1). Values between layers: `q = round(x / scale) + zero` in 0..=255, one range for each point of
//! the [`Program`], searched for the least squared error over the calibration rows. Vectors of embedded columns: symmetric, one
//! scale for each vector (Guan et al. 2019, "Post-training 4-bit quantization on embedding tables"). After each layer the mean error that
//! rounding brought is taken off its bias (Nagel et al. 2019, "Data-free quantization", 4.2, with real rows).

use std::collections::BTreeMap;

use catalog::kinds::compress::params::Int8;
use catalog::network::{Network, Node, Op};
use contract::fault::Fault;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::embed::{Layout, look_up, table_name, tensor_name};
use crate::fault::{During, Outcome};
use crate::fold::{Folded, affine};
use crate::int8::kernel::MAX_DEPTH;
use crate::int8::program::{Program, Step};
use crate::network::activate;
use crate::weights::{self, Array, Weights, tensor};

/// Most calibration rows looked at.
pub const ROWS: usize = 1024;
/// Most numbers of one layer's output held while calibrating.
const MOST_VALUES: usize = 1 << 26;
/// Bins of the histogram that ranges are searched on.
const BINS: usize = 2048;
/// Ranges tried: this share of the full range down to [`SMALLEST`] of it.
const TRIES: usize = 80;
const SMALLEST: f64 = 0.2;

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
    Fault::error("model::damaged", format!("the quantised model does not fit its layers: {what}"))
        .help("it is damaged or was made by another version; run the `compress` stage again")
}

/// How many calibration rows to use for a network: as many as there are, up to [`ROWS`] and what memory allows.
pub fn calibration_rows(network: &Network, available: usize) -> usize {
    let widest = network.walk().iter().map(|node| node.output.iter().product::<u64>()).max().unwrap_or(1).max(1);
    available.min(ROWS).min((MOST_VALUES / widest as usize).max(16))
}

/// Quantises a folded network on calibration rows, a float32 tensor `[rows, input...]` of encoded features.
///
/// # Errors
/// `compress::no_rows` without rows, `compress::not_finite` when the network gives no finite numbers, and what libtorch
/// refuses.
pub fn quantize(folded: &Folded, rows: &Tensor, mode: Int8) -> Outcome<Quantized> {
    simulated(folded, rows, mode).map(|(quantized, _)| quantized)
}

/// The same, with what the quantised network gives on the rows, computed with rounded real numbers.
pub(crate) fn simulated(folded: &Folded, rows: &Tensor, mode: Int8) -> Outcome<(Quantized, Tensor)> {
    let _guard = tch::no_grad_guard();
    if rows.size().first().is_none_or(|rows| *rows == 0) {
        return Err(Fault::error("compress::no_rows", "there are no rows to calibrate with")
            .help("connect a data set with rows to `inputs.calibrate`"));
    }
    let program = Program::new(&folded.network);
    let mut calibration = Calibration {
        weights: &folded.weights,
        mode,
        layers: BTreeMap::new(),
        points: vec![Point::default(); if mode == Int8::Static { program.points } else { 0 }],
    };
    let (exact, rounded) = calibration.embedded(&folded.network, program.embed.as_ref(), rows)?;
    let rounded = calibration.rounded(&rounded, 0)?;
    let (_exact, outputs) = calibration.chain(&program.steps, exact, rounded)?;
    let norms = folded
        .weights
        .iter()
        .filter(|(name, _)| !calibration.layers.keys().any(|layer| belongs(name, layer)))
        .map(|(name, array)| (name.clone(), array.clone()))
        .collect();
    let Calibration { layers, points, .. } = calibration;
    Ok((Quantized { network: folded.network.clone(), mode, layers, norms, points }, outputs))
}

fn belongs(tensor: &str, layer: &str) -> bool {
    tensor.rsplit_once('.').is_some_and(|(prefix, _)| prefix == layer)
}

/// Walks the steps with two streams: what the exact network computes, and what the rounded one does.
struct Calibration<'a> {
    weights: &'a Weights,
    mode: Int8,
    layers: BTreeMap<String, Layer8>,
    points: Vec<Point>,
}

impl Calibration<'_> {
    /// Rows with the vectors of embedded columns in them, exact and rounded.
    fn embedded(&mut self, network: &Network, node: Option<&Node>, rows: &Tensor) -> Outcome<(Tensor, Tensor)> {
        let Some((node, layout)) = node.zip(Layout::of(network)) else {
            return Ok((rows.shallow_clone(), rows.shallow_clone()));
        };
        let (mut exact, mut rounded) = (Vec::new(), Vec::new());
        for (place, table) in network.tables().iter().enumerate() {
            let length = (table.values * table.dimensions) as usize;
            let vectors = weights::array(self.weights, &tensor_name(node, place), length)?;
            let layer = Layer8::round(vectors, &[]);
            exact.push(tensor(vectors)?);
            rounded.push(tensor(&layer.real())?);
            self.layers.insert(table_name(node, place), layer);
        }
        let rows = |tables: &[Tensor]| look_up(&layout, tables, rows).during(|| "looking vectors up".to_owned());
        Ok((rows(&exact)?, rows(&rounded)?))
    }

    fn chain(&mut self, steps: &[Step], mut exact: Tensor, mut rounded: Tensor) -> Outcome<(Tensor, Tensor)> {
        for step in steps {
            let what = || format!("calibrating layer `{}`", step.node.name);
            (exact, rounded) = match &step.node.op {
                Op::Linear { .. } | Op::Conv2d { .. } => self.product(step, &exact, &rounded)?,
                Op::Residual(_) => {
                    let (f, g) = self.chain(&step.inner, exact.shallow_clone(), rounded.shallow_clone())?;
                    (exact.f_add(&f).during(what)?, rounded.f_add(&g).during(what)?)
                }
                _ => (plain(&step.node, self.weights, &exact)?, plain(&step.node, self.weights, &rounded)?),
            };
            if let Some(activation) = step.activation {
                exact = activate(&exact, activation).during(what)?;
                rounded = activate(&rounded, activation).during(what)?;
            }
            if let Some(point) = step.to.filter(|to| *to != step.from) {
                rounded = self.rounded(&rounded, point)?;
            }
        }
        Ok((exact, rounded))
    }

    fn product(&mut self, step: &Step, exact: &Tensor, rounded: &Tensor) -> Outcome<(Tensor, Tensor)> {
        let node = &step.node;
        let what = || format!("calibrating layer `{}`", node.name);
        let weight = &self.weights[&format!("{}.weight", node.name)];
        let bias = &self.weights[&format!("{}.bias", node.name)];
        let mut layer = Layer8::round(weight, &bias.values);
        let exact = product(node, exact, &tensor(weight)?, &tensor(bias)?)?;
        let before = product(node, rounded, &tensor(&layer.real())?, &tensor(bias)?)?;
        // By output: over rows, and over the image of a convolution.
        let over: &[i64] = if exact.dim() == 4 { &[0, 2, 3] } else { &[0] };
        let error = exact.f_sub(&before).and_then(|error| error.f_mean_dim(over, false, Kind::Float)).during(what)?;
        let error = floats(&error)?;
        if error.iter().any(|error| !error.is_finite()) {
            return Err(Fault::error(
                "compress::not_finite",
                format!("layer `{}` gives numbers that are not finite on the calibration rows", node.name),
            )
            .help("the model's weights overflowed while training: use a smaller learning rate or `gradient_clip`"));
        }
        for (bias, error) in layer.bias.iter_mut().zip(error) {
            *bias += error;
        }
        let bias = Array::new([layer.bias.len()], layer.bias.clone());
        let rounded = product(node, rounded, &tensor(&layer.real())?, &tensor(&bias)?)?;
        self.layers.insert(node.name.clone(), layer);
        Ok((exact, rounded))
    }

    /// Finds the range of a point and rounds to it.
    fn rounded(&mut self, values: &Tensor, point: usize) -> Outcome<Tensor> {
        if self.mode == Int8::Dynamic {
            return Ok(values.shallow_clone());
        }
        let found = search(&floats(values)?);
        self.points[point] = found;
        let (low, high) = found.bounds();
        values
            .f_div_scalar(f64::from(found.scale))
            .and_then(|values| values.f_round())
            .and_then(|values| values.f_clamp(f64::from(low), f64::from(high)))
            .and_then(|values| values.f_mul_scalar(f64::from(found.scale)))
            .during(|| "rounding calibration values".to_owned())
    }
}

/// The range with the least squared error over a histogram of the values.
fn search(values: &[f32]) -> Point {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite.clone().fold((0f32, 0f32), |(low, high), value| (low.min(value), high.max(value)));
    let full = Point::new(low, high);
    if full == Point::default() {
        return full;
    }
    let width = (f64::from(high) - f64::from(low)) / BINS as f64;
    let mut counts = vec![0u64; BINS];
    for value in finite {
        let bin = ((f64::from(value) - f64::from(low)) / width) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    let bins: Vec<(f64, f64)> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(bin, count)| (f64::from(low) + (bin as f64 + 0.5) * width, *count as f64))
        .collect();
    let mut best = (f64::INFINITY, full);
    for step in 0..TRIES {
        let share = 1.0 - (1.0 - SMALLEST) * step as f64 / TRIES as f64;
        let point = Point::new((f64::from(low) * share) as f32, (f64::from(high) * share) as f32);
        let (scale, bounds) = (f64::from(point.scale), point.bounds());
        let error = bins
            .iter()
            .map(|(value, count)| {
                let rounded = (value / scale).round_ties_even().clamp(f64::from(bounds.0), f64::from(bounds.1)) * scale;
                count * (value - rounded) * (value - rounded)
            })
            .sum::<f64>();
        if error < best.0 {
            best = (error, point);
        }
    }
    best.1
}

// --- layers on libtorch ---------------------------------------------------------------------------------------------

fn floats(tensor: &Tensor) -> Outcome<Vec<f32>> {
    weights::array_of(tensor).map(|array| array.values)
}

fn product(node: &Node, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Outcome<Tensor> {
    match &node.op {
        Op::Conv2d { stride, padding, .. } => {
            let (stride, padding) = (*stride as i64, *padding as i64);
            x.f_conv2d(weight, Some(bias), [stride, stride], [padding, padding], [1, 1], 1)
        }
        _ => x.f_linear(weight, Some(bias)),
    }
    .during(|| format!("layer `{}`", node.name))
}

/// A layer without weights to round.
fn plain(node: &Node, weights: &Weights, x: &Tensor) -> Outcome<Tensor> {
    let what = || format!("layer `{}`", node.name);
    match &node.op {
        Op::BatchNorm { channels, eps, .. } => {
            let (scale, shift) = affine(&node.name, *channels as usize, *eps, weights)?;
            let mut shape = vec![1i64; x.dim()];
            shape[1] = *channels as i64;
            let scale = Tensor::f_from_slice(&scale).and_then(|scale| scale.f_reshape(&shape)).during(what)?;
            let shift = Tensor::f_from_slice(&shift).and_then(|shift| shift.f_reshape(&shape)).during(what)?;
            x.f_mul(&scale).and_then(|x| x.f_add(&shift)).during(what)
        }
        Op::Activation(activation) => activate(x, *activation).during(what),
        Op::MaxPool2d { size, stride } => {
            let (size, stride) = ([*size as i64; 2], [*stride as i64; 2]);
            x.f_max_pool2d(size, stride, [0, 0], [1, 1], false).during(what)
        }
        Op::AvgPool2d { size, stride } => {
            let (size, stride) = ([*size as i64; 2], [*stride as i64; 2]);
            x.f_avg_pool2d(size, stride, [0, 0], false, true, None).during(what)
        }
        Op::GlobalAvgPool => x.f_mean_dim(&[2i64, 3][..], false, Kind::Float).during(what),
        Op::Flatten => x.f_flatten(1, -1).during(what),
        _ => Ok(x.shallow_clone()),
    }
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
    fn one_outlier_does_not_stretch_the_range() {
        let mut values: Vec<f32> = (0..1_000_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        values.push(1.5);
        let point = search(&values);
        assert!(point.scale < 1.1 / 255.0, "{point:?}");
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
