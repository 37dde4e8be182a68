//! The steps of `preprocess` that are more than a few lines.

pub mod duplicates;
pub mod expression;
pub mod fill;
pub mod pack;
