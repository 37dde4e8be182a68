//! `max_pool2d` on libtorch.

use catalog::network::layers::MaxPool2d;
use tch::Tensor;

use crate::fault::{During, Outcome};
use crate::network::layer::{Construct, Layer, Pass};

impl Construct for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn apply(&self, layer: &Layer, x: &Tensor, _: &mut Pass<'_>) -> Outcome<Tensor> {
        let (size, stride) = ([self.size as i64; 2], [self.stride as i64; 2]);
        x.f_max_pool2d(size, stride, [0, 0], [1, 1], false).during(|| self.given(layer, x))
    }
}
