//! Where the worker programs are.

use std::path::{Path, PathBuf};

use engine::execute::Programs;

/// The workers: in the folder `PIPELINE_WORKERS` names, beside this program, or on the PATH.
pub fn find_programs() -> Programs {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(folder) = std::env::var_os("PIPELINE_WORKERS") {
        folders.push(folder.into());
    } else {
        if let Ok(this) = std::env::current_exe() {
            folders.extend(this.canonicalize().unwrap_or(this).parent().map(Path::to_path_buf));
        }
        if let Some(path) = std::env::var_os("PATH") {
            folders.extend(std::env::split_paths(&path));
        }
    }
    let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    Programs::find(|worker| find(worker.name))
}
