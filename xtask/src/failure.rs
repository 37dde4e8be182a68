//! What went wrong, and what to do.

use std::fmt;

/// A failure with a help line.
#[derive(Debug)]
pub struct Failure {
    message: String,
    help: Option<String>,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure people can act on.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }

    /// A failure of the file system, in words.
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self { message: format!("{what}: {error}"), help: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}
