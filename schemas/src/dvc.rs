//! `dvc.yaml` -> a pipeline of `command` stages, and what could not be carried over, line by line.
//!
//! Paths of every file become relative to the first one's folder; a file elsewhere gives its folder as a prefix to the
//! names of its stages. `foreach` and `matrix` are written out, `${…}` is filled in from `params.yaml` and `vars`: a pipeline
//! is edited in one place from now on. `params` keep their meaning: a small stage picks the named keys out of their file
//! (`pipeline pick`), and the real stage reads what it wrote, so that a change of any other key runs nothing again.
//!
//! What DVC means by its keys: <https://dvc.org/doc/user-guide/project-structure/dvcyaml-files>.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use engine::error::{Fault, Place};
use engine::paths::{inside, normalise};

use crate::diagnostic::FILE;
use crate::faults::Faults;
use crate::node::{Kind, Node};
use crate::source::{Source, Span};
use crate::syntax;

/// A pipeline made of a DVC project.
#[derive(Debug, Default)]
pub struct Imported {
    /// The text of the pipeline.
    pub text: String,
    /// What differs, with the place in the DVC project: in the order of the files.
    pub notes: Vec<(Place, String)>,
    /// How many stages were written, those that pick parameters among them.
    pub stages: usize,
}

/// Reads DVC files and writes the pipeline that does the same.
///
/// # Errors
/// Files that cannot be read, or are no YAML.
pub fn import(files: &[PathBuf], name: &str) -> Result<Imported, Vec<Fault>> {
    let mut import = Import::default();
    let root = files.first().and_then(|file| file.parent()).unwrap_or(Path::new("")).to_owned();
    for file in files {
        let folder = file.parent().unwrap_or(Path::new(""));
        let folder = folder.strip_prefix(&root).unwrap_or(folder).to_string_lossy().into_owned();
        import.file(file, &root, &folder)?;
    }
    let mut text = format!("pipeline: {}\n", quoted(name));
    text.push_str("# Programs see PATH, HOME, LANG and the like, and the variables a stage names under `env`.\n");
    text.push_str("stages:\n");
    text.push_str(&import.text);
    if import.stages == 0 {
        text.push_str("  {}\n");
    }
    Ok(Imported { text, notes: import.notes, stages: import.stages })
}

#[derive(Default)]
struct Import {
    text: String,
    notes: Vec<(Place, String)>,
    stages: usize,
    names: BTreeSet<String>,
    /// What is picked already: a file and its keys, to where they are written.
    picked: BTreeMap<(String, Vec<String>), String>,
}

/// One DVC file.
struct File<'a> {
    source: Source,
    root: &'a Path,
    folder: &'a str,
}

/// What `${…}` may name, innermost last.
type Scope = Vec<(String, Node)>;

fn parse(path: &Path) -> Result<(Source, Option<Node>), Vec<Fault>> {
    let text = crate::read(path).map_err(|fault| vec![*fault])?;
    let source = Source::new(path.display().to_string(), text);
    let mut faults = Faults::default();
    let node = syntax::parse(FILE, &source, 0, &mut faults);
    if faults.any_error() {
        let sources = [source];
        return Err(faults.finish(&sources).into_iter().map(|placed| placed.fault).collect());
    }
    Ok((source, node))
}

impl File<'_> {
    fn place(&self, span: Span) -> Place {
        let position = self.source.position(span.start);
        Place { file: self.source.name().to_owned(), line: Some(position.line as u64), column: None }
    }
}

impl Import {
    fn note(&mut self, file: &File<'_>, span: Span, text: impl Into<String>) {
        self.notes.push((file.place(span), text.into()));
    }

