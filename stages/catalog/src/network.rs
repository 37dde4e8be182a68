//! A network with every shape resolved: what training, pruning, quantisation and export share, and what a model
//! bundle holds. Pruned shapes live here, in the artifact, never in code.

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
/// `batch_norm.{weight, bias, running_mean, running_var} [channels]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
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
