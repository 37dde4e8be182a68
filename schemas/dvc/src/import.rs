//! The pass over the files of a DVC project.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use contract::fault::{Fault, Faults, Place};
use engine::plan::paths::{inside, normalise};

use super::python::Style;
use super::scope::Scope;
use super::written::{self, Item, Notes, Out, Stage};
use super::{python, shell};
use schemas::report::diagnostic::FILE;
use schemas::report::faults::PlacedFaults;
use schemas::report::phrases::shorten;
use schemas::yaml::node::{Entry, Kind, Node};
use schemas::yaml::source::{Source, Span};
use schemas::yaml::syntax;

/// Most stages one import makes.
const MOST_STAGES: usize = 100_000;
/// Most bytes of text that filling in makes.
const MOST_BYTES: usize = 64 << 20;

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

/// The folder a pipeline of these files belongs to: the innermost one that holds them all.
pub fn home(files: &[PathBuf]) -> PathBuf {
    let folders: Vec<&Path> = files.iter().map(|file| file.parent().unwrap_or(Path::new(""))).collect();
    let mut common: Option<PathBuf> = None;
    for folder in folders.iter().map(|folder| absolute(folder)) {
        common = Some(match common {
            None => folder,
            Some(common) => {
                let both = common.components().zip(folder.components());
                both.take_while(|(one, other)| one == other).map(|(one, _)| one).collect()
            }
        });
    }
    let common = common.unwrap_or_default();
    // As it is written, where it is.
    let written = folders.iter().find(|folder| absolute(folder) == common);
    written.map_or(common, |folder| folder.to_path_buf())
}

/// Reads DVC files and writes the pipeline that does the same. The pipeline will lie in `root`: its paths start there.
///
/// # Errors
/// Files that cannot be read, or are no YAML; a project that unfolds into too much.
pub fn import(files: &[PathBuf], name: &str, root: &Path) -> Result<Imported, Faults> {
    let mut import = Import { root: absolute(root), ..Import::default() };
    for file in files {
        import.file(file)?;
    }
    written::settle(&mut import.items, &import.root, &mut import.notes);
    let order = |place: &Place| files.iter().position(|file| place.file == file.display().to_string());
    import.notes.sort_by_key(|(place, _)| (order(place), place.line));
    let stages = import.items.iter().filter(|item| matches!(item, Item::Stage(_))).count();
    if stages == 0 {
        return Err(Faults::from(nothing(files, &import.notes)));
    }
    let mut text = format!("pipeline: {}\n", written::quoted(name));
    text.push_str("# Programs see PATH, HOME, LANG and the like, and the variables a stage names under `env`.\n");
    text.push_str("stages:\n");
    text.push_str(&written::text(&import.items));
    Ok(Imported { text, notes: import.notes, stages })
}

/// For a project that makes no pipeline.
fn nothing(files: &[PathBuf], notes: &Notes) -> Fault {
    let names: Vec<String> = files.iter().map(|file| format!("`{}`", file.display())).collect();
    let fault = Fault::error(
        contract::code!("import::no_stages"),
        format!("no stage of {} can be carried over", names.join(", ")),
    );
    let mut help = "a pipeline has at least one stage".to_owned();
    for (place, note) in notes.iter().take(5) {
        help.push_str(&format!("\n{place}: {note}"));
    }
    fault.help(help)
}

#[derive(Default)]
struct Import {
    /// The pipeline's folder.
    root: PathBuf,
    items: Vec<Item>,
    notes: Notes,
    names: BTreeSet<String>,
    /// What the next number of a name is that is taken.
    numbers: HashMap<String, usize>,
    /// What is picked already: a file and its keys, to where they are written.
    picked: BTreeMap<(String, Vec<String>), String>,
    /// Files of variables that were read.
    read: HashMap<PathBuf, Rc<Option<Node>>>,
    /// Where a file's variables are first filled in; the files in which that was told.
    filled: BTreeSet<String>,
    /// How many stages `foreach` and `matrix` have made.
    made: usize,
    /// How much text was made.
    bytes: usize,
    /// The place where it became too much.
    burst: Option<Place>,
}

/// One DVC file.
struct File {
    source: Source,
    /// Its folder, as the pipeline's folder sees it; empty when it is that.
    folder: String,
    /// Its folder.
    here: PathBuf,
    /// How mappings become arguments of commands.
    style: Style,
}

