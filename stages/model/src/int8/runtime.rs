//! Runs a quantised network on plain whole numbers, without libtorch.
//!
//! Vectors of embedded columns are looked up first, as real numbers. Between layers, values are `q − zero` as `i16` (so that padding is 0 and convolution's gathering of windows is a plain
//! copy), images are height × width × channels. A layer gives the same result for a row whatever batch it comes in, and the
//! same bits on every machine (see [`super::kernel`]).
//!
//! With fixed ranges (`static`) everything between the input and the output is whole numbers. With ranges of each row
//! (`dynamic`) values between layers are `f32`, and each row is rounded with its own range before each product; a
//! range for a whole batch would make a row's answer depend on its neighbours.

use catalog::network::layers::{AvgPool2d, BatchNorm, Conv2d, MaxPool2d};
use catalog::network::{Node, Op, Table};
use catalog::params::compress::Int8;
use catalog::params::network::Activation;

use super::kernel::{Instructions, quantized, real};
use super::packed::{Finish, Packed, ROWS, round};
use super::program::{Program, Step, activate};
use super::quantized::{Layer8, Point, Quantized, damaged};
use crate::array::{Weights, unknown_layer};
use crate::embed::{Layout, table_name};
use crate::fault::Outcome;
use crate::fold::affine;

/// Rows taken through all layers together: few enough that what lies between two layers stays in the cache.
const CHUNK: usize = 32;

/// A quantised network, ready to run.
#[derive(Debug, Clone)]
pub struct Runtime {
    mode: Int8,
    /// Numbers in one row coming in.
    width: usize,
    lookup: Option<Lookup>,
    /// Shape of one row that the first layer reads.
    input: Vec<usize>,
    outputs: usize,
    layers: Vec<Layer>,
    points: Vec<Point>,
    instructions: Instructions,
    scratch: Scratch,
}

/// The vectors of embedded columns, and where they go.
#[derive(Debug, Clone)]
struct Lookup {
    layout: Layout,
    tables: Vec<Layer8>,
}

impl Lookup {
    fn new(quantized: &Quantized, node: &Node) -> Outcome<Option<Self>> {
        let Some(layout) = Layout::of(&quantized.network) else { return Ok(None) };
        let shapes = quantized.network.tables();
        let table = |(place, shape): (usize, &Table)| {
            let name = table_name(node, place);
            let table = quantized.layer(&name)?;
            let (values, length) = (shape.values as usize, (shape.values * shape.dimensions) as usize);
            if table.weight.len() != length || table.scale.len() != values {
                return Err(damaged(&format!("the tensors of `{name}` have another size")));
            }
            Ok(table.clone())
        };
        let tables = shapes.iter().enumerate().map(table).collect::<Outcome<_>>()?;
        Ok(Some(Self { layout, tables }))
    }

    fn look_up(&self, rows: &[f32], out: &mut [f32]) {
        self.layout.forward(rows, out, |table, index, place| {
            let table = &self.tables[table];
            let vector = &table.weight[index * place.len()..(index + 1) * place.len()];
            for (place, weight) in place.iter_mut().zip(vector) {
                *place = f32::from(*weight) * table.scale[index];
            }
        });
    }
}

/// Buffers used again and again.
#[derive(Debug, Clone, Default)]
struct Scratch {
    whole: Vec<Vec<i16>>,
    real: Vec<Vec<f32>>,
    block: Vec<i16>,
    sums: Vec<f32>,
}

impl Scratch {
    fn whole(&mut self, length: usize) -> Vec<i16> {
        let mut buffer = self.whole.pop().unwrap_or_default();
        buffer.resize(length, 0);
        buffer
    }

    fn real(&mut self, length: usize) -> Vec<f32> {
        let mut buffer = self.real.pop().unwrap_or_default();
        buffer.resize(length, 0.0);
        buffer
    }
}

/// One step, compiled.
#[derive(Debug, Clone)]
struct Layer {
    work: Work,
    activation: Option<Activation>,
    from: usize,
    to: Option<usize>,
    input: Image,
    output: Image,
}

/// Height, width, channels; a flat row is 1 × 1 × d.
#[derive(Debug, Clone, Copy)]
struct Image {
    height: usize,
    width: usize,
    channels: usize,
}

