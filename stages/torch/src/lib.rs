//! What the learning kinds do, on libtorch: train, evaluate, compress, export. The only crate that names `tch`.

pub mod bundle;
pub mod device;
pub mod fault;
pub mod fit;
pub mod kinds;
pub mod network;
pub mod program;
pub mod raw;
pub mod request;
pub mod shrink;
pub mod weights;

#[cfg(test)]
mod tests;
