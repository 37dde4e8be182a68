//! Every example runs, and is as good as it says.

use crate::house::House;

#[test]
fn digits_reach_their_bars_in_full() {
    let house = House::example("digits");
    let ran = house.run();
    assert!(ran.number("verdict", "accuracy") >= 0.97, "one seed; the mean over seeds has a test of its own");
    let report: serde_json::Value =
        serde_json::from_str(&house.say(&["show", "small.report", "--json"]).out).expect("JSON");
    let bytes = |side: &str| report[side]["bytes"].as_f64().expect("bytes");
    assert!(bytes("before") / bytes("after") >= 10.0, "{report:#}");
    let accuracy = |side: &str| report[side]["metrics"]["accuracy"].as_f64().expect("accuracy");
    assert!(accuracy("before") - accuracy("after") <= 0.01, "{report:#}");
    assert!(report["control"].is_object(), "the honest control is in the report: {report:#}");
    assert!(report["observations"]["latency_us"].is_object(), "latency is observed: {report:#}");
    assert!(house.path().join("out/digits.onnx").is_file());
    house.run().nothing_ran();
}

#[test]
fn digits_are_right_over_seeds_before_and_after_compression() {
    let house = House::example("digits");
    let (mut dense, mut small) = (0.0, 0.0);
    for seed in 1..=5 {
        let seed = format!("seed={seed}");
        let ran = house.run_with(&["verdict", "small_verdict", "--set", &seed, "--set", "stages.small.control=false"]);
        assert_eq!(ran.code, 0, "{seed}: {:?}\n{}", ran.codes(), ran.err);
        dense += ran.number("verdict", "accuracy") / 5.0;
        small += ran.number("small_verdict", "accuracy") / 5.0;
    }
    assert!(dense >= 0.985, "mean test accuracy {dense}");
    assert!(dense - small <= 0.01, "compression costs {} on the test part", dense - small);
}

#[test]
fn penguins_learn_their_species() {
    let house = House::example("penguins");
    let mut mean = 0.0;
    for seed in 1..=5 {
        let ran = house.run_with(&["--set", &format!("seed={seed}")]);
        assert_eq!(ran.code, 0, "{seed}: {:?}\n{}", ran.codes(), ran.err);
        mean += ran.number("verdict", "accuracy") / 5.0;
    }
    assert!(mean >= 0.97, "mean test accuracy {mean}");
    house.run();
    house.run().nothing_ran();
}

#[test]
fn languages_are_told_apart_by_their_characters() {
    let house = House::example("languages");
    let mut mean = 0.0;
    for seed in 1..=3 {
        let ran = house.run_with(&["--set", &format!("seed={seed}")]);
        assert_eq!(ran.code, 0, "{seed}: {:?}\n{}", ran.codes(), ran.err);
        mean += ran.number("verdict", "accuracy") / 3.0;
    }
    assert!(mean >= 0.97, "mean test accuracy {mean}");
    house.run();
    house.run().nothing_ran();
}

#[test]
fn diamonds_have_their_price() {
    let house = House::example("diamonds");
    let ran = house.run();
    assert_eq!(ran.code, 0, "{:?}\n{}", ran.codes(), ran.err);
    assert!(ran.number("verdict", "r2") >= 0.975);
    // 146 rows are there twice, and 20 stones have no extent (one of them twice).
    assert_eq!(ran.number("raw", "rows") - ran.number("clean", "rows"), 165.0);
    house.run().nothing_ran();
}