    fn file(&mut self, path: &Path, root: &Path, folder: &str) -> Result<(), Vec<Fault>> {
        let (source, node) = parse(path)?;
        let file = File { source, root, folder };
        let Some(node) = node else { return Ok(()) };
        let mut scope: Scope = Vec::new();
        let here = root.join(folder);
        let params = here.join("params.yaml");
        if params.is_file() {
            self.take_in(&mut scope, &params)?;
        }
        for entry in node.entries() {
            match entry.key.text.as_str() {
                "stages" => {}
                "vars" => self.vars(&file, &entry.value, &here, &mut scope)?,
                "metrics" | "plots" | "artifacts" | "params" | "datasets" => {
                    let text = format!("`{}` of the whole file is left out: it only says what to show", entry.key.text);
                    self.note(&file, entry.key.span, text);
                }
                other => {
                    let text = format!("`{other}` is not known and left out");
                    self.note(&file, entry.key.span, text);
                }
            }
        }
        for stage in node.get("stages").map(Node::entries).unwrap_or_default() {
            self.many(&file, &stage.key.text, &stage.value, &scope)?;
        }
        Ok(())
    }

    fn take_in(&mut self, scope: &mut Scope, path: &Path) -> Result<(), Vec<Fault>> {
        if let (_, Some(node)) = parse(path)? {
            scope.extend(node.entries().iter().map(|entry| (entry.key.text.clone(), entry.value.clone())));
        }
        Ok(())
    }

    /// A list of files (`file.yaml:key,key` too) and of mappings.
    fn vars(&mut self, file: &File<'_>, vars: &Node, here: &Path, scope: &mut Scope) -> Result<(), Vec<Fault>> {
        let Kind::Sequence(items) = &vars.kind else { return Ok(()) };
        for item in items {
            match &item.kind {
                Kind::Mapping(entries) => {
                    for entry in entries {
                        let value = self.filled(file, &entry.value, scope);
                        scope.push((entry.key.text.clone(), value));
                    }
                }
                Kind::Text(text) => {
                    let (path, keys) = text.split_once(':').map_or((text.as_str(), None), |(p, k)| (p, Some(k)));
                    let from = scope.len();
                    self.take_in(scope, &here.join(path))?;
                    if let Some(keys) = keys {
                        let wanted: Vec<&str> = keys.split(',').map(str::trim).collect();
                        let taken: Scope = scope.drain(from..).collect();
                        scope.extend(taken.into_iter().filter(|(name, _)| wanted.contains(&name.as_str())));
                    }
                }
                _ => self.note(file, item.span, "this is neither a file nor a mapping: left out"),
            }
        }
        Ok(())
    }

