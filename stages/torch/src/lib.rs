//! What the learning kinds do, on libtorch: train, evaluate, compress, export. The only crate that names `tch`.

pub mod bundle;
pub mod chain;
pub mod compress;
pub mod course;
pub mod embed;
pub mod evaluate;
pub mod export;
pub mod fault;
pub mod latency;
pub mod loader;
pub mod loss;
pub mod network;
pub mod optim;
pub mod program;
pub mod prune;
pub mod quantize;
pub mod raw;
pub mod schedule;
pub mod sweep;
pub mod train;
pub mod trainer;
pub mod weights;

#[cfg(test)]
mod encoder_tests;
#[cfg(test)]
mod fold_tests;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod leak_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod stage_tests;
