//! Set-up: libtorch, once, into the user's cache.
//!
//! ```text
//! ~/.cache/pipeline/
//!   wheels/                      downloads, kept until the unpacking is done
//!   libtorch-2.13.0-cpu/         what was unpacked; appears whole, by a rename
//!     stamp.json                 size, time and sha256 of every file
//!     torch/{lib,include,share}  what `LIBTORCH` names
//!     nvidia/cu13/lib            beside it, where the libraries' own rpaths look
//! ```
//!
//! The wheels of PyPI hold the same libraries as the archives of pytorch.org, and come through whatever mirror pip is set up
//! for. A CPU build keeps only what needs no GPU: `libtorch.so` becomes a linker script for `libtorch_cpu.so`.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, io};

use serde_json::Value;

use crate::existing::{Found, Unfit, active, look};
use crate::shell::{Done, failed, failure, output, run, workspace};
use crate::wheel::{RUNTIME, TORCH, cuda_requirements, download, script};

#[derive(clap::Args, Default)]
pub struct Setup {
    /// The build for CUDA (several gigabytes) instead of the one for CPUs.
    #[arg(long)]
    cuda: bool,
    /// Hash every installed file again instead of comparing sizes and times.
    #[arg(long)]
    verify: bool,
}

/// Finds or installs libtorch and tells cargo where it is.
pub fn setup(options: &Setup) -> Done<Found> {
    let found = match existing(options)? {
        Some(found) => found,
        None => ours(options)?,
    };
    tell_cargo(&found)?;
    Ok(found)
}

/// Finds or installs libtorch as the tasks need it that build and run.
pub fn ready() -> Done<Found> {
    setup(&Setup::default())
}

/// The folder for everything of ours that outlives a checkout.
pub fn cache_folder() -> Done<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Ok(cache.ok_or_else(|| failure("neither XDG_CACHE_HOME nor HOME is set"))?.join("pipeline"))
}

fn existing(options: &Setup) -> Done<Option<Found>> {
    let cache = cache_folder()?;
    let told = told();
    // Cargo sets what we have told it; then it is not the user's word.
    let named = env::var_os("LIBTORCH").map(PathBuf::from).filter(|root| !root.as_os_str().is_empty());
    if let Some(root) = named.filter(|root| !root.starts_with(&cache)) {
        match look(&root) {
            Ok(found) if options.cuda && !found.cuda => {
                return Err(failure(format!("LIBTORCH names `{}`, which is not built for CUDA", root.display()))
                    .help("unset LIBTORCH to have one installed, or leave out `--cuda`"));
            }
            Ok(found) => return Ok(Some(found)),
            // What was found in an environment that is gone by now.
            Err(_) if told.as_ref() == Some(&root) => {}
            Err(unfit) => {
                let why = match unfit {
                    Unfit::Lacks(file) => format!("has no `{file}`"),
                    Unfit::Version(version) => format!("is version {version}, not {TORCH}"),
                };
                return Err(failure(format!("LIBTORCH names `{}`, which {why}", root.display()))
                    .help(format!("unset LIBTORCH to have {TORCH} installed, or name a libtorch or PyTorch {TORCH}")));
            }
        }
    }
    Ok(active().filter(|found| found.cuda || !options.cuda))
}

/// The installation in the cache, made or repaired where needed.
fn ours(options: &Setup) -> Done<Found> {
    if !cfg!(target_os = "linux") {
        return Err(failure(format!("libtorch {TORCH} is installed by itself on Linux only"))
            .help("install PyTorch 2.13 and set LIBTORCH to its `torch` folder"));
    }
    let cache = cache_folder()?;
    // What was set up for CUDA serves afterwards too, without asking for it again.
    let cuda_folder = cache.join(format!("libtorch-{TORCH}-cuda"));
    let told_cuda = told().is_some_and(|root| root.starts_with(&cuda_folder));
    let flavour = if options.cuda || told_cuda { "cuda" } else { "cpu" };
    let folder = cache.join(format!("libtorch-{TORCH}-{flavour}"));
    fs::create_dir_all(&cache).map_err(failed("create folder", &cache))?;
    // One at a time; a second set-up waits and then finds the work done.
    let lock = File::create(cache.join("setup.lock")).map_err(failed("write", &cache))?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for another set-up to finish");
        lock.lock().map_err(failed("lock", &cache))?;
    }
    match intact(&folder) {
        Ok(()) if !options.verify => {}
        Ok(()) => run(script(&["verify", &folder.to_string_lossy()])?.current_dir("/")).map_err(|failure| {
            // The next set-up makes it anew.
            let _ = fs::remove_file(folder.join("stamp.json"));
            failure.help("run `cargo xtask setup` to install it anew")
        })?,
        Err(why) => {
            if folder.exists() {
                eprintln!("`{}` {why}: installing it anew", folder.display());
            }
            install(flavour, &cache, &folder)?;
        }
    }
    look(&folder.join("torch")).map_err(|unfit| failure(format!("`{}` is not libtorch: {unfit:?}", folder.display())))
}

