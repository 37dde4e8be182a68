//! Digests, and the written encoding of what is digested.
//!
//! The store, the engine and the workers all name things by digest, so this crate lies below all of them. It reads
//! no file.

mod digest;
mod fold;

pub use digest::{Digest, DigestMap, DigestSet, ParseDigestError, Uniform};
pub use fold::Fold;
