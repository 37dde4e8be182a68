//! `pipeline get`: an output copied out of the store.

use std::path::Path;

use engine::artifact::ArtifactKind;
use engine::kind::Question;
use serde_json::json;

use super::show::{ask_data, find, is_stdout};
use crate::cli::Get;
use crate::project::{Failure, Project};
use crate::report::quantity::bytes;
use crate::report::terminal;

/// Endings of files that rows are written as.
const CONVERTED: [&str; 6] = ["csv", "tsv", "jsonl", "ndjson", "parquet", "png"];
/// Endings of what the store holds already: Arrow.
const AS_IT_IS: [&str; 4] = ["", "arrow", "ipc", "feather"];

/// Copies.
///
/// # Errors
/// An unknown stage or port, a stage that never ran, a target that cannot be written.
pub fn execute(args: &Get) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    let found = find(&proved, &args.target)?;
    let suffix = args.output.extension().map(|suffix| suffix.to_string_lossy().to_lowercase()).unwrap_or_default();
    let converted = CONVERTED.contains(&suffix.as_str());
    let rows = matches!(found.artifact.kind(), ArtifactKind::Dataset | ArtifactKind::Labels);
    if rows && !converted && !AS_IT_IS.contains(&suffix.as_str()) && !is_stdout(&args.output) {
        return Err(Failure::user(
            "cli::unknown_ending",
            format!("rows cannot be written as `.{suffix}`"),
            "end the name with `.csv`, `.tsv`, `.jsonl`, `.parquet`, `.arrow`, or `.png` for a sheet of images",
        ));
    }
    if converted && !rows && !matches!(found.artifact.kind(), ArtifactKind::File | ArtifactKind::Directory) {
        let kind = found.artifact.kind();
        let (ending, what) = match kind {
            ArtifactKind::Model => ("safetensors", "weights"),
            ArtifactKind::Report => ("html", "a page"),
            _ => ("json", "JSON"),
        };
        return Err(Failure::user(
            "cli::unknown_ending",
            format!("`{}` is {what}, not rows: it cannot be written as `.{suffix}`", args.target),
            format!("end the name with `.{ending}`"),
        ));
    }
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
    if converted && rows {
        let question = Question {
            kind: "show".into(),
            // Never remembered: the answer is the file.
            version: std::process::id(),
            params: json!({ "path": proved.store.blob_path(&found.blob.digest), "to": output }),
            inputs: Default::default(),
            files: Vec::new(),
        };
        let _ = std::fs::remove_file(&output);
        writable(&output)?;
        ask_data(&project, &proved, &question)?;
    } else {
        writable(&output)?;
        proved.store.materialise(&found.blob, &output)?;
    }
    terminal::err(&format!("{} → {} ({})", args.target, args.output.display(), bytes(found.blob.size)));
    Ok(0)
}

/// Whether there is a folder for the copy in which a file can be made.
fn writable(output: &Path) -> Result<(), Failure> {
    let folder = output.parent().unwrap_or(output);
    let made = std::fs::create_dir_all(folder).and_then(|()| tempfile_in(folder));
    made.map_err(|error| {
        let why = error.to_string();
        let why = why.split(" (os error").next().unwrap_or_default();
        Failure::user(
            "cli::unwritable",
            format!("`{}` cannot be written: {why}", output.display()),
            format!("check the folder `{}`, or name another one with `-o`", folder.display()),
        )
    })
}

/// Makes a file in a folder, and removes it.
fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".pipeline-{}", std::process::id()));
    std::fs::File::create(&path)?;
    std::fs::remove_file(&path)
}
