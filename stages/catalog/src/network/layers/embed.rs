//! The look-up of vectors for embedded columns. No document names it: it comes from the encoders, before all other layers.

use serde::{Deserialize, Serialize};

use super::operation::Operation;

/// The vectors of one embedded column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Where in a row the index stands.
    pub position: u64,
    /// Number of vectors: indices go from 0 to one less. The first is for values never seen.
    pub values: u64,
    /// Length of a vector.
    pub dimensions: u64,
}

impl Operation for Vec<Table> {
    fn parameters(&self) -> u64 {
        self.iter().map(|table| table.values.saturating_mul(table.dimensions)).fold(0, u64::saturating_add)
    }
}
