//! libtorch 2.13 in a per-user cache, from PyTorch's own wheels.
//!
//! The CPU build needs four of the wheel's libraries and, because `libtorch_cpu.so` of a CUDA wheel asks for them,
//! CUDA's run-time and profiling libraries, which it finds by its own relative rpath. Everything is unpacked beside its
//! final place and renamed there, last of all with a stamp that lists every file: an interrupted set-up is noticed
//! and finished by the next one, whole wheels are not fetched twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::python;

/// The version `tch` links.
pub const VERSION: &str = "2.13.0";

/// (requirement, SHA-256 of its wheel for x86_64 Linux)
const WHEELS: [(&str, &str); 3] = [
    ("torch==2.13.0", "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7"),
    ("nvidia-cuda-runtime==13.0.96", "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
    ("nvidia-cuda-cupti==13.0.85", "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"),
];

/// What a CPU build keeps of `torch/lib`.
const CPU_LIBRARIES: [&str; 4] = ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libtorch_global_deps.so"];

/// What was installed: relative path to size and digest. Written last.
#[derive(Serialize, Deserialize)]
struct Stamp {
    version: String,
    files: BTreeMap<String, (u64, String)>,
}

/// Where this user's things are kept.
///
/// # Errors
/// When there is no home folder.
pub fn cache_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    base.map(|base| base.join("pipeline"))
        .ok_or_else(|| Failure::new("there is no home folder to keep libtorch in", "set HOME or XDG_CACHE_HOME"))
}

/// Makes sure libtorch is there, and tells cargo where. Returns the folder for `LIBTORCH`.
///
/// # Errors
/// No network, no Python, a full disk, an unsupported machine: each with what to do.
pub fn setup(cuda: bool, verify: bool) -> Result<PathBuf> {
    let torch = match existing()? {
        Some(torch) => torch,
        None => install(cuda, verify)?,
    };
    tell_cargo(&torch)?;
    Ok(torch)
}

