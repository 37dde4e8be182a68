//! The results that stay in the store whatever its limit.

use std::collections::{HashMap, HashSet};

use cache::{DigestSet, Store};

use crate::session::{Failure, Project};

/// The keys that stay whatever the limit: those of the lock files beside the store, and of the newest `runs` runs of each pipeline.
/// What runs that go on have made or used stays by itself.
///
/// # Errors
/// A store that cannot be read.
pub fn pins(project: &Project, store: &Store, runs: usize) -> Result<DigestSet, Failure> {
    let mut pins = DigestSet::default();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let newest = |run: &serde_json::Value| {
        let count = seen.entry(run["pipeline"].as_str().unwrap_or_default().to_owned()).or_default();
        *count += 1;
        *count <= runs
    };
    for (_, run) in store.runs_where(usize::MAX, newest)? {
        let stages = run["stages"].as_array().into_iter().flatten();
        pins.extend(stages.filter_map(|stage| stage["key"].as_str()?.parse::<cache::Digest>().ok()));
    }
    // Whatever is written there that is the key of a record is one that it names, also amid the marks of a merge.
    for entry in std::fs::read_dir(&project.root).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|suffix| suffix == "lock")
            && let Ok(text) = std::fs::read_to_string(path)
        {
            pins.extend(digests(&text));
        }
    }
    Ok(pins)
}

/// The hexadecimal digests of 64 digits in a text.
pub fn digests(text: &str) -> HashSet<cache::Digest> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_in_any_text() {
        let key = "ab".repeat(32);
        let text =
            format!("stages:\n  a: {{ key: \"{key}\", output: {} }}\n  b: {}\n", "cd".repeat(31), "g".repeat(64));
        assert_eq!(digests(&text), HashSet::from([key.parse().expect("a digest")]));
    }
}
