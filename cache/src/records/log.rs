//! A packed, append-only log of small entries by digest. Records, memos, file hashes and runs are
//! all such logs.
//!
//! ```text
//! entry  = header label payload
//! header = magic(4) kind(1) 0(1) label length(2) payload length(4) 0(4) time(8) key(32)
//!          payload check(8) header check(8)
//! ```
//!
//! Numbers are little-endian; times are milliseconds since 1970. The header check covers the header
//! and the label, so a scan can trust lengths without reading payloads. The payload check is
//! compared when a payload is read. The file has no header of its own: the version is in the name
//! of its folder.
//!
//! - **Reading** maps the file once and scans its headers into a hash map. After a damaged header
//!   the scan looks for the next whole one, so damage costs only the entries that it hit.
//! - **Writing** is one `pwrite` at the end, under a kernel lock (`lock` beside the log). Bytes
//!   after the last whole entry are the torn tail of a dead writer and are cut off first.
//! - **Other processes** append too: a miss compares the file's size and reads the new tail.
//! - **Compaction** writes the live entries to a new file and renames it over the old one. A
//!   process with the old file open notices the other inode.
//!
//! Appends are not synced to disk. A power cut may lose the newest entries, which are then misses,
//! never wrong answers.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::BuildHasherDefault;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memmap2::Mmap;

use crate::records::map;
use crate::store::layout;
use crate::{Digest, DigestMap, StoreError, fault};
use fold::Uniform;

const MAGIC: [u8; 4] = [0xf7, b'P', b'L', b'1'];
/// Length of a header in bytes, without its label.
const HEADER_BYTES: usize = 72;
/// Most dead bytes that are left in the file. Fewer are not worth a compaction.
const MAX_DEAD_BYTES: u64 = 4 << 20;
/// Most bytes that wait in the queue before they are written.
const MAX_QUEUED_BYTES: usize = 1 << 20;

/// The meaning of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The key has this payload from this entry on.
    Put = 1,
    /// The key was used.
    Touch = 2,
}

/// A packed log. Making one is cheap: the file is opened at the first use.
pub(crate) struct Log {
    folder: PathBuf,
    path: PathBuf,
    state: Mutex<State>,
}

/// The place of an entry in the file.
#[derive(Debug, Clone, Copy)]
struct Slot {
    start: u64,
    label: u16,
    payload: u32,
}

impl Slot {
    fn length(&self) -> u64 {
        (HEADER_BYTES + usize::from(self.label)) as u64 + u64::from(self.payload)
    }
    fn label(&self) -> Range<u64> {
        let start = self.start + HEADER_BYTES as u64;
        start..start + u64::from(self.label)
    }
    fn payload(&self) -> Range<u64> {
        let start = self.label().end;
        start..start + u64::from(self.payload)
    }
}

/// The entries of one key.
#[derive(Debug, Clone, Copy)]
struct Keyed {
    newest: Slot,
    /// The put before the newest one: another result for the same key.
    older: Option<Slot>,
    /// Time of the newest put or touch.
    used: u64,
}

/// Device and inode: the file behind a name.
type FileId = (u64, u64);

#[derive(Default)]
struct State {
    loaded: bool,
    file: Option<File>,
    inode: FileId,
    writable: bool,
    map: Option<Mmap>,
    /// Position after the last whole entry.
    end: u64,
    /// Size of the file at the last scan.
    seen: u64,
    /// Bytes of puts that are still in use.
    live: u64,
    keys: DigestMap<Keyed>,
    /// The key last put or touched under a label, by the hash of the label.
    labels: HashMap<u64, Digest, BuildHasherDefault<Uniform>>,
    /// Encoded entries that are not written yet.
    queue: Vec<u8>,
    /// The payloads among them, so that this process sees them already.
    queued: DigestMap<Vec<u8>>,
}

/// One key, as [`Log::all`] lists it.
pub(crate) struct Listed {
    pub key: Digest,
    pub used: u64,
    pub payloads: Vec<Vec<u8>>,
}