    /// A stage, or every stage that `foreach` or `matrix` makes of it.
    fn many(&mut self, file: &File<'_>, name: &str, node: &Node, scope: &Scope) -> Result<(), Vec<Fault>> {
        if let (Some(each), Some(body)) = (node.get("foreach"), node.get("do")) {
            let each = self.filled(file, each, scope);
            let items: Vec<(String, Node)> = match &each.kind {
                Kind::Mapping(entries) => entries.iter().map(|e| (e.key.text.clone(), e.value.clone())).collect(),
                Kind::Sequence(items) => items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| (plain(item).unwrap_or_else(|| at.to_string()), item.clone()))
                    .collect(),
                _ => {
                    self.note(file, node.span, format!("the `foreach` of `{name}` is neither a list nor a mapping"));
                    return Ok(());
                }
            };
            for (key, item) in items {
                let mut scope = scope.clone();
                scope.push(("key".to_owned(), Node::new(item.span, Kind::Text(key.clone()))));
                scope.push(("item".to_owned(), item));
                self.stage(file, &format!("{name}-{key}"), body, scope)?;
            }
            return Ok(());
        }
        let Some(matrix) = node.get("matrix") else { return self.stage(file, name, node, scope.clone()) };
        let mut rows: Vec<(String, Vec<crate::node::Entry>)> = vec![(String::new(), Vec::new())];
        for axis in matrix.entries() {
            let values = self.filled(file, &axis.value, scope);
            let Kind::Sequence(values) = &values.kind else {
                self.note(file, axis.key.span, format!("`{}` is no list: the stage is left out", axis.key.text));
                return Ok(());
            };
            let mut next = Vec::new();
            for (suffix, row) in &rows {
                for (at, value) in values.iter().enumerate() {
                    let shown = plain(value).unwrap_or_else(|| format!("{}{at}", axis.key.text));
                    let mut row = row.clone();
                    row.push(crate::node::Entry { key: axis.key.clone(), value: value.clone() });
                    next.push((format!("{suffix}-{shown}"), row));
                }
            }
            rows = next;
        }
        for (suffix, row) in rows {
            let mut scope = scope.clone();
            scope.push(("key".to_owned(), Node::new(node.span, Kind::Text(suffix[1..].to_owned()))));
            scope.push(("item".to_owned(), Node::new(node.span, Kind::Mapping(row))));
            self.stage(file, &format!("{name}{suffix}"), node, scope)?;
        }
        Ok(())
    }

    fn stage(&mut self, file: &File<'_>, name: &str, node: &Node, mut scope: Scope) -> Result<(), Vec<Fault>> {
        let here = file.root.join(file.folder);
        if let Some(vars) = node.get("vars") {
            self.vars(file, vars, &here, &mut scope)?;
        }
        let text = |import: &mut Self, key: &str| {
            node.get(key).map(|value| import.filled(file, value, &scope)).and_then(|value| plain(&value))
        };
        let wdir = text(self, "wdir").unwrap_or_default();
        let folder = match (file.folder, wdir.as_str()) {
            ("", "" | ".") => String::new(),
            (folder, "" | ".") => folder.to_owned(),
            ("", wdir) => normalise(wdir, Path::new("")),
            (folder, wdir) => normalise(&inside(folder, wdir), Path::new("")),
        };
        let at = |path: &str| normalise(&inside(&folder, path), Path::new(""));
        let prefix = if file.folder.is_empty() { String::new() } else { format!("{}-", file.folder) };
        let name = self.name(&format!("{prefix}{name}"));
        let mut outs: Vec<String> = Vec::new();
        let mut written: Vec<PathBuf> = Vec::new();
        for (key, kind) in [("outs", ""), ("metrics", "metrics"), ("plots", "plot")] {
            for (path, options, span) in self.paths(file, node.get(key), &scope) {
                let path = at(&path);
                let on_disk = file.root.join(&path);
                let folder = on_disk.is_dir() || !on_disk.is_file() && Path::new(&path).extension().is_none();
                written.push(on_disk);
                let json = path.ends_with(".json");
                outs.push(match kind {
                    _ if folder => quoted(&format!("{}/", path.trim_end_matches('/'))),
                    "metrics" if !json => {
                        self.note(file, span, format!("the metrics `{path}` are no JSON: kept as a file"));
                        quoted(&path)
                    }
                    "" => quoted(&path),
                    kind => format!("{{ path: {}, kind: {kind} }}", quoted(&path)),
                });
                for option in options {
                    let text = match option.as_str() {
                        "cache" | "push" | "remote" | "desc" | "type" | "labels" | "meta" => continue,
                        "persist" => format!("`persist` of `{path}`: outputs are always made anew"),
                        _ if kind == "plot" => continue,
                        other => format!("`{other}` of `{path}` is left out"),
                    };
                    self.note(file, span, text);
                }
            }
        }
        if node.get("frozen").is_some_and(|frozen| matches!(frozen.kind, Kind::Bool(true))) {
            if !written.is_empty() && written.iter().all(|path| path.exists()) {
                let text = format!("`{name}` is frozen: it is left out, and what it wrote is read as it is");
                self.note(file, node.span, text);
                let _ = writeln!(self.text, "  # {name}: frozen, its outputs are read as they are");
                return Ok(());
            }
            let text = format!("`{name}` is frozen, but what it writes is not there: it is a stage like any other");
            self.note(file, node.span, text);
        }
        let mut deps: Vec<String> = self.paths(file, node.get("deps"), &scope).into_iter().map(|d| at(&d.0)).collect();
        for path in &deps {
            let there = file.root.join(path);
            if !there.exists() && there.with_file_name(format!("{}.dvc", file_name(path))).exists() {
                self.note(file, node.span, format!("`{path}` is not there: fetch it with `dvc pull` first"));
            }
        }
        self.params(file, &name, node, &scope, &at, &mut deps);
        let run = self.command(file, node, &scope);
        if run.is_empty() {
            self.note(file, node.span, format!("`{name}` has no `cmd`: left out"));
            return Ok(());
        }
        let changed = node.get("always_changed").is_some_and(|value| matches!(value.kind, Kind::Bool(true)));
        let callback = deps.is_empty();
        if callback && !changed {
            self.note(file, node.span, format!("`{name}` reads nothing, so it runs every time, as in DVC"));
        }
        let description = text(self, "desc");
        for entry in node.entries() {
            const KNOWN: &[&str] = &[
                "cmd",
                "deps",
                "outs",
                "params",
                "metrics",
                "plots",
                "wdir",
                "frozen",
                "always_changed",
                "desc",
                "vars",
                "matrix",
                "foreach",
                "do",
            ];
            if !KNOWN.contains(&entry.key.text.as_str()) {
                self.note(file, entry.key.span, format!("`{}` of `{name}` is left out", entry.key.text));
            }
        }
        self.stages += 1;
        let out = &mut self.text;
        let _ = writeln!(out, "  {name}:\n    kind: command");
        if let Some(description) = description {
            let _ = writeln!(out, "    description: {}", quoted(&description));
        }
        let run = if folder.is_empty() { run } else { format!("cd {}\n{run}", shell(&folder)) };
        let _ = writeln!(out, "    run: {}", quoted(&run.replace("${", "$${")));
        for (key, items) in [("deps", deps.iter().map(|dep| quoted(dep)).collect::<Vec<_>>()), ("outs", outs)] {
            if !items.is_empty() {
                let _ = writeln!(out, "    {key}:");
                for item in items {
                    let _ = writeln!(out, "      - {item}");
                }
            }
        }
        if changed || callback {
            let _ = writeln!(out, "    cache: false");
        }
        Ok(())
    }

    /// One picking stage for every file whose keys the stage depends on; stages with the same keys share it.
    fn params(
        &mut self,
        file: &File<'_>,
        name: &str,
        node: &Node,
        scope: &Scope,
        at: &dyn Fn(&str) -> String,
        deps: &mut Vec<String>,
    ) {
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let Some(params) = node.get("params").map(|params| self.filled(file, params, scope)) else { return };
        let Kind::Sequence(items) = &params.kind else { return };
        for item in items {
            if let Some(key) = plain(item) {
                wanted.entry("params.yaml".to_owned()).or_default().push(key);
            }
            for entry in item.entries() {
                let keys = wanted.entry(entry.key.text.clone()).or_default();
                if let Kind::Sequence(items) = &entry.value.kind {
                    keys.extend(items.iter().filter_map(plain));
                }
            }
        }
        for (number, (path, keys)) in wanted.into_iter().enumerate() {
            let path = at(&path);
            if keys.is_empty() {
                deps.push(path);
                continue;
            }
            if ![".yaml", ".yml", ".json"].iter().any(|suffix| path.ends_with(suffix)) {
                let text =
                    format!("`{name}` depends on all of `{path}`: single keys are picked from YAML and JSON only");
                self.note(file, params.span, text);
                deps.push(path);
                continue;
            }
            let known = (path, keys);
            if let Some(picked) = self.picked.get(&known) {
                deps.push(picked.clone());
                continue;
            }
            let suffix = if number == 0 { String::new() } else { format!("-{}", number + 1) };
            let picked = format!(".params/{name}{suffix}.json");
            let pick = self.name(&format!("{name}-params{suffix}"));
            let (path, keys) = &known;
            let words: Vec<String> = keys.iter().map(|key| shell(key)).collect();
            let run = format!("\"$PIPELINE\" pick {} {} > {}", shell(path), words.join(" "), shell(&picked));
            self.stages += 1;
            let _ = writeln!(
                self.text,
                "  # The keys `{name}` depends on, so that no other key of the file matters to it."
            );
            let _ = writeln!(self.text, "  {pick}:\n    kind: command\n    run: {}", quoted(&run));
            let _ = writeln!(self.text, "    deps:\n      - {}\n    outs:\n      - {}", quoted(path), quoted(&picked));
            self.picked.insert(known, picked.clone());
            deps.push(picked);
        }
    }

    fn command(&mut self, file: &File<'_>, node: &Node, scope: &Scope) -> String {
        let lines: Vec<&Node> = match node.get("cmd") {
            Some(Node { kind: Kind::Sequence(items), .. }) => items.iter().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        let lines: Vec<String> = lines
            .into_iter()
            .filter_map(|line| line.text().map(|text| self.fill(file, text, line.span, scope, true)))
            .collect();
        lines.join("\n").trim().to_owned()
    }

    /// Paths of `deps`, `outs` …: `path`, or `{ path: options }`.
    fn paths(&mut self, file: &File<'_>, node: Option<&Node>, scope: &Scope) -> Vec<(String, Vec<String>, Span)> {
        let mut paths = Vec::new();
        let items = match node.map(|node| (&node.kind, node)) {
            Some((Kind::Sequence(items), _)) => items.as_slice(),
            Some((Kind::Text(_), one)) => std::slice::from_ref(one),
            _ => &[],
        };
        for item in items {
            if let Some(text) = item.text() {
                paths.push((self.fill(file, text, item.span, scope, false), Vec::new(), item.span));
            }
            for entry in item.entries() {
                let options = entry.value.entries().iter().map(|option| option.key.text.clone()).collect();
                let path = self.fill(file, &entry.key.text, entry.key.span, scope, false);
                paths.push((path, options, entry.key.span));
            }
        }
        paths
    }

    /// A value with every `${…}` in it filled in.
    fn filled(&mut self, file: &File<'_>, node: &Node, scope: &Scope) -> Node {
        let mut node = node.clone();
        match &mut node.kind {
            Kind::Sequence(items) => {
                for item in items {
                    *item = self.filled(file, item, scope);
                }
            }
            Kind::Mapping(entries) => {
                for entry in entries {
                    entry.value = self.filled(file, &entry.value, scope);
                }
            }
            Kind::Text(text) if text.contains("${") => {
                let whole = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
                node = match whole.filter(|inner| !inner.contains('}')).and_then(|inner| look(scope, inner)) {
                    Some(value) => value.clone(),
                    None => Node::new(node.span, Kind::Text(self.fill(file, text, node.span, scope, false))),
                };
            }
            _ => {}
        }
        node
    }

    fn fill(&mut self, file: &File<'_>, text: &str, span: Span, scope: &Scope, command: bool) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('\\') {
                filled.push_str(&rest[..at - 1]);
                filled.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            filled.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}').map(|end| at + end) else { break };
            let name = rest[at + 2..end].trim();
            match look(scope, name) {
                Some(value) => match plain(value) {
                    Some(text) => filled.push_str(&text),
                    None if command => filled.push_str(&arguments(value)),
                    None => self.note(file, span, format!("`${{{name}}}` is a list or a mapping and left out")),
                },
                None => {
                    self.note(
                        file,
                        span,
                        format!("`${{{name}}}` has no value in `params.yaml` or `vars`: left as it is"),
                    );
                    filled.push_str(&rest[at..=end]);
                }
            }
            rest = &rest[end + 1..];
        }
        filled.push_str(rest);
        filled
    }

    /// A name our language takes, and nobody has yet.
    fn name(&mut self, wanted: &str) -> String {
        let mut name: String =
            wanted.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            name.insert(0, '_');
        }
        let mut unique = name.clone();
        let mut number = 2;
        while !self.names.insert(unique.clone()) {
            unique = format!("{name}-{number}");
            number += 1;
        }
        unique
    }
}

