//! Why a stage is not a hit.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Route;

/// One reason for a miss. The first reasons are root causes; `InputChanged` names the stage to ask next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// No stage of this name was ever recorded here.
    NeverRan,
    /// Another kind, or another version of the kind's implementation.
    KindChanged {
        /// `train/3`
        old: String,
        /// `train/4`
        new: String,
    },
    /// A parameter has another value (or is new: `old` is null).
    ParameterChanged {
        /// Relative to the stage's mapping.
        route: Route,
        /// Before.
        old: Value,
        /// Now.
        new: Value,
    },
    /// A parameter is gone.
    ParameterRemoved {
        /// Relative to the stage's mapping.
        route: Route,
        /// Before.
        old: Value,
    },
    /// An input has other content.
    InputChanged {
        /// The port.
        port: String,
        /// The stage that made it.
        from: String,
        /// Digest before; `None` when the port was not connected.
        old: Option<String>,
        /// Digest now; `None` when it is not known yet, or no longer connected.
        new: Option<String>,
    },
    /// An outside file has other content.
    FileChanged {
        /// As shown to people.
        path: String,
        /// Digest before; `None` when it is new.
        old: Option<String>,
        /// Digest now; `None` when it is gone.
        new: Option<String>,
    },
    /// Another seed.
    SeedChanged {
        /// Before.
        old: Option<u64>,
        /// Now.
        new: Option<u64>,
    },
    /// libtorch, device class, a declared environment variable ...
    EnvironmentChanged {
        /// Which.
        what: String,
        /// Before.
        old: Option<String>,
        /// Now.
        new: Option<String>,
    },
    /// The record is there, the blob is gone or damaged.
    OutputLost {
        /// The port.
        port: String,
        /// The digest that is missing.
        digest: String,
    },
    /// Asked for (`--force`).
    Forced,
    /// `cache: false`: runs every time.
    Uncached,
    /// An earlier run of the same key gave other bytes.
    Unstable,
}
