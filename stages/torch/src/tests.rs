//! Tests of several rooms together, and what they are made of.

mod encoders;
mod folding;
pub mod harness;
mod leaks;
mod rounding;
pub mod sample;
mod stages;
