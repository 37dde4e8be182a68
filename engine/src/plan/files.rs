//! Outside files: from what a document names to files that exist, and from those to digests.

use std::io;
use std::path::{Path, PathBuf};

use contract::fault::{Fault, nearest};
use contract::kind::{FileInput, Program};
use contract::pattern::Pattern;
use contract::remote::is_remote;

use super::paths::normalise;

/// A file or folder that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Index into the stage's files.
    pub file: u32,
    /// As in [`FileInput::role`].
    pub role: String,
    /// As much of its name as enters the key.
    pub name: String,
    /// As messages show it: relative to the pipeline's folder where it lies inside.
    pub shown: String,
    /// Where it is; absolute when the pipeline's folder is.
    pub path: PathBuf,
}

/// Whether an entry is a source that lies elsewhere. A program opens its own paths, whatever they look like.
pub(crate) fn elsewhere(program: Program, file: &FileInput) -> bool {
    program.is_worker() && is_remote(&file.path)
}

/// The files one entry names: itself, or the matches of its pattern in natural order. Sources that lie elsewhere name none.
///
/// # Errors
/// `file::missing`, `file::no_match`, `file::unreadable`; the route is the entry's, relative to the stage's mapping.
pub fn expand(root: &Path, program: Program, index: u32, file: &FileInput) -> Result<Vec<Found>, Fault> {
    if elsewhere(program, file) {
        return Ok(Vec::new());
    }
    let shown = normalise(&file.path, root);
    let found =
        |name: String, shown: String, path: PathBuf| Found { file: index, role: file.role.clone(), name, shown, path };
    if !file.glob {
        let path = root.join(&shown);
        let name = match path.metadata() {
            Err(error) => return Err(unreadable(root, &shown, &error).at(file.route.clone())),
            Ok(_) if !program.is_worker() => shown.clone(),
            Ok(meta) if meta.is_dir() => String::new(),
            Ok(_) => suffix(&shown),
        };
        return Ok(vec![found(name, shown, path)]);
    }
    let pattern = Pattern::new(&shown);
    let matches =
        pattern.expand(root).map_err(|error| unreadable(root, pattern.fixed(), &error).at(file.route.clone()))?;
    if matches.is_empty() {
        let fault = Fault::error(contract::code!("file::no_match"), format!("no file matches `{}`", file.path))
            .at(file.route.clone());
        let help = match root.join(pattern.fixed()).is_dir() {
            true => "`*` stands for any characters of one name, `**` for any number of folders".to_owned(),
            false => missing(root, pattern.fixed()).help.unwrap_or_default(),
        };
        return Err(fault.help(help));
    }
    let place = |path: PathBuf, name: String| {
        let shown = path.to_string_lossy().into_owned();
        let name = if !program.is_worker() { shown.clone() } else { name };
        found(name, shown, root.join(&path))
    };
    Ok(matches.into_iter().map(|found| place(found.path, found.name)).collect())
}

/// What decides how a single file is read: its last suffix, with the one before a packing one. Lower case.
pub(crate) fn suffix(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    // A leading dot is part of the name.
    let Some(last) = name.rfind('.').filter(|at| *at > 0) else { return String::new() };
    let packed = matches!(&name[last..], ".gz" | ".zst");
    let start = if packed { name[..last].rfind('.').filter(|at| *at > 0).unwrap_or(last) } else { last };
    name[start..].to_owned()
}

/// The fault of a path that cannot be looked at.
pub(crate) fn unreadable(root: &Path, shown: &str, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing(root, shown),
        io::ErrorKind::PermissionDenied => {
            Fault::error(contract::code!("file::unreadable"), format!("`{shown}` may not be read"))
                .help("its permissions, or those of a folder above it, do not allow it")
        }
        _ => Fault::error(contract::code!("file::unreadable"), format!("`{shown}` cannot be looked at: {error}"))
            .help("look at the path and the file system it lies on"),
    }
}

/// How many names of a folder are looked at to find the nearest.
const NEAREST_NAMES: usize = 20_000;