type Outcome<T = ()> = Result<T, Faults>;

/// A YAML file with its numbers as DVC takes them.
pub(super) fn parse(path: &Path) -> Outcome<(Source, Option<Node>)> {
    let text = schemas::yaml::file::read(path).map_err(|fault| vec![*fault])?;
    let source = Source::new(path.display().to_string(), text);
    let mut faults = PlacedFaults::default();
    let mut node = syntax::parse(FILE, &source, 0, &mut faults);
    if faults.any_error() {
        let sources = [source];
        return Err(faults.finish(&sources).into_iter().map(|placed| placed.fault).collect());
    }
    if let Some(node) = &mut node {
        python::settle(node, &source);
    }
    Ok((source, node))
}

impl File {
    fn place(&self, span: Span) -> Place {
        let position = self.source.position(span.start);
        Place { file: self.source.name().to_owned(), line: Some(position.line as u64), column: None }
    }
}

impl Import {
    fn note(&mut self, file: &File, span: Span, text: impl Into<String>) {
        self.notes.push((file.place(span), text.into()));
    }

    fn file(&mut self, path: &Path) -> Outcome {
        let (source, node) = parse(path)?;
        let here = path.parent().unwrap_or(Path::new("")).to_owned();
        let style = Style::of(&absolute(&here));
        let file = File { source, folder: relative(&self.root, &absolute(&here)), here, style };
        let Some(node) = node else { return Ok(()) };
        let mut scope = Scope::default();
        let params = file.here.join("params.yaml");
        if params.is_file() {
            self.take_in(&mut scope, &params, None)?;
        }
        if file.here.join(".dvcignore").is_file() {
            self.note(
                &file,
                node.span,
                "`.dvcignore` is not read: what it names counts, too, where a stage reads a folder",
            );
        }
        for entry in node.entries() {
            match entry.key.text.as_str() {
                "stages" => {}
                "vars" => self.vars(&file, &entry.value, &file.here, &mut scope)?,
                "metrics" | "plots" | "artifacts" | "params" | "datasets" => {
                    let text = format!("`{}` of the whole file is left out: it only says what to show", entry.key.text);
                    self.note(&file, entry.key.span, text);
                }
                other => {
                    let text = format!("`{}` is not known and left out", shorten(other));
                    self.note(&file, entry.key.span, text);
                }
            }
        }
        for stage in node.get("stages").map(Node::entries).unwrap_or_default() {
            self.many(&file, &stage.key.text, &stage.value, &scope)?;
        }
        Ok(())
    }

    /// The variables of a file, or some of them.
    fn take_in(&mut self, scope: &mut Scope<'_>, path: &Path, wanted: Option<&[&str]>) -> Outcome {
        let node = self.parsed(path)?;
        for entry in node.iter().flat_map(Node::entries) {
            if wanted.is_none_or(|wanted| wanted.contains(&entry.key.text.as_str())) {
                scope.merge(&entry.key.text, entry.value.clone());
            }
        }
        Ok(())
    }

    /// A list of files (`file.yaml:key,key` too) and of mappings.
    fn vars(&mut self, file: &File, vars: &Node, here: &Path, scope: &mut Scope<'_>) -> Outcome {
        let Kind::Sequence(items) = &vars.kind else { return Ok(()) };
        for item in items {
            match &item.kind {
                Kind::Mapping(entries) => {
                    for entry in entries {
                        if holds(&entry.value, "${") {
                            let text = "`${…}` in `vars` is not filled in, which DVC does not allow either";
                            self.note(file, entry.key.span, text);
                        }
                        scope.merge(&entry.key.text, entry.value.clone());
                    }
                }
                Kind::Text(text) => {
                    let (path, keys) = text.split_once(':').map_or((text.as_str(), None), |(p, k)| (p, Some(k)));
                    let keys: Option<Vec<&str>> = keys.map(|keys| keys.split(',').map(str::trim).collect());
                    self.take_in(scope, &here.join(path), keys.as_deref())?;
                }
                _ => self.note(file, item.span, "this is neither a file nor a mapping: left out"),
            }
        }
        Ok(())
    }

