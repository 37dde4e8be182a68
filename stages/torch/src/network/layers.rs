//! The list of all layers on libtorch: one file for each.

use catalog::network::Op;
use catalog::network::layers::{Flatten, GlobalAvgPool};

use super::layer::Construct;

pub mod activation;
mod avg_pool2d;
mod batch_norm;
mod conv2d;
mod dropout;
pub mod embed;
mod flatten;
mod global_avg_pool;
mod linear;
mod max_pool2d;

/// How a layer is built and applied; `None` for a residual, and for a layer of a later version.
pub fn construct(op: &Op) -> Option<&dyn Construct> {
    Some(match op {
        Op::Embed(tables) => tables,
        Op::Linear(op) => op,
        Op::Conv2d(op) => op,
        Op::BatchNorm(op) => op,
        Op::Activation(op) => op,
        Op::Dropout(op) => op,
        Op::MaxPool2d(op) => op,
        Op::AvgPool2d(op) => op,
        Op::GlobalAvgPool => &GlobalAvgPool,
        Op::Flatten => &Flatten,
        _ => return None,
    })
}

/// The name of an operation in messages.
pub fn name(op: &Op) -> &'static str {
    construct(op).map_or("residual", Construct::name)
}
