//! Whole runs over a worker and a shell: what ran again, and what was left behind.

mod yard;

use std::time::{Duration, Instant};

use contract::expansion::Resources;
use contract::kind::Program;
use contract::worker::protocol::Level;
use engine::event::{Event, Outcome};
use engine::execute::Programs;
use engine::graph::StageSpec;
use engine::key::Environment;
use engine::key::explain::Reason;
use engine::run::driver::{CancellationToken, End, Force, RunOptions};
use serde_json::json;
use yard::{Connect, House, Ran, eventually, fake, processes_with, shell};

fn chain(text: &str) -> Vec<StageSpec> {
    vec![
        fake("raw", json!({"do": "copy", "text": "r", "deps": ["data.csv"]})),
        fake("clean", json!({"do": "copy", "text": text})).input("data", "raw"),
        fake("model", json!({"do": "copy", "text": "m"})).input("data", "clean"),
    ]
}

#[test]
fn a_second_run_does_nothing_and_a_change_runs_what_is_below_it() {
    let house = House::new();
    house.write("data.csv", "1,2\n");
    let first = house.run(chain("c"));
    first.did(&["raw", "clean", "model"], &[]).is_well_formed();
    assert_eq!(first.summary().outcome, Outcome::Success);
    assert_eq!(first.reasons("raw"), [Reason::NeverRan]);

    let second = house.run(chain("c"));
    second.did(&[], &["raw", "clean", "model"]).is_well_formed();
    assert_eq!(second.output("model"), first.output("model"));

    let third = house.run(chain("d"));
    third.did(&["clean", "model"], &["raw"]);
    assert!(matches!(&third.reasons("clean")[..], [Reason::ParameterChanged { .. }]), "{:?}", third.reasons("clean"));
    assert!(matches!(&third.reasons("model")[..], [Reason::InputChanged { from, .. }] if from == "clean"));

    // Back to what it was: everything is there.
    house.run(chain("c")).did(&[], &["raw", "clean", "model"]);
    // Touched, not changed.
    house.write("data.csv", "1,2\n");
    house.run(chain("c")).did(&[], &["raw", "clean", "model"]);
    house.write("data.csv", "1,3\n");
    let fourth = house.run(chain("c"));
    fourth.did(&["raw", "clean", "model"], &[]);
    assert!(matches!(&fourth.reasons("raw")[..], [Reason::FileChanged { path, .. }] if path == "data.csv"));
    assert!(house.left_in_staging().is_empty());
}

#[test]
fn equal_bytes_cut_the_rest_off() {
    let house = House::new();
    house.write("data.csv", "a b\n");
    let stages = |blanks: &str| {
        vec![
            shell("strip", &format!("tr -d ' {blanks}' < data.csv > out.txt"), &["data.csv"], &["out.txt"]),
            fake("below", json!({"do": "copy"})).input("data", "strip"),
        ]
    };
    house.run(stages("")).did(&["strip", "below"], &[]);
    let second = house.run(stages("x"));
    second.did(&["strip"], &["below"]);
    let unchanged = second.events.iter().any(|event| matches!(event, Event::StageDone { unchanged: true, .. }));
    assert!(unchanged);
}

#[test]
fn a_renamed_stage_is_a_hit() {
    let house = House::new();
    house.run(vec![fake("old", json!({"do": "copy", "text": "x"}))]).did(&["old"], &[]);
    house.run(vec![fake("new", json!({"do": "copy", "text": "x"}))]).did(&[], &["new"]);
}

#[test]
fn only_what_is_asked_for_runs() {
    let house = House::new();
    house.write("data.csv", "1");
    let options = RunOptions { targets: vec!["clean".into()], ..house.options.clone() };
    let ran = house.run_with(chain("c"), &options, &CancellationToken::new());
    ran.did(&["raw", "clean"], &[]);
    assert_eq!(ran.summary().stages.len(), 2);

    let options = RunOptions { targets: vec!["claen".into()], ..house.options.clone() };
    let fault = house.run_with(chain("c"), &options, &CancellationToken::new()).result.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.help.as_deref()), ("graph::unknown_stage", Some("did you mean `clean`?")));
}

