//! Runs a quantised network on plain whole numbers, without libtorch.
//!
//! Vectors of embedded columns are looked up first, as real numbers. Between layers a value is `q − zero`, an `i16`. Zero is then
//! 0, so the padding of a convolution is 0 and gathering its windows is a plain copy. Images are height × width × channels.
//! A layer gives the same result for a row whatever batch the row comes in, and the same bits on every machine (see
//! [`super::kernel`]).
//!
//! With fixed ranges (`static`) everything between the input and the output is whole numbers. With ranges of each row
//! (`dynamic`) values between layers are `f32`, and each row is rounded with its own range before each product. A
//! range for a whole batch was rejected: a row's answer would depend on its neighbours.

use catalog::kinds::compress::params::Int8;

use super::kernel::Instructions;
use super::packed::round;
use super::program::Program;
use super::quantized::{Point, Quantized, damaged};
use crate::fault::Outcome;

mod compile;
mod fixed;
mod gather;
mod layer;
mod lookup;
mod measured;

use compile::Compiler;
use fixed::Fixed;
use gather::channels_last;
use layer::{Layer, Scratch};
use lookup::Lookup;
use measured::Measured;

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
            // Ranges are measured row by row; the places only keep indices valid.
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
        // Taken out, so that passes can borrow `self` and the buffers at once. A panic loses only the buffers.
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
            // Back to the pool only after the pass, which read it.
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
        channels_last(&self.input, rows, &mut values, |number| round(number / point.scale, bounds));
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
        channels_last(&self.input, rows, &mut values, |number| number);
        let mut pass = Measured { instructions: self.instructions, scratch, count };
        let values = pass.chain(&self.layers, values);
        out.extend_from_slice(&values);
        scratch.real.push(values);
    }
}
