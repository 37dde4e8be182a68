//! `pipeline schema`: the JSON Schema of the language.

use crate::project::Failure;
use crate::report::terminal;

/// Prints the schema.
///
/// # Errors
/// Never; the signature is every verb's.
pub fn execute() -> Result<u8, Failure> {
    terminal::out(&schemas::json_schema::json_schema_text(&catalog::registry()));
    Ok(0)
}
