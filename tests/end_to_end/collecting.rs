//! `gc` beside runs, for several pipelines in one folder, with a full disk, killed at any step.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::{House, Said, said};

fn with_fault(house: &House, fault: &str, args: &[&str]) -> Said {
    let mut command = house.command(args);
    command.env("PIPELINE_FAULT", fault);
    said(command)
}

fn gc(house: &House, args: &[&str]) -> Value {
    let mut all = vec!["gc", "--keep", "0", "--json"];
    all.extend(args);
    let said = house.say(&all);
    assert_eq!(said.code, 0, "{}", said.err);
    serde_json::from_str(&said.out).expect("JSON")
}

#[test]
fn what_a_live_run_has_made_or_used_stays() {
    let house = House::of(
        "
pipeline: live
stages:
  old: { kind: command, run: echo old > old.txt, outs: [old.txt] }
  first: { kind: command, run: cp old.txt first.txt, deps: [old.txt], outs: [first.txt] }
  second: { kind: command, run: 'touch began; while [ ! -e go ]; do sleep 0.02; done; cp first.txt second.txt', deps: [first.txt], outs: [second.txt] }
  other: { kind: command, run: echo other > other.txt, outs: [other.txt] }
",
    );
    assert_eq!(house.run_with(&["old", "other"]).code, 0);
    let run = house.start(&["run", "--json", "second"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !house.path().join("began").exists() {
        assert!(Instant::now() < deadline, "it never began");
        std::thread::sleep(Duration::from_millis(10));
    }
    // `old` was used and `first` was made by the run that goes on; nobody needs `other`.
    assert_eq!(gc(&house, &["--keep-runs", "0", "--dry-run"])["results"], 1);
    assert_eq!(gc(&house, &["--keep-runs", "0"])["results"], 1);
    house.write("go", "");
    let output = run.wait_with_output().expect("an end");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    house.run().ran(["other"]).hit(["old", "first", "second"]);
    // With nobody there all goes that nothing pins.
    fs::remove_file(house.path().join("pipeline.lock")).expect("removed");
    assert_eq!(gc(&house, &["--keep-runs", "0"])["results"], 4);
}

#[test]
fn each_pipeline_of_a_folder_pins_for_itself() {
    let house = House::empty();
    for name in ["a", "b"] {
        let yaml = format!(
            "pipeline: {name}\nstages:\n  {name}: {{ kind: command, run: echo {name} > {name}.txt, outs: [{name}.txt] }}\n"
        );
        house.write(&format!("{name}.yaml"), yaml);
    }
    let run = |name: &str| {
        let ran = house.run_with(&["--file", &format!("{name}.yaml")]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran
    };
    run("a");
    (0..4).for_each(|_| drop(run("b")));
    // The last runs of each, although those of `b` are all newer.
    for name in ["a", "b"] {
        fs::rename(house.path().join(format!("{name}.lock")), house.path().join(format!("{name}.away")))
            .expect("moved");
    }
    assert_eq!(gc(&house, &["--file", "b.yaml"])["results"], 0);
    for name in ["a", "b"] {
        run(name).nothing_ran();
    }
    // Every lock file, whichever pipeline is named.
    assert_eq!(gc(&house, &["--file", "b.yaml", "--keep-runs", "0"])["results"], 0);
    for name in ["a", "b"] {
        run(name).nothing_ran();
        fs::remove_file(house.path().join(format!("{name}.lock"))).expect("removed");
    }
    assert_eq!(gc(&house, &["--file", "a.yaml", "--keep-runs", "0"])["results"], 2);
}

const TWO: &str = "
pipeline: two
stages:
  first: { kind: command, run: tr a-z A-Z < in.txt > first.txt, deps: [in.txt], outs: [first.txt] }
  second: { kind: command, run: mkdir second && cp first.txt second/x, deps: [first.txt], outs: [second] }
";

/// A store with six results, something fetched, and nothing that pins.
fn filled() -> House {
    let house = House::of(TWO);
    for text in ["a", "b", "c"] {
        house.write("in.txt", text);
        house.run();
    }
    house.write(".pipeline/downloads-v1/ab", "fetched");
    house.write(".pipeline/blobs-v1/ab/unnamed", "left behind");
    fs::remove_file(house.path().join("pipeline.lock")).expect("removed");
    house
}

fn is_right(house: &House, what: &str) {
    house.write("in.txt", "b");
    house.run();
    assert_eq!((house.read("first.txt"), house.read("second/x")), ("B".into(), "B".into()), "{what}");
    house.run().nothing_ran().hit(["first", "second"]);
    gc(house, &[]);
    house.run().nothing_ran();
}

const ALL: [&str; 5] = ["gc", "--keep", "0", "--keep-runs", "0"];

#[test]
fn an_end_or_an_error_at_any_step_of_a_collection_does_no_harm() {
    let traced = filled();
    let trace = traced.path().join("trace");
    assert_eq!(with_fault(&traced, &format!("trace:{}", trace.display()), &ALL).code, 0);
    let reached = traced.read("trace");
    for point in ["gc.turn", "gc.records", "gc.remove", "gc.download", "log.pack", "log.replace"] {
        assert!(reached.lines().any(|line| line == point), "{point} is not among\n{reached}");
        for action in ["kill", "enospc", "erofs", "eio"] {
            for times in ["1", "2+"] {
                let house = filled();
                let what = format!("{point}:{times}:{action}");
                let said = with_fault(&house, &what, &ALL);
                assert!(!said.err.contains("panicked"), "{what}: {}", said.err);
                assert!(said.code == 0 || action == "kill" || said.err.contains("help"), "{what}: {}", said.err);
                is_right(&house, &what);
            }
        }
    }
}

#[test]
fn a_full_disk_does_not_keep_gc_from_making_room() {
    for point in ["log.*", "gc.records", "gc.turn", "log.pack"] {
        let house = filled();
        let what = format!("{point}:1+:enospc");
        let said = with_fault(&house, &what, &[&ALL[..], &["--json"]].concat());
        assert_eq!(said.code, 0, "{what}: {}", said.err);
        let told: Value = serde_json::from_str(&said.out).expect("JSON");
        assert_eq!((&told["results"], &told["kept"]), (&6.into(), &0.into()), "{what}: {told}");
        let left = fs::read_dir(house.path().join(".pipeline/blobs-v1")).expect("blobs").flatten();
        let left = left.filter(|folder| fs::read_dir(folder.path()).expect("a folder").count() > 0).count();
        assert_eq!(left, 0, "{what}");
        is_right(&house, &what);
    }
}

#[test]
fn a_read_only_store_is_counted_and_a_run_with_nothing_to_do_is_no_failure() {
    let house = filled();
    let du = with_fault(&house, "gc.*:1+:erofs", &["cache", "du", "--json"]);
    assert_eq!(du.code, 0, "{}", du.err);
    assert_eq!(serde_json::from_str::<Value>(&du.out).expect("JSON")["results"], 6);
    // Without the shortcut, which needs nothing of this.
    let ran = with_fault(&house, "log.*:1+:erofs", &["run", "--keep-going"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.err.contains('×') && ran.err.contains("up to date"), "{}", ran.err);
    let ran = with_fault(&house, "log.*:1+:erofs", &["run", "--json"]);
    for event in crate::house::events(&ran.out).iter().filter(|event| event["event"] == "warning") {
        assert_eq!(event["fault"]["severity"], "warning", "{event}");
    }
}
