//! `pipeline schema`: the JSON Schema of the language.

use crate::project::Failure;
use crate::report::terminal;

/// Prints the schema.
///
/// # Errors
/// Never; the signature is every verb's.
pub fn execute() -> Result<u8, Failure> {
    terminal::out(&format!("{:#}\n", schemas::json_schema(&catalog::registry())));
    Ok(0)
}
