//! What is known of the columns of a data set: how they are named, where they come from, what a model sees of them.

pub mod cast;
pub mod dates;
pub mod features;
pub mod lineage;
pub mod pattern;
