//! Which processes have the store open, and since when: what the collector leaves to them.
//!
//! Each has a file in `users-v1/`, locked by the kernel as long as it lives. The file's modification time, from the clock
//! that also gives blobs their change times, is when the process came; its text is the same moment by the clock that
//! nobody can set, which tells when the other one was set meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

use crate::layout;

/// How far the two clocks may drift apart, in nanoseconds, before one of them was set.
const DRIFT: i128 = 1_000_000_000;

/// The entry of this process, until dropped or until the process ends.
#[derive(Debug)]
pub(crate) struct User {
    path: PathBuf,
    // Held by being open.
    _file: File,
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
                write!(file, "{}", boot_ns())?;
                return Ok(Self { path, _file: file });
            }
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

/// Looks at who is there besides `own`; removes the entries of the dead.
pub(crate) fn others(folder: &Path, own: Option<&User>) -> Since {
    let mut since = Since::Nobody;
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
        let mut text = String::new();
        let boot = file.read_to_string(&mut text).ok().and_then(|_| text.parse::<i128>().ok());
        let (Some(boot), Ok(meta)) = (boot, file.metadata()) else { return Since::Unknown };
        let came = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        if ((layout::now_ns() - came) - (boot_ns() - boot)).abs() > DRIFT {
            return Since::Unknown;
        }
        since = match since {
            Since::Moment(first) => Since::Moment(first.min(came)),
            _ => Since::Moment(came),
        };
    }
    since
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
        assert_eq!(others(&users, Some(&own)), Since::Nobody);
        let other = User::enter(&users).unwrap();
        assert!(matches!(others(&users, Some(&own)), Since::Moment(_)));
        // Killed: the lock is gone, the file is there.
        fs::write(users.join("dead"), "1").unwrap();
        drop(other);
        assert_eq!(others(&users, Some(&own)), Since::Nobody);
        assert!(!users.join("dead").exists());
    }

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let other = User::enter(folder.path()).unwrap();
        let hour = std::time::Duration::from_secs(3600);
        let file = File::options().append(true).open(&other.path).unwrap();
        file.set_modified(std::time::SystemTime::now() + hour).unwrap();
        assert_eq!(others(folder.path(), None), Since::Unknown);
    }
}