impl Image {
    fn new(shape: &[u64]) -> Self {
        match *shape {
            [channels, height, width] => {
                Self { height: height as usize, width: width as usize, channels: channels as usize }
            }
            _ => Self { height: 1, width: 1, channels: shape.iter().product::<u64>() as usize },
        }
    }

    fn size(self) -> usize {
        self.height * self.width * self.channels
    }
}

#[derive(Debug, Clone)]
enum Work {
    /// A linear layer (kernel 1 on 1 × 1) or a convolution.
    Product {
        packed: Packed,
        finish: Finish,
        window: Window,
    },
    /// y = scale·x + shift by channel.
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    /// An activation alone: by value from 0 to 255, already centred.
    Table(Vec<i16>),
    /// The same on real numbers.
    Pointwise,
    MaxPool(Window),
    Mean(Window),
    /// To channels × height × width.
    Flatten,
    Residual {
        inner: Vec<Layer>,
        point: usize,
    },
}

#[derive(Debug, Clone, Copy)]
struct Window {
    height: usize,
    width: usize,
    stride: usize,
    padding: usize,
}

impl Window {
    const ONE: Self = Self { height: 1, width: 1, stride: 1, padding: 0 };

    fn square(size: u64, stride: u64, padding: u64) -> Self {
        Self { height: size as usize, width: size as usize, stride: stride as usize, padding: padding as usize }
    }
}

impl Runtime {
    /// Packs a quantised network for this machine.
    ///
    /// # Errors
    /// `model::damaged` when tensors or points do not fit the layers.
    pub fn new(quantized: &Quantized) -> Outcome<Self> {
        let program = Program::new(&quantized.network);
        let points = match quantized.mode {
            Int8::Static if quantized.points.len() != program.points => {
                return Err(damaged(&format!("{} ranges for {} points", quantized.points.len(), program.points)));
            }
            Int8::Static => quantized.points.clone(),
            Int8::Dynamic => vec![Point::default(); program.points],
        };
        let compiler = Compiler { quantized, points: &points };
        let layers = compiler.chain(&program.steps)?;
        let outputs = quantized.network.output().iter().product::<u64>() as usize;
        let lookup = match &program.embed {
            Some(node) => Lookup::new(quantized, node)?,
            None => None,
        };
        let input = program.embed.as_ref().map_or(&quantized.network.input, |node| &node.output);
        Ok(Self {
            mode: quantized.mode,
            width: quantized.network.input.iter().product::<u64>() as usize,
            lookup,
            input: input.iter().map(|side| *side as usize).collect(),
            outputs,
            layers,
            points,
            instructions: Instructions::detect(),
            scratch: Scratch::default(),
        })
    }

    /// The same network without vector instructions: for tests.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.instructions = Instructions::SCALAR;
        self
    }

    /// Numbers in one row of the input.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Numbers in one row that the first layer reads.
    fn inner(&self) -> usize {
        self.input.iter().product()
    }

    /// Numbers in one row of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Runs rows of encoded features `[count, input...]`; gives `[count, outputs]`.
    ///
    /// # Panics
    /// When `rows` is not a whole number of rows.
    pub fn forward(&mut self, rows: &[f32]) -> Vec<f32> {
        let width = self.width();
        assert!(width > 0 && rows.len().is_multiple_of(width), "whole rows of {width} numbers");
        let mut out = Vec::with_capacity(rows.len() / width * self.outputs);
        let mut scratch = std::mem::take(&mut self.scratch);
        for part in rows.chunks(CHUNK * width) {
            let embedded = self.lookup.as_ref().map(|lookup| {
                let mut embedded = scratch.real(part.len() / width * self.inner());
                lookup.look_up(part, &mut embedded);
                embedded
            });
            let part = embedded.as_deref().unwrap_or(part);
            match self.mode {
                Int8::Static => self.fixed(part, &mut scratch, &mut out),
                Int8::Dynamic => self.measured(part, &mut scratch, &mut out),
            }
            scratch.real.extend(embedded);
        }
        self.scratch = scratch;
        out
    }

    fn fixed(&self, rows: &[f32], scratch: &mut Scratch, out: &mut Vec<f32>) {
        let count = rows.len() / self.inner();
        let mut values = scratch.whole(rows.len());
        let point = self.points[0];
        let bounds = point.bounds();
        if let [channels, height, width] = self.input[..]
            && channels > 1
        {
            let pixels = height * width;
            for (row, values) in rows.chunks_exact(self.inner()).zip(values.chunks_exact_mut(self.inner())) {
                for (channel, plane) in row.chunks_exact(pixels).enumerate() {
                    for (pixel, value) in plane.iter().enumerate() {
                        values[pixel * channels + channel] = round(value / point.scale, bounds);
                    }
                }
            }
        } else {
            for (value, number) in values.iter_mut().zip(rows) {
                *value = round(number / point.scale, bounds);
            }
        }
        let mut pass = Fixed { points: &self.points, instructions: self.instructions, scratch, count };
        let (values, last) = pass.chain(&self.layers, values, 0);
        match last {
            // The last layer gave real numbers.
            None => out.append(&mut pass.scratch.sums),
            Some(point) => {
                let scale = self.points[point].scale;
                out.extend(values.iter().map(|value| f32::from(*value) * scale));
            }
        }
        scratch.whole.push(values);
    }

    fn measured(&self, rows: &[f32], scratch: &mut Scratch, out: &mut Vec<f32>) {
        let count = rows.len() / self.inner();
        let mut values = scratch.real(rows.len());
        if let [channels, height, width] = self.input[..]
            && channels > 1
        {
            let pixels = height * width;
            for (row, values) in rows.chunks_exact(self.inner()).zip(values.chunks_exact_mut(self.inner())) {
                for (channel, plane) in row.chunks_exact(pixels).enumerate() {
                    for (pixel, value) in plane.iter().enumerate() {
                        values[pixel * channels + channel] = *value;
                    }
                }
            }
        } else {
            values.copy_from_slice(rows);
        }
        let mut pass = Measured { instructions: self.instructions, scratch, count };
        let values = pass.chain(&self.layers, values);
        out.extend_from_slice(&values);
        scratch.real.push(values);
    }
}

