//! Architectures and layers as written in a document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Logistic (or linear) regression.
    Linear(Linear),
    /// Fully connected layers.
    Mlp(Mlp),
    /// Convolutions, then fully connected layers. Wants one image column.
    Cnn(Cnn),
    /// Layers one by one; the output layer is added where the last one does not fit the target.
    Layers(Vec<Layer>),
}

/// A linear model has nothing to choose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {}

/// A multilayer perceptron.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mlp {
    /// Width of each hidden layer.
    #[schemars(inner(range(min = 1, max = 65536)))]
    pub hidden: Vec<u32>,
    /// After each hidden layer.
    pub activation: Activation,
    /// Probability of dropping a unit after each hidden layer.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
    /// Batch normalisation before each activation.
    pub batch_norm: bool,
}

impl Default for Mlp {
    fn default() -> Self {
        Self { hidden: vec![128, 64], activation: Activation::Relu, dropout: 0.0, batch_norm: false }
    }
}

/// A small convolutional network: blocks of convolution, normalisation, activation and 2×2 pooling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cnn {
    /// Channels of each block. A block ends with 2×2 pooling while both sides have at least 4 pixels.
    #[schemars(inner(range(min = 1, max = 8192)), length(min = 1))]
    pub channels: Vec<u32>,
    /// Side of the convolution's kernel; odd, so that the image keeps its size.
    #[schemars(range(min = 1, max = 15))]
    pub kernel: u32,
    /// Width of each hidden fully connected layer after the convolutions.
    #[schemars(inner(range(min = 1, max = 65536)))]
    pub hidden: Vec<u32>,
    /// After each convolution and each hidden layer.
    pub activation: Activation,
    /// Probability of dropping a unit before each fully connected layer.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
    /// Batch normalisation after each convolution.
    pub batch_norm: bool,
}

impl Default for Cnn {
    fn default() -> Self {
        Self {
            channels: vec![16, 32],
            kernel: 3,
            hidden: vec![64],
            activation: Activation::Relu,
            dropout: 0.0,
            batch_norm: true,
        }
    }
}

/// A pointwise non-linearity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0)
    #[default]
    Relu,
    /// x · Φ(x) (exact, with erf)
    Gelu,
    /// x · sigmoid(x)
    Silu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(−x))
    Sigmoid,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// y = x Wᵀ + b. An image that reaches it is flattened first.
    Linear(LinearLayer),
    /// Two-dimensional convolution (cross-correlation, as everywhere in the field).
    Conv2d(Conv2d),
    /// Batch normalisation over the channels.
    BatchNorm(BatchNorm),
    /// max(x, 0)
    Relu,
    /// x · Φ(x) (exact, with erf)
    Gelu,
    /// x · sigmoid(x)
    Silu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(−x))
    Sigmoid,
    /// Drops units at random while training.
    Dropout(Dropout),
    /// Largest value of each window.
    MaxPool2d(Pool2d),
    /// Mean of each window.
    AvgPool2d(Pool2d),
    /// Mean over height and width.
    GlobalAvgPool,
    /// Everything but the batch into one dimension.
    Flatten,
    /// x + f(x): the layers inside must keep the shape.
    Residual(Vec<Layer>),
}

/// Options of `linear`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearLayer {
    /// Number of outputs.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub units: u32,
    /// Whether to add b.
    #[serde(default = "yes")]
    pub bias: bool,
}

/// Options of `conv2d`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Number of output channels.
    #[schemars(range(min = 1, max = 65536))]
    pub channels: u32,
    /// Side of the kernel.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 31))]
    pub kernel: u32,
    /// Step.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 31))]
    pub stride: u32,
    /// Zeros around the image. Default: (kernel − 1) / 2, which keeps the size at stride 1.
    #[serde(default)]
    #[schemars(range(max = 31))]
    pub padding: Option<u32>,
    /// Whether to add b.
    #[serde(default = "yes")]
    pub bias: bool,
}

/// Options of `batch_norm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchNorm {
    /// Weight of the newest batch in the running statistics.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub momentum: f64,
    /// Added to the variance.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { momentum: 0.1, eps: 1e-5 }
    }
}

/// Options of `dropout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dropout {
    /// Probability of dropping a unit.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub p: f64,
}

impl Default for Dropout {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

/// Options of pooling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pool2d {
    /// Side of the window.
    #[schemars(range(min = 1, max = 64))]
    pub size: u32,
    /// Step; the window's side by default.
    #[schemars(range(min = 1, max = 64))]
    pub stride: Option<u32>,
}

impl Default for Pool2d {
    fn default() -> Self {
        Self { size: 2, stride: None }
    }
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn three() -> u32 {
    3
}
