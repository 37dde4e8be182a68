//! A folder for unfinished things per process, which is swept when its process is gone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::objects::remove::remove_all;
use crate::store::layout;
use crate::{StoreError, fault};

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
