//! A cache that can be trusted blindly: every way in which its peers give a wrong hit or lose one, tried on this one.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::house::{House, Ran};

fn house(stages: &str) -> House {
    House::of(&format!("pipeline: trust\nstages:\n{stages}"))
}

/// Where the content of a stage's output lies in the store.
fn blob(house: &House, ran: &Ran, port: &str) -> PathBuf {
    let digest = ran.digests()[port].clone();
    house.path().join(".pipeline/blobs-v1").join(&digest[..2]).join(&digest[2..])
}

fn warnings(ran: &Ran) -> Vec<&Value> {
    ran.events.iter().filter(|event| event["event"] == "warning").map(|event| &event["fault"]).collect()
}

/// Waits for a file; fails when it never comes.
fn wait_for(path: PathBuf) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_input_edited_while_a_stage_reads_it_is_not_bound_to_the_old_output() {
    let house = house(
        "  copy: { kind: command, run: \"cat in.txt > out.txt; echo x >> count; [ -e edited ] || { touch edited; printf new > in.txt; }\", deps: [in.txt], outs: [out.txt] }\n",
    );
    house.write("in.txt", "old");
    house.run().ran(["copy"]);
    assert_eq!((house.read("out.txt"), house.read("count").lines().count()), ("new".into(), 2));
    house.run().nothing_ran();
    house.write("in.txt", "old");
    house.run().ran(["copy"]);
    assert_eq!(house.read("out.txt"), "old");
}

#[test]
fn removing_a_dependency_runs_the_stage_again() {
    let house = house("  sum: { kind: command, run: \"cat *.in > sum.txt\", deps: [a.in, b.in], outs: [sum.txt] }\n");
    house.write("a.in", "a");
    house.write("b.in", "b");
    house.run();
    house.edit("pipeline.yaml", "[a.in, b.in]", "[a.in]");
    house.run().ran(["sum"]);
}

#[test]
fn removing_a_parameter_runs_the_stage_again() {
    let house = house(
        "  raw: { kind: collect, from: { csv: { path: data.csv, missing: [none] } } }\n  own: { kind: command, run: \"printenv HOME > own.txt || true\", env: [HOME], outs: [own.txt] }\n",
    );
    house.write("data.csv", "a,b\n1,none\n");
    let before = house.run().digests();
    house.edit("pipeline.yaml", ", missing: [none]", "");
    house.edit("pipeline.yaml", " env: [HOME],", "");
    let after = house.run();
    after.ran(["raw", "own"]);
    assert!(after.digests()["raw.data"] != before["raw.data"], "without the parameter `none` is a text");
    house.run().nothing_ran();
}

#[test]
fn swapped_inputs_are_other_inputs() {
    let house = house(
        "  a: { kind: command, run: echo a > a.txt, outs: [a.txt] }
  b: { kind: command, run: echo b > b.txt, outs: [b.txt] }
  both: { kind: command, inputs: { left: a, right: b }, run: cat $INPUT_LEFT $INPUT_RIGHT > both.txt, outs: [both.txt] }
",
    );
    house.run();
    assert_eq!(house.read("both.txt"), "a\nb\n");
    house.edit("pipeline.yaml", "left: a, right: b", "left: b, right: a");
    house.run().ran(["both"]).hit(["a", "b"]);
    assert_eq!(house.read("both.txt"), "b\na\n");
    house.edit("pipeline.yaml", "left: b, right: a", "left: a, right: b");
    house.run().nothing_ran();
    assert_eq!(house.read("both.txt"), "a\nb\n");
}

