//! Content under its digest.
//!
//! A blob is a read-only file `blobs-v1/ab/cdef…`. It is written under a temporary name and
//! renamed, so its own name is never that of half a file.
//!
//! **How damage is found without hashing every time.** Once a blob is checked, the nanoseconds of
//! its modification time are set to a number that follows from its digest; the seconds stay true. A
//! later write to the file, through a hard link in the workspace or otherwise, moves the time. The
//! number is then right only once in a billion. So a blob with its number is undamaged as far as
//! the file system can be trusted, and a blob without it is hashed. No list of checked blobs has to
//! be kept, and none can be wrong.
//!
//! **How a power cut is survived.** Blobs of [`MIN_SYNCED_BYTES`] and more are synced before the
//! rename, which costs little beside writing them. Smaller ones are not, since ten thousand syncs
//! would take minutes. Instead, the number of a small blob also depends on the boot of the machine.
//! After a restart each is hashed at its first use, and a torn one is a miss.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::fs::{AtFlags, FileType, Timespec, Timestamps, UTIME_OMIT};
use serde::{Deserialize, Serialize};

use crate::objects::hash::hash_file;
use crate::{Digest, Store, StoreError, fault};

/// Smallest blob, in bytes, that is synced to disk.
pub(crate) const MIN_SYNCED_BYTES: u64 = 1 << 20;

/// Stored content: a file, or a folder by its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blob {
    /// The digest of the bytes; of the manifest for a folder.
    pub digest: Digest,
    /// Bytes; of all files together for a folder.
    pub size: u64,
    /// Whether this is a folder.
    #[serde(default)]
    pub tree: bool,
    /// Whether this is a file that its owner may execute. A copy of it may be executed, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

impl Store {
    /// Stores bytes.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        let digest = Digest::of(bytes);
        let size = bytes.len() as u64;
        if !self.found_again(&digest, size)? {
            let temporary = self.temporary()?;
            let write = || {
                fault::point("blob.create")?;
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&temporary)?;
                let (first, rest) = bytes.split_at(bytes.len() / 2);
                if fault::armed() {
                    file.write_all(first)?;
                    fault::point("blob.half")?;
                    file.write_all(rest)?;
                } else {
                    file.write_all(bytes)?;
                }
                seal(&file, &digest, size)
            };
            write().and_then(|()| self.place(&temporary, &digest)).map_err(|source| {
                let _ = fs::remove_file(&temporary);
                StoreError::io(&self.blob_path(&digest), "write", source)
            })?;
        }
        Ok(Blob { digest, size, tree: false, executable: false })
    }

    /// The path of a blob, which is read-only. For a folder it is that of the manifest.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.layout.blobs.join(&name[..2]).join(&name[2..])
    }

    /// Whether a blob exists and is undamaged. Hashes only files that may have been written to
    /// since they were last checked.
    pub fn check(&self, blob: &Blob) -> Result<bool, StoreError> {
        self.whole(blob, false)
    }

    /// Whether a blob exists and is undamaged. Hashes everything.
    pub fn verify(&self, blob: &Blob) -> Result<bool, StoreError> {
        self.whole(blob, true)
    }

    /// The bytes of a blob, checked against its digest.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let read = || {
            let mut bytes = Vec::new();
            File::open(&path)?.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) if Digest::of(&bytes) == *digest => Ok(bytes),
            Ok(_) => Err(StoreError::Damaged { digest: *digest }),
            Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => {
                Err(StoreError::Damaged { digest: *digest })
            }
            Err(error) => Err(StoreError::io(&path, "read", error)),
        }
    }

    fn whole(&self, blob: &Blob, always: bool) -> Result<bool, StoreError> {
        if !blob.tree {
            return self.whole_file(&blob.digest, Some(blob.size), always);
        }
        if !self.whole_file(&blob.digest, None, always)? {
            return Ok(false);
        }
        let tree = self.tree(&blob.digest)?;
        for (digest, size) in tree.files() {
            if !self.whole_file(&digest, Some(size), always)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the file of a digest exists, has this size and holds the right bytes.
    pub(crate) fn whole_file(&self, digest: &Digest, size: Option<u64>, always: bool) -> Result<bool, StoreError> {
        let path = self.blob_path(digest);
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::io(&path, "read", error)),
        };
        if !meta.is_file() || size.is_some_and(|size| size != meta.len()) {
            return Ok(false);
        }
        if !always && meta.mtime_nsec() == mark(digest, meta.len()) {
            return Ok(true);
        }
        let failed = |source| StoreError::io(&path, "read", source);
        let file = File::open(&path).map_err(failed)?;
        // The provisional mark comes first, because a write during the hashing removes it. On a
        // read-only file system it cannot be set, but there no process can write either.
        let marked = set_mark(&file, PROVISIONAL).is_ok();
        match hash_file(&file, meta.len()) {
            Ok(found) if found == *digest => {
                if marked && file.metadata().is_ok_and(|now| now.mtime_nsec() == PROVISIONAL) {
                    let _ = set_mark(&file, mark(digest, meta.len()));
                }
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    pub(crate) fn adopt_file(&self, path: &Path) -> Result<Blob, StoreError> {
        let failed = |source| StoreError::io(path, "read", source);
        let mut file = File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if meta.dev() != self.device || meta.nlink() > 1 {
            // A file on another file system cannot be renamed. A file with another name could be
            // written to through that name. Both are copied.
            let temporary = self.temporary()?;
            let mut copy = || {
                fault::point("blob.copy")?;
                let mode = if executable(&meta) { 0o700 } else { 0o600 };
                let mut to = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
                io::copy(&mut file, &mut to).map(|_| ())
            };
            let stored = copy()
                .map_err(|source| StoreError::io(&temporary, "write", source))
                .and_then(|()| self.adopt_file(&temporary));
            if stored.is_err() {
                let _ = fs::remove_file(&temporary);
            } else {
                fault::point("blob.remove_source").map_err(failed)?;
                fs::remove_file(path).map_err(|source| StoreError::io(path, "remove", source))?;
            }
            return stored;
        }
        for _ in 0..3 {
            set_mark(&file, PROVISIONAL).map_err(failed)?;
            let size = file.metadata().map_err(failed)?.len();
            let digest = match hash_file(&file, size) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                other => other.map_err(failed)?,
            };
            let after = file.metadata().map_err(failed)?;
            if after.mtime_nsec() != PROVISIONAL || after.len() != size {
                continue;
            }
            // The store may hold these bytes already. The touch in `found_again` keeps a collector
            // from removing them.
            if self.found_again(&digest, size)? {
                fs::remove_file(path).map_err(|source| StoreError::io(path, "remove", source))?;
            } else {
                let place = || {
                    fault::point("blob.adopt")?;
                    file.set_permissions(fs::Permissions::from_mode(0o444))?;
                    seal(&file, &digest, size)?;
                    self.place(path, &digest)
                };
                place().map_err(|source| StoreError::io(&self.blob_path(&digest), "write", source))?;
            }
            return Ok(Blob { digest, size, tree: false, executable: executable(&meta) });
        }
        Err(StoreError::Changing { path: path.to_owned() })
    }

    /// Renames a finished file to its name in the store.
    fn place(&self, from: &Path, digest: &Digest) -> io::Result<()> {
        let to = self.blob_path(digest);
        fault::point("blob.place")?;
        match fs::rename(from, &to) {
            // One of 256 folders, made at its first blob.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fault::point("blob.folder")?;
                fs::create_dir_all(to.parent().unwrap_or(&to))?;
                fs::rename(from, &to)
            }
            other => other,
        }
    }
}