impl Log {
    /// A log in this folder, which need not exist before the first write.
    pub(crate) fn new(folder: PathBuf) -> Self {
        let path = folder.join("log");
        Self { folder, path, state: Mutex::default() }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The newest payload of a key.
    pub(crate) fn get(&self, key: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let mut state = self.state()?;
        if let Some(value) = state.queued.get(key) {
            return Ok(Some(value.clone()));
        }
        if let Some(found) = self.read_key(&state, key) {
            return Ok(Some(found));
        }
        // Another process may have written it since the last scan.
        Ok(if self.refresh(&mut state)? { self.read_key(&state, key) } else { None })
    }

    /// The newest payload, and the one before it when there was another.
    pub(crate) fn versions(&self, key: &Digest) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut state = self.state()?;
        self.refresh(&mut state)?;
        let slots = state.keys.get(key).map(|keyed| [Some(keyed.newest), keyed.older]);
        Ok(slots.into_iter().flatten().flatten().filter_map(|slot| state.payload(&slot)).collect())
    }

    /// Whether there is a payload before the newest one.
    pub(crate) fn several(&self, key: &Digest) -> Result<bool, StoreError> {
        Ok(self.state()?.keys.get(key).is_some_and(|keyed| keyed.older.is_some()))
    }

    /// The key last put or touched under a label.
    pub(crate) fn last(&self, label: &str) -> Result<Option<Digest>, StoreError> {
        let mut state = self.state()?;
        self.refresh(&mut state)?;
        Ok(state.labels.get(&mix(0, label.as_bytes())).copied())
    }

    /// Keys put or touched under a label, newest first, each once.
    pub(crate) fn history(&self, label: &str, limit: usize) -> Result<Vec<Digest>, StoreError> {
        // Queued touches count, too, and the scan below reads only the file.
        self.flush()?;
        let mut state = self.state()?;
        self.refresh(&mut state)?;
        let mut keys = Vec::new();
        let bytes = state.whole().map_err(|source| StoreError::io(&self.path, "read", source))?;
        scan(&bytes, 0, |header, slot| {
            if range(&bytes, slot.label()) == label.as_bytes() {
                keys.push(header.key);
            }
        });
        let mut seen = HashSet::new();
        Ok(keys.into_iter().rev().filter(|key| seen.insert(*key)).take(limit).collect())
    }

    /// Appends an entry now, unless `decide` objects. `decide` gets the newest payload of the key,
    /// and runs under the writer's lock: no other process can write between the decision and the
    /// append.
    pub(crate) fn put(
        &self,
        key: &Digest,
        label: &str,
        payload: &[u8],
        decide: impl FnOnce(Option<&[u8]>) -> bool,
    ) -> Result<(), StoreError> {
        let bytes = encode(Kind::Put, key, label, payload, layout::now_ms(), &self.path)?;
        let mut state = self.state()?;
        self.locked(&mut state, |log, state| {
            if decide(log.read_key(state, key).as_deref()) { log.append(state, &bytes) } else { Ok(()) }
        })
    }

    /// Queues an entry. This process sees it at once, other processes after [`Log::flush`] or once
    /// the queue is full.
    pub(crate) fn queue(&self, key: &Digest, payload: &[u8]) -> Result<(), StoreError> {
        let bytes = encode(Kind::Put, key, "", payload, layout::now_ms(), &self.path)?;
        let mut state = self.state()?;
        state.queue.extend_from_slice(&bytes);
        state.queued.insert(*key, payload.to_vec());
        let full = state.queue.len() > MAX_QUEUED_BYTES;
        // `flush` takes the same mutex.
        drop(state);
        if full { self.flush() } else { Ok(()) }
    }

    /// Notes that a key was used under a label, unless the log has such a note from the last
    /// `fresh` milliseconds.
    pub(crate) fn touch(&self, label: &str, key: &Digest, fresh: u64) -> Result<(), StoreError> {
        let now = layout::now_ms();
        let mut state = self.state()?;
        let name = mix(0, label.as_bytes());
        let known = state.keys.get(key).is_some_and(|keyed| keyed.used + fresh > now);
        if known && state.labels.get(&name).is_some_and(|last| last == key) {
            return Ok(());
        }
        let bytes = encode(Kind::Touch, key, label, &[], now, &self.path)?;
        state.queue.extend_from_slice(&bytes);
        state.labels.insert(name, *key);
        if let Some(keyed) = state.keys.get_mut(key) {
            keyed.used = now;
        }
        Ok(())
    }