// --- compiling ------------------------------------------------------------------------------------------------------

struct Compiler<'a> {
    quantized: &'a Quantized,
    points: &'a [Point],
}

impl Compiler<'_> {
    fn chain(&self, steps: &[Step]) -> Outcome<Vec<Layer>> {
        steps.iter().map(|step| self.layer(step)).collect()
    }

    fn layer(&self, step: &Step) -> Outcome<Layer> {
        let Node { name, op, input, output } = &step.node;
        let image = Image::new(input);
        let work = match op {
            Op::Linear(_) => self.product(step, Window::ONE)?,
            Op::Conv2d(Conv2d { kernel, stride, padding, .. }) => {
                self.product(step, Window::square(*kernel, *stride, *padding))?
            }
            Op::BatchNorm(BatchNorm { channels, eps, .. }) => {
                let norms: &Weights = &self.quantized.norms;
                let (scale, shift) = affine(name, *channels as usize, *eps, norms)?;
                Work::Affine { scale, shift }
            }
            Op::Activation(activation) if self.quantized.mode == Int8::Static => {
                let from = self.points[step.from];
                let to = self.points[step.to.unwrap_or(step.from)];
                let value = |q: u8| {
                    let x = f32::from(i16::from(q) - i16::from(from.zero)) * from.scale;
                    round(activate(*activation, x) / to.scale, to.bounds())
                };
                Work::Table((0..=u8::MAX).map(value).collect())
            }
            Op::Activation(activation) => {
                return Ok(Layer {
                    work: Work::Pointwise,
                    activation: Some(*activation),
                    from: step.from,
                    to: step.to,
                    input: image,
                    output: Image::new(output),
                });
            }
            Op::MaxPool2d(MaxPool2d { size, stride }) => Work::MaxPool(Window::square(*size, *stride, 0)),
            Op::AvgPool2d(AvgPool2d { size, stride }) => Work::Mean(Window::square(*size, *stride, 0)),
            Op::GlobalAvgPool => Work::Mean(Window { height: image.height, width: image.width, stride: 1, padding: 0 }),
            Op::Flatten | Op::Dropout(_) => Work::Flatten,
            Op::Embed(_) => {
                return Err(damaged(&format!("vectors are looked up by `{name}`, which is not the first layer")));
            }
            Op::Residual(_) => Work::Residual {
                inner: self.chain(&step.inner)?,
                point: step.inner.last().map_or(step.from, |last| last.to.unwrap_or(step.from)),
            },
            _ => return Err(unknown_layer(name)),
        };
        // A mean over a whole image gives one pixel of all channels.
        Ok(Layer {
            work,
            activation: step.activation,
            from: step.from,
            to: step.to,
            input: image,
            output: Image::new(output),
        })
    }

    fn product(&self, step: &Step, window: Window) -> Outcome<Work> {
        let name = &step.node.name;
        let layer = self.quantized.layer(name)?;
        let outputs = Image::new(&step.node.output).channels;
        let inputs = Image::new(&step.node.input).channels;
        let area = window.height * window.width;
        let depth = inputs * area;
        if layer.weight.len() != outputs * depth || layer.scale.len() != outputs || layer.bias.len() != outputs {
            return Err(damaged(&format!("the tensors of `{name}` have another size")));
        }
        // [out, in, ky, kx] -> [out, ky, kx, in]
        let mut ordered = vec![0i8; layer.weight.len()];
        for (from, to) in layer.weight.chunks_exact(depth).zip(ordered.chunks_exact_mut(depth)) {
            for channel in 0..inputs {
                for place in 0..area {
                    to[place * inputs + channel] = from[channel * area + place];
                }
            }
        }
        let packed = Packed::new(&ordered, outputs, depth);
        let finish = match self.quantized.mode {
            Int8::Dynamic => Finish::new(layer.scale.clone(), layer.bias.clone()),
            Int8::Static => {
                let from = self.points[step.from].scale;
                // Straight to the next 8 bits where only a rectifier lies between.
                let to = match (step.to, step.activation) {
                    (Some(to), None | Some(Activation::Relu)) => self.points[to].scale,
                    _ => 1.0,
                };
                Finish::new(
                    layer.scale.iter().map(|scale| scale * from / to).collect(),
                    layer.bias.iter().map(|bias| bias / to).collect(),
                )
            }
        };
        Ok(Work::Product { packed, finish, window })
    }
}

