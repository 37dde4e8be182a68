//! Remote sources: behind a URL, in an object store, in a database.
//!
//! The content of such a source is not known without fetching it, so the key holds its *state*: the
//! entity tags and sizes that the server gives, or else the time at which it was asked. The state
//! is written to a small file in the store (`remotes-v1/<digest of the source>.json`), which
//! represents the source from then on:
//!
//! - it is digested like any file;
//! - `plan` and `status` read it without a network;
//! - the worker reads from it which state to fetch;
//! - a source that changes while it is fetched is an input that changed while the stage ran.
//!
//! | the server gives | when the state counts as new |
//! |---|---|
//! | entity tags or modification times | when they differ from last time |
//! | nothing, and asking again is costly (a database) | when the user says so: `pipeline run --refresh` |
//! | nothing | at every run |

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use cache::Fold;
use cache::{Digest, Store};
use contract::fault::Fault;
use contract::remote::{Freshness, Look, Seen, id, shown};

/// The file that represents a source.
pub fn stand_in(store: &Store, path: &str) -> PathBuf {
    store.folder().join("remotes-v1").join(format!("{}.json", id(path)))
}

/// The digest of a source that no run has looked at. No record has it in its key.
pub(crate) fn unseen(path: &str) -> Digest {
    Fold::new("pipeline remote source never seen v1").text("path", path).finish()
}

/// Remembers what a look found, in the run of this name. `refresh` makes any state a new one.
///
/// # Errors
/// A store that cannot be written.
pub(crate) fn remember(store: &Store, path: &str, look: &Look, run: &str, refresh: bool) -> Result<(), Fault> {
    let file = stand_in(store, path);
    let before = Seen::read(&file);
    let same = before.as_ref().is_some_and(|before| before.state == look.state);
    let taken = match (look.freshness, &before) {
        _ if refresh => Some(run.to_owned()),
        (Freshness::Tells, Some(before)) if same => before.taken.clone(),
        (Freshness::Tells, _) => None,
        (Freshness::Pinned, Some(before)) if same && before.taken.is_some() => before.taken.clone(),
        (Freshness::Pinned | Freshness::Unknown, _) => Some(run.to_owned()),
    };
    let seen = Seen { source: shown(path).to_owned(), id: id(path).to_string(), state: look.state.clone(), taken };
    if before.as_ref() == Some(&seen) {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let beside = folder.join(format!("{}.{}", id(path), std::process::id()));
        let mut out = fs::File::create(&beside)?;
        out.write_all(&serde_json::to_vec(&seen)?)?;
        fs::rename(&beside, &file)
    };
    write().map_err(|error| {
        Fault::error(
            contract::code!("store::remote"),
            format!("what was seen of `{}` cannot be kept: {error}", shown(path)),
        )
        .help("check the disk that holds `.pipeline`")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(freshness: Freshness, state: &str) -> Look {
        Look { role: "data".into(), state: json!({ "etag": state }), freshness }
    }

    #[test]
    fn a_state_is_new_when_it_says_so_or_the_user_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let path = "https://host/a.csv?token=secret";
        let after = |freshness, state: &str, run: &str, refresh| {
            remember(&store, path, &look(freshness, state), run, refresh).unwrap();
            let text = fs::read_to_string(stand_in(&store, path)).unwrap();
            assert!(!text.contains("secret"), "{text}");
            text
        };
        let first = after(Freshness::Tells, "a", "1", false);
        assert_eq!(after(Freshness::Tells, "a", "2", false), first);
        let second = after(Freshness::Tells, "b", "3", false);
        assert_ne!(second, first);
        assert_eq!(after(Freshness::Tells, "a", "4", false), first, "what came back is known");
        let refreshed = after(Freshness::Tells, "a", "5", true);
        assert_ne!(refreshed, first);
        assert_eq!(after(Freshness::Tells, "a", "6", false), refreshed, "and stays");
        let pinned = after(Freshness::Pinned, "p", "7", false);
        assert_eq!(after(Freshness::Pinned, "p", "8", false), pinned);
        assert_ne!(after(Freshness::Pinned, "p", "9", true), pinned);
        let unknown = after(Freshness::Unknown, "u", "10", false);
        assert_ne!(after(Freshness::Unknown, "u", "11", false), unknown);
    }
}
