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
fn logs_are_of_the_run_that_made_the_result_not_of_a_verify() {
    let house = talking();
    house.run();
    let made = json(&house, &["runs", "--json"])[0]["run"].as_str().expect("a run").to_owned();
    assert_eq!(house.say(&["verify", "first"]).code, 0);
    let log = json(&house, &["logs", "first", "--json"]);
    assert_eq!(log["run"], made.as_str(), "{log:#}");
}

#[test]
fn verify_names_the_tensor_and_the_cell_that_came_out_differently() {
    let house = House::of(
        "
pipeline: chance
stages:
  weights: { kind: command, run: sh model.sh > w.safetensors, deps: [model.sh], outs: [w.safetensors] }
  kept: { kind: command, run: cp w.safetensors k.safetensors, deps: [w.safetensors], outs: [k.safetensors] }
",
    );
    // Two tensors of two floats; the second of `b` is another one every time.
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
    let length = format!("\\{:03o}\\000\\000\\000\\000\\000\\000\\000", header.len());
    house.write(
        "model.sh",
        format!(
            "printf '{length}%s' '{header}'\nprintf '\\000\\000\\200\\077\\000\\000\\000\\100\\000\\000\\200\\077'\nhead -c 4 /dev/urandom\n"
        ),
    );
    house.run();
    let said = house.say(&["verify"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("≠ weights") && said.out.contains("tensor `b`, element 1"), "{}", said.out);
    assert!(said.out.contains("= kept"), "{}", said.out);
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
    // As a shell leaves them alone.
    for (old, new) in [("@1", "@0"), ("last~1", "last"), ("latest~1", "latest")] {
        assert_eq!(json(&house, &["diff", old, new, "--json"]), told, "{old} {new}");
    }
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
    let fresh = std::fs::read_to_string(&published).expect("the schema");
    assert_eq!(text, fresh, "run `cargo xtask fresh`");
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

/// Numerical Recipes' linear congruential generator: the same edits in every run of a test.
fn random() -> impl FnMut(u64) -> u64 {
    let mut state: u64 = 7;
    move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// What `plan` says of every stage, and what `run` then does. How many were said to be hits, to run, and to depend on others.
fn plan_and_run(house: &House) -> ([usize; 3], crate::house::Ran) {
    let plan = json(house, &["plan", "--json"]);
    let ran = house.run();
    let end = |stage: &str, event: &str| ran.events.iter().any(|of| of["event"] == event && of["stage"] == stage);
    let mut counts = [0; 3];
    for stage in plan["stages"].as_array().expect("stages") {
        let name = stage["stage"].as_str().expect("a name");
        match stage["state"].as_str() {
            Some("reuse") => {
                assert!(end(name, "stage_hit"), "{name} was said to be a hit\n{plan:#}");
                counts[0] += 1;
            }
            Some("run") => {
                assert!(end(name, "stage_done"), "{name} was said to run\n{plan:#}");
                counts[1] += 1;
            }
            _ => {
                assert!(end(name, "stage_hit") || end(name, "stage_done"));
                counts[2] += 1;
            }
        }
    }
    (counts, ran)
}

#[test]
fn what_plan_says_is_what_run_does() {
    let house = House::empty();
    let mut numbers = [0; 8];
    house.write("pipeline.yaml", numbered(&numbers));
    house.write("a.txt", "0");
    house.write("b.txt", "0");
    let mut random = random();
    let (mut hits, mut misses) = (0, 0);
    for _ in 0..20 {
        let ([hit, miss, _], _) = plan_and_run(&house);
        hits += hit;
        misses += miss;
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

/// Folders and parts of them, patterns, a matrix, what is never reused.
fn wide(numbers: &[u64; 4]) -> String {
    let [a, b, c, d] = numbers;
    format!(
        "
pipeline: wide
stages:
  d: {{ kind: command, run: 'mkdir -p dd/sub; echo {a} > dd/1; cat a.txt > dd/2; echo $(({b} % 2)) > dd/sub/3', deps: [a.txt], outs: [dd] }}
  part: {{ kind: command, run: cat dd/2 > part.out, deps: [dd/2], outs: [part.out] }}
  sub: {{ kind: command, run: cat dd/sub/3 > sub.out, deps: [dd/sub], outs: [sub.out] }}
  globbed: {{ kind: command, run: 'cat dd/1 dd/2 > globbed.out', deps: ['dd/*'], outs: [globbed.out] }}
  deep: {{ kind: command, run: 'cat dd/1 dd/sub/3 > deep.out', deps: ['dd/**'], outs: [deep.out] }}
  sources: {{ kind: command, run: 'cat src/*.txt > sources.out', deps: ['src/*.txt'], outs: [sources.out] }}
  folder: {{ kind: command, run: 'cat src/* > folder.out', deps: [src], outs: [folder.out] }}
  m: {{ kind: command, matrix: {{ k: [1, 2, 3] }}, run: '(echo $((${{matrix.k}} + {c} % 2)); cat part.out) > m${{matrix.k}}.out', deps: [part.out], outs: ['m${{matrix.k}}.out'] }}
  all: {{ kind: command, inputs: {{ parts: 'm[*]' }}, run: cat m1.out m2.out m3.out > all.out, outs: [all.out] }}
  clock: {{ kind: command, cache: false, run: echo {d} > clock.out, outs: [clock.out] }}
  after: {{ kind: command, run: cat clock.out sources.out > after.out, deps: [clock.out, sources.out], outs: [after.out] }}
  make: {{ kind: command, run: mkdir -p mix && cat a.txt > mix/made.txt, deps: [a.txt], outs: [mix/made.txt] }}
  mixed: {{ kind: command, run: cat mix/made.txt mix/own.txt > mixed.out, deps: [mix], outs: [mixed.out] }}
  both: {{ kind: command, run: cat mix/made.txt mix/own.txt > both.out, deps: ['mix/*.txt'], outs: [both.out] }}
"
    )
}

#[test]
fn what_plan_says_of_folders_patterns_and_lost_results_is_what_run_does() {
    let house = House::empty();
    let mut numbers = [0; 4];
    house.write("pipeline.yaml", wide(&numbers));
    for name in ["a.txt", "src/1.txt", "src/2.txt", "src/other", "mix/own.txt"] {
        house.write(name, "0");
    }
    let overwrite = |name: &str, text: &str| {
        // Perhaps a link to the store's own file: replaced, as editors do.
        let _ = std::fs::remove_file(house.path().join(name));
        house.write(name, text);
    };
    let mut random = random();
    let mut sums = [0; 3];
    for round in 0..40 {
        let (counts, ran) = plan_and_run(&house);
        (0..3).for_each(|at| sums[at] += counts[at]);
        // Afterwards nothing but the one that always runs has anything to do.
        if round % 8 == 0 {
            house.run().ran(["clock"]);
        }
        let text = random(3).to_string();
        match random(12) {
            0 => house.write("a.txt", text),
            1 => house.write(&format!("src/{}.txt", random(4)), text),
            2 => drop(std::fs::remove_file(house.path().join(format!("src/{}.txt", 2 + random(2))))),
            3 => house.write("src/other", text),
            4 => house.write("mix/own.txt", text),
            5 => overwrite(["dd/1", "dd/2", "dd/sub/3"][random(3) as usize], "overwritten"),
            6 => overwrite("mix/made.txt", "overwritten"),
            7 => std::fs::remove_dir_all(house.path().join(["dd", "dd/sub"][random(2) as usize])).expect("removed"),
            8 => house.write("dd/stray", text),
            9 => {
                let digests: Vec<String> = ran.digests().into_values().collect();
                let digest = &digests[random(digests.len() as u64) as usize];
                let blob = house.path().join(".pipeline/blobs-v1").join(&digest[..2]).join(&digest[2..]);
                let _ = std::fs::remove_file(blob);
            }
            _ => {
                numbers[random(4) as usize] = random(4);
                house.write("pipeline.yaml", wide(&numbers));
            }
        }
    }
    assert!(sums[0] > 200 && sums[1] > 40 && sums[2] > 20, "{sums:?}");
}

#[test]
fn a_part_of_a_folder_is_what_the_stage_above_gave() {
    let house = House::of(&wide(&[0; 4]));
    for name in ["a.txt", "src/1.txt", "src/2.txt", "src/other", "mix/own.txt"] {
        house.write(name, "0");
    }
    house.run();
    std::fs::remove_file(house.path().join("dd/2")).expect("removed");
    let state = |plan: &Value, name: &str| {
        let stages = plan["stages"].as_array().expect("stages");
        stages.iter().find(|stage| stage["stage"] == name).expect("the stage")["state"].clone()
    };
    for edit in [None, Some("edited")] {
        if let Some(text) = edit {
            house.write("dd/2", text);
        }
        let plan = json(&house, &["plan", "--json"]);
        for name in ["d", "part", "sub", "globbed", "deep"] {
            assert_eq!(state(&plan, name), "reuse", "{name}, {edit:?}");
        }
        assert!(house.say(&["why", "part"]).out.contains("up to date"));
    }
    house.run().ran(["clock"]);
    assert_eq!(house.read("dd/2"), "0");
}

#[test]
fn a_stage_that_fails_when_it_is_verified_is_put_back() {
    let house = House::of(
        "
pipeline: fails
stages:
  once: { kind: command, run: '[ ! -e broken ] && mkdir out && echo 1 > out/1 && echo 2 > two.txt', outs: [out, two.txt] }
",
    );
    house.run();
    house.write("broken", "");
    let said = house.say(&["verify"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert_eq!((house.read("out/1"), house.read("two.txt")), ("1\n".into(), "2\n".into()));
    house.run().nothing_ran();
}

#[test]
fn work_that_gives_other_bytes_is_told_by_plan_why_and_diff() {
    let house = House::of(
        "
pipeline: unstable
stages:
  clock: { kind: command, run: date +%N > clock.txt, outs: [clock.txt] }
  below: { kind: command, inputs: { clock: clock }, run: cp $INPUT_CLOCK below.txt, outs: [below.txt] }
",
    );
    const TOLD: &str = "an earlier run of the same work gave other bytes";
    house.run();
    assert!(!house.say(&["plan"]).out.contains(TOLD));
    assert!(house.run_with(&["clock", "--force"]).err.is_empty());
    // It is what it is, and that is why the stage below it runs.
    assert!(house.say(&["plan"]).out.contains(TOLD));
    let plan = json(&house, &["plan", "--json"]);
    assert_eq!((&plan["stages"][0]["state"], &plan["stages"][0]["unstable"]), (&"reuse".into(), &true.into()));
    assert!(house.say(&["why", "clock"]).out.contains(TOLD));
    let why = house.say(&["why", "below"]).out;
    assert!(why.contains("`clock` gave other content") && why.contains(TOLD), "{why}");
    let ran = house.run();
    ran.ran(["below"]).hit(["clock"]);
    // Each run is told by what it had, not by what is there now.
    let diff = json(&house, &["diff", "~2", "latest", "--json"]);
    let stages = diff["stages"].as_array().expect("stages");
    assert_eq!(stages.len(), 2, "{diff:#}");
    assert_eq!((&stages[0]["stage"], &stages[0]["changes"][0]["reason"]), (&"clock".into(), &"unstable".into()));
    assert_eq!(stages[0]["outputs"][0]["output"], "clock");
    assert_eq!(stages[1]["changes"][0]["reason"], "input_changed");
    let text = house.say(&["diff", "~2"]).out;
    assert!(text.contains(TOLD) && !text.contains("did the same work"), "{text}");
    let again = house.run_with(&["clock", "--force"]);
    let started = again.events.iter().find(|event| event["event"] == "stage_started").expect("a start");
    assert_eq!(started["reasons"][1]["reason"], "unstable", "{started}");
}

#[test]
fn a_failed_run_is_compared_with_its_cause() {
    let house = talking();
    house.run();
    house.edit("pipeline.yaml", "echo hello", "echo hello; exit 7");
    assert_eq!(house.run_with(&[]).code, 1);
    let text = house.say(&["diff"]).out;
    assert!(text.contains("first  failed") && text.contains("exit code 7"), "{text}");
    let told = json(&house, &["diff", "--json"]);
    assert!(told["stages"][0]["new_cause"].as_str().is_some_and(|cause| cause.contains("exit code 7")), "{told:#}");
    // Twice the same failure is not the same work.
    assert_eq!(house.run_with(&[]).code, 1);
    assert!(house.say(&["diff"]).out.contains("exit code 7"));
}

#[test]
fn runs_are_those_of_the_pipeline_at_hand() {
    let house = talking();
    house.write("other.yaml", "pipeline: other\nstages:\n  o: { kind: command, run: echo o > o.txt, outs: [o.txt] }\n");
    house.run();
    house.write("in.txt", "abcd");
    house.run();
    assert_eq!(house.run_with(&["--file", "other.yaml"]).code, 0);
    let count = |args: &[&str]| json(&house, args).as_array().map(Vec::len);
    assert_eq!(count(&["runs", "--json"]), Some(2));
    assert_eq!(count(&["runs", "--json", "--file", "other.yaml"]), Some(1));
    assert_eq!(count(&["runs", "--json", "--all"]), Some(3));
    assert!(house.say(&["runs", "--all"]).out.contains("talking"));
    // Counting back goes by the pipeline, a name is a name.
    assert_eq!(json(&house, &["diff", "--json"])["stages"][0]["stage"], "second");
    assert_eq!(json(&house, &["runs", "show", "--json"])["pipeline"], "talking");
    let other = json(&house, &["runs", "--json", "--file", "other.yaml"])[0]["run"].clone();
    assert_eq!(json(&house, &["runs", "show", other.as_str().expect("a name"), "--json"])["pipeline"], "other");
    assert_eq!(json(&house, &["diff", "--all", "--json"])["stages"].as_array().map(Vec::len), Some(3));
}

#[test]
fn the_lock_names_files_of_the_project_by_their_place_in_it() {
    let house = House::empty();
    let inside = house.path().join("project/in.txt");
    house.write("outside.txt", "o");
    house.write("project/in.txt", "i");
    house.write(
        "project/pipeline.yaml",
        format!(
            "pipeline: lock\nstages:\n  a: {{ kind: command, run: cat in.txt > a.txt, deps: [{}, ../outside.txt], outs: [a.txt] }}\n",
            inside.display()
        ),
    );
    std::fs::create_dir(house.path().join("elsewhere")).expect("a folder");
    let mut locks = Vec::new();
    for (folder, file) in
        [("elsewhere", "../project/pipeline.yaml"), ("project", "pipeline.yaml"), (".", "project/pipeline.yaml")]
    {
        let mut command = house.command(&["run", "--json", "--file", file]);
        command.current_dir(house.path().join(folder));
        let said = crate::house::said(command);
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(said.out.contains("stage_done"), locks.is_empty(), "{folder}: {}", said.out);
        locks.push(house.read("project/pipeline.lock"));
    }
    assert!(locks.iter().all(|lock| *lock == locks[0]));
    let files = serde_json::from_str::<Value>(&locks[0]).expect("JSON")["files"].clone();
    let names: Vec<&String> = files.as_object().expect("files").keys().collect();
    assert_eq!(names, ["../outside.txt", "in.txt"]);
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
