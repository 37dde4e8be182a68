//! The reference under `docs/reference` is what the crate says of itself.

use std::fs;
use std::path::{Path, PathBuf};

use catalog::{kinds, reference};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference")
}

/// `cargo xtask fresh` has the pages written instead of compared.
#[test]
fn pages_are_fresh() {
    let write = std::env::var_os("PIPELINE_WRITE_GENERATED").is_some();
    let pages = reference::pages(&kinds());
    if write {
        fs::create_dir_all(folder()).unwrap();
        for (name, text) in &pages {
            fs::write(folder().join(name), text).unwrap();
        }
    }
    for (name, text) in &pages {
        let found = fs::read_to_string(folder().join(name)).unwrap_or_default();
        assert!(found == *text, "docs/reference/{name} is stale: run `cargo xtask fresh`");
    }
    let mut known: Vec<String> = pages.into_iter().map(|(name, _)| name).collect();
    let mut there: Vec<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    known.sort();
    there.sort();
    assert_eq!(there, known, "a page of a kind that is no more");
}

#[test]
fn a_page_has_every_parameter_with_its_default() {
    let registry = kinds();
    let page = reference::page(registry.get("train").unwrap());
    for expected in
        ["# `train`", "`optimizer`", "`adamw`", "`weight_decay`", "0.001", "`patience`", "```yaml", "validation"]
    {
        assert!(page.contains(expected), "{expected} is not on the page");
    }
    assert!(!page.contains("$ref") && !page.contains("null"), "schema terms do not reach readers");
}