    /// Writes the queue.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.queue.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut state.queue);
        let result = self.locked(&mut state, |log, state| log.append(state, &bytes));
        // Entries that could not be written are dropped: they were memos or touches. A full disk
        // must not make the queue grow without end.
        state.queued.clear();
        result
    }

    /// Every key with its payloads (newest first) and when it was last used.
    pub(crate) fn all(&self) -> Result<Vec<Listed>, StoreError> {
        let mut state = self.state()?;
        self.refresh(&mut state)?;
        let list = state.keys.iter().map(|(key, keyed)| Listed {
            key: *key,
            used: keyed.used,
            payloads: [Some(keyed.newest), keyed.older]
                .iter()
                .flatten()
                .filter_map(|slot| state.payload(slot))
                .collect(),
        });
        Ok(list.collect())
    }

    /// Visits the newest payload of each key, the last put first, until `visit` returns false.
    pub(crate) fn newest(&self, visit: impl FnMut(Vec<u8>) -> bool) -> Result<(), StoreError> {
        let mut state = self.state()?;
        self.refresh(&mut state)?;
        let mut slots: Vec<Slot> = state.keys.values().map(|keyed| keyed.newest).collect();
        slots.sort_unstable_by_key(|slot| std::cmp::Reverse(slot.start));
        let _ = slots.iter().filter_map(|slot| state.payload(slot)).all(visit);
        Ok(())
    }

    /// Rewrites the log without dead entries and without the keys that `keep` rejects. Writes
    /// nothing if nothing changes.
    pub(crate) fn compact(&self, keep: impl Fn(&Digest) -> bool) -> Result<(), StoreError> {
        let mut state = self.state()?;
        if state.file.is_none() && !self.path.exists() {
            return Ok(());
        }
        self.locked(&mut state, |log, state| log.rewrite(state, &keep))
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.loaded {
            self.refresh(&mut state)?;
            state.loaded = true;
        }
        Ok(state)
    }

    fn read_key(&self, state: &State, key: &Digest) -> Option<Vec<u8>> {
        let keyed = state.keys.get(key)?;
        // A damaged payload counts as never written.
        state.payload(&keyed.newest).or_else(|| state.payload(&keyed.older?))
    }

    /// Reads what other processes have appended. Returns whether there was anything.
    fn refresh(&self, state: &mut State) -> Result<bool, StoreError> {
        let Some((inode, size)) = self.look()? else { return Ok(false) };
        if state.file.is_some() && state.inode == inode && state.settled(size) {
            return Ok(false);
        }
        // A writer could cut off a torn tail during the scan, so the lock is held. Without locks in
        // the file system the scan goes on all the same: a wrong entry fails its check.
        let lock = File::open(self.folder.join("lock"));
        let held = lock.as_ref().is_ok_and(|lock| lock.lock_shared().is_ok());
        let result = self.catch_up(state);
        if let (true, Ok(lock)) = (held, &lock) {
            let _ = lock.unlock();
        }
        result
    }

    fn look(&self) -> Result<Option<(FileId, u64)>, StoreError> {
        match fs::metadata(&self.path) {
            Ok(meta) => Ok(Some(((meta.dev(), meta.ino()), meta.len()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(&self.path, "read", error)),
        }
    }

    /// Opens the file if it is new or was replaced, and scans the part that was not scanned yet.
    fn catch_up(&self, state: &mut State) -> Result<bool, StoreError> {
        let failed = |source| StoreError::io(&self.path, "read", source);
        let Some((inode, _)) = self.look()? else {
            if state.file.is_some() {
                // The file was deleted while this process used it. It starts over, and keeps its
                // queue.
                let (queue, queued) = (std::mem::take(&mut state.queue), std::mem::take(&mut state.queued));
                *state = State { loaded: true, queue, queued, ..State::default() };
            }
            return Ok(false);
        };
        if state.file.is_none() || state.inode != inode {
            state.reset(File::open(&self.path).map_err(failed)?).map_err(failed)?;
        }
        let Some(file) = &state.file else { return Ok(false) };
        let size = file.metadata().map_err(failed)?.len();
        if state.settled(size) {
            return Ok(false);
        }
        if size < state.end {
            // Another program has shortened the file, so the map may end beyond it. Start over
            // without the map.
            let file = File::open(&self.path).map_err(failed)?;
            state.reset(file).map_err(failed)?;
        }
        // Only the first scan maps the file. Later tails are small and are read.
        let from = state.end;
        if from == 0 && size > 0 && state.map.is_none() {
            let Some(file) = &state.file else { return Ok(false) };
            let map = map::map(file, size as usize).map_err(failed)?;
            state.index(&map, 0);
            state.map = Some(map);
        } else if size > from {
            let mut tail = vec![0; (size - from) as usize];
            let Some(file) = &state.file else { return Ok(false) };
            file.read_exact_at(&mut tail, from).map_err(failed)?;
            state.index(&tail, from);
        }
        state.seen = size;
        Ok(state.end > from)
    }

    /// Runs `write` under the writer's lock, after a scan of everything that other processes have
    /// written.
    fn locked(
        &self,
        state: &mut State,
        write: impl FnOnce(&Self, &mut State) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let path = self.folder.join("lock");
        fault::point("log.lock").map_err(|source| StoreError::io(&path, "lock", source))?;
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let lock = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder)
                    .map_err(|source| StoreError::io(&self.folder, "create folder", source))?;
                open()
            }
            other => other,
        }
        .map_err(|source| StoreError::io(&path, "open", source))?;
        lock.lock().map_err(|source| StoreError::io(&path, "lock", source))?;
        self.catch_up(state)?;
        write(self, state)
        // Dropping `lock` releases it.
    }

    fn append(&self, state: &mut State, bytes: &[u8]) -> Result<(), StoreError> {
        let failed = |source| StoreError::io(&self.path, "write", source);
        if !state.writable {
            fault::point("log.create").map_err(failed)?;
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path);
            let file = open.map_err(failed)?;
            let meta = file.metadata().map_err(failed)?;
            if state.file.is_none() {
                state.inode = (meta.dev(), meta.ino());
            }
            state.file = Some(file);
            state.writable = true;
        }
        let Some(file) = &state.file else { return Ok(()) };
        if state.seen > state.end {
            // The torn tail of a dead writer. No living process can be writing: this one holds the
            // lock.
            file.set_len(state.end).map_err(failed)?;
        }
        let write = || {
            fault::point("log.append")?;
            if fault::armed() {
                file.write_all_at(&bytes[..bytes.len() / 2], state.end)?;
                fault::point("log.half")?;
            }
            file.write_all_at(bytes, state.end)?;
            fault::point("log.appended")
        };
        if let Err(error) = write() {
            // If this fails, too, the next writer cuts the torn tail off.
            let _ = file.set_len(state.end);
            state.seen = state.end;
            return Err(failed(error));
        }
        state.index(bytes, state.end);
        state.seen = state.end;
        if state.end > state.live + MAX_DEAD_BYTES && state.end > 2 * state.live {
            self.rewrite(state, &|_| true)?;
        }
        Ok(())
    }

    fn rewrite(&self, state: &mut State, keep: &dyn Fn(&Digest) -> bool) -> Result<(), StoreError> {
        let failed = |source| StoreError::io(&self.path, "write", source);
        let bytes = state.whole().map_err(failed)?;
        let mut entries: Vec<(Kind, Digest, Slot)> = Vec::new();
        scan(&bytes, 0, |header, slot| entries.push((header.kind, header.key, slot)));
        // Kept are the puts in the index, the last touch of each key, and the last touch of each
        // label. The loop runs from the newest entry, so the first touch that it meets is the last
        // one.
        let (mut touched, mut named) = (HashSet::new(), HashSet::new());
        let mut kept: Vec<Slot> = entries
            .into_iter()
            .rev()
            .filter(|(kind, key, slot)| {
                let Some(keyed) = state.keys.get(key).filter(|_| keep(key)) else { return false };
                match kind {
                    Kind::Put => {
                        slot.start == keyed.newest.start || keyed.older.is_some_and(|older| older.start == slot.start)
                    }
                    Kind::Touch => {
                        // Not `||`: both sets must learn of this touch.
                        let label = range(&bytes, slot.label());
                        touched.insert(*key) | named.insert(mix(0, label))
                    }
                }
            })
            .map(|(_, _, slot)| slot)
            .collect();
        kept.reverse();
        let length: u64 = kept.iter().map(Slot::length).sum();
        if length == state.end && state.seen == state.end {
            return Ok(());
        }
        let mut packed = Vec::with_capacity(length as usize);
        for slot in kept {
            packed.extend_from_slice(range(&bytes, slot.start..slot.start + slot.length()));
        }
        let temporary = self.folder.join("log.new");
        let write = || {
            fault::point("log.pack")?;
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary)?;
            file.write_all_at(&packed, 0)?;
            // The one sync of the log: a rename of unwritten bytes could lose every entry in a
            // power cut.
            file.sync_data()?;
            fault::point("log.replace")?;
            fs::rename(&temporary, &self.path)
        };
        if let Err(error) = write() {
            let _ = fs::remove_file(&temporary);
            return Err(failed(error));
        }
        self.catch_up(state).map(|_| ())
    }
}

