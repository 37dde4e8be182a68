//! What everything in this crate may fail with.

use contract::fault::Fault;

/// A value, or the fault that prevented it.
pub type Outcome<T> = Result<T, Fault>;
