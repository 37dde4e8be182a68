//! What a document may hold at most.

/// Deepest nesting of lists and mappings, aliases and variables resolved.
pub const MAX_DEPTH: usize = 64;
/// Most values in one document.
pub const MAX_NODES: usize = if cfg!(test) { 50_000 } else { 4_000_000 };
/// Values that aliases and variables may add, beyond 16 for each value written.
pub const FREE_COPIES: usize = 100_000;

/// Bytes of text that aliases, variables, defaults and `matrix` may each add to a document.
pub const MAX_TEXT: usize = 64 << 20;
/// Longest text that variables may be put together to.
pub const MAX_SCALAR: usize = 1 << 20;
