//! The store through its public face.

use std::fs;
use std::path::Path;

use cache::{Blob, Committed, Digest, Record, Store, StoreError};
use serde_json::json;

mod commits;
mod damage;
mod files;
mod full;
mod snapshots;
mod trees;

/// A store in a fresh folder.
fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join(".pipeline")).unwrap();
    (folder, store)
}

fn key(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn record(key: Digest, label: &str, outputs: Vec<(String, Blob)>) -> Record {
    Record {
        key,
        label: label.to_owned(),
        outputs,
        manifest: json!({ "kind": "test" }),
        observations: json!({ "seconds": 1.5 }),
        detail: json!(null),
        created: 1,
    }
}

/// Bytes that differ by `seed` and do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_new_store_has_its_marks() {
    let (folder, store) = store();
    let root = folder.path().join(".pipeline");
    assert_eq!(store.folder(), root);
    assert!(
        fs::read_to_string(root.join("CACHEDIR.TAG"))
            .unwrap()
            .starts_with("Signature: 8a477f597d28d172789f06886806bc55\n")
    );
    assert_eq!(fs::read_to_string(root.join(".gitignore")).unwrap(), "*\n");
    assert_eq!(fs::read_to_string(root.join("format")).unwrap(), "pipeline store 1\n");
}

#[test]
fn a_newer_format_is_refused_and_untouched() {
    let (folder, store) = store();
    drop(store);
    let root = folder.path().join(".pipeline");
    fs::write(root.join("format"), "pipeline store 2\n").unwrap();
    let error = Store::open(&root).unwrap_err();
    assert_eq!(error.code(), "store::newer_format");
    assert!(error.to_string().contains("format 2, newer than the 1 known"), "{error}");
    assert!(error.help().contains("move"), "{}", error.help());
    assert_eq!(fs::read_to_string(root.join("format")).unwrap(), "pipeline store 2\n");
}

#[test]
fn a_marker_of_something_else_is_refused_and_a_torn_one_is_written_anew() {
    let (folder, store) = store();
    drop(store);
    let root = folder.path().join(".pipeline");
    let marker = root.join("format");
    let right = fs::read(&marker).unwrap();
    for torn in ["", "\n", "pipeline st", "pipeline store ", "\0\0\0\0"] {
        fs::write(&marker, torn).unwrap();
        Store::open(&root).unwrap();
        assert_eq!(fs::read(&marker).unwrap(), right, "{torn:?}");
    }
    for other in [&b"version: 3\n"[..], b"garbage", b"\xff\xfe\x00"] {
        fs::write(&marker, other).unwrap();
        let error = Store::open(&root).unwrap_err();
        assert_eq!(error.code(), "store::not_a_store", "{other:?}");
        assert!(error.help().contains("move"), "{}", error.help());
        assert_eq!(fs::read(&marker).unwrap(), other);
    }
}

#[test]
fn an_older_format_is_ignored_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(".pipeline");
    fs::create_dir_all(root.join("records-v0")).unwrap();
    fs::write(root.join("records-v0/log"), "what was kept differently").unwrap();
    fs::write(root.join("format"), "pipeline store 0\n").unwrap();
    let store = Store::open(&root).unwrap();
    assert_eq!(store.lookup(&key("a")).unwrap(), None);
    store.commit(&record(key("a"), "a", vec![])).unwrap();
    assert_eq!(fs::read_to_string(root.join("format")).unwrap(), "pipeline store 1\n");
    assert_eq!(fs::read_to_string(root.join("records-v0/log")).unwrap(), "what was kept differently");
}

#[test]
fn what_is_put_is_read_by_its_digest() {
    let (_folder, store) = store();
    let blob = store.put_bytes(b"hello").unwrap();
    assert_eq!(blob, Blob { digest: Digest::of(b"hello"), size: 5, tree: false, executable: false });
    assert_eq!(store.read(&blob.digest).unwrap(), b"hello");
    assert!(store.check(&blob).unwrap());
    assert!(fs::metadata(store.blob_path(&blob.digest)).unwrap().permissions().readonly());
    assert!(!store.check(&Blob { digest: key("other"), size: 5, tree: false, executable: false }).unwrap());
    assert!(matches!(store.read(&key("other")), Err(StoreError::Damaged { .. })));
}

#[test]
fn staging_goes_with_its_owner() {
    let (folder, store) = store();
    let staging = store.staging().unwrap();
    fs::write(staging.path().join("half"), "done").unwrap();
    let path = staging.path().to_owned();
    // Another opening does not sweep what is alive.
    drop(Store::open(store.folder()).unwrap());
    assert!(path.join("half").exists());
    drop(staging);
    assert!(!path.exists());
    drop(store);
    assert_eq!(names(&folder.path().join(".pipeline/tmp")), ["lock"]);
}

