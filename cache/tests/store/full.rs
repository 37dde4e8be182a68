//! A full disk, a read-only file system, a folder that belongs to somebody else.
//!
//! Each runs this test program again inside a world made for it: a mount namespace where that is allowed, limits of the
//! shell where not. The child says what it met through its exit and its output.

use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs};

use cache::{DigestSet, Store, StoreError};

use crate::{key, noise, record, store};

const ROLE: &str = "CACHE_TEST_WORLD";

/// Runs a child test after a piece of shell; `$test` starts the child.
fn inside(program: &str, arguments: &[&str], shell: &str, child: &str, folder: &Path) -> Output {
    Command::new(program)
        .args(arguments)
        .arg(format!("set -e\ntest() {{ \"$TEST_PROGRAM\" --exact full::{child} --ignored --nocapture; }}\n{shell}"))
        .env("TEST_PROGRAM", env::current_exe().unwrap())
        .env(ROLE, folder)
        .output()
        .unwrap()
}

fn namespaces() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["-m", "bash", "-c"], &["-r", "-m", "bash", "-c"]];
    WAYS.into_iter().find(|way| {
        let tried = Command::new("unshare").args(*way).arg("mount -t tmpfs none /mnt").output();
        tried.is_ok_and(|output| output.status.success())
    })
}

fn succeeded(output: &Output) {
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "not a test: runs where little can be written"]
fn child_fills_the_disk() {
    let Ok(folder) = env::var(ROLE) else { return };
    let store = Store::open(&Path::new(&folder).join(".pipeline")).unwrap();
    let small = store.put_bytes(&noise(1, 1000)).unwrap();
    store.commit(&record(key("before"), "a", vec![("x".into(), small)])).unwrap();

    let error = store.put_bytes(&noise(2, 8 << 20)).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert_eq!(error.code(), "store::full");
    assert!(error.help().contains("pipeline gc"));
    // Records until the log itself does not fit.
    let failed = (0..3000u64).find_map(|number| {
        let mut record = record(key(&format!("many{number}")), "many", vec![("x".into(), small)]);
        record.detail = serde_json::Value::String("x".repeat(4000));
        store.commit(&record).err().map(|error| (number, error))
    });
    let (number, error) = failed.expect("everything fitted");
    assert_eq!(error.code(), "store::full");

    // Nothing is lost, nothing half-written is believed, and the next opening is right.
    for store in [&store, &Store::open(store.folder()).unwrap()] {
        assert!(store.lookup(&key("before")).unwrap().is_some());
        assert!(store.verify(&small).unwrap());
        assert!(number == 0 || store.lookup(&key(&format!("many{}", number - 1))).unwrap().is_some());
        assert_eq!(store.lookup(&key(&format!("many{number}"))).unwrap(), None);
    }
    let left: Vec<_> = fs::read_dir(store.folder().join("tmp")).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| !entry.path().join("out").exists()));
}

#[test]
fn a_file_size_limit_is_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    // The signal of the limit is ignored so that the write fails instead.
    succeeded(&inside("bash", &["-c"], "trap '' XFSZ; ulimit -f 2048; test", "child_fills_the_disk", folder.path()));
}

#[test]
fn a_full_disk_loses_nothing() {
    let Some(way) = namespaces() else { return a_file_size_limit_is_a_full_disk() };
    let folder = tempfile::tempdir().unwrap();
    let shell = format!("mount -t tmpfs -o size=4m none '{}'; test", folder.path().display());
    succeeded(&inside("unshare", way, &shell, "child_fills_the_disk", folder.path()));
}

#[test]
#[ignore = "not a test: runs on a small disk"]
fn child_collects_on_a_full_disk() {
    let Ok(folder) = env::var(ROLE) else { return };
    let store = Store::open(&Path::new(&folder).join(".pipeline")).unwrap();
    let names: Vec<String> = (0..6).map(|number| format!("result{number}")).collect();
    let mut blobs = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let blob = store.put_bytes(&noise(number as u64, 300_000)).unwrap();
        store.commit(&record(key(name), name, vec![("x".into(), blob)])).unwrap();
        blobs.push(blob);
    }
    // Not one byte is left.
    let mut filler = fs::File::create(Path::new(&folder).join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[1; 512]).is_ok() {}
    assert_eq!(store.put_bytes(&noise(99, 5000)).unwrap_err().code(), "store::full");
    // Nothing to remove is no reason to write.
    let swept = store.gc(u64::MAX, &DigestSet::default()).unwrap();
    assert_eq!((swept.records, swept.freed), (0, 0));
    // Room is made without any.
    let pinned = [key(&names[0])].into_iter().collect();
    let swept = store.gc(700_000, &pinned).unwrap();
    assert_eq!((swept.records, swept.blobs), (4, 4), "{swept:?}");
    for store in [&store, &Store::open(store.folder()).unwrap()] {
        assert!(store.verify(&blobs[0]).unwrap() && store.lookup(&key(&names[0])).unwrap().is_some());
        let left = names.iter().filter(|name| store.lookup(&key(name)).unwrap().is_some());
        assert_eq!(left.count(), 2);
    }
    store.put_bytes(&noise(99, 5000)).unwrap();
}

