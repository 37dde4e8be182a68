//! `global_avg_pool` on libtorch.

use catalog::network::layers::GlobalAvgPool;
use tch::Tensor;

use crate::fault::{During, Outcome};
use crate::network::layer::{Construct, Layer, Pass};

impl Construct for GlobalAvgPool {
    fn name(&self) -> &'static str {
        "global_avg_pool"
    }

    fn apply(&self, layer: &Layer, x: &Tensor, _: &mut Pass<'_>) -> Outcome<Tensor> {
        x.f_mean_dim([2i64, 3].as_slice(), false, None).during(|| self.given(layer, x))
    }
}
