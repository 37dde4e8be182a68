//! The layers: one file for each, with what it computes, what it costs, and where it fits. The lists below name them all.

use serde::{Deserialize, Serialize};

use super::place::{Place, Placed};
use crate::params::network::{Activation, Layer};

pub mod activation;
pub mod avg_pool2d;
pub mod batch_norm;
pub mod conv2d;
pub mod dropout;
pub mod embed;
pub mod flatten;
pub mod global_avg_pool;
pub mod linear;
pub mod max_pool2d;
pub mod operation;
mod window;

pub use avg_pool2d::AvgPool2d;
pub use batch_norm::BatchNorm;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use embed::Table;
pub use flatten::Flatten;
pub use global_avg_pool::GlobalAvgPool;
pub use linear::Linear;
pub use max_pool2d::MaxPool2d;

use operation::Operation;

/// One layer in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique; the prefix of its tensors: `3` has `3.weight` and `3.bias`, inside a residual `3.0.weight`.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Shape of one row coming in.
    pub input: Vec<u64>,
    /// Shape of one row going out.
    pub output: Vec<u64>,
}

/// What a layer computes: the list of all layers. Other crates must say what they do with a layer they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Op {
    /// Looks vectors up: where a row holds the index of a value, the value's vector comes out, in its place among the other
    /// numbers, which come out as they are. Always the first node of a network. Tensors: `<n>.weight [values, dimensions]` for
    /// the table n.
    Embed(Vec<Table>),
    /// y = x Wᵀ + b
    Linear(Linear),
    /// Cross-correlation.
    Conv2d(Conv2d),
    /// Batch normalisation over dimension 1.
    BatchNorm(BatchNorm),
    /// Pointwise.
    Activation(Activation),
    /// While training only.
    Dropout(Dropout),
    /// Largest value of each window.
    MaxPool2d(MaxPool2d),
    /// Mean of each window.
    AvgPool2d(AvgPool2d),
    /// `[c, h, w]` to `[c]`.
    GlobalAvgPool,
    /// `[c, h, w]` to `[c·h·w]`.
    Flatten,
    /// x + f(x)
    Residual(Vec<Node>),
}

impl Op {
    /// What is counted of it.
    fn operation(&self) -> &dyn Operation {
        match self {
            Self::Embed(tables) => tables,
            Self::Linear(op) => op,
            Self::Conv2d(op) => op,
            Self::BatchNorm(op) => op,
            Self::Activation(op) => op,
            Self::Dropout(op) => op,
            Self::MaxPool2d(op) => op,
            Self::AvgPool2d(op) => op,
            Self::GlobalAvgPool => &GlobalAvgPool,
            Self::Flatten => &Flatten,
            Self::Residual(branch) => branch,
        }
    }
}

/// A residual counts as its branch.
impl Operation for Vec<Node> {
    fn parameters(&self) -> u64 {
        self.iter().map(Node::parameters).fold(0, u64::saturating_add)
    }

    fn operations(&self, _: &[u64]) -> u64 {
        self.iter().map(Node::operations).fold(0, u64::saturating_add)
    }
}

impl Op {
    /// The layer that a document names, where it meets rows: the list of all that can be named. `None` for a residual, which is
    /// a network of its own.
    pub(super) fn named(layer: &Layer, place: &Place<'_>) -> Option<Placed<Self>> {
        /// Wraps what was placed.
        fn wrap<T>(op: impl FnOnce(T) -> Op, placed: Placed<T>) -> Option<Placed<Op>> {
            Some(placed.map(|(layer, output)| (op(layer), output)))
        }
        let pointwise = |activation| Some(Ok((Self::Activation(activation), place.shape.to_vec())));
        match layer {
            Layer::Linear(options) => wrap(Self::Linear, linear::place(options, place)),
            Layer::Conv2d(options) => wrap(Self::Conv2d, conv2d::place(options, place)),
            Layer::BatchNorm(options) => wrap(Self::BatchNorm, batch_norm::place(options, place)),
            Layer::Dropout(options) => wrap(Self::Dropout, dropout::place(options, place)),
            Layer::MaxPool2d(options) => wrap(Self::MaxPool2d, max_pool2d::place(options, place)),
            Layer::AvgPool2d(options) => wrap(Self::AvgPool2d, avg_pool2d::place(options, place)),
            Layer::GlobalAvgPool => wrap(|_| Self::GlobalAvgPool, global_avg_pool::place(place)),
            Layer::Flatten => wrap(|_| Self::Flatten, flatten::place(place)),
            Layer::Relu => pointwise(Activation::Relu),
            Layer::Gelu => pointwise(Activation::Gelu),
            Layer::Silu => pointwise(Activation::Silu),
            Layer::Tanh => pointwise(Activation::Tanh),
            Layer::Sigmoid => pointwise(Activation::Sigmoid),
            Layer::Residual(_) => None,
        }
    }
}

impl Node {
    /// Number of trained parameters, those of a residual branch included.
    pub fn parameters(&self) -> u64 {
        self.op.operation().parameters()
    }

    /// Multiply-adds for one row; see [`Network::operations`].
    pub fn operations(&self) -> u64 {
        self.op.operation().operations(&self.output)
    }
}
