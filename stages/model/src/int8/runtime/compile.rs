//! From the steps of a program to layers that are ready to run.

use catalog::kinds::compress::params::Int8;
use catalog::network::layers::{AvgPool2d, BatchNorm, Conv2d, MaxPool2d};
use catalog::network::{Node, Op};
use catalog::params::network::Activation;

use super::layer::{Image, Layer, Window, Work};
use crate::array::{Weights, unknown_layer};
use crate::fault::Outcome;
use crate::fold::affine;
use crate::int8::packed::{Finish, Packed, round};
use crate::int8::program::{Step, activate};
use crate::int8::quantized::{Point, Quantized, damaged};

pub(super) struct Compiler<'a> {
    pub(super) quantized: &'a Quantized,
    pub(super) points: &'a [Point],
}

impl Compiler<'_> {
    pub(super) fn chain(&self, steps: &[Step]) -> Outcome<Vec<Layer>> {
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
                // 256 results are computed once; a pass is then one look-up a value, and exact whatever the activation.
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
        // [out, in, ky, kx] -> [out, ky, kx, in]: the order in which windows of an image are gathered.
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
                // The sum goes straight to the next 8 bits where only a ReLU lies between. Other activations need the real
                // number first, so their scale is 1. `Fixed::product` makes the same choice.
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