#[test]
fn a_hit_restores_what_it_claims_or_is_none() {
    let house = house("  make: { kind: command, run: \"echo content > out.txt; echo x >> count\", outs: [out.txt] }\n");
    let first = house.run();
    let path = blob(&house, &first, "make.out");
    let damages: [fn(&mut Vec<u8>); 2] = [|bytes| bytes.truncate(3), |bytes| bytes[2] ^= 1];
    for number in 0..3 {
        // The copy in the project would do, were it there.
        fs::remove_file(house.path().join("out.txt")).expect("removed");
        let mut bytes = fs::read(&path).expect("the blob");
        fs::remove_file(&path).expect("removed");
        if let Some(damage) = damages.get(number) {
            damage(&mut bytes);
            fs::write(&path, bytes).expect("damaged");
        }
        let why = house.say(&["why", "make"]).out;
        assert!(why.contains(&first.digests()["make.out"][..12]) || why.contains("lost"), "the blob is named: {why}");
        house.run().ran(["make"]);
        assert_eq!(house.read("out.txt"), "content\n");
        house.run().nothing_ran();
    }
    assert_eq!(house.read("count").lines().count(), 4);
    // With the copy gone and the blob whole nothing runs, and the copy is there.
    fs::remove_file(house.path().join("out.txt")).expect("removed");
    house.run().nothing_ran();
    assert_eq!(house.read("out.txt"), "content\n");
}

