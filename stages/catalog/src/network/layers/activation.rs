//! `relu`, `gelu`, `silu`, `tanh`, `sigmoid`: pointwise non-linearities.

use super::operation::Operation;
use crate::params::network::Activation;

impl Operation for Activation {}
