//! Digests of workspace files, and the collector.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use cache::{Digest, DigestSet, Store};

use crate::{key, noise, record, store};

fn age(path: &std::path::Path) {
    let past = SystemTime::now() - Duration::from_secs(3600) + Duration::from_nanos(7);
    fs::File::options().append(true).open(path).unwrap().set_modified(past).unwrap();
}

#[test]
fn content_decides_and_not_time() {
    let (folder, store) = store();
    let path = folder.path().join("data.csv");
    fs::write(&path, "a,b\n1,2\n").unwrap();
    let first = store.file_digest(&path).unwrap();
    assert_eq!(first.digest, Digest::of(b"a,b\n1,2\n"));
    assert_eq!(first.size, 8);
    age(&path);
    assert_eq!(store.file_digest(&path).unwrap().digest, first.digest);
    assert!(store.still(&path, &first).unwrap());
    fs::write(&path, "a,b\n1,3\n").unwrap();
    assert_ne!(store.file_digest(&path).unwrap().digest, first.digest);
    assert!(!store.still(&path, &first).unwrap());
    fs::remove_file(&path).unwrap();
    assert!(!store.still(&path, &first).unwrap());
    assert_eq!(store.file_digest(&path).unwrap_err().code(), "store::missing");
}

#[test]
fn an_edit_in_the_same_tick_with_equal_length_is_seen() {
    let (folder, store) = store();
    let path = folder.path().join("x");
    for round in 0..200u32 {
        let text = format!("{round:08}");
        fs::write(&path, &text).unwrap();
        let before = store.file_digest(&path).unwrap();
        assert_eq!(before.digest, Digest::of(text.as_bytes()), "round {round}");
        let other = format!("{:08}", round + 1);
        fs::write(&path, &other).unwrap();
        assert!(!store.still(&path, &before).unwrap(), "round {round}");
    }
}

#[test]
fn an_edit_whose_time_is_set_back_is_seen() {
    let (folder, store) = store();
    let path = folder.path().join("x");
    fs::write(&path, "one").unwrap();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let before = store.file_digest(&path).unwrap();
    std::thread::sleep(Duration::from_millis(80));
    assert_eq!(store.file_digest(&path).unwrap().digest, before.digest);
    // Same size, same modification time, same inode: only the change time tells.
    fs::write(&path, "two").unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(store.file_digest(&path).unwrap().digest, Digest::of(b"two"));
    assert!(!store.still(&path, &before).unwrap());
}

#[test]
fn the_memo_serves_another_process_and_is_believed() {
    let (folder, store) = store();
    let path = folder.path().join("x");
    fs::write(&path, noise(1, 1000)).unwrap();
    std::thread::sleep(Duration::from_millis(80));
    let digest = store.file_digest(&path).unwrap();
    store.flush().unwrap();
    // Unreadable for anybody but a memo: a folder in its place would be noticed by its inode, so the bytes on disk are
    // changed below the file system's eyes as far as that goes: nothing but the log is asked.
    let log = store.folder().join("filehash-v1/log");
    let before = fs::metadata(&log).unwrap().len();
    assert!(before > 0);
    let other = Store::open(store.folder()).unwrap();
    assert_eq!(other.file_digest(&path).unwrap(), digest);
    other.flush().unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), before, "hashed again instead of remembered");
}

#[test]
fn a_folder_is_watched_as_a_whole() {
    let (folder, store) = store();
    let path = folder.path().join("data");
    fs::create_dir_all(path.join("deep")).unwrap();
    fs::write(path.join("deep/a"), "1").unwrap();
    let before = store.file_digest(&path).unwrap();
    assert!(before.tree);
    assert!(store.still(&path, &before).unwrap());
    fs::write(path.join("b"), "").unwrap();
    assert!(!store.still(&path, &before).unwrap());
}

#[test]
fn the_collector_drops_the_least_recently_used_and_keeps_pins() {
    let (_folder, store) = store();
    let mut blobs = Vec::new();
    for (number, name) in ["old", "pinned", "middle", "new"].into_iter().enumerate() {
        let blob = store.put_bytes(&noise(number as u64 + 1, 1000)).unwrap();
        store.commit(&record(key(name), name, vec![("x".into(), blob)])).unwrap();
        blobs.push(blob);
        std::thread::sleep(Duration::from_millis(5));
    }
    let orphan = store.put_bytes(b"an orphan").unwrap();
    let pins: DigestSet = [key("pinned")].into_iter().collect();
    let swept = store.gc(3000, &pins).unwrap();
    assert_eq!((swept.records, swept.blobs, swept.freed, swept.kept), (1, 2, 1009, 3000));
    assert_eq!(store.lookup(&key("old")).unwrap(), None);
    for name in ["pinned", "middle", "new"] {
        assert!(store.lookup(&key(name)).unwrap().is_some(), "{name}");
    }
    assert!(!store.check(&orphan).unwrap());
    assert!(!store.check(&blobs[0]).unwrap());
    assert!(blobs[1..].iter().all(|blob| store.check(blob).unwrap()));
    // Everything but the pin.
    let swept = store.gc(0, &pins).unwrap();
    assert_eq!((swept.records, swept.blobs, swept.kept), (2, 2, 1000));
    assert!(store.check(&blobs[1]).unwrap());
}

