//! Every fault the crate can give is met by a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            found.push(path);
        }
    }
    found
}

/// String literals of the form `area::name`.
fn codes(text: &str) -> BTreeSet<String> {
    text.split('"')
        .filter(|piece| {
            let plain = |part: &str| {
                !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
            };
            piece.split_once("::").is_some_and(|(area, name)| plain(area) && plain(name))
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_fault_code_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut given, mut tested) = (BTreeSet::new(), BTreeSet::new());
    for path in sources(&root.join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        if path.ends_with("tests.rs") {
            tested.extend(codes(&text));
        } else {
            let (code, tests) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
            given.extend(codes(code));
            tested.extend(codes(tests));
        }
    }
    for path in sources(&root.join("tests")) {
        tested.extend(codes(&fs::read_to_string(&path).unwrap()));
    }
    assert!(given.len() > 50, "the search finds the codes: {}", given.len());
    let untested: Vec<&String> = given.difference(&tested).collect();
    assert!(untested.is_empty(), "no test meets {untested:?}");
}
