//! Demo, tests, installation: cargo with libtorch in place.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::failure::{Failure, Result};
use crate::libtorch;

/// The three programs.
pub const PROGRAMS: [&str; 3] = ["pipeline", "pipeline-data", "pipeline-torch"];

/// The repository.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), |folder| workspace().join(folder))
}

/// Cargo, in the repository, with libtorch.
pub fn cargo(torch: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).env("LIBTORCH", torch).stdin(Stdio::null());
    command
}

/// Runs a command whose output the user sees.
///
/// # Errors
/// When it cannot start or does not end well.
pub fn run(command: &mut Command, what: &str) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{what} failed ({status})"), "what went wrong stands above")),
        Err(error) => Err(Failure::io(format!("{what} could not start"), &error)),
    }
}

/// Builds the three programs and returns the folder they are in.
///
/// # Errors
/// When cargo fails.
pub fn programs(torch: &Path, profile: &str) -> Result<PathBuf> {
    let mut command = cargo(torch);
    command.args(["build", "--profile", profile]);
    for (package, program) in [("pipeline", PROGRAMS[0]), ("stages-data", PROGRAMS[1]), ("stages-torch", PROGRAMS[2])] {
        command.args(["--package", package, "--bin", program]);
    }
    run(&mut command, "the build")?;
    Ok(target().join(if profile == "dev" { "debug" } else { profile }))
}

/// The digits pipeline from an empty store, then again.
///
/// # Errors
/// Set-up, build or run failed.
pub fn demo() -> Result<()> {
    let torch = libtorch::setup(false, false)?;
    let folder = programs(&torch, "dev")?;
    let here = target().join("demo");
    let _ = std::fs::remove_dir_all(&here);
    let program = folder.join("pipeline");
    let pipeline = |args: &[&str], at: &Path| -> Result<()> {
        eprintln!("\n$ pipeline {}", args.join(" "));
        let started = Instant::now();
        run(Command::new(&program).args(args).current_dir(at), "the demo")?;
        eprintln!("({:.3} s)", started.elapsed().as_secs_f64());
        Ok(())
    };
    let shown = here.display().to_string();
    pipeline(&["init", "--template", "digits", &shown], &workspace())?;
    pipeline(&["run"], &here)?;
    pipeline(&["run"], &here)?;
    pipeline(&["show", "verdict"], &here)?;
    pipeline(&["show", "small.report"], &here)?;
    eprintln!("\nThe demo is in {shown}: edit pipeline.yaml there and run `{} run` again.", program.display());
    Ok(())
}

/// Every test: nextest where it is installed, cargo's own runner elsewhere.
///
/// # Errors
/// When a test fails.
pub fn test(args: &[String]) -> Result<()> {
    let torch = libtorch::setup(false, false)?;
    // The end-to-end tests start the real programs.
    programs(&torch, "dev")?;
    let nextest = Command::new("cargo")
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut doctests = cargo(&torch);
    doctests.args(["test", "--workspace", "--doc", "--quiet"]);
    run(&mut doctests, "the documentation's tests")?;
    let mut command = cargo(&torch);
    if nextest {
        command.args(["nextest", "run", "--workspace"]);
    } else {
        command.args(["test", "--workspace", "--lib", "--bins", "--tests", "--examples"]);
    }
    run(command.args(args), "the tests")
}

/// The programs side by side on the PATH. They find each other there, and libtorch where set-up put it.
///
/// # Errors
/// When the build fails or the folder cannot be written.
pub fn install(root: Option<PathBuf>, profile: &str) -> Result<()> {
    let torch = libtorch::setup(false, false)?;
    let built = programs(&torch, profile)?;
    let root = root.or_else(|| std::env::var_os("CARGO_HOME").map(PathBuf::from));
    let root = root.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let bin = root
        .ok_or_else(|| Failure::new("there is no home folder to install into", "name one with `--root`"))?
        .join("bin");
    std::fs::create_dir_all(&bin)
        .map_err(|error| Failure::io(format!("`{}` cannot be made", bin.display()), &error))?;
    for program in PROGRAMS {
        // Replaced by renaming, so that a program that is running goes on undisturbed.
        let (from, partial, to) = (built.join(program), bin.join(format!(".{program}.partial")), bin.join(program));
        let copied = std::fs::copy(&from, &partial).and_then(|_| std::fs::rename(&partial, &to));
        copied.map_err(|error| Failure::io(format!("`{}` cannot be written", to.display()), &error))?;
        eprintln!("installed {}", to.display());
    }
    let on_path = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder == bin));
    if !on_path {
        eprintln!("add it to your PATH:  export PATH=\"{}:$PATH\"", bin.display());
    }
    Ok(())
}

/// The JSON Schema, and the reference generated beside it.
///
/// # Errors
/// When the build fails or a file cannot be written.
pub fn schema() -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).args([
        "run",
        "--quiet",
        "--package",
        "pipeline",
        "--bin",
        "pipeline",
        "--",
        "schema",
    ]);
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| Failure::io("cargo could not start", &error))?;
    if !output.status.success() {
        return Err(Failure::new("the schema could not be made", "what went wrong stands above"));
    }
    let file = workspace().join("schemas/pipeline.schema.json");
    std::fs::write(&file, output.stdout)
        .map_err(|error| Failure::io(format!("`{}` cannot be written", file.display()), &error))?;
    eprintln!("wrote {}", file.display());
    Ok(())
}
