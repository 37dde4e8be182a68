//! Patterns over paths: `*` and `?` within a name, `**` for any number of folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::natural::natural;

/// A path pattern, split at its slashes.
///
/// `*` matches any characters of one name, `?` one character, a name that is `**` any number of folders (none, too).
/// Names that start with a dot are matched only where the pattern spells the dot. There is no escaping and no `[…]`:
/// a file whose name holds a star is matched by `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    fixed: String,
    parts: Vec<String>,
}

/// A file a pattern matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Relative to the pattern's fixed part, with `/`.
    pub name: String,
    /// Relative to where the pattern starts.
    pub path: PathBuf,
}

impl Pattern {
    /// Reads a normalised pattern ([`crate::paths::normalise`]).
    pub fn new(pattern: &str) -> Self {
        let absolute = pattern.starts_with('/');
        let mut parts: Vec<String> = pattern.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        // The last part is a file's name and never fixed, so that a pattern without stars matches that file.
        let count = parts.iter().take(parts.len().saturating_sub(1)).take_while(|part| !is_wild(part)).count();
        let fixed = parts.drain(..count).collect::<Vec<_>>().join("/");
        let fixed = match (absolute, fixed.is_empty()) {
            (true, _) => format!("/{fixed}"),
            (false, true) => ".".into(),
            (false, false) => fixed,
        };
        Self { fixed, parts }
    }

    /// The folder above the first wildcard: `data/2024` of `data/2024/*.csv`, `.` of `*.csv`.
    pub fn fixed(&self) -> &str {
        &self.fixed
    }

    /// Whether a normalised path below the fixed part matches, or is a folder in which something may.
    pub fn may_reach(&self, path: &str) -> bool {
        self.positions(path).is_some()
    }

    /// The positions in the pattern that are reached after all names of a path; `None` when the path leads elsewhere.
    fn positions(&self, path: &str) -> Option<Vec<usize>> {
        let below =
            if self.fixed == "." { path } else { path.strip_prefix(self.fixed.as_str())?.trim_start_matches('/') };
        // The set of positions in the pattern that are reached after each name.
        let mut positions = self.spread(vec![0]);
        for name in below.split('/') {
            let mut next = Vec::new();
            for position in positions {
                match self.parts.get(position) {
                    Some(part) if part == "**" && !name.starts_with('.') => next.push(position),
                    Some(part) if part != "**" && matches(part, name) => next.push(position + 1),
                    _ => {}
                }
            }
            positions = self.spread(next);
            if positions.is_empty() {
                return None;
            }
        }
        Some(positions)
    }

    /// Whether a normalised path matches as a whole.
    pub fn is_match(&self, path: &str) -> bool {
        self.positions(path).is_some_and(|positions| positions.contains(&self.parts.len()))
    }

    /// Every position and those behind its `**`, which may stand for nothing.
    fn spread(&self, mut positions: Vec<usize>) -> Vec<usize> {
        positions.sort_unstable();
        positions.dedup();
        let mut index = 0;
        while index < positions.len() {
            let position = positions[index];
            if self.parts.get(position).is_some_and(|part| part == "**") && !positions.contains(&(position + 1)) {
                positions.push(position + 1);
            }
            index += 1;
        }
        positions
    }

