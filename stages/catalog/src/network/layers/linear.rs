//! `linear`: every output is a weighted sum of all inputs.

use serde::{Deserialize, Serialize};

use super::operation::Operation;
use crate::network::place::{Place, Placed};
use crate::params::network::LinearLayer;

/// y = x Wᵀ + b. Tensors: `weight [outputs, inputs]` and `bias [outputs]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Width in.
    pub inputs: u64,
    /// Width out.
    pub outputs: u64,
    /// Whether there is a b.
    pub bias: bool,
}

impl Operation for Linear {
    fn parameters(&self) -> u64 {
        self.inputs.saturating_mul(self.outputs).saturating_add(if self.bias { self.outputs } else { 0 })
    }

    fn operations(&self, _: &[u64]) -> u64 {
        self.inputs.saturating_mul(self.outputs)
    }
}

/// The layer where it meets flat rows; an image is flattened before.
pub fn place(options: &LinearLayer, place: &Place<'_>) -> Placed<Linear> {
    let outputs = u64::from(options.units);
    Ok((Linear { inputs: place.shape[0], outputs, bias: options.bias }, vec![outputs]))
}