// --- gathering ------------------------------------------------------------------------------------------------------

/// Copies the window of one output pixel into a row of the block; what lies outside of the image is 0.
fn gather<T: Copy + Default>(image: Image, window: Window, values: &[T], at: (usize, usize), row: &mut [T]) {
    let (left, top) = (at.1 * window.stride, at.0 * window.stride);
    let span = window.width * image.channels;
    let inside = window.padding == 0;
    for ky in 0..window.height {
        let row = &mut row[ky * span..(ky + 1) * span];
        let y = top + ky;
        if inside {
            let start = (y * image.width + left) * image.channels;
            row.copy_from_slice(&values[start..start + span]);
            continue;
        }
        let Some(y) = y.checked_sub(window.padding).filter(|y| *y < image.height) else {
            row.fill(T::default());
            continue;
        };
        // Columns of the window that lie in the image.
        let first = window.padding.saturating_sub(left).min(window.width);
        let last = (image.width + window.padding).saturating_sub(left).clamp(first, window.width);
        row[..first * image.channels].fill(T::default());
        row[last * image.channels..].fill(T::default());
        if last > first {
            let start = (y * image.width + left + first - window.padding) * image.channels;
            let length = (last - first) * image.channels;
            row[first * image.channels..last * image.channels].copy_from_slice(&values[start..start + length]);
        }
    }
}

/// Calls `put(first row, rows, block)` for every block of [`ROWS`] output pixels of a batch.
fn blocks(
    layer: &Layer,
    window: Window,
    stride: usize,
    values: &[i16],
    count: usize,
    block: &mut Vec<i16>,
    mut put: impl FnMut(usize, usize, &[i16]),
) {
    let (input, output) = (layer.input, layer.output);
    let pixels = output.height * output.width;
    let total = count * pixels;
    let depth = window.height * window.width * input.channels;
    let flat = pixels == 1 && depth == input.size() && stride == depth;
    block.clear();
    block.resize(ROWS * stride, 0);
    for first in (0..total).step_by(ROWS) {
        let used = ROWS.min(total - first);
        if flat && used == ROWS {
            // The rows lie as the kernel wants them.
            put(first, used, &values[first * depth..(first + ROWS) * depth]);
            continue;
        }
        for (slot, row) in block.chunks_exact_mut(stride).enumerate().take(used) {
            let (image, pixel) = ((first + slot) / pixels, (first + slot) % pixels);
            let values = &values[image * input.size()..(image + 1) * input.size()];
            gather(input, window, values, (pixel / output.width, pixel % output.width), &mut row[..depth]);
        }
        put(first, used, block);
    }
}

