//! The kinds that learn: one handler a file.

pub mod compress;
pub mod evaluate;
pub mod export;
pub mod train;
