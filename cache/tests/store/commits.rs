//! Several processes, and processes that die.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use cache::Store;

use crate::{key, noise, record, store};

const ROLE: &str = "CACHE_TEST_STORE";

/// This test program again, as a process that commits in a loop.
fn committer(store: &Store, name: &str, count: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "commits::child_commits_in_a_loop", "--ignored", "--nocapture"])
        .env(ROLE, store.folder())
        .env("CACHE_TEST_NAME", name)
        .env("CACHE_TEST_COUNT", count.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn content(name: &str, number: u64) -> Vec<u8> {
    noise(number + name.len() as u64 * 1_000_000, 100 + (number as usize * 37) % 5000)
}

#[test]
#[ignore = "not a test: what `committer` starts"]
fn child_commits_in_a_loop() {
    let Ok(folder) = env::var(ROLE) else { return };
    let name = env::var("CACHE_TEST_NAME").unwrap();
    let count: u64 = env::var("CACHE_TEST_COUNT").unwrap().parse().unwrap();
    let store = Store::open(folder.as_ref()).unwrap();
    for number in 0..count {
        let bytes = content(&name, number);
        let staging = store.staging().unwrap();
        let path = staging.path().join("out");
        fs::write(&path, &bytes).unwrap();
        let blobs = [store.adopt(&path).unwrap(), store.put_bytes(&bytes[..50]).unwrap()];
        let outputs = blobs.iter().enumerate().map(|(n, blob)| (format!("out{n}"), *blob)).collect();
        store.commit(&record(key(&format!("{name}{number}")), &name, outputs)).unwrap();
        store.memo_put(&key(&format!("memo {name}{number}")), &bytes).unwrap();
    }
}

/// Every record there is names blobs that are there and right; how many records of `name` there are.
fn intact(store: &Store, name: &str, most: u64) -> u64 {
    (0..most)
        .filter(|number| {
            let Some(record) = store.lookup(&key(&format!("{name}{number}"))).unwrap() else { return false };
            assert_eq!(record.label, name);
            for (_, blob) in &record.outputs {
                assert!(store.verify(blob).unwrap(), "record {number} names a blob that is not right");
            }
            assert_eq!(store.read(&record.outputs[0].1.digest).unwrap(), content(name, *number));
            true
        })
        .count() as u64
}

#[test]
fn two_processes_commit_at_once_and_nothing_is_lost() {
    let (_folder, store) = store();
    let mut children = [committer(&store, "a", 300), committer(&store, "bb", 300)];
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    // This store was opened before either began.
    assert_eq!(intact(&store, "a", 300), 300);
    assert_eq!(intact(&store, "bb", 300), 300);
    assert_eq!(store.last("a").unwrap().unwrap().key, key("a299"));
    assert!(store.memo_get(&key("memo bb7")).is_some());
}

#[test]
fn a_process_killed_at_any_instant_leaves_a_right_store() {
    let (_folder, store) = store();
    let mut seen = 0;
    for round in 0..8u64 {
        let name = "k".repeat(round as usize + 1);
        let mut child = committer(&store, &name, 1_000_000);
        // Wait until it is at work, then strike somewhere.
        let started = Instant::now();
        while store.last(&name).unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(60), "the child never committed");
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_micros(round * 1731));
        child.kill().unwrap();
        child.wait().unwrap();
        let survivor = Store::open(store.folder()).unwrap();
        seen += intact(&survivor, &name, 5000);
        // The next writer goes on as if nothing had been.
        let blob = survivor.put_bytes(name.as_bytes()).unwrap();
        survivor.commit(&record(key(&name), "after", vec![("x".into(), blob)])).unwrap();
        assert_eq!(store.last("after").unwrap().unwrap().key, key(&name));
        // And what the dead one had begun is gone, but for the living.
        let left = fs::read_dir(store.folder().join("tmp")).unwrap().count();
        assert!(left <= 3, "{left} left-overs");
    }
    assert!(seen >= 8);
}

#[test]
#[ignore = "not a test: what `the_lock_of_a_killed_process_is_gone` starts"]
fn child_holds_a_lock() {
    let Ok(folder) = env::var(ROLE) else { return };
    let store = Store::open(folder.as_ref()).unwrap();
    let _lock = store.lock_key(&key("held")).unwrap();
    thread::sleep(Duration::from_secs(120));
}

#[test]
fn the_lock_of_a_killed_process_is_gone() {
    let (_folder, store) = store();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "commits::child_holds_a_lock", "--ignored"])
        .env(ROLE, store.folder())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while store.lock_holder(&key("held")) != Some(child.id()) {
        assert!(started.elapsed() < Duration::from_secs(60), "the child never took the lock");
        thread::sleep(Duration::from_millis(1));
    }
    assert!(store.try_lock_key(&key("held")).unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(store.try_lock_key(&key("held")).unwrap().is_some());
}
