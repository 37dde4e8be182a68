//! A file as text, with a message for everything that can be wrong with it.

use std::io::Read;
use std::path::Path;

use contract::fault::{Fault, Place};

/// Largest file that is read.
pub const MAX_BYTES: u64 = 32 << 20;

/// Reads a text file.
///
/// # Errors
/// Everything that can be wrong with it, with a place and help.
pub fn read(path: &Path) -> Result<String, Box<Fault>> {
    let shown = path.display().to_string();
    let place = Place { file: shown.clone(), line: None, column: None };
    let fault = |code: contract::fault::Code, message: String, help: &str| {
        Box::new(Fault::error(code, message).help(help).place(place.clone()))
    };
    let io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => fault(
            contract::code!("source::missing"),
            format!("there is no file `{shown}`"),
            "name the pipeline's file, go to its folder, or let `pipeline init` write one",
        ),
        std::io::ErrorKind::PermissionDenied => fault(
            contract::code!("source::permission"),
            format!("`{shown}` may not be read"),
            "change its permissions: `chmod +r`",
        ),
        _ => fault(
            contract::code!("source::unreadable"),
            format!("`{shown}` cannot be read: {error}"),
            "look at the file and its disk",
        ),
    };
    let about = std::fs::metadata(path).map_err(io)?;
    if about.is_dir() {
        return Err(fault(
            contract::code!("source::folder"),
            format!("`{shown}` is a folder"),
            "name the pipeline's file in it",
        ));
    }
    if !about.is_file() {
        // A pipe that nobody writes into would be waited for without end.
        return Err(fault(
            contract::code!("source::not_a_file"),
            format!("`{shown}` is a pipe or a device"),
            "name a file",
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len().min(MAX_BYTES)).unwrap_or_default());
    // It may grow meanwhile.
    std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        let size = match about.len() >> 20 {
            0 => String::new(),
            size => format!(" ({size} MiB)"),
        };
        return Err(fault(
            contract::code!("source::too_large"),
            format!("`{shown}` is more than a pipeline can have{size}"),
            "a pipeline is text of at most 32 MiB; data belongs into data files",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let bytes = error.as_bytes();
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return fault(contract::code!("source::encoding"), format!("`{shown}` is UTF-16"), "save it as UTF-8");
        }
        let good = &bytes[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let mut fault =
            fault(contract::code!("source::encoding"), format!("`{shown}` is not UTF-8"), "save it as UTF-8");
        fault.place = Some(Place { file: shown.clone(), line: Some(line as u64), column: None });
        fault
    })
}
