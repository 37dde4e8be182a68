//! A libtorch that is here already: named by `LIBTORCH`, or the PyTorch of the active environment.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What a folder is, as libtorch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What `LIBTORCH` is set to: the folder with `lib` and `include`.
    pub root: PathBuf,
    /// As it says itself: `2.13.0+cu130`.
    pub version: String,
    /// Whether it can use CUDA.
    pub cuda: bool,
}

/// Why a folder will not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It lacks this file.
    Lacks(&'static str),
    /// It is of another version.
    Version(String),
}

/// Looks at a folder: is it libtorch 2.13?
pub fn look(root: &Path) -> Result<Found, Unfit> {
    for file in ["lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"] {
        if !root.join(file).is_file() {
            return Err(Unfit::Lacks(file));
        }
    }
    let version = version(root).ok_or(Unfit::Lacks("version.py"))?;
    if version != "2.13" && !version.starts_with("2.13.") {
        return Err(Unfit::Version(version));
    }
    Ok(Found { root: root.to_owned(), version, cuda: root.join("lib/libtorch_cuda.so").is_file() })
}

/// The version in PyTorch's `version.py` or libtorch's `build-version`.
fn version(root: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(root.join("version.py")) {
        let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
        return Some(line.trim().trim_matches(['\'', '"']).to_owned());
    }
    fs::read_to_string(root.join("build-version")).ok().map(|text| text.trim().to_owned())
}

/// PyTorch 2.13 in the active virtual or conda environment.
pub fn active() -> Option<Found> {
    ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().filter_map(env::var_os).find_map(|root| in_environment(Path::new(&root)))
}

fn in_environment(root: &Path) -> Option<Found> {
    let mut versions: Vec<PathBuf> = fs::read_dir(root.join("lib")).ok()?.flatten().map(|entry| entry.path()).collect();
    versions.sort();
    versions.iter().find_map(|python| look(&python.join("site-packages/torch")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(name: &str, version: &str) -> PathBuf {
        let root = env::temp_dir().join(format!("xtask-existing-{}-{name}", std::process::id()));
        let torch = root.join("lib/python3.12/site-packages/torch");
        for file in ["lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"] {
            let path = torch.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(torch.join("version.py"), format!("__all__ = []\n__version__ = '{version}'\ndebug = False\n"))
            .unwrap();
        root
    }

    #[test]
    fn a_fitting_one_is_found_in_an_environment() {
        let root = make("fits", "2.13.0+cpu");
        let found = in_environment(&root).unwrap();
        assert_eq!(found.version, "2.13.0+cpu");
        assert!(!found.cuda);
        fs::remove_file(found.root.join("lib/libc10.so")).unwrap();
        assert_eq!(look(&found.root), Err(Unfit::Lacks("lib/libc10.so")));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn another_version_is_not() {
        for version in ["2.12.1", "2.1.3", "2.130.0", "3.13.0"] {
            let root = make(version, version);
            assert_eq!(in_environment(&root), None);
            let torch = root.join("lib/python3.12/site-packages/torch");
            assert_eq!(look(&torch), Err(Unfit::Version(version.to_owned())));
            fs::remove_dir_all(root).unwrap();
        }
    }

    #[test]
    fn the_plain_distribution_has_its_version_elsewhere() {
        let root = make("plain", "x");
        let torch = root.join("lib/python3.12/site-packages/torch");
        fs::remove_file(torch.join("version.py")).unwrap();
        fs::write(torch.join("build-version"), "2.13.0+cpu\n").unwrap();
        assert_eq!(look(&torch).unwrap().version, "2.13.0+cpu");
        fs::remove_dir_all(root).unwrap();
    }
}
