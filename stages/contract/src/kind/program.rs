//! Which program carries a stage out.

use serde::{Deserialize, Serialize};

/// Which program carries a stage out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// `pipeline-data`: tables.
    Data,
    /// `pipeline-torch`: libtorch.
    Torch,
    /// A program of the user's, started by the engine itself.
    Command,
}

impl Program {
    /// The worker program's file name; `None` for commands.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Self::Data => Some("pipeline-data"),
            Self::Torch => Some("pipeline-torch"),
            Self::Command => None,
        }
    }
}
