//! Why the program ends early.

use cache::StoreError;
use contract::fault::Fault;
use schemas::Sources;

use super::exit::{ENGINE_FAILED, INVALID};
use crate::terminal::fault::{render, render_all};

/// Why the program ends early, in words, with its exit code.
#[derive(Debug)]
pub struct Failure {
    /// What to print.
    pub text: String,
    /// The exit code.
    pub exit_code: u8,
}

impl Failure {
    /// A mistake on the command line or around the pipeline (exit code 2).
    pub fn user(code: contract::fault::Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::fault(&Fault::error(code, message).help(help), INVALID)
    }

    /// A fault that has no place in the pipeline's text.
    pub fn fault(fault: &Fault, exit_code: u8) -> Self {
        Self { text: render(fault, &Sources::default()), exit_code }
    }

    /// Faults of a file that is no pipeline (exit code 2).
    pub fn faults(faults: &[Fault]) -> Self {
        Self { text: render_all(faults, &Sources::default()), exit_code: INVALID }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::fault(&engine::store_fault(&error), ENGINE_FAILED)
    }
}
