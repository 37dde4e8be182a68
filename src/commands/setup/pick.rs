//! `pipeline pick`: keys out of a YAML or JSON file, as JSON. Imported pipelines read parameters with it.

use std::path::PathBuf;

use crate::session::Failure;
use crate::terminal;

/// Pick keys out of a YAML or JSON file, as JSON: what imported pipelines read parameters with.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// The file.
    file: PathBuf,
    /// Keys, parts with dots between them.
    #[arg(required = true)]
    keys: Vec<String>,
}

/// Picks keys out of a file.
///
/// # Errors
/// A file that cannot be read, a key that is not in it.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let picked = dvc::pick(&args.file, &args.keys).map_err(|faults| Failure::faults(&faults))?;
    terminal::out(&picked.to_string());
    Ok(0)
}
