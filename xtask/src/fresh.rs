//! Every generated file of the repository: written anew, or compared with what it would be.
//!
//! The program prints the two JSON Schemas. The other files are written by the tests that otherwise compare them, because only a
//! test may link what they are made from: this task stays free of the rest of the workspace.

use std::fs;
use std::process::Command;

use crate::shell::{Done, cargo, failed, failure, output, run, target, workspace};

/// Options of `fresh`.
#[derive(clap::Args)]
pub struct Fresh {
    /// Write nothing; fail when a file is stale.
    #[arg(long)]
    check: bool,
    /// Also the expectations of the gallery of odd tables (builds the table engine). Read their difference before you commit it.
    #[arg(long)]
    gallery: bool,
}

/// What the program prints, and the file that keeps it.
const PRINTED: [(&[&str], &str); 2] =
    [(&["schema"], "schemas/pipeline.schema.json"), (&["schema", "--events"], "schemas/events.schema.json")];

/// What a test compares, and writes instead while [`WRITE`] is set: the files, the crate, its test program, the test.
const COMPARED: [(&str, &str, &str, &str); 3] = [
    ("docs/reference", "catalog", "kinds", "reference::pages_are_fresh"),
    ("docs/codes.md", "schemas", "codes", "the_table_of_codes_is_fresh"),
    ("schemas/samples/invalid", "schemas", "samples", "invalid_samples_say_what_is_wrong"),
];
const GALLERY: (&str, &str, &str, &str) =
    ("stages/data/tests/fixtures", "stages-data", "data", "gallery::every_file_gives_what_is_expected_of_it");

/// Tells the tests of [`COMPARED`] to write. Only this task sets it.
const WRITE: &str = "PIPELINE_WRITE_GENERATED";
/// The same for [`GALLERY`].
const WRITE_GALLERY: &str = "UPDATE_GALLERY";

/// Writes every generated file, or compares them all and then fails once.
pub fn fresh(options: &Fresh) -> Done {
    // The face links neither libtorch nor the table engine: no set-up needed.
    run(cargo(None).args(["build", "--package", "pipeline"]))?;
    let mut stale = Vec::new();
    for (arguments, file) in PRINTED {
        if printed(arguments, file, options.check)? {
            stale.push(file);
        }
    }
    for (files, package, program, test) in COMPARED.into_iter().chain(options.gallery.then_some(GALLERY)) {
        let mut command = cargo(None);
        command.args(["test", "--quiet", "--package", package, "--test", program, "--", "--exact", test]);
        for name in [WRITE, WRITE_GALLERY] {
            match options.check {
                true => command.env_remove(name),
                false => command.env(name, "1"),
            };
        }
        if !passes(&mut command, test)? {
            stale.push(files);
        }
    }
    if stale.is_empty() {
        println!("every generated file is fresh");
        return Ok(());
    }
    let help =
        if options.check { "run `cargo xtask fresh` and commit the change" } else { "see what the tests say above" };
    Err(failure(format!("stale: {}", stale.join(", "))).help(help))
}

/// Runs one test, and shows what it says when it fails.
fn passes(command: &mut Command, test: &str) -> Done<bool> {
    println!("$ cargo test … {test}");
    let done = command.output().map_err(|error| failure(format!("cannot start cargo: {error}")))?;
    let text = String::from_utf8_lossy(&done.stdout);
    if !done.status.success() {
        eprintln!("{text}{}", String::from_utf8_lossy(&done.stderr));
        return Ok(false);
    }
    // A filter that fits no test passes as well.
    if text.contains("1 passed") { Ok(true) } else { Err(failure(format!("there is no test `{test}`"))) }
}

/// Writes what the program prints, or says whether its file differs.
fn printed(arguments: &[&str], file: &str, check: bool) -> Done<bool> {
    let fresh = output(Command::new(target().join("debug/pipeline")).args(arguments))?;
    let path = workspace().join(file);
    let same = fs::read_to_string(&path).is_ok_and(|kept| kept == fresh);
    if same || check {
        return Ok(!same);
    }
    fs::write(&path, fresh).map_err(failed("write", &path))?;
    println!("wrote `{file}`");
    Ok(false)
}
