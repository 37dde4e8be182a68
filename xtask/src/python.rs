//! Python and pip, as far as set-up and benchmarks need them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Result};

/// The first Python 3 with pip.
///
/// # Errors
/// When there is none.
pub fn find() -> Result<PathBuf> {
    for name in ["python3", "python"] {
        let works = Command::new(name)
            .args(["-c", "import sys, pip; sys.exit(sys.version_info < (3, 8))"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if works {
            return Ok(name.into());
        }
    }
    Err(Failure::new(
        "there is no Python 3 with pip, which fetches libtorch",
        "install python3 and python3-pip, or name an existing PyTorch 2.13: `LIBTORCH=/path/to/site-packages/torch cargo xtask setup`",
    ))
}

/// Runs a Python command that shows its own progress; `failed` says what did not work.
///
/// # Errors
/// When it does not end well.
pub fn run(python: &Path, args: &[&str], failed: impl FnOnce() -> Failure) -> Result<()> {
    let status = Command::new(python).args(args).stdin(Stdio::null()).status();
    if status.is_ok_and(|status| status.success()) { Ok(()) } else { Err(failed()) }
}

/// What a Python expression prints, trimmed.
pub fn eval(python: &Path, code: &str) -> Option<String> {
    let output = Command::new(python).args(["-c", code]).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A virtual environment with packages, made once; `name` changes when the packages do.
///
/// # Errors
/// When it cannot be made (no network, no `venv`).
pub fn environment(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = crate::libtorch::cache_folder()?.join("python").join(name);
    let python = folder.join("bin/python");
    let stamp = folder.join("complete");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|done| done == wanted) {
        return Ok(python);
    }
    eprintln!("making a Python environment with {}", packages.join(", "));
    let _ = std::fs::remove_dir_all(&folder);
    let host = find()?;
    let help = "check the network, and that Python's `venv` module is installed (python3-venv)";
    let shown = folder.display().to_string();
    run(&host, &["-m", "venv", &shown], || Failure::new("the Python environment could not be made", help))?;
    let mut args = vec!["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    args.extend(packages);
    run(&python, &args, || Failure::new("the Python packages could not be installed", help))?;
    std::fs::write(&stamp, wanted)
        .map_err(|error| Failure::io("the environment cannot be marked as complete", &error))?;
    Ok(python)
}