impl State {
    /// Starts over with another file. The queue survives.
    fn reset(&mut self, file: File) -> io::Result<()> {
        let meta = file.metadata()?;
        let (queue, queued) = (std::mem::take(&mut self.queue), std::mem::take(&mut self.queued));
        *self = Self {
            loaded: self.loaded,
            inode: (meta.dev(), meta.ino()),
            file: Some(file),
            queue,
            queued,
            ..Self::default()
        };
        Ok(())
    }

    /// Whether everything in a file of this size was scanned. After a torn tail the size alone does
    /// not prove it: the next writer cuts the tail off and may end at the very same byte.
    fn settled(&self, size: u64) -> bool {
        size == self.seen && size == self.end
    }

    fn index(&mut self, bytes: &[u8], base: u64) {
        let mut end = self.end;
        if base == 0 {
            // A guess at the number of entries, which avoids most reallocations.
            self.keys.reserve(bytes.len() / 1024);
        }
        scan(bytes, base, |header, slot| {
            end = slot.start + slot.length();
            match header.kind {
                Kind::Put => {
                    let before = self.keys.get(&header.key).copied();
                    self.live += slot.length();
                    if let Some(older) = before.and_then(|keyed| keyed.older) {
                        self.live -= older.length();
                    }
                    // Entries without a label are memos, of which only the newest counts.
                    let mut older = before.map(|keyed| keyed.newest);
                    if slot.label == 0
                        && let Some(replaced) = older.take()
                    {
                        self.live -= replaced.length();
                    }
                    self.keys.insert(header.key, Keyed { newest: slot, older, used: header.time });
                }
                Kind::Touch => {
                    if let Some(keyed) = self.keys.get_mut(&header.key) {
                        keyed.used = keyed.used.max(header.time);
                    }
                }
            }
            if slot.label > 0 {
                let label = slot.label();
                let label = mix(0, range(bytes, label.start - base..label.end - base));
                self.labels.insert(label, header.key);
            }
        });
        self.end = end;
    }

