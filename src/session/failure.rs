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

    /// Results that did not reach stdout, by the system's reason (exit code 4).
    pub fn lost_output(reason: &str) -> Self {
        let fault = Fault::error(contract::code!("cli::unwritable"), format!("stdout cannot be written: {reason}"))
            .help("what was done is recorded; free space where the output goes, and ask for the result again");
        Self::fault(&fault, ENGINE_FAILED)
    }

    /// Says it on stderr, and gives the exit code.
    pub fn tell(&self) -> u8 {
        crate::terminal::err(&self.text);
        self.exit_code
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
