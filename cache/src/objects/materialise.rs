//! Putting stored content where a person or a program wants it.
//!
//! A reflink where the file system has them: instant, independent and writable. Else, from [`LINKED`] bytes on, a hard link:
//! instant, read-only, the same file as the blob (who makes it writable and edits it damages the blob, which is found by
//! [`Store::check`] and made anew). Else, and for everything executable, a writable copy.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::objects::blob::{SYNCED, executable};
use crate::objects::remove::remove_all;
use crate::objects::tree::Entry;
use crate::store::layout;
use crate::{Blob, Digest, Store, StoreError, fault};

/// Smaller files are copied: that costs less than surprises with read-only files.
const LINKED: u64 = SYNCED;

impl Store {
    /// Makes `to` hold the blob's content, all at once. What is there already and equal stays untouched; anything else is
    /// replaced. Folders above are made.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the blob is not what it should be; `to` is untouched then.
    pub fn materialise(&self, blob: &Blob, to: &Path) -> Result<(), StoreError> {
        if self.holds(blob, to) {
            return Ok(());
        }
        if !self.check(blob)? {
            return Err(StoreError::Damaged { digest: blob.digest });
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let there = fault::point("materialise.folder")
            .and_then(|()| if folder.is_dir() { Ok(()) } else { fs::create_dir_all(folder) });
        there.map_err(|source| StoreError::io(folder, "create folder", source))?;
        // Made in the store's own folder for unfinished things where a rename leads from there to here: what a killed process leaves
        // is swept there, and nobody who reads the project's folder ever sees it.
        let near = fs::metadata(folder).is_ok_and(|meta| meta.dev() == self.device);
        let beside = match self.temporary() {
            Ok(temporary) if near => temporary,
            _ => {
                let name = to.file_name().unwrap_or_default().to_string_lossy();
                folder.join(format!(".{name}.{}", layout::fresh_name()))
            }
        };
        let made = if blob.tree {
            self.make_folder(&blob.digest, &beside)
        } else {
            self.make_file(&blob.digest, blob.size, blob.executable, &beside)
        };
        made.and_then(|()| replace(&beside, to)).inspect_err(|_| {
            let _ = remove_all(&beside);
        })
    }

    /// Puts a copy of a file back at the place from which it has just been [adopted](Store::adopt), where nothing is now. False when
    /// that is not so, or cannot be done in one step: [`Store::materialise`] is for everything.
    pub fn put_back(&self, blob: &Blob, to: &Path) -> bool {
        if blob.tree || !self.keeping.load(Ordering::Relaxed) {
            return false;
        }
        let Ok(beside) = self.temporary() else { return false };
        let made = self.make_file(&blob.digest, blob.size, blob.executable, &beside).is_ok()
            && fault::point("materialise.place").is_ok();
        match made.then(|| renameat_with(CWD, &beside, CWD, to, RenameFlags::NOREPLACE)) {
            Some(Ok(())) => return true,
            // Not on this file system, or not from one to the other: not tried again.
            Some(Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV)) => {
                self.keeping.store(false, Ordering::Relaxed);
            }
            // Something is there after all, or what is wrong is told by the long way.
            Some(Err(_)) | None => {}
        }
        let _ = remove_all(&beside);
        false
    }

    /// Whether the file or folder at `to` is a copy of the blob already.
    pub fn holds(&self, blob: &Blob, to: &Path) -> bool {
        let Ok(meta) = fs::symlink_metadata(to) else { return false };
        if blob.tree {
            return meta.is_dir()
                && self.file_digest(to).is_ok_and(|there| (there.digest, there.tree) == (blob.digest, true));
        }
        meta.is_file()
            && meta.len() == blob.size
            && (!blob.executable || executable(&meta))
            && self.hashed(to, &meta).is_ok_and(|(digest, ..)| digest == blob.digest)
    }

    fn make_folder(&self, digest: &Digest, at: &Path) -> Result<(), StoreError> {
        let make =
            |path: &Path| fs::create_dir_all(path).map_err(|source| StoreError::io(path, "create folder", source));
        make(at)?;
        for (name, entry) in &self.tree(digest)?.entries {
            let path = at.join(name);
            make(path.parent().unwrap_or(at))?;
            match entry {
                Entry::File(node) => self.make_file(&node.digest, node.size, node.executable, &path)?,
                Entry::Link(target) => {
                    std::os::unix::fs::symlink(target, &path).map_err(|source| StoreError::io(&path, "link", source))?
                }
                Entry::Empty => make(&path)?,
            }
        }
        Ok(())
    }

    fn make_file(&self, digest: &Digest, size: u64, executable: bool, at: &Path) -> Result<(), StoreError> {
        let blob = self.blob_path(digest);
        let failed = |source| StoreError::io(at, "write", source);
        fault::point("materialise.write").map_err(failed)?;
        let mode = if executable { 0o777 } else { 0o666 };
        if size >= LINKED {
            if self.reflinks.load(Ordering::Relaxed) {
                match reflink_copy::reflink(&blob, at) {
                    // With the permissions a new file has here.
                    Ok(()) => return with_mode(at, mode).map_err(failed),
                    Err(_) => self.reflinks.store(false, Ordering::Relaxed),
                }
            }
            if !executable && fs::hard_link(&blob, at).is_ok() {
                return Ok(());
            }
        }
        let copy = || {
            let mut from = fs::File::open(&blob)?;
            let mut to = OpenOptions::new().write(true).create_new(true).mode(mode).open(at)?;
            io::copy(&mut from, &mut to).map(|_| ())
        };
        copy().map_err(failed)
    }
}

/// Gives a file the permissions of one freshly made with `mode` (which the process's mask narrows).
fn with_mode(path: &Path, mode: u32) -> io::Result<()> {
    let probe: PathBuf = path.with_added_extension("mode");
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(&probe)?.metadata()?.permissions();
    fs::remove_file(&probe)?;
    fs::set_permissions(path, fs::Permissions::from_mode(made.mode() & 0o777))
}

/// Puts `from` in the place of `to`, whatever is there.
fn replace(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::io(to, "write", source);
    fault::point("materialise.place").map_err(failed)?;
    match fs::rename(from, to) {
        Ok(()) => Ok(()),
        // A folder in the way of a file, a file in the way of a folder, or a folder with something in it.
        Err(_) if fs::symlink_metadata(to).is_ok() => {
            let old = from.with_added_extension("old");
            fs::rename(to, &old).map_err(failed)?;
            let _ = fault::point("materialise.between");
            if let Err(error) = fs::rename(from, to) {
                let _ = fs::rename(&old, to);
                return Err(failed(error));
            }
            let _ = fault::point("materialise.remove_old");
            remove_all(&old).map_err(|source| StoreError::io(&old, "remove", source))
        }
        Err(error) => Err(failed(error)),
    }
}
