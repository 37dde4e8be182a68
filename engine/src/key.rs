//! The key of a stage: what enters it, what its files hold, and how two of them differ.

pub mod digests;
mod environment;
pub mod explain;
mod manifest;
pub mod remote;

pub use environment::Environment;
pub use manifest::{CONTEXT, KeyedFile, KeyedInput, Manifest, Resolved, describe};
