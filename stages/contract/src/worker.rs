//! The loop that both workers share: say hello, read a request, run it behind one panic boundary,
//! answer.
//!
//! A worker ends when its stdin closes, also in the middle of a stage: the engine has ended, and no
//! process will read the answer. A thread of its own notices that, so native code that computes for
//! minutes does not delay it.

mod channel;
mod panics;
pub mod protocol;
mod serve;
mod stdout;

pub use self::channel::Channel;
pub use self::serve::{Worker, serve};