#[test]
fn force_runs_what_it_says() {
    let house = House::new();
    house.write("data.csv", "1");
    house.run(chain("c"));
    let options = |force| RunOptions { force, ..house.options.clone() };
    let all = house.run_with(chain("c"), &options(Force::All), &CancellationToken::new());
    all.did(&["raw", "clean", "model"], &[]);
    assert_eq!(all.reasons("clean"), [Reason::Forced]);
    house
        .run_with(chain("c"), &options(Force::Stages(vec!["clean".into()])), &CancellationToken::new())
        .did(&["clean"], &["raw", "model"]);
    let targets = RunOptions { targets: vec!["clean".into()], ..options(Force::Targets) };
    house.run_with(chain("c"), &targets, &CancellationToken::new()).did(&["clean"], &["raw"]);
}

#[test]
fn a_stage_that_is_not_cached_runs_every_time() {
    let house = House::new();
    let stages = || vec![StageSpec { cache: Some(false), ..fake("clock", json!({"do": "random"})) }];
    house.run(stages()).did(&["clock"], &[]);
    let second = house.run(stages());
    second.did(&["clock"], &[]);
    assert_eq!(second.reasons("clock"), [Reason::Uncached]);
    assert!(second.warnings().is_empty(), "that it differs is what it is for");
}

#[test]
fn a_killed_worker_costs_one_stage() {
    let house = House::new();
    let stages = || {
        vec![
            fake("bad", json!({"do": "kill", "log": "log"})),
            fake("below", json!({"do": "copy"})).input("data", "bad"),
            fake("good", json!({"do": "copy", "text": "g"})),
        ]
    };
    let options = RunOptions { keep_going: true, ..house.options.clone() };
    let ran = house.run_with(stages(), &options, &CancellationToken::new());
    ran.did(&["good"], &[]).is_well_formed();
    assert_eq!(ran.summary().outcome, Outcome::Failed);
    let fault = ran.fault("bad");
    assert_eq!(fault.code, "worker::died");
    assert!(fault.message.contains("`fake_worker` died with SIGKILL while it ran `bad`"), "{}", fault.message);
    assert!(fault.message.ends_with("about to die"), "{}", fault.message);
    assert!(fault.help.unwrap().contains("memory"));
    assert_eq!(fault.route.unwrap().to_string(), "stages.bad");
    assert_eq!(ran.summary().ended(End::Skipped), ["below"]);

    // Nothing of the failure is kept: it is tried again.
    house.run_with(stages(), &options, &CancellationToken::new()).did(&[], &["good"]);
    assert_eq!(house.read("log").lines().count(), 2);
    assert!(house.left_in_staging().is_empty());
}

#[test]
fn a_panic_is_one_fault_and_the_next_stage_runs() {
    let house = House::new();
    let options = RunOptions { keep_going: true, jobs: Some(1), ..house.options.clone() };
    let stages = vec![fake("bad", json!({"do": "panic"})), fake("good", json!({"do": "copy"}))];
    let ran = house.run_with(stages, &options, &CancellationToken::new());
    ran.did(&["good"], &[]);
    let fault = ran.fault("bad");
    assert_eq!(
        (fault.code.as_str(), fault.message.as_str()),
        ("worker::panic", "stage `bad` panicked: index 7 is out of range")
    );
    assert!(fault.help.unwrap().contains("report"));
}

#[test]
fn faults_of_a_worker_get_their_place() {
    let house = House::new();
    let ran = house.run(vec![fake("bad", json!({"do": "fault"}))]);
    assert_eq!(ran.fault("bad").route.unwrap().to_string(), "stages.bad.do");
}

#[test]
fn an_answer_nobody_can_read_is_a_fault() {
    let house = House::new();
    let ran = house.run(vec![fake("bad", json!({"do": "garbage"}))]);
    let fault = ran.fault("bad");
    assert_eq!(fault.code, "worker::unreadable");
    assert!(fault.message.contains("`this is no answer`"), "{}", fault.message);
}

