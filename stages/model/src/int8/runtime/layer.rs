//! A compiled network: its layers, and the buffers between them.

use catalog::params::network::Activation;

use crate::int8::packed::{Finish, Packed};

/// One step, compiled.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) work: Work,
    pub(super) activation: Option<Activation>,
    pub(super) from: usize,
    pub(super) to: Option<usize>,
    pub(super) input: Image,
    pub(super) output: Image,
}

/// Height, width, channels; a flat row is 1 × 1 × d.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

impl Image {
    pub(super) fn new(shape: &[u64]) -> Self {
        match *shape {
            [channels, height, width] => {
                Self { height: height as usize, width: width as usize, channels: channels as usize }
            }
            _ => Self { height: 1, width: 1, channels: shape.iter().product::<u64>() as usize },
        }
    }

    pub(super) fn size(self) -> usize {
        self.height * self.width * self.channels
    }
}

#[derive(Debug, Clone)]
pub(super) enum Work {
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
pub(super) struct Window {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Window {
    pub(super) const ONE: Self = Self { height: 1, width: 1, stride: 1, padding: 0 };

    pub(super) fn square(size: u64, stride: u64, padding: u64) -> Self {
        Self { height: size as usize, width: size as usize, stride: stride as usize, padding: padding as usize }
    }
}

/// Buffers that are used again and again: in small networks most of a call would be allocation.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    pub(super) whole: Vec<Vec<i16>>,
    pub(super) real: Vec<Vec<f32>>,
    pub(super) block: Vec<i16>,
    pub(super) sums: Vec<f32>,
}

impl Scratch {
    /// A buffer with numbers of an earlier use in it.
    pub(super) fn whole(&mut self, length: usize) -> Vec<i16> {
        let mut buffer = self.whole.pop().unwrap_or_default();
        buffer.resize(length, 0);
        buffer
    }

    /// A buffer with numbers of an earlier use in it.
    pub(super) fn real(&mut self, length: usize) -> Vec<f32> {
        let mut buffer = self.real.pop().unwrap_or_default();
        buffer.resize(length, 0.0);
        buffer
    }
}
