//! Parameters of `export`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Writes a model in a format other programs read, and checks the file in an independent runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The format.
    pub format: Format,
    /// Where to put the file, relative to the pipeline's file.
    #[schemars(length(min = 1), extend("x-path" = true))]
    pub to: String,
}

/// A file format for models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The bundle itself: weights, architecture and encoders in one safetensors file.
    Safetensors,
    /// ONNX, with the encoders inside: a graph from raw columns to probabilities or a number.
    Onnx,
}
