//! Several files, profiles, defaults, conditions and the choice of stages, as a person meets them.

use crate::house::House;

const MAIN: &str = "
pipeline: parts
include: [sub/pipeline.yaml]
vars: { mode: full, rows: 2 }
profiles:
  quick: { vars: { mode: quick }, stages: { raw: { tags: [fast] } } }
defaults:
  all: { tags: [nightly] }
stages:
  raw: { kind: command, run: \"seq ${vars.rows} > raw.txt\", outs: [raw.txt] }
  heavy:
    kind: command
    when: ${vars.mode} == \"full\"
    run: cat sub/features.txt missing.txt > heavy.txt || true
    deps: [sub/features.txt]
    outs: [heavy.txt]
  below: { kind: command, run: cat heavy.txt > below.txt, deps: [heavy.txt], outs: [below.txt] }
";
const SUB: &str = "
pipeline: sub
stages:
  features: { kind: command, run: cp ../raw.txt features.txt, deps: [../raw.txt], outs: [features.txt] }
";

fn house() -> House {
    let house = House::of(MAIN);
    house.write("sub/pipeline.yaml", SUB);
    house
}

fn planned(house: &House, args: &[&str]) -> Vec<String> {
    let mut all = vec!["plan", "--json"];
    all.extend(args);
    let said = house.say(&all);
    assert_eq!(said.code, 0, "{}", said.err);
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let names = json["stages"].as_array().expect("stages").iter().map(|stage| stage["stage"].as_str().unwrap_or(""));
    names.map(str::to_owned).collect()
}

#[test]
fn an_included_stage_runs_in_its_folder() {
    let house = house();
    house.run();
    assert_eq!(house.read("sub/features.txt"), "1\n2\n");
    assert_eq!(house.read("below.txt"), "1\n2\n");
    house.edit("sub/pipeline.yaml", "cp ../raw.txt features.txt", "pwd > features.txt");
    house.run();
    assert!(house.read("sub/features.txt").trim().ends_with("/sub"));
}

#[test]
fn what_is_off_takes_what_reads_from_it_along() {
    let house = house();
    assert_eq!(planned(&house, &["-p", "quick"]), ["raw", "features"]);
    let text = house.say(&["plan", "--profile", "quick"]).out;
    assert!(text.contains("`heavy` is off: its `when` does not hold"), "{text}");
    assert!(text.contains("`below` is off: it reads from `heavy`"), "{text}");
    assert_eq!(house.run_with(&["-p", "quick"]).code, 0);
    assert!(!house.path().join("pipeline.lock").exists(), "the lock is of the file alone");
    let said = house.say(&["run", "-p", "quick", "below"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("graph::stage_off"), "{}", said.err);
    let said = house.say(&["run", "-p", "quik"]);
    assert!(said.err.contains("did you mean `quick`?"), "{}", said.err);
    // `--set` comes after the profile.
    assert_eq!(planned(&house, &["-p", "quick", "--set", "vars.mode=full"]).len(), 4);
}

#[test]
fn stages_are_chosen_by_name_pattern_tag_and_below() {
    let house = house();
    assert_eq!(planned(&house, &["heavy"]), ["raw", "features", "heavy"]);
    assert_eq!(planned(&house, &["+heavy"]), ["raw", "features", "heavy"]);
    assert_eq!(planned(&house, &["heavy+"]), ["raw", "features", "heavy", "below"]);
    assert_eq!(planned(&house, &["feat*"]), ["raw", "features"]);
    assert_eq!(planned(&house, &["tag:nightly"]).len(), 4);
    assert_eq!(planned(&house, &["-p", "quick", "tag:fast"]), ["raw"]);
    for (word, part) in [
        ("featurs", "did you mean `features`?"),
        ("zz*", "graph::no_match"),
        ("tag:nigthly", "did you mean `tag:nightly`?"),
        ("nightly", "write `tag:nightly`"),
        ("feat[u]res", "feat[u]res"),
    ] {
        let said = house.say(&["plan", word]);
        assert_eq!(said.code, 2, "{word}");
        assert!(said.err.contains(part), "{word}: {}", said.err);
    }
    house.run();
    let forced = house.run_with(&["--force", "heavy+"]);
    assert_eq!(forced.events.iter().filter(|event| event["event"] == "stage_started").count(), 2);
}

#[test]
fn a_fault_of_an_included_file_points_into_it() {
    let house = house();
    house.edit("sub/pipeline.yaml", "outs:", "out:");
    let said = house.say(&["check"]);
    assert!(said.err.contains("sub/pipeline.yaml:4"), "{}", said.err);
}
