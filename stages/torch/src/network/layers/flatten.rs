//! `flatten` on libtorch.

use catalog::network::layers::Flatten;
use tch::Tensor;

use crate::fault::{During, Outcome};
use crate::network::layer::{Construct, Layer, Pass};

impl Construct for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn apply(&self, layer: &Layer, x: &Tensor, _: &mut Pass<'_>) -> Outcome<Tensor> {
        x.f_flatten(1, -1).during(|| self.given(layer, x))
    }
}
