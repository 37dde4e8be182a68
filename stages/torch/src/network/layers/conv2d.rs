//! `conv2d` on libtorch.

use catalog::network::layers::Conv2d;
use model::random::Random;
use tch::Tensor;

use crate::fault::{During, Outcome};
use crate::network::layer::{Construct, Layer, Part, Pass};

impl Construct for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn tensors(&self) -> Vec<Part> {
        let side = self.kernel as i64;
        let mut parts = vec![Part::trained("weight", vec![self.outputs as i64, self.inputs as i64, side, side])];
        if self.bias {
            parts.push(Part::trained("bias", vec![self.outputs as i64]));
        }
        parts
    }

    fn fill(&self, _: &Part, values: &mut [f32], random: &mut Random) {
        let fan_in = (self.inputs * self.kernel * self.kernel) as f64;
        random.fill_uniform(values, 1.0 / fan_in.sqrt());
    }

    fn apply(&self, layer: &Layer, x: &Tensor, _: &mut Pass<'_>) -> Outcome<Tensor> {
        let (stride, padding) = ([self.stride as i64; 2], [self.padding as i64; 2]);
        x.f_conv2d(layer.weight()?, layer.bias.as_ref(), stride, padding, [1, 1], 1).during(|| self.given(layer, x))
    }
}