#[test]
fn the_files_of_a_kept_folder_are_kept() {
    let (folder, store) = store();
    let source = folder.path().join("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("a"), "one").unwrap();
    let tree = store.adopt(&source).unwrap();
    store.commit(&record(key("k"), "k", vec![("x".into(), tree)])).unwrap();
    store.gc(u64::MAX, &DigestSet::default()).unwrap();
    assert!(store.verify(&tree).unwrap());
}

#[test]
fn what_was_fetched_stays_while_it_fits() {
    let (_folder, store) = store();
    let blob = store.put_bytes(&noise(1, 1000)).unwrap();
    store.commit(&record(key("k"), "k", vec![("x".into(), blob)])).unwrap();
    let downloads = store.folder().join("downloads-v1");
    fs::create_dir_all(&downloads).unwrap();
    for name in ["old", "new"] {
        fs::write(downloads.join(name), noise(2, 500)).unwrap();
    }
    age(&downloads.join("old"));
    let there = |name: &str| downloads.join(name).exists();
    let dry = store.collect(1600, &DigestSet::default(), true).unwrap();
    assert!(there("old") && there("new"), "nothing is removed");
    let swept = store.gc(1600, &DigestSet::default()).unwrap();
    assert_eq!((swept, swept.freed, swept.kept), (dry, 500, 1500));
    assert!(!there("old") && there("new"), "the last that was fetched stays");
    // Somebody else may be reading it.
    let other = Store::open(store.folder()).unwrap();
    assert_eq!(store.gc(0, &DigestSet::default()).unwrap().waiting, 1500);
    assert!(there("new"));
    drop(other);
    store.gc(0, &DigestSet::default()).unwrap();
    assert!(!there("new"));
}

#[test]
fn beside_another_process_goes_only_what_was_there_before_it_came() {
    let (_folder, store) = store();
    let old = store.put_bytes(b"nobody's").unwrap();
    let found = store.put_bytes(b"found again").unwrap();
    let known = store.put_bytes(b"known").unwrap();
    store.commit(&record(key("known"), "a", vec![("x".into(), known)])).unwrap();
    // Several ticks of the clock that gives files their times.
    std::thread::sleep(Duration::from_millis(30));
    let other = Store::open(store.folder()).unwrap();
    let looked_up = other.lookup(&key("known")).unwrap().unwrap();
    assert_eq!(other.put_bytes(b"found again").unwrap(), found);
    let new = other.put_bytes(b"new").unwrap();

    let dry = store.collect(0, &DigestSet::default(), true).unwrap();
    assert!([&old, &found, &known, &new].iter().all(|blob| store.check(blob).unwrap()), "nothing is removed");
    let swept = store.gc(0, &DigestSet::default()).unwrap();
    assert_eq!(swept, dry);
    assert_eq!((swept.records, swept.blobs, swept.freed, swept.waiting), (1, 1, 8, 19));
    assert!(!store.check(&old).unwrap());
    // What the other has written, found or looked up is there, also a collection later.
    assert_eq!(store.gc(0, &DigestSet::default()).unwrap().blobs, 0);
    for blob in [&found, &new, &looked_up.outputs[0].1] {
        assert!(other.check(blob).unwrap());
    }
    other.commit(&record(key("new"), "a", vec![("x".into(), new), ("y".into(), found)])).unwrap();
    drop(other);
    let swept = store.gc(u64::MAX, &DigestSet::default()).unwrap();
    assert_eq!((swept.records, swept.blobs, swept.waiting), (0, 1, 0));
    assert!(store.lookup(&key("new")).unwrap().is_some() && store.check(&new).unwrap() && store.check(&found).unwrap());
    assert!(!store.check(&known).unwrap());
}

#[test]
fn a_file_is_put_back_only_where_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join(".pipeline")).unwrap();
    let place = folder.path().join("made");
    fs::write(&place, "made").unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let blob = store.adopt(&place).unwrap();
    assert!(!place.exists() && blob.executable);
    assert!(store.put_back(&blob, &place));
    assert!(store.holds(&blob, &place));
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o111, 0o111);
    // Whatever is there is somebody's.
    fs::write(&place, "edited").unwrap();
    assert!(!store.put_back(&blob, &place));
    assert_eq!(fs::read_to_string(&place).unwrap(), "edited");
    let dangling = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &dangling).unwrap();
    assert!(!store.put_back(&blob, &dangling));
    assert!(fs::symlink_metadata(&dangling).unwrap().is_symlink() && !folder.path().join("nowhere").exists());
    // Nothing of the tries is left behind.
    let left = fs::read_dir(folder.path().join(".pipeline/tmp")).unwrap().flatten();
    let left: Vec<_> = left
        .filter(|entry| entry.file_name() != "lock")
        .flat_map(|entry| fs::read_dir(entry.path()).unwrap().flatten())
        .filter(|entry| entry.file_name() != "alive")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // A place whose folder is not there is no reason to give up for good.
    assert!(!store.put_back(&blob, &folder.path().join("no/folder")));
    fs::remove_file(&place).unwrap();
    assert!(store.put_back(&blob, &place));
}
