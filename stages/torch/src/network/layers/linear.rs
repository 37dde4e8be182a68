//! `linear` on libtorch.

use catalog::network::layers::Linear;
use model::random::Random;
use tch::Tensor;

use crate::fault::{During, Outcome};
use crate::network::layer::{Construct, Layer, Part, Pass};

impl Construct for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn tensors(&self) -> Vec<Part> {
        let mut parts = vec![Part::trained("weight", vec![self.outputs as i64, self.inputs as i64])];
        if self.bias {
            parts.push(Part::trained("bias", vec![self.outputs as i64]));
        }
        parts
    }

    fn fill(&self, _: &Part, values: &mut [f32], random: &mut Random) {
        random.fill_uniform(values, 1.0 / (self.inputs as f64).sqrt());
    }

    fn apply(&self, layer: &Layer, x: &Tensor, _: &mut Pass<'_>) -> Outcome<Tensor> {
        x.f_linear(layer.weight()?, layer.bias.as_ref()).during(|| self.given(layer, x))
    }
}
