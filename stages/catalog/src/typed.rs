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

/// The fault of an output path that is absolute, leaves the project or is no file name.
pub fn output_path(path: &str, code: &str) -> Option<Fault> {
    let windows_drive = path.as_bytes().get(1) == Some(&b':');
    let message = if path.trim().is_empty() {
        "an output's path is empty".to_owned()
    } else if path.starts_with(['/', '\\', '~']) || windows_drive {
        format!("`{path}` is not relative to the pipeline's folder")
    } else if path.split(['/', '\\']).any(|part| part == "..") {
        format!("`{path}` leaves the pipeline's folder")
    } else if path.split('/').all(|part| part.is_empty() || part == ".") {
        format!("`{path}` is the pipeline's folder itself")
    } else if path.split('/').next() == Some(".pipeline") {
        format!("`{path}` is inside the store")
    } else {
        return None;
    };
    Some(Fault::error(code, message).help("name a path inside the pipeline's folder, such as `out/model.onnx`"))
}
