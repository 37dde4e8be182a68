//! A constant in a document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A constant in a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number.
    Float(f64),
    /// Text.
    Text(String),
}

impl Scalar {
    /// The constant as a cell of text.
    pub fn text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(value) => value.clone(),
        }
    }

    /// How a message shows a constant.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("the text `{text}`"),
            other => format!("`{}`", other.text()),
        }
    }
}
