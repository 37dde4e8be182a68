//! Output files.

use std::io::ErrorKind;
use std::path::Path;

use contract::fault::Fault;
use serde_json::Value;

use crate::fault::Outcome;

/// Writes a file that did not exist.
///
/// # Errors
/// `model::write` with the operating system's reason.
pub fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    std::fs::write(path, bytes).map_err(|error| {
        let fault =
            Fault::error(contract::code!("model::write"), format!("`{}` cannot be written: {error}", path.display()));
        match error.kind() {
            ErrorKind::StorageFull => fault.help("the disk is full: `pipeline gc` frees what is not needed"),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => fault.help("the folder is read-only"),
            _ => fault,
        }
    })
}

/// Writes JSON with a line break at its end.
///
/// # Errors
/// `model::write` with the operating system's reason.
pub fn write_json(path: &Path, value: &Value) -> Outcome<()> {
    write(path, format!("{value:#}\n").as_bytes())
}
