//! What a step has around it.

use std::collections::BTreeMap;

use contract::worker::Channel;

use crate::table::dataset::Table;
use crate::table::spill::Memory;

/// What stands around the rows that are worked on.
pub struct Scene<'a> {
    /// The tables at the other input ports.
    pub others: BTreeMap<String, Table>,
    /// How much memory there is.
    pub memory: &'a Memory,
    /// Threads that may be used.
    pub threads: usize,
    /// Where the log goes.
    pub channel: &'a Channel,
}