    /// A stage, or every stage that `foreach` or `matrix` makes of it.
    fn many(&mut self, file: &File, name: &str, node: &Node, scope: &Scope<'_>) -> Outcome {
        if let (Some(each), Some(body)) = (node.get("foreach"), node.get("do")) {
            return self.each(file, name, each, body, scope);
        }
        let Some(matrix) = node.get("matrix") else {
            self.makes(file, node.span, name, &[1])?;
            return self.stage(file, name, node, scope);
        };
        let mut axes: Vec<(&Entry, Vec<Node>)> = Vec::new();
        for axis in matrix.entries() {
            let values = self.filled(file, &axis.value, scope);
            let Kind::Sequence(values) = values.kind else {
                let text = format!("`{}` is no list: the stage is left out", shorten(&axis.key.text));
                self.note(file, axis.key.span, text);
                return Ok(());
            };
            axes.push((axis, values));
        }
        let sizes: Vec<usize> = axes.iter().map(|(_, values)| values.len()).collect();
        let count = self.makes(file, matrix.span, name, &sizes)?;
        // As in DVC, of combinations with one name the last one counts.
        let mut rows: Vec<(String, usize)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for number in 0..count {
            let parts: Vec<String> = combination(&sizes, number)
                .zip(&axes)
                .map(|(at, (axis, values))| {
                    python::scalar(&values[at]).unwrap_or_else(|| format!("{}{at}", axis.key.text))
                })
                .collect();
            let key = parts.join("-");
            self.spend(file, matrix.span, key.len())?;
            match known.get(&key) {
                Some(at) => rows[*at].1 = number,
                None => {
                    known.insert(key.clone(), rows.len());
                    rows.push((key, number));
                }
            }
        }
        for (key, number) in rows {
            let row = combination(&sizes, number).zip(&axes);
            let row = row.map(|(at, (axis, values))| Entry { key: axis.key.clone(), value: values[at].clone() });
            let mut inner = scope.inner();
            inner.set("item", Node::new(node.span, Kind::Mapping(row.collect())));
            inner.set("key", Node::new(node.span, Kind::Text(key.clone())));
            self.stage(file, &format!("{name}-{key}"), node, &inner)?;
        }
        Ok(())
    }

    fn each(&mut self, file: &File, name: &str, each: &Node, body: &Node, scope: &Scope<'_>) -> Outcome {
        let each = self.filled(file, each, scope);
        let mapping = matches!(each.kind, Kind::Mapping(_));
        let items: Vec<(String, Node)> = match each.kind {
            Kind::Mapping(entries) => entries.into_iter().map(|entry| (entry.key.text, entry.value)).collect(),
            Kind::Sequence(items) => {
                // As in DVC: of one list or mapping among them, all are called by their numbers.
                let plain = items.iter().all(|item| python::scalar(item).is_some());
                let key = |at: usize, item: &Node| python::scalar(item).filter(|_| plain).unwrap_or(at.to_string());
                items.into_iter().enumerate().map(|(at, item)| (key(at, &item), item)).collect()
            }
            _ => {
                let text = format!("the `foreach` of `{}` is neither a list nor a mapping", shorten(name));
                self.note(file, each.span, text);
                return Ok(());
            }
        };
        self.makes(file, each.span, name, &[items.len()])?;
        let mut rows: Vec<(String, Node)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (key, item) in items {
            self.spend(file, each.span, key.len())?;
            match known.get(&key) {
                Some(at) => rows[*at].1 = item,
                None => {
                    known.insert(key.clone(), rows.len());
                    rows.push((key, item));
                }
            }
        }
        for (key, item) in rows {
            let stage = format!("{name}-{key}");
            let mut inner = scope.inner();
            if mapping {
                inner.set("key", Node::new(item.span, Kind::Text(key)));
            }
            inner.set("item", item);
            self.stage(file, &stage, body, &inner)?;
        }
        Ok(())
    }

    /// How many stages so many values of so many axes make; too many are refused before one is made.
    fn makes(&mut self, file: &File, span: Span, name: &str, sizes: &[usize]) -> Outcome<usize> {
        let count = sizes.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let sum = count.and_then(|count| self.made.checked_add(count)).filter(|sum| *sum <= MOST_STAGES);
        match (count, sum) {
            (Some(count), Some(sum)) => {
                self.made = sum;
                Ok(count)
            }
            _ => {
                let made = sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ");
                let message =
                    format!("`{}` makes {made} stages; the project has more than {MOST_STAGES}", shorten(name));
                let fault = Fault::error(contract::code!("import::too_many"), message);
                Err(Faults::from(
                    fault.help("take values away, or import a part of the project").place(file.place(span)),
                ))
            }
        }
    }

