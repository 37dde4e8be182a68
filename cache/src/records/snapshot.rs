//! What a finished run saw. The next run can tell from it, with `stat` alone, that nothing has
//! moved.
//!
//! ```text
//! snapshots-v1/<name>:  magic(8) created(8) info length(4) chunks(4) info check(8) info
//!                       then of every chunk: length(4) 0(4) check(8) entries
//! entry: file    1 racy(1) follow(1) path length(2) stat(56) digest(32) path
//!        blob    2 digest(32) size(8)
//!        folder  3 path length(2) device(8) inode(8) type(4) path
//! ```
//!
//! The name is a digest of everything that the outcome depends on and that is not a file: the
//! program, its options and its environment. A snapshot *holds* when
//!
//! - every file has the stat that it had when its content was hashed; a racily clean one (see
//!   `filehash`) is hashed again;
//! - every blob exists with its size and its mark;
//! - every folder on the way is the same folder;
//! - the log of records is unchanged.
//!
//! If anything differs or cannot be told, the snapshot does not hold, and the caller plans the
//! pipeline. A snapshot is only a shortcut and may be lost at any time.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};

use crate::objects::blob;
use crate::objects::hash::hash_file;
use crate::records::filehash::Stat;
use crate::records::log::mix;
use crate::records::record::MIN_TOUCH_MS;
use crate::store::layout;
use crate::{Blob, Digest, Store, StoreError};

const MAGIC: [u8; 8] = *b"PLsnap1\n";
/// Length of the header in bytes, without the info.
const HEADER_BYTES: usize = 32;
/// Length of a chunk's header in bytes.
const CHUNK_HEADER_BYTES: usize = 16;
/// Most entries of a chunk, which is what a thread checks in one go.
const MAX_CHUNK_ENTRIES: usize = 128;
/// Most snapshots that are kept: those of other options and other environments.
const MAX_SNAPSHOTS: usize = 8;
/// Most racily clean files that are hashed again. With more of them the snapshot does not hold:
/// planning the pipeline hashes them as well, and remembers the digests.
const MAX_RACY_FILES: usize = 512;
/// Largest racily clean file, in bytes, that is hashed again. The lock file, which every first run
/// has just written, takes 22 MB for 100,000 stages.
const MAX_RACY_BYTES: u64 = 64 << 20;
/// Smallest snapshot, in bytes, that two threads check.
const MIN_TWO_THREADS_BYTES: u64 = 32 << 10;
/// Smallest snapshot, in bytes, that one thread per processor checks, up to eight.
const MIN_ALL_THREADS_BYTES: u64 = 1 << 20;

/// A snapshot that is being taken.
#[derive(Debug)]
pub struct Snapshot {
    root: PathBuf,
    chunks: Vec<Vec<u8>>,
    entries: usize,
}

impl Snapshot {
    fn entry(&mut self) -> &mut Vec<u8> {
        if self.entries.is_multiple_of(MAX_CHUNK_ENTRIES) {
            self.chunks.push(Vec::with_capacity(MAX_CHUNK_ENTRIES * 128));
        }
        self.entries += 1;
        let last = self.chunks.len() - 1;
        &mut self.chunks[last]
    }

    /// A path as the snapshot keeps it: relative to the root if it is inside. Shorter paths are
    /// looked up faster.
    fn kept<'a>(&self, path: &'a Path) -> &'a [u8] {
        let kept = path.strip_prefix(&self.root).unwrap_or(path).as_os_str().as_bytes();
        if kept.is_empty() { b"." } else { kept }
    }

    fn put_file(&mut self, path: &Path, stat: &Stat, digest: &Digest, racy: bool, follow: bool) -> bool {
        let path = self.kept(path);
        let Ok(length) = u16::try_from(path.len()) else { return false };
        let entry = self.entry();
        entry.extend_from_slice(&[1, u8::from(racy), u8::from(follow)]);
        entry.extend_from_slice(&length.to_le_bytes());
        entry.extend_from_slice(&stat.bytes());
        entry.extend_from_slice(digest.as_bytes());
        entry.extend_from_slice(path);
        true
    }

    /// Adds a blob, which the caller has [checked](Store::check).
    pub fn blob(&mut self, blob: &Blob) {
        let entry = self.entry();
        entry.push(2);
        entry.extend_from_slice(blob.digest.as_bytes());
        entry.extend_from_slice(&blob.size.to_le_bytes());
    }

    /// Adds a folder or link on the way to a file. False when it cannot be added.
    pub fn folder(&mut self, path: &Path) -> bool {
        let Ok(stat) = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) else { return false };
        let path = self.kept(path);
        let Ok(length) = u16::try_from(path.len()) else { return false };
        let entry = self.entry();
        entry.push(3);
        entry.extend_from_slice(&length.to_le_bytes());
        entry.extend_from_slice(&stat.st_dev.to_le_bytes());
        entry.extend_from_slice(&stat.st_ino.to_le_bytes());
        entry.extend_from_slice(&kind(&stat).to_le_bytes());
        entry.extend_from_slice(path);
        true
    }
}

