//! Every piece of YAML that the documentation shows is valid as it stands.

use std::fs;
use std::path::Path;

use catalog::kinds;
use contract::fault::Fault;
use schemas::{LoadOptions, load_text};

/// The faults of a document, those of parameters that only the kinds find included.
fn faults(text: &str) -> Vec<Fault> {
    let registry = kinds();
    let loaded = load_text("example", text, &LoadOptions::default(), &registry);
    let mut faults = loaded.faults;
    for stage in loaded.spec.iter().flat_map(|spec| &spec.stages) {
        if let Err(found) = registry.get(&stage.kind).expect("a known kind").stage(stage.params.clone()) {
            faults.extend(found);
        }
    }
    faults
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

/// Text without the indentation that all lines share.
fn dedented(text: &str) -> String {
    let shared =
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| line.len() - line.trim_start().len()).min();
    text.lines().map(|line| format!("{}\n", line.get(shared.unwrap_or(0)..).unwrap_or_default())).collect()
}

/// A whole document around a piece: stages, steps of a `preprocess`, or parameters of a `train`.
fn whole(piece: &str) -> String {
    let piece = dedented(piece);
    if piece.lines().any(|line| line.starts_with("pipeline:")) {
        return piece;
    }
    let stages = if piece.starts_with("stages:") {
        return format!("pipeline: example\n{piece}");
    } else if piece.starts_with("- ") {
        format!("clean:\n  kind: preprocess\n  inputs: {{ data: raw }}\n  steps:\n{}", indented(&piece, 4))
    } else if piece.contains("kind:") {
        piece
    } else {
        format!("model:\n  kind: train\n  inputs: {{ train: raw }}\n{}", indented(&piece, 2))
    };
    format!("pipeline: example\nvars: {{ x: 1, epochs: 2 }}\nstages:\n{}", indented(&stages, 2))
}

/// The fenced YAML blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line.trim_end()) {
            (None, "```yaml") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(text), line) => text.push_str(&format!("{line}\n")),
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn the_example_of_every_kind_can_be_pasted() {
    for kind in kinds().iter() {
        let text = format!("pipeline: example\nstages:\n{}", indented(kind.about().example, 2));
        assert_eq!(faults(&text), [], "{}:\n{text}", kind.name());
    }
}

#[test]
fn every_block_of_yaml_in_the_documentation_is_valid() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut seen = 0;
    let mut wrong = Vec::new();
    for folder in [docs.clone(), docs.join("reference")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|suffix| suffix != "md") {
                continue;
            }
            for block in blocks(&fs::read_to_string(&path).unwrap()) {
                let text = whole(&block);
                let found = faults(&text);
                if !found.is_empty() {
                    wrong.push(format!("{}:\n{text}{found:#?}", path.display()));
                }
                seen += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 20, "only {seen} blocks were found");
}

#[test]
fn a_wrong_block_would_be_noticed() {
    assert_ne!(faults(&whole("model:\n  kind: train\n  epoch: 3\n")), []);
    assert_ne!(faults(&whole("- drop_duplicate\n")), []);
    assert_ne!(faults(&whole("parts:\n  kind: split\n  ratios: { a: 0.5, b: 0.6 }\n")), []);
}
