//! Bytes by their digest: blobs, trees of blobs, and the ways in and out of the store.

mod adopt;
pub(crate) mod aside;
pub(crate) mod blob;
pub(crate) mod hash;
pub(crate) mod materialise;
pub(crate) mod remove;
pub(crate) mod staging;
pub(crate) mod tree;
pub(crate) mod workshop;