/// A libtorch named by `LIBTORCH`, or the PyTorch of the active environment.
fn existing() -> Result<Option<PathBuf>> {
    if let Some(folder) = std::env::var_os("LIBTORCH").map(PathBuf::from) {
        // What set-up wrote comes back through cargo's `[env]`; it is checked like every install of ours.
        if folder.starts_with(cache_folder()?) {
            return Ok(None);
        }
        let version = version_of(&folder);
        return match version.as_deref() {
            Some(version) if version.starts_with(VERSION) => {
                eprintln!("libtorch {version} at {} (LIBTORCH)", folder.display());
                Ok(Some(folder))
            }
            Some(version) => Err(Failure::new(
                format!("LIBTORCH names version {version}, this project links {VERSION}"),
                format!("name a libtorch {VERSION}, or unset LIBTORCH to have one installed"),
            )),
            None => Err(Failure::new(
                format!("LIBTORCH is `{}`, where there is no libtorch", folder.display()),
                "it holds `lib` and `include`; unset LIBTORCH to have one installed",
            )),
        };
    }
    for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        let Some(environment) = std::env::var_os(variable).map(PathBuf::from) else { continue };
        let code =
            "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')";
        let Some(found) = python::eval(&environment.join("bin/python"), code).filter(|found| !found.is_empty()) else {
            continue;
        };
        let folder = PathBuf::from(found);
        if version_of(&folder).is_some_and(|version| version.starts_with(VERSION)) {
            eprintln!("using the PyTorch {VERSION} of the active environment, {}", folder.display());
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

/// The version of a libtorch or of an installed PyTorch.
fn version_of(folder: &Path) -> Option<String> {
    if !folder.join("lib").is_dir() || !folder.join("include").is_dir() {
        return None;
    }
    if let Ok(version) = fs::read_to_string(folder.join("build-version")) {
        return Some(version.trim().to_owned());
    }
    let text = fs::read_to_string(folder.join("version.py")).ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    line.split('\'').nth(1).map(str::to_owned)
}

fn install(cuda: bool, verify: bool) -> Result<PathBuf> {
    if !(cfg!(target_os = "linux") && cfg!(target_arch = "x86_64")) {
        return Err(Failure::new(
            "libtorch can be installed by itself on x86_64 Linux only",
            format!(
                "install PyTorch {VERSION} with pip and run `LIBTORCH=/path/to/site-packages/torch cargo xtask setup`"
            ),
        ));
    }
    let base = cache_folder()?;
    let flavour = if cuda { "cuda" } else { "cpu" };
    let folder = base.join(format!("libtorch-{VERSION}-{flavour}"));
    let torch = folder.join("torch");
    match check(&folder, verify) {
        Ok(()) => {
            eprintln!("libtorch {VERSION} ({flavour}) is installed at {}", torch.display());
            return Ok(torch);
        }
        Err(Some(what)) => eprintln!("the installed libtorch is not whole ({what}); installing it again"),
        Err(None) => {}
    }
    let wheels = base.join("wheels");
    fs::create_dir_all(&wheels)
        .map_err(|error| Failure::io(format!("`{}` cannot be made", wheels.display()), &error))?;
    let python = python::find()?;
    fetch(&python, &wheels)?;
    let partial = base.join(format!("libtorch-{VERSION}-{flavour}.partial"));
    remove(&partial)?;
    let mut files: Vec<PathBuf> = Vec::new();
    for (requirement, _) in WHEELS {
        files.push(wheel_of(&wheels, requirement)?);
    }
    unpack(&python, &files, &partial)?;
    if cuda {
        let more = partial.join(format!("torch-{VERSION}.dist-info/METADATA"));
        let metadata =
            fs::read_to_string(&more).map_err(|error| Failure::io("torch's metadata cannot be read", &error))?;
        let folder = base.join("wheels-cuda");
        unpack(&python, &fetch_cuda(&python, &cuda_requirements(&metadata), &folder)?, &partial)?;
    } else {
        keep_cpu(&partial.join("torch"))?;
    }
    trim(&partial.join("torch"))?;
    let stamp = Stamp { version: VERSION.into(), files: listing(&partial)? };
    let text = serde_json::to_string_pretty(&stamp).unwrap_or_default();
    fs::write(partial.join("stamp.json"), text).map_err(|error| Failure::io("the stamp cannot be written", &error))?;
    remove(&folder)?;
    fs::rename(&partial, &folder).map_err(|error| Failure::io("the finished folder cannot be put in place", &error))?;
    // The wheels have done their work: half a gigabyte.
    remove(&wheels)?;
    remove(&base.join("wheels-cuda"))?;
    eprintln!("libtorch {VERSION} ({flavour}) is installed at {}", torch.display());
    Ok(torch)
}

/// Fetches the pinned wheels; pip checks their digests and leaves whole ones alone.
fn fetch(python: &Path, wheels: &Path) -> Result<()> {
    let list = wheels.join("requirements.txt");
    let text: String =
        WHEELS.iter().map(|(requirement, digest)| format!("{requirement} --hash=sha256:{digest}\n")).collect();
    fs::write(&list, text).map_err(|error| Failure::io(format!("`{}` cannot be written", list.display()), &error))?;
    eprintln!("fetching libtorch {VERSION}: three wheels, 540 MB");
    let (folder, list) = (wheels.display().to_string(), list.display().to_string());
    // One wheel for every machine, whatever its Python: only libraries and headers are used.
    let mut args = vec!["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--require-hashes"];
    args.extend(["--retries", "10", "--timeout", "60", "--only-binary=:all:", "--python-version", "3.11"]);
    args.extend(["--implementation", "cp", "--abi", "cp311", "--abi", "none"]);
    for platform in PLATFORMS {
        args.extend(["--platform", platform]);
    }
    args.extend(["--dest", &folder, "--requirement", &list]);
    python::run(python, &args, || fetch_failed("libtorch could not be fetched"))
}

const PLATFORMS: [&str; 5] = [
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_25_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
];

fn fetch_failed(what: &str) -> Failure {
    Failure::new(
        what,
        format!(
            "what pip says stands above. Without a network: copy `{}` from a machine that has it, or name an existing PyTorch {VERSION} with `LIBTORCH=/path/to/site-packages/torch`. What was fetched whole is kept; run this again to go on",
            cache_folder().map(|folder| folder.display().to_string()).unwrap_or_default()
        ),
    )
}

/// What torch's own metadata asks for on Linux, as far as it is libraries.
fn cuda_requirements(metadata: &str) -> Vec<String> {
    metadata
        .lines()
        .filter_map(|line| line.strip_prefix("Requires-Dist: "))
        .filter(|line| line.starts_with("nvidia-") || line.starts_with("cuda-toolkit"))
        .map(|line| line.split(';').next().unwrap_or(line).trim().to_owned())
        .collect()
}

fn fetch_cuda(python: &Path, requirements: &[String], folder: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)
        .map_err(|error| Failure::io(format!("`{}` cannot be made", folder.display()), &error))?;
    eprintln!("fetching CUDA's libraries: about 3 GB");
    let shown = folder.display().to_string();
    let mut args = vec!["-m", "pip", "download", "--disable-pip-version-check", "--retries", "10", "--timeout", "60"];
    args.extend([
        "--only-binary=:all:",
        "--python-version",
        "3.11",
        "--implementation",
        "cp",
        "--abi",
        "cp311",
        "--abi",
        "none",
    ]);
    for platform in PLATFORMS {
        args.extend(["--platform", platform]);
    }
    args.extend(["--dest", &shown]);
    args.extend(requirements.iter().map(String::as_str));
    python::run(python, &args, || fetch_failed("CUDA's libraries could not be fetched"))?;
    let entries = fs::read_dir(folder).map_err(|error| Failure::io("the wheels cannot be listed", &error))?;
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "whl"))
        .collect())
}

