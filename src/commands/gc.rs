//! `pipeline gc`: the store made to fit.

use cache::{DigestSet, Store};

use std::collections::HashMap;

use super::cache::digests;
use crate::cli::Gc;
use crate::project::{Failure, Project};
use crate::report::quantity::{bytes, parse_bytes, some};
use crate::report::terminal;

/// Removes what no result names, and what has not been used for longest.
///
/// # Errors
/// A size that cannot be read, a store that cannot be used.
pub fn execute(args: &Gc) -> Result<u8, Failure> {
    let keep = match &args.keep {
        None => u64::MAX,
        Some(keep) => parse_bytes(keep).ok_or_else(|| {
            Failure::user("cli::size", format!("`{keep}` is not a size"), "write a number and a unit: `20GiB`, `500MB`")
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

/// The keys that stay whatever the limit: those of the lock files beside the store, and of the newest `runs` runs of each pipeline.
/// What runs that go on have made or used stays by itself.
///
/// # Errors
/// A store that cannot be read.
pub fn pins(project: &Project, store: &Store, runs: usize) -> Result<DigestSet, Failure> {
    let mut pins = DigestSet::default();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let newest = |run: &serde_json::Value| {
        let count = seen.entry(run["pipeline"].as_str().unwrap_or_default().to_owned()).or_default();
        *count += 1;
        *count <= runs
    };
    for (_, run) in store.runs_where(usize::MAX, newest)? {
        let stages = run["stages"].as_array().into_iter().flatten();
        pins.extend(stages.filter_map(|stage| stage["key"].as_str()?.parse::<cache::Digest>().ok()));
    }
    // Whatever is written there that is the key of a record is one that it names, also amid the marks of a merge.
    for entry in std::fs::read_dir(&project.root).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|suffix| suffix == "lock")
            && let Ok(text) = std::fs::read_to_string(path)
        {
            pins.extend(digests(&text));
        }
    }
    Ok(pins)
}
