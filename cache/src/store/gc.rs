//! The collector. It evicts the least recently used records until the rest fits, then every blob
//! that no record names.
//!
//! **Beside other processes.** Alone in the store, the collector removes blobs at once. Otherwise
//! let T be the moment at which the first of the other processes opened the store. Records are
//! evicted, but a blob is removed only when no record names it *and* its change time is before T.
//! That is enough:
//!
//! - a blob that another process writes, or has written and not recorded yet, changed after T;
//! - a blob that another process found in place of writing it was touched when it was found;
//! - another process may have looked up a record that is evicted now. The blobs of such a record
//!   are touched now, and a later collection removes them, when every process that may know of them
//!   has ended;
//! - a record that another process has made or used stays, as if it were pinned.
//!
//! **On a full disk.** Blobs that no record names are removed first, and nothing is written that
//! can be avoided. If the log of records still cannot be rewritten, the blobs of evicted records
//! are removed all the same. A record whose blob is missing is a miss.
//!
//! A process that finds a blob holds the lock `collect` shared. The collector holds it exclusively
//! from the look at a blob to its removal, so no blob is found in between.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::objects::aside::forget_aside;
use crate::objects::blob;
use crate::objects::workshop::sweep;
use crate::records::log::Listed;
use crate::store::lock;
use crate::store::using::{self, Since};
use crate::{Blob, Digest, DigestMap, DigestSet, Record, Store, StoreError, fault};

/// What a collection did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Evicted records.
    pub records: u64,
    /// Removed blobs.
    pub blobs: u64,
    /// Bytes of removed blobs and downloads.
    pub freed: u64,
    /// Bytes of kept blobs and downloads.
    pub kept: u64,
    /// Bytes among them beyond the limit, which stayed only because they are pinned.
    pub pinned: u64,
    /// Bytes that a later collection can remove, once the other processes have closed the store.
    pub waiting: u64,
}

/// The rule for removing blobs in one collection.
#[derive(Debug, Clone, Copy)]
struct Removal {
    since: Since,
    /// Whether to count only.
    dry: bool,
}

/// Separates a full disk, which a collection survives, from every other error.
fn or_full(result: Result<(), StoreError>) -> Result<Result<(), StoreError>, StoreError> {
    match result {
        Err(full @ StoreError::Full { .. }) => Ok(Err(full)),
        Err(error) => Err(error),
        Ok(()) => Ok(Ok(())),
    }
}

/// Records, pinned ones first, then most recently used first.
fn sorted(mut records: Vec<Listed>, pins: &DigestSet) -> Vec<Listed> {
    records.sort_by_key(|listed| (!pins.contains(&listed.key), std::cmp::Reverse(listed.used), listed.key));
    records
}

/// One record and the space that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Its key.
    pub key: Digest,
    /// The label under which it was made.
    pub label: String,
    /// When it was last used, in milliseconds since 1970.
    pub used: u64,
    /// Bytes of its blobs, without those that a more recently used record names as well.
    pub bytes: u64,
}

impl Store {
    /// Keeps the most recently used records whose blobs fit into `keep_bytes`, and always those of
    /// the keys in `pins`. Evicts the others, and removes every blob that no kept record names and
    /// no other process may be using.
    pub fn gc(&self, keep_bytes: u64, pins: &DigestSet) -> Result<Swept, StoreError> {
        self.collect(keep_bytes, pins, false)
    }

    /// As [`Store::gc`]. With `dry` it only counts what it would do.
    pub fn collect(&self, keep_bytes: u64, pins: &DigestSet, dry: bool) -> Result<Swept, StoreError> {
        // The queues hold memos and touches. On a full disk they are lost, which does no harm.
        let _ = self.flush();
        // One collector at a time; a second one waits for the first.
        let turn = fault::point("gc.turn").map_err(|source| StoreError::io(&self.layout.root, "lock", source));
        let _turn = match turn.and_then(|()| self.lock_file("collector")) {
            Ok(turn) => Some(turn),
            // A dry collection changes nothing and needs no turn. On a full disk the lock file may
            // be impossible to make, and the collection must run all the same.
            Err(StoreError::ReadOnly { .. } | StoreError::Permission { .. }) if dry => None,
            Err(StoreError::Full { .. }) => None,
            Err(error) => return Err(error),
        };
        let others = || {
            let (since, held) = using::others(&self.layout.users, self.user.as_ref());
            (since, pins.union(&held).copied().collect::<DigestSet>())
        };
        if dry {
            return self.sweep_store(keep_bytes, others, true);
        }
        match self.alone(|| self.sweep_store(keep_bytes, || (Since::Nobody, pins.clone()), false)) {
            Err(StoreError::Busy { .. }) => {
                let others = || match others() {
                    // A process holds the store open and has no entry: an older program. It may use
                    // any blob.
                    (Since::Nobody, pins) => (Since::Unknown, pins),
                    known => known,
                };
                self.sweep_store(keep_bytes, others, false)
            }
            done => done,
        }
    }

