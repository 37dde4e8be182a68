//! Parameters of `compress`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Makes a trained model smaller and faster, and says what it cost.
///
/// The report shows bytes, parameters, measured latency and accuracy before and after, and the honest control: a
/// net of the same size trained from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compress {
    /// Remove whole channels and units.
    #[serde(default)]
    pub prune: Option<Prune>,
    /// Compute with whole numbers.
    #[serde(default)]
    pub quantize: Option<Quantize>,
    /// What may be lost; the stage fails when it cannot be kept.
    #[serde(default)]
    pub budget: Option<Budget>,
    /// Also train a net of the same size from scratch, to compare.
    #[serde(default = "yes")]
    pub control: bool,
}

/// Structured pruning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// Share of the channels and units to remove.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 0.95))]
    pub structured: f64,
    /// How units are ranked.
    #[serde(default)]
    pub criterion: Criterion,
    /// Remove in this many rounds, with fine-tuning after each.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 20))]
    pub rounds: u32,
    /// Training after each removal.
    #[serde(default)]
    pub finetune: Finetune,
}

/// How units are ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// Norm of all weights that go with a unit (best with fine-tuning).
    #[default]
    L2,
    /// |activation × gradient| on calibration rows (best without).
    Taylor,
}

/// Training after pruning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Finetune {
    /// Times the calibration part is seen.
    #[schemars(range(max = 1_000_000))]
    pub epochs: u32,
    /// Learning rate (cosine down to 0). Default: a third of the rate the model was trained with.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: Option<f64>,
}

impl Default for Finetune {
    fn default() -> Self {
        Self { epochs: 10, lr: None }
    }
}

/// Quantisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quantize {
    /// Weights and activations as 8-bit integers.
    Int8(Int8),
}

/// How activations are scaled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Int8 {
    /// Ranges measured once on calibration rows.
    #[default]
    Static,
    /// Ranges measured for every batch while serving.
    Dynamic,
}

/// What may be lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Largest drop of accuracy (classification) or of R² (regression) on `check`: 0.01 is one point.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub accuracy_drop: Option<f64>,
    /// Largest size of the result, in bytes.
    #[schemars(range(min = 1))]
    pub bytes: Option<u64>,
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}
