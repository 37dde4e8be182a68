//! The content of outside files: from files that exist to digests.

use std::path::Path;

use cache::{Digest, FileDigest, Store};
use contract::fault::{Fault, Faults, Route};
use contract::kind::FileInput;
use contract::remote::shown;

use super::manifest::KeyedFile;
use super::remote;
use crate::plan::files::{Found, elsewhere, expand, suffix};
use crate::plan::paths::normalise;
use crate::plan::{PlannedStage, StageId};

/// A file whose content is known.
#[derive(Debug, Clone)]
pub struct Digested {
    /// The file.
    pub found: Found,
    /// Of its content; of a folder, of its tree.
    pub digest: Digest,
    /// How it was seen, to tell later whether it still is (see `Store::still`); `None` when another
    /// stage writes it and its digest is that of the stage's output.
    pub seen: Option<FileDigest>,
}

impl Digested {
    /// What of it enters the key.
    pub fn keyed(&self) -> KeyedFile {
        KeyedFile {
            role: self.found.role.clone(),
            name: self.found.name.clone(),
            shown: self.found.shown.clone(),
            digest: self.digest,
        }
    }
}

/// A remote source, represented by its file in the store.
fn stand_in(store: &Store, index: u32, file: &FileInput) -> Result<Digested, Fault> {
    let path = remote::stand_in(store, &file.path);
    let shown = shown(&file.path).to_owned();
    let (digest, seen) = match store.file_digest(&path) {
        Ok(seen) => (seen.digest, Some(seen)),
        Err(_) if !path.exists() => (remote::unseen(&file.path), None),
        Err(error) => return Err(store_fault(&shown, &error).at(file.route.clone())),
    };
    let found = Found { file: index, role: file.role.clone(), name: String::new(), shown, path };
    Ok(Digested { found, digest, seen })
}

/// All files of a stage with their content. A file that is exactly another stage's output takes the
/// digest that `output` knows for it, without a look at the project.
///
/// # Errors
/// As [`expand`] for each entry, with absolute routes, and `file::unreadable` when a file cannot be
/// read.
pub fn digest_all(
    store: &Store,
    root: &Path,
    stage: &PlannedStage,
    output: impl Fn(StageId, u32) -> Option<Digest>,
) -> Result<Vec<Digested>, Faults> {
    digest_some(store, root, stage, output, |_| true)
}

/// [`digest_all`] for those of the stage's files (by index) that are `wanted`.
pub(crate) fn digest_some(
    store: &Store,
    root: &Path,
    stage: &PlannedStage,
    output: impl Fn(StageId, u32) -> Option<Digest>,
    wanted: impl Fn(u32) -> bool,
) -> Result<Vec<Digested>, Faults> {
    let here = Route::stage(&stage.name);
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    for (index, file) in stage.files.iter().enumerate() {
        let index = index as u32;
        if !wanted(index) {
            continue;
        }
        if elsewhere(stage.program, file) {
            match stand_in(store, index, file) {
                Ok(digested) => all.push(digested),
                Err(fault) => faults.push(fault.under(&here)),
            }
            continue;
        }
        let writer = stage.written.iter().find(|written| written.file == index && written.exact);
        if let Some(digest) = writer.and_then(|written| output(written.from, written.output)) {
            let shown = normalise(&file.path, root);
            let name = if stage.program.is_worker() { suffix(&shown) } else { shown.clone() };
            let path = root.join(&shown);
            let found = Found { file: index, role: file.role.clone(), name, shown, path };
            all.push(Digested { found, digest, seen: None });
            continue;
        }
        match expand(root, stage.program, index, file) {
            Err(fault) => faults.push(fault.under(&here)),
            Ok(found) => {
                for found in found {
                    match store.file_digest(&found.path) {
                        Ok(seen) => all.push(Digested { found, digest: seen.digest, seen: Some(seen) }),
                        Err(error) => faults.push(store_fault(&found.shown, &error).at(here.concat(&file.route))),
                    }
                }
            }
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(Faults::from(faults)) }
}

/// The fault of a file whose content cannot be read.
pub(crate) fn store_fault(shown: &str, error: &cache::StoreError) -> Fault {
    Fault::error(contract::code!("file::unreadable"), format!("`{shown}` cannot be read: {error}"))
        .help("look at its permissions, and whether something is replacing it just now")
}