#[test]
fn native_noise_on_stdout_is_a_log_line() {
    let house = House::new();
    let ran = house.run(vec![fake("noisy", json!({"do": "noise"})), fake("next", json!({"do": "copy"}))]);
    ran.did(&["noisy", "next"], &[]);
    let log = ran.log("noisy");
    assert!(log.contains(&"native noise 1".to_owned()) && log.contains(&"native noise 2".to_owned()), "{log:?}");
}

#[test]
fn an_output_that_was_not_written_is_a_fault() {
    let house = House::new();
    assert_eq!(house.run(vec![fake("lazy", json!({"do": "nothing"}))]).fault("lazy").code, "worker::missing_output");
}

#[test]
fn without_keep_going_nothing_new_starts() {
    let house = House::new();
    let options = RunOptions { jobs: Some(1), ..house.options.clone() };
    let stages = vec![
        fake("bad", json!({"do": "fault"})),
        fake("other", json!({"do": "copy"})),
        fake("third", json!({"do": "random"})),
    ];
    let ran = house.run_with(stages, &options, &CancellationToken::new());
    ran.did(&[], &[]).is_well_formed();
    assert_eq!(ran.summary().ended(End::Skipped), ["other", "third"]);
}

#[test]
fn attempts_are_made_as_often_as_asked_for() {
    let house = House::new();
    let flaky = fake("flaky", json!({"do": "flaky", "flag": "flag"}));
    let ran = house.run(vec![StageSpec { retries: 1, ..flaky }]);
    ran.did(&["flaky"], &[]).is_well_formed();
    assert_eq!(ran.faults("flaky")[0].code, "data::changed");
    let attempts: Vec<u32> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            Event::StageStarted { attempt, .. } => Some(*attempt),
            _ => None,
        })
        .collect();
    assert_eq!(attempts, [1, 2]);
    let hopeless = house.run(vec![StageSpec { retries: 2, ..fake("bad", json!({"do": "fault", "log": "log"})) }]);
    hopeless.is_well_formed();
    assert_eq!(hopeless.faults("bad").len(), 3);
}

#[test]
fn a_stage_that_takes_too_long_is_ended() {
    let house = House::new();
    let limit = Some(Duration::from_millis(200));
    let slow = |name: &str, seconds: f64| StageSpec {
        timeout: limit,
        ..fake(name, json!({"do": "copy", "text": name, "seconds": seconds}))
    };
    let options = RunOptions { keep_going: true, ..house.options.clone() };
    let command = StageSpec { timeout: limit, ..shell("program", "sleep 61.125; touch o", &[], &["o"]) };
    let ran =
        house.run_with(vec![slow("slow", 60.0), slow("quick", 0.0), command], &options, &CancellationToken::new());
    ran.did(&["quick"], &[]);
    let fault = ran.fault("slow");
    assert_eq!(
        (fault.code.as_str(), fault.route.unwrap().to_string().as_str()),
        ("run::timeout", "stages.slow.timeout")
    );
    assert!(fault.message.contains("within 0.2 s"), "{}", fault.message);
    assert_eq!(ran.fault("program").code, "run::timeout");
    assert!(processes_with("sleep\u{0}61.125").is_empty());
}

#[test]
fn a_stage_that_takes_too_much_memory_is_ended() {
    let house = House::new();
    let limits = Resources { memory: Some(1024), ..Resources::default() };
    let ran = house.run(vec![StageSpec { resources: limits, ..fake("fat", json!({"do": "copy", "seconds": 60})) }]);
    let fault = ran.fault("fat");
    assert_eq!(
        (fault.code.as_str(), fault.route.unwrap().to_string().as_str()),
        ("run::memory", "stages.fat.resources.memory")
    );
}

