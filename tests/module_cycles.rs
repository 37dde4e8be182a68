//! No module of a crate knows a module that knows it: each crate's files can be read from the bottom up.
//!
//! An edge runs from one file to another whose items it names by a path. A name that a module only hands on (`pub use`)
//! counts as the file that defines it, and so do the modules in which tests stand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{File, Item, ItemMod, ItemUse, UseTree};

/// The name of a module: `["run", "driver"]`; the root of a crate is empty.
type Module = Vec<String>;

/// The files of a crate, by the module each of them is.
struct Source {
    modules: BTreeMap<Module, File>,
}

impl Source {
    fn read(folder: &Path) -> Self {
        let mut modules = BTreeMap::new();
        let root = ["lib.rs", "main.rs"].map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
        let root = root.unwrap_or_else(|| panic!("no crate in `{}`", folder.display()));
        read(&root, folder, Vec::new(), &mut modules);
        Self { modules }
    }

    /// The module whose file defines what a path from the root of the crate names; `None` for a path that leads to
    /// something else than an item of a file.
    fn home(&self, path: &[String]) -> Option<Module> {
        let mut module = Vec::new();
        for (at, name) in path.iter().enumerate() {
            let mut below = module.clone();
            below.push(name.clone());
            if self.modules.contains_key(&below) {
                module = below;
                continue;
            }
            // An item: this module defines it or hands it on.
            return match self.handed_on(&module, name) {
                Some(mut target) => {
                    target.extend_from_slice(&path[at + 1..]);
                    self.home(&target)
                }
                None => Some(module),
            };
        }
        Some(module)
    }

    /// Where a name leads that a module takes from elsewhere by `pub use`.
    fn handed_on(&self, module: &Module, name: &str) -> Option<Vec<String>> {
        let uses = self.modules.get(module)?.items.iter().filter_map(|item| match item {
            Item::Use(one) if !matches!(one.vis, syn::Visibility::Inherited) => Some(one),
            _ => None,
        });
        for one in uses {
            for (path, known_as) in leaves(&one.tree) {
                if known_as == name {
                    return self.absolute(module, &path);
                }
            }
        }
        None
    }

    /// A path as the root of the crate sees it; `None` when it leads out of the crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let mut whole = module.clone();
        let mut rest = path;
        match rest.first().map(String::as_str) {
            Some("crate") => whole.clear(),
            Some("self") => {}
            Some("super") => {
                whole.pop();
            }
            Some(first) => {
                whole.push(first.to_owned());
                // A module below this one, spelt without `self`.
                return self.modules.contains_key(&whole).then(|| {
                    whole.extend_from_slice(&rest[1..]);
                    whole
                });
            }
            None => return None,
        }
        rest = &rest[1..];
        while rest.first().is_some_and(|segment| segment == "super") {
            whole.pop();
            rest = &rest[1..];
        }
        whole.extend_from_slice(rest);
        Some(whole)
    }

    /// Which modules each module knows.
    fn edges(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let mut edges = BTreeMap::new();
        for (module, file) in &self.modules {
            let mut seen = Seen { source: self, module: module.clone(), known: BTreeSet::new() };
            seen.visit_file(file);
            // A module that only lists what lies below it, or a test beside its module, is no edge.
            seen.known.remove(module);
            edges.insert(module.clone(), seen.known);
        }
        edges
    }
}

fn read(path: &Path, folder: &Path, module: Module, modules: &mut BTreeMap<Module, File>) {
    let text = fs::read_to_string(path).unwrap();
    let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    for item in &file.items {
        let Item::Mod(ItemMod { ident, content: None, attrs, .. }) = item else { continue };
        if attrs.iter().any(is_test) {
            continue;
        }
        let name = ident.to_string();
        let places: [PathBuf; 2] = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
        let Some(place) = places.into_iter().find(|place| place.is_file()) else { continue };
        let mut below = module.clone();
        below.push(name.clone());
        read(&place, &folder.join(&name), below, modules);
    }
    modules.insert(module, file);
}

fn is_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
}

/// Every path of a `use`, with the name by which it is known afterwards.
fn leaves(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    match tree {
        UseTree::Path(path) => {
            let front = path.ident.to_string();
            let longer = |(mut rest, name): (Vec<String>, String)| {
                rest.insert(0, front.clone());
                (rest, name)
            };
            leaves(&path.tree).into_iter().map(longer).collect()
        }
        UseTree::Name(name) if name.ident == "self" => vec![(Vec::new(), "self".to_owned())],
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(rename) => vec![(vec![rename.ident.to_string()], rename.rename.to_string())],
        UseTree::Glob(_) => vec![(vec!["*".to_owned()], "*".to_owned())],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

struct Seen<'a> {
    source: &'a Source,
    module: Module,
    known: BTreeSet<Module>,
}

impl Seen<'_> {
    fn path(&mut self, path: &[String]) {
        let path: Vec<String> = path.iter().filter(|segment| *segment != "*").cloned().collect();
        if let Some(whole) = self.source.absolute(&self.module, &path)
            && let Some(home) = self.source.home(&whole)
        {
            self.known.insert(home);
        }
    }
}

impl<'ast> Visit<'ast> for Seen<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        // Tests may know whatever they need.
        if !module.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // What is handed on is an edge of those who take it.
        if matches!(item.vis, syn::Visibility::Inherited) {
            for (path, _) in leaves(&item.tree) {
                self.path(&path);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.path(&segments);
        }
        visit::visit_path(self, path);
    }
}

/// The circles among modules: each as the modules on its way, the smallest name first.
fn circles(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<String>> {
    let mut graph = petgraph::graph::DiGraph::<String, ()>::new();
    let names: BTreeMap<&Module, _> =
        edges.keys().map(|module| (module, graph.add_node(format!("crate::{}", module.join("::"))))).collect();
    for (from, known) in edges {
        for to in known.iter().filter(|to| *to != from) {
            graph.add_edge(names[from], names[to], ());
        }
    }
    let groups = petgraph::algo::tarjan_scc(&graph).into_iter().filter(|group| group.len() > 1);
    groups
        .map(|group| {
            let mut names: Vec<String> = group.into_iter().map(|node| graph[node].clone()).collect();
            names.sort();
            names
        })
        .collect()
}

#[test]
fn no_crate_has_a_circle_of_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    assert!(members.len() >= 8, "the members were not read: {members:?}");
    let mut faults = Vec::new();
    for member in members {
        let source = Source::read(&root.join(member).join("src"));
        let edges = source.edges();
        assert!(edges.values().any(|known| !known.is_empty()) || edges.len() < 3, "no edges were found in `{member}`");
        for circle in circles(&edges) {
            faults.push(format!("{member}: {}", circle.join(", ")));
        }
    }
    assert!(faults.is_empty(), "modules that know each other:\n{}", faults.join("\n"));
}

#[test]
fn a_circle_is_found_through_names_that_are_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; pub use a::{A, inner::Deep as D};");
    write("a.rs", "pub mod inner; pub struct A;");
    write("a/inner.rs", "use crate::b::B; pub struct Deep(B);");
    write("b.rs", "pub struct B; fn f() { let _ = crate::D; }");
    let found = circles(&Source::read(folder.path()).edges());
    assert_eq!(found, [["crate::a::inner", "crate::b"]]);
    write("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::D; }");
    assert_eq!(circles(&Source::read(folder.path()).edges()), [] as [Vec<String>; 0]);
}
