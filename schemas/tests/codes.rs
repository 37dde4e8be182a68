//! The page of codes is printed from the table, and the table is what the sources and the tests say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use contract::fault::{CODES, Entry};

/// Crates whose sources give faults, seen from this crate's folder.
const CRATES: [&str; 11] = [
    ".",
    "dvc",
    "..",
    "../engine",
    "../cache",
    "../stages/contract",
    "../stages/catalog",
    "../stages/model",
    "../stages/data",
    "../stages/torch",
    "../web/pages",
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The text of the sources without their tests, and that of the tests and samples.
fn texts() -> (String, String) {
    let (mut sources, mut tests) = (String::new(), String::new());
    for of in CRATES {
        let mut paths = Vec::new();
        files(&Path::new(of).join("src"), &mut paths);
        for path in paths {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name == "codes.rs" {
                continue;
            }
            let of_tests = name == "tests.rs"
                || name.ends_with("_tests.rs")
                || path.components().any(|part| part.as_os_str() == "tests");
            if of_tests {
                tests.push_str(&text);
            } else {
                let (source, test) = text.split_at(text.find("#[cfg(test)]").unwrap_or(text.len()));
                sources.push_str(source);
                tests.push_str(test);
            }
        }
        let mut paths = Vec::new();
        for folder in ["tests", "samples"] {
            files(&Path::new(of).join(folder), &mut paths);
        }
        for path in paths {
            let this = path.ends_with("schemas/tests/codes.rs") || path == Path::new("./tests/codes.rs");
            let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            let read = ["rs", "txt", "snap", "json", "yaml", "out", "md"].contains(&ending.as_str()) && !this;
            // The corpora of the fuzzer hold whatever it found.
            if read && !path.components().any(|part| part.as_os_str() == "fuzz") {
                tests.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    (sources, tests)
}

/// Whether a text has the code as a whole word.
fn has(text: &str, code: &str) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    text.match_indices(code).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
        !is_word(before) && !is_word(text.as_bytes().get(at + code.len()))
    })
}

#[test]
fn every_code_is_given_and_met_by_a_test() {
    let (sources, tests) = texts();
    let mut faults = Vec::new();
    for Entry { code, untested, .. } in CODES {
        if !has(&sources, code) {
            faults.push(format!("`{code}` is in the table, but no source gives it"));
        }
        // Codes with a reason may be named by a test that only excuses them.
        if untested.is_empty() && !has(&tests, code) {
            faults.push(format!("`{code}` is met by no test: write one, or say in the table why there is none"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn printed() -> String {
    let mut page =
        "# Codes\n\nEvery fault has a code, a message and a help line. This page is printed from the table in\n\
                    `stages/contract/src/fault/codes.rs`; a test keeps it fresh (`cargo xtask fresh`).\n"
            .to_owned();
    let areas: BTreeSet<&str> = CODES.iter().filter_map(|entry| Some(entry.code.split_once("::")?.0)).collect();
    for area in areas {
        let _ = write!(page, "\n## {area}\n\n| code | what is wrong |\n|---|---|\n");
        for Entry { code, meaning, .. } in CODES.iter().filter(|entry| entry.code.split("::").next() == Some(area)) {
            let _ = writeln!(page, "| `{code}` | {} |", meaning.replace('|', "\\|"));
        }
    }
    page
}

#[test]
fn the_table_of_codes_is_fresh() {
    let file = "../docs/codes.md";
    let now = printed();
    if std::env::var_os("PIPELINE_WRITE_GENERATED").is_some() {
        std::fs::write(file, &now).expect("the page of codes");
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == now, "docs/codes.md is stale: run `cargo xtask fresh`");
}

/// The top-level keys and the keys of every stage are all described.
#[test]
fn the_language_page_names_every_key() {
    let page = std::fs::read_to_string("../docs/language.md").expect("the page");
    let schema = schemas::json_schema(&catalog::kinds());
    let mut keys: Vec<String> = Vec::new();
    for object in [
        &schema["properties"],
        &schema["definitions"]["stage"]["properties"],
        &schema["definitions"]["Resources"]["properties"],
    ] {
        keys.extend(object.as_object().expect("properties").keys().cloned());
    }
    assert!(keys.len() > 15);
    let missing: Vec<_> = keys.iter().filter(|key| !page.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/language.md says nothing of {missing:?}");
}
