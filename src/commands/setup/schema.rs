//! `pipeline schema`: the JSON Schema of the language, or of the events of `run --json`.

use crate::session::Failure;
use crate::terminal;

/// Print the JSON Schema of the language, for editors.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The schema of one line of `run --json` instead.
    #[arg(long)]
    pub events: bool,
}

/// Prints a schema.
///
/// # Errors
/// Never; the signature is every verb's.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    terminal::out(&if args.events {
        engine::event::json_schema_text()
    } else {
        schemas::json_schema_text(&catalog::kinds())
    });
    Ok(0)
}
