//! Sources that lie elsewhere, as kinds and workers see them: their spelling, and the states a worker finds them in.

use std::fs;
use std::path::Path;

use fold::{Digest, Fold};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How the paths of sources that lie elsewhere begin.
const SCHEMES: [&str; 4] = ["http://", "https://", "s3://", "postgres://"];
/// The question of a run: in which state are the sources of this stage?
pub const LOOK: &str = "look";

/// Whether a path names a source that lies elsewhere. What follows a `#` in it belongs to the source and is not shown.
pub fn is_remote(path: &str) -> bool {
    SCHEMES.iter().any(|scheme| path.starts_with(scheme))
}

/// A remote path as messages show it: without a query or a fragment, which may hold a secret.
pub fn shown(path: &str) -> &str {
    let end = if path.starts_with("s3://") { path.find('#') } else { path.find(['?', '#']) };
    &path[..end.unwrap_or(path.len())]
}

/// What a worker found when it looked at one source. The answer to [`LOOK`] has one for every remote file of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// As in [`crate::kind::FileInput::role`].
    pub role: String,
    /// What tells one state from another; no secrets.
    pub state: Value,
    /// How much the state tells.
    pub freshness: Freshness,
}

/// How much a state tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// A change of the content changes it.
    Tells,
    /// Nothing; what was fetched is good until the user asks again.
    Pinned,
    /// Nothing; the content must be fetched to be known.
    Unknown,
}

/// What the store remembers of a source: the content of the file that stands for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// As messages show it.
    pub source: String,
    /// Digest of the whole path: tells sources apart that are shown alike.
    pub id: String,
    /// As in [`Look::state`].
    pub state: Value,
    /// The run that asked for it anew, where the state does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
}

impl Seen {
    /// What the store remembers of a source, in the file that stands for it.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

/// What stands for a remote path where it may not be shown.
pub fn id(path: &str) -> Digest {
    Fold::new("pipeline remote source v1").text("path", path).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("https://host/a.csv?token=x#y"), "https://host/a.csv");
        assert_eq!(shown("s3://bucket/a?.csv#endpoint=http://x"), "s3://bucket/a?.csv");
        assert_eq!(shown("postgres://u@h:1/d#select 1"), "postgres://u@h:1/d");
        assert!(is_remote("s3://b/k") && !is_remote("data/a.csv") && !is_remote("/s3:/x"));
    }
}
