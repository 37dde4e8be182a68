//! The engine killed at any instant: the next run is right, with nothing to unlock and nothing left over.

#[expect(dead_code, reason = "this test uses a part of it")]
mod yard;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use engine::graph::StageSpec;
use engine::run::driver::CancellationToken;
use serde_json::json;

use yard::{Connect, House, eventually, fake, shell};

const LAYERS: usize = 5;
const WIDTH: usize = 4;

/// Programs that write slowly, in two halves, so that a kill finds them in the middle; workers between them.
fn stages() -> Vec<StageSpec> {
    let mut stages = Vec::new();
    for layer in 0..LAYERS {
        for item in 0..WIDTH {
            let out = format!("out/{layer}-{item}");
            let above = match layer {
                0 => "in.txt".to_owned(),
                _ => format!("out/{}-{}", layer - 1, (item + 1) % WIDTH),
            };
            let run =
                format!("head -c 2 {above} > {out}; sleep 0.01; tail -c +3 {above} >> {out}; printf .{item} >> {out}");
            stages.push(shell(&format!("s{layer}-{item}"), &run, &[&above], &[&out]));
        }
    }
    let last = LAYERS - 1;
    stages
        .push(fake("worker", json!({"do": "copy", "text": "!", "seconds": 0.02})).input("data", &format!("s{last}-0")));
    stages
}

/// What a stage of the last layer gives.
fn expected(input: &str, mut item: usize) -> String {
    let mut path = Vec::new();
    for _ in 0..LAYERS {
        path.push(item);
        item = (item + 1) % WIDTH;
    }
    path.iter().rev().fold(input.to_owned(), |text, item| format!("{text}.{item}"))
}

/// The engine in a process of its own; it is started by the test below.
#[test]
#[ignore = "the process that is killed"]
fn engine_process() {
    let Some(root) = std::env::var_os("CRASH_ROOT") else { return };
    let mut house = House::new();
    house.root = root.into();
    house.options.root.clone_from(&house.root);
    let _ = house.run_with(stages(), &house.options, &CancellationToken::new());
}

/// Processes that work in a folder.
fn at_work(root: &Path) -> usize {
    let root = root.canonicalize().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == root)).count()
}

#[test]
fn a_kill_at_any_instant_does_no_harm() {
    let house = House::new();
    // A linear congruential generator (Knuth's MMIX): the same instants in every run of the test.
    let mut seed: u64 = 20_261_123;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for round in 0..12_u64 {
        let input = format!("version {}", round / 3);
        house.write("in.txt", &input);
        let mut engine = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "engine_process", "--ignored", "--nocapture"])
            .env("CRASH_ROOT", &house.root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + random(600)));
        engine.kill().unwrap();
        engine.wait().unwrap();
        if round % 4 == 3 {
            // At once, with what the dead engine had started perhaps still dying.
            check(&house, &input);
        }
        eventually("nothing of the killed engine is left", || at_work(&house.root) == 0);
    }
    house.write("in.txt", "the end");
    check(&house, "the end");
    let second = house.run(stages());
    assert_eq!((second.summary().ran, second.summary().hit), (0, LAYERS * WIDTH + 1));
    assert!(house.left_in_staging().is_empty(), "{:?}", house.left_in_staging());
    let store = house.store();
    for stage in stages() {
        for record in store.history(&stage.name, 100).unwrap() {
            for (port, blob) in &record.outputs {
                assert!(store.verify(blob).unwrap(), "{} {port}", stage.name);
            }
        }
    }
}

#[track_caller]
fn check(house: &House, input: &str) {
    let ran = house.run(stages());
    assert_eq!(ran.summary().outcome, engine::event::Outcome::Success, "{:#?}", ran.events);
    for item in 0..WIDTH {
        assert_eq!(house.read(&format!("out/{}-{item}", LAYERS - 1)), expected(input, item));
    }
    let store = house.store();
    let record = store.last("worker").unwrap().unwrap();
    let text = String::from_utf8(store.read(&record.outputs[0].1.digest).unwrap()).unwrap();
    assert_eq!(text, format!("{}!", expected(input, 0)));
}
