//! `pipeline get`: an output copied out of the store.

use std::path::{Path, PathBuf};

use contract::artifact::ArtifactKind;
use contract::kind::Question;
use serde_json::json;

use super::data::ask_data;
use super::found::{find, tell_stale};
use crate::session::{Failure, FileArgs, Project, Proved};
use crate::terminal;
use crate::terminal::quantity::bytes;

/// Endings of files that rows are written as.
const CONVERTED: [&str; 6] = ["csv", "tsv", "jsonl", "ndjson", "parquet", "png"];
/// Endings of what the store holds already: Arrow.
const AS_IT_IS: [&str; 4] = ["", "arrow", "ipc", "feather"];

/// Copy a stage's output out of the store.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// `stage` or `stage.port`.
    #[arg(value_name = "STAGE[.PORT]")]
    pub target: String,
    /// Where to put it. A data set becomes what the suffix says: `.csv`, `.tsv`, `.jsonl`, `.parquet`, `.arrow`; one with images becomes a
    /// contact sheet as `.png`. `-` writes to stdout.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
}

/// Copies.
///
/// # Errors
/// An unknown stage or port, a stage that never ran, a target that cannot be written.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    let found = find(&proved, &args.target)?;
    let suffix = args.output.extension().map(|suffix| suffix.to_string_lossy().to_lowercase()).unwrap_or_default();
    let converted = CONVERTED.contains(&suffix.as_str());
    let rows = matches!(found.artifact.kind(), ArtifactKind::Dataset | ArtifactKind::Labels);
    if rows && !converted && !AS_IT_IS.contains(&suffix.as_str()) && !is_stdout(&args.output) {
        return Err(Failure::user(
            contract::code!("cli::unknown_ending"),
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
            contract::code!("cli::unknown_ending"),
            format!("`{}` is {what}, not rows: it cannot be written as `.{suffix}`", args.target),
            format!("end the name with `.{ending}`"),
        ));
    }
    tell_stale(&found);
    if is_stdout(&args.output) {
        if found.blob.tree {
            return Err(Failure::user(
                contract::code!("cli::folder_to_stdout"),
                format!("`{}` is a folder", args.target),
                "name a folder with `-o FOLDER`",
            ));
        }
        terminal::out_bytes(&proved.store.read(&found.blob.digest)?);
        return Ok(0);
    }
    let output = std::path::absolute(&args.output).unwrap_or_else(|_| args.output.clone());
    free(&output, args, &proved, found.blob.tree)?;
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
    // Rows take another size in another format.
    let size = match std::fs::metadata(&output) {
        Ok(meta) if meta.is_file() => meta.len(),
        _ => found.blob.size,
    };
    terminal::err(&format!("{} → {} ({})", args.target, args.output.display(), bytes(size)));
    Ok(0)
}

/// Whether nothing is lost when something is put there: a file may be written over, but no folder and nothing the pipeline is made
/// of.
fn free(output: &Path, args: &Args, proved: &Proved, tree: bool) -> Result<(), Failure> {
    let shown = args.output.display();
    let in_the_way = |what: String, help: String| Err(Failure::user(contract::code!("cli::in_the_way"), what, help));
    if output.is_dir() {
        let empty = std::fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
        return match tree {
            true if empty => Ok(()),
            true => in_the_way(
                format!("the folder `{shown}` is there already, and not empty"),
                format!("name one that is not there: `-o {shown}/{}`", args.target),
            ),
            false => in_the_way(
                format!("`{shown}` is a folder"),
                format!("name a file in it: `-o {}`", args.output.join(&args.target).display()),
            ),
        };
    }
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let (place, spec) = (real(output), &proved.plan.spec);
    let mut read = spec.documents.iter().cloned().chain(proved.plan.sources());
    if output.exists() && read.any(|path| real(&path) == place) {
        return in_the_way(
            format!("`{shown}` is what the pipeline is made from"),
            "name another file with `-o`".to_owned(),
        );
    }
    Ok(())
}

/// Whether there is a folder for the copy in which a file can be made.
fn writable(output: &Path) -> Result<(), Failure> {
    let folder = output.parent().unwrap_or(output);
    let made = std::fs::create_dir_all(folder).and_then(|()| tempfile_in(folder));
    made.map_err(|error| {
        let why = error.to_string();
        let why = why.split(" (os error").next().unwrap_or_default();
        Failure::user(
            contract::code!("cli::unwritable"),
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

/// Whether a path asks for stdout.
fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}