    /// The space of each record, most recently used first, and the bytes of blobs that no record
    /// names.
    pub fn usage(&self) -> Result<(Vec<Usage>, u64), StoreError> {
        let _ = self.flush();
        let mut counted = DigestSet::default();
        let mut all = Vec::new();
        for listed in sorted(self.records.all()?, &DigestSet::default()) {
            let label = listed.payloads.iter().find_map(|bytes| Record::decode(&listed.key, bytes));
            let needed = self.needed(&listed);
            let bytes = needed.iter().filter(|(digest, _)| counted.insert(*digest)).map(|(_, size)| size).sum();
            let label = label.map(|record| record.label).unwrap_or_default();
            all.push(Usage { key: listed.key, label, used: listed.used, bytes });
        }
        let mut unnamed = 0;
        self.each_blob(|digest, _, meta| {
            if !digest.is_some_and(|digest| counted.contains(&digest)) {
                unnamed += meta.len();
            }
            Ok(())
        })?;
        Ok((all, unnamed))
    }

    /// The blobs of a record with their sizes.
    fn needed(&self, listed: &Listed) -> Vec<(Digest, u64)> {
        let mut needed: Vec<(Digest, u64)> = Vec::new();
        for record in listed.payloads.iter().filter_map(|bytes| Record::decode(&listed.key, bytes)) {
            for (_, Blob { digest, size, tree, .. }) in record.outputs {
                if !tree {
                    needed.push((digest, size));
                } else if let Ok(tree) = self.tree(&digest) {
                    // A folder with a damaged manifest is a miss, so its files need not be kept.
                    needed.push((digest, tree.manifest().len() as u64));
                    needed.extend(tree.files());
                }
            }
        }
        needed
    }

    /// One collection. `others` returns since when other processes have used the store, and the
    /// keys that must stay.
    fn sweep_store(
        &self,
        keep_bytes: u64,
        others: impl Fn() -> (Since, DigestSet),
        dry: bool,
    ) -> Result<Swept, StoreError> {
        // The order matters. A process announces a key before it commits the record, so every
        // record in this list was announced when `others` looks. Records committed later are not in
        // the list and stay.
        let records = self.records.all()?;
        let (since, pins) = others();
        let mut swept = Swept::default();
        let (mut forgotten, mut kept_blobs) = (DigestSet::default(), DigestSet::default());
        let mut condemned: DigestMap<u64> = DigestMap::default();
        let mut full = false;
        for listed in sorted(records, &pins) {
            let mut needed = self.needed(&listed);
            let mut counted = DigestSet::default();
            needed.retain(|(digest, _)| !kept_blobs.contains(digest) && counted.insert(*digest));
            let size: u64 = needed.iter().map(|(_, size)| size).sum();
            let pinned = pins.contains(&listed.key);
            // The first record that does not fit ends the list. Older ones are evicted as well,
            // however small.
            full |= !pinned && swept.kept + size > keep_bytes;
            if full && !pinned {
                swept.records += 1;
                forgotten.insert(listed.key);
                condemned.extend(needed);
            } else {
                if swept.kept + size > keep_bytes {
                    swept.pinned += size.min(swept.kept + size - keep_bytes);
                }
                swept.kept += size;
                kept_blobs.extend(needed.iter().map(|(digest, _)| *digest));
            }
        }
        condemned.retain(|digest, _| !kept_blobs.contains(digest));
        if !dry && since != Since::Nobody {
            for digest in condemned.keys() {
                // A blob that is missing, or that this user may not touch, is left as it is.
                let _ = File::open(self.blob_path(digest)).map(|file| blob::touch(&file));
            }
        }
        let removal = Removal { since, dry };
        self.each_blob(|digest, path, _| match digest {
            Some(digest) if kept_blobs.contains(&digest) || condemned.contains_key(&digest) => Ok(()),
            _ => self.sweep_blob(path, removal, false, &mut swept),
        })?;
        // Records before their blobs. A collector that dies in between leaves blobs without a
        // record, which the next one removes.
        let forget = || {
            fault::point("gc.records").map_err(|source| StoreError::io(&self.layout.root, "write", source))?;
            self.records.compact(|key| !forgotten.contains(key))
        };
        let written = if dry { Ok(()) } else { or_full(forget())? };
        for digest in condemned.keys() {
            self.sweep_blob(&self.blob_path(digest), removal, true, &mut swept)?;
        }
        self.sweep_downloads(keep_bytes, since, dry, &mut swept)?;
        if dry {
            return Ok(swept);
        }
        if written.is_err() {
            // The removed blobs may have made room. If not, the log keeps records without blobs,
            // which are misses.
            let _ = or_full(forget())?;
        }
        let _ = or_full(self.memos.compact(|_| true))?;
        let _ = or_full(self.filehash.compact(|_| true))?;
        lock::forget_free(&self.layout.locks);
        sweep(&self.layout.tmp);
        forget_aside(&self.layout.aside);
        Ok(swept)
    }

