//! Brings files here that are elsewhere or packed: over HTTP, from object stores, out of archives.

pub mod archive;
pub mod downloads;
pub mod http;
pub mod s3;
