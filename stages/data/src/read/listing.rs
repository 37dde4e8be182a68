//! A folder of files, one folder below it for each class.

use std::path::{Path, PathBuf};

use contract::fault::{Fault, Faults};
use contract::natural::natural;
use contract::worker::protocol::InputFile;

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

/// What is in a folder of files.
pub struct Listing {
    /// Those that end like they should.
    pub entries: Vec<Entry>,
    /// The names of others: they are not read.
    pub others: Vec<String>,
}

/// The files of a folder and of the folders in it, in natural order: first by class, then by file.
///
/// # Errors
/// Nothing that ends like it should, folders inside class folders, and files beside class folders.
pub fn list(folder: &InputFile, endings: &[&str]) -> Outcome<Listing> {
    let mut entries = Vec::new();
    let mut others = Vec::new();
    let mut loose = None;
    if folder.path.is_file() {
        let text = format!("`{}` is a file, and neither a folder nor an archive of one", folder.shown);
        return Err(Faults::from(
            Fault::error(contract::code!("data::wrong_format"), text)
                .help("name the folder, or pack it: `.zip`, `.tar`, `.tar.gz` or `.tar.zst`")
                .place(place(&folder.shown, None, None)),
        ));
    }
    for (path, name, is_folder) in children(&folder.path, &folder.shown)? {
        if is_folder {
            let shown = format!("{}/{name}", folder.shown);
            for (path, file, is_folder) in children(&path, &shown)? {
                if is_folder {
                    let text = format!("`{shown}/{file}` is a folder inside a class folder");
                    return Err(Faults::from(
                        Fault::error(contract::code!("data::nested_folder"), text)
                            .help("keep the files of a class directly in its folder")
                            .place(place(&format!("{shown}/{file}"), None, None)),
                    ));
                }
                if ends(&file, endings) {
                    entries.push(Entry { path, name: format!("{name}/{file}"), class: Some(name.clone()) });
                } else {
                    others.push(format!("{name}/{file}"));
                }
            }
        } else if ends(&name, endings) {
            loose.get_or_insert_with(|| name.clone());
            entries.push(Entry { path, name, class: None });
        } else {
            others.push(name);
        }
    }
    if entries.is_empty() {
        let (last, rest) = endings.split_last().unwrap_or((&"", &[]));
        let some = others.first().map_or_else(String::new, |other| format!("; there is `{other}`"));
        let why = format!("there is no `{}` or `{last}` file in it or one folder below{some}", rest.join("`, `"));
        return Err(Faults::from(empty(&folder.shown, &why)));
    }
    if let Some(name) = loose
        && entries.iter().any(|entry| entry.class.is_some())
    {
        let shown = format!("{}/{name}", folder.shown);
        return Err(Faults::from(
            Fault::error(
                contract::code!("data::no_class"),
                format!("`{shown}` lies beside the class folders, so it has no label"),
            )
            .help("move it into the folder of its class, or out of here")
            .place(place(&shown, None, None)),
        ));
    }
    Ok(Listing { entries, others })
}

/// Says which files of a folder (or of an archive of one) are not read.
pub fn notice(shown: &str, others: &[String], endings: &[&str]) -> Option<Fault> {
    let first = others.first()?;
    let some: Vec<String> = others.iter().take(3).map(|name| format!("`{name}`")).collect();
    let (some, more) = (some.join(", "), if others.len() > 3 { " ..." } else { "" });
    let text = match others.len() {
        1 => format!("a file in `{shown}` is not read: {some}"),
        count => format!("{count} files in `{shown}` are not read: {some}{more}"),
    };
    Some(
        Fault::warning(contract::code!("data::files_not_read"), text)
            .help(format!("read are `{}`: convert the others, or move them out of the folder", endings.join("`, `")))
            .place(place(&format!("{shown}/{first}"), None, None)),
    )
}

/// What systems leave in folders by themselves.
pub fn is_byproduct(name: &str) -> bool {
    name.starts_with('.') || ["thumbs.db", "desktop.ini", "__macosx"].contains(&name.to_ascii_lowercase().as_str())
}

/// All files below a folder that end like they should (packed ones, too), in natural order of their names.
///
/// # Errors
/// Folders that cannot be read, and nothing that ends like it should.
pub fn below(folder: &InputFile, endings: &[&str]) -> Outcome<(Vec<InputFile>, Vec<String>)> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let mut folders = vec![(folder.path.clone(), String::new())];
    while let Some((path, before)) = folders.pop() {
        for (path, name, is_folder) in children(&path, &format!("{}/{before}", folder.shown))? {
            let lower = name.to_ascii_lowercase();
            let plain = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".zst")).unwrap_or(&lower);
            if is_folder {
                folders.push((path, format!("{before}{name}/")));
            } else if ends(plain, endings) {
                let shown = format!("{}/{before}{name}", folder.shown.trim_end_matches('/'));
                found.push(InputFile { role: folder.role.clone(), path, shown });
            } else {
                others.push(format!("{before}{name}"));
            }
        }
    }
    others.sort_by(|a, b| natural(a, b));
    found.sort_by(|a, b| natural(&a.shown, &b.shown));
    if found.is_empty() {
        let some = others.first().map_or_else(String::new, |other| format!("; there is `{other}`"));
        return Err(Faults::from(empty(
            &folder.shown,
            &format!("there is no `{}` file in it{some}", endings.join("` or `")),
        )));
    }
    Ok((found, others))
}

/// What is in a folder, in natural order, without hidden files and what systems leave there.
fn children(folder: &Path, shown: &str) -> Outcome<Vec<(PathBuf, String, bool)>> {
    let fault = |error: std::io::Error| Faults::from(unreadable(shown, &error));
    let mut children = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let Ok(name) = entry.file_name().into_string() else {
            let text = format!("a file in `{shown}` has a name that is not UTF-8");
            return Err(Faults::from(
                Fault::error(contract::code!("data::encoding"), text).help("rename it").place(place(shown, None, None)),
            ));
        };
        if !is_byproduct(&name) {
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
