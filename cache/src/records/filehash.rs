//! The digests of workspace files, remembered by their `stat`.
//!
//! A remembered digest is trusted when size, times and inode are the same *and* the file was last
//! changed clearly before it was hashed. Otherwise a write in the same tick of the clock could have
//! followed the hashing unseen. Such a file, which git calls racily clean, is hashed again.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::objects::hash::hash_file;
use crate::store::layout;
use crate::{Digest, Fold, Store, StoreError, Tree};

/// Least age of a change when its file is hashed, in nanoseconds: several ticks of the slowest
/// kernel clock.
const MIN_AGE_NS: i128 = 50_000_000;
/// The same for times in whole seconds, as file systems without finer ones give. FAT counts in
/// steps of two seconds.
const MIN_COARSE_AGE_NS: i128 = 2_100_000_000;
/// Most attempts to hash a file that changes while it is read.
const MAX_ATTEMPTS: u32 = 5;

/// The digest of a file or folder in the workspace, and what proves later that it still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest {
    /// The digest of the content; for a folder, of its manifest.
    pub digest: Digest,
    /// Size in bytes; for a folder, of all its files together.
    pub size: u64,
    /// Whether it is a folder.
    pub tree: bool,
    /// The digest of the `stat` of each file: size, times, inode and device.
    pub stamp: Digest,
    /// The same without change times. It moves when a file is written to, and not when it is
    /// renamed or linked.
    pub writing: Digest,
    /// Whether the content was last changed so recently that an equal stamp proves nothing.
    racy: bool,
}

/// The part of a file's `stat` that depends on its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    size: u64,
    modified: i128,
    changed: i128,
    inode: u64,
    device: u64,
}

impl Stat {
    pub(crate) fn of(meta: &Metadata) -> Self {
        let ns = |seconds: i64, part: i64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
        Self {
            size: meta.len(),
            modified: ns(meta.mtime(), meta.mtime_nsec()),
            changed: ns(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
            device: meta.dev(),
        }
    }

    /// The same without the change time, which moves without a write.
    fn written(&self) -> Self {
        Self { changed: 0, ..*self }
    }

    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The same from the result of the system call.
    pub(crate) fn raw(stat: &rustix::fs::Stat) -> Self {
        let ns = |seconds: i64, part: i128| i128::from(seconds) * 1_000_000_000 + part;
        Self {
            size: stat.st_size as u64,
            modified: ns(stat.st_mtime, i128::from(stat.st_mtime_nsec)),
            changed: ns(stat.st_ctime, i128::from(stat.st_ctime_nsec)),
            inode: stat.st_ino,
            device: stat.st_dev,
        }
    }

    pub(crate) fn bytes(&self) -> [u8; 56] {
        let mut bytes = [0; 56];
        bytes[..8].copy_from_slice(&self.size.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.modified.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.changed.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.inode.to_le_bytes());
        bytes[48..].copy_from_slice(&self.device.to_le_bytes());
        bytes
    }

    /// Whether a hashing that began at `hashed` may have missed a later change with the same times.
    pub(crate) fn racy(&self, hashed: i128) -> bool {
        // A time without a fraction is probably one of a file system that counts whole seconds.
        let newest = self.modified.max(self.changed);
        let tick = if newest % 1_000_000_000 == 0 { MIN_COARSE_AGE_NS } else { MIN_AGE_NS };
        newest + tick > hashed
    }
}

impl Store {
    /// The digest of a file's content, or of a folder's [manifest](Tree); links are followed to a
    /// file or folder.
    ///
    /// Hashes only files that may have changed since they were last hashed.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the path does not exist, [`StoreError::Changing`] when a file
    /// keeps changing.
    pub fn file_digest(&self, path: &Path) -> Result<FileDigest, StoreError> {
        let meta = fs::metadata(path).map_err(|source| StoreError::io(path, "read", source))?;
        if meta.is_file() {
            let (digest, stat, racy) = self.hashed(path, &meta)?;
            let (stamp, writing) = (Digest::of(&stat.bytes()), Digest::of(&stat.written().bytes()));
            return Ok(FileDigest { digest, size: stat.size, tree: false, stamp, writing, racy });
        }
        if !meta.is_dir() {
            let why = "it is neither a file nor a folder".to_owned();
            return Err(StoreError::Unstorable { path: path.to_owned(), why });
        }
        let mut stamps = Vec::new();
        let mut racy = false;
        let tree = Tree::walk(path, |path, meta| {
            let (digest, stat, fresh) = self.hashed(path, meta)?;
            stamps.push((path.to_owned(), stat));
            racy |= fresh;
            Ok((digest, stat.size))
        })?;
        let blob = tree.blob();
        stamps.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(FileDigest {
            digest: blob.digest,
            size: blob.size,
            tree: true,
            stamp: folder_stamp(path, &tree, &stamps, Stat::clone),
            writing: folder_stamp(path, &tree, &stamps, Stat::written),
            racy,
        })
    }

