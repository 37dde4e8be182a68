//! What can go wrong with a store, in words for its user.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::Digest;

/// An error of the store. Each has a stable [code](StoreError::code) and a [help](StoreError::help) line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk, the quota or the file size limit is exhausted. Nothing half-written was kept.
    #[error("no space left to write `{}`", path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// The file system is mounted read-only.
    #[error("`{}` is on a read-only file system", path.display())]
    ReadOnly {
        /// What could not be written.
        path: PathBuf,
    },
    /// The user may not read or write there.
    #[error("no permission for `{}`", path.display())]
    Permission {
        /// What could not be opened.
        path: PathBuf,
    },
    /// The bytes of a blob are not what its name says, or it is gone.
    #[error("blob `{}` is missing or damaged", digest.short())]
    Damaged {
        /// The digest of what it should be.
        digest: Digest,
    },
    /// The store was written by a newer version of this program.
    #[error("the store `{}` has format {found}, newer than the {known} known here", path.display())]
    NewerFormat {
        /// The store's folder.
        path: PathBuf,
        /// The number found in its `format` file.
        found: String,
        /// The newest number this program knows.
        known: u32,
    },
    /// What is there was not made by this program.
    #[error("`{}` is not a store of this program: its file `format` says something else", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
    },
    /// Another process uses the store, so it cannot be collected now.
    #[error("the store `{}` is in use by another process", path.display())]
    Busy {
        /// The store's folder.
        path: PathBuf,
    },
    /// A file or folder holds something that cannot be stored by content.
    #[error("`{}` cannot be stored: {why}", path.display())]
    Unstorable {
        /// The offending entry.
        path: PathBuf,
        /// What it is.
        why: String,
    },
    /// A file kept changing while it was read.
    #[error("`{}` changes while it is read", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not there.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// The file or folder.
        path: PathBuf,
    },
    /// Any other answer of the operating system.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The operation, as a verb: `read`, `rename`.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl StoreError {
    /// Sorts an answer of the operating system; `what` is the operation as a verb: `read`, `rename`.
    pub fn io(path: &Path, what: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::Full { path },
            Some(Errno::ROFS) => Self::ReadOnly { path },
            Some(Errno::ACCESS | Errno::PERM) => Self::Permission { path },
            Some(Errno::NOENT) if what == "read" => Self::Missing { path },
            _ => Self::Io { path, what, source },
        }
    }

    /// Every code that [`StoreError::code`] gives.
    pub const CODES: [&str; 11] = [
        "store::full",
        "store::read_only",
        "store::permission",
        "store::damaged",
        "store::newer_format",
        "store::not_a_store",
        "store::busy",
        "store::unstorable",
        "store::changing",
        "store::missing",
        "store::io",
    ];

    /// The stable identifier, `store::name`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "store::full",
            Self::ReadOnly { .. } => "store::read_only",
            Self::Permission { .. } => "store::permission",
            Self::Damaged { .. } => "store::damaged",
            Self::NewerFormat { .. } => "store::newer_format",
            Self::NotAStore { .. } => "store::not_a_store",
            Self::Busy { .. } => "store::busy",
            Self::Unstorable { .. } => "store::unstorable",
            Self::Changing { .. } => "store::changing",
            Self::Missing { .. } => "store::missing",
            Self::Io { .. } => "store::io",
        }
    }

    /// What the user can do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Full { .. } => {
                "free some space (`pipeline gc --keep 1GB` forgets the results that were not used for longest) and run \
                 again; what is finished is kept"
                    .to_owned()
            }
            Self::ReadOnly { .. } => "run on a file system that can be written, or copy the project to one".to_owned(),
            Self::Permission { path } => {
                format!("make `{}` accessible for the user who runs the pipeline", path.display())
            }
            Self::Damaged { .. } => "run again: the stage that made it will make it anew".to_owned(),
            Self::NewerFormat { path, .. } => {
                format!(
                    "use the newer `pipeline` that wrote it, or move `{}` away to start a new store",
                    path.display()
                )
            }
            Self::NotAStore { path } => {
                format!(
                    "move `{}` away to start a new store; or, when it is one whose `format` was damaged, remove that file",
                    path.display()
                )
            }
            Self::Busy { .. } => "wait for the other run to end, or end it, and try again".to_owned(),
            Self::Unstorable { .. } => {
                "outputs are ordinary files and folders with UTF-8 names; links must stay inside their folder"
                    .to_owned()
            }
            Self::Changing { .. } => "wait until whatever writes it has finished, and run again".to_owned(),
            Self::Missing { path } => format!("check the path, or make `{}` first", path.display()),
            Self::Io { path, .. } => format!("check the disk and the path `{}`, and run again", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_system_are_sorted() {
        let sort = |errno: Errno| StoreError::io(Path::new("/x"), "write", errno.into()).code();
        assert_eq!(sort(Errno::NOSPC), "store::full");
        assert_eq!(sort(Errno::DQUOT), "store::full");
        assert_eq!(sort(Errno::ROFS), "store::read_only");
        assert_eq!(sort(Errno::ACCESS), "store::permission");
        assert_eq!(sort(Errno::IO), "store::io");
        assert_eq!(StoreError::io(Path::new("/x"), "read", Errno::NOENT.into()).code(), "store::missing");
    }
}
