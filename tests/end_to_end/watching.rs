//! `pipeline watch` reruns what changed, and a newer change cancels the run in flight.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::house::{House, signal};

struct Watching {
    child: Child,
    lines: Receiver<Value>,
}

impl Watching {
    fn start(house: &House) -> Self {
        let mut child = house.start(&["watch", "--json"]);
        let stdout = child.stdout.take().expect("stdout");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str(&line)
                    && sender.send(value).is_err()
                {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The events up to and with the next one that fits.
    fn until(&self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let event = self.lines.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("after {seen:#?}"));
            let found = fits(&event);
            seen.push(event);
            if found {
                return seen;
            }
        }
    }

    fn finish(&self) -> Vec<String> {
        let seen = self.until(|event| event["event"] == "run_finished");
        seen.iter()
            .filter(|event| event["event"] == "stage_done")
            .map(|event| event["stage"].as_str().expect("a stage").to_owned())
            .collect()
    }

    fn stop(mut self) {
        signal(self.child.id(), "INT");
        assert_eq!(self.child.wait().expect("an end").code(), Some(130));
    }
}

const TWO: &str = "
pipeline: two
stages:
  first: { kind: command, run: tr a-z A-Z < in.txt > first.txt, deps: [in.txt], outs: [first.txt] }
  second: { kind: command, run: wc -c < first.txt > second.txt, deps: [first.txt], outs: [second.txt] }
";

#[test]
fn an_edit_reruns_what_it_changes() {
    let house = House::of(TWO);
    house.write("in.txt", "abc");
    let watching = Watching::start(&house);
    assert_eq!(watching.finish(), ["first", "second"]);
    // As editors do: a new file renamed over the old one.
    house.write("in.txt.new", "xyz");
    std::fs::rename(house.path().join("in.txt.new"), house.path().join("in.txt")).expect("renamed");
    assert_eq!(watching.finish(), ["first", "second"]);
    assert_eq!(house.read("first.txt"), "XYZ");
    house.edit("pipeline.yaml", "wc -c", "wc -m");
    assert_eq!(watching.finish(), ["second"]);
    watching.stop();
}

#[test]
fn a_broken_edit_is_told_and_the_next_one_goes_on() {
    let house = House::of(TWO);
    house.write("in.txt", "abc");
    let watching = Watching::start(&house);
    watching.finish();
    house.edit("pipeline.yaml", "kind: command", "kind: comand");
    std::thread::sleep(Duration::from_millis(700));
    house.edit("pipeline.yaml", "kind: comand", "kind: command");
    house.write("in.txt", "abcd");
    assert!(watching.finish().contains(&"first".to_owned()) || watching.finish().contains(&"first".to_owned()));
    watching.stop();
}

#[test]
fn a_newer_change_cancels_the_run_in_flight() {
    let house = House::of(
        "
pipeline: slow
stages:
  slow: { kind: command, run: sleep $(cat in.txt) && cp in.txt out.txt, deps: [in.txt], outs: [out.txt] }
",
    );
    house.write("in.txt", "1000");
    let watching = Watching::start(&house);
    watching.until(|event| event["event"] == "stage_started");
    // Long enough for the shell to have read the file; the stage itself would take 1,000 s.
    std::thread::sleep(Duration::from_millis(500));
    house.write("in.txt", "0");
    let cancelled = watching.until(|event| event["event"] == "run_finished");
    assert_eq!(cancelled.last().expect("events")["outcome"], "cancelled");
    assert_eq!(watching.finish(), ["slow"]);
    assert_eq!(house.read("out.txt"), "0");
    watching.stop();
}

/// Runs that followed within a second, after the first one that was waited for.
fn further_runs(watching: &Watching) -> usize {
    let mut runs = 0;
    while let Ok(event) = watching.lines.recv_timeout(Duration::from_secs(1)) {
        runs += usize::from(event["event"] == "run_started");
    }
    runs
}

