//! `pipeline check`: every fault of the pipeline, without running it.

use std::path::PathBuf;

use serde_json::json;

use crate::session::{Failure, FileArgs, INVALID, Project};
use crate::terminal::fault::render_all;
use crate::terminal::quantity::some;
use crate::terminal::{self, Styles};

/// Prove the pipeline without running it: every fault, with place and help.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// Positions as one line each (`file:line:column: code: message`), for editors.
    #[arg(long)]
    pub short: bool,
    /// Faults as JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the pipeline's file may stand as well.
    #[arg(value_name = "FILE")]
    pub path: Option<PathBuf>,
}

/// Proves the pipeline.
///
/// # Errors
/// When there is no pipeline, or no store to remember answers in.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let file = args.file.file.clone().or_else(|| args.path.clone());
    let project = Project::find(&FileArgs { file, ..args.file.clone() })?;
    let checked = project.prove(&args.file.set)?;
    let code = if checked.proved.is_some() { 0 } else { INVALID };
    if args.json {
        let faults: Vec<_> = checked.faults.iter().map(|fault| checked.sources.diagnostic(fault).json()).collect();
        terminal::out(&format!("{:#}\n", json!({ "valid": code == 0, "faults": faults })));
        return Ok(code);
    }
    if args.short {
        for fault in &checked.faults {
            terminal::out(&checked.sources.diagnostic(fault).line());
        }
        return Ok(code);
    }
    if !checked.faults.is_empty() {
        terminal::err(&render_all(&checked.faults, &checked.sources));
    }
    if let Some(proved) = checked.proved {
        proved.until_the_end();
        let stages = some(proved.plan.stages.len(), "stage");
        terminal::err(&format!("{} `{}` is valid: {stages}", Styles::good().apply_to("✓"), proved.plan.spec.name));
    }
    Ok(code)
}
