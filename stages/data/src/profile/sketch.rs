//! Sketches: what is kept of a column that is read once. All of them merge, all of them are stored in the profile, and none
//! depends on how many threads filled it: rows are cut at fixed places and pieces are merged in order.

pub mod distinct;
pub mod frequent;
pub mod hash;
pub mod moments;
pub mod quantile;