#[test]
fn weather_is_told_in_a_year_that_was_not_seen() {
    let house = House::example("weather");
    let mut mean = 0.0;
    for seed in 1..=3 {
        let ran = house.run_with(&["--set", &format!("seed={seed}")]);
        assert_eq!(ran.code, 0, "{seed}: {:?}\n{}", ran.codes(), ran.err);
        mean += ran.number("verdict", "accuracy") / 3.0;
    }
    assert!(mean >= 0.78, "mean test accuracy {mean}");
    // The year that is judged has three times the fog, and no snow: the drift says so.
    let drift: serde_json::Value = serde_json::from_str(&house.say(&["show", "drift", "--json"]).out).expect("JSON");
    let of = |column: &str| {
        let all = drift["drift"].as_array().expect("drifts");
        all.iter().find(|drift| drift["column"] == column).and_then(|drift| drift["psi"].as_f64()).expect("a drift")
    };
    assert!(of("weather") > 0.2 && of("wind") < 0.1, "{drift:#}");
    house.run().nothing_ran();
    // A day that cannot be: the gate is shut, and nothing is learned from it.
    house.edit("data/weather.csv", "2014-07-01,0.0,", "2014-07-01,-1.0,");
    let ran = house.run_with(&[]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    ran.ran(["facts", "raw"]);
    let fault = ran.fault("gate::not_met");
    assert!(fault["message"].as_str().expect("a message").contains("row 913: -1"), "{fault:#}");
}

#[test]
fn flights_are_judged_by_what_is_known_before_they_leave() {
    if !crate::house::repository().join("pipelines/flights/data/flights.csv.zip").is_file() {
        return crate::servers::skip("the data of the example `flights`", "`cargo xtask data`");
    }
    let house = House::example("flights");
    let ran = house.run_with(&[]);
    assert_eq!(ran.code, 0, "{:?}\n{}", ran.codes(), ran.err);
    // 9,430 flights were cancelled or diverted; no join adds a row.
    assert_eq!((ran.number("flights", "rows"), ran.number("flown", "rows")), (336_776.0, 327_346.0));
    assert_eq!(ran.number("flown", "rejected.rows"), 9_430.0);
    assert!(ran.number("verdict", "auroc") >= 0.71);
    // The end of the year is colder than what came before, and that is all there is to warn of.
    let warnings: Vec<&serde_json::Value> =
        ran.events.iter().filter_map(|event| event["warnings"].as_array()).flatten().collect();
    assert!(warnings.iter().all(|warning| warning["code"] == "split::told_apart"), "{warnings:#?}");
    assert!(warnings[0]["message"].as_str().expect("a message").contains("`temp`"), "{warnings:#?}");
    // What is only known afterwards is found out.
    let leaks: serde_json::Value = serde_json::from_str(&house.say(&["show", "leaks", "--json"]).out).expect("JSON");
    let told: Vec<&str> =
        leaks["leakage"].as_array().expect("columns").iter().filter_map(|one| one["column"].as_str()).collect();
    assert_eq!(told[..4], ["arr_delay", "dep_delay", "arr_time", "dep_time"], "{told:?}");
    let rejected = house.say(&["show", "flown.rejected", "--head", "1"]).out;
    assert!(rejected.contains("`arr_delay` is missing"), "{rejected}");
    assert_eq!(house.say(&["get", "lines", "-o", "lines.csv"]).code, 0);
    let lines = house.read("lines.csv");
    let late: Vec<f64> = lines.lines().skip(1).filter_map(|line| line.split(',').nth(3)?.parse().ok()).collect();
    assert!(late.len() == 16 && late.is_sorted_by(|a, b| a >= b), "the share of late flights: {lines}");
    house.run().nothing_ran();
}

#[test]
fn the_templates_run_at_once() {
    for template in ["penguins", "command"] {
        let house = House::empty();
        let made = house.say(&["init", "new", "--template", template]);
        assert_eq!(made.code, 0, "{}", made.err);
        let mut command = house.command(&["run"]);
        command.current_dir(house.path().join("new"));
        let ran = crate::house::said(command);
        assert_eq!(ran.code, 0, "{template}: {}", ran.err);
        let again = house.say(&["init", "new", "--template", template]);
        assert_eq!(again.code, 2, "files in the way are not overwritten");
        assert!(again.err.contains("init::in_the_way") && again.err.contains("--force"), "{}", again.err);
    }
}

#[test]
fn every_kind_of_source_gives_its_rows() {
    let house = House::example("sources");
    let ran = house.run();
    let rows = [
        ("csv", 6.0),
        ("tsv", 6.0),
        ("gzip", 6.0),
        ("zstd", 6.0),
        ("zip", 6.0),
        ("tar", 6.0),
        ("jsonl", 6.0),
        ("parquet", 6.0),
        ("arrow", 6.0),
        ("spreadsheet", 3.0),
        ("utf16", 2.0),
        ("years", 6.0),
        ("sqlite", 3.0),
        ("images", 4.0),
        ("photos", 4.0),
        ("hub", 4.0),
        ("texts", 3.0),
        ("labelled", 3.0),
        ("idx", 4.0),
        ("npy", 4.0),
        ("npz", 4.0),
        ("longer", 8.0),
        ("wider", 6.0),
        ("survey", 3.0),
    ];
    for (stage, count) in rows {
        assert!((ran.number(stage, "rows") - count).abs() < 0.5, "{stage}");
    }
    // What says the same is the same, however it is written.
    let digests = ran.digests();
    for other in ["tsv", "gzip", "zstd", "zip", "tar", "parquet", "arrow", "jsonl"] {
        assert_eq!(digests[&format!("{other}.data")], digests["csv.data"], "{other}");
    }
    let csv = |target: &str| {
        assert_eq!(house.say(&["get", target, "-o", "out.csv"]).code, 0, "{target}");
        house.read("out.csv")
    };
    assert!(csv("spreadsheet").contains("mañana") && csv("utf16").contains('雨'));
    assert!(csv("years").lines().nth(4).is_some_and(|line| line.contains("2026")), "{}", csv("years"));
    assert_eq!(csv("sqlite"), "city,celsius,days\nBergen,4.75,2\nJaipur,26.0,2\nQuito,14.0,2\n");
    assert!(csv("wider").contains("Ecuador") && csv("longer").contains("Hanoi"));
    assert_eq!(csv("survey"), "tweet,text\nt1,what a day\nt2,rain again\nt3,meh\n");
    assert_eq!(
        csv("survey.labels"),
        "item,label,annotator\nt1,happy,rater_ann\nt1,happy,rater_bo\nt2,sad,rater_ann\nt2,neutral,rater_bo\nt2,sad,rater_cy\n\
         t3,neutral,rater_ann\nt3,neutral,rater_cy\n"
    );
    assert!(house.say(&["show", "survey.labels"]).out.contains("annotator"));
    house.run().nothing_ran();
}