#[test]
fn a_program_that_is_not_there_is_a_fault_with_a_way_out() {
    let house = House::new();
    let late = || StageSpec { kind: "late".into(), ..fake("model", json!({"do": "copy"})) };
    let fault = house.run(vec![StageSpec { retries: 3, ..late() }]).fault("model");
    assert_eq!(fault.code, "worker::missing");
    assert!(fault.help.unwrap().contains("PIPELINE_WORKERS"));

    let programs = |path: &str| Programs::from([(Program::Torch, house.root.join(path))]);
    let with = |path: &str| RunOptions { programs: programs(path), ..house.options.clone() };
    let code = |path: &str| house.run_with(vec![late()], &with(path), &CancellationToken::new()).fault("model");
    assert_eq!(code("nowhere").code, "worker::missing");
    house.write("text", "no program");
    assert_eq!(code("text").code, "worker::not_executable");
    let script = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        house.write(name, text);
        let path = house.root.join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("dies", "#!/bin/sh\necho libtorch_cpu.so: not found >&2\nexit 127\n");
    let fault = code("dies");
    assert_eq!(fault.code, "worker::no_hello");
    assert!(
        fault.message.contains("exit code 127") && fault.message.contains("libtorch_cpu.so: not found"),
        "{fault:?}"
    );
    script("chats", "#!/bin/sh\necho hello there\n");
    assert_eq!(code("chats").code, "worker::wrong_protocol");
    let old = |variable: &str| format!("#!/bin/sh\n{variable} exec {}\n", yard::worker().display());
    script("old", &old("FAKE_PROTOCOL=0"));
    let fault = code("old");
    assert_eq!(fault.code, "worker::wrong_protocol");
    assert!(fault.message.contains("speaks protocol 0, this `pipeline` speaks 1"), "{}", fault.message);
    script("other", &old("FAKE_LIBTORCH=2.12.0"));
    let fault = code("other");
    assert_eq!(fault.code, "worker::wrong_tool");
    assert!(fault.message.contains("`2.12.0`") && fault.message.contains("`2.13.0`"), "{}", fault.message);
}

#[test]
fn a_device_that_is_not_there_is_a_fault() {
    let house = House::new();
    let options = RunOptions {
        programs: Programs::from([(Program::Torch, yard::worker())]),
        environment: Environment { tools: [(Program::Torch, "2.13.0".to_owned())].into(), ..Environment::default() },
        ..house.options.clone()
    };
    let stage =
        StageSpec { kind: "late".into(), device: Some("cuda:1".into()), ..fake("model", json!({"do": "copy"})) };
    let fault = house.run_with(vec![stage], &options, &CancellationToken::new()).fault("model");
    assert_eq!(
        (fault.code.as_str(), fault.route.unwrap().to_string().as_str()),
        ("device::missing", "stages.model.device")
    );
}

/// Cancels as soon as a file is there, and says how long the run took to end after that.
fn cancel_when(house: &House, file: &str, stages: Vec<StageSpec>) -> (Ran, Duration) {
    let cancel = CancellationToken::new();
    let (token, path) = (cancel.clone(), house.root.join(file));
    let canceller = std::thread::spawn(move || {
        eventually("the stage runs", || path.exists());
        token.cancel();
        Instant::now()
    });
    let ran = house.run_with(stages, &house.options, &cancel);
    let ended = Instant::now();
    (ran, ended.duration_since(canceller.join().unwrap()))
}

#[test]
fn a_cancel_ends_everything_and_leaves_nothing() {
    let house = House::new();
    let stages = || {
        vec![
            // A program that does not want to end, with a child of its own.
            shell("stubborn", "trap '' TERM INT; echo go > started; sleep 61.25 & sleep 61.25; touch o", &[], &["o"]),
            fake("slow", json!({"do": "copy", "seconds": 60, "log": "log"})),
            fake("below", json!({"do": "copy"})).input("data", "slow"),
        ]
    };
    let (ran, took) = cancel_when(&house, "started", stages());
    ran.did(&[], &[]).is_well_formed();
    assert_eq!(ran.summary().outcome, Outcome::Cancelled);
    assert_eq!(ran.summary().outcome.exit_code(), 130);
    assert_eq!(ran.summary().skipped, 3);
    // Far below the minute the stages would take; how far is measured, not asserted.
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(processes_with("sleep\u{0}61.25").is_empty());
    let worker = yard::worker();
    let own = |pid: &u32| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == house.root.canonicalize().unwrap())
    };
    assert_eq!(processes_with(&worker.to_string_lossy()).iter().filter(|pid| own(pid)).count(), 0);
    assert!(house.left_in_staging().is_empty());
    // Nothing was recorded.
    let mut again = stages();
    again[0].params["run"] = "touch o".into();
    again[1].params["seconds"] = 0.into();
    house.run(again).did(&["stubborn", "slow", "below"], &[]);
}

