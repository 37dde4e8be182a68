//! How a network is fitted: from encoded rows, epoch by epoch, to weights.

pub mod chain;
pub mod course;
pub mod loader;
pub mod loss;
pub mod optimizer;
pub mod schedule;
pub mod sweep;
pub mod trainer;
