//! The wheels libtorch comes from: names, versions, digests; downloading with pip.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{Done, Failure, failed, failure, output, python, run};

/// The version of libtorch everything here is made for.
pub const TORCH: &str = "2.13.0";

/// Libraries of its own `libtorch_cpu.so` needs, even where there is no GPU.
pub const RUNTIME: [&str; 2] = ["nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"];

/// The wheels are made for Python versions, the libraries in them are not: any one will do.
const PYTHON: &str = "3.12";

/// The sha256 of wheels as first downloaded; others are checked by pip against what the index says.
const PINS: [(&str, &str); 3] = [
    (
        "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b",
    ),
    (
        "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    ),
    (
        "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    ),
];

/// Runs our own small Python program.
pub fn script(arguments: &[&str]) -> Done<Command> {
    let mut command = Command::new(python()?);
    command.args(["-c", include_str!("wheels.py")]).args(arguments);
    Ok(command)
}

/// Downloads requirements into a folder, without what they depend on unless `resolve`; gives the wheels' paths.
///
/// What is there already and whole is not downloaded again.
pub fn download(requirements: &[&str], folder: &Path, resolve: bool) -> Done<Vec<PathBuf>> {
    fs::create_dir_all(folder).map_err(failed("create folder", folder))?;
    if !resolve && let Some(wheels) = requirements.iter().map(|one| there(one, folder)).collect::<Option<Vec<_>>>() {
        // Nothing to ask the network for.
        return wheels.into_iter().map(checked).collect();
    }
    let python = python()?;
    if output(Command::new(&python).args(["-m", "pip", "--version"])).is_err() {
        return Err(failure("this Python has no pip")
            .help(format!("run `{} -m ensurepip`, or install your system's python3-pip", python.display())));
    }
    for attempt in 1.. {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--retries", "3", "--timeout", "30"]);
        pip.args(["--only-binary=:all:", "--python-version", PYTHON]);
        // Named one by one: pip takes no wheel for an older system unless told.
        for glibc in (17..=28).rev() {
            pip.args(["--platform", &format!("manylinux_2_{glibc}_{}", std::env::consts::ARCH)]);
        }
        pip.args(["--platform", &format!("manylinux2014_{}", std::env::consts::ARCH)]);
        if !resolve {
            pip.arg("--no-deps");
        }
        pip.arg("--dest").arg(folder).args(requirements);
        match run(&mut pip) {
            Ok(()) => break,
            // A connection that broke: what is whole stays, the rest is fetched again.
            Err(_) if attempt < 3 => eprintln!("the download failed; trying again"),
            Err(_) => return Err(offline(requirements, folder)),
        }
    }
    if !resolve {
        // Not what an earlier, broken-off download for another purpose has left.
        let found = requirements.iter().map(|one| there(one, folder)).collect::<Option<Vec<_>>>();
        return found.ok_or_else(|| offline(requirements, folder))?.into_iter().map(checked).collect();
    }
    let mut wheels: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(failed("read", folder))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .collect();
    wheels.sort();
    wheels.into_iter().map(checked).collect()
}

fn offline(requirements: &[&str], folder: &Path) -> Failure {
    failure(format!("cannot download {}", requirements.join(", "))).help(format!(
        "is the network there, and does `pip download` work? Without a network: put these wheels into\n{}\n(from a machine \
         that has one: `pip download --no-deps --only-binary=:all: --python-version {PYTHON} --platform manylinux_2_28_{} {}`), \
         or set LIBTORCH to a libtorch or PyTorch {TORCH} that is already here, and run this again",
        folder.display(),
        std::env::consts::ARCH,
        requirements.join(" ")
    ))
}

/// A pinned wheel of this requirement that is already in the folder.
fn there(requirement: &str, folder: &Path) -> Option<PathBuf> {
    let (name, version) = requirement.split_once("==")?;
    let start = format!("{}-{version}-", name.replace('-', "_"));
    let found = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start))
            && path.extension().is_some_and(|ending| ending == "whl")
    })?;
    Some(found)
}

/// Refuses a wheel that is not the pinned one, and removes it.
fn checked(path: PathBuf) -> Done<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some((_, pin)) = PINS.iter().find(|(pinned, _)| *pinned == name) else { return Ok(path) };
    let found = output(script(&["hash", &path.to_string_lossy()])?.current_dir("/"))?;
    if found.trim() == *pin {
        return Ok(path);
    }
    fs::remove_file(&path).map_err(failed("remove", &path))?;
    Err(failure(format!("`{name}` is damaged or not the genuine one (sha256 {})", found.trim()))
        .help("it was removed; run this again to download it anew"))
}

/// What a CUDA build needs besides torch itself: the wheels with CUDA's libraries that torch's METADATA names for Linux.
pub fn cuda_requirements(metadata: &str) -> Vec<String> {
    let mut requirements = Vec::new();
    for line in metadata.lines() {
        // The description follows the first empty line.
        if line.is_empty() {
            break;
        }
        let Some(requirement) = line.strip_prefix("Requires-Dist: ") else { continue };
        let (what, marker) = requirement.split_once(';').unwrap_or((requirement, ""));
        let what: String = what.split_whitespace().collect();
        let linux = marker.is_empty()
            || marker.contains("\"Linux\"")
            || marker.contains("'linux'")
            || marker.contains("'Linux'");
        if linux && !marker.contains("extra") && (what.starts_with("nvidia-") || what.starts_with("cuda-toolkit")) {
            requirements.push(what);
        }
    }
    requirements
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of torch 2.13.0's own METADATA.
    const METADATA: &str = include_str!("metadata.sample");

    #[test]
    fn cuda_wheels_are_read_from_the_metadata() {
        assert_eq!(
            cuda_requirements(METADATA),
            [
                "cuda-toolkit[cublas,cudart,cufft,cufile,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.0.3",
                "nvidia-cudnn-cu13==9.20.0.48",
                "nvidia-cusparselt-cu13==0.8.1",
                "nvidia-nccl-cu13==2.29.7",
                "nvidia-nvshmem-cu13==3.4.5",
            ]
        );
    }

    #[test]
    fn requirements_in_other_forms_are_read_too() {
        let metadata = "Requires-Dist: nvidia-a (==1.0); platform_system == \"Windows\"\n\
            Requires-Dist: nvidia-b == 2.0 ; platform_system == 'Linux' and platform_machine == 'x86_64'\n\
            Requires-Dist: nvidia-c==3; extra == \"all\"\n\
            Requires-Dist: numpy\n\
            \n\
            Requires-Dist: nvidia-description==1\n";
        assert_eq!(cuda_requirements(metadata), ["nvidia-b==2.0"]);
    }

    #[test]
    fn a_wrong_wheel_is_removed() {
        let folder = std::env::temp_dir().join(format!("xtask-wheel-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(PINS[2].0);
        fs::write(&path, "half a wheel").unwrap();
        assert_eq!(there(RUNTIME[1], &folder), Some(path.clone()));
        assert_eq!(there(RUNTIME[0], &folder), None);
        let failure = checked(path.clone()).unwrap_err();
        assert!(failure.message.contains("damaged"), "{}", failure.message);
        assert!(!path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
