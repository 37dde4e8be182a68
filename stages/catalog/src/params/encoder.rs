//! How a column becomes numbers that a model sees.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::params::shape::OneOrMany;

/// A column pattern, or a pattern with its encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Feature {
    /// A name or a pattern with `*`; encoded by its type.
    Pattern(String),
    /// Names or patterns, encoded as said.
    Encoded(EncodedFeature),
}

/// Columns and how they become numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncodedFeature {
    /// Names or patterns with `*`.
    pub columns: OneOrMany<String>,
    /// The encoder.
    #[serde(default)]
    pub encode: Encoder,
}

/// How a column becomes numbers. Everything an encoder learns, it learns from the training part.
///
/// A missing cell of a number, a date or a category sets an indicator of its own when the training part has missing cells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoder {
    /// `standard` for numbers and tensors, `one_hot` for text and true/false, `cyclic` for dates.
    #[default]
    Auto,
    /// As it is; missing cells become 0.
    Identity,
    /// (x − mean) / standard deviation; missing cells become the mean and set an indicator. A tensor column has one mean and
    /// one deviation for each channel.
    Standard,
    /// (x − median) / (75 % − 25 % quantile), then the smooth clip x / √(1 + (x/3)²): outliers stay, but end at ±3
    /// (Holzmüller et al. 2024, RealMLP).
    Robust,
    /// The number's rank among the training part, as a normal deviate: any distribution becomes a normal one.
    Quantile(Quantile),
    /// How far the number has come through each of some bins between quantiles: 0 before, 1 behind, a share inside
    /// (piecewise-linear encoding, Gorishniy et al. 2022).
    Piecewise(Piecewise),
    /// The number and cosines of it at random frequencies (random Fourier features, Rahimi and Recht 2007).
    Periodic(Periodic),
    /// One indicator for each value seen in training, plus one for missing cells when there are any; values never seen set none.
    OneHot,
    /// A vector for each value seen in training, learned with the model's weights (entity embeddings, Guo and Berkhahn 2016): for
    /// columns with many values. Values never seen get the mean of the training part's vectors. Missing cells have a vector of
    /// their own, learned like the others, when the training part has missing cells; else they count as never seen.
    Embedding(Embedding),
    /// ±1 in one of a fixed number of places, chosen by a hash of the value: for columns with very many values, and values
    /// never seen (feature hashing, Weinberger et al. 2009).
    Hashed(Hashed),
    /// The mean of the target where the column has this value, drawn towards the overall mean where rows are few. Rows of the
    /// training part get it from other folds, so that no row tells its own answer (Micci-Barreca 2001).
    Target(TargetMean),
    /// A date as points on circles (month, day of the month, of the week and of the year, hour of a date with time) and its
    /// standardised place in time.
    Cyclic,
    /// Words or runs of characters of a text, counted in a fixed number of places chosen by hash, weighted by how rare they
    /// are in the training part, at length 1.
    TfIdf(TfIdf),
}

impl Encoder {
    /// The name after `encode:`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Identity => "identity",
            Self::Standard => "standard",
            Self::Robust => "robust",
            Self::Quantile(_) => "quantile",
            Self::Piecewise(_) => "piecewise",
            Self::Periodic(_) => "periodic",
            Self::OneHot => "one_hot",
            Self::Embedding(_) => "embedding",
            Self::Hashed(_) => "hashed",
            Self::Target(_) => "target",
            Self::Cyclic => "cyclic",
            Self::TfIdf(_) => "tf_idf",
        }
    }
}

/// Options of `quantile`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quantile {
    /// Quantiles kept, at most; values between two are interpolated.
    #[schemars(range(min = 2, max = 10_000))]
    pub quantiles: u32,
}

impl Default for Quantile {
    fn default() -> Self {
        Self { quantiles: 1000 }
    }
}

/// Options of `piecewise`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Piecewise {
    /// Bins of equal counts; fewer where quantiles are equal.
    #[schemars(range(min = 2, max = 1024))]
    pub bins: u32,
}

impl Default for Piecewise {
    fn default() -> Self {
        Self { bins: 16 }
    }
}

/// Options of `periodic`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Periodic {
    /// Cosines.
    #[schemars(range(min = 1, max = 1024))]
    pub frequencies: u32,
    /// Deviation of the normal distribution frequencies are drawn from, in waves per standard deviation of the column.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub sigma: f64,
}

impl Default for Periodic {
    fn default() -> Self {
        Self { frequencies: 16, sigma: 0.5 }
    }
}

/// Options of `embedding`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Embedding {
    /// Length of the vectors. Default: min(600, round(1.6 · n^0.56)) for n values seen in training (`emb_sz_rule` of fastai's
    /// tabular models).
    #[schemars(range(min = 1, max = 4096))]
    pub dimensions: Option<u32>,
}

impl Embedding {
    /// The length of the vectors for a column of `values` distinct values.
    pub fn dimensions(&self, values: u64) -> u64 {
        self.dimensions.map_or_else(|| ((1.6 * (values as f64).powf(0.56)).round() as u64).clamp(1, 600), u64::from)
    }
}

/// Options of `hashed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hashed {
    /// Places.
    #[schemars(range(min = 2, max = 1_048_576))]
    pub buckets: u32,
}

impl Default for Hashed {
    fn default() -> Self {
        Self { buckets: 64 }
    }
}

/// Options of `target`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TargetMean {
    /// Rows of the overall mean that are added to each value's own.
    #[schemars(range(min = 0.0))]
    pub smoothing: f64,
    /// Folds of the training part.
    #[schemars(range(min = 2, max = 100))]
    pub folds: u32,
}

impl Default for TargetMean {
    fn default() -> Self {
        Self { smoothing: 10.0, folds: 5 }
    }
}

/// Options of `tf_idf`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TfIdf {
    /// What is counted.
    pub of: Token,
    /// Shortest and longest run of words or characters.
    #[schemars(inner(range(min = 1, max = 8)))]
    pub n: [u32; 2],
    /// Places.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub buckets: u32,
}

impl Default for TfIdf {
    fn default() -> Self {
        Self { of: Token::Words, n: [1, 1], buckets: 2048 }
    }
}

/// What `tf_idf` counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Token {
    /// Letters and digits between other characters, in lower case.
    #[default]
    Words,
    /// Characters in lower case, white space as one blank.
    Characters,
}
