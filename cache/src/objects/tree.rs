//! A folder as a manifest: its files by digest, in one canonical text.
//!
//! The manifest is itself a blob, JSON with sorted paths and no spaces. Equal folders have equal manifests: times,
//! owners and all permissions but the executable bit are left out.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::{Blob, Digest, Store, StoreError};

/// A folder's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// By path relative to the folder, with `/`; sorted. A folder is listed only when it is empty.
    pub entries: BTreeMap<String, Entry>,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A file.
    File(Node),
    /// A link to another place inside the folder, as written.
    Link(String),
    /// A folder with nothing in it.
    Empty,
}

/// A file of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its content.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Whether its owner may execute it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

impl Tree {
    /// The content of the files.
    pub fn files(&self) -> impl Iterator<Item = (Digest, u64)> + '_ {
        self.entries.values().filter_map(|entry| match entry {
            Entry::File(node) => Some((node.digest, node.size)),
            Entry::Link(_) | Entry::Empty => None,
        })
    }

    /// Bytes of all files together.
    pub fn size(&self) -> u64 {
        self.files().map(|(_, size)| size).fold(0, u64::saturating_add)
    }

    /// The canonical bytes.
    pub fn manifest(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a map with text keys and plain values always serialises")
    }

    /// What the folder is as a blob (whether stored or not).
    pub fn blob(&self) -> Blob {
        Blob { digest: Digest::of(&self.manifest()), size: self.size(), tree: true, executable: false }
    }

    /// Reads a folder; `file` says what a file's content is.
    pub(crate) fn walk(
        root: &Path,
        mut file: impl FnMut(&Path, &Metadata) -> Result<(Digest, u64), StoreError>,
    ) -> Result<Self, StoreError> {
        let mut tree = Self::default();
        let mut folders = vec![(root.to_owned(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            let failed = |source| StoreError::io(&folder, "read", source);
            let mut empty = true;
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let path = entry.path();
                empty = false;
                let unstorable = |why: &str| StoreError::Unstorable { path: path.clone(), why: why.to_owned() };
                let name = entry.file_name();
                let name = name.to_str().ok_or_else(|| unstorable("its name is not UTF-8"))?;
                let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
                let meta = fs::symlink_metadata(&path).map_err(|source| StoreError::io(&path, "read", source))?;
                if meta.is_dir() {
                    folders.push((path, name));
                } else if meta.is_file() {
                    let (digest, size) = file(&path, &meta)?;
                    let executable = crate::objects::blob::executable(&meta);
                    tree.entries.insert(name, Entry::File(Node { digest, size, executable }));
                } else if meta.is_symlink() {
                    let target = fs::read_link(&path).map_err(|source| StoreError::io(&path, "read", source))?;
                    if !inside(&name, &target) {
                        return Err(unstorable("it is a link that leads out of its folder"));
                    }
                    let target = target.to_str().ok_or_else(|| unstorable("its target is not UTF-8"))?;
                    tree.entries.insert(name, Entry::Link(target.to_owned()));
                } else {
                    return Err(unstorable("it is neither a file, a folder nor a link"));
                }
            }
            if empty && !prefix.is_empty() {
                tree.entries.insert(prefix, Entry::Empty);
            }
        }
        Ok(tree)
    }

    /// Whether every path stays inside; a manifest made by [`Tree::walk`] always does.
    fn is_sane(&self) -> bool {
        self.entries.iter().all(|(path, entry)| {
            !path.is_empty()
                && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
                && match entry {
                    Entry::Link(target) => inside(path, Path::new(target)),
                    Entry::File(_) | Entry::Empty => true,
                }
        })
    }
}

/// Whether a link at `name` with this target stays inside the folder, step by step.
fn inside(name: &str, target: &Path) -> bool {
    let mut depth = name.matches('/').count();
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

impl Store {
    /// The manifest of a stored folder.
    pub fn tree(&self, digest: &Digest) -> Result<Tree, StoreError> {
        let tree: Tree =
            serde_json::from_slice(&self.read(digest)?).map_err(|_| StoreError::Damaged { digest: *digest })?;
        if tree.is_sane() { Ok(tree) } else { Err(StoreError::Damaged { digest: *digest }) }
    }
}
