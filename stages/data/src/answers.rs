//! Answers to questions about data sets that are there already.

pub mod difference;
pub mod show;