/// Whether the blob of a digest exists with this size and its mark, looked up from the open folder
/// of blobs. False if only hashing could tell.
pub(crate) fn looks_whole(blobs: BorrowedFd<'_>, digest: &Digest, size: u64) -> bool {
    let mut path = [0_u8; 65];
    digest.write_hex(&mut path);
    // `abcdef…` becomes `ab/cdef…`.
    path.copy_within(2..64, 3);
    path[2] = b'/';
    match rustix::fs::statat(blobs, &path[..], AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && stat.st_size as u64 == size
                && i128::from(stat.st_mtime_nsec) == i128::from(mark(digest, size))
        }
        Err(_) => false,
    }
}

/// Whether its owner may execute a file.
pub(crate) fn executable(meta: &fs::Metadata) -> bool {
    meta.permissions().mode() & 0o100 != 0
}

/// The last step before the rename: marks a file as checked, and syncs it if it is large.
fn seal(file: &File, digest: &Digest, size: u64) -> io::Result<()> {
    set_mark(file, mark(digest, size))?;
    fault::point("blob.sync")?;
    if size >= MIN_SYNCED_BYTES { file.sync_data() } else { Ok(()) }
}

/// The nanoseconds of a file that is being hashed. No blob has them as its mark.
const PROVISIONAL: i64 = 999_999_937;

/// The nanoseconds of an undamaged blob; never round, so that coarse file systems do not produce
/// them.
fn mark(digest: &Digest, size: u64) -> i64 {
    static BOOT: LazyLock<u64> = LazyLock::new(|| {
        let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        word(Digest::of(&boot).as_bytes())
    });
    let mut number = word(digest.as_bytes());
    if size < MIN_SYNCED_BYTES {
        number ^= *BOOT;
    }
    (number % 999_999_000) as i64 | 1
}

fn word(bytes: &[u8; 32]) -> u64 {
    bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// Moves only the change time of a file: it writes the modification time that the file already has.
pub(crate) fn touch(file: &File) -> io::Result<()> {
    set_mark(file, file.metadata()?.mtime_nsec())
}

fn set_mark(file: &File, nanoseconds: i64) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: file.metadata()?.mtime(), tv_nsec: nanoseconds },
    };
    Ok(rustix::fs::futimens(file, &times)?)
}