#[test]
fn every_way_of_saving_gives_one_run() {
    let house = House::of(
        "
pipeline: many
stages:
  all: { kind: command, run: cat in.txt data/*.txt > all.txt, deps: [in.txt, data], outs: [all.txt] }
",
    );
    house.write("in.txt", "0");
    for number in 0..40 {
        house.write(&format!("data/{number}.txt"), "0");
    }
    let watching = Watching::start(&house);
    assert_eq!(watching.finish(), ["all"]);
    // Renamed over, with a backup as vim makes it.
    house.write("4913", "");
    std::fs::remove_file(house.path().join("4913")).expect("removed");
    std::fs::rename(house.path().join("in.txt"), house.path().join("in.txt~")).expect("renamed");
    house.write("in.txt", "1");
    std::fs::remove_file(house.path().join("in.txt~")).expect("removed");
    assert_eq!(watching.finish(), ["all"]);
    assert_eq!(further_runs(&watching), 0);
    // Truncated, then written a moment later.
    house.write("in.txt", "");
    std::thread::sleep(Duration::from_millis(20));
    house.write("in.txt", "2");
    assert_eq!(watching.finish(), ["all"]);
    assert_eq!(further_runs(&watching), 0);
    // Many files, one after the other, as a checkout writes them.
    for number in 0..40 {
        let path = format!("data/{number}.txt");
        std::fs::remove_file(house.path().join(&path)).expect("removed");
        house.write(&path, "3");
    }
    assert_eq!(watching.finish(), ["all"]);
    assert_eq!(further_runs(&watching), 0);
    // Saved without a change: nothing.
    house.write("in.txt", "2");
    assert_eq!(further_runs(&watching), 0);
    watching.stop();
}

#[test]
fn a_newer_change_leaves_alone_what_it_does_not_concern() {
    let house = House::of(
        "
pipeline: spared
stages:
  long: { kind: command, run: 'echo x >> began.log; sleep 3; cp a.txt long.txt', deps: [a.txt], outs: [long.txt] }
  short: { kind: command, run: cp b.txt short.txt, deps: [b.txt], outs: [short.txt] }
  below: { kind: command, run: cat long.txt short.txt > below.txt, deps: [long.txt, short.txt], outs: [below.txt] }
",
    );
    house.write("a.txt", "a");
    house.write("b.txt", "1");
    let watching = Watching::start(&house);
    // Both have begun by then, in whatever order.
    let events = watching.until(|event| event["event"] == "stage_done" && event["stage"] == "short");
    if !events.iter().any(|event| event["event"] == "stage_started" && event["stage"] == "long") {
        watching.until(|event| event["event"] == "stage_started" && event["stage"] == "long");
    }
    house.write("b.txt", "2");
    let cancelled = watching.until(|event| event["event"] == "run_finished");
    assert_eq!(cancelled.last().expect("events")["outcome"], "cancelled");
    // Of the run that was replaced every stage has an end.
    let ended = |stage: &str| {
        let ends = ["stage_done", "stage_hit", "stage_skipped"];
        let of = |event: &&serde_json::Value| event["stage"] == stage && ends.iter().any(|end| event["event"] == *end);
        events.iter().chain(&cancelled).filter(of).count()
    };
    assert_eq!(["long", "short", "below"].map(ended), [1, 1, 1], "{events:#?}{cancelled:#?}");
    let seen = watching.until(|event| event["event"] == "run_finished");
    assert_eq!(seen.last().expect("events")["outcome"], "success", "{seen:#?}");
    assert!(seen.iter().any(|event| event["event"] == "stage_hit" && event["stage"] == "long"), "{seen:#?}");
    assert_eq!(house.read("began.log"), "x\n", "it began once");
    assert_eq!(house.read("short.txt"), "2");
    watching.stop();
}

/// Long enough for the program to have seen a change and found that it cannot go on from there.
fn a_moment() {
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn a_dependency_that_was_missing_is_seen_when_it_comes() {
    let house = House::of(TWO);
    // Missing from the start.
    let watching = Watching::start(&house);
    a_moment();
    house.write("in.txt", "a");
    assert_eq!(watching.finish(), ["first", "second"]);
    // Deleted and made anew, twice: nothing is forgotten in between.
    for text in ["bc", "def"] {
        std::fs::remove_file(house.path().join("in.txt")).expect("removed");
        a_moment();
        house.write("in.txt", text);
        assert_eq!(watching.finish(), ["first", "second"]);
        assert_eq!(house.read("first.txt"), text.to_uppercase());
    }
    house.write("in.txt", "ghij");
    assert_eq!(watching.finish(), ["first", "second"]);
    watching.stop();
}

#[test]
fn a_folder_of_dependencies_that_goes_and_comes_back_is_watched_again() {
    let house = House::of(
        "
pipeline: away
stages:
  all: { kind: command, run: cat data/*.txt deep/er/in.txt > all.txt, deps: [data, deep/er/in.txt], outs: [all.txt] }
",
    );
    house.write("data/a.txt", "1");
    house.write("deep/er/in.txt", "1");
    let path = |name: &str| house.path().join(name);
    let watching = Watching::start(&house);
    assert_eq!(watching.finish(), ["all"]);
    // Moved away and back: the same bytes are no work.
    for folder in ["data", "deep"] {
        std::fs::rename(path(folder), path("elsewhere")).expect("moved");
        a_moment();
        std::fs::rename(path("elsewhere"), path(folder)).expect("moved back");
        let seen = watching.until(|event| event["event"] == "run_finished");
        assert_eq!(seen.last().expect("events")["hit"], 1, "{seen:#?}");
    }
    house.write("data/a.txt", "2");
    assert_eq!(watching.finish(), ["all"]);
    house.write("deep/er/in.txt", "2");
    assert_eq!(watching.finish(), ["all"]);
    // Removed and made anew, one folder at a time.
    std::fs::remove_dir_all(path("deep")).expect("removed");
    a_moment();
    std::fs::create_dir(path("deep")).expect("made");
    a_moment();
    std::fs::create_dir(path("deep/er")).expect("made");
    a_moment();
    house.write("deep/er/in.txt", "3");
    assert_eq!(watching.finish(), ["all"]);
    std::fs::remove_dir_all(path("data")).expect("removed");
    a_moment();
    house.write("data/b.txt", "3");
    assert_eq!(watching.finish(), ["all"]);
    house.write("data/b.txt", "4");
    assert_eq!(watching.finish(), ["all"]);
    assert_eq!(house.read("all.txt"), "43");
    watching.stop();
}

/// One stage that says when it begins, and takes three seconds.
const SLOW: &str = "
pipeline: slow
stages:
  slow: { kind: command, run: 'echo x >> began.log; sleep 3; cp a.txt slow.txt', deps: [a.txt], outs: [slow.txt] }
";

#[test]
fn a_broken_edit_leaves_alone_what_runs() {
    let house = House::of(SLOW);
    house.write("a.txt", "a");
    let watching = Watching::start(&house);
    watching.until(|event| event["event"] == "stage_started");
    let text = house.read("pipeline.yaml");
    house.write("pipeline.yaml", text.replace("{ kind", "{{ kind"));
    a_moment();
    // What it reads is gone for a moment, too.
    std::fs::rename(house.path().join("a.txt"), house.path().join("b.txt")).expect("moved");
    a_moment();
    std::fs::rename(house.path().join("b.txt"), house.path().join("a.txt")).expect("moved back");
    house.write("pipeline.yaml", text);
    let mut outcomes = Vec::new();
    while outcomes.last().is_none_or(|outcome| outcome != "success") {
        let seen = watching.until(|event| event["event"] == "run_finished");
        let last = seen.last().expect("events");
        assert!(last["lost"].is_null(), "{seen:#?}");
        outcomes.push(last["outcome"].as_str().expect("an outcome").to_owned());
    }
    assert_eq!(further_runs(&watching), 0, "{outcomes:?}");
    assert_eq!(house.read("began.log"), "x\n", "it began once");
    assert_eq!(house.read("slow.txt"), "a");
    watching.stop();
}

#[test]
fn another_name_for_what_runs_does_not_begin_it_anew() {
    let house = House::of(SLOW);
    house.write("a.txt", "a");
    let watching = Watching::start(&house);
    watching.until(|event| event["event"] == "stage_started");
    house.edit("pipeline.yaml", "  slow:", "  quick:");
    let cancelled = watching.until(|event| event["event"] == "run_finished");
    let last = cancelled.last().expect("events");
    assert_eq!((&last["outcome"], &last["lost"]), (&"cancelled".into(), &Value::Null));
    let seen = watching.until(|event| event["event"] == "run_finished");
    assert!(seen.iter().any(|event| event["event"] == "stage_hit" && event["stage"] == "quick"), "{seen:#?}");
    assert_eq!(house.read("began.log"), "x\n", "it began once");
    watching.stop();
}

#[test]
fn what_reads_a_part_of_a_folder_goes_on_as_well() {
    let house = House::of(
        "
pipeline: part
stages:
  folder: { kind: command, run: 'mkdir dd; echo 1 > dd/1; echo 2 > dd/2', outs: [dd] }
  slow: { kind: command, run: 'echo x >> began.log; sleep 3; cp dd/2 slow.txt', deps: [dd/2], outs: [slow.txt] }
",
    );
    let watching = Watching::start(&house);
    watching.until(|event| event["event"] == "stage_started" && event["stage"] == "slow");
    house.edit(
        "pipeline.yaml",
        "  slow:",
        "  other: { kind: command, run: touch other.txt, outs: [other.txt] }\n  slow:",
    );
    let cancelled = watching.until(|event| event["event"] == "run_finished");
    assert!(cancelled.last().expect("events")["lost"].is_null(), "{cancelled:#?}");
    let seen = watching.until(|event| event["event"] == "run_finished");
    assert!(seen.iter().any(|event| event["event"] == "stage_hit" && event["stage"] == "slow"), "{seen:#?}");
    assert_eq!(house.read("began.log"), "x\n", "it began once");
    watching.stop();
}

#[test]
fn what_a_change_loses_is_said() {
    let house = House::of(&format!(
        "{SLOW}  other: {{ kind: command, run: 'sleep 1000; cp b.txt other.txt', deps: [b.txt], outs: [other.txt] }}\n"
    ));
    house.write("a.txt", "a");
    house.write("b.txt", "b");
    let watching = Watching::start(&house);
    for _ in 0..2 {
        watching.until(|event| event["event"] == "stage_started");
    }
    // One of the two is spared.
    house.edit("pipeline.yaml", "sleep 1000", "sleep 999");
    let seen = watching.until(|event| event["event"] == "run_finished");
    assert_eq!(seen.last().expect("events")["lost"], serde_json::json!(["other"]));
    assert!(seen.iter().any(|event| event["event"] == "stage_skipped" && event["because"] == "other"), "{seen:#?}");
    watching.until(|event| event["event"] == "stage_started" && event["stage"] == "other");
    // The other one alone is at work, sooner or later; nothing is spared.
    watching.until(|event| event["event"] == "stage_hit" && event["stage"] == "slow");
    house.edit("pipeline.yaml", "sleep 999; cp", "cp");
    let seen = watching.until(|event| event["event"] == "run_finished");
    assert_eq!(seen.last().expect("events")["lost"], serde_json::json!(["other"]));
    let seen = watching.until(|event| event["event"] == "run_finished");
    assert_eq!(seen.last().expect("events")["outcome"], "success");
    watching.stop();
}

#[test]
fn a_checkout_of_many_files_is_one_run() {
    let house = House::of(
        "
pipeline: checkout
stages:
  all: { kind: command, run: cat data/*.txt > all.txt, deps: [data], outs: [all.txt] }
",
    );
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.current_dir(house.path()).args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(args);
        let output = command.output().expect("git");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let all = |text: &str| (0..300).for_each(|number| house.write(&format!("data/{number}.txt"), text));
    git(&["init", "--quiet"]);
    house.write(".gitignore", "all.txt\npipeline.lock\n");
    for (branch, text) in [("one", "1"), ("two", "2")] {
        git(&["checkout", "--quiet", "-b", branch]);
        all(text);
        house.edit("pipeline.yaml", "pipeline: checkout", "pipeline: checkout # on a branch");
        git(&["add", "-A"]);
        git(&["commit", "--quiet", "-m", branch]);
    }
    let watching = Watching::start(&house);
    assert_eq!(watching.finish(), ["all"]);
    for (branch, ran) in [("one", 1), ("two", 0), ("one", 0)] {
        git(&["checkout", "--quiet", branch]);
        assert_eq!(watching.finish().len(), ran, "{branch}");
        assert_eq!(further_runs(&watching), 0, "{branch}");
    }
    watching.stop();
}

#[test]
fn a_stage_that_never_was_is_not_waited_for() {
    let house = House::of(SLOW);
    house.write("a.txt", "a");
    let said = house.say(&["watch", "slwo"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("cli::unknown_stage") && said.err.contains("`slow`"), "{}", said.err);
}