    /// Counts text that was made.
    fn spend(&mut self, file: &File, span: Span, bytes: usize) -> Outcome {
        self.count(file, span, bytes);
        self.whole()
    }

    fn count(&mut self, file: &File, span: Span, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MOST_BYTES && self.burst.is_none() {
            self.burst = Some(file.place(span));
        }
        self.burst.is_none()
    }

    /// Whether all that was made is within bounds.
    fn whole(&self) -> Outcome {
        let Some(place) = &self.burst else { return Ok(()) };
        let message = format!("what this unfolds into is more than {} MiB of text", MOST_BYTES >> 20);
        let fault = Fault::error(contract::code!("import::too_large"), message)
            .help("use shorter values, or import a part of the project");
        Err(Faults::from(fault.place(place.clone())))
    }

    fn stage(&mut self, file: &File, name: &str, node: &Node, scope: &Scope<'_>) -> Outcome {
        self.spend(file, node.span, name.len())?;
        let mut scope = scope.inner();
        let wdir = node.get("wdir").map(|value| self.filled(file, value, &scope));
        let wdir = wdir.and_then(|value| python::scalar(&value)).unwrap_or_default();
        let folder = match (file.folder.as_str(), wdir.as_str()) {
            (folder, "" | ".") => folder.to_owned(),
            (folder, wdir) => {
                Some(normalise(&inside(folder, wdir), &self.root)).filter(|to| to != ".").unwrap_or_default()
            }
        };
        if let Some(vars) = node.get("vars") {
            self.vars(file, vars, &file.here.join(&wdir), &mut scope)?;
        }
        let root = self.root.clone();
        let at = |path: &str| normalise(&inside(&folder, path), &root);
        let parts = file.folder.split('/').filter(|part| !part.is_empty() && *part != "..");
        let name = parts.chain([name]).collect::<Vec<_>>().join("-");
        let mut stage = Stage { name: self.name(&name), ..Stage::default() };
        let name = shorten(&stage.name);
        stage.outs = self.outs(file, &name, node, &scope, &at);
        if node.get("frozen").is_some_and(|frozen| matches!(frozen.kind, Kind::Bool(true))) {
            if !stage.outs.is_empty() && stage.outs.iter().all(|out| root.join(&out.path).exists()) {
                let text = format!("`{name}` is frozen: it is left out, and what it wrote is read as it is");
                self.note(file, node.span, text);
                self.items.push(Item::Comment(format!("{}: frozen, its outputs are read as they are", stage.name)));
                return self.whole();
            }
            let text = format!("`{name}` is frozen, but what it writes is not there: it is a stage like any other");
            self.note(file, node.span, text);
        }
        for (path, _, span) in self.paths(file, node.get("deps"), &scope) {
            let path = if path.contains("://") { path } else { at(&path) };
            stage.deps.push((path, file.place(span)));
        }
        let picks = self.params(file, &stage.name, node, &scope, &at)?;
        stage.deps.extend(picks.into_iter().map(|path| (path, file.place(node.span))));
        self.command(file, node, &scope, &mut stage);
        if stage.run.is_empty() {
            self.note(file, node.span, format!("`{name}` has no `cmd`: left out"));
            return self.whole();
        }
        let texts = stage.deps.iter().map(|(path, _)| path).chain(stage.outs.iter().map(|out| &out.path));
        if texts.chain([&stage.run]).any(|text| text.contains('\0')) {
            let text = format!("`{name}` holds a character that neither paths nor commands can have (NUL): left out");
            self.note(file, node.span, text);
            return self.whole();
        }
        if !folder.is_empty() {
            let guard = if folder.starts_with('-') { "-- " } else { "" };
            stage.run = format!("cd {guard}{}\n{}", shell::word(&folder), stage.run);
        }
        let changed = node.get("always_changed").is_some_and(|value| matches!(value.kind, Kind::Bool(true)));
        let callback = stage.deps.is_empty();
        if callback && !changed {
            self.note(file, node.span, format!("`{name}` reads nothing, so it runs every time, as in DVC"));
        }
        stage.always = changed || callback;
        let description = node.get("desc").map(|value| self.filled(file, value, &scope));
        stage.description = description.and_then(|value| python::scalar(&value));
        self.unknown(file, &name, node);
        self.items.push(Item::Stage(Box::new(stage)));
        self.whole()
    }

