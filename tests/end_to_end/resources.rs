//! What stages take while they run, seen from the outside; time limits, further attempts, and what is shown meanwhile.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use crate::house::House;

/// Two stages that write down when they begin and end.
fn two(pipeline: &str, stage: &str) -> House {
    let mut yaml = format!("pipeline: two\nresources: {{ {pipeline} }}\nstages:\n");
    for name in ["a", "b"] {
        yaml.push_str(&format!(
            "  {name}: {{ kind: command, run: 'echo began >> log; sleep 0.3; echo ended >> log; touch {name}.txt', resources: {{ {stage} }}, outs: [{name}.txt] }}\n"
        ));
    }
    House::of(&yaml)
}

#[test]
fn stages_that_do_not_fit_together_run_one_after_the_other() {
    for (pipeline, stage) in [
        ("cpus: 4", "cpus: 3"),
        ("cpus: 4, memory: 4GiB", "memory: 3GiB"),
        ("cpus: 4, gpus: 1", "gpus: 1"),
        // More than there is: each runs alone.
        ("cpus: 4", "gpus: 64"),
        ("cpus: 4, gpus: 0", "gpus: 1"),
        ("cpus: 4", "memory: 900TiB"),
        ("cpus: 4", "cpus: 64"),
    ] {
        let house = two(pipeline, stage);
        house.run().ran(["a", "b"]);
        assert_eq!(house.read("log"), "began\nended\nbegan\nended\n", "{pipeline}; {stage}");
    }
}

#[test]
fn stages_that_fit_run_side_by_side() {
    for (pipeline, stage) in
        [("cpus: 4", "cpus: 2"), ("cpus: 4, gpus: 2", "gpus: 1"), ("cpus: 2, memory: 4GiB", "memory: 2GiB")]
    {
        // Each waits for the other one.
        let wait = |own: &str, other: &str| {
            format!(
                "  {own}: {{ kind: command, timeout: 60s, run: 'touch {own}.here; while [ ! -e {other}.here ]; do sleep 0.02; done; touch {own}.txt', resources: {{ {stage} }}, outs: [{own}.txt] }}\n"
            )
        };
        let yaml = format!("pipeline: two\nresources: {{ {pipeline} }}\nstages:\n{}{}", wait("a", "b"), wait("b", "a"));
        House::of(&yaml).run().ran(["a", "b"]);
    }
}

