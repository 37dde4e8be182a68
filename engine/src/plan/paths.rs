//! Paths as documents spell them: one spelling for one place, and which stages write what others read.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use contract::fault::Fault;
use contract::pattern::Pattern;

/// The one spelling of a path: `./a//b/` and `a/../a/b` are `a/b`. `..` that leads above the start stays, an
/// absolute path below `root` becomes relative to it, the start itself is `.`.
///
/// This is done on the text alone: symbolic links are not followed (see [`Places`]).
pub fn normalise(path: &str, root: &Path) -> String {
    let plain = plain(path);
    if !plain.starts_with('/') {
        return plain;
    }
    match Path::new(&plain).strip_prefix(root).ok().and_then(Path::to_str) {
        Some("") => ".".into(),
        Some(inside) if root.is_absolute() => inside.to_owned(),
        _ => plain,
    }
}

/// A path that is written in a file of `folder` (relative to the pipeline's folder, or absolute), as the pipeline's folder
/// sees it. A trailing slash stays: it says that a folder is meant.
pub fn inside(folder: &str, path: &str) -> String {
    if folder.is_empty() || path.is_empty() || path.starts_with('/') {
        return path.to_owned();
    }
    let slash = if path.ends_with('/') { "/" } else { "" };
    format!("{}{slash}", plain(&format!("{folder}/{path}")))
}

fn plain(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            _ => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".into(),
        (false, false) => parts.join("/"),
    }
}

/// The normalised path of an output, which must lie inside the project.
///
/// # Errors
/// `path::absolute`, `path::outside`, `path::reserved`: without a route.
pub fn output(path: &str) -> Result<String, Fault> {
    if path.starts_with('/') {
        return Err(Fault::error(
            contract::code!("path::absolute"),
            format!("the output `{path}` is an absolute path"),
        )
        .help("outputs lie in the pipeline's folder; `pipeline get` copies them elsewhere"));
    }
    let normal = plain(path);
    if normal == "." {
        return Err(Fault::error(
            contract::code!("path::outside"),
            format!("the output `{path}` is the pipeline's own folder"),
        )
        .help("name a file or a folder inside it"));
    }
    if normal == ".." || normal.starts_with("../") {
        return Err(Fault::error(contract::code!("path::outside"), format!("the output `{path}` leaves the project"))
            .help("outputs lie in the pipeline's folder; `pipeline get` copies them elsewhere"));
    }
    if normal == ".pipeline" || normal.starts_with(".pipeline/") {
        return Err(Fault::error(contract::code!("path::reserved"), format!("the output `{path}` lies in the store"))
            .help("`.pipeline` belongs to the engine; choose another folder"));
    }
    Ok(normal)
}

/// Whether a normalised path is the store, lies in it, or is a folder that holds it: reading that would be
/// reading what every run changes.
pub fn meets_store(path: &str, root: &Path) -> bool {
    path == "."
        || path == ".pipeline"
        || path.starts_with(".pipeline/")
        || path.split('/').all(|part| part == "..")
        || (path.starts_with('/') && root.starts_with(path))
}

/// Where paths of a project lead when the links among the folders on the way are followed, as far as they stay inside.
#[derive(Debug)]
pub struct Places<'a> {
    root: &'a Path,
    /// The root without links.
    real: PathBuf,
    /// What is known of folders by their normalised paths.
    folders: HashMap<String, String>,
}

impl<'a> Places<'a> {
    /// Of a project's folder.
    pub fn new(root: &'a Path) -> Self {
        let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        Self { root, real, folders: HashMap::new() }
    }

    /// The one name of the place that a normalised path names. The last name is not followed. What leads out of the project, or is
    /// not there, stays as it is.
    pub fn of(&mut self, path: &str) -> String {
        match path.rsplit_once('/') {
            Some((folder, name)) if !path.starts_with('/') && !path.starts_with("..") => {
                let folder = self.folder(folder);
                if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
            }
            _ => path.to_owned(),
        }
    }