#[test]
fn left_overs_of_the_dead_are_swept() {
    let (_folder, store) = store();
    let dead = store.folder().join("tmp/123-dead-0");
    fs::create_dir_all(dead.join("deep")).unwrap();
    fs::write(dead.join("alive"), "").unwrap();
    fs::write(dead.join("deep/half"), "x").unwrap();
    drop(Store::open(store.folder()).unwrap());
    assert!(!dead.exists());
}

#[test]
fn memos_and_runs_are_kept() {
    let (_folder, store) = store();
    assert_eq!(store.memo_get(&key("q")), None);
    store.memo_put(&key("q"), b"one").unwrap();
    store.memo_put(&key("q"), b"two").unwrap();
    assert_eq!(store.memo_get(&key("q")).unwrap(), b"two");
    store.flush().unwrap();
    let other = Store::open(store.folder()).unwrap();
    assert_eq!(other.memo_get(&key("q")).unwrap(), b"two");

    for n in 0..3 {
        store.run_put(&format!("run-{n}"), &json!({ "n": n })).unwrap();
    }
    let runs = other.runs(2).unwrap();
    assert_eq!(runs, [("run-2".to_owned(), json!({ "n": 2 })), ("run-1".to_owned(), json!({ "n": 1 }))]);
}

#[test]
fn a_key_is_locked_by_one_at_a_time() {
    let (_folder, store) = store();
    let other = Store::open(store.folder()).unwrap();
    let lock = store.lock_key(&key("a")).unwrap();
    assert!(other.try_lock_key(&key("a")).unwrap().is_none());
    assert_eq!(other.lock_holder(&key("a")), Some(std::process::id()));
    assert!(other.try_lock_key(&key("b")).unwrap().is_some());
    let waiting = std::thread::spawn({
        let folder = store.folder().to_owned();
        move || drop(Store::open(&folder).unwrap().lock_key(&key("a")).unwrap())
    });
    drop(lock);
    waiting.join().unwrap();
    assert!(other.try_lock_key(&key("a")).unwrap().is_some());
    assert_eq!(names(&store.folder().join("locks-v1")), [""; 0]);
    // The file of a name stays, the lock does not.
    let lock = store.try_lock_name(&key("path")).unwrap().unwrap();
    assert!(other.try_lock_name(&key("path")).unwrap().is_none());
    assert_eq!(other.lock_holder(&key("path")), Some(std::process::id()));
    drop(lock);
    assert_eq!(other.lock_holder(&key("path")), None);
    assert!(other.try_lock_name(&key("path")).unwrap().is_some());
    assert_eq!(names(&store.folder().join("locks-v1")), [key("path").to_string()]);
}

/// Also its own, and also with nobody else in the store.
#[test]
fn the_collector_leaves_the_locks_that_are_held() {
    let (folder, store) = store();
    let other = Store::open(&folder.path().join(".pipeline")).unwrap();
    let locks = || names(&store.folder().join("locks-v1"));
    let path = other.try_lock_name(&key("path")).unwrap().unwrap();
    drop(other.try_lock_name(&key("free")).unwrap().unwrap());
    let work = other.lock_key(&key("work")).unwrap();
    let mut held = [key("path").to_string(), key("work").to_string()];
    held.sort();
    store.gc(0, &Default::default()).unwrap();
    assert_eq!(locks(), held);
    assert!(store.try_lock_name(&key("path")).unwrap().is_none());
    drop(work);
    other.gc(0, &Default::default()).unwrap();
    assert_eq!(locks(), [key("path").to_string()]);
    drop(store);
    other.gc(0, &Default::default()).unwrap();
    let another = Store::open(&folder.path().join(".pipeline")).unwrap();
    assert!(another.try_lock_name(&key("path")).unwrap().is_none());
    drop(path);
    assert!(another.try_lock_name(&key("path")).unwrap().is_some());
}

#[test]
fn committed_is_what_it_says() {
    let (_folder, store) = store();
    let one = store.put_bytes(b"one").unwrap();
    let two = store.put_bytes(b"two").unwrap();
    let first = record(key("k"), "train", vec![("model".into(), one)]);
    assert_eq!(store.commit(&first).unwrap(), Committed::New);
    assert_eq!(store.commit(&Record { created: 2, ..first.clone() }).unwrap(), Committed::Same);
    assert_eq!(store.lookup(&key("k")).unwrap().unwrap(), first);
    let second = record(key("k"), "train", vec![("model".into(), two)]);
    assert_eq!(store.commit(&second).unwrap(), Committed::Differs(Box::new(first.clone())));
    assert_eq!(store.lookup(&key("k")).unwrap().unwrap(), second);
    assert_eq!(store.lookup_outputs(&key("k")).unwrap().unwrap(), second.outputs);
    assert_eq!(store.variants(&key("k")).unwrap(), [second, first]);
}