    /// The files that match, in natural order of their names. Folders are walked, never matched; `**` does not
    /// follow symbolic links to folders.
    ///
    /// # Errors
    /// What reading a folder came to; a fixed part that does not exist is no error, it holds no files.
    pub fn expand(&self, root: &Path) -> io::Result<Vec<Match>> {
        let mut found: Vec<Match> = Vec::new();
        let start = if self.fixed == "." { PathBuf::new() } else { PathBuf::from(&self.fixed) };
        let mut folders: Vec<(String, PathBuf, Vec<usize>)> = vec![(String::new(), start, self.spread(vec![0]))];
        while let Some((prefix, folder, positions)) = folders.pop() {
            let here = root.join(&folder);
            let here = if here.as_os_str().is_empty() { PathBuf::from(".") } else { here };
            let entries = match fs::read_dir(here) {
                Ok(entries) => entries,
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name();
                let path = folder.join(&name);
                let text = name.to_string_lossy();
                let link = entry.file_type()?.is_symlink();
                // A broken link is neither file nor folder.
                let Ok(meta) = (if link { fs::metadata(entry.path()) } else { entry.metadata() }) else { continue };
                let mut next = Vec::new();
                let mut matched = false;
                for position in &positions {
                    let Some(part) = self.parts.get(*position) else { continue };
                    if part == "**" {
                        if meta.is_dir() && !link && !text.starts_with('.') {
                            next.push(*position);
                        }
                    } else if matches(part, &text) {
                        matched |= *position + 1 == self.parts.len();
                        next.push(*position + 1);
                    }
                }
                // A `**` at the end takes every file.
                matched |= positions.iter().any(|position| {
                    *position + 1 == self.parts.len() && self.parts[*position] == "**" && !text.starts_with('.')
                });
                let name = if prefix.is_empty() { text.into_owned() } else { format!("{prefix}/{text}") };
                if meta.is_dir() {
                    let next = self.spread(next);
                    if next.iter().any(|position| *position < self.parts.len()) {
                        folders.push((name, path, next));
                    }
                } else if meta.is_file() && matched {
                    found.push(Match { name, path });
                }
            }
        }
        found.sort_by(|a, b| natural(&a.name, &b.name));
        Ok(found)
    }
}

fn is_wild(part: &str) -> bool {
    part.contains(['*', '?'])
}

/// Whether one name matches one part; linear in practice, never exponential.
fn matches(part: &str, name: &str) -> bool {
    if name.starts_with('.') && !part.starts_with('.') {
        return false;
    }
    let (part, name): (Vec<char>, Vec<char>) = (part.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if p < part.len() && part[p] == '*' {
            star = Some((p, n));
            p += 1;
        } else if p < part.len() && (part[p] == '?' || part[p] == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            n = taken + 1;
        } else {
            return false;
        }
    }
    part[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match() {
        for (part, name, expected) in [
            ("*.csv", "a.csv", true),
            ("*.csv", ".csv", false),
            (".*", ".csv", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*a*b", "aaaaaaaaab", true),
            ("*a*a*b", "aaaaaaaaac", false),
            ("é*", "élan", true),
            ("a", "a", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(part, name), expected, "{part} {name}");
        }
    }

    fn expand(root: &Path, pattern: &str) -> Vec<String> {
        Pattern::new(pattern).expand(root).unwrap().into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn files_are_found_in_natural_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["data/p10.csv", "data/p9.csv", "data/p1.txt", "data/x/p2.csv", "data/x/y/p3.csv", "data/.h/p.csv"]
        {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), path).unwrap();
        }
        fs::create_dir(root.join("data/folder.csv")).unwrap();
        assert_eq!(expand(root, "data/*.csv"), ["p9.csv", "p10.csv"]);
        assert_eq!(expand(root, "data/**/*.csv"), ["p9.csv", "p10.csv", "x/p2.csv", "x/y/p3.csv"]);
        assert_eq!(expand(root, "data/*/*.csv"), ["x/p2.csv"]);
        assert_eq!(expand(root, "data/x/**"), ["p2.csv", "y/p3.csv"]);
        assert_eq!(expand(root, "*/x/**/p?.csv"), ["data/x/p2.csv", "data/x/y/p3.csv"]);
        assert_eq!(expand(root, "nowhere/*.csv"), [] as [&str; 0]);
        assert_eq!(expand(root, "data/p9.csv"), ["p9.csv"]);
        let absolute = format!("{}/data/*.txt", root.display());
        assert_eq!(expand(Path::new("elsewhere"), &absolute), ["p1.txt"]);
    }

    #[test]
    fn a_pattern_knows_what_it_may_reach() {
        let pattern = Pattern::new("out/*/p*.csv");
        assert_eq!(pattern.fixed(), "out");
        for (path, expected) in [
            ("out/a", true),
            ("out/a/p1.csv", true),
            ("out/a/q.csv", false),
            ("out/a/p1.csv/x", false),
            ("in/a", false),
        ] {
            assert_eq!(pattern.may_reach(path), expected, "{path}");
        }
        assert!(Pattern::new("out/**").may_reach("out/a/b/c"));
        assert!(!Pattern::new("out/**").may_reach("out/.git/c"));
    }
}
