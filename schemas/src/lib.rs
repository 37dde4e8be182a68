//! The language: YAML text -> the engine's [`PipelineSpec`], with a place for everything.
//!
//! Passes, each doing its own thing and collecting its faults: [`yaml`] makes a tree of nodes with byte spans. In `document`,
//! `include`, `profile`, `overrides`, `interpolate` and `defaults` change the tree, in this order. `decode` checks it against the schemas
//! of the registry's kinds, and `document::lower` makes the specification. [`report`] holds the words of messages; its [`Sources`] remember
//! where everything stood, and turn the route of any later fault into a line and a caret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use contract::fault::Fault;
use contract::kind::Kinds;
use engine::graph::PipelineSpec;

#[cfg(test)]
mod agreement;
mod decode;
mod document;
pub mod report;
pub mod yaml;

pub use document::json_schema::{json_schema, json_schema_text};
pub use report::diagnostic::{Diagnostic, Sources};
pub use yaml::file::MAX_BYTES;

use decode::decoder::Decoder;
use document::language::Language;
use document::{defaults, include, interpolate, lower, overrides, profile};
use report::diagnostic;
use report::faults::PlacedFaults;
use yaml::file::read;
use yaml::node::{Kind, Node};
use yaml::source::{Source, SourceId, Span};
use yaml::syntax;

/// What changes the reading of a file.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `--profile`: the one of `profiles:` that is laid over the document.
    pub profile: Option<String>,
    /// `--set` arguments in order, `path=value`.
    pub set: Vec<String>,
    /// What `${env.X}` sees; `None` is the environment of the process.
    pub environment: Option<BTreeMap<String, String>>,
}

/// What came of a file.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The specification, when no fault is an error.
    pub spec: Option<PipelineSpec>,
    /// All faults in the order of the text, warnings among them.
    pub faults: Vec<Fault>,
    /// For the place of every later fault.
    pub sources: Sources,
    /// The files that were included, or looked for, as messages show them.
    pub files: Vec<PathBuf>,
}

/// Reads a pipeline from a file. Messages show the path as it is given.
pub fn load(path: &Path, options: &LoadOptions, registry: &Kinds) -> Loaded {
    match read(path) {
        Ok(text) => {
            let mut loaded = load_text(&path.display().to_string(), &text, options, registry);
            if let Some(spec) = &mut loaded.spec {
                spec.root = path.parent().unwrap_or(Path::new("")).to_owned();
            }
            loaded
        }
        Err(fault) => Loaded { faults: vec![*fault], ..Loaded::default() },
    }
}

/// Reads a pipeline from a text. `name` is what messages call it.
pub fn load_text(name: &str, text: &str, options: &LoadOptions, registry: &Kinds) -> Loaded {
    let mut sources = vec![Source::new(name, text)];
    let mut faults = PlacedFaults::default();
    let root = syntax::parse(diagnostic::FILE, &sources[0], 0, &mut faults);
    let mut root = match root {
        Some(root) => root,
        None if faults.any_error() => return finish(sources, None, faults, None),
        None => {
            let start = Span { source: diagnostic::FILE, start: 0, end: 0 };
            Node::new(start, Kind::Null)
        }
    };
    let files = include::include(&mut root, &mut sources, &mut faults);
    if let Some(profile) = &options.profile {
        sources.push(Source::new(diagnostic::PROFILE, profile.as_str()));
    }
    let chosen = options.profile.as_ref().map(|_| sources.len() - 1);
    profile::apply(&mut root, chosen.map(|at| (SourceId(at as u32), &sources[at])), &mut faults);
    let written = sources.len();
    sources.extend(options.set.iter().map(|set| Source::new(diagnostic::SET, set.as_str())));
    for (at, source) in sources.iter().enumerate().skip(written) {
        overrides::apply(&mut root, SourceId(at as u32), source, &mut faults);
    }
    let process = |name: &str| std::env::var(name).ok();
    let given = |name: &str| options.environment.as_ref().and_then(|all| all.get(name).cloned());
    let environment: &dyn Fn(&str) -> Option<String> = if options.environment.is_some() { &given } else { &process };
    let children = interpolate::interpolate(&mut root, &sources, environment, &mut faults);
    let language = Language::new(registry, names_kind(&root));
    let mut decoder = Decoder {
        shapes: &language.shapes,
        synonyms: &language.synonyms,
        sources: &sources,
        faults: &mut faults,
        route: Vec::new(),
        around: Vec::new(),
        folders: &files.folders,
    };
    defaults::apply(&mut decoder, &language, registry, &mut root);
    let spec = lower::lower(&mut decoder, &language, registry, &root, &children);
    let root_folder = Path::new(name).parent().map(Path::to_path_buf).unwrap_or_default();
    let documents: Vec<PathBuf> = std::iter::once(PathBuf::from(name)).chain(files.paths.iter().cloned()).collect();
    let spec = spec.map(|spec| PipelineSpec { root: root_folder, documents, ..spec });
    if !faults.any_error() {
        return Loaded { files: files.paths, ..finish(sources, Some(root), faults, spec) };
    }
    // All faults in one pass: what is sound of the pipeline is planned, and what the planner finds is told, too.
    let mut loaded = Loaded { files: files.paths, ..finish(sources, Some(root), faults, None) };
    if let Some(spec) = spec {
        loaded.add(engine::plan::plan(spec, registry, &contract::kind::Silent).faults);
    }
    loaded
}

impl Loaded {
    /// Adds faults and keeps all in the order of the text.
    fn add(&mut self, faults: Vec<Fault>) {
        self.faults.extend(faults);
        let place = |fault: &Fault| self.sources.diagnostic(fault).position;
        let mut placed: Vec<_> = self.faults.drain(..).map(|fault| (place(&fault), fault)).collect();
        placed.sort_by_key(|(position, _)| *position);
        self.faults = placed.into_iter().map(|(_, fault)| fault).collect();
    }
}

/// Whether a document names a kind.
fn names_kind(root: &Node) -> impl Fn(&str) -> bool {
    let stages = root.get("stages").map(Node::entries).unwrap_or_default();
    let defaults = root.get("defaults").map(Node::entries).unwrap_or_default();
    let kinds = stages.iter().filter_map(|stage| stage.value.get("kind")?.text().map(str::to_owned));
    let kinds: BTreeSet<String> = kinds.chain(defaults.iter().map(|kind| kind.key.text.clone())).collect();
    move |kind| kinds.contains(kind)
}

fn finish(sources: Vec<Source>, root: Option<Node>, faults: PlacedFaults, spec: Option<PipelineSpec>) -> Loaded {
    let placed = faults.finish(&sources);
    let sources = Sources::new(sources, root, &placed);
    Loaded { spec, faults: placed.into_iter().map(|placed| placed.fault).collect(), sources, files: Vec::new() }
}