fn kind(stat: &rustix::fs::Stat) -> u32 {
    FileType::from_raw_mode(stat.st_mode).as_raw_mode()
}

impl Store {
    /// Begins a snapshot. Any record written after this call makes it void. `None` when there are
    /// no records.
    ///
    /// The queues must have been [flushed](Store::flush): a later flush would change the log of
    /// records.
    pub fn snapshot(&self, root: &Path) -> Option<Snapshot> {
        let mut snapshot = Snapshot { root: root.to_owned(), chunks: Vec::new(), entries: 0 };
        let log = self.records.path();
        let stat = Stat::of(&fs::symlink_metadata(log).ok()?);
        // Appending changes the size and compaction the inode, so this one file is never racily
        // clean.
        snapshot.put_file(log, &stat, &Digest::from_bytes([0; 32]), false, false).then_some(snapshot)
    }

    /// Adds a file whose content must be `digest`. `follow` is for files of the user, which may be
    /// links. A link in the place of an output is not that output. False when the file has other
    /// content or is not a plain file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn snapshot_file(
        &self,
        snapshot: &mut Snapshot,
        path: &Path,
        digest: &Digest,
        follow: bool,
    ) -> Result<bool, StoreError> {
        let meta = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let meta = meta.map_err(|source| StoreError::io(path, "read", source))?;
        if !meta.is_file() {
            return Ok(false);
        }
        let (found, stat, racy) = self.hashed(path, &meta)?;
        Ok(found == *digest && snapshot.put_file(path, &stat, digest, racy, follow))
    }

    /// Keeps a snapshot under a name. `info` is what the caller wants to know when it holds.
    ///
    /// # Errors
    /// When it cannot be written. The next run then lacks its shortcut, no more.
    pub fn snapshot_put(&self, name: &Digest, snapshot: &Snapshot, info: &[u8]) -> Result<(), StoreError> {
        let folder = self.layout.root.join(FOLDER);
        let failed = |source| StoreError::io(&folder, "write", source);
        let mut chunks = Vec::with_capacity(snapshot.chunks.iter().map(|chunk| chunk.len() + CHUNK_HEADER_BYTES).sum());
        for chunk in &snapshot.chunks {
            chunks.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
            chunks.extend_from_slice(&[0; 4]);
            chunks.extend_from_slice(&mix(SEED, chunk).to_le_bytes());
            chunks.extend_from_slice(chunk);
        }
        let mut head = Vec::with_capacity(HEADER_BYTES + info.len());
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&layout::now_ms().to_le_bytes());
        head.extend_from_slice(&(info.len() as u32).to_le_bytes());
        head.extend_from_slice(&(snapshot.chunks.len() as u32).to_le_bytes());
        head.extend_from_slice(&mix(SEED, info).to_le_bytes());
        head.extend_from_slice(info);
        // Written beside and renamed: two runs may end at the same time.
        fs::create_dir_all(&folder).map_err(failed)?;
        let temporary = self.temporary()?;
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&head)?;
            file.write_all(&chunks)?;
            fs::rename(&temporary, folder.join(name.to_string()))
        };
        write().map_err(failed)?;
        forget_old(&folder);
        Ok(())
    }

    /// The info of the snapshot of this name, if the snapshot holds.
    pub fn snapshot_holds(&self, name: &Digest, root: &Path) -> Option<Vec<u8>> {
        let path = self.layout.root.join(FOLDER).join(name.to_string());
        let mut file = File::open(&path).ok()?;
        let size = file.metadata().ok()?.len();
        let open = |path: &Path| openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let places = Places { root: open(root).ok()?, blobs: open(&self.layout.blobs).ok()? };
        let read = || {
            let mut bytes = Vec::with_capacity(usize::try_from(size).ok()? + 1);
            file.read_to_end(&mut bytes).ok()?;
            Written::parse(bytes)
        };
        let (Written { mut bytes, info, chunks }, cleared) = check_all(size, &places, read)?;
        if !cleared.is_empty() {
            // These files were hashed again, clearly after their last change. From now on their
            // stat is enough.
            for at in cleared {
                bytes[at] = 0;
            }
            for (chunk, _) in chunks {
                let check = mix(SEED, &bytes[chunk.clone()]);
                bytes[chunk.start - 8..chunk.start].copy_from_slice(&check.to_le_bytes());
            }
            if let Ok(temporary) = self.temporary() {
                let _ = fs::write(&temporary, &bytes).and_then(|()| fs::rename(&temporary, &path));
            }
        }
        bytes.truncate(info.end);
        Some(bytes.split_off(info.start))
    }
}

