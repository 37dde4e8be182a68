//! `pipeline get`: an output copied out of the store.

use engine::artifact::ArtifactKind;
use engine::kind::Question;
use serde_json::json;

use super::show::{ask_data, find, is_stdout};
use crate::cli::Get;
use crate::project::{Failure, Project};
use crate::report::quantity::bytes;
use crate::report::terminal;

/// Copies.
///
/// # Errors
/// An unknown stage or port, a stage that never ran, a target that cannot be written.
pub fn execute(args: &Get) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    let found = find(&proved, &args.target)?;
    let suffix = args.output.extension().map(|suffix| suffix.to_string_lossy().to_lowercase()).unwrap_or_default();
    // `.arrow` is what the store holds.
    let converted = ["csv", "tsv", "jsonl", "ndjson", "parquet", "png"].contains(&suffix.as_str());
    if is_stdout(&args.output) {
        if found.blob.tree {
            return Err(Failure::user(
                "cli::folder_to_stdout",
                format!("`{}` is a folder", args.target),
                "name a folder with `-o FOLDER`",
            ));
        }
        terminal::out_bytes(&proved.store.read(&found.blob.digest)?);
        return Ok(0);
    }
    let output = std::path::absolute(&args.output).unwrap_or_else(|_| args.output.clone());
    if converted && matches!(found.artifact.kind(), ArtifactKind::Dataset | ArtifactKind::Labels) {
        let question = Question {
            kind: "show".into(),
            // Never remembered: the answer is the file.
            version: std::process::id(),
            params: json!({ "path": proved.store.blob_path(&found.blob.digest), "to": output }),
            inputs: Default::default(),
            files: Vec::new(),
        };
        let _ = std::fs::remove_file(&output);
        ask_data(&project, &proved, &question)?;
    } else {
        proved.store.materialise(&found.blob, &output)?;
    }
    terminal::err(&format!("{} → {} ({})", args.target, args.output.display(), bytes(found.blob.size)));
    Ok(0)
}
