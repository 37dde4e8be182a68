//! Kernel locks. They end with the process that holds them, however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Digest, Store, StoreError, fault};

/// The right to work on one key, until dropped or until the process ends.
#[derive(Debug)]
pub struct KeyLock {
    /// The file to remove on drop; `None` when it stays for the next holder.
    path: Option<PathBuf>,
    /// An open file holds the lock.
    file: File,
}

impl KeyLock {
    /// Turns an exclusive lock into a shared one. The kernel may do that in two steps. False when
    /// another process took the lock in between; then it is not held at all.
    pub fn share(&self) -> bool {
        self.file.try_lock_shared().is_ok()
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // Removed while the lock is held: a process that waits on this file finds that the name has
        // another file, and starts over.
        if let Some(path) = &self.path
            && fault::point("lock.remove").is_ok()
        {
            let _ = fs::remove_file(path);
        }
    }
}

impl Store {
    /// Waits for the lock of this key, which this or another process may hold, and takes it.
    ///
    /// Blocks the thread. [`Store::lock_holder`] names the process that holds it.
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

    /// Takes the lock of this key if it is free.
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

    /// As [`Store::try_lock_key`], for a limited number of names that are locked again and again,
    /// such as the paths of a project: the file stays. To make and remove a file for every stage
    /// was the largest cost of a large run on ext4. It does not reuse an inode that was freed in
    /// the last seconds, and searches past all of them.
    pub fn try_lock_name(&self, name: &Digest) -> Result<Option<KeyLock>, StoreError> {
        self.try_name(name, File::try_lock)
    }

    /// As [`Store::try_lock_name`], shared with other holders that share it.
    pub fn try_share_name(&self, name: &Digest) -> Result<Option<KeyLock>, StoreError> {
        self.try_name(name, File::try_lock_shared)
    }

    fn try_name(
        &self,
        name: &Digest,
        take: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<KeyLock>, StoreError> {
        let path = self.layout.locks.join(name.to_string());
        loop {
            let file = open(&path)?;
            match take(&file) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(StoreError::io(&path, "lock", source)),
            }
            if is_at(&path, &file)? {
                return Ok(Some(KeyLock { path: None, file }));
            }
        }
    }

    /// The id of the process that holds the lock of this key or name, if it can be found out.
    pub fn lock_holder(&self, key: &Digest) -> Option<u32> {
        let path = self.layout.locks.join(key.to_string());
        let written = fs::read_to_string(&path).ok()?.trim().parse().ok();
        written.or_else(|| kernel_holder(fs::metadata(&path).ok()?.ino()))
    }
}

/// Removes the lock files that no process holds. This takes each lock for a moment, so that it is
/// the holder that removes the file. A process that opened the file in between finds that the name
/// has another file, and starts over.
pub(crate) fn forget_free(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_ok() && is_at(&path, &file).is_ok_and(|same| same) {
            let _ = fs::remove_file(&path);
        }
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

/// The holder of a lock on this file, from the kernel's list: `1: FLOCK  ADVISORY  WRITE 4711
/// fe:00:123456 0 EOF`.
fn kernel_holder(inode: u64) -> Option<u32> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let end = format!(":{inode}");
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The line of a waiting process has an arrow before `FLOCK`, so it does not match.
        let [_, "FLOCK", _, _, process, file, ..] = fields[..] else { return None };
        file.ends_with(&end).then(|| process.parse().ok()).flatten().filter(|process| *process > 0)
    })
}

/// Takes the lock only if the file is still the one under its name. Otherwise the last holder has
/// removed it.
fn claim(path: &Path, mut file: File) -> Result<Option<KeyLock>, StoreError> {
    if !is_at(path, &file)? {
        return Ok(None);
    }
    // The process id is for messages only, so a full disk does not matter here.
    let _ = fault::point("lock.name");
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Some(KeyLock { path: Some(path.to_owned()), file }))
}

/// Whether a file is the one under this name.
fn is_at(path: &Path, file: &File) -> Result<bool, StoreError> {
    let failed = |source| StoreError::io(path, "lock", source);
    let ours = file.metadata().map_err(failed)?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(error)),
    }
}
