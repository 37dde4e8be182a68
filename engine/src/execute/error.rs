//! The ways in which an attempt of a stage ends without outputs.

use cache::StoreError;
use contract::fault::{Fault, Faults};

use crate::store_fault;

/// Why there are no outputs.
#[derive(Debug)]
pub(crate) enum AttemptError {
    /// The stage failed.
    Failed {
        /// Why; routes relative to the stage's mapping.
        faults: Faults,
        /// Whether another attempt could help.
        again: bool,
    },
    /// The attempt was stopped.
    Stopped,
    /// These inputs changed while it ran.
    Changed(Vec<String>),
    /// The store failed. No later stage of this run could be recorded either.
    Engine(Fault),
}

impl AttemptError {
    /// A failure that another attempt may avoid.
    pub(crate) fn failed(faults: impl Into<Faults>) -> Self {
        Self::Failed { faults: faults.into(), again: true }
    }

    /// A failure that every attempt would have.
    pub(crate) fn final_fault(fault: Fault) -> Self {
        Self::Failed { faults: fault.into(), again: false }
    }

    /// The first fault, for a caller without attempts, such as a question.
    pub(crate) fn into_fault(self) -> Fault {
        let stopped = || Fault::error(contract::code!("run::stopped"), "the work was stopped");
        match self {
            Self::Failed { faults, .. } => faults.into_iter().next().unwrap_or_else(stopped),
            Self::Engine(fault) => fault,
            Self::Stopped | Self::Changed(_) => stopped(),
        }
    }
}

impl From<StoreError> for AttemptError {
    fn from(error: StoreError) -> Self {
        match error {
            // These concern one file of one stage. Anything else concerns the store itself.
            StoreError::Unstorable { .. }
            | StoreError::Changing { .. }
            | StoreError::Missing { .. }
            | StoreError::Damaged { .. } => Self::failed(vec![store_fault(&error)]),
            _ => Self::Engine(store_fault(&error)),
        }
    }
}