    fn unknown(&mut self, file: &File, name: &str, node: &Node) {
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
        for entry in node.entries().iter().filter(|entry| !KNOWN.contains(&entry.key.text.as_str())) {
            self.note(file, entry.key.span, format!("`{}` of `{name}` is left out", shorten(&entry.key.text)));
        }
    }

    fn outs(
        &mut self,
        file: &File,
        name: &str,
        node: &Node,
        scope: &Scope<'_>,
        at: &dyn Fn(&str) -> String,
    ) -> Vec<Out> {
        let mut outs: Vec<Out> = Vec::new();
        for (key, kind) in [("outs", ""), ("metrics", "metrics"), ("plots", "plot")] {
            for (path, options, span) in self.paths(file, node.get(key), scope) {
                let path = at(&path);
                if path.trim().is_empty() {
                    self.note(file, span, format!("an output of `{name}` without a name is left out"));
                    continue;
                }
                for option in options {
                    let text = match option.as_str() {
                        "cache" | "push" | "remote" | "desc" | "type" | "labels" | "meta" => continue,
                        "persist" => format!("`persist` of `{path}`: outputs are always made anew"),
                        _ if kind == "plot" => continue,
                        other => format!("`{}` of `{path}` is left out", shorten(other)),
                    };
                    self.note(file, span, text);
                }
                let known = match kind {
                    "metrics" if !path.ends_with(".json") => {
                        self.note(file, span, format!("the metrics `{path}` are no JSON: kept as a file"));
                        ""
                    }
                    // A folder of plots, most likely: whatever is written is taken.
                    "plot" if Path::new(&path).extension().is_none() => "",
                    kind => kind,
                };
                outs.push(Out { path, kind: known, place: file.place(span) });
            }
        }
        outs
    }

