//! A network with every shape resolved: what training, pruning, quantisation and export share, and what a model
//! bundle holds. Pruned shapes live here, in the artifact, never in code.
//!
//! [`Network::resolve`] expands what a document says (`mlp`, `cnn`, `linear`, `layers`) into a chain of [`Node`]s.

use serde::{Deserialize, Serialize};

use crate::params::network::Activation;

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

/// What a layer computes. Tensor shapes: `linear.weight [outputs, inputs]`, `conv2d.weight [out, in, k, k]`,
/// `batch_norm.{weight, bias, running_mean, running_var} [channels]`, `embed.<n>.weight [values, dimensions]` for the table n.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Looks vectors up: where a row holds the index of a value, the value's vector comes out, in its place among the other
    /// numbers, which come out as they are. Always the first node of a network.
    Embed(Vec<Table>),
    /// y = x Wᵀ + b
    Linear {
        /// Width in.
        inputs: u64,
        /// Width out.
        outputs: u64,
        /// Whether there is a b.
        bias: bool,
    },
    /// Cross-correlation.
    Conv2d {
        /// Channels in.
        inputs: u64,
        /// Channels out.
        outputs: u64,
        /// Side of the kernel.
        kernel: u64,
        /// Step.
        stride: u64,
        /// Zeros on each side.
        padding: u64,
        /// Whether there is a b.
        bias: bool,
    },
    /// Batch normalisation over dimension 1.
    BatchNorm {
        /// Number of channels (or of units after a linear layer).
        channels: u64,
        /// Weight of the newest batch in the running statistics.
        momentum: f64,
        /// Added to the variance.
        eps: f64,
    },
    /// Pointwise.
    Activation(Activation),
    /// While training only.
    Dropout {
        /// Probability of dropping.
        p: f64,
    },
    /// Largest value of each window.
    MaxPool2d {
        /// Side of the window.
        size: u64,
        /// Step.
        stride: u64,
    },
    /// Mean of each window.
    AvgPool2d {
        /// Side of the window.
        size: u64,
        /// Step.
        stride: u64,
    },
    /// `[c, h, w]` to `[c]`.
    GlobalAvgPool,
    /// `[c, h, w]` to `[c·h·w]`.
    Flatten,
    /// x + f(x)
    Residual(Vec<Node>),
}

/// The vectors of one embedded column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Where in a row the index stands.
    pub position: u64,
    /// Number of vectors: indices go from 0 to one less. The first is for values never seen.
    pub values: u64,
    /// Length of a vector.
    pub dimensions: u64,
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
        self.nodes.iter().map(Node::parameters).fold(0, u64::saturating_add)
    }

    /// Multiply-adds of convolutions and linear layers for one row. The rest (batch normalisation folds into the layer
    /// before it, pointwise operations, pooling, looking vectors up) is left out, as is usual.
    pub fn operations(&self) -> u64 {
        self.nodes.iter().map(Node::operations).fold(0, u64::saturating_add)
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
        match &self.op {
            Op::Embed(tables) => {
                tables.iter().map(|table| table.values.saturating_mul(table.dimensions)).fold(0, u64::saturating_add)
            }
            Op::Linear { inputs, outputs, bias } => {
                inputs.saturating_mul(*outputs).saturating_add(if *bias { *outputs } else { 0 })
            }
            Op::Conv2d { inputs, outputs, kernel, bias, .. } => {
                product(&[*inputs, *outputs, *kernel, *kernel]).saturating_add(if *bias { *outputs } else { 0 })
            }
            Op::BatchNorm { channels, .. } => channels.saturating_mul(2),
            Op::Residual(nodes) => nodes.iter().map(Self::parameters).fold(0, u64::saturating_add),
            Op::Activation(_)
            | Op::Dropout { .. }
            | Op::MaxPool2d { .. }
            | Op::AvgPool2d { .. }
            | Op::GlobalAvgPool
            | Op::Flatten => 0,
        }
    }

    /// Multiply-adds for one row; see [`Network::operations`].
    pub fn operations(&self) -> u64 {
        match &self.op {
            Op::Linear { inputs, outputs, .. } => inputs.saturating_mul(*outputs),
            Op::Conv2d { inputs, kernel, .. } => {
                product(&[*inputs, *kernel, *kernel]).saturating_mul(product(&self.output))
            }
            Op::Residual(nodes) => nodes.iter().map(Self::operations).fold(0, u64::saturating_add),
            _ => 0,
        }
    }
}

/// Number of elements of a shape; 1 for a scalar. Saturates.
pub fn product(shape: &[u64]) -> u64 {
    shape.iter().fold(1, |product, side| product.saturating_mul(*side))
}

/// How messages show a shape: `[1, 8, 8]`.
pub fn shown(shape: &[u64]) -> String {
    let sides: Vec<String> = shape.iter().map(u64::to_string).collect();
    format!("[{}]", sides.join(", "))
}
