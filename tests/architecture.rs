//! The walls of the house: who may know whom. `docs/architecture.md` says why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// What each crate of ours may use of ours; in tests it may use the second list as well.
const EDGES: [(&str, &[&str], &[&str]); 13] = [
    ("fold", &[], &[]),
    ("cache", &["fold"], &[]),
    ("contract", &["fold"], &[]),
    ("engine", &["cache", "contract"], &[]),
    ("schemas", &["contract", "engine"], &["catalog"]),
    ("dvc", &["contract", "engine", "schemas"], &[]),
    ("catalog", &["contract"], &[]),
    ("pages", &[], &[]),
    ("model", &["contract", "catalog"], &[]),
    ("stages-data", &["contract", "catalog", "pages"], &[]),
    ("stages-torch", &["contract", "catalog", "model"], &[]),
    ("pipeline", &["cache", "contract", "engine", "schemas", "dvc", "catalog", "pages"], &[]),
    ("xtask", &[], &[]),
];

/// What has one home.
const HOMES: [(&str, &[&str]); 15] = [
    ("tch", &["stages-torch"]),
    ("torch-sys", &["stages-torch"]),
    ("safetensors", &["model", "stages-torch"]),
    ("tract-onnx", &["model"]),
    ("datafusion", &["stages-data"]),
    ("parquet", &["stages-data"]),
    ("image", &["stages-data"]),
    ("serde-saphyr", &["schemas"]),
    ("yaml_serde", &["schemas"]),
    ("miette", &["schemas", "pipeline"]),
    ("clap", &["pipeline", "xtask"]),
    ("indicatif", &["pipeline"]),
    ("maud", &["pages"]),
    ("blake3", &["cache", "fold"]),
    ("petgraph", &["engine"]),
];

/// What the face and everything under it must never link, however far away.
const NOT_IN_THE_FACE: [&str; 7] = ["torch-sys", "tch", "datafusion", "arrow", "parquet", "prost", "tract-onnx"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A package: name, folder, and dependencies by name with whether only tests use them.
type Package = (String, PathBuf, Vec<(String, bool)>);

/// Our packages.
fn packages() -> Vec<Package> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"])).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned();
            let dependencies = package["dependencies"].as_array().unwrap();
            let dependencies = dependencies.iter().map(|one| (text(&one["name"]), one["kind"] == "dev")).collect();
            (text(&package["name"]), folder, dependencies)
        })
        .collect()
}

#[test]
fn our_crates_know_only_whom_they_may() {
    let packages = packages();
    let known: BTreeMap<_, _> = EDGES.iter().map(|(name, edges, tests)| (*name, (*edges, *tests))).collect();
    let ours: BTreeSet<&str> = packages.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(ours, known.keys().copied().collect(), "a crate came or went: say here whom it may know");
    let mut faults = Vec::new();
    for (name, _, dependencies) in &packages {
        let (edges, tests) = known[name.as_str()];
        for (other, only_tests) in dependencies.iter().filter(|(other, _)| ours.contains(other.as_str())) {
            let allowed = edges.contains(&other.as_str()) || (*only_tests && tests.contains(&other.as_str()));
            if !allowed {
                faults.push(format!("`{name}` must not know `{other}`"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_has_a_home_stays_there() {
    let mut faults = Vec::new();
    for (name, _, dependencies) in packages() {
        for (home, homes) in HOMES {
            // A test may read what it checks with the real thing.
            if dependencies.iter().any(|(other, only_tests)| other == home && !only_tests)
                && !homes.contains(&name.as_str())
            {
                faults.push(format!("`{name}` uses `{home}`, whose home is {homes:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_face_links_neither_libtorch_nor_the_table_engine() {
    let tree = cargo(&["tree", "--offline", "-p", "pipeline", "-e", "normal", "--prefix", "none", "--format", "{p}"]);
    let linked: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(linked.contains("engine"), "the tree was not read: {tree}");
    let wrong: Vec<_> = NOT_IN_THE_FACE.iter().filter(|name| linked.contains(**name)).collect();
    assert!(wrong.is_empty(), "`pipeline` links {wrong:?}");
}

/// The Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn every_source() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [
        "src",
        "cache/src",
        "cache/fold/src",
        "engine/src",
        "stages/contract/src",
        "schemas/src",
        "schemas/dvc/src",
        "stages/catalog/src",
        "stages/model/src",
        "stages/data/src",
        "stages/torch/src",
        "web/pages/src",
    ] {
        let before = found.len();
        sources(&root().join(folder), &mut found);
        assert!(found.len() > before, "no sources in `{folder}`");
    }
    found
}

#[test]
fn only_the_face_prints() {
    // The lints deny it everywhere; this finds who lifts them.
    let mut faults = Vec::new();
    for path in every_source() {
        let text = fs::read_to_string(&path).unwrap();
        let relative = path.strip_prefix(root()).unwrap();
        if relative.starts_with("src") {
            continue;
        }
        // Tests may talk to who reads their output.
        if relative.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs") {
            continue;
        }
        // A worker's `main` says what it is when asked with `--hello`.
        if relative.ends_with("main.rs") && relative.starts_with("stages") {
            continue;
        }
        if text.contains("clippy::print_stdout") || text.contains("clippy::print_stderr") {
            faults.push(format!("`{}` prints", relative.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn lints_are_lifted_with_a_reason_or_not_at_all() {
    let mut faults = Vec::new();
    for path in every_source() {
        let text = fs::read_to_string(&path).unwrap();
        if text
            .lines()
            .any(|line| line.trim_start().starts_with("#[allow(") || line.trim_start().starts_with("#![allow("))
        {
            faults.push(format!("`{}` allows instead of expecting", path.display()));
        }
        for (position, _) in text.match_indices("#[expect(").chain(text.match_indices("#![expect(")) {
            let end = text[position..].find(")]").map_or(text.len(), |end| position + end);
            if !text[position..end].contains("reason") {
                faults.push(format!("`{}` expects without a reason", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The only files with `unsafe`: each is small and says why what it does is sound.
const UNSAFE: [&str; 7] = [
    "cache/src/records/map.rs",
    "stages/contract/src/worker/stdout.rs",
    "stages/data/src/table/dataset.rs",
    "stages/model/src/int8/kernel/avx2.rs",
    "stages/model/src/map.rs",
    "stages/torch/src/fit/sweep.rs",
    "stages/torch/src/raw.rs",
];

#[test]
fn unsafe_code_has_few_places() {
    let mut found = BTreeSet::new();
    for path in every_source() {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if code.into_iter().any(|line| line.contains("unsafe ") && !line.contains("unsafe_code")) {
            found.insert(path.strip_prefix(root()).unwrap().display().to_string());
        }
    }
    assert_eq!(found, UNSAFE.map(str::to_owned).into());
}

#[test]
fn files_are_named_after_what_they_define() {
    let nothing = ["utils", "util", "helpers", "helper", "common", "manager", "base", "misc"];
    for path in every_source() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(!nothing.contains(&name.as_str()), "`{}` says nothing", path.display());
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for (name, folder, _) in packages() {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "`{name}` has lints of its own");
    }
}
