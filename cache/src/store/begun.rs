//! Notes of runs that have begun and not ended, by which a killed run is found.
//!
//! A run that does work holds a locked file of its own under `begun-v1`. It removes the file once
//! its summary is written. The lock ends with the process, so a file without a lock is of a run
//! that was killed.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::{Store, StoreError};

/// Most killed runs that are remembered.
const MAX_KILLED_RUNS: usize = 100;

/// The note of a run that goes on. Dropping it removes the note.
#[derive(Debug)]
pub struct Begun {
    path: PathBuf,
    /// An open file holds the lock.
    _file: File,
}

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Notes that a run has begun. `id` is a plain name that begins with the time.
    ///
    /// # Errors
    /// When it cannot be written, or a run of this name goes on.
    pub fn run_begin(&self, id: &str, what: &Value) -> Result<Begun, StoreError> {
        let folder = self.begun_folder();
        let path = folder.join(id);
        let failed = |source| StoreError::io(&path, "write", source);
        let create = || OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = match create() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(&folder).map_err(failed)?;
                create().map_err(failed)?
            }
            file => file.map_err(failed)?,
        };
        // A new file is rarely locked: only a listing of killed runs may hold it for a moment, and
        // then the note is lost.
        file.try_lock().map_err(|error| failed(error.into()))?;
        file.write_all(&serde_json::to_vec(what).unwrap_or_default()).map_err(failed)?;
        for (old, _) in self.killed_runs().into_iter().skip(MAX_KILLED_RUNS) {
            let _ = fs::remove_file(folder.join(old));
        }
        Ok(Begun { path, _file: file })
    }

    /// Runs that began and were killed, newest first, with what was noted of them.
    pub fn killed_runs(&self) -> Vec<(String, Value)> {
        let Ok(entries) = fs::read_dir(self.begun_folder()) else { return Vec::new() };
        let mut killed: Vec<(String, Value)> = entries
            .flatten()
            .filter_map(|entry| {
                let file = File::open(entry.path()).ok()?;
                file.try_lock().ok()?;
                let what = serde_json::from_reader(&file).ok()?;
                Some((entry.file_name().into_string().ok()?, what))
            })
            .collect();
        killed.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        killed
    }

    fn begun_folder(&self) -> PathBuf {
        self.layout.root.join("begun-v1")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_that_did_not_end_is_told_and_one_that_did_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join(".pipeline")).unwrap();
        assert_eq!(store.killed_runs(), []);
        let ended = store.run_begin("20260101-1", &json!({ "n": 1 })).unwrap();
        let killed = store.run_begin("20260101-2", &json!({ "n": 2 })).unwrap();
        assert_eq!(store.killed_runs(), [], "both go on");
        assert!(store.run_begin("20260101-1", &json!({})).is_err(), "nobody waits for another run's note");
        drop(ended);
        let path = killed.path.clone();
        let text = fs::read(&path).unwrap();
        drop(killed);
        // What a killed process leaves: the file without its lock.
        fs::write(&path, text).unwrap();
        assert_eq!(store.killed_runs(), [("20260101-2".to_owned(), json!({ "n": 2 }))]);
    }
}
