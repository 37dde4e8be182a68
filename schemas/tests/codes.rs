//! The table of codes is the codes there are, and the language page names every key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

/// `area::name`, both in snake case.
fn is_code(text: &str) -> bool {
    let word = |word: &str| {
        word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.split_once("::").is_some_and(|(area, name)| word(area) && word(name))
}

/// Every code in the sources (tests aside), with the words of the first message it stands beside.
fn codes() -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    for folder in [
        "src",
        "dvc/src",
        "../engine/src",
        "../cache/src",
        "../src",
        "../stages/contract/src",
        "../stages/catalog/src",
        "../stages/data/src",
        "../stages/model/src",
        "../stages/torch/src",
    ] {
        sources(Path::new(folder), &mut paths);
    }
    let mut codes: BTreeMap<String, String> = BTreeMap::new();
    for path in paths {
        if path.components().any(|part| part.as_os_str() == "tests")
            || path.ends_with("tests.rs")
            || path.ends_with("agreement.rs")
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source");
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("");
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let text = lines.join("\n");
        let literals: Vec<(&str, usize)> = literals(&text);
        for (literal, start) in &literals {
            if !is_code(literal) {
                continue;
            }
            let message = message(&text, start + literal.len() + 1, &literals).map(in_words).unwrap_or_default();
            let known = codes.entry((*literal).to_owned()).or_default();
            if known.is_empty() {
                *known = message;
            }
        }
    }
    codes
}

/// The message of a fault whose code ends at `end`: the literal that follows it, or the one behind the last `let message`.
fn message<'t>(text: &str, end: usize, literals: &[(&'t str, usize)]) -> Option<&'t str> {
    let wordy = |literal: &&(&str, usize)| literal.0.contains(' ');
    let after = text[end..].trim_start().strip_prefix(',')?.trim_start();
    let after = after.strip_prefix("format!(").map_or(after, str::trim_start);
    let position = if after.starts_with('"') {
        text.len() - after.len()
    } else if after.starts_with("message") {
        text[..end].rfind("let message")?
    } else {
        return None;
    };
    let next = literals.iter().find(|(_, start)| *start > position).filter(wordy);
    next.map(|(literal, _)| *literal)
}

/// The string literals of a text, roughly: what stands between two quotes.
fn literals(text: &str) -> Vec<(&str, usize)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\'' if bytes.get(at + 2) == Some(&b'\'') => at += 3,
            b'\'' if bytes.get(at + 1) == Some(&b'\\') && bytes.get(at + 3) == Some(&b'\'') => at += 4,
            b'"' => {
                let start = at + 1;
                at = start;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                found.extend(text.get(start..at.min(bytes.len())).map(|literal| (literal, start)));
                at += 1;
            }
            _ => at += 1,
        }
    }
    found
}

/// A message with its holes as `…`.
fn in_words(message: &str) -> String {
    let mut out = String::new();
    let mut rest = message.replace("{{", "\u{1}").replace("}}", "\u{2}").replace("\\\"", "\"");
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').map_or(rest.len(), |close| open + close + 1);
        out.push_str(&rest[..open]);
        out.push('…');
        rest = rest[close..].to_owned();
    }
    out.push_str(&rest);
    let out = out.replace('\u{1}', "{").replace('\u{2}', "}").replace("\\n", " ").replace('|', "\\|");
    out.split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ")
}

#[test]
fn the_table_of_codes_is_fresh() {
    let codes = codes();
    assert!(codes.len() > 120, "{}", codes.len());
    let mut page = String::from(
        "# Codes\n\nEvery fault has a code, a message and a help line. Generated from the sources\nby `cargo xtask fresh`. `…` is what the fault is about.\n",
    );
    let mut area = "";
    for (code, message) in &codes {
        let (of, _) = code.split_once("::").unwrap_or((code, ""));
        if of != area {
            page.push_str(&format!("\n## {of}\n\n| code | for example |\n|---|---|\n"));
            area = of;
        }
        page.push_str(&format!("| `{code}` | {message} |\n"));
    }
    let file = "../docs/codes.md";
    if std::env::var_os("PIPELINE_WRITE_GENERATED").is_some() {
        std::fs::write(file, &page).expect("the page");
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        kept == page,
        "docs/codes.md is stale: run `cargo xtask fresh`; it differs in\n{}",
        differing(&kept, &page)
    );
}

/// The lines that only one of two pages has.
fn differing(kept: &str, fresh: &str) -> String {
    let only = |one: &str, other: &str, mark: &str| -> String {
        let known: std::collections::BTreeSet<&str> = other.lines().collect();
        one.lines().filter(|line| !known.contains(line)).map(|line| format!("{mark} {line}\n")).collect()
    };
    only(kept, fresh, "-") + &only(fresh, kept, "+")
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
