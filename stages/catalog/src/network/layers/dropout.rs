//! `dropout`: drops units at random while training.

use serde::{Deserialize, Serialize};

use super::operation::Operation;
use crate::network::place::{Place, Placed};
use crate::params::network::Dropout as Options;

/// Dropout; the identity when predicting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dropout {
    /// Probability of dropping.
    pub p: f64,
}

impl Operation for Dropout {}

/// The layer where it meets rows of any shape.
pub fn place(options: &Options, place: &Place<'_>) -> Placed<Dropout> {
    Ok((Dropout { p: options.p }, place.shape.to_vec()))
}
