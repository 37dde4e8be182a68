//! `pipeline schema`: the JSON Schema of the language, or of the events of `run --json`.

use crate::cli::Schema;
use crate::project::Failure;
use crate::report::terminal;

/// Prints a schema.
///
/// # Errors
/// Never; the signature is every verb's.
pub fn execute(args: &Schema) -> Result<u8, Failure> {
    terminal::out(&if args.events {
        engine::event::json_schema_text()
    } else {
        schemas::json_schema::json_schema_text(&catalog::kinds())
    });
    Ok(0)
}
