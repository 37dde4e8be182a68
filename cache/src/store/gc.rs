//! Collecting: the least recently used records go until the rest fits, then every blob that no record names.
//!
//! **Beside others.** Alone in the store the collector removes at once. Otherwise, with T the moment the first of those who have
//! the store open came, records go, but a blob goes only when no record names it *and* its change time is before T.
//! That is enough:
//!
//! - what others are writing, or have written and not recorded yet, changed after they came;
//! - a blob that one of them found in place of writing it again was touched when it was found;
//! - the blobs of a record that goes now, which one of them may have looked up already, are touched as the record goes. They are
//!   removed by a later collection, when everybody who may know of them has left;
//! - the records that one of them has made or used stay as if they were pinned.
//!
//! **On a full disk.** What no record names goes first, and nothing is written that need not be. Where the log of records cannot be
//! written without those that go, their blobs go before them: a record whose blob is gone is a miss.
//!
//! A stat, a decision and a removal are one step for those who find blobs: they hold the lock `collect` shared meanwhile.

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
    /// Records that went.
    pub records: u64,
    /// Blobs that went.
    pub blobs: u64,
    /// Bytes they had.
    pub freed: u64,
    /// Bytes of blobs that stayed.
    pub kept: u64,
    /// Bytes among them that stayed for pins alone: without those they would not have fitted.
    pub pinned: u64,
    /// Bytes that will go when those who have the store open now have left it.
    pub waiting: u64,
}

/// What may go.
#[derive(Debug, Clone, Copy)]
struct Going {
    since: Since,
    dry: bool,
}

/// A full disk, apart from everything else that can go wrong.
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

/// One record and what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Its key.
    pub key: Digest,
    /// Under what name it was made.
    pub label: String,
    /// When it was last used, in milliseconds since 1970.
    pub used: u64,
    /// Bytes of its blobs, without those that a record used more recently has as well.
    pub bytes: u64,
}

impl Store {
    /// Keeps the most recently used records whose blobs fit into `keep_bytes`, and those of the keys in `pins` in any case;
    /// removes the others and every blob that no kept record names. What other processes may be using stays.
    pub fn gc(&self, keep_bytes: u64, pins: &DigestSet) -> Result<Swept, StoreError> {
        self.collect(keep_bytes, pins, false)
    }

    /// [`Store::gc`], or with `dry` only what it would do.
    pub fn collect(&self, keep_bytes: u64, pins: &DigestSet, dry: bool) -> Result<Swept, StoreError> {
        // What waits to be written are notes.
        let _ = self.flush();
        // One collector at a time; a second one waits for the first.
        let turn = fault::point("gc.turn").map_err(|source| StoreError::io(&self.layout.root, "lock", source));
        let _turn = match turn.and_then(|()| self.lock_file("collector")) {
            Ok(turn) => Some(turn),
            // Who only looks needs no turn, and who cannot make the file must be able to make room for it.
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
                    // Somebody who is there and not on the list: an older program.
                    (Since::Nobody, pins) => (Since::Unknown, pins),
                    known => known,
                };
                self.sweep_store(keep_bytes, others, false)
            }
            done => done,
        }
    }

    /// What each record takes, most recently used first; and the bytes of blobs that no record names.
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
                    // A folder whose manifest is damaged keeps nothing.
                    needed.push((digest, tree.manifest().len() as u64));
                    needed.extend(tree.files());
                }
            }
        }
        needed
    }

    /// `others` says since when somebody else is here, and what stays whatever the limit.
    fn sweep_store(
        &self,
        keep_bytes: u64,
        others: impl Fn() -> (Since, DigestSet),
        dry: bool,
    ) -> Result<Swept, StoreError> {
        let records = self.records.all()?;
        // Who has made one of these has said so before. What is made from now on is not among them, and stays.
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
            // The first that does not fit ends it: what is older goes too, however small.
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
                // One that is gone or not ours to touch has no need of it.
                let _ = File::open(self.blob_path(digest)).map(|file| blob::touch(&file));
            }
        }
        let go = Going { since, dry };
        self.each_blob(|digest, path, _| match digest {
            Some(digest) if kept_blobs.contains(&digest) || condemned.contains_key(&digest) => Ok(()),
            _ => self.sweep_blob(path, go, false, &mut swept),
        })?;
        // Records before their blobs: a collector that dies in between leaves blobs without a record, and the next one finds them.
        let forget = || {
            fault::point("gc.records").map_err(|source| StoreError::io(&self.layout.root, "write", source))?;
            self.records.compact(|key| !forgotten.contains(key))
        };
        let written = if dry { Ok(()) } else { or_full(forget())? };
        for digest in condemned.keys() {
            self.sweep_blob(&self.blob_path(digest), go, true, &mut swept)?;
        }
        self.sweep_downloads(keep_bytes, since, dry, &mut swept)?;
        if dry {
            return Ok(swept);
        }
        if written.is_err() {
            // There may be room now. Where there is not, records stay whose blobs are gone.
            let _ = or_full(forget())?;
        }
        let _ = or_full(self.memos.compact(|_| true))?;
        let _ = or_full(self.filehash.compact(|_| true))?;
        lock::forget_free(&self.layout.locks);
        sweep(&self.layout.tmp);
        forget_aside(&self.layout.aside);
        Ok(swept)
    }

    /// Removes a blob that is not kept, if it may go; `condemned` are those whose record goes just now.
    fn sweep_blob(&self, path: &Path, go: Going, condemned: bool, swept: &mut Swept) -> Result<(), StoreError> {
        let Going { since, dry } = go;
        // Nobody finds anything while the collector is alone.
        let finders = if dry || since == Since::Nobody { None } else { Some(self.lock_file("collect")?) };
        // What is gone meanwhile was somebody's who healed or replaced it.
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

    /// What was fetched from elsewhere (`downloads-v1`) is a copy of what can be fetched again: what was fetched last stays as far as it
    /// fits beside the blobs. Who else has the store open may be reading it.
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

    /// Visits every file below the folder of blobs; a file whose name is no digest has none.
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

    /// Says that a blob found in place of writing it again is in use, so that no collector takes it before its record is written.
    /// Whether it is (still) there and whole.
    pub(crate) fn found_again(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        if !self.whole_file(digest, Some(size), false)? {
            return Ok(false);
        }
        let lock = File::open(self.layout.root.join("collect"));
        if lock.as_ref().is_ok_and(|lock| lock.lock_shared().is_err()) {
            return Ok(false);
        }
        let path = self.blob_path(digest);
        // Touching is what counts; a blob that went just now is written again.
        Ok(File::open(&path).is_ok_and(|file| blob::touch(&file).is_ok()) && path.exists())
    }

    /// A kernel lock on a file of this name in the store, waited for.
    fn lock_file(&self, name: &str) -> Result<File, StoreError> {
        let path = self.layout.root.join(name);
        let failed = |source| StoreError::io(&path, "lock", source);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }
}
