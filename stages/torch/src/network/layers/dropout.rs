//! `dropout` on libtorch, with masks drawn from our own stream.

use catalog::network::layers::Dropout;
use model::random::Random;
use tch::{Device, Kind, Tensor};

use crate::fault::{During, Outcome};
use crate::network::layer::{Construct, Layer, Pass};
use crate::raw;

impl Construct for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn apply(&self, layer: &Layer, x: &Tensor, pass: &mut Pass<'_>) -> Outcome<Tensor> {
        match pass {
            Pass::Train(random) if self.p > 0.0 => {
                mask(x, self.p, random).and_then(|mask| x.f_mul(&mask).during(|| self.given(layer, x)))
            }
            _ => Ok(x.shallow_clone()),
        }
    }
}

/// A dropout mask like `x`.
fn mask(x: &Tensor, p: f64, random: &mut Random) -> Outcome<Tensor> {
    let mut mask =
        Tensor::f_empty(x.size(), (Kind::Float, Device::Cpu)).during(|| "making a dropout mask".to_owned())?;
    random.fill_mask(raw::floats_mut(&mut mask), p);
    mask.f_to_device(x.device()).during(|| "making a dropout mask".to_owned())
}
