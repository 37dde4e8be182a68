//! `include:`: stages, variables, defaults and profiles of other files, in one namespace.
//!
//! Every file is parsed as a source of its own, so that each value keeps its place; the entries then move into the tree
//! of the main file. A file that is included twice (by two others) counts once; a file that includes itself, however far
//! around, is a fault with the way.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use contract::fault::{Fault, Route, nearest};

use crate::report::faults::PlacedFaults;
use crate::report::phrases::shorten;
use crate::yaml::node::{Entry, Kind, Node};
use crate::yaml::source::{Source, SourceId, Span};
use crate::yaml::syntax;

/// Most files of one pipeline.
const MAX_FILES: usize = 1000;
/// Longest chain of files that include each other. The walk recurses so deep.
const MAX_CHAIN: usize = 64;
/// What moves into the main file, and how many levels of names below it are merged name by name.
const AREAS: &[(&str, usize)] = &[("stages", 0), ("vars", 0), ("defaults", 1), ("profiles", 3)];
/// What an included file may have, too, so that it can be run by itself.
const OWN: &[&str] = &["pipeline", "description", "include"];
/// What only the main file says.
const MAIN_ONLY: &[&str] = &["seed", "device", "resources"];

/// Where texts come from.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// For every source, the folder its paths start from, relative to the main file's folder.
    pub folders: Vec<String>,
    /// Every file that was read or looked for beside the main one, under every name it was asked for by.
    pub paths: Vec<PathBuf>,
}

/// Reads what a document includes and moves it into the document.
pub(crate) fn include(root: &mut Node, sources: &mut Vec<Source>, faults: &mut PlacedFaults) -> Files {
    let mut files = Files { folders: vec![String::new()], paths: Vec::new() };
    if root.entry("include").is_none() {
        return files;
    }
    let main = PathBuf::from(sources[0].name());
    let base = main.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut known = HashMap::new();
    for area in ["stages", "vars"] {
        for entry in root.get(area).map(Node::entries).unwrap_or_default() {
            known.insert((area, entry.key.text.clone()), entry.key.span);
        }
    }
    let open = vec![(identity(&main), main.display().to_string())];
    let mut walk = Walk { root, sources, files: &mut files, faults, base, known, open, done: HashSet::new() };
    let mut included = walk.root.entry("include").cloned();
    if let Some(entry) = &mut included {
        walk.entry(entry, "");
        if let Some(there) = walk.root.entry_mut("include") {
            there.value = entry.value.clone();
        }
    }
    let mut seen = HashSet::new();
    files.paths.retain(|path| seen.insert(path.clone()));
    files
}

