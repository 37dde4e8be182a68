//! The files and folders outside the store that stages read.

use std::path::{Path, PathBuf};

use contract::kind::{FileInput, Program};
use contract::pattern::Pattern;

use super::files;
use super::paths::normalise;

/// What a stage reads of the outside.
pub(super) struct Reading<'a> {
    pub(super) program: Program,
    pub(super) files: &'a [FileInput],
    /// Those that are exactly another stage's output.
    pub(super) exact: Vec<u32>,
}

/// The paths behind [`Plan::sources`].
pub(super) fn reads<'a>(root: &Path, stages: impl Iterator<Item = Reading<'a>>) -> Vec<PathBuf> {
    let mut paths: Vec<String> = Vec::new();
    for Reading { program, files, exact } in stages {
        for (index, file) in files.iter().enumerate() {
            if exact.contains(&(index as u32)) || files::elsewhere(program, file) {
                continue;
            }
            let normal = normalise(&file.path, root);
            paths.push(if file.glob { Pattern::new(&normal).fixed().to_owned() } else { normal });
        }
    }
    paths.sort();
    paths.dedup();
    paths.iter().map(|path| root.join(path)).collect()
}
