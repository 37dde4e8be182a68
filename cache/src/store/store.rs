//! The store itself: the parts, opened together.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::StoreError;
use crate::objects::workshop::{Workshop, sweep};
use crate::records::log::Log;
use crate::store::layout::Layout;
use crate::store::using::User;

/// A folder of content, records and memos, shared by any number of threads and processes.
///
/// While it is open, no collector removes what it may have looked up or written.
pub struct Store {
    pub(crate) layout: Layout,
    pub(crate) device: u64,
    pub(crate) records: Log,
    pub(crate) memos: Log,
    pub(crate) filehash: Log,
    pub(crate) runs: Log,
    pub(crate) workshop: Workshop,
    /// Whether the file system may have reflinks. False after the first failure.
    pub(crate) reflinks: AtomicBool,
    /// Whether the file system may support a rename that fails when the target exists. False after
    /// the first failure.
    pub(crate) keeping: AtomicBool,
    /// This process among the users; absent where the file system is read-only.
    pub(crate) user: Option<User>,
    /// Held shared as long as the store is open; absent on a read-only file system without a lock
    /// file.
    using: Option<File>,
}

impl Store {
    /// Opens the store in a folder, and makes it when there is none.
    ///
    /// # Errors
    /// [`StoreError::NewerFormat`] when a newer program wrote it; [`StoreError::ReadOnly`],
    /// [`StoreError::Permission`] and [`StoreError::Full`] when it cannot be made. A complete store
    /// on a read-only file system can be read.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let mut store = Self::glance(folder)?;
        store.user = User::enter(&store.layout.users).ok();
        sweep(&store.layout.tmp);
        Ok(store)
    }

    /// Opens the store only to check whether anything has moved. No blob is made or used, so the
    /// process does not enter the list of users, and nothing is swept.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn glance(folder: &Path) -> Result<Self, StoreError> {
        let folder = std::path::absolute(folder).map_err(|source| StoreError::io(folder, "resolve", source))?;
        let layout = Layout::open(&folder)?;
        let device = fs::metadata(&folder).map_err(|source| StoreError::io(&folder, "read", source))?.dev();
        // A file that is open for reading can be locked. This waits for a collector that is alone
        // in the store.
        let using = File::open(folder.join("lock")).ok();
        if let Some(using) = &using {
            using.lock_shared().map_err(|source| StoreError::io(&folder.join("lock"), "lock", source))?;
        }
        let log = |bucket: &str| Log::new(folder.join(bucket));
        Ok(Self {
            records: log("records-v1"),
            memos: log("memo-v1"),
            filehash: log("filehash-v1"),
            runs: log("runs-v1"),
            workshop: Workshop::default(),
            reflinks: AtomicBool::new(true),
            keeping: AtomicBool::new(true),
            layout,
            device,
            user: None,
            using,
        })
    }

    /// The store's folder.
    pub fn folder(&self) -> &Path {
        &self.layout.root
    }

    /// Writes what is still in memory: touches, memos and file hashes.
    pub fn flush(&self) -> Result<(), StoreError> {
        let results = [self.records.flush(), self.memos.flush(), self.filehash.flush(), self.runs.flush()];
        results.into_iter().collect()
    }

    /// Lets collectors see which records were made or used here so far. Those stay as long as the
    /// store is open.
    pub fn tell(&self) {
        if let Some(user) = &self.user {
            user.tell();
        }
    }

    /// Runs `work` while no other process has the store open.
    pub(crate) fn alone<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let path = self.layout.root.join("lock");
        let failed = |source| StoreError::io(&path, "lock", source);
        let Some(using) = &self.using else { return Err(StoreError::ReadOnly { path: self.layout.root.clone() }) };
        match using.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // The attempt may have released the shared lock.
                using.lock_shared().map_err(failed)?;
                return Err(StoreError::Busy { path: self.layout.root.clone() });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let result = work();
        using.lock_shared().map_err(failed)?;
        result
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Only memos and touches are lost if this fails.
        let _ = self.flush();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("folder", &self.layout.root).finish_non_exhaustive()
    }
}
