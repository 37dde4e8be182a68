//! Files in the way of an output: they are removed if the store could give them back, and set aside
//! otherwise.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::objects::remove::remove_all;
use crate::records::filehash::Stat;
use crate::store::layout;
use crate::{Digest, Fold, Store, StoreError, Tree, fault};

/// Shortest time that a file stays set aside: a week.
const MIN_ASIDE: Duration = Duration::from_secs(7 * 24 * 3600);

impl Store {
    /// Makes room at a path of the project. Content that the store could give back is removed,
    /// anything else is [set aside](Store::set_aside). Returns the new path in that case.
    ///
    /// # Errors
    /// When it can neither be removed nor moved.
    pub fn clear(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match self.set_aside(path)? {
            Some(aside) => Ok(Some(aside)),
            None => remove_all(path).map(|()| None),
        }
    }

    /// Moves what is at a path of the project into `aside-v1`, unless the store could give it back.
    /// Returns the new path.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(meta) if self.could_give(path, &meta) => return Ok(None),
            _ => {}
        }
        let folder = self.layout.aside.join(layout::fresh_name());
        fault::point("aside.folder")?;
        fs::create_dir_all(&folder)?;
        let to = folder.join(path.file_name().unwrap_or_default());
        fault::point("aside.move")?;
        match fs::rename(path, &to) {
            // On another file system it stays beside its old place.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                let _ = fs::remove_dir(&folder);
                let to = path.with_added_extension(format!("aside-{}", layout::fresh_name()));
                fs::rename(path, &to).map(|()| Some(to))
            }
            other => other.map(|()| Some(to)),
        }
    }

    /// Notes that a failed program left what is at a path now. As long as it is not touched,
    /// [`Store::set_aside`] lets it be removed. Without the note it is set aside, no more.
    pub fn leave(&self, path: &Path) {
        let note = |path: &Path, meta: &fs::Metadata| -> Result<(Digest, u64), StoreError> {
            self.filehash.queue(&left_key(path), &Stat::of(meta).bytes())?;
            Ok((Digest::from_bytes([0; 32]), meta.len()))
        };
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => drop(Tree::walk(path, note)),
            Ok(meta) if meta.is_file() => drop(note(path, &meta)),
            _ => {}
        }
    }

    fn is_left(&self, path: &Path, meta: &fs::Metadata) -> bool {
        matches!(self.filehash.get(&left_key(path)), Ok(Some(noted)) if noted == Stat::of(meta).bytes())
    }

    /// Whether removing this loses nothing: a link, an empty folder, content in the store, or what
    /// a failed program left.
    fn could_give(&self, path: &Path, meta: &fs::Metadata) -> bool {
        let stored = |path: &Path, meta: &fs::Metadata| -> Result<(Digest, u64), StoreError> {
            if self.is_left(path, meta) {
                return Ok((Digest::from_bytes([0; 32]), meta.len()));
            }
            let (digest, stat, _) = self.hashed(path, meta)?;
            match self.whole_file(&digest, Some(stat.size()), false)? {
                true => Ok((digest, stat.size())),
                false => Err(StoreError::Damaged { digest }),
            }
        };
        if meta.is_dir() {
            Tree::walk(path, stored).is_ok()
        } else {
            meta.is_symlink() || meta.is_file() && stored(path, meta).is_ok()
        }
    }
}

fn left_key(path: &Path) -> Digest {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Fold::new("pipeline left by a failure v1").bytes("path", path.as_os_str().as_bytes()).finish()
}

/// Removes what was set aside longer than [`MIN_ASIDE`] ago.
pub(crate) fn forget_aside(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > MIN_ASIDE) {
            let _ = remove_all(&entry.path());
        }
    }
}
