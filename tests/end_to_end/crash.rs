//! Killed between any two store operations, at random instants, on a full or read-only disk, many at once: the next run is right.
//!
//! `PIPELINE_CRASH_ROUNDS` says how often (default: enough to meet every fault point once, and a few dozen random instants).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::house::{House, Said, children, said};

/// A worker, programs, a folder, and a file that is large enough to be linked.
const PIPELINE: &str = r#"
pipeline: crash
device: cpu
stages:
  raw: { kind: collect, from: { csv: data.csv } }
  upper: { kind: command, run: "echo upper >> ran.log; tr a-z A-Z < in.txt > out/upper.txt", deps: [in.txt], outs: [out/upper.txt] }
  folder: { kind: command, run: "echo folder >> ran.log; mkdir -p out/folder/sub; cp out/upper.txt out/folder/sub/x; echo y > out/folder/y", deps: [out/upper.txt], outs: [out/folder] }
  large: { kind: command, run: "echo large >> ran.log; head -c 1200000 /dev/zero | cat - in.txt > out/large.bin", deps: [in.txt], outs: [out/large.bin] }
  last: { kind: command, inputs: { table: raw }, run: "echo last >> ran.log; wc -c < $INPUT_TABLE | cat out/folder/sub/x out/folder/y - > out/last.txt", deps: [out/folder], outs: [out/last.txt] }
"#;

const STAGES: usize = 5;

fn project(input: &str) -> House {
    let house = House::of(PIPELINE);
    house.write("data.csv", "a,b\n1,2\n3,4\n");
    house.write("in.txt", input);
    house
}

/// Everything below `out`, by path.
fn outputs(house: &House) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![house.path().join("out")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(house.path()).expect("inside").display().to_string();
                found.insert(name, fs::read(&path).expect("an output"));
            }
        }
    }
    found
}

/// What an undisturbed run of the same project gives: digests of all ports, and the files.
fn expected(input: &str) -> (BTreeMap<String, String>, BTreeMap<String, Vec<u8>>) {
    let house = project(input);
    let ran = house.run();
    (ran.digests(), outputs(&house))
}

/// The processes at work in a folder.
fn at_work(folder: &Path) -> usize {
    let folder = folder.canonicalize().expect("a folder");
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    processes.filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder)).count()
}

fn nobody_is_left(house: &House, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while at_work(house.path()) > 0 {
        assert!(Instant::now() < deadline, "{what}: a process is left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A run that must be right, whatever happened before: the bytes, nothing in staging, nothing to do afterwards.
#[track_caller]
fn is_right(house: &House, input: &str, what: &str, expected: &(BTreeMap<String, String>, BTreeMap<String, Vec<u8>>)) {
    let ran = house.run_with(&[]);
    assert_eq!(ran.code, 0, "{what} ({input}): {}\n{:#?}", ran.err, ran.events);
    assert_eq!(ran.digests(), expected.0, "{what}");
    let found = outputs(house);
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected.1), "{what}");
    assert!(found == expected.1, "{what}: other bytes");
    let again = house.run();
    again.nothing_ran();
    assert_eq!(again.digests(), expected.0, "{what}");
    let tmp = house.path().join(".pipeline/tmp");
    let left: Vec<_> = fs::read_dir(tmp).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name == "lock"), "{what}: {left:?}");
    nobody_is_left(house, what);
}

/// `run` with a fault.
fn with_fault(house: &House, fault: &str) -> Said {
    let mut command = house.command(&["run"]);
    command.env("PIPELINE_FAULT", fault);
    said(command)
}

/// Every fault point a cold run and one after an edit come by, with how often.
fn points() -> BTreeMap<String, usize> {
    let house = project("first\n");
    let trace = house.path().join("trace");
    let fault = format!("trace:{}", trace.display());
    assert_eq!(with_fault(&house, &fault).code, 0);
    house.write("in.txt", "second\n");
    // Something for the sweeper of left-overs, and a file in the way of a folder.
    fs::create_dir_all(house.path().join(".pipeline/tmp/1-1-1")).expect("a folder");
    assert_eq!(with_fault(&house, &fault).code, 0);
    let mut points = BTreeMap::new();
    for line in fs::read_to_string(trace).expect("a trace").lines() {
        *points.entry(line.to_owned()).or_default() += 1;
    }
    points
}

/// A linear congruential generator (Knuth's MMIX): the same numbers in every run of a test.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

