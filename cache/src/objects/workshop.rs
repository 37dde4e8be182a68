//! A folder per process for unfinished files, which is swept once its process has ended.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::objects::remove::remove_all;
use crate::store::layout;
use crate::{StoreError, fault};

/// This process's folder below `tmp/`, made at its first use. Its file `alive` is locked as long as
/// the process lives.
#[derive(Debug, Default)]
pub(crate) struct Workshop(Mutex<Option<(PathBuf, File)>>);

impl Workshop {
    /// The folder of this process.
    pub(crate) fn folder(&self, tmp: &Path) -> Result<PathBuf, StoreError> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((path, _)) = &*place {
            return Ok(path.clone());
        }
        // Under the lock of `tmp`: a sweep could otherwise remove the folder before `alive` is
        // locked.
        let _door = door(tmp)?;
        let path = tmp.join(layout::fresh_name());
        let created = fault::point("staging.workshop").and_then(|()| fs::create_dir(&path));
        created.map_err(|source| StoreError::io(&path, "create folder", source))?;
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

/// Removes what dead processes have left in `tmp`. Errors do not matter: the next sweep tries
/// again.
pub(crate) fn sweep(tmp: &Path) {
    let folders: Vec<PathBuf> = match fs::read_dir(tmp) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect(),
        Err(_) => return,
    };
    if folders.is_empty() {
        return;
    }
    let Ok(_door) = door(tmp) else { return };
    for path in folders {
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
