//! Blobs that are not what their names say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cache::{Blob, Store, StoreError};

use crate::{key, noise, record, store};

/// Changes a blob's file the way a person would who has a hard link to it.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
}

fn expect_damaged(store: &Store, blob: &Blob, folder: &Path) {
    assert!(!store.check(blob).unwrap());
    assert!(!store.verify(blob).unwrap());
    assert!(matches!(store.read(&blob.digest), Err(StoreError::Damaged { digest }) if digest == blob.digest));
    let to = folder.join("to");
    assert!(matches!(store.materialise(blob, &to), Err(StoreError::Damaged { .. })));
    assert!(!to.exists());
}

#[test]
fn a_flipped_bit_of_equal_length_is_found_by_the_cheap_check() {
    for size in [1, 100, 2 << 20] {
        let (folder, store) = store();
        let blob = store.put_bytes(&noise(3, size)).unwrap();
        assert!(store.check(&blob).unwrap());
        edit(&store.blob_path(&blob.digest), |bytes| bytes[size / 2] ^= 1);
        expect_damaged(&store, &blob, folder.path());
        // The damaged file does not count as being there: storing it again heals it.
        assert_eq!(store.put_bytes(&noise(3, size)).unwrap(), blob);
        assert!(store.verify(&blob).unwrap());
    }
}

#[test]
fn a_truncated_blob_is_found() {
    for keep in [0, 1, 99] {
        let (folder, store) = store();
        let blob = store.put_bytes(&noise(4, 100)).unwrap();
        edit(&store.blob_path(&blob.digest), |bytes| bytes.truncate(keep));
        expect_damaged(&store, &blob, folder.path());
    }
}

#[test]
fn an_edit_through_a_hard_link_is_found() {
    let (folder, store) = store();
    let content = noise(5, 2 << 20);
    let blob = store.put_bytes(&content).unwrap();
    let link = folder.path().join("link");
    fs::hard_link(store.blob_path(&blob.digest), &link).unwrap();
    edit(&link, |bytes| bytes[0] ^= 1);
    expect_damaged(&store, &blob, folder.path());
    // An adopted file heals it as well, and the link is nobody's any more.
    fs::write(folder.path().join("again"), &content).unwrap();
    assert_eq!(store.adopt(&folder.path().join("again")).unwrap(), blob);
    assert!(store.check(&blob).unwrap());
    assert_ne!(fs::read(&link).unwrap(), content);
}

#[test]
fn a_touched_blob_is_hashed_once_and_trusted_again() {
    let (_folder, store) = store();
    let blob = store.put_bytes(b"content").unwrap();
    let path = store.blob_path(&blob.digest);
    let mark = fs::metadata(&path).unwrap().modified().unwrap();
    fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert!(store.check(&blob).unwrap());
    let again = fs::metadata(&path).unwrap().modified().unwrap();
    let part = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    assert_eq!(part(mark), part(again));
}

#[test]
fn one_lost_file_loses_the_folder() {
    let (folder, store) = store();
    let source = folder.path().join("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("a"), "one").unwrap();
    fs::write(source.join("b"), "two").unwrap();
    let tree = store.adopt(&source).unwrap();
    fs::remove_file(store.blob_path(&cache::Digest::of(b"two"))).unwrap();
    assert!(!store.check(&tree).unwrap());
    assert!(matches!(store.materialise(&tree, &source), Err(StoreError::Damaged { .. })));
    assert!(!source.exists());
}

#[test]
fn a_record_is_not_committed_without_its_blobs() {
    let (_folder, store) = store();
    let ghost = Blob { digest: key("ghost"), size: 1, tree: false, executable: false };
    let error = store.commit(&record(key("k"), "a", vec![("x".into(), ghost)])).unwrap_err();
    assert_eq!(error.code(), "store::damaged");
    assert_eq!(store.lookup(&key("k")).unwrap(), None);
}
