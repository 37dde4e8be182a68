//! Exit codes that are not the outcome of a run.

/// Exit code of a pipeline that is not valid.
pub const INVALID: u8 = 2;
/// Exit code of an engine or store failure.
pub const ENGINE_FAILED: u8 = 4;
