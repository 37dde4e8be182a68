//! `pipeline init`: a folder with a pipeline that runs at once.

use std::fs;
use std::path::{Path, PathBuf};

use crate::session::Failure;
use crate::terminal;

struct File {
    path: &'static str,
    bytes: &'static [u8],
}

const PENGUINS: &[File] = &[
    File { path: "pipeline.yaml", bytes: include_bytes!("../../../pipelines/penguins/pipeline.yaml") },
    File { path: "data/penguins.csv", bytes: include_bytes!("../../../pipelines/penguins/data/penguins.csv") },
];
const DIGITS: &[File] = &[
    File { path: "pipeline.yaml", bytes: include_bytes!("../../../pipelines/digits/pipeline.yaml") },
    File { path: "data/digits.csv", bytes: include_bytes!("../../../pipelines/digits/data/digits.csv") },
];
const COMMAND: &[File] = &[File { path: "pipeline.yaml", bytes: include_bytes!("command.yaml") }];
const IGNORE: File = File { path: ".gitignore", bytes: b".pipeline/\nout/\n" };
/// Beside the pipeline, so that editors complete it without this program's sources.
const SCHEMA: File =
    File { path: "pipeline.schema.json", bytes: include_bytes!("../../../schemas/pipeline.schema.json") };

/// Start a new pipeline from a template that runs at once.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to make. Default: this one.
    pub directory: Option<PathBuf>,
    /// What to start from.
    #[arg(short, long, value_enum, default_value_t = Template::Penguins)]
    pub template: Template,
    /// Write over files that are there.
    #[arg(long)]
    pub force: bool,
}

/// What `init` can start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Template {
    /// A table with mixed types and missing cells; classification.
    Penguins,
    /// Small images, the whole life cycle: train, evaluate, compress, export.
    Digits,
    /// Programs of your own as stages.
    Command,
}

/// Writes a template.
///
/// # Errors
/// Files in the way (without `--force`), or a folder that cannot be written.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let directory = args.directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let template = match args.template {
        Template::Penguins => PENGUINS,
        Template::Digits => DIGITS,
        Template::Command => COMMAND,
    };
    let files: Vec<&File> = template.iter().chain([&IGNORE, &SCHEMA]).collect();
    if !args.force {
        let taken: Vec<String> = files
            .iter()
            .filter(|file| file.path != IGNORE.path && directory.join(file.path).exists())
            .map(|file| format!("`{}`", directory.join(file.path).display()))
            .collect();
        if !taken.is_empty() {
            return Err(Failure::user(
                contract::code!("init::in_the_way"),
                format!("{} is already there", taken.join(", ")),
                "name another folder (`pipeline init NAME`), or write over it with `--force`",
            ));
        }
    }
    for file in files {
        let path = directory.join(file.path);
        if file.path == IGNORE.path && path.exists() {
            continue;
        }
        write(&path, &adapt(file)).map_err(|error| {
            Failure::user(
                contract::code!("init::cannot_write"),
                format!("`{}` cannot be written: {}", path.display(), error.kind()),
                "choose a folder you may write to",
            )
        })?;
        terminal::err(&format!("wrote {}", path.display()));
    }
    let change = if directory == Path::new(".") { String::new() } else { format!("cd {} && ", directory.display()) };
    terminal::err(&format!("\nnow:  {change}pipeline run"));
    Ok(0)
}

/// The examples name the schema in this repository; a new project has it beside the pipeline.
fn adapt(file: &File) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(file.bytes) else { return file.bytes.to_vec() };
    if !file.path.ends_with(".yaml") {
        return file.bytes.to_vec();
    }
    text.replace("$schema=../../schemas/pipeline.schema.json", "$schema=pipeline.schema.json").into_bytes()
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, bytes)
}
