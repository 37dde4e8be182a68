//! What colours mean on stderr.

use console::Style;

/// The styles of stderr output.
pub struct Styles;

impl Styles {
    /// Done.
    pub fn good() -> Style {
        Style::new().for_stderr().green()
    }
    /// Failed.
    pub fn bad() -> Style {
        Style::new().for_stderr().red().bold()
    }
    /// Worth a look.
    pub fn warn() -> Style {
        Style::new().for_stderr().yellow()
    }
    /// Less important.
    pub fn dim() -> Style {
        Style::new().for_stderr().dim()
    }
    /// Names.
    pub fn name() -> Style {
        Style::new().for_stderr().bold()
    }
    /// Running.
    pub fn busy() -> Style {
        Style::new().for_stderr().cyan()
    }
}
