//! How delimited text is written, as the parameters say.

/// How the text is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: u8,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Cells that mean missing, besides the empty one.
    pub missing: Vec<String>,
    /// The encoding's name, when it is not UTF-8.
    pub encoding: Option<String>,
}
