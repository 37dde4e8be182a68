//! Folders, and putting things back.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use cache::{Entry, StoreError};

use crate::{names, noise, store};

fn fill(folder: &Path) {
    fs::create_dir_all(folder.join("b/deep")).unwrap();
    fs::create_dir_all(folder.join("empty")).unwrap();
    fs::write(folder.join("b/deep/x"), "content").unwrap();
    fs::write(folder.join("a"), "content").unwrap();
    fs::write(folder.join("tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(folder.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../a", folder.join("b/link")).unwrap();
}

#[test]
fn a_folder_goes_in_and_comes_back() {
    let (folder, store) = store();
    let (source, back) = (folder.path().join("source"), folder.path().join("deep/back"));
    fill(&source);
    let digest = store.file_digest(&source).unwrap();
    let blob = store.adopt(&source).unwrap();
    assert!(!source.exists());
    assert!(blob.tree);
    assert_eq!((blob.digest, blob.size), (digest.digest, digest.size));
    assert_eq!(blob.size, 7 + 7 + 10);
    assert!(store.check(&blob).unwrap());
    assert!(store.verify(&blob).unwrap());

    store.materialise(&blob, &back).unwrap();
    assert_eq!(names(&back), ["a", "b", "empty", "tool"]);
    assert_eq!(fs::read_to_string(back.join("b/link")).unwrap(), "content");
    assert!(fs::symlink_metadata(back.join("b/link")).unwrap().is_symlink());
    assert_ne!(fs::metadata(back.join("tool")).unwrap().mode() & 0o100, 0);
    assert_eq!(fs::metadata(back.join("a")).unwrap().mode() & 0o100, 0);
    assert_eq!(store.file_digest(&back).unwrap().digest, blob.digest);
    assert_eq!(names(&folder.path().join("deep")), ["back"]);
}

#[test]
fn equal_folders_are_one_and_times_do_not_matter() {
    let (folder, store) = store();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    fill(&one);
    fill(&two);
    fs::File::open(two.join("a")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(store.file_digest(&one).unwrap().digest, store.file_digest(&two).unwrap().digest);
    fs::rename(two.join("a"), two.join("c")).unwrap();
    assert_ne!(store.file_digest(&one).unwrap().digest, store.file_digest(&two).unwrap().digest);
}

#[test]
fn the_executable_bit_and_empty_folders_count() {
    let (folder, store) = store();
    let source = folder.path().join("source");
    fill(&source);
    let all = store.file_digest(&source).unwrap().digest;
    fs::set_permissions(source.join("tool"), fs::Permissions::from_mode(0o644)).unwrap();
    let plain = store.file_digest(&source).unwrap().digest;
    fs::remove_dir(source.join("empty")).unwrap();
    let fewer = store.file_digest(&source).unwrap().digest;
    assert!(all != plain && plain != fewer && all != fewer);
}

#[test]
fn links_that_lead_out_are_refused() {
    for target in ["/etc/passwd", "../../outside", "b/../../outside", ".."] {
        let (folder, store) = store();
        let source = folder.path().join("source");
        fill(&source);
        symlink(target, source.join("escape")).unwrap();
        let error = store.adopt(&source).unwrap_err();
        assert_eq!(error.code(), "store::unstorable", "{target}");
        assert!(error.to_string().contains("leads out of its folder"), "{error}");
    }
}

#[test]
fn a_manifest_that_leads_out_is_damage() {
    let (folder, store) = store();
    let inner = store.put_bytes(b"evil").unwrap();
    for path in ["../evil", "/tmp/evil", "a/../../evil", ""] {
        let node = serde_json::json!({ "entries": { path: { "file": { "digest": inner.digest, "size": 4 } } } });
        let blob = store.put_bytes(&serde_json::to_vec(&node).unwrap()).unwrap();
        let blob = cache::Blob { tree: true, ..blob };
        assert!(
            matches!(store.materialise(&blob, &folder.path().join("to")), Err(StoreError::Damaged { .. })),
            "{path}"
        );
    }
    assert!(!folder.path().join("evil").exists());
}

#[test]
fn odd_names_and_large_folders_are_fine() {
    let (folder, store) = store();
    let source = folder.path().join("source");
    fs::create_dir_all(&source).unwrap();
    for name in ["sp ace", "quote\"", "new\nline", "ünï", "-dash", "back\\slash", ".hidden"] {
        fs::write(source.join(name), name).unwrap();
    }
    let expected = names(&source);
    let blob = store.adopt(&source).unwrap();
    assert!(matches!(store.tree(&blob.digest).unwrap().entries["sp ace"], Entry::File(_)));
    store.materialise(&blob, &source).unwrap();
    assert_eq!(names(&source), expected);
}

#[test]
fn small_files_come_back_writable_and_large_ones_without_a_copy() {
    let (folder, store) = store();
    let small = store.put_bytes(b"small").unwrap();
    let to = folder.path().join("small");
    store.materialise(&small, &to).unwrap();
    assert!(!fs::metadata(&to).unwrap().permissions().readonly());
    fs::write(&to, "mine now").unwrap();
    assert!(store.verify(&small).unwrap());

    let source = folder.path().join("large");
    fs::write(&source, noise(1, 3 << 20)).unwrap();
    let inode = fs::metadata(&source).unwrap().ino();
    let large = store.adopt(&source).unwrap();
    assert_eq!(fs::metadata(store.blob_path(&large.digest)).unwrap().ino(), inode, "adopted by renaming");
    store.materialise(&large, &source).unwrap();
    let meta = fs::metadata(&source).unwrap();
    // A reflink is another file that may be written; a hard link is the same one and may not.
    assert!(meta.ino() != inode || meta.permissions().readonly());
}

#[test]
fn what_is_there_and_equal_stays_untouched_and_the_rest_is_replaced() {
    let (folder, store) = store();
    let blob = store.put_bytes(b"content").unwrap();
    let to = folder.path().join("to");
    fs::write(&to, "content").unwrap();
    let before = fs::metadata(&to).unwrap();
    store.materialise(&blob, &to).unwrap();
    let after = fs::metadata(&to).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));

    fs::write(&to, "other").unwrap();
    store.materialise(&blob, &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"content");

    // A folder in the way of a file, a file in the way of a folder, and a link.
    fs::remove_file(&to).unwrap();
    fill(&to);
    store.materialise(&blob, &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"content");
    let source = folder.path().join("source");
    fill(&source);
    let tree = store.adopt(&source).unwrap();
    store.materialise(&tree, &to).unwrap();
    assert_eq!(names(&to), ["a", "b", "empty", "tool"]);
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "kept").unwrap();
    symlink(&elsewhere, folder.path().join("link")).unwrap();
    store.materialise(&blob, &folder.path().join("link")).unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "kept");
    assert_eq!(fs::read(folder.path().join("link")).unwrap(), b"content");
    assert_eq!(names(folder.path()), [".pipeline", "elsewhere", "link", "to"]);
}

#[test]
fn from_another_file_system_a_copy_is_taken() {
    // Where there is no second file system the copy below is a rename, and the result is the same.
    let elsewhere = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (_folder, store) = store();
    fs::write(elsewhere.path().join("x"), "far").unwrap();
    let blob = store.adopt(&elsewhere.path().join("x")).unwrap();
    assert_eq!(store.read(&blob.digest).unwrap(), b"far");
    assert_eq!(names(elsewhere.path()), [""; 0]);
}

#[test]
fn a_file_with_another_name_is_not_shared() {
    let (folder, store) = store();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    fs::write(&one, "content").unwrap();
    fs::hard_link(&one, &two).unwrap();
    let blob = store.adopt(&one).unwrap();
    fs::write(&two, "changed").unwrap();
    assert!(store.verify(&blob).unwrap());
    assert!(!one.exists());
}