fn identity(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

struct Walk<'a> {
    root: &'a mut Node,
    sources: &'a mut Vec<Source>,
    files: &'a mut Files,
    faults: &'a mut PlacedFaults,
    /// The main file's folder, as messages show it.
    base: PathBuf,
    /// Names that are taken, and where.
    known: HashMap<(&'static str, String), Span>,
    /// The files being read, the main one first: identity, and as shown.
    open: Vec<(PathBuf, String)>,
    done: HashSet<PathBuf>,
}

impl Walk<'_> {
    /// Follows one `include:` entry of a file whose paths start at `folder`.
    fn entry(&mut self, entry: &mut Entry, folder: &str) {
        let items = match &mut entry.value.kind {
            Kind::Sequence(items) => items.as_mut_slice(),
            Kind::Text(_) => std::slice::from_mut(&mut entry.value),
            Kind::Unknown => return,
            _ => &mut [],
        };
        let mut wrong = items.is_empty().then_some(entry.key.span);
        let mut paths = Vec::new();
        for item in items {
            match &item.kind {
                Kind::Text(text) if !text.is_empty() => paths.push((text.clone(), item.span)),
                Kind::Unknown => {}
                _ => wrong = Some(if item.span.is_empty() { entry.key.span } else { item.span }),
            }
        }
        if let Some(span) = wrong {
            let fault = Fault::error(
                contract::code!("document::wrong_type"),
                "`include` must be a file's name, or a list of them",
            )
            .help("write `include: [data.yaml, models/pipeline.yaml]`")
            .at(Route::root().join("include"));
            let span = self.sources[span.source.0 as usize].first_line(span);
            self.faults.add(fault, span);
            entry.value.kind = Kind::Unknown;
        }
        for (path, span) in paths {
            self.file(&path, span, folder);
        }
    }

    fn file(&mut self, path: &str, span: Span, folder: &str) {
        if path.contains("${") {
            let fault =
                Fault::error(contract::code!("include::variable"), format!("`{}` has a variable in it", shorten(path)))
                    .help("files are included before variables have values: write the name out");
            self.faults.add(fault, span);
            return;
        }
        let inside = engine::plan::paths::inside(folder, path);
        let inside = engine::plan::paths::normalise(&inside, Path::new(""));
        let shown = self.base.join(&inside);
        let identity = identity(&shown);
        if let Some(from) = self.open.iter().position(|(open, _)| *open == identity) {
            let mut way: Vec<String> = self.open[from..].iter().map(|(_, shown)| format!("`{shown}`")).collect();
            way.push(way[0].clone());
            if way.len() > 10 {
                let hidden = way.len() - 8;
                way.splice(5..5 + hidden, [format!("({hidden} more)")]);
            }
            let message = match way.len() {
                2 => format!("{} includes itself", way[0]),
                _ => format!("these files include each other in a circle: {}", way.join(" → ")),
            };
            self.faults.add(Fault::error(contract::code!("include::circle"), message).help("take this one away"), span);
            return;
        }
        if !self.done.insert(identity.clone()) {
            // Another name of a file that was read: when that name leads elsewhere, the pipeline is another one.
            self.files.paths.push(shown);
            return;
        }
        if self.done.len() > MAX_FILES || self.open.len() > MAX_CHAIN {
            let fault = Fault::error(
                contract::code!("include::too_many"),
                format!("more than {MAX_FILES} files, or a chain of more than {MAX_CHAIN}"),
            )
            .help("put stages that belong together into one file");
            if self.faults.errors() == 0 {
                self.faults.add(fault, span);
            }
            return;
        }
        self.files.paths.push(shown.clone());
        let text = match crate::yaml::file::read(&shown) {
            Ok(text) => text,
            Err(fault) => {
                let mut fault = *fault;
                if fault.code == contract::code!("source::missing") {
                    fault.help =
                        near(&shown).or(Some("paths start at the folder of the file they stand in".to_owned()));
                }
                fault.place = None;
                self.faults.add(fault, span);
                return;
            }
        };
        let id = SourceId(self.sources.len() as u32);
        self.sources.push(Source::new(shown.display().to_string(), text));
        let own = inside.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        self.files.folders.push(own.clone());
        let Some(document) = syntax::parse(id, &self.sources[id.0 as usize], 0, self.faults) else { return };
        self.open.push((identity, shown.display().to_string()));
        self.document(document, span, &own);
        self.open.pop();
    }

    /// Takes an included document apart.
    fn document(&mut self, document: Node, used: Span, folder: &str) {
        let entries = match document.kind {
            Kind::Mapping(entries) => entries,
            Kind::Null | Kind::Unknown => return,
            _ => {
                let fault = Fault::error(
                    contract::code!("document::wrong_type"),
                    "an included file is a mapping of keys like `stages`",
                )
                .help("write `stages:` and the stages below it");
                let span = self.sources[document.span.source.0 as usize].first_line(document.span);
                self.faults.add(fault, span).label(used, "included here");
                return;
            }
        };
        for mut entry in entries {
            let name = entry.key.text.as_str();
            if name == "include" {
                self.entry(&mut entry, folder);
            } else if let Some((area, levels)) = AREAS.iter().find(|(area, _)| *area == name) {
                self.area(area, *levels, entry);
            } else if MAIN_ONLY.contains(&name) {
                let fault =
                    Fault::error(contract::code!("include::main_only"), format!("`{name}` stands in an included file"))
                        .help(format!("move it into `{}`; a stage may have its own", self.open[0].1));
                self.faults.add(fault, entry.key.span).label(used, "included here");
            } else if !OWN.contains(&name) {
                let known = AREAS.iter().map(|(area, _)| *area).chain(OWN.iter().copied());
                let message = format!("an included file has no key `{}`", shorten(name));
                let help = match nearest(name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "it may have `stages`, `vars`, `defaults`, `profiles` and `include`".to_owned(),
                };
                let fault = Fault::error(contract::code!("document::unknown_key"), message).help(help);
                self.faults.add(fault, entry.key.span);
            }
        }
    }

    fn area(&mut self, area: &'static str, levels: usize, entry: Entry) {
        let Kind::Mapping(mut new) = entry.value.kind else {
            if !matches!(entry.value.kind, Kind::Null | Kind::Unknown) {
                let fault =
                    Fault::error(contract::code!("document::wrong_type"), format!("`{area}` must be a mapping"))
                        .help("write names and, indented below them, what they are");
                self.faults.add(fault, entry.key.span);
            }
            return;
        };
        if matches!(area, "stages" | "vars") {
            new.retain(|entry| match self.known.get(&(area, entry.key.text.clone())) {
                Some(first) => {
                    twice(self.faults, if area == "stages" { "stage" } else { "variable" }, entry, *first);
                    false
                }
                None => {
                    self.known.insert((area, entry.key.text.clone()), entry.key.span);
                    true
                }
            });
        }
        match self.root.entry_mut(area).map(|there| &mut there.value) {
            None => {
                let value = Node::new(entry.value.span, Kind::Mapping(new));
                if let Kind::Mapping(entries) = &mut self.root.kind {
                    entries.push(Entry { key: entry.key, value });
                }
            }
            Some(there) => {
                if matches!(there.kind, Kind::Null) {
                    *there = Node::new(entry.value.span, Kind::Mapping(Vec::new()));
                }
                match &mut there.kind {
                    // The names of stages and variables have been compared already.
                    Kind::Mapping(entries) if levels == 0 => entries.extend(new),
                    Kind::Mapping(entries) => merge(entries, new, levels, self.faults),
                    _ => {}
                }
            }
        }
    }
}

/// Adds entries; on the first `levels` levels mappings of one name become one.
fn merge(entries: &mut Vec<Entry>, new: Vec<Entry>, levels: usize, faults: &mut PlacedFaults) {
    for entry in new {
        match entries.iter_mut().find(|there| there.key.text == entry.key.text) {
            None => entries.push(entry),
            Some(there) => match (&mut there.value.kind, entry.value.kind) {
                (Kind::Mapping(there), Kind::Mapping(more)) if levels > 0 => merge(there, more, levels - 1, faults),
                (_, kind) => {
                    let again = Entry { key: entry.key, value: Node::new(entry.value.span, kind) };
                    twice(faults, "default", &again, there.key.span);
                }
            },
        }
    }
}

fn twice(faults: &mut PlacedFaults, what: &str, entry: &Entry, first: Span) {
    let message = format!("the {what} `{}` stands in two files", shorten(&entry.key.text));
    let fault = Fault::error(contract::code!("include::twice"), message)
        .help("included files share one set of names: rename one of the two");
    faults.add(fault, entry.key.span).label(first, "first here").caption = Some("again here".to_owned());
}

/// The nearest name beside a file that is not there.
fn near(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = std::fs::read_dir(folder).ok()?.flatten().take(10_000);
    let mut names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    nearest(&wanted, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"))
}
