//! `pipeline gc`: the store made to fit.

use super::pins::pins;
use crate::session::{Failure, FileArgs, Project};
use crate::terminal;
use crate::terminal::quantity::{bytes, parse_bytes, some};

/// Remove what has not been used for longest from the store until it fits.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// What the store may take: `20GiB`, `500MB`. Default: everything that a result names.
    #[arg(long, value_name = "SIZE")]
    pub keep: Option<String>,
    /// The newest runs of each pipeline whose results stay in any case, as do those that a lock file names or a run uses that goes on.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub keep_runs: usize,
    /// Remove nothing; say what would be removed.
    #[arg(long)]
    pub dry_run: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Removes what no result names, and what has not been used for longest.
///
/// # Errors
/// A size that cannot be read, a store that cannot be used.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let keep = match &args.keep {
        None => u64::MAX,
        Some(keep) => parse_bytes(keep).ok_or_else(|| {
            Failure::user(
                contract::code!("cli::size"),
                format!("`{keep}` is not a size"),
                "write a number and a unit: `20GiB`, `500MB`",
            )
        })?,
    };
    let project = Project::find(&args.file)?;
    let store = project.store()?;
    let pins = pins(&project, &store, args.keep_runs)?;
    let swept = store.collect(keep, &pins, args.dry_run)?;
    if args.json {
        let report = serde_json::json!({
            "dry_run": args.dry_run, "results": swept.records, "files": swept.blobs, "freed": swept.freed,
            "kept": swept.kept, "pinned_beyond_budget": swept.pinned, "waiting": swept.waiting,
        });
        terminal::out(&format!("{report:#}"));
        return Ok(0);
    }
    let mut text = format!(
        "{} {} in {} ({} forgotten); {} are left",
        if args.dry_run { "would remove" } else { "removed" },
        bytes(swept.freed),
        some(swept.blobs as usize, "file"),
        some(swept.records as usize, "result"),
        bytes(swept.kept)
    );
    if swept.pinned > 0 {
        text.push_str(&format!(
            "\n{} of them are above the limit: a lock file, one of the last {} runs or one that goes on names them",
            bytes(swept.pinned),
            args.keep_runs
        ));
    }
    if swept.waiting > 0 {
        text.push_str(&format!(
            "\n{} more may be in use by a program that has the store open; the next `pipeline gc` after its end removes them",
            bytes(swept.waiting)
        ));
    }
    terminal::err(&text);
    Ok(0)
}
