//! A network with every shape resolved: what training, pruning, quantisation and export share, and what a model
//! bundle holds. Pruned shapes live here, in the artifact, never in code.
//!
//! [`Network::resolve`] expands what a document says (`mlp`, `cnn`, `linear`, `layers`) into a chain of [`Node`]s.

use serde::{Deserialize, Serialize};

use crate::params::network::Activation;

pub mod layers;
mod place;
mod resolve;
mod shape;

pub use layers::Table;
use layers::operation::Operation;
use layers::{AvgPool2d, BatchNorm, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d};
pub use shape::{product, shown};

/// A chain of layers (with residual branches inside), every shape known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Shape of one encoded row: `[d]`, or `[channels, height, width]`.
    pub input: Vec<u64>,
    /// In order.
    pub nodes: Vec<Node>,
}

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

impl Network {
    /// The vectors it looks up before anything else; none when no column is embedded.
    pub fn tables(&self) -> &[Table] {
        match self.nodes.first() {
            Some(Node { op: Op::Embed(tables), .. }) => tables,
            _ => &[],
        }
    }

    /// Shape of one row coming out: `[outputs]`.
    pub fn output(&self) -> &[u64] {
        self.nodes.last().map_or(&self.input, |node| &node.output)
    }

    /// Number of trained parameters. Running statistics of batch normalisation are not trained and do not count.
    pub fn parameters(&self) -> u64 {
        self.nodes.parameters()
    }

    /// Multiply-adds of convolutions and linear layers for one row. The rest (batch normalisation folds into the layer
    /// before it, pointwise operations, pooling, looking vectors up) is left out, as is usual.
    pub fn operations(&self) -> u64 {
        self.nodes.operations(self.output())
    }

    /// All nodes depth first, those inside residual branches after the node that holds them.
    pub fn walk(&self) -> Vec<&Node> {
        fn visit<'a>(nodes: &'a [Node], out: &mut Vec<&'a Node>) {
            for node in nodes {
                out.push(node);
                if let Op::Residual(inner) = &node.op {
                    visit(inner, out);
                }
            }
        }
        let mut out = Vec::new();
        visit(&self.nodes, &mut out);
        out
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
