//! Copies of stored content at a path that a person or a program wants.
//!
//! From [`MIN_LINKED_BYTES`] on, the copy is a reflink if the file system has them: instant,
//! independent and writable. Without reflinks it is a hard link: instant, read-only, the same file
//! as the blob. An edit through the link damages the blob, which [`Store::check`] finds, and the
//! stage then runs again. Smaller files, and executable ones without reflinks, are writable copies.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::objects::blob::{MIN_SYNCED_BYTES, executable};
use crate::objects::remove::remove_all;
use crate::objects::tree::Entry;
use crate::store::layout;
use crate::{Blob, Digest, Store, StoreError, fault};

/// Smallest file, in bytes, that is linked. Smaller ones are copied, which is cheap, and their
/// copies can be edited.
const MIN_LINKED_BYTES: u64 = MIN_SYNCED_BYTES;

impl Store {
    /// Makes `to` hold the blob's content in one step. Equal content stays untouched, anything else
    /// is replaced. Folders above it are made.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the blob is missing or damaged; `to` is untouched then.
    pub fn materialise(&self, blob: &Blob, to: &Path) -> Result<(), StoreError> {
        if self.holds(blob, to) {
            return Ok(());
        }
        if !self.check(blob)? {
            return Err(StoreError::Damaged { digest: blob.digest });
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let created = fault::point("materialise.folder")
            .and_then(|()| if folder.is_dir() { Ok(()) } else { fs::create_dir_all(folder) });
        created.map_err(|source| StoreError::io(folder, "create folder", source))?;
        // The copy is made under `tmp/` if it can be renamed from there. What a killed process
        // leaves is swept there, and a program that lists the project's folder never sees it.
        let near = fs::metadata(folder).is_ok_and(|meta| meta.dev() == self.device);
        let beside = match self.temporary() {
            Ok(temporary) if near => temporary,
            _ => {
                let name = to.file_name().unwrap_or_default().to_string_lossy();
                folder.join(format!(".{name}.{}", layout::fresh_name()))
            }
        };
        let copied = if blob.tree {
            self.make_folder(&blob.digest, &beside)
        } else {
            self.make_file(&blob.digest, blob.size, blob.executable, &beside)
        };
        copied.and_then(|()| replace(&beside, to)).inspect_err(|_| {
            let _ = remove_all(&beside);
        })
    }

    /// Puts a copy of a file back at the path from which it has just been [adopted](Store::adopt),
    /// if nothing is there now. False when something is, or when it cannot be done in one step.
    /// [`Store::materialise`] handles those cases.
    pub fn put_back(&self, blob: &Blob, to: &Path) -> bool {
        if blob.tree || !self.keeping.load(Ordering::Relaxed) {
            return false;
        }
        let Ok(beside) = self.temporary() else { return false };
        let copied = self.make_file(&blob.digest, blob.size, blob.executable, &beside).is_ok()
            && fault::point("materialise.place").is_ok();
        match copied.then(|| renameat_with(CWD, &beside, CWD, to, RenameFlags::NOREPLACE)) {
            Some(Ok(())) => return true,
            // The file system cannot do this, or `tmp/` is on another one. This process does not
            // try again.
            Some(Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV)) => {
                self.keeping.store(false, Ordering::Relaxed);
            }
            // Something is at the path after all, or the long way will report what is wrong.
            Some(Err(_)) | None => {}
        }
        let _ = remove_all(&beside);
        false
    }

    /// Whether the file or folder at `to` is already a copy of the blob.
    pub fn holds(&self, blob: &Blob, to: &Path) -> bool {
        let Ok(meta) = fs::symlink_metadata(to) else { return false };
        if blob.tree {
            return meta.is_dir()
                && self.file_digest(to).is_ok_and(|now| (now.digest, now.tree) == (blob.digest, true));
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
        if size >= MIN_LINKED_BYTES {
            if self.reflinks.load(Ordering::Relaxed) {
                match reflink_copy::reflink(&blob, at) {
                    // A reflink has the blob's permissions. The copy gets those of a new file.
                    Ok(()) => return with_mode(at, mode).map_err(failed),
                    // Not supported here. This process does not try again.
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

/// Gives a file the permissions of a new file with `mode`. Only making a file shows how the
/// process's mask narrows them.
fn with_mode(path: &Path, mode: u32) -> io::Result<()> {
    let probe: PathBuf = path.with_added_extension("mode");
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(&probe)?.metadata()?.permissions();
    fs::remove_file(&probe)?;
    fs::set_permissions(path, fs::Permissions::from_mode(made.mode() & 0o777))
}

/// Renames `from` to `to`, whatever is at `to`.
fn replace(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::io(to, "write", source);
    fault::point("materialise.place").map_err(failed)?;
    match fs::rename(from, to) {
        Ok(()) => Ok(()),
        // A folder in the way of a file, a file in the way of a folder, or a folder that is not
        // empty. A rename cannot replace these, so for a moment nothing is at `to`.
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
