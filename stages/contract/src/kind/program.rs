//! The programs that carry stages out: the table of worker programs, and the engine itself for `command`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactKind;

/// A worker program: all that the engine has to know of it.
#[derive(Debug, PartialEq, Eq)]
pub struct WorkerProgram {
    /// The file name, which is also what its hello says.
    pub name: &'static str,
    /// Whether it computes on the device that a stage asks for.
    pub uses_device: bool,
    /// The tool whose version enters the keys of its stages, because equal bytes are not promised across versions.
    pub keyed_tool: Option<KeyedTool>,
    /// Whether it starts so slowly that a process is worth starting ahead of its first request.
    pub slow_start: bool,
    /// The artifacts of which it can name the first difference.
    pub compares: &'static [ArtifactKind],
}

/// A tool whose version enters keys.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyedTool {
    /// Its name in [`Hello::toolchain`](crate::worker::protocol::Hello::toolchain).
    pub name: &'static str,
    /// The version that this release is made for: `2.13.0`.
    pub version: &'static str,
    /// How strictly the tool is told to give the same bytes for the same work. There is one mode so far; it has a name
    /// so that keys made under another one will differ.
    pub determinism: &'static str,
}

/// Makes [`Program`] and its table, so that a worker program is added in one place.
macro_rules! programs {
    ($($(#[$doc:meta])* $variant:ident = $id:literal: $worker:expr;)*) => {
        /// Which program carries a stage out.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Program {
            $($(#[$doc])* $variant,)*
            /// A program of the user's, started by the engine itself.
            Command,
        }

        impl Program {
            /// Every worker program.
            pub const WORKERS: &'static [Self] = &[$(Self::$variant),*];

            /// What the table says of a worker program; `None` for a command.
            pub fn worker(self) -> Option<&'static WorkerProgram> {
                match self {
                    $(Self::$variant => {
                        static WORKER: WorkerProgram = $worker;
                        Some(&WORKER)
                    })*
                    Self::Command => None,
                }
            }

            /// The short name: `data`.
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)*
                    Self::Command => "command",
                }
            }
        }
    };
}

programs! {
    /// `pipeline-data`: tables.
    Data = "data": WorkerProgram {
        name: "pipeline-data",
        uses_device: false,
        keyed_tool: None,
        slow_start: false,
        compares: &[ArtifactKind::Dataset, ArtifactKind::Labels],
    };
    /// `pipeline-torch`: libtorch.
    Torch = "torch": WorkerProgram {
        name: "pipeline-torch",
        uses_device: true,
        keyed_tool: Some(KeyedTool { name: "libtorch", version: "2.13.0", determinism: "strict" }),
        slow_start: true,
        compares: &[],
    };
}

impl Program {
    /// Whether it is a worker program, which writes into a staging folder. A command writes into the project.
    pub fn is_worker(self) -> bool {
        self.worker().is_some()
    }

    /// Whether it computes on the device that a stage asks for.
    pub fn uses_device(self) -> bool {
        self.worker().is_some_and(|worker| worker.uses_device)
    }

    /// The worker program that can name the first difference between two artifacts of this kind.
    pub fn that_compares(kind: ArtifactKind) -> Option<Self> {
        Self::WORKERS.iter().copied().find(|one| one.worker().is_some_and(|worker| worker.compares.contains(&kind)))
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.worker().map_or("command", |worker| worker.name))
    }
}