    /// A folder's manifest as it is now, whether it is stored or not.
    ///
    /// # Errors
    /// As [`Store::file_digest`].
    pub fn folder_now(&self, path: &Path) -> Result<Tree, StoreError> {
        Tree::walk(path, |path, meta| self.hashed(path, meta).map(|(digest, stat, _)| (digest, stat.size)))
    }

    /// Whether the content is the same, even if the file was touched or replaced since.
    pub fn still(&self, path: &Path, before: &FileDigest) -> Result<bool, StoreError> {
        // An equal stamp proves it without a look at the memo, unless the file was racily clean.
        if !before.tree && !before.racy {
            match fs::metadata(path) {
                Ok(meta) if meta.is_file() && Digest::of(&Stat::of(&meta).bytes()) == before.stamp => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(StoreError::io(path, "read", error)),
            }
        }
        match self.file_digest(path) {
            Ok(now) => Ok((now.digest, now.tree) == (before.digest, before.tree)),
            Err(StoreError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The digest of one file, from the memo or by hashing, with the stat for which it holds and
    /// whether it is racy.
    pub(crate) fn hashed(&self, path: &Path, meta: &Metadata) -> Result<(Digest, Stat, bool), StoreError> {
        let stat = Stat::of(meta);
        let key = memo_key(path)?;
        if let Some(memo) = self.filehash.get(&key)?
            && let (Some(known), Some(hashed), Some(digest)) =
                (memo.get(..56), memo.get(56..72), memo.get(72..).and_then(<[u8]>::first_chunk))
            && known == stat.bytes()
        {
            let hashed = hashed.first_chunk().map_or(0, |bytes| i128::from_le_bytes(*bytes));
            if !stat.racy(hashed) {
                return Ok((Digest::from_bytes(*digest), stat, false));
            }
        }
        let failed = |source| StoreError::io(path, "read", source);
        for _ in 0..MAX_ATTEMPTS {
            // Before the file is opened: a write after this moment must count as later than the
            // hashing.
            let begun = layout::now_ns();
            let file = File::open(path).map_err(failed)?;
            let before = Stat::of(&file.metadata().map_err(failed)?);
            let digest = match hash_file(&file, before.size) {
                // The file became shorter while it was read.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                other => other.map_err(failed)?,
            };
            // By name and not by handle: an editor may have replaced the file.
            let after = Stat::of(&fs::metadata(path).map_err(failed)?);
            if before != after {
                continue;
            }
            let mut memo = Vec::with_capacity(104);
            memo.extend_from_slice(&before.bytes());
            memo.extend_from_slice(&begun.to_le_bytes());
            memo.extend_from_slice(digest.as_bytes());
            // Without its memo the file is hashed again next time, no more.
            let _ = self.filehash.queue(&key, &memo);
            return Ok((digest, before, before.racy(begun)));
        }
        Err(StoreError::Changing { path: path.to_owned() })
    }
}

fn memo_key(path: &Path) -> Result<Digest, StoreError> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::absolute(path).map_err(|source| StoreError::io(path, "resolve", source))?;
    Ok(Fold::new("pipeline file hash memo v1").bytes("path", path.as_os_str().as_bytes()).finish())
}

fn folder_stamp(root: &Path, tree: &Tree, stamps: &[(PathBuf, Stat)], of: fn(&Stat) -> Stat) -> Digest {
    use std::os::unix::ffi::OsStrExt;
    let mut fold = Fold::new("pipeline folder stamp v1");
    // Links and empty folders have no stat here, so the manifest enters for them.
    fold.digest("manifest", &tree.blob().digest).list("files", stamps.len());
    for (path, stat) in stamps {
        let path = path.strip_prefix(root).unwrap_or(path);
        fold.bytes("path", path.as_os_str().as_bytes()).bytes("stat", &of(stat).bytes());
    }
    fold.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(modified: i128) -> Stat {
        Stat { size: 1, modified, changed: 0, inode: 1, device: 1 }
    }

    #[test]
    fn a_change_is_trusted_only_when_clearly_before_the_hashing() {
        let second = 1_000_000_000;
        assert!(stat(10 * second + 1).racy(10 * second + 1));
        assert!(stat(10 * second + 1).racy(10 * second + 40_000_000));
        assert!(!stat(10 * second + 1).racy(10 * second + 60_000_000));
        // Whole seconds: perhaps the file system has no finer ones.
        assert!(stat(10 * second).racy(12 * second));
        assert!(!stat(10 * second).racy(13 * second));
        // From the future: never.
        assert!(stat(99 * second + 1).racy(10 * second));
    }
}
