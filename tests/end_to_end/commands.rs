//! Every verb, as a person meets it.

use crate::house::House;

const TWO: &str = "
pipeline: two
stages:
  first: { kind: command, run: echo 1 > first.txt, outs: [first.txt] }
  second: { kind: command, run: \"echo '{\\\"score\\\": 0.5}' > second.json\", deps: [first.txt], outs: [{ path: second.json, kind: metrics }] }
";

#[test]
fn check_shows_every_fault_at_its_place() {
    let house = House::of("pipeline: bad\nstages:\n  a: { kind: colect }\n  b: { kind: command, run: x, dep: [y] }\n");
    let said = house.say(&["check"]);
    assert_eq!(said.code, 2);
    for part in ["pipeline.yaml:3:14", "did you mean `collect`?", "pipeline.yaml:4:31", "`deps`", "2 errors"] {
        assert!(said.err.contains(part), "{part} is not in\n{}", said.err);
    }
    let short = house.say(&["check", "--short"]);
    assert_eq!(short.out.lines().count(), 2, "{}", short.out);
    let json: serde_json::Value = serde_json::from_str(&house.say(&["check", "--json"]).out).expect("JSON");
    assert_eq!(json["valid"], false);
    assert_eq!(json["faults"][0]["line"], 3);
}

#[test]
fn plan_and_status_predict_what_run_does() {
    let house = House::of(TWO);
    let states = |house: &House| -> Vec<String> {
        let json: serde_json::Value = serde_json::from_str(&house.say(&["plan", "--json"]).out).expect("JSON");
        json["stages"]
            .as_array()
            .expect("stages")
            .iter()
            .map(|stage| stage["state"].as_str().unwrap_or("").to_owned())
            .collect()
    };
    assert_eq!(states(&house), ["run", "maybe run"]);
    house.run();
    assert_eq!(states(&house), ["reuse", "reuse"]);
    house.edit("pipeline.yaml", "0.5", "0.6");
    assert_eq!(states(&house), ["reuse", "run"]);
    assert!(house.say(&["status"]).out.contains("up to date"));
}

#[test]
fn why_goes_to_the_root_cause() {
    let house = House::of(TWO);
    house.run();
    house.edit("pipeline.yaml", "echo 1", "echo 2");
    let why = house.say(&["why", "second"]).out;
    assert!(why.contains("first") && why.contains("echo 1") && why.contains("echo 2"), "{why}");
    let unknown = house.say(&["why", "secnd"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("did you mean `second`?"), "{}", unknown.err);
}

#[test]
fn graph_draws_in_three_ways() {
    let house = House::of(TWO);
    assert!(house.say(&["graph"]).out.contains("← first"));
    assert!(house.say(&["graph", "--format", "mermaid"]).out.starts_with("flowchart LR"));
    let dot = house.say(&["graph", "--format", "dot"]).out;
    assert!(dot.starts_with("digraph") && dot.contains("s0 -> s1"), "{dot}");
}

#[test]
fn show_and_get_hand_results_out() {
    let house = House::of(TWO);
    let early = house.say(&["show", "second"]);
    assert_eq!(early.code, 2);
    assert!(early.err.contains("cli::never_ran"), "{}", early.err);
    house.run();
    assert!(house.say(&["show", "second"]).out.contains("score"));
    assert_eq!(house.say(&["get", "second", "-o", "copy.json"]).code, 0);
    assert_eq!(house.read("copy.json").trim(), "{\"score\": 0.5}");
    assert_eq!(house.say(&["get", "first", "-o", "-"]).out, "1\n");
}

#[test]
fn a_data_set_is_shown_and_becomes_csv() {
    let house = House::example("penguins");
    house.run_with(&["clean"]);
    let shown = house.say(&["show", "clean", "--head", "2"]).out;
    assert!(shown.contains("344 rows") && shown.contains("Adelie") && shown.contains("species"), "{shown}");
    let described = house.say(&["show", "clean", "--describe"]).out;
    assert!(described.contains("bill_length_mm") && described.contains("float64"), "{described}");
    assert_eq!(house.say(&["get", "clean", "-o", "clean.csv"]).code, 0);
    assert_eq!(house.read("clean.csv").lines().count(), 345);
}

#[test]
fn exit_codes_tell_what_happened() {
    let house =
        House::of("pipeline: x\nstages:\n  a: { kind: command, run: exit 7 }\n  b: { kind: command, run: 'true' }\n");
    let failed = house.run_with(&["--keep-going"]);
    assert_eq!(failed.code, 1);
    failed.ran(["b"]);
    assert!(failed.codes().iter().any(|code| code.starts_with("command::")), "{:?}", failed.codes());
    house.edit("pipeline.yaml", "exit 7", "'true'");
    assert_eq!(house.say(&["run"]).code, 0);
    assert_eq!(house.say(&["run", "--set", "stages.c.kind=command"]).code, 2);
    assert_eq!(house.say(&["run", "c"]).code, 2);
    assert_eq!(House::empty().say(&["run"]).code, 2);
}

#[test]
fn a_gate_that_is_not_met_has_its_own_exit_code() {
    let house = House::example("penguins");
    house.edit("pipeline.yaml", "accuracy: \">= 0.95\"", "log_loss: \"< 0.000001\"");
    let ran = house.run_with(&["--set", "stages.model.epochs=1"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert_eq!(ran.fault("gate::not_met")["code"], "gate::not_met");
    // The verdict stands although the gate does not: nothing is computed again.
    let again = house.run_with(&["--set", "stages.model.epochs=1"]);
    assert_eq!(again.code, 3);
    again.nothing_ran();
}

#[test]
fn force_runs_again_what_is_named() {
    let house = House::of(TWO);
    house.run();
    let ran = house.run_with(&["--force=first"]);
    ran.ran(["first"]).hit(["second"]);
    house.run_with(&["--force"]).ran(["first", "second"]);
}

#[test]
fn overrides_are_checked_like_the_file() {
    let house = House::example("penguins");
    let said = house.say(&["check", "--set", "stages.model.epochs=many"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("--set") && said.err.contains("many"), "{}", said.err);
}

#[test]
fn the_installation_is_sound() {
    let house = House::of(TWO);
    let said = house.say(&["doctor"]);
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.out.contains("libtorch") && said.out.contains("2.13.0"), "{}", said.out);
    let mut alone = house.command(&["doctor"]);
    alone.env("PIPELINE_WORKERS", house.path());
    let alone = crate::house::said(alone);
    assert_eq!(alone.code, 4);
    assert!(alone.out.contains("not found"), "{}", alone.out);
}

#[test]
fn completions_and_schema_are_printed() {
    let house = House::of(TWO);
    for shell in ["bash", "zsh", "fish"] {
        assert!(house.say(&["completions", shell]).out.contains("pipeline"));
    }
    assert_eq!(house.say(&["complete-names"]).out, "first\nsecond\n");
    let schema: serde_json::Value = serde_json::from_str(&house.say(&["schema"]).out).expect("JSON");
    assert!(schema.is_object());
    assert_eq!(
        house.say(&["schema"]).out.trim_end(),
        std::fs::read_to_string(crate::house::repository().join("schemas/pipeline.schema.json"))
            .expect("the schema")
            .trim_end()
    );
}

#[test]
fn nothing_is_coloured_where_nobody_asked() {
    let house = House::of(TWO);
    let said = house.say(&["run"]);
    assert!(!said.err.contains('\u{1b}') && !said.out.contains('\u{1b}'), "{}", said.err);
    let said = house.say(&["status", "--color", "always"]);
    assert!(said.out.contains('\u{1b}'));
}

#[test]
fn images_go_through_their_steps_and_come_out_as_a_sheet() {
    let house = House::example("sources");
    let shapes = house.path().join("data/shapes/ring");
    std::fs::copy(shapes.join("1.png"), shapes.join("copy.png")).expect("a copy");
    house.write("data/shapes/ring/broken.png", "no image");
    house.write(
        "pipeline.yaml",
        "pipeline: pictures
stages:
  files: { kind: collect, from: { images: { path: data/shapes, mode: rgb, decode: false } } }
  small:
    kind: preprocess
    inputs: { data: files }
    steps:
      - decode_images: { column: image, size: [8, 8], on_error: reject }
      - greyscale: { columns: image }
      - resize: { columns: image, size: [12, 12] }
      - crop: { columns: image, size: [10, 10] }
      - drop_duplicate_images: { column: image, distance: 0 }
",
    );
    let ran = house.run();
    assert_eq!((ran.number("files", "rows"), ran.number("small", "rows")), (6.0, 4.0));
    let shown = house.say(&["show", "small", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!(shown["columns"][0]["shape"], serde_json::json!([1, 10, 10]), "{shown:#}");
    let rejected = house.say(&["get", "small.rejected", "-o", "rejected.csv"]);
    assert_eq!(rejected.code, 0, "{}", rejected.err);
    let rejected = house.read("rejected.csv");
    assert!(rejected.contains("decode_images") && rejected.contains("looks like row 3"), "{rejected}");
    // The contact sheet: a PNG that shows all four.
    assert_eq!(house.say(&["get", "small", "-o", "sheet.png"]).code, 0);
    let sheet = std::fs::read(house.path().join("sheet.png")).expect("a sheet");
    assert_eq!(&sheet[..8], b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes(sheet[at..at + 4].try_into().expect("four bytes"));
    assert!(side(16) >= 4 * 10 && side(20) >= 10, "{} x {}", side(16), side(20));
}

#[test]
fn what_a_run_would_restore_is_told_before() {
    let house = House::of(TWO);
    house.run();
    let told = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&house.say(args).out).unwrap_or_else(|error| panic!("{error}"))
    };
    assert_eq!(told(&["plan", "--json"])["stages"][0]["restores"], serde_json::json!([]));
    assert!(house.say(&["plan"]).out.contains("nothing to do"));
    std::fs::remove_file(house.path().join("second.json")).expect("an output");
    // Edited: what the store holds is not meant to be written to.
    std::fs::remove_file(house.path().join("first.txt")).expect("an output");
    house.write("first.txt", "mine");
    for verb in ["plan", "status"] {
        let stages = &told(&[verb, "--json"])["stages"];
        assert_eq!(stages[0]["restores"], serde_json::json!(["first.txt"]), "{stages:#}");
        assert_eq!(stages[1]["restores"], serde_json::json!(["second.json"]), "{stages:#}");
        let text = house.say(&[verb]).out;
        let there = ["`first.txt`", "`second.json`"].iter().all(|path| text.contains(path));
        assert!(text.contains("restore") && there, "{text}");
    }
    let text = house.say(&["plan"]).out;
    assert!(text.contains("nothing to run; 2 outputs would be restored"), "{text}");
    house.run().nothing_ran();
    assert_eq!(house.read("first.txt"), "1\n");
    assert!(house.say(&["plan"]).out.contains("nothing to do"));
}

#[test]
fn status_and_plan_say_that_a_gate_is_not_met() {
    let house = House::of(
        "
pipeline: gate
stages:
  raw: { kind: collect, from: { csv: a.csv } }
  facts: { kind: profile, inputs: { data: raw }, expect: [{ rows: { min: 5 } }] }
",
    );
    house.write("a.csv", "n\n1\n2\n3\n");
    assert_eq!(house.run_with(&[]).code, 3);
    let status = house.say(&["status"]).out;
    assert!(status.contains("up to date, gate not met"), "{status}");
    let plan = house.say(&["plan"]).out;
    assert!(plan.contains("at least 5 rows: there are 3"), "{plan}");
    let json: serde_json::Value = serde_json::from_str(&house.say(&["status", "--json"]).out).expect("JSON");
    assert_eq!(json["stages"][1]["unmet"], "at least 5 rows: there are 3");
    assert_eq!(json["stages"][0]["unmet"], serde_json::Value::Null);
    let shown = house.say(&["show", "raw"]).out;
    assert!(shown.contains("3 rows × 1 column,"), "{shown}");
    // A table becomes what a table can be, and a result what it is.
    for (target, name, part) in [
        ("raw", "o.png", "data::no_images"),
        ("facts", "v.csv", "not rows: it cannot be written as `.csv`"),
        ("raw", "/proc/x/o.csv", "check the folder `/proc/x`"),
        ("raw", "/proc/o.arrow", "check the folder `/proc`"),
    ] {
        let said = house.say(&["get", target, "-o", name]);
        assert_eq!(said.code, 2, "{name}: {}", said.err);
        assert!(said.err.contains(part), "{name}: {}", said.err);
    }
    assert_eq!(house.say(&["get", "facts", "-o", "v.json"]).code, 0);
    let said = house.say(&["get", "raw", "-o", "new/folder/o.csv"]);
    assert_eq!(said.code, 0, "{}", said.err);
}

#[test]
fn lines_of_json_have_the_columns_in_their_order() {
    let house = House::of("pipeline: order\nstages:\n  raw: { kind: collect, from: { csv: a.csv } }\n");
    house.write("a.csv", "z,a,m\n1,x,2.5\n,\"q\"\"\",\n");
    house.run();
    assert_eq!(house.say(&["get", "raw", "-o", "o.jsonl"]).code, 0);
    assert_eq!(house.read("o.jsonl"), "{\"z\":1,\"a\":\"x\",\"m\":2.5}\n{\"z\":null,\"a\":\"q\\\"\",\"m\":null}\n");
}

#[test]
fn a_folder_that_holds_an_edited_output_is_judged_as_it_will_be() {
    let house = House::of(
        "
pipeline: folder
stages:
  make: { kind: command, run: \"mkdir -p data/deep; echo 1 > data/made.txt; echo 2 > data/deep/d.txt\", outs: [data/made.txt, data/deep] }
  read: { kind: command, run: cat data/*.txt > all.txt, deps: [data], outs: [all.txt] }
",
    );
    house.write("data/own.txt", "own\n");
    house.run();
    let states = || {
        let json: serde_json::Value = serde_json::from_str(&house.say(&["plan", "--json"]).out).expect("JSON");
        [0, 1].map(|at| json["stages"][at]["state"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(states(), ["reuse", "reuse"]);
    std::fs::remove_file(house.path().join("data/made.txt")).expect("an output");
    house.write("data/made.txt", "edited");
    std::fs::remove_dir_all(house.path().join("data/deep")).expect("an output");
    assert_eq!(states(), ["reuse", "reuse"], "both are put back before it is looked at");
    house.write("data/own.txt", "mine\n");
    assert_eq!(states(), ["reuse", "run"]);
    house.write("data/own.txt", "own\n");
    house.run().nothing_ran();
    assert_eq!(house.read("data/made.txt"), "1\n");
}

#[test]
fn what_stands_below_a_gate_that_is_not_met_is_not_said_to_run() {
    let house = House::of(
        "
pipeline: gate
stages:
  raw: { kind: collect, from: { csv: a.csv } }
  facts: { kind: profile, inputs: { data: raw }, expect: [{ rows: { min: 5 } }] }
  told: { kind: command, needs: [facts], run: 'echo told > told.txt', outs: [told.txt] }
  read: { kind: command, deps: [told.txt], run: 'cat told.txt > read.txt', outs: [read.txt] }
",
    );
    house.write("a.csv", "n\n1\n2\n3\n");
    assert_eq!(house.run_with(&[]).code, 3);
    let plan: serde_json::Value = serde_json::from_str(&house.say(&["plan", "--json"]).out).expect("JSON");
    let would = |stage: usize| plan["stages"][stage]["state"].as_str().unwrap_or_default().to_owned();
    assert_eq!([would(0), would(1), would(2), would(3)], ["reuse", "reuse", "maybe run", "maybe run"], "{plan:#}");
    let plan = house.say(&["plan"]).out;
    assert!(plan.contains("the gate of facts is not met"), "{plan}");
    house.run_with(&[]).nothing_ran();
}

#[test]
fn a_copy_takes_the_place_of_nothing_that_would_be_lost() {
    let house = House::of(
        "
pipeline: copies
stages:
  raw: { kind: collect, from: { csv: data/a.csv } }
  folder: { kind: command, run: 'mkdir tree; echo 1 > tree/one', outs: [{ path: tree, kind: directory }] }
  quiet: { kind: command, run: 'true' }
",
    );
    house.write("data/a.csv", "n\n1\n2\n3\n");
    house.write("mine/keep", "keep");
    std::fs::create_dir(house.path().join("empty")).unwrap();
    house.run();
    for (target, place, part) in [
        ("raw", "data", "`data` is a folder"),
        ("raw", ".", "`.` is a folder"),
        ("folder", "mine", "not empty"),
        ("folder", "pipeline.yaml", "what the pipeline is made from"),
        ("raw", "data/a.csv", "what the pipeline is made from"),
    ] {
        let said = house.say(&["get", target, "-o", place]);
        assert_eq!(said.code, 2, "{target} {place}: {}", said.err);
        assert!(said.err.contains("cli::in_the_way") && said.err.contains(part), "{target} {place}: {}", said.err);
    }
    assert_eq!((house.read("data/a.csv").as_str(), house.read("mine/keep").as_str()), ("n\n1\n2\n3\n", "keep"));
    for place in ["empty", "fresh"] {
        assert_eq!(house.say(&["get", "folder", "-o", place]).code, 0, "{place}");
        assert_eq!(house.read(&format!("{place}/one")), "1\n");
    }
    // The size that is told is that of the file.
    let said = house.say(&["get", "raw", "-o", "rows.csv"]);
    assert!(said.err.contains("(8 B)"), "{}", said.err);
    house.edit("data/a.csv", "3", "4");
    let said = house.say(&["get", "raw", "-o", "rows.csv"]);
    assert!(said.code == 0 && said.err.contains("this is its last result"), "{}", said.err);
    for verb in [&["show", "quiet"][..], &["get", "quiet", "-o", "x"]] {
        let said = house.say(verb);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains("cli::no_output"), "{}", said.err);
    }
}

#[test]
fn output_that_cannot_be_written_changes_no_work_and_is_said() {
    let house = House::of(
        "
pipeline: lost
stages:
  one: { kind: command, run: echo 1 > one, outs: [one] }
  two: { kind: command, run: cat one > two, deps: [one], outs: [two] }
",
    );
    let run = |line: &str| {
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", line]).env("PIPELINE", crate::house::program()).current_dir(house.path());
        crate::house::said(shell)
    };
    // A reader that went away silences the output and nothing else.
    let piped = run("{ $PIPELINE run --json; echo $? > code; } | head -n 1 > first");
    assert_eq!((house.read("code").trim(), house.read("two").trim()), ("0", "1"), "{}", piped.err);
    assert!(!piped.err.contains("cannot be written"), "{}", piped.err);
    // Any other error is said, and the work is still done.
    house.edit("pipeline.yaml", "echo 1", "echo 2");
    let full = run("$PIPELINE run --json > /dev/full");
    assert_eq!(full.code, 4, "{}", full.err);
    assert!(full.err.contains("cli::unwritable") && full.err.contains("No space left"), "{}", full.err);
    assert_eq!(house.read("two").trim(), "2");
    // A verb keeps its own exit code when its reader went away.
    house.write("bad.yaml", "pipeline: bad\nstages: { x: { kind: nothing } }\n");
    run("{ $PIPELINE check --json -f bad.yaml; echo $? > code; } | true");
    assert_eq!(house.read("code").trim(), "2");
    assert_eq!(run("$PIPELINE get one -o - > /dev/full").code, 4);
}
