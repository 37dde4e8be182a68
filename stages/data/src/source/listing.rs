//! A folder of files, one folder below it for each class.

use std::path::{Path, PathBuf};

use catalog::pattern::natural;
use engine::error::Fault;
use engine::protocol::InputFile;

use crate::fault::{Outcome, empty, place, unreadable};

/// One file in the folder.
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// Relative to the folder, with `/`.
    pub name: String,
    /// The folder it is in.
    pub class: Option<String>,
}

/// The files of a folder and of the folders in it, in natural order: first by class, then by file.
///
/// # Errors
/// Nothing that ends like it should, folders inside class folders, and files beside class folders.
pub fn list(folder: &InputFile, endings: &[&str]) -> Outcome<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut loose = None;
    for (path, name, is_folder) in children(&folder.path, &folder.shown)? {
        if is_folder {
            let shown = format!("{}/{name}", folder.shown);
            for (path, file, is_folder) in children(&path, &shown)? {
                if is_folder {
                    let text = format!("`{shown}/{file}` is a folder inside a class folder");
                    return Err(vec![
                        Fault::error("data::nested_folder", text)
                            .help("keep the files of a class directly in its folder")
                            .place(place(&format!("{shown}/{file}"), None, None)),
                    ]);
                }
                if ends(&file, endings) {
                    entries.push(Entry { path, name: format!("{name}/{file}"), class: Some(name.clone()) });
                }
            }
        } else if ends(&name, endings) {
            loose.get_or_insert_with(|| name.clone());
            entries.push(Entry { path, name, class: None });
        }
    }
    if entries.is_empty() {
        let (last, rest) = endings.split_last().unwrap_or((&"", &[]));
        let why = format!("there is no `{}` or `{last}` file in it or one folder below", rest.join("`, `"));
        return Err(vec![empty(&folder.shown, &why)]);
    }
    if let Some(name) = loose
        && entries.iter().any(|entry| entry.class.is_some())
    {
        let shown = format!("{}/{name}", folder.shown);
        return Err(vec![
            Fault::error("data::no_class", format!("`{shown}` lies beside the class folders, so it has no label"))
                .help("move it into the folder of its class, or out of here")
                .place(place(&shown, None, None)),
        ]);
    }
    Ok(entries)
}

/// What is in a folder, in natural order, without hidden files.
fn children(folder: &Path, shown: &str) -> Outcome<Vec<(PathBuf, String, bool)>> {
    let fault = |error: std::io::Error| vec![unreadable(shown, &error)];
    let mut children = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let Ok(name) = entry.file_name().into_string() else {
            let text = format!("a file in `{shown}` has a name that is not UTF-8");
            return Err(vec![Fault::error("data::encoding", text).help("rename it").place(place(shown, None, None))]);
        };
        if !name.starts_with('.') {
            let is_folder = entry.path().is_dir();
            children.push((entry.path(), name, is_folder));
        }
    }
    children.sort_by(|a, b| natural(&a.1, &b.1));
    Ok(children)
}

fn ends(name: &str, endings: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    endings.iter().any(|ending| lower.ends_with(ending))
}

/// Where the files begin: archives often wrap everything in one folder, which is no class.
pub fn top(folder: &Path) -> PathBuf {
    let mut folder = folder.to_owned();
    loop {
        let below: Vec<PathBuf> =
            std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        match below.as_slice() {
            [one]
                if one.is_dir()
                    && std::fs::read_dir(one).into_iter().flatten().flatten().all(|entry| entry.path().is_dir()) =>
            {
                folder.clone_from(one);
            }
            _ => return folder,
        }
    }
}
