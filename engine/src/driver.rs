//! Carrying a plan out: the scheduler's commands become worker requests and programs, their ends become its events.

mod options;

pub use self::options::{End, Force, RunOptions, StageSummary, Summary};
pub use crate::cancel::CancelToken;
