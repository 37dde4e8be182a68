//! What the learning kinds do, on libtorch: train, evaluate, compress, export. The only crate that names `tch`.

pub mod bundle;
pub mod dataset;
pub mod encode;
pub mod fault;
pub mod fold;
pub mod int8;
pub mod network;
pub mod prune;
pub mod quantize;
pub mod random;
pub mod raw;
pub mod weights;

#[cfg(test)]
mod sample;
