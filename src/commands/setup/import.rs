//! `pipeline import dvc.yaml`: a DVC project as a pipeline of `command` stages.

use std::path::{Path, PathBuf};

use crate::session::Failure;
use crate::terminal::quantity::some;
use crate::terminal::{self, Styles};

/// So many different notes of one line are shown.
const MOST_NOTES: usize = 20;

/// Turn a DVC project into a pipeline of `command` stages.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's files, the main one first.
    #[arg(value_name = "DVC.YAML", required = true)]
    pub files: Vec<PathBuf>,
    /// Where to write the pipeline; `-` is stdout. Default: `pipeline.yaml` in the folder that holds all the files.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// Imports.
///
/// # Errors
/// Files that cannot be read or are no YAML; a pipeline that is already there.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let home = dvc::home(&args.files);
    let output = args.output.clone().unwrap_or_else(|| home.join("pipeline.yaml"));
    let to_stdout = output.as_os_str() == "-";
    let folder = if to_stdout { home } else { output.parent().unwrap_or(Path::new("")).to_owned() };
    if !to_stdout && !args.force && output.exists() {
        return Err(Failure::user(
            contract::code!("import::exists"),
            format!("`{}` is already there", output.display()),
            "name another file with `--output`, or write over it with `--force`",
        ));
    }
    let name = std::path::absolute(Path::new(".").join(&folder))
        .ok()
        .and_then(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()));
    let imported = dvc::import(&args.files, name.as_deref().unwrap_or("imported"), &folder)
        .map_err(|faults| Failure::faults(&faults))?;
    for notes in imported.notes.chunk_by(|(one, _), (other, _)| one == other) {
        let place = Styles::dim().apply_to(format!("{}:", notes[0].0)).to_string();
        // What `foreach` and `matrix` make of one line has the notes of one line: of those that say the same of many names, one.
        let mut told: Vec<(&str, &str, usize)> = Vec::new();
        for (_, note) in notes {
            let about = sort(note);
            match told.iter_mut().find(|(known, ..)| *known == about) {
                Some((.., more)) => *more += 1,
                None => told.push((about, note, 0)),
            }
        }
        let hidden: usize = told.iter().skip(MOST_NOTES).map(|(.., more)| more + 1).sum();
        for (_, note, more) in told.into_iter().take(MOST_NOTES) {
            let more = if more > 0 { format!(" (and {more} more like this)") } else { String::new() };
            terminal::err(&format!("{place} {note}{more}"));
        }
        if hidden > 0 {
            terminal::err(&format!("{place} and {hidden} more there"));
        }
    }
    if to_stdout {
        terminal::out(imported.text.trim_end());
        return Ok(0);
    }
    std::fs::write(&output, &imported.text).map_err(|error| {
        let message = format!("`{}` cannot be written: {error}", output.display());
        Failure::user(contract::code!("import::unwritable"), message, "look at the folder and its permissions")
    })?;
    terminal::err(&format!(
        "{} {} in `{}`, {}; next: `pipeline check`",
        Styles::good().apply_to("✓"),
        some(imported.stages, "stage"),
        output.display(),
        some(imported.notes.len(), "note")
    ));
    Ok(0)
}

/// What a note says: of one that begins with the name of a stage, whatever the stage is.
fn sort(note: &str) -> &str {
    const OF_A_STAGE: [&str; 5] = [" is frozen", " has ", " reads nothing", " holds a character", " depends on"];
    let named = note.strip_prefix('`').filter(|rest| !rest.starts_with("${")).and_then(|rest| rest.split_once('`'));
    match named {
        Some((_, rest)) if OF_A_STAGE.iter().any(|begin| rest.starts_with(begin)) => rest,
        _ => note,
    }
}
