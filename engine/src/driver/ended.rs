//! The ways a stage ends without outputs.

use cache::StoreError;
use contract::fault::Fault;

/// Why there are no outputs.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The stage failed.
    Failed {
        /// Why; routes relative to the stage's mapping.
        faults: Vec<Fault>,
        /// Whether another attempt could help.
        again: bool,
    },
    /// It was told to stop.
    Stopped,
    /// What it read changed while it ran.
    Changed(Vec<String>),
    /// The store cannot go on: nothing more can be done in this run.
    Engine(Fault),
}

impl Ended {
    /// A failure that another attempt may not have.
    pub(crate) fn failed(faults: Vec<Fault>) -> Self {
        Self::Failed { faults, again: true }
    }

    /// A failure that every attempt would have.
    pub(crate) fn final_fault(fault: Fault) -> Self {
        Self::Failed { faults: vec![fault], again: false }
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        match error {
            // Things about one file of one stage.
            StoreError::Unstorable { .. }
            | StoreError::Changing { .. }
            | StoreError::Missing { .. }
            | StoreError::Damaged { .. } => Self::failed(vec![fault(&error)]),
            _ => Self::Engine(fault(&error)),
        }
    }
}

/// A store's error in the words of faults.
pub(crate) fn fault(error: &StoreError) -> Fault {
    Fault::error(error.code(), error.to_string()).help(error.help())
}