/// `a.b[0]` in a scope.
fn look<'s>(scope: &'s Scope, name: &str) -> Option<&'s Node> {
    let name = name.trim().replace('[', ".").replace(']', "");
    let mut parts = name.split('.');
    let first = parts.next()?;
    let mut node = scope.iter().rev().find(|(name, _)| name == first).map(|(_, node)| node)?;
    for part in parts {
        node = match &node.kind {
            Kind::Sequence(items) => items.get(part.parse::<usize>().ok()?)?,
            _ => node.get(part)?,
        };
    }
    Some(node)
}

/// What the first part of a key that is not there should have been.
fn near(scope: &Scope, key: &str) -> Option<String> {
    let (mut route, mut last) = (String::new(), key);
    for part in key.split('.') {
        let longer = if route.is_empty() { part.to_owned() } else { format!("{route}.{part}") };
        if look(scope, &longer).is_none() {
            last = part;
            break;
        }
        route = longer;
    }
    let there: Vec<&str> = match look(scope, &route) {
        Some(node) => node.entries().iter().map(|entry| entry.key.text.as_str()).collect(),
        None => scope.iter().map(|(name, _)| name.as_str()).collect(),
    };
    engine::error::suggest(last, there)
}

/// A scalar as DVC writes it into a text.
fn plain(node: &Node) -> Option<String> {
    Some(match &node.kind {
        Kind::Text(text) | Kind::Untyped(text) => text.clone(),
        Kind::Int(value) => value.to_string(),
        Kind::Float(value) => value.to_string(),
        Kind::Bool(value) => value.to_string(),
        _ => return None,
    })
}

