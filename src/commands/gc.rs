//! `pipeline gc`: the store made to fit.

use cache::DigestSet;

use crate::cli::Gc;
use crate::project::{Failure, Project};
use crate::report::quantity::{bytes, count, parse_bytes};
use crate::report::terminal;

/// Removes what has not been used for longest.
///
/// # Errors
/// A size that cannot be read, a store that cannot be used.
pub fn execute(args: &Gc) -> Result<u8, Failure> {
    let keep = parse_bytes(&args.keep).ok_or_else(|| {
        Failure::user(
            "cli::size",
            format!("`{}` is not a size", args.keep),
            "write a number and a unit: `20GiB`, `500MB`",
        )
    })?;
    let project = Project::find(&args.file)?;
    let swept = project.store()?.gc(keep, &DigestSet::default())?;
    terminal::err(&format!(
        "removed {} in {} files; {} are left",
        bytes(swept.freed),
        count(swept.blobs),
        bytes(swept.kept)
    ));
    Ok(0)
}