/// The bytes of a snapshot's file.
#[derive(Debug)]
struct Written {
    bytes: Vec<u8>,
    info: Range<usize>,
    /// The range of each chunk's entries, and their check.
    chunks: Vec<(Range<usize>, u64)>,
}

impl Written {
    /// `None` when the bytes are not a snapshot, or it is too old. The entries of the chunks are
    /// not read here.
    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let head = bytes.first_chunk::<HEADER_BYTES>()?;
        let created = u64::from_le_bytes(*head[8..].first_chunk()?);
        let now = layout::now_ms();
        // A run of hits by snapshot notes no uses, so after this time the long way must note them
        // for the collector. A snapshot from the future means that the clock was set back, and
        // times prove nothing then.
        if head[..8] != MAGIC || created > now || created + MIN_TOUCH_MS < now {
            return None;
        }
        let length = u32::from_le_bytes(*head[16..].first_chunk()?) as usize;
        let count = u32::from_le_bytes(*head[20..].first_chunk()?) as usize;
        let check = u64::from_le_bytes(*head[24..].first_chunk()?);
        let info = HEADER_BYTES..HEADER_BYTES + length;
        if mix(SEED, bytes.get(info.clone())?) != check {
            return None;
        }
        // The count has no check of its own. The file bounds it, so that damage cannot ask for a
        // huge allocation.
        let mut chunks = Vec::with_capacity(count.min(bytes.len() / CHUNK_HEADER_BYTES));
        let mut at = info.end;
        for _ in 0..count {
            let length = u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize;
            let check = u64::from_le_bytes(*bytes.get(at + 8..)?.first_chunk()?);
            let entries = at + CHUNK_HEADER_BYTES..at + CHUNK_HEADER_BYTES + length;
            if bytes[at + 4..at + 8] != [0; 4] || entries.end > bytes.len() {
                return None;
            }
            at = entries.end;
            chunks.push((entries, check));
        }
        (at == bytes.len()).then_some(Self { bytes, info, chunks })
    }
}

/// The folder of snapshots in a store.
pub(crate) const FOLDER: &str = "snapshots-v1";
/// The seed of `mix` for snapshots; logs use others.
const SEED: u64 = 3;

/// Removes the oldest snapshots beyond [`MAX_SNAPSHOTS`].
fn forget_old(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().unwrap_or(UNIX_EPOCH), entry.path())))
        .collect();
    all.sort();
    let excess = all.len().saturating_sub(MAX_SNAPSHOTS);
    for (_, path) in &all[..excess] {
        let _ = fs::remove_file(path);
    }
}

/// Open folders: short paths from them are looked up faster.
struct Places {
    root: OwnedFd,
    blobs: OwnedFd,
}

