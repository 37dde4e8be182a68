//! The steps of `preprocess` that are more than a few lines.

mod branches;
pub mod duplicates;
pub mod expression;
pub mod fill;
pub mod join;
pub mod near;
pub mod order;
pub mod pack;
pub mod picture;
pub mod prose;
pub mod query;
pub mod rejected;
pub mod reshape;
mod whole;
