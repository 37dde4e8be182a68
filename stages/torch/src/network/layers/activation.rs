//! `relu`, `gelu`, `silu`, `tanh`, `sigmoid` on libtorch.

use catalog::params::network::Activation;
use tch::{TchError, Tensor};

use crate::fault::{During, Outcome};
use crate::network::layer::{Construct, Layer, Pass};

impl Construct for Activation {
    fn name(&self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        }
    }

    fn apply(&self, layer: &Layer, x: &Tensor, _: &mut Pass<'_>) -> Outcome<Tensor> {
        activate(x, *self).during(|| self.given(layer, x))
    }
}

/// A pointwise non-linearity.
///
/// # Errors
/// libtorch's.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor, TchError> {
    match activation {
        Activation::Relu => x.f_relu(),
        Activation::Gelu => x.f_gelu("none"),
        Activation::Silu => x.f_silu(),
        Activation::Tanh => x.f_tanh(),
        Activation::Sigmoid => x.f_sigmoid(),
    }
}