#[test]
fn more_than_there_is_is_said_with_its_place() {
    let house = House::of(
        "
pipeline: big
stages:
  big:
    kind: command
    run: echo 1 > big.txt
    resources:
      cpus: 6400
      memory: 900TiB
      gpus: 8000
    outs: [big.txt]
  small: { kind: command, run: echo 1 > small.txt, resources: { cpus: 1, memory: 1MiB }, outs: [small.txt] }
",
    );
    let said = house.say(&["check", "--short"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", said.out);
    for (line, at) in lines.iter().zip([8, 9, 10]) {
        assert!(line.contains(&format!("pipeline.yaml:{at}:")) && line.contains("resources::beyond"), "{line}");
    }
    // What the pipeline says is what there is.
    house.edit("pipeline.yaml", "stages:", "resources: { cpus: 6400, memory: 900TiB, gpus: 8000 }\nstages:");
    assert_eq!(house.say(&["check", "--short"]).out, "");
}

#[test]
fn a_worker_that_takes_more_memory_than_it_may_is_ended() {
    let house = House::of(
        "
pipeline: fat
device: cpu
stages:
  raw: { kind: collect, from: { csv: data.csv } }
  model:
    kind: train
    inputs: { train: raw }
    target: y
    model: { mlp: { hidden: [64] } }
    epochs: 100000
    batch_size: 8
    resources: { memory: 20MiB }
",
    );
    let rows: String = (0..200).map(|row| format!("{},{},{}\n", row % 7, row % 5, row % 2)).collect();
    house.write("data.csv", format!("a,b,y\n{rows}"));
    let ran = house.run_with(&[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(ran.fault("run::memory")["route"], serde_json::json!(["stages", "model", "resources", "memory"]));
    ran.ran(["raw"]);
}

#[test]
fn a_model_is_trained_on_more_rows_than_the_memory_holds() {
    let house = House::of(
        "
pipeline: wide
device: cpu
stages:
  raw: { kind: collect, from: { npy: { path: x.npy, labels: y.npy } } }
  model:
    kind: train
    inputs: { train: raw }
    target: label
    model: { linear: {} }
    epochs: 2
    batch_size: 1024
    resources: { memory: MEMORYMiB }
"
        .replace("MEMORY", &(WIDE >> 21).to_string())
        .as_str(),
    );
    // Numbers of 4 bytes, whose encoding takes as much again.
    let array = |name: &str, kind: &str, shape: &str, cells: &mut dyn Iterator<Item = [u8; 4]>| {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
        let header = format!("{header:<117}\n");
        let mut out = BufWriter::new(File::create(house.path().join(name)).expect("a file"));
        out.write_all(b"\x93NUMPY\x01\0\x76\0").and_then(|()| out.write_all(header.as_bytes())).expect("a header");
        cells.for_each(|cell| out.write_all(&cell).expect("a cell"));
        out.into_inner().expect("a whole file");
    };
    let rows = WIDE / 4 / 256;
    let cell = |place: u64| ((place % 977) as f32 - 400.0 + (place / 256 % 2) as f32 * 300.0).to_le_bytes();
    array("x.npy", "<f4", &format!("({rows}, 256)"), &mut (0..rows * 256).map(cell));
    array("y.npy", "<i4", &format!("({rows},)"), &mut (0..rows).map(|row| (row as i32 % 2).to_le_bytes()));
    let ran = house.run();
    ran.ran(["raw", "model"]);
    assert!(ran.number("model", "train.loss") < 0.6, "it has learnt");
}

/// Bytes of the rows that are more than the memory there is, which is half of it.
const WIDE: u64 = 256 << 20;

#[test]
fn a_time_limit_ends_a_stage_and_all_it_started() {
    let house = House::of(
        "
pipeline: late
stages:
  late: { kind: command, timeout: 300ms, run: 'sleep 1000 & sleep 1000; touch late.txt', outs: [late.txt] }
",
    );
    let ran = house.run_with(&[]);
    assert_eq!(ran.code, 1);
    assert!(ran.codes().iter().any(|code| code.contains("timeout")), "{:?}", ran.codes());
    let folder = house.path().canonicalize().expect("a folder");
    let here = |entry: std::fs::DirEntry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while std::fs::read_dir("/proc").expect("processes").flatten().any(here) {
        assert!(std::time::Instant::now() < deadline, "a process is left");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn further_attempts_are_made_as_often_as_asked_for() {
    let house = House::of(
        "
pipeline: again
stages:
  third: { kind: command, retries: 2, run: 'echo x >> tries; [ $(wc -l < tries) -ge 3 ] && touch third.txt', outs: [third.txt] }
",
    );
    let ran = house.run();
    ran.ran(["third"]);
    let attempts: Vec<u64> = (ran.events.iter())
        .filter(|event| event["event"] == "stage_started")
        .filter_map(|event| event["attempt"].as_u64())
        .collect();
    assert_eq!(attempts, [1, 2, 3]);
    std::fs::remove_file(house.path().join("tries")).expect("removed");
    house.edit("pipeline.yaml", "retries: 2", "retries: 1");
    assert_eq!(house.run_with(&["--force"]).code, 1);
    assert_eq!(house.read("tries").lines().count(), 2);
}

#[test]
fn verbose_shows_lines_while_the_stage_runs() {
    let house = House::of(
        "
pipeline: talks
stages:
  talks: { kind: command, timeout: 60s, run: 'echo hello; while [ ! -e go ]; do sleep 0.02; done; touch talks.txt', outs: [talks.txt] }
",
    );
    let mut run = house.start(&["run", "--verbose"]);
    let lines = BufReader::new(run.stderr.take().expect("stderr")).lines().map_while(Result::ok);
    // The stage goes on only when its line was seen.
    let mut seen = Vec::new();
    for line in lines {
        if line.contains("hello") {
            house.write("go", "");
        }
        seen.push(line);
    }
    assert!(run.wait().expect("an end").success(), "{seen:#?}");
    assert!(seen.iter().any(|line| line.contains("hello")), "{seen:#?}");
}

#[test]
fn stages_that_are_made_ready_beforehand_keep_nothing_from_those_who_work() {
    // All of them do the same, so that each needs what the others hold; they are brief, so that the next are made ready.
    let stages: String = (0..24).map(|at| format!("  same{at}: {{ kind: command, run: 'true' }}\n")).collect();
    let house = House::of(&format!("pipeline: twins\nresources: {{ cpus: 2 }}\nstages:\n{stages}"));
    let ran = house.run();
    let done = ran.events.iter().filter(|event| matches!(event["event"].as_str(), Some("stage_done" | "stage_hit")));
    assert_eq!(done.count(), 24, "{:#?}", ran.events);
}

#[test]
fn a_failure_leaves_alone_what_has_not_begun() {
    // Brief work first; then a failure, while others have been made ready.
    let brief: String =
        (0..6).map(|at| format!("  a{at}: {{ kind: command, run: 'echo {at} > a{at}', outs: [a{at}] }}\n")).collect();
    let after: String = (0..6)
        .map(|at| format!("  z{at}: {{ kind: command, run: 'sleep 0.2; echo {at} > z{at}', outs: [z{at}], needs: [a0, a1, a2, a3, a4, a5] }}\n"))
        .collect();
    let fails = "  fails: { kind: command, run: 'sleep 0.05; exit 3', needs: [a0, a1, a2, a3, a4, a5] }\n";
    let house = House::of(&format!("pipeline: stops\nresources: {{ cpus: 2 }}\nstages:\n{brief}{fails}{after}"));
    house.write("z5", "somebody's work");
    let ran = house.run_with(&[]);
    let named = |event: &str| -> Vec<&str> {
        let of = ran.events.iter().filter(|it| it["event"] == event);
        of.filter_map(|it| it["stage"].as_str()).collect()
    };
    let (started, skipped) = (named("stage_started"), named("stage_skipped"));
    assert!(!started.contains(&"z5") && skipped.contains(&"z5"), "{started:?} {skipped:?}");
    assert_eq!(skipped.iter().filter(|stage| **stage == "z5").count(), 1, "{skipped:?}");
    let skipped = ran.events.iter().find(|it| it["event"] == "stage_skipped" && it["stage"] == "z5").unwrap();
    assert_eq!(skipped["because"], "fails");
    assert_eq!(house.read("z5"), "somebody's work", "what has not begun has cleared nothing away");
}
