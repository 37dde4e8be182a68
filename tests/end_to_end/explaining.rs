//! Logs, the lock file, verification, comparison of runs, pictures, and the events' schema.

use engine::event::Event;
use serde_json::Value;

use crate::house::{House, repository};

const TALKING: &str = "
pipeline: talking
stages:
  first: { kind: command, run: \"echo hello; echo oh >&2; echo 1 > first.txt\", outs: [first.txt] }
  second: { kind: command, run: \"cat first.txt in.txt > second.txt\", deps: [first.txt, in.txt], outs: [second.txt] }
";

fn talking() -> House {
    let house = House::of(TALKING);
    house.write("in.txt", "abc");
    house
}

fn json(house: &House, args: &[&str]) -> Value {
    let said = house.say(args);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err))
}

#[test]
fn what_stages_say_is_kept_also_of_attempts_that_fail() {
    let house = talking();
    house.run();
    let logs = house.say(&["logs", "first"]);
    let mut lines: Vec<&str> = logs.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["hello", "oh"], "{}", logs.err);
    house.edit(
        "pipeline.yaml",
        "kind: command, run: \"echo hello",
        "kind: command, retries: 1, run: \"echo bad; exit 3; echo hello",
    );
    assert_eq!(house.run_with(&[]).code, 1);
    let failed = json(&house, &["logs", "first", "--json"]);
    let attempts = failed["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 2, "{failed:#}");
    for attempt in attempts {
        assert_eq!(attempt["lines"][0]["text"], "bad");
        let last = attempt["lines"].as_array().and_then(|lines| lines.last()).expect("a line");
        assert_eq!(last["level"], "error");
        assert!(last["text"].as_str().is_some_and(|text| text.contains("exit code 3")), "{last}");
    }
    // The run before is still there.
    assert!(house.say(&["logs", "first", "--run", "~1"]).out.contains("hello"));
    assert_eq!(house.say(&["logs", "first", "--attempt", "3"]).code, 2);
    assert!(house.say(&["logs", "second"]).err.contains("cli::no_log"));
    assert!(house.say(&["logs", "frist"]).err.contains("did you mean `first`?"));
}

#[test]
fn the_lock_is_written_by_complete_runs_and_holds_them_to_it() {
    let house = talking();
    let missing = house.say(&["run", "--locked"]);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("lock::missing"), "{}", missing.err);
    house.run_with(&["first"]);
    assert!(!house.path().join("pipeline.lock").exists(), "a run of some stages locks nothing");
    house.run();
    let lock = house.read("pipeline.lock");
    house.run_with(&["--force"]);
    assert_eq!(house.read("pipeline.lock"), lock);
    assert_eq!(house.say(&["run", "--locked"]).code, 0);
    // Another source: told before anything runs, with the stage and the reason.
    house.write("in.txt", "abcd");
    let held = house.say(&["run", "--locked"]);
    assert_eq!(held.code, 2, "{}", held.err);
    for part in ["lock::changed", "`second`", "`in.txt` has other content"] {
        assert!(held.err.contains(part), "{part} is not in\n{}", held.err);
    }
    assert_eq!(house.read("second.txt"), "1\nabc");
    // A run of what did not change is not held up, and neither `--set` nor a failure writes the lock.
    assert_eq!(house.say(&["run", "--locked", "first"]).code, 0);
    house.run_with(&["--set", "stages.first.retries=2"]);
    assert_eq!(house.read("pipeline.lock"), lock);
    house.run();
    assert_ne!(house.read("pipeline.lock"), lock);
    assert_eq!(house.say(&["run", "--locked"]).code, 0);
}

