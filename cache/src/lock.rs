//! Kernel locks: they go with the process that holds them, however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Digest, Store, StoreError, fault};

/// The right to work on one key, until dropped or until the process ends.
#[derive(Debug)]
pub struct KeyLock {
    path: PathBuf,
    // Held by being open.
    _file: File,
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // Unlinked while held: whoever waits on this file finds it gone and takes a new one.
        if fault::point("lock.remove").is_ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Store {
    /// Waits until nobody else works on this key, in this or another process, and takes it.
    ///
    /// Blocks the thread. See [`Store::lock_holder`] for whom it waits.
    pub fn lock_key(&self, key: &Digest) -> Result<KeyLock, StoreError> {
        let path = self.layout.locks.join(key.to_string());
        loop {
            let file = open(&path)?;
            file.lock().map_err(|source| StoreError::io(&path, "lock", source))?;
            if let Some(lock) = claim(&path, file)? {
                return Ok(lock);
            }
        }
    }

    /// Takes this key if nobody else works on it.
    pub fn try_lock_key(&self, key: &Digest) -> Result<Option<KeyLock>, StoreError> {
        let path = self.layout.locks.join(key.to_string());
        loop {
            let file = open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(StoreError::io(&path, "lock", source)),
            }
            if let Some(lock) = claim(&path, file)? {
                return Ok(Some(lock));
            }
        }
    }

    /// The id of the process that works on this key, as far as it can be told.
    pub fn lock_holder(&self, key: &Digest) -> Option<u32> {
        fs::read_to_string(self.layout.locks.join(key.to_string())).ok()?.trim().parse().ok()
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    fault::point("lock.open").map_err(|source| StoreError::io(path, "open", source))?;
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            fs::create_dir_all(folder).map_err(|source| StoreError::io(folder, "create folder", source))?;
            open()
        }
        other => other,
    }
    .map_err(|source| StoreError::io(path, "open", source))
}

/// The lock counts only when the file is still the one under its name: the last holder has removed it otherwise.
fn claim(path: &Path, mut file: File) -> Result<Option<KeyLock>, StoreError> {
    let failed = |source| StoreError::io(path, "lock", source);
    let ours = file.metadata().map_err(failed)?;
    match fs::metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {
            // Only for people; a full disk does not matter here.
            let _ = fault::point("lock.name");
            let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            Ok(Some(KeyLock { path: path.to_owned(), _file: file }))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
