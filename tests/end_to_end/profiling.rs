//! What a profile says is meant to be used: its remedies and its expectations are pasted into a file and run.

use std::fmt::Write as _;

use serde_json::Value;

use crate::house::House;

/// A table with much that is wrong: copies, gaps, dates, columns that tell the label, quotes in names and cells.
fn poor() -> String {
    let mut text = String::from("id,x,x2,x3,text,text2,code,code2,amt,gap,kind,zero,day,same,label,leak,it's\n");
    for row in 0..600u64 {
        let x = (row * 7919 % 600) as f64 / 8.0;
        let label = if row * 31 % 7 < 3 { "yes" } else { "no" };
        let gap = if row % 9 == 0 { String::new() } else { (row * 13 % 97).to_string() };
        let amt = if row % 3 > 0 { String::new() } else { (row * 17 % 89).to_string() };
        let kind = if row % 37 == 5 { ["b", "c"][row as usize % 2] } else { "it's" };
        let word = ["alpha", "beta", "gamma", "delta", "no"][(row * 11 % 5) as usize];
        let zero = if row % 4 > 0 { 0 } else { row % 50 };
        let day = format!("2014-{:02}-{:02}", row / 50 % 12 + 1, row % 28 + 1);
        let leak = if label == "yes" { 10 + row % 3 } else { row % 3 };
        let (id, text_of) = (row + 1000, row % 100);
        let _ = writeln!(
            text,
            "{id},{x},{},{},{word} {text_of},{word} {text_of},{word},{word},{amt},{gap},{kind},{zero},{day},1,{label},{leak},{}",
            2.0 * x,
            3.0 * x,
            row * 3 % 7
        );
    }
    text
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

/// Profiles a source, pastes everything into a file, and runs that. The alerts' codes and fixes.
fn pasted(house: &House, from: &str, target: Option<&str>) -> Vec<(String, String)> {
    let target = target.map_or_else(String::new, |target| format!(", target: {target}"));
    let raw = format!("pipeline: facts\nstages:\n  raw: {{ kind: collect, from: {from} }}\n");
    house.write("pipeline.yaml", format!("{raw}  facts: {{ kind: profile, inputs: {{ data: raw }}{target} }}\n"));
    let ran = house.run();
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(house.say(&["get", "facts.profile", "-o", "facts.json"]).code, 0);
    let profile: Value = serde_json::from_str(&house.read("facts.json")).expect("JSON");
    let list = |name: &str| profile[name].as_array().cloned().unwrap_or_default();
    let (mut steps, mut split) = (String::new(), String::new());
    let mut fixes = Vec::new();
    for alert in list("alerts") {
        let (code, yaml) = (alert["code"].as_str().unwrap_or(""), alert["fix"]["yaml"].as_str().unwrap_or(""));
        match alert["fix"]["stage"].as_str() {
            Some("preprocess") => steps.push_str(&indented(yaml, 6)),
            Some("split") => split.push_str(&indented(yaml, 4)),
            _ => {}
        }
        fixes.push((code.to_owned(), yaml.to_owned()));
    }
    let proposals: String =
        list("proposals").iter().map(|one| indented(one["yaml"].as_str().unwrap_or(""), 6)).collect();
    let mut text = format!("{raw}  again:\n    kind: profile\n    inputs: {{ data: raw }}\n    expect:\n{proposals}");
    let parts = if steps.is_empty() { "raw" } else { "clean" };
    if !steps.is_empty() {
        let _ = write!(text, "  clean:\n    kind: preprocess\n    inputs: {{ data: raw }}\n    steps:\n{steps}");
    }
    let _ = write!(
        text,
        "  parts:\n    kind: split\n    inputs: {{ data: {parts} }}\n    ratios: {{ train: 0.8, test: 0.2 }}\n{split}"
    );
    house.write("pipeline.yaml", &text);
    let ran = house.run();
    assert_eq!(ran.code, 0, "{text}\n{}", ran.err);
    // The fixes together are those of the alerts one after the other.
    let together = list("fixes");
    let of_steps = together.iter().find(|fix| fix["stage"] == "preprocess").and_then(|fix| fix["yaml"].as_str());
    assert_eq!(of_steps.map_or_else(String::new, |yaml| indented(yaml, 6)), steps);
    fixes
}

#[test]
fn all_remedies_and_all_expectations_run_when_they_are_pasted() {
    let house = House::empty();
    house.write("poor.csv", poor());
    let fixes = pasted(&house, "{ csv: poor.csv }", Some("label"));
    let fix =
        |code: &str| fixes.iter().filter(|(known, _)| known == code).map(|(_, yaml)| yaml.as_str()).collect::<Vec<_>>();
    assert_eq!(fix("date"), ["time: day"]);
    assert_eq!(fix("identical"), ["- drop: text2", "- drop: code2"], "{fixes:?}");
    assert_eq!(fix("zeros"), [r#"- derive: { 'zero is 0': '"zero" = 0' }"#]);
    assert_eq!(fix("imbalanced"), [r#"- derive: { 'kind is usual': '"kind" = ''it''''s''' }"#]);
    let mut drops: Vec<&str> =
        fixes.iter().map(|(_, yaml)| yaml.as_str()).filter(|yaml| yaml.starts_with("- drop: ")).collect();
    let all = drops.len();
    drops.sort_unstable();
    drops.dedup();
    assert_eq!(drops.len(), all, "{fixes:?}");
}

#[test]
fn real_tables_are_mended_by_their_profiles() {
    for (example, from, target) in [
        ("diamonds", "{ parquet: data/diamonds.parquet }", Some("price")),
        ("penguins", "{ csv: data/penguins.csv }", Some("species")),
        ("digits", "{ csv: data/digits.csv }", Some("label")),
    ] {
        pasted(&House::example(example), from, target);
    }
}

#[test]
fn rows_are_written_in_every_form_and_only_in_those() {
    let house = House::of(
        "pipeline: forms\nstages:\n  raw: { kind: collect, from: { csv: small.csv } }\n  clean: { kind: preprocess, inputs: { data: raw }, steps: [{ filter: \"n < 40\" }] }\n",
    );
    let rows: String = (0..50).map(|row| format!("{row},\"t{row}, x\"\n")).collect();
    house.write("small.csv", format!("n,t\n{rows}"));
    assert_eq!(house.run().code, 0);
    for (name, first) in
        [("a.csv", "n,t\n0,\"t0, x\"\n"), ("a.tsv", "n\tt\n0\tt0, x\n"), ("a.jsonl", "{\"n\":0,\"t\":\"t0, x\"}\n")]
    {
        let said = house.say(&["get", "clean", "-o", name]);
        assert_eq!(said.code, 0, "{}", said.err);
        let text = house.read(name);
        assert!(text.starts_with(first), "{name}: {text}");
        assert_eq!(text.matches('\n').count(), 40 + usize::from(!name.ends_with("jsonl")), "{name}");
    }
    // Read again, they are the same rows.
    for (name, kind) in [("b.parquet", "parquet"), ("b.arrow", "arrow"), ("b.jsonl", "jsonl"), ("b.tsv", "tsv")] {
        assert_eq!(house.say(&["get", "clean", "-o", name]).code, 0);
        let again = format!("pipeline: again\nstages:\n  raw: {{ kind: collect, from: {{ {kind}: {name} }} }}\n");
        house.write("again.yaml", again);
        let said = house.say(&["run", "-f", "again.yaml"]);
        assert_eq!(said.code, 0, "{}", said.err);
        let said = house.say(&["get", "-f", "again.yaml", "raw", "-o", "c.csv"]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(house.read("c.csv"), house.read("a.csv"), "{name}");
    }
    let said = house.say(&["get", "clean", "-o", "x.jpg"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("`.jpg`") && said.err.contains("`.parquet`"), "{}", said.err);
    assert!(!house.path().join("x.jpg").exists());
    let said = house.say(&["show", "clean", "--where", "n > 36"]);
    let shown = |text: &str| (0..50).filter(|row| text.contains(&format!("t{row}, x"))).collect::<Vec<_>>();
    assert_eq!(shown(&said.out), [37, 38, 39], "{}{}", said.out, said.err);
    let said = house.say(&["show", "clean", "--sample", "3"]);
    assert_eq!(shown(&said.out).len(), 3, "{}{}", said.out, said.err);
}