fn install(flavour: &str, cache: &Path, folder: &Path) -> Done {
    let wheels = cache.join("wheels");
    println!("installing libtorch {TORCH} for {flavour} into `{}`, once", folder.display());
    let torch = format!("torch=={TORCH}");
    let mut paths = download(&[&torch, RUNTIME[0], RUNTIME[1]], &wheels, false)?;
    if flavour == "cuda" {
        let main =
            paths.iter().find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("torch-")));
        let main = main.ok_or_else(|| failure("pip did not download torch"))?;
        let needed = cuda_requirements(&metadata(main)?);
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        paths = download(&needed, &wheels, true)?;
    }
    // Unpacked aside and renamed: under its name it is always whole.
    for left in fs::read_dir(cache).map_err(failed("read", cache))?.flatten() {
        if left.file_name().to_string_lossy().starts_with("unpacking-") {
            // A set-up that was killed has left it; its Python may be about to notice.
            let _ = remove(&left.path());
        }
    }
    let fresh = cache.join(format!("unpacking-{flavour}-{}", std::process::id()));
    let mut arguments = vec!["unpack".to_owned(), flavour.to_owned(), fresh.to_string_lossy().into_owned()];
    arguments.extend(paths.iter().map(|path| path.to_string_lossy().into_owned()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let unpacked = script(&arguments)?.status().map_err(failed("unpack into", &fresh))?;
    if !unpacked.success() {
        remove(&fresh)?;
        remove(&wheels)?;
        return Err(failure("the downloaded wheels could not be unpacked").help(format!(
            "they were removed; is there space left on the disk of `{}`? Run this again",
            cache.display()
        )));
    }
    let old = cache.join(format!("replaced-{flavour}"));
    remove(&old)?;
    if folder.exists() {
        fs::rename(folder, &old).map_err(failed("rename", folder))?;
    }
    fs::rename(&fresh, folder).map_err(failed("rename", &fresh))?;
    remove(&old)?;
    remove(&wheels)
}

/// The METADATA of a wheel.
fn metadata(wheel: &Path) -> Done<String> {
    let program = "import sys, zipfile; w = zipfile.ZipFile(sys.argv[1]); \
                   print(w.read(next(n for n in w.namelist() if n.endswith('.dist-info/METADATA'))).decode())";
    output(std::process::Command::new(crate::shell::python()?).args(["-c", program]).arg(wheel))
}

/// Whether everything the stamp names is there with the size and time it had; the error says what is not.
fn intact(folder: &Path) -> Result<(), String> {
    let text = fs::read_to_string(folder.join("stamp.json")).map_err(|_| "is not finished".to_owned())?;
    let stamp: Value = serde_json::from_str(&text).map_err(|_| "has a damaged stamp".to_owned())?;
    let files = stamp["files"].as_object().ok_or("has a damaged stamp")?;
    for (name, expected) in files {
        let meta = fs::metadata(folder.join(name)).map_err(|_| format!("has lost `{name}`"))?;
        let time = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        let same = expected["size"].as_u64() == Some(meta.len())
            && expected["mtime_ns"].as_i64().map(i128::from) == Some(time);
        if !same {
            return Err(format!("has a changed `{name}`"));
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Done {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", folder)(error)),
        _ => Ok(()),
    }
}

fn note() -> PathBuf {
    workspace().join(".cargo/libtorch.toml")
}

/// What cargo was told before.
fn told() -> Option<PathBuf> {
    let text = fs::read_to_string(note()).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("LIBTORCH = "))?;
    serde_json::from_str::<String>(line).ok().map(PathBuf::from)
}

/// Writes `.cargo/libtorch.toml`, which `.cargo/config.toml` includes.
fn tell_cargo(found: &Found) -> Done {
    // A TOML basic string and a JSON string agree on everything a path can hold.
    let root = serde_json::to_string(&found.root.to_string_lossy()).unwrap_or_default();
    let mut text = format!("# Written by `cargo xtask setup`.\n[env]\nLIBTORCH = {root}\n");
    if found.root.join("build-version").exists() && found.version.split('+').next() != Some(TORCH) {
        text.push_str("LIBTORCH_BYPASS_VERSION_CHECK = \"1\"\n");
    }
    let path = note();
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let aside = path.with_extension("toml.new");
    fs::write(&aside, text).map_err(failed("write", &aside))?;
    fs::rename(&aside, &path).map_err(failed("rename", &aside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_installation_is_noticed() {
        let folder = env::temp_dir().join(format!("xtask-intact-{}", std::process::id()));
        fs::create_dir_all(folder.join("torch/lib")).unwrap();
        let file = folder.join("torch/lib/libc10.so");
        fs::write(&file, "12345").unwrap();
        assert_eq!(intact(&folder), Err("is not finished".to_owned()));
        let meta = fs::metadata(&file).unwrap();
        let time = meta.mtime() * 1_000_000_000 + meta.mtime_nsec();
        let stamp =
            serde_json::json!({ "files": { "torch/lib/libc10.so": { "size": 5, "mtime_ns": time, "sha256": "" } } });
        fs::write(folder.join("stamp.json"), stamp.to_string()).unwrap();
        assert_eq!(intact(&folder), Ok(()));
        fs::write(&file, "1234").unwrap();
        assert_eq!(intact(&folder), Err("has a changed `torch/lib/libc10.so`".to_owned()));
        fs::remove_file(&file).unwrap();
        assert_eq!(intact(&folder), Err("has lost `torch/lib/libc10.so`".to_owned()));
        fs::write(folder.join("stamp.json"), &stamp.to_string()[..20]).unwrap();
        assert_eq!(intact(&folder), Err("has a damaged stamp".to_owned()));
        fs::remove_dir_all(&folder).unwrap();
    }
}
