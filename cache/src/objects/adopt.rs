//! Moving finished files and folders into the store.

use std::fs;
use std::path::Path;

use crate::objects::remove::remove_all;
use crate::{Blob, Store, StoreError, Tree, fault};

impl Store {
    /// Moves a finished file or folder into the store. Nothing is left at the path.
    ///
    /// Within one file system nothing is copied: files are hashed and renamed. If a process still
    /// writes to the file, this fails with [`StoreError::Changing`]. [`Store::check`] finds later
    /// writes.
    pub fn adopt(&self, path: &Path) -> Result<Blob, StoreError> {
        let meta = fs::symlink_metadata(path).map_err(|source| StoreError::io(path, "read", source))?;
        if meta.is_dir() {
            adopt_folder(self, path)
        } else if meta.is_file() {
            self.adopt_file(path)
        } else {
            Err(StoreError::Unstorable { path: path.to_owned(), why: "it is neither a file nor a folder".to_owned() })
        }
    }
}

/// Moves a folder into the store, file by file, and its manifest last.
fn adopt_folder(store: &Store, path: &Path) -> Result<Blob, StoreError> {
    let tree = Tree::walk(path, |file, _| {
        let blob = store.adopt_file(file)?;
        Ok((blob.digest, blob.size))
    })?;
    let blob = store.put_bytes(&tree.manifest())?;
    let removed = fault::point("tree.remove_source").and_then(|()| remove_all(path));
    removed.map_err(|source| StoreError::io(path, "remove", source))?;
    Ok(Blob { digest: blob.digest, size: tree.size(), tree: true, executable: false })
}