    /// One picking stage for every file whose keys the stage depends on; stages with the same keys share it. What is to be read.
    fn params(
        &mut self,
        file: &File,
        name: &str,
        node: &Node,
        scope: &Scope<'_>,
        at: &dyn Fn(&str) -> String,
    ) -> Outcome<Vec<String>> {
        let mut deps = Vec::new();
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let Some(params) = node.get("params").map(|params| self.filled(file, params, scope)) else { return Ok(deps) };
        let Kind::Sequence(items) = &params.kind else { return Ok(deps) };
        for item in items {
            if let Some(key) = python::scalar(item) {
                wanted.entry("params.yaml".to_owned()).or_default().push(key);
            }
            for entry in item.entries() {
                let keys = wanted.entry(entry.key.text.clone()).or_default();
                if let Kind::Sequence(items) = &entry.value.kind {
                    keys.extend(items.iter().filter_map(python::scalar));
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
                let text = format!(
                    "`{}` depends on all of `{path}`: single keys are picked from YAML and JSON only",
                    shorten(name)
                );
                self.note(file, params.span, text);
                deps.push(path);
                continue;
            }
            self.absent(file, params.span, name, &path, &keys)?;
            let known = (path, keys);
            if let Some(picked) = self.picked.get(&known) {
                deps.push(picked.clone());
                continue;
            }
            let suffix = if number == 0 { String::new() } else { format!("-{}", number + 1) };
            let picked = format!(".params/{name}{suffix}.json");
            let (path, keys) = &known;
            let words: Vec<String> = keys.iter().map(|key| shell::word(key)).collect();
            let dash = path.starts_with('-') || keys.iter().any(|key| key.starts_with('-'));
            let guard = if dash { "-- " } else { "" };
            let run = format!(
                "\"$PIPELINE\" pick {guard}{} {} > {}",
                shell::word(path),
                words.join(" "),
                shell::word(&picked)
            );
            let pick = Stage {
                comment: Some(format!("The keys `{name}` depends on, so that no other key of the file matters to it.")),
                name: self.name(&format!("{name}-params{suffix}")),
                run,
                deps: vec![(path.clone(), file.place(params.span))],
                outs: vec![Out { path: picked.clone(), kind: "", place: file.place(params.span) }],
                ..Stage::default()
            };
            if known.0.contains('\0') || pick.run.contains('\0') {
                continue;
            }
            self.items.push(Item::Stage(Box::new(pick)));
            self.picked.insert(known, picked.clone());
            deps.push(picked);
        }
        Ok(deps)
    }

    /// Says which keys a stage depends on that their file does not have: the stage that picks them will not find them.
    fn absent(&mut self, file: &File, span: Span, name: &str, path: &str, keys: &[String]) -> Outcome {
        let there = self.root.join(path);
        if !there.is_file() {
            return Ok(());
        }
        let node = self.parsed(&there)?;
        let scope = node.as_ref().as_ref().map(Scope::of).unwrap_or_default();
        for key in keys.iter().filter(|key| scope.look(key).is_none()) {
            let near = scope.near(key).map_or_else(String::new, |near| format!(" ({near})"));
            let text = format!(
                "`{}` depends on the key `{}`, which `{path}` does not have{near}: picking it will fail",
                shorten(name),
                shorten(key)
            );
            self.note(file, span, text);
        }
        Ok(())
    }

    /// A file of variables; each is read once.
    fn parsed(&mut self, path: &Path) -> Outcome<Rc<Option<Node>>> {
        if let Some(node) = self.read.get(path) {
            return Ok(Rc::clone(node));
        }
        let node = Rc::new(parse(path)?.1);
        self.read.insert(path.to_owned(), Rc::clone(&node));
        Ok(node)
    }

    /// The `run` of a stage and the variables it takes from the environment.
    fn command(&mut self, file: &File, node: &Node, scope: &Scope<'_>, stage: &mut Stage) {
        let Some(cmd) = node.get("cmd") else { return };
        let mut entries: Vec<String> = Vec::new();
        // Where each of them stands.
        let mut spans: Vec<Span> = Vec::new();
        match &cmd.kind {
            Kind::Sequence(items) => {
                for item in items {
                    entries.extend(item.text().map(|text| self.fill(file, text, item.span, scope, true)));
                    spans.extend(item.text().map(|_| item.span));
                }
            }
            _ => {
                let text = cmd.text().map(|text| self.fill(file, text, cmd.span, scope, true));
                entries.extend(text.iter().flat_map(|text| shell::lines(text)));
                if entries.iter().any(|entry| entry.ends_with('\\')) {
                    let text = "a line ends with `\\`, but DVC gives the next one to a shell of its own; so it is here";
                    self.note(file, cmd.span, text);
                }
            }
        }
        let name = shorten(&stage.name);
        spans.resize(entries.len(), cmd.span);
        let filled = entries.iter().zip(spans).filter(|(text, _)| !text.trim().is_empty());
        let spans: Vec<Span> = filled.map(|(_, span)| span).collect();
        let entries = shell::entries(&entries);
        for (entry, span) in entries.iter().zip(&spans) {
            if let Some(sign) = entry.bash {
                let text =
                    format!("`{name}` has `{sign}`, which `sh` takes otherwise; DVC uses `$SHELL`, here it is `bash`");
                self.note(file, *span, text);
                break;
            }
        }
        let variables = entries
            .iter()
            .zip(&spans)
            .flat_map(|(entry, span)| entry.variables().into_iter().map(move |name| (name, *span)));
        for (variable, span) in variables {
            if !stage.env.insert(variable.clone()) {
                continue;
            }
            self.note(
                file,
                span,
                match variable.as_str() {
                    "DVC_ROOT" | "DVC_STAGE" => {
                        format!("`{variable}` is set by DVC alone: set it yourself, it is named under `env`")
                    }
                    _ => format!(
                        "`{}` comes from the environment: it is named under `env`, its value matters",
                        shorten(&variable)
                    ),
                },
            );
        }
        stage.run = shell::run(&entries);
    }

    /// Paths of `deps`, `outs` …: `path`, or `{ path: options }`.
    fn paths(&mut self, file: &File, node: Option<&Node>, scope: &Scope<'_>) -> Vec<(String, Vec<String>, Span)> {
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

    /// A value with every `${…}` in it filled in, keys too.
    fn filled(&mut self, file: &File, node: &Node, scope: &Scope<'_>) -> Node {
        let kind = match &node.kind {
            Kind::Sequence(items) => Kind::Sequence(items.iter().map(|item| self.filled(file, item, scope)).collect()),
            Kind::Mapping(entries) => {
                let filled = entries.iter().map(|entry| {
                    let mut key = entry.key.clone();
                    key.text = self.fill(file, &key.text, key.span, scope, false);
                    Entry { key, value: self.filled(file, &entry.value, scope) }
                });
                Kind::Mapping(filled.collect())
            }
            Kind::Text(text) => {
                let whole = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
                let value = whole.filter(|inner| !inner.contains('}')).and_then(|inner| scope.look(inner));
                if let (Some(name), Some(_)) = (whole, value) {
                    self.filled_in(file, name, node.span);
                }
                match value {
                    Some(value) if self.count(file, node.span, weight(value)) => return value.clone(),
                    Some(_) => Kind::Null,
                    None => Kind::Text(self.fill(file, text, node.span, scope, false)),
                }
            }
            other => other.clone(),
        };
        Node { span: node.span, link: node.link, kind }
    }

    /// Says once of a file that values stand in the pipeline that were variables. What `foreach` and `matrix` give is written out anyway.
    fn filled_in(&mut self, file: &File, name: &str, span: Span) {
        let first = name.trim().split(['.', '[']).next().unwrap_or_default();
        if !matches!(first, "item" | "key") && self.filled.insert(file.source.name().to_owned()) {
            let text = format!(
                "`${{{}}}` and what else is a variable is filled in with its value: from now on it is changed in the pipeline",
                shorten(name.trim())
            );
            self.note(file, span, text);
        }
    }

    fn fill(&mut self, file: &File, text: &str, span: Span, scope: &Scope<'_>, command: bool) -> String {
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
            let Some(end) = rest[at..].find('}').map(|end| at + end) else {
                rest = &rest[at..];
                break;
            };
            let name = rest[at + 2..end].trim();
            match scope.look(name) {
                Some(value) => {
                    self.filled_in(file, name, span);
                    let written = match python::scalar(value) {
                        Some(text) => Some(text),
                        None if command && matches!(value.kind, Kind::Mapping(_)) => {
                            match python::arguments(value, file.style) {
                                Ok(text) => Some(text),
                                Err(key) => {
                                    let text = format!("`{}` holds lists in a list and is left out", shorten(&key));
                                    self.note(file, span, text);
                                    None
                                }
                            }
                        }
                        None => {
                            let text = format!("`${{{}}}` is a list or a mapping and left out", shorten(name));
                            self.note(file, span, text);
                            None
                        }
                    };
                    let written = written.unwrap_or_default();
                    if !self.count(file, span, written.len()) {
                        return String::new();
                    }
                    filled.push_str(&written);
                }
                None => {
                    let text =
                        format!("`${{{}}}` has no value in `params.yaml` or `vars`: left as it is", shorten(name));
                    self.note(file, span, text);
                    filled.push_str(&rest[at..=end]);
                }
            }
            rest = &rest[end + 1..];
        }
        if !self.count(file, span, text.len()) {
            return String::new();
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
        while !self.names.insert(unique.clone()) {
            let number = self.numbers.entry(name.clone()).or_insert(1);
            *number += 1;
            unique = format!("{name}-{number}");
        }
        unique
    }
}

/// Which value of every axis a combination has; the last axis changes first.
fn combination(sizes: &[usize], number: usize) -> impl Iterator<Item = usize> {
    let mut below: Vec<usize> = vec![1; sizes.len()];
    for at in (1..sizes.len()).rev() {
        below[at - 1] = below[at] * sizes[at].max(1);
    }
    let sizes = sizes.to_vec();
    below.into_iter().zip(sizes).map(move |(below, size)| number / below % size.max(1))
}

/// About how many bytes a value takes.
fn weight(node: &Node) -> usize {
    node.bytes() + node.size().0 * size_of::<Node>()
}

/// Whether a text of a tree has a part.
fn holds(node: &Node, part: &str) -> bool {
    match &node.kind {
        Kind::Text(text) => text.contains(part),
        Kind::Sequence(items) => items.iter().any(|item| holds(item, part)),
        Kind::Mapping(entries) => entries.iter().any(|entry| holds(&entry.value, part)),
        _ => false,
    }
}

/// An absolute path, `.` and `..` resolved in the text.
fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(Path::new(".").join(path)).unwrap_or_else(|_| path.to_owned());
    PathBuf::from(normalise(&whole.to_string_lossy(), Path::new("")))
}

/// A folder as another sees it; empty when it is that.
fn relative(from: &Path, to: &Path) -> String {
    let same = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(same).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(to.components().skip(same)).collect();
    path.to_string_lossy().into_owned()
}