/// Reads a snapshot of `size` bytes and checks all its entries, on several threads if it is large.
/// The threads start while the file is being read. Returns the positions of the racy flags that can
/// be cleared; `None` if anything has moved.
fn check_all(size: u64, places: &Places, read: impl FnOnce() -> Option<Written>) -> Option<(Written, Vec<usize>)> {
    let threads = match size {
        ..MIN_TWO_THREADS_BYTES => 1,
        // Asking for the number of processors costs more than a second thread that finds none.
        MIN_TWO_THREADS_BYTES..MIN_ALL_THREADS_BYTES => 2,
        MIN_ALL_THREADS_BYTES.. => std::thread::available_parallelism().map_or(1, std::num::NonZero::get).clamp(1, 8),
    };
    let written: OnceLock<Option<Written>> = OnceLock::new();
    let (next, moved, racy) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(0));
    let work = || {
        let mut cleared = Vec::new();
        let Some(written) = written.wait() else { return cleared };
        while !moved.load(Ordering::Relaxed) {
            let Some((at, check)) = written.chunks.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let chunk = &written.bytes[at.clone()];
            let whole = mix(SEED, chunk) == *check
                && Chunk { at: 0, bytes: chunk }.check(places, &racy, |flag| {
                    cleared.push(at.start + flag);
                }) == Some(true);
            if !whole {
                moved.store(true, Ordering::Relaxed);
            }
        }
        cleared
    };
    let cleared = std::thread::scope(|scope| {
        // A thread that cannot be started is not missed: this one takes every chunk that is left.
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads).filter_map(start).collect();
        // The threads wait for this. Its `None` ends them as well.
        written.get_or_init(read);
        let mut cleared = work();
        for other in others {
            match other.join() {
                Ok(more) => cleared.extend(more),
                // A panic proves nothing about the entries, so the snapshot does not hold.
                Err(_) => moved.store(true, Ordering::Relaxed),
            }
        }
        cleared
    });
    let written = written.into_inner()??;
    (!moved.load(Ordering::Relaxed)).then_some((written, cleared))
}

struct Chunk<'a> {
    at: usize,
    bytes: &'a [u8],
}

impl<'a> Chunk<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at + count)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }

    fn length(&mut self) -> Option<usize> {
        Some(usize::from(u16::from_le_bytes(*self.take(2)?.first_chunk()?)))
    }

    /// `Some(true)` when nothing has moved; `None` when the entries cannot be read.
    fn check(&mut self, places: &Places, racy: &AtomicUsize, mut cleared: impl FnMut(usize)) -> Option<bool> {
        while self.at < self.bytes.len() {
            let unmoved = match self.take(1)?[0] {
                1 => {
                    let flag = self.at;
                    let (unsure, follow) = (self.take(1)?[0] != 0, self.take(1)?[0] != 0);
                    let length = self.length()?;
                    let (known, digest) = (self.take(56)?, self.take(32)?);
                    let path = self.take(length)?;
                    let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
                    match statat(&places.root, path, flags) {
                        Ok(now) if regular(&now) && Stat::raw(&now).bytes() == known => {
                            !unsure || {
                                // Before the hashing: a change during it must count as racy.
                                let begun = layout::now_ns();
                                let sure = racy.fetch_add(1, Ordering::Relaxed) < MAX_RACY_FILES
                                    && now.st_size as u64 <= MAX_RACY_BYTES
                                    && hashed_again(places, path, known).is_some_and(|now| now.as_bytes() == digest);
                                if sure && !Stat::raw(&now).racy(begun) {
                                    cleared(flag);
                                }
                                sure
                            }
                        }
                        _ => false,
                    }
                }
                2 => {
                    let digest = Digest::from_bytes(*self.take(32)?.first_chunk()?);
                    let size = self.number()?;
                    blob::looks_whole(places.blobs.as_fd(), &digest, size)
                }
                3 => {
                    let length = self.length()?;
                    let (device, inode) = (self.number()?, self.number()?);
                    let type_bits = u32::from_le_bytes(*self.take(4)?.first_chunk()?);
                    let path = self.take(length)?;
                    statat(&places.root, path, AtFlags::SYMLINK_NOFOLLOW)
                        .is_ok_and(|now| (now.st_dev, now.st_ino, kind(&now)) == (device, inode, type_bits))
                }
                _ => return None,
            };
            if !unmoved {
                return Some(false);
            }
        }
        Some(true)
    }
}

fn regular(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// The digest of a file whose stat stays `known` while it is read.
fn hashed_again(places: &Places, path: &[u8], known: &[u8]) -> Option<Digest> {
    let file = openat(&places.root, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()).ok()?;
    let file = File::from(file);
    let same = |file: &File| -> io::Result<bool> { Ok(Stat::of(&file.metadata()?).bytes() == known) };
    if !same(&file).ok()? {
        return None;
    }
    let digest = hash_file(&file, file.metadata().ok()?.len()).ok()?;
    same(&file).ok()?.then_some(digest)
}
