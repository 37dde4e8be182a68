//! Putting the programs on the PATH.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, process};

use crate::libtorch;
use crate::shell::{Done, cargo, failed, failure, output, run, target};

const PROGRAMS: [&str; 3] = ["pipeline", "pipeline-data", "pipeline-torch"];

/// Builds with a profile and copies the programs side by side. They find each other by their folder, and libtorch by the
/// path baked in when they were linked; that is tried out at the end, from another folder and with an empty environment.
pub fn install(root: Option<PathBuf>, profile: &str) -> Done {
    let libtorch = libtorch::ready()?;
    let packages = ["-p", "pipeline", "-p", "stages-data", "-p", "stages-torch"];
    run(cargo(Some(&libtorch.root)).args(["build", "--bins", "--profile", profile]).args(packages))?;
    let built = target().join(if profile == "dev" { "debug" } else { profile });
    let root = match root {
        Some(root) => std::path::absolute(&root).map_err(failed("resolve", &root))?,
        None => cargo_home()?,
    };
    let folder = root.join("bin");
    fs::create_dir_all(&folder).map_err(failed("create folder", &folder))?;
    for name in PROGRAMS {
        // Renamed over the old one: a running program keeps its file.
        let (from, aside) = (built.join(name), folder.join(format!(".{name}.{}", process::id())));
        fs::copy(&from, &aside).map_err(failed("copy", &from))?;
        fs::rename(&aside, folder.join(name)).map_err(failed("rename", &aside))?;
    }
    for (name, argument) in PROGRAMS.iter().zip(["--version", "--hello", "--hello"]) {
        let tried = output(Command::new(folder.join(name)).arg(argument).current_dir("/").env_clear());
        let said = tried.map_err(|failure| {
            failure.help("the programs were built but do not start; `cargo xtask setup --verify`?")
        })?;
        if said.trim().is_empty() {
            return Err(failure(format!("`{name} {argument}` says nothing")));
        }
    }
    println!("installed {} in `{}`", PROGRAMS.join(", "), folder.display());
    if !on_path(&folder) {
        println!("add it to the PATH: export PATH=\"{}:$PATH\"", folder.display());
    }
    Ok(())
}

fn cargo_home() -> Done<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))).ok_or_else(|| failure("HOME is not set"))
}

fn on_path(folder: &Path) -> bool {
    env::var_os("PATH").is_some_and(|paths| env::split_paths(&paths).any(|path| path == folder))
}
