//! Post-training quantisation to 8 bits.
//!
//! Weights: symmetric, one scale for each output (Krishnamoorthi 2018, "Quantizing deep convolutional networks for
//! efficient inference", 3.1). Values between layers: `q = round(x / scale) + zero` in 0..=255, one range for each point of
//! the [`Program`], searched for the least squared error over the calibration rows. Vectors of embedded columns: symmetric, one
//! scale for each vector (Guan et al. 2019, "Post-training 4-bit quantization on embedding tables"). After each layer the mean error that
//! rounding brought is taken off its bias (Nagel et al. 2019, "Data-free quantization", 4.2, with real rows).

use std::collections::BTreeMap;

use catalog::kinds::compress::params::Int8;
use catalog::network::layers::{AvgPool2d, BatchNorm, Conv2d, MaxPool2d};
use catalog::network::{Network, Node, Op};
use contract::fault::Fault;
use model::array::{Array, Weights, array, unknown_layer};
use model::embed::{Layout, table_name, tensor_name};
use model::fold::{Folded, affine};
use model::int8::program::{Program, Step};
use model::int8::quantized::{Layer8, Point, Quantized};
use tch::{Kind, Tensor};

use crate::fault::{During, Outcome};
use crate::network::layers::activation::activate;
use crate::network::layers::embed::look_up;
use crate::weights::{array_of, tensor};

/// Most calibration rows looked at.
pub const ROWS: usize = 1024;
/// Most numbers of one layer's output held while calibrating.
const MOST_VALUES: usize = 1 << 26;
/// Bins of the histogram that ranges are searched on.
const BINS: usize = 2048;
/// Ranges tried: this share of the full range down to [`SMALLEST`] of it.
const TRIES: usize = 80;
const SMALLEST: f64 = 0.2;

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
        return Err(Fault::error(contract::code!("compress::no_rows"), "there are no rows to calibrate with")
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
            let vectors = array(self.weights, &tensor_name(node, place), length)?;
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
                Op::Linear(_) | Op::Conv2d(_) => self.product(step, &exact, &rounded)?,
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
                contract::code!("compress::not_finite"),
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
    array_of(tensor).map(|array| array.values)
}

fn product(node: &Node, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Outcome<Tensor> {
    match &node.op {
        Op::Conv2d(Conv2d { stride, padding, .. }) => {
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
        Op::BatchNorm(BatchNorm { channels, eps, .. }) => {
            let (scale, shift) = affine(&node.name, *channels as usize, *eps, weights)?;
            let mut shape = vec![1i64; x.dim()];
            shape[1] = *channels as i64;
            let scale = Tensor::f_from_slice(&scale).and_then(|scale| scale.f_reshape(&shape)).during(what)?;
            let shift = Tensor::f_from_slice(&shift).and_then(|shift| shift.f_reshape(&shape)).during(what)?;
            x.f_mul(&scale).and_then(|x| x.f_add(&shift)).during(what)
        }
        Op::Activation(activation) => activate(x, *activation).during(what),
        Op::MaxPool2d(MaxPool2d { size, stride }) => {
            let (size, stride) = ([*size as i64; 2], [*stride as i64; 2]);
            x.f_max_pool2d(size, stride, [0, 0], [1, 1], false).during(what)
        }
        Op::AvgPool2d(AvgPool2d { size, stride }) => {
            let (size, stride) = ([*size as i64; 2], [*stride as i64; 2]);
            x.f_avg_pool2d(size, stride, [0, 0], false, true, None).during(what)
        }
        Op::GlobalAvgPool => x.f_mean_dim(&[2i64, 3][..], false, Kind::Float).during(what),
        Op::Flatten => x.f_flatten(1, -1).during(what),
        Op::Dropout(_) | Op::Embed(_) => Ok(x.shallow_clone()),
        _ => Err(unknown_layer(&node.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outlier_does_not_stretch_the_range() {
        let mut values: Vec<f32> = (0..1_000_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        values.push(1.5);
        let point = search(&values);
        assert!(point.scale < 1.1 / 255.0, "{point:?}");
    }
}