/// Pools one image: `start` and `add` over each window, channel by channel, then `end`.
fn pool<T: Copy, A: Copy>(
    (layer, window): (&Layer, Window),
    row: &[T],
    out: &mut [T],
    start: impl Fn(T) -> A,
    add: impl Fn(A, T) -> A,
    end: impl Fn(A) -> T,
) {
    let (input, output) = (layer.input, layer.output);
    let mut sums: Vec<A> = Vec::with_capacity(output.channels);
    for (pixel, out) in out.chunks_exact_mut(output.channels).enumerate() {
        let (y, x) = (pixel / output.width, pixel % output.width);
        sums.clear();
        for ky in 0..window.height {
            let line = (y * window.stride + ky) * input.width + x * window.stride;
            for kx in 0..window.width {
                let values = &row[(line + kx) * input.channels..(line + kx + 1) * input.channels];
                if sums.is_empty() {
                    sums.extend(values.iter().map(|value| start(*value)));
                } else {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = add(*sum, *value);
                    }
                }
            }
        }
        for (sum, out) in sums.iter().zip(out) {
            *out = end(*sum);
        }
    }
}

// --- fixed ranges ---------------------------------------------------------------------------------------------------

struct Fixed<'a> {
    points: &'a [Point],
    instructions: Instructions,
    scratch: &'a mut Scratch,
    count: usize,
}

impl Fixed<'_> {
    /// Runs layers over centred values; gives the values and their point, or `None` when the result is real and lies in
    /// `scratch.sums`.
    fn chain(&mut self, layers: &[Layer], mut values: Vec<i16>, at: usize) -> (Vec<i16>, Option<usize>) {
        let mut point = Some(at);
        for layer in layers {
            let next = self.layer(layer, &values);
            self.scratch.whole.push(std::mem::replace(&mut values, next));
            point = layer.to;
        }
        (values, point)
    }

    fn layer(&mut self, layer: &Layer, values: &[i16]) -> Vec<i16> {
        let count = self.count;
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
                    *out = table[usize::from((value + zero).clamp(0, 255) as u8)];
                }
            }
            // Compiled to a table.
            Work::Pointwise => out.copy_from_slice(values),
            Work::MaxPool(window) => {
                rows.for_each(|(row, out)| pool((layer, *window), row, out, |value| value, i16::max, |value| value));
            }
            Work::Mean(window) => {
                let from = self.points[layer.from].scale;
                let area = (window.height * window.width) as f32;
                let finish = self.rounding(layer);
                let end = |sum: i32| finish(sum as f32 / area * from);
                rows.for_each(|(row, out)| {
                    pool((layer, *window), row, out, i32::from, |sum, value| sum + i32::from(value), end);
                });
            }
            Work::Flatten => rows.for_each(|(row, out)| flatten(layer.input, row, out)),
            Work::Residual { inner, point } => {
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
        let mut block = std::mem::take(&mut self.scratch.block);
        match (layer.to, layer.activation) {
            (Some(to), None | Some(Activation::Relu)) => {
                let (low, high) = self.points[to].bounds();
                let bounds = (if layer.activation.is_some() { low.max(0) } else { low }, high);
                blocks(layer, window, packed.stride(), values, count, &mut block, |first, used, rows| {
                    quantized(instructions, packed, rows, used, finish, bounds, &mut out[first * outputs..]);
                });
            }
            (to, activation) => {
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
                    sums.iter_mut().for_each(|sum| *sum = activate(activation, *sum));
                }
                self.scratch.sums = sums;
            }
        }
        self.scratch.block = block;
    }
}

fn flatten<T: Copy>(image: Image, row: &[T], out: &mut [T]) {
    let pixels = image.height * image.width;
    if image.channels == 1 || pixels == 1 {
        out.copy_from_slice(row);
        return;
    }
    for (pixel, values) in row.chunks_exact(image.channels).enumerate() {
        for (channel, value) in values.iter().enumerate() {
            out[channel * pixels + pixel] = *value;
        }
    }
}

// --- ranges of each row ---------------------------------------------------------------------------------------------

struct Measured<'a> {
    instructions: Instructions,
    scratch: &'a mut Scratch,
    count: usize,
}

impl Measured<'_> {
    fn chain(&mut self, layers: &[Layer], mut values: Vec<f32>) -> Vec<f32> {
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