#[test]
fn a_cancelled_run_starts_nothing() {
    let house = House::new();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let ran = house.run_with(vec![fake("a", json!({"do": "copy", "log": "log"}))], &house.options, &cancel);
    assert_eq!(ran.summary().outcome, Outcome::Cancelled);
    assert!(!house.root.join("log").exists());
}

#[test]
fn an_input_edited_while_a_stage_runs_is_read_again() {
    let house = House::new();
    house.write("in.txt", "old");
    // Edits its own input in the first run, as a person would meanwhile.
    let run = "cat in.txt > out.txt; echo x >> count; if [ ! -e edited ]; then touch edited; printf new > in.txt; fi";
    let stages = || vec![shell("copy", run, &["in.txt"], &["out.txt"])];
    let ran = house.run(stages());
    ran.did(&["copy"], &[]).is_well_formed();
    assert_eq!(house.read("out.txt"), "new");
    assert_eq!(house.read("count").lines().count(), 2);
    let log = ran.log("copy");
    assert!(log.iter().any(|line| line.starts_with("`in.txt` changed while the stage ran")), "{log:?}");
    house.run(stages()).did(&[], &["copy"]);
    // What was old is not recorded under any key.
    house.write("in.txt", "old");
    house.run(stages()).did(&["copy"], &[]);
    assert_eq!(house.read("out.txt"), "old");
}

#[test]
fn an_input_that_never_holds_still_is_a_fault() {
    let house = House::new();
    house.write("in.txt", "x");
    let ran = house.run(vec![shell("worm", "cat in.txt > out.txt; printf x >> in.txt", &["in.txt"], &["out.txt"])]);
    ran.is_well_formed();
    let fault = ran.fault("worm");
    assert_eq!(fault.code, "run::inputs_keep_changing");
    assert!(fault.message.contains("`in.txt`"), "{}", fault.message);
}

#[test]
fn the_same_key_with_other_bytes_is_said() {
    let house = House::new();
    let stages =
        || vec![fake("dice", json!({"do": "random"})), fake("below", json!({"do": "copy"})).input("data", "dice")];
    let first = house.run(stages());
    assert!(first.warnings().is_empty());
    let forced = house.run_with(stages(), &house.force(), &CancellationToken::new());
    let warnings = forced.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].code, "run::unstable");
    let message = &warnings[0].message;
    assert!(message.contains("`dice`") && message.contains(&first.output("dice")[..12]), "{message}");
    assert!(message.contains(&forced.output("dice")[..12]), "{message}");
}

#[test]
fn a_damaged_or_lost_blob_is_made_again() {
    let house = House::new();
    house.write("data.csv", "1");
    let first = house.run(chain("c"));
    let digest = first.output("clean");
    let path = house.root.join(".pipeline/blobs-v1").join(&digest[..2]).join(&digest[2..]);
    let damage = |bytes: Option<&str>| {
        std::fs::remove_file(&path).unwrap();
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
    };
    let right = std::fs::read_to_string(&path).unwrap();
    for bytes in [None, Some("short"), Some(&right.replace('c', "X")[..])] {
        damage(bytes);
        let ran = house.run(chain("c"));
        ran.did(&["clean"], &["raw", "model"]);
        assert_eq!(ran.reasons("clean"), [Reason::OutputLost { port: "main".into(), digest: digest.clone() }]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), right);
        house.run(chain("c")).did(&[], &["raw", "clean", "model"]);
    }
}

