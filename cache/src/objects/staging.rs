//! Folders for unfinished outputs in the store's file system.

use std::fs;
use std::path::{Path, PathBuf};

use crate::objects::remove::remove_all;
use crate::store::layout;
use crate::{Store, StoreError, fault};

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

impl Store {
    /// A fresh folder in the store's file system. Files that are finished in it are
    /// [adopted](Store::adopt) without a copy.
    pub fn staging(&self) -> Result<Staging, StoreError> {
        let path = self.temporary()?;
        let created = fault::point("staging.create").and_then(|()| fs::create_dir(&path));
        created.map_err(|source| StoreError::io(&path, "create folder", source))?;
        Ok(Staging { path })
    }

    /// An unused path in this process's folder.
    pub(crate) fn temporary(&self) -> Result<PathBuf, StoreError> {
        Ok(self.workshop.folder(&self.layout.tmp)?.join(layout::fresh_name()))
    }
}
