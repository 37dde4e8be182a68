//! Collecting: the least recently used records go until the rest fits, then every blob that no record names.

use std::fs;

use crate::staging::sweep;
use crate::{Digest, DigestSet, Record, Store, StoreError};

/// What a collection did.
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
}

impl Store {
    /// Keeps the most recently used records whose blobs fit into `keep_bytes`, and those of the keys in `pins` in any case;
    /// removes the others and every blob that no kept record names.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while another process has the store open: it may be about to read what would go.
    pub fn gc(&self, keep_bytes: u64, pins: &DigestSet) -> Result<Swept, StoreError> {
        self.flush()?;
        self.alone(|| {
            let mut swept = Swept::default();
            let mut records = self.records.all()?;
            records.sort_by_key(|listed| (!pins.contains(&listed.key), std::cmp::Reverse(listed.used), listed.key));
            let (mut kept_keys, mut kept_blobs) = (DigestSet::default(), DigestSet::default());
            let mut full = false;
            for listed in records {
                let mut needed: Vec<(Digest, u64)> = Vec::new();
                for record in listed.payloads.iter().filter_map(|bytes| Record::decode(&listed.key, bytes)) {
                    for (_, blob) in record.outputs {
                        if blob.tree {
                            // A folder whose manifest is damaged keeps nothing.
                            if let Ok(tree) = self.tree(&blob.digest) {
                                needed.push((blob.digest, tree.manifest().len() as u64));
                                needed.extend(tree.files());
                            }
                        } else {
                            needed.push((blob.digest, blob.size));
                        }
                    }
                }
                let mut counted = DigestSet::default();
                needed.retain(|(digest, _)| !kept_blobs.contains(digest) && counted.insert(*digest));
                let size: u64 = needed.iter().map(|(_, size)| size).sum();
                let pinned = pins.contains(&listed.key);
                // The first that does not fit ends it: what is older goes too, however small.
                full |= !pinned && swept.kept + size > keep_bytes;
                if full && !pinned {
                    swept.records += 1;
                } else {
                    swept.kept += size;
                    kept_keys.insert(listed.key);
                    kept_blobs.extend(needed.iter().map(|(digest, _)| *digest));
                }
            }
            // Records first: a collector that dies here leaves blobs without a record, and the next one finds them.
            self.records.compact(|key| kept_keys.contains(key))?;
            self.sweep_blobs(&kept_blobs, &mut swept)?;
            self.memos.compact(|_| true)?;
            self.filehash.compact(|_| true)?;
            if let Ok(locks) = fs::read_dir(&self.layout.locks) {
                // We are alone: nobody holds any.
                locks.flatten().for_each(|lock| drop(fs::remove_file(lock.path())));
            }
            sweep(&self.layout.tmp);
            Ok(swept)
        })
    }

    fn sweep_blobs(&self, keep: &DigestSet, swept: &mut Swept) -> Result<(), StoreError> {
        let failed = |source| StoreError::io(&self.layout.blobs, "read", source);
        for folder in fs::read_dir(&self.layout.blobs).map_err(failed)? {
            let folder = folder.map_err(failed)?;
            let prefix = folder.file_name();
            let Ok(files) = fs::read_dir(folder.path()) else { continue };
            for file in files.flatten() {
                let name = format!("{}{}", prefix.to_string_lossy(), file.file_name().to_string_lossy());
                if name.parse::<Digest>().is_ok_and(|digest| keep.contains(&digest)) {
                    continue;
                }
                let size = file.metadata().map_or(0, |meta| meta.len());
                let path = file.path();
                fs::remove_file(&path).map_err(|source| StoreError::io(&path, "remove", source))?;
                swept.blobs += 1;
                swept.freed += size;
            }
        }
        Ok(())
    }
}