/// The wheel of a pinned requirement.
fn wheel_of(wheels: &Path, requirement: &str) -> Result<PathBuf> {
    let prefix = requirement.replace("==", "-").replace("nvidia-cuda-", "nvidia_cuda_");
    let entries = fs::read_dir(wheels).map_err(|error| Failure::io("the wheels cannot be listed", &error))?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .ok_or_else(|| Failure::new(format!("the wheel of {requirement} is not where pip put it"), "run this again"))
}

/// Unpacks wheels side by side. Python's zipfile refuses entries that leave the folder.
fn unpack(python: &Path, wheels: &[PathBuf], folder: &Path) -> Result<()> {
    let shown = folder.display().to_string();
    for wheel in wheels {
        let name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
        eprintln!("unpacking {name}");
        let path = wheel.display().to_string();
        python::run(python, &["-m", "zipfile", "-e", &path, &shown], || {
            // A damaged wheel must be fetched again.
            let _ = fs::remove_file(wheel);
            Failure::new(
                format!("{name} cannot be unpacked"),
                "is there room on the disk? 2 GB are needed while unpacking; then run this again",
            )
        })?;
    }
    Ok(())
}

/// Keeps what a CPU build loads, and a linker script where programs ask for `-ltorch`.
fn keep_cpu(torch: &Path) -> Result<()> {
    let lib = torch.join("lib");
    let entries = fs::read_dir(&lib).map_err(|error| Failure::io("torch/lib cannot be listed", &error))?;
    for entry in entries.flatten() {
        if !CPU_LIBRARIES.iter().any(|kept| entry.file_name() == *kept) {
            remove(&entry.path())?;
        }
    }
    let script = "INPUT(AS_NEEDED(libtorch_cpu.so))\n";
    fs::write(lib.join("libtorch.so"), script)
        .map_err(|error| Failure::io("the linker script cannot be written", &error))
}

/// Only libraries, headers and the version are of use; the Python code is not.
fn trim(torch: &Path) -> Result<()> {
    let entries = fs::read_dir(torch).map_err(|error| Failure::io("torch cannot be listed", &error))?;
    for entry in entries.flatten() {
        if !["lib", "include", "share", "version.py"].iter().any(|kept| entry.file_name() == *kept) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::io(format!("`{}` cannot be removed", path.display()), &error))
        }
        _ => Ok(()),
    }
}

