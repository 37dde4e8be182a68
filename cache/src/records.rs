//! What is known: records of finished stages, digests of files, remembered answers, and what finished runs saw.

pub(crate) mod filehash;
pub(crate) mod log;
mod map;
pub(crate) mod memo;
pub(crate) mod record;
pub(crate) mod snapshot;
