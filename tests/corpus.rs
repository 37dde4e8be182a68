//! The kept corpus of the fuzzer, once over: what once made trouble makes none again.

#[path = "fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

fn over(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a corpus") {
        let path = entry.expect("an entry").path();
        let data = fs::read(&path).expect("a file");
        let done = std::panic::catch_unwind(|| target(&data));
        assert!(done.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count > 10, "{count} files in {}", folder.display());
}

#[test]
fn language() {
    over("language", targets::language);
}

#[test]
fn store() {
    over("store", targets::store);
}

#[test]
fn formats() {
    over("formats", targets::formats);
}

#[test]
fn lock() {
    over("lock", targets::lock);
}

#[test]
fn dvc() {
    over("dvc", targets::dvc);
}

#[test]
fn include() {
    over("include", targets::include);
}

#[test]
fn digests() {
    over("digests", targets::digests);
}

#[test]
fn snapshot() {
    over("snapshot", targets::snapshot);
}

#[test]
fn runs() {
    over("runs", targets::runs);
}

#[test]
fn logs() {
    over("logs", targets::logs);
}
