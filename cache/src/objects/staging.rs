//! Unfinished things: a folder per process that is swept when its process is gone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::records::filehash::Stat;
use crate::store::layout;
use crate::{Digest, Fold, Store, StoreError, Tree, fault};

/// A fresh folder in the store's file system, removed with everything in it on drop.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
}

impl Staging {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if fault::point("staging.remove").is_ok() {
            let _ = remove_all(&self.path);
        }
    }
}

/// This process's folder below `tmp/`, made when first needed; its `alive` file is locked as long as the process lives.
#[derive(Debug, Default)]
pub(crate) struct Workshop(Mutex<Option<(PathBuf, File)>>);

impl Workshop {
    /// The folder of this process.
    pub(crate) fn folder(&self, tmp: &Path) -> Result<PathBuf, StoreError> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((path, _)) = &*place {
            return Ok(path.clone());
        }
        // Under the lock of `tmp`, so that nobody sweeps the folder before its own lock is held.
        let _door = door(tmp)?;
        let path = tmp.join(layout::fresh_name());
        let made = fault::point("staging.workshop").and_then(|()| fs::create_dir(&path));
        made.map_err(|source| StoreError::io(&path, "create folder", source))?;
        let alive = path.join("alive");
        let file = fault::point("staging.alive").and_then(|()| File::create(&alive));
        let file = file.map_err(|source| StoreError::io(&alive, "write", source))?;
        file.lock().map_err(|source| StoreError::io(&alive, "lock", source))?;
        *place = Some((path.clone(), file));
        Ok(path)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Some((path, _)) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let _ = remove_all(path);
        }
    }
}

impl Store {
    /// A fresh folder in the store's file system: what is finished in it is [adopted](Store::adopt) without a copy.
    pub fn staging(&self) -> Result<Staging, StoreError> {
        let path = self.temporary()?;
        let made = fault::point("staging.create").and_then(|()| fs::create_dir(&path));
        made.map_err(|source| StoreError::io(&path, "create folder", source))?;
        Ok(Staging { path })
    }

    /// A path nobody uses, in this process's folder.
    pub(crate) fn temporary(&self) -> Result<PathBuf, StoreError> {
        Ok(self.workshop.folder(&self.layout.tmp)?.join(layout::fresh_name()))
    }
}

/// How long what was set aside is kept, at least: a week.
const ASIDE: Duration = Duration::from_secs(7 * 24 * 3600);

impl Store {
    /// Makes room at a path of the project. What the store could give back at any time is removed, anything else is
    /// [set aside](Store::set_aside). Where to, in that case.
    ///
    /// # Errors
    /// When it can neither be removed nor moved.
    pub fn clear(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match self.set_aside(path)? {
            Some(aside) => Ok(Some(aside)),
            None => remove_all(path).map(|()| None),
        }
    }

    /// Moves what is at a path of the project into `aside-v1`, unless the store could give it back at any time. Where to, in that
    /// case.
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

    /// Notes that what is at a path now is what a program left that failed: as long as nobody touches it, it is nobody's work, and
    /// [`Store::set_aside`] lets it be removed. A note that cannot be kept is not missed.
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

    /// Whether nothing is lost when this is removed: a link, an empty folder, content that is in the store or was left by a program
    /// that failed.
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

/// Removes what was set aside long ago.
pub(crate) fn forget_aside(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > ASIDE) {
            let _ = remove_all(&entry.path());
        }
    }
}

/// Removes what processes that are gone have left in `tmp`. Errors do not matter: the next one tries again.
pub(crate) fn sweep(tmp: &Path) {
    let left: Vec<PathBuf> = match fs::read_dir(tmp) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect(),
        Err(_) => return,
    };
    if left.is_empty() {
        return;
    }
    let Ok(_door) = door(tmp) else { return };
    for path in left {
        let alive = match File::open(path.join("alive")) {
            Ok(file) => file.try_lock().is_err(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if !alive && fault::point("staging.sweep").is_ok() {
            let _ = remove_all(&path);
        }
    }
}

fn door(tmp: &Path) -> Result<File, StoreError> {
    let path = tmp.join("lock");
    let open = || fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(tmp).map_err(|source| StoreError::io(tmp, "create folder", source))?;
            open()
        }
        other => other,
    }
    .map_err(|source| StoreError::io(&path, "open", source))?;
    file.lock().map_err(|source| StoreError::io(&path, "lock", source))?;
    Ok(file)
}

/// Removes a file or a folder, also one whose folders were made read-only. What is not there is no error.
///
/// # Errors
/// What the system says.
pub fn remove_all(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !meta.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mut folders = vec![path.to_owned()];
            while let Some(folder) = folders.pop() {
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
                let entries = fs::read_dir(&folder)?.flatten();
                folders.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
            }
            fs::remove_dir_all(path)
        }
        other => other,
    }
}
