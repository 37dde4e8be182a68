//! How a trained network is made smaller and faster.

pub mod latency;
pub mod prune;
pub mod quantize;