/// The fault of a path that does not exist, with the nearest name in the folder where it stops being right.
fn missing(root: &Path, shown: &str) -> Fault {
    let fault = Fault::error(contract::code!("file::missing"), format!("`{shown}` does not exist"));
    let (mut folder, mut rest) =
        (PathBuf::from(if shown.starts_with('/') { "/" } else { "" }), shown.trim_start_matches('/'));
    loop {
        let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
        let next = folder.join(name);
        if !below.is_empty() && root.join(&next).is_dir() {
            (folder, rest) = (next, below);
            continue;
        }
        let here = root.join(&folder);
        let here = if here.as_os_str().is_empty() { PathBuf::from(".") } else { here };
        let entries = std::fs::read_dir(here).into_iter().flatten().flatten().take(NEAREST_NAMES);
        let mut names: Vec<String> = entries
            .filter(|entry| below.is_empty() || entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let shown_folder = if folder.as_os_str().is_empty() {
            "the pipeline's folder".into()
        } else {
            format!("`{}`", folder.display())
        };
        return match nearest(name, names.iter().map(String::as_str)) {
            Some(near) if below.is_empty() => fault.help(format!("did you mean `{}`?", folder.join(near).display())),
            Some(near) => fault.help(format!("there is no folder `{name}` in {shown_folder}; did you mean `{near}`?")),
            None if below.is_empty() => fault.help(format!("nothing in {shown_folder} has a name like it")),
            None => fault.help(format!("there is no folder `{name}` in {shown_folder}")),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn input(path: &str, glob: bool) -> FileInput {
        FileInput { role: "data".into(), path: path.into(), glob, route: contract::route!["from", "csv"] }
    }

    #[test]
    fn the_nearest_name_is_offered_where_the_path_stops_being_right() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("data/2024")).unwrap();
        fs::write(root.join("data/digits.csv"), "a").unwrap();
        let help = |path: &str, glob| {
            let fault = expand(root, Program::Data, 0, &input(path, glob)).unwrap_err();
            assert_eq!(fault.route, Some(contract::route!["from", "csv"]));
            (fault.code, fault.help.unwrap())
        };
        let missing = |text: &str| ("file::missing".to_owned(), text.to_owned());
        assert_eq!(help("data/digts.csv", false), missing("did you mean `data/digits.csv`?"));
        assert_eq!(
            help("dat/digits.csv", false),
            missing("there is no folder `dat` in the pipeline's folder; did you mean `data`?")
        );
        assert_eq!(help("data/zzz/x", false), missing("there is no folder `zzz` in `data`"));
        assert_eq!(help("data/digits.csv/x", false), missing("there is no folder `digits.csv` in `data`"));
        assert_eq!(help("zzz", false), missing("nothing in the pipeline's folder has a name like it"));
        assert_eq!(help("data/*.tsv", true).0, "file::no_match");
        assert_eq!(help("data/2023/*.csv", true).1, "did you mean `data/2024`?");
    }

    #[test]
    fn names_enter_keys_as_far_as_they_matter() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("data/images")).unwrap();
        for path in ["data/a.b.CSV.gz", "data/x", "data/p10.csv", "data/p9.csv"] {
            fs::write(root.join(path), "a").unwrap();
        }
        let names = |path: &str, glob, program| -> Vec<(String, String)> {
            let found = expand(root, program, 0, &input(path, glob)).unwrap();
            found.into_iter().map(|found| (found.name, found.shown)).collect()
        };
        let pair = |name: &str, shown: &str| (name.to_owned(), shown.to_owned());
        assert_eq!(names("./data//a.b.CSV.gz", false, Program::Data), [pair(".csv.gz", "data/a.b.CSV.gz")]);
        assert_eq!(names("data/x", false, Program::Data), [pair("", "data/x")]);
        assert_eq!(names("data/images", false, Program::Data), [pair("", "data/images")]);
        assert_eq!(names("data/x", false, Program::Command), [pair("data/x", "data/x")]);
        let both = [pair("p9.csv", "data/p9.csv"), pair("p10.csv", "data/p10.csv")];
        assert_eq!(names("data/p*.csv", true, Program::Data), both);
        let outside = format!("{}/data/x", root.display());
        assert_eq!(names(&outside, false, Program::Command), [pair("data/x", "data/x")]);
    }
}
