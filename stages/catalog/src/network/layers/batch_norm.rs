//! `batch_norm`: batch normalisation over dimension 1.

use serde::{Deserialize, Serialize};

use super::operation::Operation;
use crate::network::place::{Place, Placed};
use crate::params::network::BatchNorm as Options;

/// Batch normalisation. Tensors: `weight`, `bias`, `running_mean` and `running_var`, `[channels]` each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Number of channels (or of units after a linear layer).
    pub channels: u64,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
}

impl Operation for BatchNorm {
    /// Running statistics are not trained and do not count.
    fn parameters(&self) -> u64 {
        self.channels.saturating_mul(2)
    }
}

/// The layer where it meets rows of any shape.
pub fn place(options: &Options, place: &Place<'_>) -> Placed<BatchNorm> {
    let op = BatchNorm { channels: place.shape[0], momentum: options.momentum, eps: options.eps };
    Ok((op, place.shape.to_vec()))
}