    fn folder(&mut self, path: &str) -> String {
        if let Some(known) = self.folders.get(path) {
            return known.clone();
        }
        let (above, name) =
            path.rsplit_once('/').map_or((String::new(), path), |(above, name)| (self.folder(above), name));
        let plain = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
        let here = self.root.join(&plain);
        let leads = || here.canonicalize().ok()?.strip_prefix(&self.real).ok()?.to_str().map(str::to_owned);
        let place = if here.is_symlink() { leads().unwrap_or(plain) } else { plain };
        self.folders.insert(path.to_owned(), place.clone());
        place
    }
}

/// What no stage may write: the files the pipeline is read from, its lock file, the history of the project.
///
/// # Errors
/// `path::reserved`, without a route.
pub fn reserved(path: &str, shown: &str, documents: &[String]) -> Result<(), Fault> {
    let holds = |inner: &str| inner.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(document) = documents.iter().find(|document| holds(document)) {
        let message = match document == path {
            true => format!("the output `{shown}` is a file of the pipeline itself"),
            false => format!("the output `{shown}` is a folder with `{document}` in it, a file of the pipeline itself"),
        };
        return Err(Fault::error(contract::code!("path::reserved"), message)
            .help("outputs are removed before their stage runs; choose a path of its own"));
    }
    if path == ".git" || path.starts_with(".git/") {
        return Err(Fault::error(
            contract::code!("path::reserved"),
            format!("the output `{shown}` lies in the history of the project"),
        )
        .help("`.git` belongs to git; choose another folder"));
    }
    Ok(())
}

/// Who writes which path of the project.
#[derive(Debug, Default)]
pub struct Writers {
    by_path: BTreeMap<String, Writer>,
}

/// One output with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// The stage, by its position in the document.
    pub stage: u32,
    /// Which of its outputs.
    pub output: u32,
}

/// Why a path cannot be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clash {
    /// Another output has the very path.
    Same(Writer),
    /// Another output is a folder around it.
    Inside(String, Writer),
    /// Another output lies inside it.
    Around(String, Writer),
}

impl Writers {
    /// Adds a normalised path.
    ///
    /// # Errors
    /// When it is, lies in, or holds a path that was added before; it is not added then.
    pub fn add(&mut self, path: &str, writer: Writer) -> Result<(), Clash> {
        if let Some(other) = self.by_path.get(path) {
            return Err(Clash::Same(*other));
        }
        if let Some((folder, other)) = self.around(path) {
            return Err(Clash::Inside(folder.to_owned(), other));
        }
        if let Some((inner, other)) = self.inside(path).next() {
            return Err(Clash::Around(inner.to_owned(), other));
        }
        self.by_path.insert(path.to_owned(), writer);
        Ok(())
    }

    /// Everything that writes a normalised path or a part of it; the flag says whether it writes exactly that.
    pub fn of(&self, path: &str) -> Vec<(Writer, bool)> {
        if let Some(writer) = self.by_path.get(path) {
            return vec![(*writer, true)];
        }
        if let Some((_, writer)) = self.around(path) {
            return vec![(writer, false)];
        }
        if path == "." {
            return self.by_path.values().map(|writer| (*writer, false)).collect();
        }
        self.inside(path).map(|(_, writer)| (writer, false)).collect()
    }

    /// Everything that writes something a pattern may match.
    pub fn matching(&self, pattern: &Pattern) -> Vec<Writer> {
        let fixed = pattern.fixed();
        if let Some(writer) = self.by_path.get(fixed) {
            return vec![*writer];
        }
        if let Some((_, writer)) = self.around(fixed) {
            return vec![writer];
        }
        let inside: Vec<(&str, Writer)> = if fixed == "." {
            self.by_path.iter().map(|(path, writer)| (path.as_str(), *writer)).collect()
        } else {
            self.inside(fixed).collect()
        };
        inside.into_iter().filter(|(path, _)| pattern.may_reach(path)).map(|(_, writer)| writer).collect()
    }