/// Every file with its size and digest.
fn listing(folder: &Path) -> Result<BTreeMap<String, (u64, String)>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    let failed = |error| Failure::io("the installed files cannot be listed", &error);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let size = fs::metadata(&path).map_err(failed)?.len();
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            files.insert(name, (size, digest(&path).map_err(failed)?));
        }
    }
    Ok(files)
}

fn digest(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap_rayon(path)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Whether everything the stamp lists is there: sizes always, content when asked. `Err(None)`: nothing is installed.
fn check(folder: &Path, content: bool) -> std::result::Result<(), Option<String>> {
    let Ok(text) = fs::read_to_string(folder.join("stamp.json")) else {
        return Err(folder.exists().then(|| "there is no stamp".into()));
    };
    let stamp: Stamp = serde_json::from_str(&text).map_err(|_| Some("the stamp cannot be read".to_owned()))?;
    if stamp.version != VERSION {
        return Err(Some(format!("it is version {}", stamp.version)));
    }
    for (name, (size, known)) in &stamp.files {
        let path = folder.join(name);
        if fs::metadata(&path).map(|metadata| metadata.len()).ok() != Some(*size) {
            return Err(Some(format!("{name} is missing or has another size")));
        }
        if content && digest(&path).ok().as_ref() != Some(known) {
            return Err(Some(format!("{name} is damaged")));
        }
    }
    Ok(())
}

/// Cargo passes `LIBTORCH` on to build scripts; a variable of the user's own wins over it.
fn tell_cargo(torch: &Path) -> Result<()> {
    let file = crate::build::workspace().join(".cargo/libtorch.toml");
    let quoted = serde_json::to_string(&torch.display().to_string()).unwrap_or_default();
    let text = format!("# Written by `cargo xtask setup`.\n[env]\nLIBTORCH = {quoted}\n");
    if fs::read_to_string(&file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(&file, text).map_err(|error| Failure::io(format!("`{}` cannot be written", file.display()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_of_the_cuda_wheel_names_libraries_and_python_packages() {
        let metadata = "Name: torch\nRequires-Dist: filelock\n\
            Requires-Dist: cuda-toolkit[cublas,cudart]==13.0.3; platform_system == \"Linux\"\n\
            Requires-Dist: cuda-bindings<14,>=13.0.3; platform_system == \"Linux\"\n\
            Requires-Dist: nvidia-cudnn-cu13==9.20.0.48; platform_system == \"Linux\"\n\
            Requires-Dist: triton==3.7.1; platform_system == \"Linux\"\n";
        assert_eq!(
            cuda_requirements(metadata),
            ["cuda-toolkit[cublas,cudart]==13.0.3", "nvidia-cudnn-cu13==9.20.0.48"]
        );
    }

    #[test]
    fn a_stamp_notices_what_is_missing_cut_or_damaged() {
        let folder = std::env::temp_dir().join(format!("pipeline-stamp-{}", std::process::id()));
        fs::create_dir_all(folder.join("torch/lib")).unwrap();
        let file = folder.join("torch/lib/libc10.so");
        assert!(check(&folder, false).unwrap_err().is_some(), "a folder without a stamp is half an install");
        fs::write(&file, b"library").unwrap();
        let stamp = Stamp { version: VERSION.into(), files: listing(&folder).unwrap() };
        fs::write(folder.join("stamp.json"), serde_json::to_string(&stamp).unwrap()).unwrap();
        assert!(check(&folder, true).is_ok());
        fs::write(&file, b"LIBRARY").unwrap();
        assert!(check(&folder, false).is_ok(), "sizes alone do not tell");
        assert!(check(&folder, true).unwrap_err().unwrap().contains("damaged"));
        fs::write(&file, b"lib").unwrap();
        assert!(check(&folder, false).is_err());
        fs::remove_dir_all(&folder).unwrap();
        assert!(check(&folder, false).unwrap_err().is_none());
    }
}