#[test]
fn a_gate_that_is_not_met_is_recorded_and_stops_what_is_below() {
    let house = House::new();
    let stages = || {
        vec![
            fake("verdict", json!({"do": "gate", "log": "log"})),
            fake("ship", json!({"do": "copy"})).input("data", "verdict"),
            fake("other", json!({"do": "copy"})),
        ]
    };
    for times in 0..2 {
        let ran = house.run(stages());
        if times == 0 {
            ran.did(&["verdict", "other"], &[]);
            let unmet = ran.events.iter().find_map(|event| match event {
                Event::StageDone { unmet, .. } if !unmet.is_empty() => Some(unmet[0].clone()),
                _ => None,
            });
            assert_eq!(unmet.unwrap().route.unwrap().to_string(), "stages.verdict");
        } else {
            ran.did(&[], &["verdict", "other"]);
            let said = |event: &Event| matches!(event, Event::StageLog { level: Level::Error, text, .. } if text.contains("below 0.9"));
            assert!(ran.events.iter().any(said));
        }
        ran.is_well_formed();
        assert_eq!(ran.summary().outcome, Outcome::GateNotMet);
        assert_eq!(ran.summary().ended(End::Skipped), ["ship"]);
    }
    assert_eq!(house.read("log").lines().count(), 1);
}

#[test]
fn copies_in_the_project_are_put_back() {
    let house = House::new();
    house.write("in.txt", "v1");
    let stages = || {
        vec![
            shell("make", "echo x >> count; mkdir -p out/sub && cp in.txt out/sub/a.txt", &["in.txt"], &["out"]),
            shell("use", "echo y >> count; cat out/sub/a.txt > used.txt", &["out/sub/a.txt"], &["used.txt"]),
            fake("export", json!({"do": "copy", "outs": ["final/model.bin"]})).input("data", "use"),
        ]
    };
    house.run(stages()).did(&["make", "use", "export"], &[]);
    assert_eq!(house.read("final/model.bin"), "v1");
    std::fs::remove_dir_all(house.root.join("out")).unwrap();
    std::fs::remove_file(house.root.join("used.txt")).unwrap();
    house.write("final/model.bin", "something else");
    house.run(stages()).did(&[], &["make", "use", "export"]);
    assert_eq!((house.read("out/sub/a.txt"), house.read("used.txt")), ("v1".into(), "v1".into()));
    assert_eq!(house.read("final/model.bin"), "v1");

    // Another version, and back: what belongs to it is there without a run.
    house.write("in.txt", "v2");
    house.run(stages()).did(&["make", "use", "export"], &[]);
    assert_eq!(house.read("final/model.bin"), "v2");
    house.write("in.txt", "v1");
    house.run(stages()).did(&[], &["make", "use", "export"]);
    assert_eq!((house.read("out/sub/a.txt"), house.read("final/model.bin")), ("v1".into(), "v1".into()));
    assert_eq!(house.read("count").lines().count(), 4);
}

#[test]
fn a_program_says_how_it_failed() {
    let house = House::new();
    let fault = |run: &str| house.run(vec![shell("it", run, &[], &["o"])]).fault("it");
    let failed = fault("echo one; echo two >&2; exit 3");
    assert_eq!(failed.code, "command::failed");
    assert!(
        failed.message.starts_with("the command of `it` ended with exit code 3; its last lines:"),
        "{}",
        failed.message
    );
    assert!(failed.message.contains("\n  one") && failed.message.contains("\n  two"), "{}", failed.message);
    assert_eq!(failed.route.unwrap().to_string(), "stages.it.run");
    assert!(fault("false\ntouch o").message.contains("exit code 1"), "the first failing line ends it");
    assert!(fault("no-such-program-here").help.unwrap().contains("not found"));
    assert!(fault("kill -SEGV $$").message.contains("SIGSEGV"));
    let missing = fault("true");
    assert_eq!(
        (missing.code.as_str(), missing.route.unwrap().to_string().as_str()),
        ("command::missing_output", "stages.it.outs[0]")
    );
}

#[test]
fn an_old_output_does_not_pass_for_a_new_one() {
    let house = House::new();
    house.write("o", "left over");
    assert_eq!(house.run(vec![shell("it", "true", &[], &["o"])]).fault("it").code, "command::missing_output");
}

#[test]
fn a_program_sees_its_inputs_and_what_it_declares() {
    let house = House::new();
    let mut stage = shell(
        "it",
        "cat \"$INPUT_RAW\" > o; echo \"${CARGO_PKG_NAME:-unset} ${CARGO_MANIFEST_DIR:-unset}\" >> o; pwd >> o; cat >> o",
        &[],
        &["o"],
    )
    .input("raw", "made");
    stage.params["env"] = json!(["CARGO_PKG_NAME"]);
    house.run(vec![fake("made", json!({"do": "copy", "text": "bytes\n"})), stage]).did(&["made", "it"], &[]);
    let root = house.root.canonicalize().unwrap();
    assert_eq!(house.read("o"), format!("bytes\nengine unset\n{}\n", root.display()));
}