    fn payload(&self, slot: &Slot) -> Option<Vec<u8>> {
        let read = |range: Range<u64>| -> Option<Vec<u8>> {
            // Entries appended after the map was made are read from the file.
            if let Some(map) = self.map.as_ref().filter(|map| range.end <= map.len() as u64) {
                return Some(map[range.start as usize..range.end as usize].to_vec());
            }
            let mut bytes = vec![0; (range.end - range.start) as usize];
            self.file.as_ref()?.read_exact_at(&mut bytes, range.start).ok()?;
            Some(bytes)
        };
        let check = read(slot.start + 56..slot.start + 64)?;
        let payload = read(slot.payload())?;
        (mix(1, &payload).to_le_bytes() == check[..]).then_some(payload)
    }

    /// The bytes of all whole entries. Not from the map, which may lack the newest ones.
    fn whole(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.end as usize];
        if let Some(file) = &self.file {
            file.read_exact_at(&mut bytes, 0)?;
        }
        Ok(bytes)
    }
}

struct Header {
    kind: Kind,
    time: u64,
    key: Digest,
}

fn encode(
    kind: Kind,
    key: &Digest,
    label: &str,
    payload: &[u8],
    time: u64,
    path: &Path,
) -> Result<Vec<u8>, StoreError> {
    let too_long = || StoreError::Unstorable { path: path.to_owned(), why: "an entry is too long".to_owned() };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + label.len() + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[kind as u8, 0]);
    bytes.extend_from_slice(&u16::try_from(label.len()).map_err(|_| too_long())?.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(payload.len()).map_err(|_| too_long())?.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&time.to_le_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(&mix(1, payload).to_le_bytes());
    let check = header_check(&bytes, label.as_bytes());
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes.extend_from_slice(label.as_bytes());
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// Visits every whole entry of `bytes`, which begin at `base` in the file.
fn scan(bytes: &[u8], base: u64, mut visit: impl FnMut(Header, Slot)) {
    let mut at = 0;
    while at + HEADER_BYTES <= bytes.len() {
        match entry(&bytes[at..]) {
            Found::Whole(header, label, payload) => {
                visit(header, Slot { start: base + at as u64, label, payload });
                at += HEADER_BYTES + usize::from(label) + payload as usize;
            }
            // A whole header without all of its entry: the tail of a write that was cut short.
            Found::Torn => return,
            Found::Nothing => {
                let rest = &bytes[at + 1..];
                match rest.windows(MAGIC.len()).position(|window| window == MAGIC) {
                    Some(skip) => at += 1 + skip,
                    None => return,
                }
            }
        }
    }
}

enum Found {
    Whole(Header, u16, u32),
    Torn,
    Nothing,
}

fn entry(bytes: &[u8]) -> Found {
    let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else { return Found::Nothing };
    let kind = match head[4] {
        1 => Kind::Put,
        2 => Kind::Touch,
        _ => return Found::Nothing,
    };
    let label = u16::from_le_bytes([head[6], head[7]]);
    let payload = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    let Some(name) = bytes.get(HEADER_BYTES..HEADER_BYTES + usize::from(label)) else { return Found::Nothing };
    if head[..4] != MAGIC || header_check(&head[..64], name) != word(&head[64..]) {
        return Found::Nothing;
    }
    if bytes.len() < HEADER_BYTES + usize::from(label) + payload as usize {
        return Found::Torn;
    }
    let mut key = [0; 32];
    key.copy_from_slice(&head[24..56]);
    Found::Whole(Header { kind, time: word(&head[16..24]), key: Digest::from_bytes(key) }, label, payload)
}

fn header_check(head: &[u8], label: &[u8]) -> u64 {
    mix(mix(2, head), label)
}

fn range(bytes: &[u8], range: Range<u64>) -> &[u8] {
    bytes.get(range.start as usize..range.end as usize).unwrap_or_default()
}

fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// A check against damage, not against malice. Each step is a bijection of the state, so damage
/// within one word is always found. Other damage is missed once in 2^64.
pub(crate) fn mix(seed: u64, bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = (seed ^ bytes.len() as u64).wrapping_mul(ODD);
    let mut step = |word: u64| {
        state = (state ^ word).wrapping_mul(ODD);
        state ^= state >> 32;
    };
    let mut words = bytes.chunks_exact(8);
    words.by_ref().for_each(|chunk| step(word(chunk)));
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        step(u64::from_le_bytes(last));
    }
    step(seed);
    state
}

#[cfg(test)]
mod tests;
