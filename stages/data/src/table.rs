//! A data set: how it is stored, how it grows beyond the memory, and what its cells are.

pub mod cell;
pub mod classes;
pub mod convert;
pub mod dataset;
pub mod display;
pub mod missing;
pub mod sink;
pub mod spill;
pub mod writer;
