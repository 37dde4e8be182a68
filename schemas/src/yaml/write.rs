//! Values -> YAML, for templates and `--print-resolved`.

use serde_json::Value;

use crate::yaml::node::{Kind, Node};

/// A JSON value as YAML.
///
/// ```
/// let text = schemas::yaml::write::yaml(&serde_json::json!({ "epochs": 3, "name": "no" }));
/// // Booleans are those of YAML 1.2: `no` is text.
/// assert_eq!(text.as_deref(), Some("epochs: 3\nname: no\n"));
/// ```
pub fn yaml(value: &Value) -> Option<String> {
    serde_yaml::to_string(value).ok()
}

/// A tree as YAML, keys in the order of the document.
pub(crate) fn node(node: &Node) -> Option<String> {
    serde_yaml::to_string(&plain(node)).ok()
}

/// A tree as a value of the writer. Recursion is bounded by the parser's limit of depth.
pub(crate) fn plain(node: &Node) -> serde_yaml::Value {
    match &node.kind {
        Kind::Sequence(items) => serde_yaml::Value::Sequence(items.iter().map(plain).collect()),
        Kind::Mapping(entries) => {
            let pairs = entries.iter().map(|entry| (entry.key.text.clone().into(), plain(&entry.value)));
            serde_yaml::Value::Mapping(pairs.collect())
        }
        Kind::Null | Kind::Unknown => serde_yaml::Value::Null,
        Kind::Bool(value) => (*value).into(),
        Kind::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
            (Ok(value), _) => value.into(),
            (_, Ok(value)) => value.into(),
            _ => (*value as f64).into(),
        },
        Kind::Float(value) => (*value).into(),
        Kind::Text(text) | Kind::Untyped(text) => text.as_str().into(),
    }
}
