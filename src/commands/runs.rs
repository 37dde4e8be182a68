//! `pipeline runs`: what ran here, newest first.

use std::time::Duration;

use serde_json::Value;

use crate::cli::Runs;
use crate::project::{Failure, Project};
use crate::report::quantity::duration;
use crate::report::{result, terminal};

/// Lists.
///
/// # Errors
/// When there is no pipeline, or the store cannot be used.
pub fn execute(args: &Runs) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let runs: Vec<Value> = project.store()?.runs(args.n)?.into_iter().map(|(_, run)| run).collect();
    if args.json {
        terminal::out(&format!("{:#}", Value::Array(runs)));
        return Ok(0);
    }
    let text = |run: &Value, field: &str| match run.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "-".into(),
    };
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let took = run.get("took").and_then(Value::as_f64).unwrap_or(0.0);
            let mut row = vec![text(run, "run"), text(run, "outcome")];
            row.extend(["ran", "hit", "failed", "skipped"].map(|field| text(run, field)));
            row.push(duration(Duration::from_secs_f64(took.max(0.0))));
            row
        })
        .collect();
    if rows.is_empty() {
        terminal::err("nothing ran here yet");
        return Ok(0);
    }
    terminal::out(&result::table(
        &["run", "outcome", "ran", "reused", "failed", "not run", "took"],
        rows,
        &[2, 3, 4, 5, 6],
    ));
    Ok(0)
}
