//! What some tests talk to: PostgreSQL from the distribution, an S3 store (moto) from PyPI in an environment of its own.
//!
//! Installed once, quickly found afterwards. Where they cannot be installed the tests are skipped and say so; on a machine
//! that sets `CI` they fail.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::libtorch::cache_folder;
use crate::shell::{Done, failed, failure, output, python, run};

/// The version the tests are written for; also in the name of the folder they look for.
const MOTO: &str = "5.2.5";

/// Installs what is missing. What cannot be installed is said and is no failure: it is for the tests to judge.
pub fn ready() {
    for (what, done) in [("PostgreSQL", postgres()), ("moto", moto())] {
        if let Err(failure) = done {
            eprintln!("note: {what} is not there, tests that talk to it are skipped: {}", failure.message);
            if let Some(help) = failure.help {
                eprintln!("  help: {help}");
            }
        }
    }
}

fn postgres() -> Done {
    if installed() {
        return Ok(());
    }
    let root = output(Command::new("id").arg("-u"))?.trim() == "0";
    if !root || !Path::new("/usr/bin/apt-get").exists() {
        return Err(failure("it is not installed").help("`sudo apt-get install postgresql`, or your system's package"));
    }
    let install = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "--yes", "--quiet", "--no-install-recommends", "postgresql"]);
        run(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    // Lists of packages may be missing or too old.
    install().or_else(|_| run(Command::new("apt-get").args(["update", "--quiet"])).and_then(|()| install()))?;
    if installed() { Ok(()) } else { Err(failure("the package `postgresql` has no `initdb`")) }
}

fn installed() -> bool {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.iter().any(|folder| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file()))
}

fn moto() -> Done {
    let cache = cache_folder()?;
    let folder = cache.join(format!("moto-{MOTO}"));
    // The script is the last thing that is written.
    let there = || folder.join("bin/moto_server").is_file();
    if there() {
        return Ok(());
    }
    fs::create_dir_all(&cache).map_err(failed("create folder", &cache))?;
    let lock = File::create(cache.join("moto.lock")).map_err(failed("write", &cache))?;
    lock.lock().map_err(failed("lock", &cache))?;
    if there() {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed("remove", &folder))?;
    }
    run(Command::new(python()?).args(["-m", "venv"]).arg(&folder))?;
    let pip = folder.join("bin/pip");
    run(Command::new(pip)
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .arg(format!("moto[server,s3]=={MOTO}")))
}