#[test]
fn a_lock_holds_in_a_fresh_checkout() {
    let house = talking();
    house.run();
    let fresh = talking();
    fresh.write("pipeline.lock", house.read("pipeline.lock"));
    assert_eq!(fresh.say(&["run", "--locked"]).code, 0);
    let other = talking();
    other.write("pipeline.lock", house.read("pipeline.lock"));
    other.edit("pipeline.yaml", "echo 1 >", "echo 2 >");
    let held = other.say(&["run", "--locked"]);
    assert_eq!(held.code, 2);
    assert!(held.err.contains("`first` would change"), "{}", held.err);
    assert!(!other.path().join("first.txt").exists(), "nothing ran");
    // A stage that is in neither.
    fresh.edit("pipeline.yaml", "  second:", "  third:");
    assert!(fresh.say(&["run", "--locked"]).err.contains("`second` is in `pipeline.lock`"));
    fresh.write("pipeline.lock", "<<<<<<< ours");
    assert!(fresh.say(&["run", "--locked"]).err.contains("lock::unreadable"));
}

#[test]
fn verify_finds_what_is_not_the_same_twice() {
    let house = House::of(
        "
pipeline: clock
stages:
  steady: { kind: command, run: \"echo 1 > steady.txt\", outs: [steady.txt] }
  clock: { kind: command, run: \"(cat steady.txt; date +%N) > clock.txt\", deps: [steady.txt], outs: [clock.txt] }
  below: { kind: command, run: \"wc -l < clock.txt > below.txt\", deps: [clock.txt], outs: [below.txt] }
",
    );
    assert!(house.say(&["verify"]).err.contains("verify::not_recorded"));
    house.run();
    let clock = house.read("clock.txt");
    let said = house.say(&["verify"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.out.contains("≠ clock") && said.out.contains("line 2"), "{}", said.out);
    assert!(said.out.contains("= steady") && said.out.contains("= below"), "{}", said.out);
    // Nothing of it is recorded, and the project is as it was.
    assert_eq!(house.read("clock.txt"), clock);
    house.run().nothing_ran();
    assert_eq!(json(&house, &["runs", "--json"]).as_array().map(Vec::len), Some(2));
    assert_eq!(house.say(&["verify", "steady", "below"]).code, 0);
    let told = json(&house, &["verify", "clock", "--json"]);
    assert_eq!(told["stages"][0]["same"], false);
}

#[test]
fn two_runs_are_compared() {
    let house = House::of(
        "
pipeline: scores
stages:
  score: { kind: command, run: \"echo '{\\\"accuracy\\\": 0.5}' > score.json\", outs: [{ path: score.json, kind: metrics }] }
  after: { kind: command, run: 'wc -c < score.json > after.txt', deps: [score.json], outs: [after.txt] }
",
    );
    assert_eq!(house.say(&["diff"]).code, 2);
    house.run();
    house.edit("pipeline.yaml", "0.5", "0.75");
    house.run();
    let text = house.say(&["diff"]).out;
    for part in ["score", "0.5", "0.75", "output `score`"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let told = json(&house, &["diff", "~1", "latest", "--json"]);
    assert_eq!(told["stages"][0]["stage"], "score");
    assert_eq!(told["stages"][0]["changes"][0]["reason"], "parameter_changed");
    let none = json(&house, &["diff", "latest", "latest", "--json"]);
    assert_eq!(none["unchanged"], 2);
    let shown = json(&house, &["runs", "show", "--json"]);
    assert_eq!(shown["stages"][0]["end"], "ran");
    assert!(house.say(&["runs", "show", "~1"]).out.contains("score"));
    assert!(house.say(&["runs"]).out.contains("success"));
    assert!(house.say(&["runs", "show", "1999"]).err.contains("cli::unknown_run"));
}

#[test]
fn the_forecast_goes_by_last_time() {
    let house = House::of(
        "
pipeline: slow
stages:
  a: { kind: command, run: 'sleep 0.2; echo a > a.txt', outs: [a.txt] }
  b: { kind: command, run: 'sleep 0.2; cat a.txt > b.txt', deps: [a.txt], outs: [b.txt] }
",
    );
    assert_eq!(json(&house, &["plan", "--json"])["forecast"]["never_ran"], 2);
    house.run();
    house.edit("pipeline.yaml", "echo a", "echo b");
    let plan = json(&house, &["plan", "--json", "--jobs", "2"]);
    assert_eq!(plan["forecast"]["critical_path"], serde_json::json!(["a", "b"]));
    assert!(plan["forecast"]["time"].as_f64().is_some_and(|time| time >= 0.4), "{plan:#}");
    assert!(house.say(&["plan"]).out.contains("longest chain: a → b"));
}

#[test]
fn the_picture_shows_every_stage_and_edge() {
    let house = talking();
    house.run_with(&["first"]);
    let svg = house.say(&["graph", "--format", "svg"]).out;
    assert!(svg.starts_with("<svg") && svg.contains("first") && svg.contains("second"), "{svg}");
    assert!(svg.contains("prefers-color-scheme: dark") && svg.contains("1 up to date") && svg.contains("1 would run"));
    assert_eq!(svg.matches("class=\"edge\"").count(), 1);
    assert_eq!(house.say(&["graph", "--format", "svg", "-o", "graph.svg"]).code, 0);
    assert!(house.read("graph.svg").ends_with("</svg>\n"));
}

#[test]
fn every_event_is_as_the_published_schema_says() {
    let published = repository().join("schemas/events.schema.json");
    let house = talking();
    let text = house.say(&["schema", "--events"]).out;
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::write(&published, &text).expect("written");
    }
    let fresh = std::fs::read_to_string(&published).expect("the schema");
    assert_eq!(text, fresh, "run with UPDATE_SAMPLES=1");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let validator = jsonschema::draft202012::options().build(&schema).expect("a schema");
    let mut names = std::collections::BTreeSet::new();
    let mut check = |events: &[Value]| {
        for event in events {
            let faults: Vec<String> = validator.iter_errors(event).map(|error| error.to_string()).collect();
            assert_eq!(faults, [] as [String; 0], "{event:#}");
            names.insert(event["event"].as_str().unwrap_or_default().to_owned());
        }
    };
    check(&house.run().events);
    house.edit("pipeline.yaml", "echo 1 >", "exit 2 >");
    check(&house.run_with(&[]).events);
    house.edit("pipeline.yaml", "exit 2 >", "echo 1 >");
    check(&house.run().events);
    // Other bytes for the same: said of the run.
    house.edit("pipeline.yaml", "echo 1 >", "cat /proc/sys/kernel/random/uuid >");
    check(&house.run().events);
    check(&house.run_with(&["--force", "first"]).events);
    // No kind of this catalog proposes children of its own: the event is taken from the engine.
    let expanded = Event::StageExpanded { stage: "tune".into(), children: vec!["tune[0]".into()] };
    check(&[serde_json::to_value(&expanded).expect("an event")]);
    let penguins = House::example("penguins");
    check(&penguins.run_with(&["--set", "stages.model.epochs=2"]).events);
    for name in [
        "run_started",
        "stage_hit",
        "stage_started",
        "stage_expanded",
        "stage_progress",
        "stage_metric",
        "stage_log",
        "stage_done",
        "stage_failed",
        "stage_skipped",
        "warning",
        "run_finished",
    ] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    assert!(!validator.is_valid(&serde_json::json!({ "event": "stage_hit", "stage": 1 })));
    // The page tells of every event.
    let page = std::fs::read_to_string(repository().join("docs/events.md")).expect("the page");
    for variant in schema["oneOf"].as_array().expect("variants") {
        let name = variant["properties"]["event"]["const"].as_str().expect("a name");
        assert!(page.contains(&format!("`{name}`")), "docs/events.md does not tell of `{name}`");
    }
}

/// A pipeline of eight programs over two files; every number is a parameter of one of them.
fn numbered(numbers: &[u64; 8]) -> String {
    let mut yaml = String::from("pipeline: random\nstages:\n");
    for (at, number) in numbers.iter().enumerate() {
        let deps: Vec<String> = match at {
            0 => vec!["a.txt".into()],
            1 => vec!["b.txt".into()],
            2 | 3 => vec!["0.out".into(), "1.out".into()],
            _ => vec![format!("{}.out", at - 1), format!("{}.out", at / 2)],
        };
        // Only the parity of the number reaches the output: some changes stop at the stage itself.
        let run = format!("(echo $(({number} % 2)); cat {}) > {at}.out", deps.join(" "));
        yaml.push_str(&format!(
            "  s{at}: {{ kind: command, run: '{run}', deps: [{}], outs: [{at}.out] }}\n",
            deps.join(", ")
        ));
    }
    yaml
}

#[test]
fn what_plan_says_is_what_run_does() {
    let house = House::empty();
    let mut numbers = [0; 8];
    house.write("pipeline.yaml", numbered(&numbers));
    house.write("a.txt", "0");
    house.write("b.txt", "0");
    // Numerical Recipes' linear congruential generator: the same edits in every run of the test.
    let mut state: u64 = 7;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (mut hits, mut misses) = (0, 0);
    for _ in 0..20 {
        let plan = json(&house, &["plan", "--json"]);
        let ran = house.run();
        let end = |stage: &str, event: &str| ran.events.iter().any(|of| of["event"] == event && of["stage"] == stage);
        for stage in plan["stages"].as_array().expect("stages") {
            let name = stage["stage"].as_str().expect("a name");
            match stage["state"].as_str() {
                Some("reuse") => {
                    assert!(end(name, "stage_hit"), "{name} was said to be a hit\n{plan:#}");
                    hits += 1;
                }
                Some("run") => {
                    assert!(end(name, "stage_done"), "{name} was said to run\n{plan:#}");
                    misses += 1;
                }
                _ => assert!(end(name, "stage_hit") || end(name, "stage_done")),
            }
        }
        match random(5) {
            0 => house.write("a.txt", random(3).to_string()),
            1 => house.write("b.txt", random(3).to_string()),
            2 => std::fs::remove_file(house.path().join(format!("{}.out", random(8)))).expect("removed"),
            _ => {
                numbers[random(8) as usize] = random(4);
                house.write("pipeline.yaml", numbered(&numbers));
            }
        }
    }
    assert!(hits > 20 && misses > 10, "{hits} hits, {misses} misses");
}

#[test]
fn a_graph_of_many_children_is_readable() {
    let house = House::of(
        "pipeline: many
stages:
  raw: { kind: command, run: echo 1 > raw.txt, outs: [raw.txt] }
  part: { kind: command, matrix: { n: 20, of: [a, b] }, run: 'cat raw.txt > ${matrix.n}${matrix.of}.txt', deps: [raw.txt], outs: ['${matrix.n}${matrix.of}.txt'] }
  all: { kind: command, inputs: { parts: 'part[*]' }, run: echo 1 > all.txt, outs: [all.txt] }
",
    );
    house.edit("pipeline.yaml", "n: 20", &format!("n: {:?}", (0..20).collect::<Vec<_>>()));
    let text = house.say(&["graph"]).out;
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("part[*]") && text.contains("← raw"), "{text}");
    assert_eq!(house.say(&["graph", "--all"]).out.lines().count(), 42);
    let svg = house.say(&["graph", "--format", "svg"]).out;
    assert!(svg.contains("40 stages") && svg.matches("<rect").count() < 10, "{svg}");
    // A stage between two children of one family: as one the family would stand above and below it.
    house.edit("pipeline.yaml", "deps: [raw.txt]", "deps: ['${matrix.n}.txt']");
    house.edit("pipeline.yaml", "${matrix.n}${matrix.of}", "o${matrix.n}${matrix.of}");
    house.edit("pipeline.yaml", "['${matrix.n}${matrix.of}.txt']", "['o${matrix.n}${matrix.of}.txt']");
    (0..19).for_each(|n| house.write(&format!("{n}.txt"), "x"));
    house.edit(
        "pipeline.yaml",
        "  all:",
        "  between: { kind: command, run: cp o0a.txt 19.txt, deps: [o0a.txt], outs: [19.txt] }\n  all:",
    );
    assert_eq!(house.say(&["graph"]).out.lines().count(), 43, "{}", house.say(&["graph"]).err);
}
