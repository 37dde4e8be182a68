//! Parameters of `train`.

use contract::artifact::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::params::encoder::{
    Embedding, EncodedFeature, Encoder, Feature, Hashed, Periodic, Piecewise, Quantile, TargetMean, TfIdf, Token,
};
use crate::params::network::Model;

/// Trains a model on the training part. Encoders are fitted on it, too, and travel inside the model, so that a
/// served model takes raw rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The column to predict. Default: the column with the role `target`.
    #[serde(default)]
    pub target: Option<String>,
    /// What the model sees: columns or patterns, with their encoders. An entry that names a column again changes its encoder;
    /// a pattern never takes the target. Default: every other column, encoded by its type.
    #[serde(default)]
    pub features: Option<Vec<Feature>>,
    /// Default: classification when the target is text, true/false or a whole number of at most 100 values, else regression.
    #[serde(default)]
    pub task: Option<Task>,
    /// What to train. Default: `cnn` for one image column, else `mlp`.
    #[serde(default)]
    pub model: Option<Model>,
    /// How weights are changed.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// What is minimised. Default: cross-entropy for classification, mean squared error for regression.
    #[serde(default)]
    pub loss: Option<Loss>,
    /// How the learning rate moves.
    #[serde(default)]
    pub schedule: Schedule,
    /// Times the whole training part is seen.
    #[serde(default = "epochs")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub epochs: u32,
    /// Rows for one step.
    #[serde(default = "batch_size")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub batch_size: u32,
    /// Gradients are scaled down to this Euclidean norm.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub gradient_clip: Option<f64>,
    /// Stop when the validation part no longer improves. Wants the input `validation`.
    #[serde(default)]
    pub early_stopping: Option<EarlyStopping>,
}

/// How weights are changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent (with momentum as in Sutskever et al. 2013).
    Sgd(Sgd),
    /// Adam (Kingma and Ba 2015); weight decay is L2.
    Adam(Adam),
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw(Adamw),
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adamw(Adamw::default())
    }
}

/// Options of `sgd`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sgd {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// Share of the last step kept.
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// Look ahead before the gradient is taken. Wants momentum.
    pub nesterov: bool,
    /// L2 penalty.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 0.01, momentum: 0.9, nesterov: false, weight_decay: 0.0 }
    }
}

/// Options of `adam`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Adam {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// Decay of the mean and of the mean square of gradients.
    #[schemars(inner(range(min = 0.0, max = 0.999999)))]
    pub betas: [f64; 2],
    /// Added to the denominator.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
    /// L2 penalty.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

/// Options of `adamw`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Adamw {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// Decay of the mean and of the mean square of gradients.
    #[schemars(inner(range(min = 0.0, max = 0.999999)))]
    pub betas: [f64; 2],
    /// Added to the denominator.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
    /// Share of a weight taken off at each step, times the learning rate.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for Adamw {
    fn default() -> Self {
        Self { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 }
    }
}

/// What is minimised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// −log of the probability of the right class.
    CrossEntropy(CrossEntropy),
    /// Mean squared error (of the standardised target).
    Mse(Mse),
}

/// Options of `cross_entropy`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropy {
    /// Share of the target spread evenly over all classes.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub label_smoothing: f64,
}

/// `mse` has nothing to choose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mse {}

/// How the learning rate moves over the steps of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It does not.
    Constant(Constant),
    /// Times `gamma` after every `every` epochs.
    Step(StepSchedule),
    /// Half a cosine from the learning rate down to `final` times it, after a linear warm-up.
    Cosine(Cosine),
    /// Up, then down, both by cosine (Smith 2018; the shape of PyTorch's OneCycleLR). The optimiser's rate is the peak.
    OneCycle(OneCycle),
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Constant(Constant::default())
    }
}

/// `constant` has nothing to choose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {}

/// Options of `step`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSchedule {
    /// Epochs between changes.
    #[schemars(range(min = 1))]
    pub every: u32,
    /// Factor.
    #[serde(default = "tenth")]
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1.0))]
    pub gamma: f64,
}

/// Options of `cosine`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cosine {
    /// Epochs of linear warm-up.
    #[schemars(range(min = 0.0))]
    pub warmup: f64,
    /// Share of the learning rate left at the end.
    #[serde(rename = "final")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub last: f64,
}

/// Options of `one_cycle`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OneCycle {
    /// Share of the steps spent going up.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub warmup: f64,
    /// The peak is this many times the first learning rate.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub start_divisor: f64,
    /// The first learning rate is this many times the last.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub final_divisor: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self { warmup: 0.3, start_divisor: 25.0, final_divisor: 1e4 }
    }
}

/// Options of `early_stopping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStopping {
    /// Epochs without improvement before training stops.
    #[schemars(range(min = 1))]
    pub patience: u32,
    /// What must improve on the validation part.
    pub metric: StoppingMetric,
    /// Less than this is no improvement.
    #[schemars(range(min = 0.0))]
    pub min_delta: f64,
    /// Whether the model keeps the weights of its best epoch.
    pub restore_best: bool,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { patience: 5, metric: StoppingMetric::Loss, min_delta: 0.0, restore_best: true }
    }
}

/// What early stopping watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoppingMetric {
    /// The loss (lower is better).
    #[default]
    Loss,
    /// The share of right classes (higher is better).
    Accuracy,
}

fn epochs() -> u32 {
    20
}

fn batch_size() -> u32 {
    64
}

fn tenth() -> f64 {
    0.1
}
