//! `pipeline pick`: what the small stages read parameters with.

use std::path::Path;

use contract::fault::{Fault, Faults};

use super::import::parse;
use super::scope::Scope;

/// Picks keys (`a.b.0`) out of a YAML or JSON file: a JSON object, keys sorted.
///
/// # Errors
/// A file that cannot be read, and every key that is not in it.
pub fn pick(path: &Path, keys: &[String]) -> Result<serde_json::Value, Faults> {
    let (_, node) = parse(path)?;
    let scope = node.as_ref().map(Scope::of).unwrap_or_default();
    let mut picked = serde_json::Map::new();
    let mut faults = Vec::new();
    for key in keys {
        match scope.look(key) {
            Some(value) => drop(picked.insert(key.clone(), value.to_json())),
            None => {
                let message = format!("`{}` has no key `{key}`", path.display());
                let mut fault = Fault::error(contract::code!("import::missing_key"), message);
                fault.help = scope.near(key);
                faults.push(fault);
            }
        }
    }
    picked.sort_keys();
    if faults.is_empty() { Ok(picked.into()) } else { Err(Faults::from(faults)) }
}
