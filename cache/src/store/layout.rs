//! Where things lie in a store, and the marks that say what it is.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{StoreError, fault};

/// The number in the `format` file. The buckets carry versions of their own (`blobs-v1`): a changed bucket gets a new
/// name and the old one is ignored; this number changes only when old programs must not touch the store at all.
pub(crate) const FORMAT: u32 = 1;

const FORMAT_PREFIX: &str = "pipeline store ";

const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
# This folder is a cache made by `pipeline`; backups may leave it out.\n\
# For information about cache directory tags see https://bford.info/cachedir/\n";

/// The paths of a store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub root: PathBuf,
    pub blobs: PathBuf,
    pub locks: PathBuf,
    pub tmp: PathBuf,
    pub users: PathBuf,
    pub aside: PathBuf,
}

impl Layout {
    fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            blobs: root.join("blobs-v1"),
            locks: root.join("locks-v1"),
            tmp: root.join("tmp"),
            users: root.join("users-v1"),
            aside: root.join("aside-v1"),
        }
    }

    /// Makes a store of the folder unless it is one. Several processes may do so at once.
    ///
    /// A store on a read-only file system can be opened when it is complete.
    pub(crate) fn open(root: &Path) -> Result<Self, StoreError> {
        let layout = Self::at(root);
        let marker = root.join("format");
        match fs::read_to_string(&marker) {
            Ok(text) => {
                let number = text.strip_prefix(FORMAT_PREFIX).map(str::trim);
                match number.and_then(|number| number.parse::<u32>().ok()) {
                    Some(found) if found > FORMAT => {
                        return Err(StoreError::NewerFormat {
                            path: root.to_owned(),
                            found: found.to_string(),
                            known: FORMAT,
                        });
                    }
                    Some(FORMAT) => return Ok(layout),
                    // An older or torn marker is written anew: older buckets have other names and are left alone.
                    Some(_) => {}
                    None if FORMAT_PREFIX.starts_with(text.trim_end_matches(['\0', '\n'])) => {}
                    None if text.starts_with(FORMAT_PREFIX.trim_end()) => {}
                    None => return Err(StoreError::NotAStore { path: root.to_owned() }),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(StoreError::NotAStore { path: root.to_owned() });
            }
            Err(error) => return Err(StoreError::io(&marker, "read", error)),
        }
        for folder in [&layout.root, &layout.blobs, &layout.locks, &layout.tmp] {
            let made = fault::point("layout.folder").and_then(|()| fs::create_dir_all(folder));
            made.map_err(|source| StoreError::io(folder, "create folder", source))?;
        }
        write_if_absent(&root.join("CACHEDIR.TAG"), TAG)?;
        write_if_absent(&root.join(".gitignore"), "*\n")?;
        for lock in ["lock", "collector", "collect"] {
            write_if_absent(&root.join(lock), "")?;
        }
        // The marker last: a store that has it has the rest.
        let temporary = root.join(format!("format.{}", fresh_name()));
        let write = || {
            fault::point("layout.format")?;
            let mut file = fs::File::create(&temporary)?;
            writeln!(file, "{FORMAT_PREFIX}{FORMAT}")?;
            fault::point("layout.place")?;
            fs::rename(&temporary, &marker)
        };
        if let Err(source) = write() {
            let _ = fs::remove_file(&temporary);
            return Err(StoreError::io(&marker, "write", source));
        }
        Ok(layout)
    }
}

fn write_if_absent(path: &Path, text: &str) -> Result<(), StoreError> {
    fault::point("layout.mark").map_err(|source| StoreError::io(path, "write", source))?;
    match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(|source| StoreError::io(path, "write", source)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::io(path, "write", error)),
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128)
}

/// A name no living process uses: process id, time and a counter.
pub(crate) fn fresh_name() -> String {
    static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{}-{:x}-{count}", std::process::id(), now_ns())
}
