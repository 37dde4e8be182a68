//! Between JSON and typed parameters.

use engine::error::{Fault, Route};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Types parameters that have passed their schema.
///
/// # Errors
/// `parameters::invalid` with serde's message: only reached when the schema was not applied before.
pub fn decode<T: DeserializeOwned>(params: Value) -> Result<T, Vec<Fault>> {
    serde_json::from_value(params).map_err(|error| {
        vec![
            Fault::error("parameters::invalid", error.to_string())
                .help("the parameters do not have the shape that the kind's schema describes")
                .at(Route::root()),
        ]
    })
}

/// The canonical form: every default written out, keys sorted.
pub fn encode<T: Serialize>(params: &T) -> Value {
    serde_json::to_value(params).unwrap_or(Value::Null)
}

/// `Ok(value)` when there are no faults.
pub fn sound<T>(value: T, faults: Vec<Fault>) -> Result<T, Vec<Fault>> {
    if faults.is_empty() { Ok(value) } else { Err(faults) }
}

/// Whether a name can stand after the dot of a reference and in an environment variable: a letter or `_`, then letters,
/// digits, `_`.
pub fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
