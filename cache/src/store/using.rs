//! The processes that have the store open, since when, and the records that they use. The collector
//! leaves those alone.
//!
//! Each process has a file in `users-v1/`, locked by the kernel as long as the process lives:
//!
//! ```text
//! moment by the boot clock, space, moment by the file system's clock, newline, keys of 32 bytes
//! each
//! ```
//!
//! The moments are when the process opened the store, in nanoseconds. The second is by the clock
//! that also gives blobs their change times. The first is by a clock that cannot be set, and shows
//! whether the other one was set since. The keys are those of the records that the process has made
//! or used. Those records stay as long as the process lives.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::time::{ClockId, clock_gettime};

use crate::store::layout;
use crate::{Digest, DigestSet};

/// Largest drift between the two clocks, in nanoseconds. A larger one means that a clock was set.
const MAX_DRIFT_NS: i128 = 1_000_000_000;
/// Most keys that are held before they are written.
const MAX_BATCH: usize = 256;

/// The entry of this process, until dropped or until the process ends.
#[derive(Debug)]
pub(crate) struct User {
    path: PathBuf,
    /// Its file stays open, which holds the lock.
    entry: Mutex<Entry>,
}

#[derive(Debug)]
struct Entry {
    file: File,
    held: DigestSet,
    /// Keys that are not written to the file yet.
    unwritten: Vec<u8>,
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl User {
    /// Enters this process.
    ///
    /// # Errors
    /// When the folder cannot be written. On a read-only file system no collector can work either.
    pub(crate) fn enter(folder: &Path) -> io::Result<Self> {
        loop {
            let path = folder.join(layout::fresh_name());
            let open = || OpenOptions::new().write(true).create_new(true).open(&path);
            let mut file = match open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(folder)?;
                    open()?
                }
                other => other?,
            };
            file.lock()?;
            // A collector between the two steps takes the unlocked file for one of a dead process
            // and removes it. Then this starts over.
            if fs::symlink_metadata(&path)
                .is_ok_and(|named| file.metadata().is_ok_and(|ours| named.ino() == ours.ino()))
            {
                writeln!(file, "{} {}", boot_ns(), written_at(&file.metadata()?))?;
                let entry = Mutex::new(Entry { file, held: DigestSet::default(), unwritten: Vec::new() });
                return Ok(Self { path, entry });
            }
        }
    }

    /// Notes a key that is in use from now on. Other processes see it after [`User::tell`] at the
    /// latest.
    pub(crate) fn hold(&self, key: &Digest) {
        let mut entry = self.entry.lock().unwrap_or_else(PoisonError::into_inner);
        if entry.held.insert(*key) {
            entry.unwritten.extend_from_slice(key.as_bytes());
            if entry.unwritten.len() >= MAX_BATCH * 32 {
                entry.tell();
            }
        }
    }

    /// Writes the held keys, so that other processes see them.
    pub(crate) fn tell(&self) {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner).tell();
    }
}

impl Entry {
    fn tell(&mut self) {
        if !self.unwritten.is_empty() {
            // If this fails, a collector may evict one of these records, which is then a miss.
            let _ = self.file.write_all(&self.unwritten);
            self.unwritten.clear();
        }
    }
}

/// Since when other processes have been using the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// No other process uses it.
    Nobody,
    /// The first of them opened it at this moment, in nanoseconds since 1970.
    Moment(i128),
    /// The clock was set since, so no times can be compared.
    Unknown,
}

/// When a file was last written, by the file system's clock.
fn written_at(meta: &fs::Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

/// The content of an entry.
struct Content {
    boot: i128,
    /// `None` from older programs; the file's modification time stands for it.
    opened: Option<i128>,
    held: DigestSet,
}

impl Content {
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let mut moments = std::str::from_utf8(&bytes[..end]).ok()?.split(' ').map(str::parse::<i128>);
        let boot = moments.next()?.ok()?;
        let opened = moments.next().transpose().ok()?;
        let (keys, _) = bytes.get(end + 1..).unwrap_or_default().as_chunks::<32>();
        Some(Self { boot, opened, held: keys.iter().map(|key| Digest::from_bytes(*key)).collect() })
    }
}

/// Reads the entries of other processes: since when they use the store, and which keys they hold.
/// It removes the entries of dead processes.
pub(crate) fn others(folder: &Path, own: Option<&User>) -> (Since, DigestSet) {
    let mut since = Since::Nobody;
    let mut held = DigestSet::default();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if own.is_some_and(|own| own.path == path) {
            continue;
        }
        let Ok(mut file) = File::open(&path) else { continue };
        // A lock that can be taken belongs to a dead process.
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(&path);
            continue;
        }
        let mut bytes = Vec::new();
        let content = file.read_to_end(&mut bytes).ok().and_then(|_| Content::read(&bytes));
        // An entry that is not complete yet is of a process that opens the store just now.
        let (Some(content), Ok(meta)) = (content, file.metadata()) else {
            since = Since::Unknown;
            continue;
        };
        let opened = content.opened.unwrap_or_else(|| written_at(&meta));
        held.extend(content.held);
        // The time since the opening must be the same by both clocks.
        let set = ((layout::now_ns() - opened) - (boot_ns() - content.boot)).abs() > MAX_DRIFT_NS;
        since = match since {
            Since::Unknown => Since::Unknown,
            _ if set => Since::Unknown,
            Since::Moment(first) => Since::Moment(first.min(opened)),
            Since::Nobody => Since::Moment(opened),
        };
    }
    (since, held)
}

/// Nanoseconds since the machine started. This clock cannot be set.
fn boot_ns() -> i128 {
    let now = clock_gettime(ClockId::Boottime);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_count_and_the_dead_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users");
        let own = User::enter(&users).unwrap();
        let nobody = (Since::Nobody, DigestSet::default());
        assert_eq!(others(&users, Some(&own)), nobody);
        let other = User::enter(&users).unwrap();
        assert!(matches!(others(&users, Some(&own)), (Since::Moment(_), held) if held.is_empty()));
        // What it holds is seen when it says so, or when there is much of it; that does not move
        // the moment it came.
        let (before, _) = others(&users, Some(&own));
        let keys: Vec<Digest> = (0..300u32).map(|number| Digest::of(&number.to_le_bytes())).collect();
        keys.iter().chain(&keys).for_each(|key| other.hold(key));
        assert_eq!(others(&users, Some(&own)).1.len(), MAX_BATCH);
        other.tell();
        assert_eq!(others(&users, Some(&own)), (before, keys.into_iter().collect()));
        // Killed: the lock is gone, the file is there.
        fs::write(users.join("dead"), "1").unwrap();
        drop(other);
        assert_eq!(others(&users, Some(&own)), nobody);
        assert!(!users.join("dead").exists());
    }

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let other = User::enter(folder.path()).unwrap();
        let hour = 3_600_000_000_000;
        for text in [format!("{} {}\n", boot_ns(), layout::now_ns() + hour), format!("{}", boot_ns() - hour)] {
            fs::write(&other.path, text).unwrap();
            assert_eq!(others(folder.path(), None).0, Since::Unknown);
        }
        // As an older program writes it.
        fs::write(&other.path, format!("{}", boot_ns())).unwrap();
        assert!(matches!(others(folder.path(), None).0, Since::Moment(_)));
    }
}
