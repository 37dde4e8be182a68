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
//!   runs-v1/       what finished runs looked like, one packed log
//!   begun-v1/      run: runs that have begun and not ended, each held by its process: what is left of one that was killed
//!   logs-v1/       run/label.log: what work said while it was done, plain text
//!   downloads-v1/  what workers fetched from elsewhere, under its content; collected like blobs
//!   remotes-v1/    in which state sources elsewhere were seen, one small file each
//!   snapshots-v1/  what finished runs saw: a run that finds it unmoved is done
//!   locks-v1/      one file per key that is being worked on, or path that was
//!   users-v1/      one file per process that has the store open
//!   aside-v1/      what was in the way of an output and nowhere else; the collector removes it after a week
//!   tmp/           unfinished things of living processes
//! ```
//!
//! What is promised: blobs are written before the record that names them, a record is trusted only when its
//! checksum holds, a blob only when it is what its name says, and no lock outlives its process.

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