#[test]
fn other_bytes_under_the_same_key_are_said_with_the_place() {
    let house = house(
        "  text: { kind: command, run: \"echo same > t.txt; cat secret >> t.txt\", outs: [t.txt] }
  json: { kind: command, run: \"printf '{\\\"a\\\": 1, \\\"b\\\": [1, %s]}' $(cat secret) > j.json\", outs: [{ path: j.json, kind: metrics }] }
  folder: { kind: command, run: \"mkdir -p f/sub; echo x > f/a; cp secret f/sub/b\", outs: [f] }
",
    );
    house.write("secret", "2\n");
    assert!(warnings(&house.run()).is_empty());
    house.write("secret", "3\n");
    let forced = house.run_with(&["--force"]);
    let said: Vec<String> = warnings(&forced)
        .into_iter()
        .map(|fault| {
            assert_eq!(fault["code"], "run::unstable");
            fault["message"].as_str().unwrap_or_default().to_owned()
        })
        .collect();
    let of = |stage: &str| {
        said.iter().find(|text| text.starts_with(&format!("`{stage}`"))).unwrap_or_else(|| panic!("{said:?}"))
    };
    assert!(of("text").contains("line 2: `2` was, `3` is now"), "{said:?}");
    assert!(of("json").contains("`b[1]`: `2` was, `3` is now"), "{said:?}");
    assert!(of("folder").contains("`sub/b`, line 1"), "{said:?}");
}

#[test]
fn a_failure_is_never_a_hit() {
    let house = house(
        "  flaky: { kind: command, run: \"echo half > out.txt; echo x >> count; test -e ready; echo whole > out.txt\", outs: [out.txt] }\n",
    );
    for times in 1..=2 {
        assert_eq!(house.run_with(&[]).code, 1);
        assert_eq!(house.read("count").lines().count(), times, "it is tried again");
    }
    house.write("ready", "");
    house.run().ran(["flaky"]);
    assert_eq!(house.read("out.txt"), "whole\n");
}

#[test]
fn no_lock_outlives_its_process() {
    let house = house(
        "  slow: { kind: command, run: \"touch started; while [ ! -e go ]; do sleep 0.05; done; echo done > out.txt\", outs: [out.txt] }\n",
    );
    let mut engine = house.start(&["run"]);
    wait_for(house.path().join("started"));
    engine.kill().expect("killed");
    engine.wait().expect("gone");
    house.write("go", "");
    // What such a process leaves, under the name of one that lives.
    let locks = house.path().join(".pipeline/locks-v1");
    for entry in fs::read_dir(&locks).into_iter().flatten().flatten() {
        fs::write(entry.path(), "1\n").expect("a left-over lock");
    }
    house.run().ran(["slow"]);
    assert_eq!(house.read("out.txt"), "done\n");
}

#[test]
fn an_edit_in_the_same_tick_with_the_same_size_is_seen() {
    let house = house("  copy: { kind: command, run: cp in.txt out.txt, deps: [in.txt], outs: [out.txt] }\n");
    let path = house.path().join("in.txt");
    let mut last = None;
    for round in 0..8 {
        let text = format!("{round}");
        house.write("in.txt", &text);
        // The very time the file had before: only hashing tells.
        if let Some(time) = last {
            let file = File::options().append(true).open(&path).expect("the input");
            file.set_times(FileTimes::new().set_modified(time)).expect("set back");
        }
        last = Some(fs::metadata(&path).and_then(|meta| meta.modified()).expect("a time"));
        house.run().ran(["copy"]);
        assert_eq!(house.read("out.txt"), text);
    }
}

#[test]
fn a_clock_that_runs_backwards_gives_no_wrong_hit() {
    let house = house("  copy: { kind: command, run: cp in.txt out.txt, deps: [in.txt], outs: [out.txt] }\n");
    let day = Duration::from_secs(86_400);
    let at = |name: &str, time: SystemTime| {
        let file = File::open(house.path().join(name)).expect("a file");
        file.set_times(FileTimes::new().set_modified(time)).expect("a time");
    };
    // Everything was made tomorrow, as it seems when the clock has been set back since.
    house.write("in.txt", "one");
    at("in.txt", SystemTime::now() + day);
    house.run();
    for log in ["records-v1", "filehash-v1", "memo-v1"] {
        let name = format!(".pipeline/{log}/log");
        if house.path().join(&name).exists() {
            at(&name, SystemTime::now() + day);
        }
    }
    house.run().nothing_ran();
    for (text, time) in
        [("two", SystemTime::UNIX_EPOCH + day), ("six", SystemTime::now() + day), ("ten", SystemTime::UNIX_EPOCH)]
    {
        house.write("in.txt", text);
        at("in.txt", time);
        house.run().ran(["copy"]);
        assert_eq!(house.read("out.txt"), text);
    }
}

#[test]
fn a_store_of_another_format_is_refused_or_left_alone() {
    let house = house("  make: { kind: command, run: echo x > out.txt, outs: [out.txt] }\n");
    house.run();
    let before = fs::read(house.path().join(".pipeline/records-v1/log")).expect("records");
    house.write(".pipeline/format", "pipeline store 999\n");
    for verb in [&["run"][..], &["plan"], &["gc"], &["cache", "du"]] {
        let said = house.say(verb);
        assert_eq!(said.code, 4, "{verb:?}: {}", said.err);
        assert!(said.err.contains("store::newer_format") && said.err.contains("help"), "{}", said.err);
    }
    assert_eq!(fs::read(house.path().join(".pipeline/records-v1/log")).expect("records"), before, "untouched");
    // An older one: its buckets have other names and stay what they are.
    house.write(".pipeline/format", "pipeline store 0\n");
    house.write(".pipeline/records-v0/log", "what an older program kept");
    house.run();
    assert_eq!(house.read(".pipeline/records-v0/log"), "what an older program kept");
    assert_eq!(house.read(".pipeline/format"), "pipeline store 1\n");
}

#[test]
fn no_output_is_written_through_a_link_out_of_the_project() {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let refused = |house: &House, what: &str| {
        let said = house.say(&["run"]);
        assert_eq!(said.code, 1, "{what}: {}", said.err);
        assert!(said.err.contains("path::link_outside") && said.err.contains("help"), "{what}: {}", said.err);
        let left: Vec<_> =
            fs::read_dir(elsewhere.path()).expect("the folder").flatten().map(|e| e.file_name()).collect();
        assert!(left.is_empty(), "{what}: {left:?}");
    };
    // A folder above the output.
    let parent = house("  make: { kind: command, run: echo x > out/a.txt, outs: [out/a.txt] }\n");
    symlink(elsewhere.path(), parent.path().join("out")).expect("a link");
    refused(&parent, "a parent");
    // The output itself: the old link is removed, the new file is a file.
    let own = house("  make: { kind: command, run: echo x > a.txt, outs: [a.txt] }\n");
    symlink(elsewhere.path().join("a.txt"), own.path().join("a.txt")).expect("a link");
    own.run().ran(["make"]);
    assert!(!own.path().join("a.txt").is_symlink() && !elsewhere.path().join("a.txt").exists());
    // Made while it runs.
    let outside = elsewhere.path().display();
    let made = house(&format!("  make: {{ kind: command, run: \"ln -s {outside} a.txt\", outs: [a.txt] }}\n"));
    refused(&made, "made meanwhile");
    let made = house(&format!(
        "  make: {{ kind: command, run: \"rmdir out; ln -s {outside} out; echo x > b; ls out\", outs: [out/a.txt] }}\n"
    ));
    refused(&made, "a parent made meanwhile");
    // One that leads around inside the project is a person's own business.
    let inside = house("  make: { kind: command, run: echo x > out/a.txt, outs: [out/a.txt] }\n");
    fs::create_dir(inside.path().join("build")).expect("a folder");
    symlink("build", inside.path().join("out")).expect("a link");
    inside.run().ran(["make"]);
    assert_eq!(inside.read("build/a.txt"), "x\n");
}

#[test]
fn the_collector_does_no_harm_beside_a_run() {
    let house = house(
        "  first: { kind: command, run: cat in.txt > first.txt, deps: [in.txt], outs: [first.txt] }
  second: { kind: command, inputs: { it: first }, run: \"touch started; while [ ! -e go ]; do sleep 0.05; done; cat $INPUT_IT > second.txt\", outs: [second.txt] }
",
    );
    house.write("go", "");
    for text in ["old", "new"] {
        house.write("in.txt", text);
        house.run();
    }
    // Everything above was two runs; a third is at work, on what it has just looked up.
    fs::remove_file(house.path().join("go")).expect("removed");
    fs::remove_file(house.path().join("started")).expect("removed");
    house.edit("pipeline.yaml", "cat $INPUT_IT", "cat -u $INPUT_IT");
    let engine = house.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
    wait_for(house.path().join("started"));
    // The lock file would keep what it names.
    fs::remove_file(house.path().join("pipeline.lock")).expect("a lock file");
    let dry: Value =
        serde_json::from_str(&house.say(&["gc", "--keep", "0", "--keep-runs", "0", "--dry-run", "--json"]).out)
            .expect("JSON");
    // What it has looked up stays, though nothing else names it.
    assert_eq!(dry["results"], 3, "{dry}");
    let said = house.say(&["gc", "--keep", "0", "--keep-runs", "0"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("may be in use"), "{}", said.err);
    house.write("go", "");
    let ended = engine.wait_with_output().expect("an end");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(house.read("second.txt"), "new");
    // What it used and what it recorded is whole.
    house.run().nothing_ran().hit(["first", "second"]);
    assert_eq!((house.read("first.txt"), house.read("second.txt")), ("new".into(), "new".into()));
}

#[test]
fn what_recent_runs_and_the_lock_file_name_stays() {
    let house = house("  copy: { kind: command, run: cp in.txt out.txt, deps: [in.txt], outs: [out.txt] }\n");
    let mut keys = Vec::new();
    for text in ["one", "two", "three"] {
        house.write("in.txt", text);
        let ran = house.run();
        let done = ran.events.iter().find(|event| event["event"] == "stage_done").expect("it ran");
        keys.push(done["key"].as_str().expect("a key").to_owned());
    }
    let du: Value = serde_json::from_str(&house.say(&["cache", "du", "--json", "--keep-runs", "1"]).out).expect("JSON");
    assert_eq!((&du["stages"]["copy"]["results"], &du["stages"]["copy"]["bytes"]), (&3.into(), &11.into()), "{du}");
    let table = house.say(&["cache", "du"]).out;
    assert!(table.contains("copy") && table.contains("11 B") && table.contains("today"), "{table}");
    house.write("pipeline.lock", format!("stages:\n  copy: {{ key: {} }}\n", keys[0]));
    let swept: Value =
        serde_json::from_str(&house.say(&["gc", "--keep", "0", "--keep-runs", "1", "--json"]).out).expect("JSON");
    assert_eq!((&swept["results"], &swept["freed"], &swept["kept"]), (&1.into(), &3.into(), &8.into()), "{swept}");
    for (text, runs) in [("one", false), ("three", false), ("two", true)] {
        house.write("in.txt", text);
        let ran = house.run();
        if runs {
            ran.ran(["copy"])
        } else {
            ran.nothing_ran()
        };
    }
}
