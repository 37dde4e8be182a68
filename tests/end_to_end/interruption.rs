//! Killed workers, killed engines, Ctrl-C: one failed stage or a clean end, and the next run is right.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::house::{House, children, events, signal};

/// Trains for long enough to be interrupted.
const LONG: &str = "
pipeline: long
device: cpu
stages:
  raw:
    kind: collect
    from: { csv: data.csv }
  model:
    kind: train
    inputs: { train: raw }
    target: y
    model: { mlp: { hidden: [64] } }
    epochs: 100000
    batch_size: 8
  aside:
    kind: command
    needs: [raw]
    run: sleep 1 && echo done > aside.txt
    outs: [aside.txt]
";

fn long() -> House {
    let house = House::of(LONG);
    let rows: String = (0..200).map(|row| format!("{},{},{}\n", row % 7, row % 5, row % 2)).collect();
    house.write("data.csv", format!("a,b,y\n{rows}"));
    house
}

/// Waits until the training worker is at work.
fn worker(engine: &Child) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(id) = children(engine.id(), "pipeline-torch").first() {
            // Loaded and training, not merely started: its processor time has grown past loading libtorch.
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let ticks: u64 = stat.rsplit_once(')').map_or(0, |(_, tail)| {
                tail.split_whitespace().nth(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
            });
            if ticks > 100 {
                return *id;
            }
        }
        assert!(Instant::now() < deadline, "the worker never started training");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for the program's end.
fn end(mut engine: Child) -> (i32, String) {
    let output_of = |engine: &mut Child| {
        use std::io::Read;
        let mut text = String::new();
        if let Some(stderr) = &mut engine.stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    };
    let text = output_of(&mut engine);
    (engine.wait().expect("an end").code().unwrap_or(-1), text)
}

#[test]
fn a_killed_worker_is_one_failed_stage_with_a_clear_message() {
    let house = long();
    let engine = house.start(&["run", "--keep-going"]);
    signal(worker(&engine), "KILL");
    let (code, err) = end(engine);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("worker::") && err.contains("model"), "{err}");
    assert!(!err.contains("panicked"), "{err}");
    assert_eq!(house.read("aside.txt"), "done\n", "what does not depend on it went on");
}

#[test]
fn ctrl_c_ends_everything_and_leaves_nothing_behind() {
    let house = long();
    let engine = house.start(&["run"]);
    let id = worker(&engine);
    let started = Instant::now();
    signal(engine.id(), "INT");
    let (code, err) = end(engine);
    // Not a measurement: a bound that only a hang exceeds.
    assert!(started.elapsed() < Duration::from_secs(20), "{err}");
    assert_eq!(code, 130, "{err}");
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists(), "the worker is gone");
    let entries = std::fs::read_dir(house.path().join(".pipeline/tmp")).expect("the staging folder");
    let left: Vec<_> = entries.flatten().map(|entry| entry.file_name()).filter(|name| name != "lock").collect();
    assert!(left.is_empty(), "{left:?}");
    house.edit("pipeline.yaml", "epochs: 100000", "epochs: 1");
    let again = house.run();
    let hits: Vec<_> =
        again.events.iter().filter(|event| event["event"] == "stage_hit").map(|event| &event["stage"]).collect();
    assert!(hits.contains(&&"raw".into()), "what was done stays done: {hits:?}");
}

#[test]
fn a_killed_engine_takes_its_workers_along_and_the_next_run_is_right() {
    let house = long();
    let mut engine = house.start(&["run"]);
    let id = worker(&engine);
    engine.kill().expect("killed");
    engine.wait().expect("gone");
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::path::Path::new(&format!("/proc/{id}")).exists() {
        assert!(Instant::now() < deadline, "the worker outlives its engine");
        std::thread::sleep(Duration::from_millis(20));
    }
    house.edit("pipeline.yaml", "epochs: 100000", "epochs: 1");
    house.run();
    house.run().nothing_ran().hit(["raw", "model", "aside"]);
}

#[test]
fn every_stage_of_a_cancelled_run_says_its_end() {
    let house = House::of(
        "pipeline: cancelled
stages:
  slow: { kind: command, run: \"touch began; exec sleep 30\", outs: [slow.txt] }
  next: { kind: command, run: touch next.txt, deps: [slow.txt], outs: [next.txt] }
  last: { kind: command, run: touch last.txt, deps: [next.txt], outs: [last.txt] }\n",
    );
    let engine = house.start(&["run", "--json"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !house.path().join("began").exists() {
        assert!(Instant::now() < deadline, "it never began");
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(engine.id(), "INT");
    let output = engine.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(130));
    let told = events(&String::from_utf8_lossy(&output.stdout));
    for stage in ["slow", "next", "last"] {
        let ends = ["stage_hit", "stage_done", "stage_skipped", "stage_failed"];
        let ends = told
            .iter()
            .filter(|event| event["stage"] == stage && ends.contains(&event["event"].as_str().unwrap_or_default()));
        assert_eq!(ends.count(), 1, "{stage}: {told:#?}");
    }
    let last = told.last().expect("events");
    assert_eq!((&last["outcome"], &last["lost"][0]), (&"cancelled".into(), &"slow".into()));
}

#[test]
fn a_run_that_was_killed_is_in_the_history() {
    let house = House::of(
        "
pipeline: slow
stages:
  first: { kind: command, run: echo 1 > first.txt, outs: [first.txt] }
  slow: { kind: command, run: \"touch began; sleep 60; echo 2 > slow.txt\", deps: [first.txt], outs: [slow.txt] }
",
    );
    let runs = |house: &House| -> Vec<serde_json::Value> {
        let said = house.say(&["runs", "--json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}{}", said.out, said.err))
    };
    let mut engine = house.start(&["run"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !house.path().join("began").exists() {
        assert!(Instant::now() < deadline, "it never began");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(house.say(&["runs"]).out, "", "it goes on");
    signal(engine.id(), "KILL");
    let _ = engine.wait();
    let killed = runs(&house);
    assert_eq!((killed.len(), killed[0]["outcome"].as_str()), (1, Some("killed")), "{killed:#?}");
    let name = killed[0]["run"].as_str().expect("a name");
    assert!(house.say(&["runs"]).out.contains("killed"));
    assert!(house.say(&["runs", "show", name]).out.contains("killed"));
    house.edit("pipeline.yaml", "sleep 60", "sleep 0");
    house.run().ran(["slow"]);
    let all: Vec<_> = runs(&house).iter().map(|run| run["outcome"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(all, ["success", "killed"]);
    let listed = house.say(&["runs"]).out;
    assert!(listed.lines().nth(1).is_some_and(|line| line.contains("success")), "{listed}");
}
