//! Layers with fixed ranges: whole numbers from the input to the output.

use catalog::params::network::Activation;

use super::gather::{blocks, flatten, pool};
use super::layer::{Layer, Scratch, Window, Work};
use crate::int8::kernel::{Instructions, quantized, real};
use crate::int8::packed::{Finish, Packed, ROWS, round};
use crate::int8::program::activate;
use crate::int8::quantized::Point;

pub(super) struct Fixed<'a> {
    pub(super) points: &'a [Point],
    pub(super) instructions: Instructions,
    pub(super) scratch: &'a mut Scratch,
    pub(super) count: usize,
}

impl Fixed<'_> {
    /// Runs layers over centred values; gives the values and their point, or `None` when the result is real and lies in
    /// `scratch.sums`.
    pub(super) fn chain(&mut self, layers: &[Layer], mut values: Vec<i16>, at: usize) -> (Vec<i16>, Option<usize>) {
        let mut point = Some(at);
        for layer in layers {
            let next = self.layer(layer, &values);
            // The buffer of the layer before goes back only now: the layer still reads it while it takes its own.
            self.scratch.whole.push(std::mem::replace(&mut values, next));
            point = layer.to;
        }
        (values, point)
    }

    fn layer(&mut self, layer: &Layer, values: &[i16]) -> Vec<i16> {
        let count = self.count;
        // The buffer holds numbers of an earlier use. Every arm below writes all of it.
        let mut out = self.scratch.whole(count * layer.output.size());
        let rows = values.chunks_exact(layer.input.size()).zip(out.chunks_exact_mut(layer.output.size()));
        match &layer.work {
            Work::Product { packed, finish, window } => self.product(layer, packed, finish, *window, values, &mut out),
            Work::Affine { scale, shift } => {
                let from = self.points[layer.from].scale;
                let finish = self.rounding(layer);
                for (row, out) in values.chunks_exact(scale.len()).zip(out.chunks_exact_mut(scale.len())) {
                    for ((value, out), (scale, shift)) in row.iter().zip(out).zip(scale.iter().zip(shift)) {
                        *out = finish(f32::from(*value) * from * scale + shift);
                    }
                }
            }
            Work::Table(table) => {
                let zero = i16::from(self.points[layer.from].zero);
                for (value, out) in values.iter().zip(&mut out) {
                    // The clamp only guards the index: every value was rounded into the range of its point.
                    *out = table[usize::from((value + zero).clamp(0, 255) as u8)];
                }
            }
            // The compiler makes a table of an activation that stands alone; this arm is for real numbers.
            Work::Pointwise => out.copy_from_slice(values),
            // The largest value keeps its point, so nothing is rounded.
            Work::MaxPool(window) => {
                rows.for_each(|(row, out)| pool((layer, *window), row, out, |value| value, i16::max, |value| value));
            }
            Work::Mean(window) => {
                let from = self.points[layer.from].scale;
                let area = (window.height * window.width) as f32;
                let finish = self.rounding(layer);
                // 255 times the largest window stays far below the limit of `i32`.
                let end = |sum: i32| finish(sum as f32 / area * from);
                rows.for_each(|(row, out)| {
                    pool((layer, *window), row, out, i32::from, |sum, value| sum + i32::from(value), end);
                });
            }
            Work::Flatten => rows.for_each(|(row, out)| flatten(layer.input, row, out)),
            Work::Residual { inner, point } => {
                // The branch consumes its input, and the sum needs the same values again.
                let copy = {
                    let mut copy = self.scratch.whole(values.len());
                    copy.copy_from_slice(values);
                    copy
                };
                let (branch, _) = self.chain(inner, copy, layer.from);
                let (left, right) = (self.points[layer.from].scale, self.points[*point].scale);
                let finish = self.rounding(layer);
                for ((x, f), out) in values.iter().zip(&branch).zip(&mut out) {
                    *out = finish(f32::from(*x) * left + f32::from(*f) * right);
                }
                self.scratch.whole.push(branch);
            }
        }
        out
    }

    /// The layer's activation and its point: from a real number to a centred value.
    fn rounding(&self, layer: &Layer) -> impl Fn(f32) -> i16 + use<> {
        let point = self.points[layer.to.unwrap_or(layer.from)];
        let (bounds, activation) = (point.bounds(), layer.activation);
        move |value| {
            let value = activation.map_or(value, |activation| activate(activation, value));
            round(value / point.scale, bounds)
        }
    }

    fn product(
        &mut self,
        layer: &Layer,
        packed: &Packed,
        finish: &Finish,
        window: Window,
        values: &[i16],
        out: &mut [i16],
    ) {
        let (instructions, count, outputs) = (self.instructions, self.count, packed.outputs());
        // Taken out of `self` and put back below, so that the closures can borrow `self.scratch` at the same time.
        let mut block = std::mem::take(&mut self.scratch.block);
        match (layer.to, layer.activation) {
            (Some(to), None | Some(Activation::Relu)) => {
                // Real zero is exactly 0 here, so a ReLU is only a higher lower bound: no pass of its own.
                let (low, high) = self.points[to].bounds();
                let bounds = (if layer.activation.is_some() { low.max(0) } else { low }, high);
                blocks(layer, window, packed.stride(), values, count, &mut block, |first, used, rows| {
                    quantized(instructions, packed, rows, used, finish, bounds, &mut out[first * outputs..]);
                });
            }
            (to, activation) => {
                // Any other activation needs the real number before it is rounded.
                let mut sums = std::mem::take(&mut self.scratch.sums);
                sums.resize(count * layer.output.size(), 0.0);
                blocks(layer, window, packed.stride(), values, count, &mut block, |first, used, rows| {
                    real(instructions, packed, rows, used, finish, &[1.0; ROWS], &mut sums[first * outputs..]);
                });
                if to.is_some() {
                    let finish = self.rounding(layer);
                    for (sum, out) in sums.iter().zip(out) {
                        *out = finish(*sum);
                    }
                } else if let Some(activation) = activation {
                    // The last layer: its result stays real, in `scratch.sums`.
                    sums.iter_mut().for_each(|sum| *sum = activate(activation, *sum));
                }
                self.scratch.sums = sums;
            }
        }
        self.scratch.block = block;
    }
}
