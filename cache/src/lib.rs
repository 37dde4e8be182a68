//! The store: bytes, digests and records. It knows nothing of pipelines.
//!
//! A [`Store`] is a folder (`.pipeline/`) that several processes use at once:
//!
//! ```text
//! .pipeline/
//!   CACHEDIR.TAG   backup programs skip the folder
//!   .gitignore     and so does git
//!   format         the number of this layout; a newer one is refused
//!   lock           held shared by every user, exclusively by a collector that is alone
//!   collector      held by the collector
//!   collect        held by the collector while it decides on a blob, shared by those who find one
//!   blobs-v1/      ab/cdef...: content under its digest, read-only
//!   records-v1/    key -> outputs and readable manifest, one packed log
//!   memo-v1/       small answers by digest, one packed log
//!   filehash-v1/   (path, size, times, inode) -> digest, one packed log
//!   runs-v1/       summaries of finished runs, one packed log
//!   begun-v1/      one locked file per run that has not ended; a killed run leaves it unlocked
//!   logs-v1/       run/label.log: the lines of the work, plain text
//!   downloads-v1/  files that workers fetched; the collector removes the oldest that do not fit
//!   remotes-v1/    the last seen state of remote sources, one small file each
//!   snapshots-v1/  what successful runs saw; a run that finds it unmoved is done
//!   locks-v1/      one file per key that is being worked on, or path that was
//!   users-v1/      one file per process that has the store open
//!   aside-v1/      files that were in the way of an output, kept for a week
//!   tmp/           unfinished files of living processes
//! ```
//!
//! What is promised: blobs are written before the record that names them, a record is trusted only
//! when its checksum holds, a blob only when it is what its name says, and no lock outlives its
//! process.

mod error;
pub mod fault;
mod objects;
mod records;
mod store;

pub use error::StoreError;
pub use fold::{Digest, DigestMap, DigestSet, Fold, ParseDigestError};
pub use objects::blob::Blob;
pub use objects::remove::remove_all;
pub use objects::staging::Staging;
pub use objects::tree::{Entry, Node, Tree};
pub use records::filehash::FileDigest;
pub use records::record::{Committed, Record};
pub use records::snapshot::Snapshot;
pub use store::begun::Begun;
pub use store::gc::{Swept, Usage};
pub use store::lock::KeyLock;
pub use store::logs::{LogAttempt, LogFile, LogLine, LogWriter};
pub use store::store::Store;
