//! Faults: everything a user can get wrong, with a code, a place and a help line.
//!
//! A [`Fault`] is plain data. It crosses the worker protocol as JSON, is collected (never first-only) by
//! every pass, and only the language front end turns its [`Route`] into a line, a column and a caret.

mod codes;
#[expect(clippy::module_inception, reason = "the file is named after what it defines")]
mod fault;
mod faults;
mod nearest;
mod place;
mod route;

pub use codes::{CODES, Code, Entry};
pub use fault::{Aspect, Fault, Severity};
pub use faults::Faults;
pub use nearest::{nearest, suggest};
pub use place::Place;
pub use route::{Route, Segment};
