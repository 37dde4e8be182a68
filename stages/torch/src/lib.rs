//! What the learning kinds do, on libtorch: train, evaluate, compress, export. The only crate that names `tch`.

pub mod bundle;
pub mod chain;
pub mod compress;
pub mod course;
pub mod dataset;
pub mod embed;
pub mod encode;
pub mod evaluate;
pub mod export;
pub mod fault;
pub mod fold;
pub mod int8;
pub mod latency;
pub mod loader;
pub mod loss;
pub mod metrics;
pub mod network;
pub mod onnx;
pub mod optim;
pub mod predict;
pub mod program;
pub mod prune;
pub mod quantize;
pub mod random;
pub mod raw;
pub mod room;
pub mod schedule;
pub mod sweep;
pub mod train;
pub mod trainer;
pub mod weights;

#[cfg(test)]
mod harness;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod stage_tests;