/// A mapping in a command: `--key value`, `--flag` for true, nothing for false; a list is its items.
fn arguments(node: &Node) -> String {
    let mut words = Vec::new();
    for entry in node.entries() {
        let key = &entry.key.text;
        match (&entry.value.kind, plain(&entry.value)) {
            (Kind::Bool(true), _) => words.push(format!("--{key}")),
            (Kind::Bool(false) | Kind::Null, _) => {}
            (_, Some(value)) => words.push(format!("--{key} {}", shell(&value))),
            _ => words.push(format!("--{key} {}", arguments(&entry.value))),
        }
    }
    if let Kind::Sequence(items) = &node.kind {
        words.extend(items.iter().filter_map(plain).map(|item| shell(&item)));
    }
    words.join(" ")
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A word of the shell.
fn shell(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A text as YAML: plain where that is safe, else in double quotes (JSON's are YAML's).
fn quoted(text: &str) -> String {
    let safe = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./ ".contains(c));
    let word = matches!(syntax::resolve(text), Kind::Text(_));
    if safe && word && text.trim() == text && text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

/// Picks keys (`a.b.0`) out of a YAML or JSON file: a JSON object, keys sorted.
///
/// # Errors
/// A file that cannot be read, and every key that is not in it.
pub fn pick(path: &Path, keys: &[String]) -> Result<serde_json::Value, Vec<Fault>> {
    let (_, node) = parse(path)?;
    let scope: Scope = node
        .iter()
        .flat_map(|node| node.entries())
        .map(|entry| (entry.key.text.clone(), entry.value.clone()))
        .collect();
    let mut picked = serde_json::Map::new();
    let mut faults = Vec::new();
    for key in keys {
        match look(&scope, key) {
            Some(value) => drop(picked.insert(key.clone(), value.to_json())),
            None => {
                let message = format!("`{}` has no key `{key}`", path.display());
                let mut fault = Fault::error("import::missing_key", message);
                fault.help = near(&scope, key);
                faults.push(fault);
            }
        }
    }
    picked.sort_keys();
    if faults.is_empty() { Ok(picked.into()) } else { Err(faults) }
}
