//! What was fetched, kept in the store: `downloads-v1/sha256-<digest>` under its content, and `seen-<digest>` with the digest of what a
//! state of a source (a URL and its entity tag, say) turned out to hold. Whatever is taken from here is checked first;
//! `pipeline gc` empties it.

use contract::fault::Faults;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::fault::{Outcome, kernel, unwritable};

/// The folder of downloads.
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// That of the store the scratch folder belongs to, else one in the scratch folder itself.
    pub fn beside(scratch: &Path) -> Self {
        let store = scratch.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
        Self { folder: store.unwrap_or(scratch).join("downloads-v1") }
    }

    /// The file of this content (64 hex digits). `fetch` completes the file it is given, if that is needed.
    ///
    /// # Errors
    /// Those of `fetch`, and a disk that is full or read-only.
    pub fn content(&self, sha256: &str, fetch: impl FnOnce(&Path) -> Outcome<()>) -> Outcome<PathBuf> {
        let path = self.folder.join(format!("sha256-{sha256}"));
        let there = || holds(&path, sha256).then(|| path.clone());
        self.fetched(&format!("sha256-{sha256}"), there, fetch, |part| fs::rename(part, &path).map(|()| path.clone()))
    }

    /// The file that a source held in this state. `fetch` as in [`Shelf::content`].
    ///
    /// # Errors
    /// As [`Shelf::content`].
    pub fn seen(&self, state: &impl Serialize, fetch: impl FnOnce(&Path) -> Outcome<()>) -> Outcome<PathBuf> {
        let json = serde_json::to_vec(state).map_err(|error| kernel("naming a download", &error))?;
        let name = format!("seen-{}", hex(&Sha256::digest(json)));
        let pointer = self.folder.join(&name);
        let there = || {
            let sha256 = fs::read_to_string(&pointer).ok()?;
            let path = self.folder.join(format!("sha256-{sha256}"));
            holds(&path, &sha256).then_some(path)
        };
        self.fetched(&name, there, fetch, |part| {
            let sha256 = digest(part)?;
            let path = self.folder.join(format!("sha256-{sha256}"));
            fs::rename(part, &path)?;
            let beside = self.folder.join(format!("{name}.new"));
            fs::write(&beside, &sha256)?;
            fs::rename(beside, &pointer)?;
            Ok(path)
        })
    }

    fn fetched(
        &self,
        name: &str,
        there: impl Fn() -> Option<PathBuf>,
        fetch: impl FnOnce(&Path) -> Outcome<()>,
        place: impl FnOnce(&Path) -> io::Result<PathBuf>,
    ) -> Outcome<PathBuf> {
        let write = |error: io::Error| Faults::from(unwritable(&error));
        fs::create_dir_all(&self.folder).map_err(write)?;
        if let Some(path) = there() {
            return Ok(path);
        }
        let part = self.folder.join(format!("{name}.part"));
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&part).map_err(write)?;
        // Another run may be fetching the same: then it is there when the lock is.
        lock.lock().map_err(write)?;
        if let Some(path) = there() {
            return Ok(path);
        }
        fetch(&part)?;
        place(&part).map_err(write)
    }
}

fn holds(path: &Path, sha256: &str) -> bool {
    digest(path).is_ok_and(|found| found == sha256)
}

/// SHA-256 of a file, in hex digits.
///
/// # Errors
/// A file that cannot be read.
pub fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