    /// Removes a blob that is not kept, if the rule allows it. `condemned` means that its record is
    /// evicted just now.
    fn sweep_blob(&self, path: &Path, removal: Removal, condemned: bool, swept: &mut Swept) -> Result<(), StoreError> {
        let Removal { since, dry } = removal;
        // Alone in the store there is no other process that could find a blob.
        let finders = if dry || since == Since::Nobody { None } else { Some(self.lock_file("collect")?) };
        // Another process may have removed the file to repair or replace it.
        let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
        let changed = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
        let may_go = match since {
            Since::Nobody => true,
            Since::Moment(moment) => changed < moment && !condemned,
            Since::Unknown => false,
        };
        if !may_go {
            swept.waiting += meta.len();
            return Ok(());
        }
        if !dry {
            let removed = fault::point("gc.remove").and_then(|()| fs::remove_file(path));
            removed.map_err(|source| StoreError::io(path, "remove", source))?;
        }
        drop(finders);
        swept.blobs += 1;
        swept.freed += meta.len();
        Ok(())
    }

    /// Removes the oldest downloads that do not fit beside the kept blobs. They can be fetched
    /// again. Beside other processes all of them stay, since a worker may be reading one.
    fn sweep_downloads(&self, keep_bytes: u64, since: Since, dry: bool, swept: &mut Swept) -> Result<(), StoreError> {
        let folder = self.layout.root.join("downloads-v1");
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
        let mut files: Vec<_> =
            entries.flatten().filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))).collect();
        files.sort_by_key(|(path, meta)| (std::cmp::Reverse((meta.mtime(), meta.mtime_nsec())), path.clone()));
        let mut full = false;
        for (path, meta) in files {
            full |= swept.kept + meta.len() > keep_bytes;
            if !full {
                swept.kept += meta.len();
            } else if since != Since::Nobody {
                swept.waiting += meta.len();
            } else {
                if !dry {
                    let removed = fault::point("gc.download").and_then(|()| fs::remove_file(&path));
                    removed.map_err(|source| StoreError::io(&path, "remove", source))?;
                }
                swept.freed += meta.len();
            }
        }
        Ok(())
    }

    /// Visits every file below the folder of blobs. The digest is `None` for a file whose name is
    /// not a digest.
    fn each_blob(
        &self,
        mut visit: impl FnMut(Option<Digest>, &Path, &fs::Metadata) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let failed = |source| StoreError::io(&self.layout.blobs, "read", source);
        for folder in fs::read_dir(&self.layout.blobs).map_err(failed)? {
            let folder = folder.map_err(failed)?;
            let prefix = folder.file_name();
            let Ok(files) = fs::read_dir(folder.path()) else { continue };
            for file in files.flatten() {
                let name = format!("{}{}", prefix.to_string_lossy(), file.file_name().to_string_lossy());
                if let Ok(meta) = file.metadata() {
                    visit(name.parse().ok(), &file.path(), &meta)?;
                }
            }
        }
        Ok(())
    }

    /// Looks for a whole blob in place of writing it, and touches it, so that no collector removes
    /// it before its record is written. Returns whether it was found.
    pub(crate) fn found_again(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        if !self.whole_file(digest, Some(size), false)? {
            return Ok(false);
        }
        let lock = File::open(self.layout.root.join("collect"));
        if lock.as_ref().is_ok_and(|lock| lock.lock_shared().is_err()) {
            return Ok(false);
        }
        let path = self.blob_path(digest);
        // Under the lock, the touch and the look are one step for a collector. A blob that it has
        // just removed is written again.
        Ok(File::open(&path).is_ok_and(|file| blob::touch(&file).is_ok()) && path.exists())
    }

    /// Waits for the kernel lock on a file of this name in the store.
    fn lock_file(&self, name: &str) -> Result<File, StoreError> {
        let path = self.layout.root.join(name);
        let failed = |source| StoreError::io(&path, "lock", source);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }
}
