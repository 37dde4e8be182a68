//! A snapshot holds exactly as long as nothing of what it names has moved.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cache::{Blob, Store};

use super::{key, record};

struct Yard {
    _folder: tempfile::TempDir,
    root: PathBuf,
    store: Store,
    blob: Blob,
}

/// A source, an output with its blob and record, and a snapshot of them.
fn yard() -> Yard {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("project");
    fs::create_dir_all(root.join("out")).unwrap();
    fs::write(root.join("source"), "first").unwrap();
    let store = Store::open(&root.join(".pipeline")).unwrap();
    let blob = store.put_bytes(b"made").unwrap();
    store.materialise(&blob, &root.join("out/made")).unwrap();
    store.commit(&record(key("one"), "one", vec![("out".into(), blob)])).unwrap();
    let yard = Yard { _folder: folder, root, store, blob };
    assert!(yard.take());
    yard
}

impl Yard {
    fn take(&self) -> bool {
        let Some(mut snapshot) = self.store.snapshot(&self.root) else { return false };
        let source = self.store.file_digest(&self.path("source")).unwrap().digest;
        let noted = self.store.snapshot_file(&mut snapshot, &self.path("source"), &source, true).unwrap()
            && self.store.snapshot_file(&mut snapshot, &self.path("out/made"), &self.blob.digest, false).unwrap()
            && snapshot.folder(&self.path("out"))
            && snapshot.folder(&self.root);
        snapshot.blob(&self.blob);
        noted && self.store.snapshot_put(&key("name"), &snapshot, b"info").is_ok()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn holds(&self) -> bool {
        match self.store.snapshot_holds(&key("name"), &self.root) {
            Some(info) => {
                assert_eq!(info, b"info");
                true
            }
            None => false,
        }
    }

    fn file(&self) -> PathBuf {
        self.path(".pipeline/snapshots-v1").join(key("name").to_string())
    }
}

fn writable(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn it_holds_while_nothing_moves_also_when_everything_is_racily_clean() {
    let yard = yard();
    for _ in 0..3 {
        assert!(yard.holds());
    }
    assert!(yard.store.snapshot_holds(&key("another"), &yard.root).is_none());
    // Clearly later the files are hashed for the last time, and the snapshot says so.
    std::thread::sleep(std::time::Duration::from_millis(2200));
    let before = fs::read(yard.file()).unwrap();
    assert!(yard.holds());
    let after = fs::read(yard.file()).unwrap();
    assert_ne!(before, after, "the racy flags are cleared");
    assert!(yard.holds());
    assert_eq!(after, fs::read(yard.file()).unwrap());
}

type Edit = fn(&Yard);

#[test]
fn whatever_moves_is_seen() {
    let edits: [(&str, Edit); 17] = [
        ("source edited", |yard| fs::write(yard.path("source"), "second").unwrap()),
        ("source edited to the same size", |yard| fs::write(yard.path("source"), "FIRST").unwrap()),
        ("source removed", |yard| fs::remove_file(yard.path("source")).unwrap()),
        ("source is a folder", |yard| {
            fs::remove_file(yard.path("source")).unwrap();
            fs::create_dir(yard.path("source")).unwrap();
        }),
        ("source replaced by a rename", |yard| {
            fs::write(yard.path("new"), "other").unwrap();
            fs::rename(yard.path("new"), yard.path("source")).unwrap();
        }),
        ("output removed", |yard| fs::remove_file(yard.path("out/made")).unwrap()),
        ("output edited to the same size", |yard| fs::write(yard.path("out/made"), "MADE").unwrap()),
        ("output behind a link", |yard| {
            fs::rename(yard.path("out/made"), yard.path("away")).unwrap();
            symlink(yard.path("away"), yard.path("out/made")).unwrap();
        }),
        ("folder behind a link", |yard| {
            fs::rename(yard.path("out"), yard.path("elsewhere")).unwrap();
            symlink(yard.path("elsewhere"), yard.path("out")).unwrap();
        }),
        ("blob removed", |yard| fs::remove_file(yard.store.blob_path(&yard.blob.digest)).unwrap()),
        ("blob cut short", |yard| {
            let path = yard.store.blob_path(&yard.blob.digest);
            writable(&path);
            OpenOptions::new().write(true).open(path).unwrap().set_len(2).unwrap();
        }),
        ("blob overwritten in place", |yard| {
            let path = yard.store.blob_path(&yard.blob.digest);
            writable(&path);
            OpenOptions::new().write(true).open(path).unwrap().write_all(b"MADE").unwrap();
        }),
        ("blob is a link", |yard| {
            let path = yard.store.blob_path(&yard.blob.digest);
            fs::rename(&path, yard.path("away")).unwrap();
            symlink(yard.path("away"), path).unwrap();
        }),
        ("another record", |yard| {
            drop(yard.store.commit(&record(key("two"), "one", vec![("out".into(), yard.blob)])).unwrap());
        }),
        ("no records", |yard| fs::remove_file(yard.path(".pipeline/records-v1/log")).unwrap()),
        ("snapshot cut short", |yard| {
            let bytes = fs::read(yard.file()).unwrap();
            fs::write(yard.file(), &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("snapshot removed", |yard| fs::remove_file(yard.file()).unwrap()),
    ];
    for (what, edit) in edits {
        let yard = yard();
        edit(&yard);
        assert!(!yard.holds(), "{what}");
    }
}

/// Changed in the same tick of the clock in which it was recorded, to the same size and in place: all of its stat may be as it was.
#[test]
fn a_file_changed_within_the_clocks_granularity_of_its_recording_is_seen() {
    let yard = yard();
    let source = yard.path("source");
    let write = |text: &[u8]| OpenOptions::new().write(true).open(&source).unwrap().write_all(text).unwrap();
    let mut same = 0;
    for turn in 0..200 {
        write(b"first");
        assert!(yard.take(), "turn {turn}");
        let stat = |meta: fs::Metadata| (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec(), meta.len());
        let before = stat(fs::metadata(&source).unwrap());
        write(b"FIRST");
        same += usize::from(before == stat(fs::metadata(&source).unwrap()));
        assert!(!yard.holds(), "turn {turn}, {same} of them with the same stat");
    }
}

/// The collector keeps the project's files and the blobs; what it takes away must not be vouched for.
#[test]
fn a_collected_blob_is_seen() {
    let yard = yard();
    assert!(yard.holds());
    assert_eq!(yard.store.gc(0, &Default::default()).unwrap().blobs, 1);
    assert!(!yard.holds());
}

#[test]
fn a_damaged_snapshot_does_not_hold() {
    let yard = yard();
    let whole = fs::read(yard.file()).unwrap();
    for at in 0..whole.len() {
        // The time of its making is the one thing a flipped bit may change without harm.
        if (8..16).contains(&at) {
            continue;
        }
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(yard.file(), &bytes).unwrap();
        let ignored = HEADER_PADDING.contains(&at);
        assert!(ignored || !yard.holds(), "byte {at} of {}", whole.len());
    }
}

/// Bytes that are written as zero and not looked at: beside the length of the one chunk, after the header and `info`.
const HEADER_PADDING: std::ops::Range<usize> = 40..44;

#[test]
fn only_the_newest_few_are_kept() {
    let yard = yard();
    for number in 0..20 {
        let snapshot = yard.store.snapshot(&yard.root).unwrap();
        yard.store.snapshot_put(&key(&format!("name {number}")), &snapshot, b"").unwrap();
    }
    assert_eq!(fs::read_dir(yard.path(".pipeline/snapshots-v1")).unwrap().count(), 8);
}
