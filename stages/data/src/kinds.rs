//! What each data kind does with its inputs.

pub mod collect;
pub mod preprocess;
pub mod split;