fn rounds(usual: usize) -> usize {
    std::env::var("PIPELINE_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn a_kill_between_any_two_store_operations_does_no_harm() {
    let points = points();
    assert!(points.len() >= 20, "{points:?}");
    let (first, second) = (expected("first\n"), expected("second\n"));
    let mut random = Random(7);
    let mut cases: Vec<(String, usize)> = points.keys().map(|point| (point.clone(), 1)).collect();
    let names: Vec<&String> = points.keys().collect();
    while cases.len() < rounds(names.len() + 6) {
        let name = names[random.below(names.len() as u64) as usize];
        cases.push((name.clone(), 1 + random.below(points[name] as u64) as usize));
    }
    // One house for many kills: damage would pile up, and the input changes as it does for a person.
    let house = project("first\n");
    let mut killed = 0;
    for (number, (point, time)) in cases.iter().enumerate() {
        let (input, expected) = if number % 2 == 0 { ("first\n", &first) } else { ("second\n", &second) };
        house.write("in.txt", input);
        if number % 3 != 2 {
            let _ = fs::remove_dir_all(house.path().join(".pipeline"));
            let _ = fs::remove_dir_all(house.path().join("out"));
        }
        let what = format!("{point}:{time}:kill");
        killed += usize::from(with_fault(&house, &what).code != 0);
        is_right(&house, input, &what, expected);
    }
    assert!(killed > cases.len() / 2, "{killed} of {} runs were killed", cases.len());
}

#[test]
fn a_full_or_read_only_disk_at_any_write_is_said_and_does_no_harm() {
    let points = points();
    let expected = expected("first\n");
    let mut random = Random(11);
    let mut failed = 0;
    for (number, (point, times)) in points.iter().enumerate() {
        let (action, code) = if number % 2 == 0 { ("enospc", "store::full") } else { ("erofs", "store::read_only") };
        let house = project("first\n");
        let time = 1 + random.below(*times as u64);
        // The disk stays full, as disks do.
        let what = format!("{point}:{time}+:{action}");
        let said = with_fault(&house, &what);
        assert!(!said.err.contains("panicked") && !said.err.contains("os error"), "{what}: {}", said.err);
        if said.code != 0 {
            failed += 1;
            assert!(said.err.contains(code) && said.err.contains("help"), "{what}: {}", said.err);
        }
        is_right(&house, "first\n", &what, &expected);
    }
    assert!(failed >= 10, "{failed} of {} were errors", points.len());
}

fn start(house: &House) -> Child {
    house.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

#[test]
fn a_kill_of_the_engine_or_a_worker_at_any_instant_does_no_harm() {
    let inputs = ["first\n", "second\n", "third\n"];
    let expected: Vec<_> = inputs.iter().map(|input| expected(input)).collect();
    let house = project(inputs[0]);
    let begun = Instant::now();
    house.run();
    let usual = begun.elapsed().as_micros() as u64;
    let mut random = Random(20_261_124);
    for round in 0..rounds(30) {
        let which = random.below(3) as usize;
        house.write("in.txt", inputs[which]);
        if random.below(3) == 0 {
            let _ = fs::remove_dir_all(house.path().join(".pipeline"));
        }
        let mut engine = start(&house);
        std::thread::sleep(Duration::from_micros(random.below(usual)));
        let workers = children(engine.id(), "pipeline-data");
        match workers.first() {
            Some(worker) if round % 2 == 0 => {
                // It may have ended by itself meanwhile.
                let _ = std::process::Command::new("kill").args(["-KILL", &worker.to_string()]).status();
            }
            _ => engine.kill().expect("killed"),
        }
        engine.wait().expect("gone");
        if round % 3 == 2 {
            // At once, with what the dead engine had started perhaps still dying.
            is_right(&house, inputs[which], &format!("round {round}"), &expected[which]);
        }
    }
    is_right(
        &house,
        &house.read("in.txt"),
        "the end",
        &expected[inputs.iter().position(|i| *i == house.read("in.txt")).expect("one of them")],
    );
}

#[test]
fn many_runs_at_once_do_the_work_once() {
    let expected = expected("first\n");
    for many in [2, 4, 8] {
        let house = project("first\n");
        let runs: Vec<Child> = (0..many).map(|_| house.start(&["run", "--json"])).collect();
        let (mut ran, mut hit) = (0, 0);
        for run in runs {
            let output = run.wait_with_output().expect("an end");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{many}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
            let events = crate::house::events(&text);
            ran += events.iter().filter(|event| event["event"] == "stage_done").count();
            hit += events.iter().filter(|event| event["event"] == "stage_hit").count();
        }
        assert_eq!((ran, hit), (STAGES, STAGES * (many - 1)), "{many} runs");
        let mut log: Vec<String> = house.read("ran.log").lines().map(str::to_owned).collect();
        log.sort();
        assert_eq!(log, ["folder", "large", "last", "upper"], "{many} runs");
        is_right(&house, "first\n", &format!("{many} runs"), &expected);
    }
}