#[test]
fn what_a_program_leaves_in_the_background_ends_with_it() {
    let house = House::new();
    house.run(vec![shell("it", "sleep 62.5 & echo done > o", &[], &["o"])]).did(&["it"], &[]);
    assert!(processes_with("sleep\u{0}62.5").is_empty());
}

#[test]
fn two_runs_at_once_do_the_work_once() {
    let house = House::new();
    let stages = || {
        vec![
            fake("slow", json!({"do": "copy", "text": "s", "seconds": 0.5, "log": "log"})),
            shell("program", "echo x >> log; sleep 0.3; cat \"$INPUT_DATA\" > o", &[], &["o"]).input("data", "slow"),
        ]
    };
    let (first, second) = std::thread::scope(|scope| {
        let one = scope.spawn(|| house.run(stages()));
        let two = scope.spawn(|| house.run(stages()));
        (one.join().unwrap(), two.join().unwrap())
    });
    assert_eq!(house.read("log").lines().count(), 2, "{:#?}\n{:#?}", first.events, second.events);
    assert_eq!(first.summary().ran + second.summary().ran, 2);
    assert_eq!(first.summary().hit + second.summary().hit, 2);
    assert_eq!(first.output("program"), second.output("program"));
    let waited = |ran: &Ran| ran.log("slow").iter().any(|line| line.starts_with("waits for"));
    assert!(waited(&first) || waited(&second), "{:#?}\n{:#?}", first.events, second.events);
}

#[test]
fn two_equal_stages_of_one_run_do_the_work_once() {
    let house = House::new();
    let twin = |name: &str| fake(name, json!({"do": "copy", "text": "t", "seconds": 0.3, "log": "log"}));
    let ran = house.run(vec![twin("a"), twin("b")]);
    ran.is_well_formed();
    assert_eq!((ran.summary().ran, ran.summary().hit), (1, 1));
    assert_eq!(house.read("log").lines().count(), 1);
}

#[test]
fn what_a_worker_says_is_heard() {
    let house = House::new();
    let ran = house.run(vec![fake("a", json!({"do": "copy"}))]);
    assert!(ran.log("a").contains(&"running a".to_owned()));
    assert!(ran.events.iter().any(|event| matches!(event, Event::StageProgress { .. })));
    assert!(ran.events.iter().any(|event| matches!(event, Event::StageMetric { .. })));
    let done = ran.events.iter().find_map(|event| match event {
        Event::StageDone { summary, .. } => Some(summary.clone()),
        _ => None,
    });
    assert_eq!(done.unwrap(), std::collections::BTreeMap::from([("accuracy".to_owned(), 0.5)]));
    let hit = house.run(vec![fake("a", json!({"do": "copy"}))]);
    let summary = hit.events.iter().find_map(|event| match event {
        Event::StageHit { summary, .. } => Some(summary.clone()),
        _ => None,
    });
    assert_eq!(summary.unwrap()["accuracy"], 0.5);
    let record = house.store().last("a").unwrap().unwrap();
    assert_eq!(record.observations["measured"], 1);
    assert!(record.observations["took"].as_f64().unwrap() > 0.0);
    assert!(record.observations["peak_memory"].as_u64().unwrap() > 0);
    let runs = house.store().runs(10).unwrap();
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|(_, run)| run["outcome"] == "success"));
}

#[test]
fn a_missing_file_is_said_with_its_place() {
    let house = House::new();
    house.write("data.csv", "1");
    let plan = house.plan(chain("c"));
    std::fs::remove_file(house.root.join("data.csv")).unwrap();
    let ran = yard::run(plan, house.store(), house.options.clone(), CancellationToken::new());
    let fault = ran.fault("raw");
    assert_eq!(
        (fault.code.as_str(), fault.route.unwrap().to_string().as_str()),
        ("file::missing", "stages.raw.deps[0]")
    );
}
