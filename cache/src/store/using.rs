//! Which processes have the store open, and since when: what the collector leaves to them.
//!
//! Each has a file in `users-v1/`, locked by the kernel as long as it lives:
//!
//! ```text
//! moment by the clock nobody can set, space, moment by the file system's clock, newline, keys of 32 bytes each
//! ```
//!
//! The moments are when the process came, in nanoseconds. The second is by the clock that also gives blobs their change times; the
//! first tells when that one was set meanwhile. The keys are those of the records it has made or used: they stay as long as it does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::time::{ClockId, clock_gettime};

use crate::store::layout;
use crate::{Digest, DigestSet};

/// How far the two clocks may drift apart, in nanoseconds, before one of them was set.
const DRIFT: i128 = 1_000_000_000;
/// So many keys are written down at once.
const BATCH: usize = 256;

/// The entry of this process, until dropped or until the process ends.
#[derive(Debug)]
pub(crate) struct User {
    path: PathBuf,
    // Locked by being open.
    entry: Mutex<Entry>,
}

#[derive(Debug)]
struct Entry {
    file: File,
    held: DigestSet,
    /// Keys that are not written down yet.
    untold: Vec<u8>,
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
    /// Where the folder cannot be written (a read-only file system: nothing is collected there either).
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
            // A collector that came between the two took it for a dead one's.
            if fs::symlink_metadata(&path)
                .is_ok_and(|there| file.metadata().is_ok_and(|ours| there.ino() == ours.ino()))
            {
                writeln!(file, "{} {}", boot_ns(), came(&file.metadata()?))?;
                let entry = Mutex::new(Entry { file, held: DigestSet::default(), untold: Vec::new() });
                return Ok(Self { path, entry });
            }
        }
    }

    /// Takes note of a key that is used from now on. Others see it at the latest after [`User::tell`].
    pub(crate) fn hold(&self, key: &Digest) {
        let mut entry = self.entry.lock().unwrap_or_else(PoisonError::into_inner);
        if entry.held.insert(*key) {
            entry.untold.extend_from_slice(key.as_bytes());
            if entry.untold.len() >= BATCH * 32 {
                entry.tell();
            }
        }
    }

    /// Lets others see what is held.
    pub(crate) fn tell(&self) {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner).tell();
    }
}

impl Entry {
    fn tell(&mut self) {
        if !self.untold.is_empty() {
            // Where it cannot be written a collector may take a record: a miss later, nothing worse.
            let _ = self.file.write_all(&self.untold);
            self.untold.clear();
        }
    }
}

/// Since when others have been using the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// Nobody else is there.
    Nobody,
    /// Everything that changed before (nanoseconds since 1970) is none of their business.
    Moment(i128),
    /// The clock was set while somebody was there: no time can be compared.
    Unknown,
}

/// When a file was written last, by the file system's clock.
fn came(meta: &fs::Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

/// What an entry says.
struct Said {
    boot: i128,
    /// Older programs leave it to the file's modification time.
    came: Option<i128>,
    held: DigestSet,
}

impl Said {
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let mut moments = std::str::from_utf8(&bytes[..end]).ok()?.split(' ').map(str::parse::<i128>);
        let boot = moments.next()?.ok()?;
        let came = moments.next().transpose().ok()?;
        let (keys, _) = bytes.get(end + 1..).unwrap_or_default().as_chunks::<32>();
        Some(Self { boot, came, held: keys.iter().map(|key| Digest::from_bytes(*key)).collect() })
    }
}

/// Looks at who is there besides `own`, and which keys they hold; removes the entries of the dead.
pub(crate) fn others(folder: &Path, own: Option<&User>) -> (Since, DigestSet) {
    let mut since = Since::Nobody;
    let mut held = DigestSet::default();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if own.is_some_and(|own| own.path == path) {
            continue;
        }
        let Ok(mut file) = File::open(&path) else { continue };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(&path);
            continue;
        }
        let mut bytes = Vec::new();
        let said = file.read_to_end(&mut bytes).ok().and_then(|_| Said::read(&bytes));
        let (Some(said), Ok(meta)) = (said, file.metadata()) else {
            since = Since::Unknown;
            continue;
        };
        let came = said.came.unwrap_or_else(|| came(&meta));
        held.extend(said.held);
        let set = ((layout::now_ns() - came) - (boot_ns() - said.boot)).abs() > DRIFT;
        since = match since {
            Since::Unknown => Since::Unknown,
            _ if set => Since::Unknown,
            Since::Moment(first) => Since::Moment(first.min(came)),
            Since::Nobody => Since::Moment(came),
        };
    }
    (since, held)
}

/// Nanoseconds since the machine started; nobody sets this clock.
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
        // What it holds is seen when it says so, or when there is much of it; that does not move the moment it came.
        let (before, _) = others(&users, Some(&own));
        let keys: Vec<Digest> = (0..300u32).map(|number| Digest::of(&number.to_le_bytes())).collect();
        keys.iter().chain(&keys).for_each(|key| other.hold(key));
        assert_eq!(others(&users, Some(&own)).1.len(), BATCH);
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