    fn around<'a>(&self, path: &'a str) -> Option<(&'a str, Writer)> {
        let mut folder = path;
        while let Some(slash) = folder.rfind('/') {
            folder = &folder[..slash];
            if let Some(writer) = self.by_path.get(folder) {
                return Some((folder, *writer));
            }
        }
        None
    }

    fn inside(&self, path: &str) -> impl Iterator<Item = (&str, Writer)> {
        // `0` is the character after `/`: between them lies all that starts with `path/`.
        let range = format!("{path}/")..format!("{path}0");
        self.by_path.range(range).map(|(inner, writer)| (inner.as_str(), *writer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_spelling() {
        let root = Path::new("/project");
        for (written, normal) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("a/../a/b", "a/b"),
            ("a/./b/..", "a"),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("../../a", "../../a"),
            ("/project/a/b", "a/b"),
            ("/project", "."),
            ("/projects/a", "/projects/a"),
            ("/../a", "/a"),
            (".", "."),
            ("a/..", "."),
        ] {
            assert_eq!(normalise(written, root), normal, "{written}");
        }
    }

    #[test]
    fn paths_of_an_included_file_start_at_its_folder() {
        for (folder, path, expected) in [
            ("", "./a", "./a"),
            ("sub", "a/b", "sub/a/b"),
            ("sub", "../a", "a"),
            ("sub", "out/", "sub/out/"),
            ("../shared", "a", "../shared/a"),
            ("/else", "a", "/else/a"),
            ("sub", "/a", "/a"),
            ("sub", "", ""),
        ] {
            assert_eq!(inside(folder, path), expected, "{folder} {path}");
        }
    }

    #[test]
    fn the_store_is_not_read() {
        let root = Path::new("/home/project");
        for (path, expected) in [
            (".", true),
            ("..", true),
            ("../..", true),
            ("/home", true),
            ("/", true),
            (".pipeline/blobs-v1", true),
            ("../other", false),
            ("/home/other", false),
            ("data", false),
            (".pipelines", false),
        ] {
            assert_eq!(meets_store(path, root), expected, "{path}");
        }
    }

    #[test]
    fn an_output_stays_inside() {
        assert_eq!(output("./out/../out/a").unwrap(), "out/a");
        for (path, code) in [
            ("/tmp/a", "path::absolute"),
            ("a/../..", "path::outside"),
            ("../a", "path::outside"),
            ("./", "path::outside"),
            (".pipeline/x", "path::reserved"),
        ] {
            assert_eq!(output(path).unwrap_err().code, code, "{path}");
        }
        assert_eq!(output("..a/b").unwrap(), "..a/b");
    }

    #[test]
    fn writers_know_who_is_around_and_inside() {
        let mut writers = Writers::default();
        let [a, b, c] = [0, 1, 2].map(|stage| Writer { stage, output: 0 });
        writers.add("out/a", a).unwrap();
        writers.add("out/a-b/c", b).unwrap();
        assert_eq!(writers.add("out/a", c), Err(Clash::Same(a)));
        assert_eq!(writers.add("out/a/x", c), Err(Clash::Inside("out/a".into(), a)));
        assert_eq!(writers.add("out", c), Err(Clash::Around("out/a".into(), a)));
        assert_eq!(writers.of("out/a"), [(a, true)]);
        assert_eq!(writers.of("out/a/deep/x"), [(a, false)]);
        assert_eq!(writers.of("out").len(), 2);
        assert_eq!(writers.of(".").len(), 2);
        assert_eq!(writers.of("ou"), []);
        assert_eq!(writers.matching(&Pattern::new("out/*/c")), [a, b]);
        assert_eq!(writers.matching(&Pattern::new("out/a-*/*.csv")), []);
        assert_eq!(writers.matching(&Pattern::new("**/c")), [a, b]);
    }
}
