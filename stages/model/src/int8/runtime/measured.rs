//! Layers with ranges of each row: real numbers between layers, rounded before each product.

use super::gather::{blocks, flatten, pool};
use super::layer::{Layer, Scratch, Window, Work};
use crate::int8::kernel::{Instructions, real};
use crate::int8::packed::{Finish, Packed, ROWS, round};
use crate::int8::program::activate;
use crate::int8::quantized::Point;

pub(super) struct Measured<'a> {
    pub(super) instructions: Instructions,
    pub(super) scratch: &'a mut Scratch,
    pub(super) count: usize,
}

impl Measured<'_> {
    pub(super) fn chain(&mut self, layers: &[Layer], mut values: Vec<f32>) -> Vec<f32> {
        for layer in layers {
            let mut next = self.layer(layer, &values);
            if let Some(activation) = layer.activation {
                next.iter_mut().for_each(|value| *value = activate(activation, *value));
            }
            self.scratch.real.push(std::mem::replace(&mut values, next));
        }
        values
    }

    fn layer(&mut self, layer: &Layer, values: &[f32]) -> Vec<f32> {
        let (from, to) = (layer.input.size(), layer.output.size());
        let mut out = self.scratch.real(self.count * to);
        let rows = values.chunks_exact(from).zip(out.chunks_exact_mut(to));
        match &layer.work {
            Work::Product { packed, finish, window } => self.product(layer, packed, finish, *window, values, &mut out),
            Work::Affine { scale, shift } => {
                for (row, out) in values.chunks_exact(scale.len()).zip(out.chunks_exact_mut(scale.len())) {
                    for ((value, out), (scale, shift)) in row.iter().zip(out).zip(scale.iter().zip(shift)) {
                        *out = value * scale + shift;
                    }
                }
            }
            // The activation itself follows in `chain`.
            Work::Table(_) | Work::Pointwise => out.copy_from_slice(values),
            Work::MaxPool(window) => {
                rows.for_each(|(row, out)| pool((layer, *window), row, out, |value| value, f32::max, |value| value));
            }
            Work::Mean(window) => {
                let area = (window.height * window.width) as f32;
                rows.for_each(|(row, out)| {
                    pool((layer, *window), row, out, |value| value, |sum, value| sum + value, |sum| sum / area);
                });
            }
            Work::Flatten => rows.for_each(|(row, out)| flatten(layer.input, row, out)),
            Work::Residual { inner, .. } => {
                let copy = {
                    let mut copy = self.scratch.real(values.len());
                    copy.copy_from_slice(values);
                    copy
                };
                let branch = self.chain(inner, copy);
                for ((x, f), out) in values.iter().zip(&branch).zip(&mut out) {
                    *out = x + f;
                }
                self.scratch.real.push(branch);
            }
        }
        out
    }

    fn product(
        &mut self,
        layer: &Layer,
        packed: &Packed,
        finish: &Finish,
        window: Window,
        values: &[f32],
        out: &mut [f32],
    ) {
        let size = layer.input.size();
        let mut whole = self.scratch.whole(values.len());
        let mut scales = Vec::with_capacity(self.count);
        for (row, whole) in values.chunks_exact(size).zip(whole.chunks_exact_mut(size)) {
            // Each row has its own range. The range starts at 0 on both sides, so that real zero is exact.
            let (low, high) = row.iter().fold((0f32, 0f32), |(low, high), value| (low.min(*value), high.max(*value)));
            let point = Point::new(low, high);
            let bounds = point.bounds();
            for (value, whole) in row.iter().zip(whole) {
                *whole = round(value / point.scale, bounds);
            }
            scales.push(point.scale);
        }
        let pixels = layer.output.height * layer.output.width;
        let (instructions, outputs) = (self.instructions, packed.outputs());
        let mut block = std::mem::take(&mut self.scratch.block);
        blocks(layer, window, packed.stride(), &whole, self.count, &mut block, |first, used, rows| {
            let mut factors = [0.0; ROWS];
            for (slot, factor) in factors.iter_mut().enumerate().take(used) {
                *factor = scales[(first + slot) / pixels];
            }
            real(instructions, packed, rows, used, finish, &factors, &mut out[first * outputs..]);
        });
        self.scratch.block = block;
        self.scratch.whole.push(whole);
    }
}