#[test]
fn a_full_disk_can_be_collected() {
    let Some(way) = namespaces() else { return };
    let folder = tempfile::tempdir().unwrap();
    let shell = format!("mount -t tmpfs -o size=2m none '{}'; test", folder.path().display());
    succeeded(&inside("unshare", way, &shell, "child_collects_on_a_full_disk", folder.path()));
}

#[test]
#[ignore = "not a test: runs on a read-only file system"]
fn child_meets_a_read_only_store() {
    let Ok(folder) = env::var(ROLE) else { return };
    let expected = env::var("CACHE_TEST_EXPECTED").unwrap_or("store::read_only".to_owned());
    let folder = Path::new(&folder);
    let error = Store::open(&folder.join("another")).unwrap_err();
    assert_eq!(error.code(), expected);
    // What is there can be read.
    let store = Store::open(&folder.join(".pipeline")).unwrap();
    let record_there = store.lookup(&key("before")).unwrap().unwrap();
    assert!(store.verify(&record_there.outputs[0].1).unwrap());
    assert_eq!(store.put_bytes(b"new").unwrap_err().code(), expected);
    assert_eq!(store.commit(&record(key("new"), "a", vec![])).unwrap_err().code(), expected);
    assert_eq!(store.staging().unwrap_err().code(), expected);
    assert_eq!(store.materialise(&record_there.outputs[0].1, &folder.join("to")).unwrap_err().code(), expected);
    assert!(store.file_digest(&folder.join("file")).is_ok());
    // And counted: what a collection would do.
    assert_eq!(store.usage().unwrap().0.len(), 1);
    assert_eq!(store.collect(0, &DigestSet::default(), true).unwrap().records, 1);
    assert_eq!(store.collect(0, &DigestSet::default(), false).unwrap_err().code(), expected);
}

fn filled() -> tempfile::TempDir {
    let (folder, store) = store();
    let blob = store.put_bytes(b"content").unwrap();
    store.commit(&record(key("before"), "a", vec![("x".into(), blob)])).unwrap();
    store.lock_key(&key("makes the folder")).unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    folder
}

#[test]
fn a_read_only_file_system_can_be_read_and_says_so() {
    let Some(way) = namespaces() else { return a_folder_of_somebody_else_says_so() };
    let folder = filled();
    let place = folder.path().display();
    let shell = format!("mount --bind '{place}' '{place}'; mount -o remount,bind,ro '{place}'; test");
    succeeded(&inside("unshare", way, &shell, "child_meets_a_read_only_store", folder.path()));
}

#[test]
fn a_folder_of_somebody_else_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let folder = filled();
    let run = |shell: &str| inside("bash", &["-c"], shell, "child_meets_a_read_only_store", folder.path());
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if root {
        // Root may write everywhere: become nobody, with a copy of this program that nobody can reach.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copy = folder.path().join("program");
        fs::copy(env::current_exe().unwrap(), &copy).unwrap();
        let shell = format!(
            "export CACHE_TEST_EXPECTED=store::permission; exec setpriv --reuid=65534 --regid=65534 --clear-groups '{}' \
             --exact full::child_meets_a_read_only_store --ignored --nocapture",
            copy.display()
        );
        succeeded(&run(&shell));
    } else {
        for path in [folder.path().to_owned(), folder.path().join(".pipeline")] {
            succeeded(
                &Command::new("chmod")
                    .args(["-R", "a-w"])
                    .arg(path)
                    .output()
                    .map(|mut output| {
                        output.stdout = b"1 passed".to_vec();
                        output
                    })
                    .unwrap(),
            );
        }
        let output = run("export CACHE_TEST_EXPECTED=store::permission; test");
        Command::new("chmod").args(["-R", "u+w"]).arg(folder.path()).status().unwrap();
        succeeded(&output);
    }
}
