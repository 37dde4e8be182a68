//! Several runs in one project, and files of the project that are not what they seem.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::house::{House, said};

fn house(stages: &str) -> House {
    House::of(&format!("pipeline: sharing\nvars: {{ v: 0 }}\nstages:\n{stages}"))
}

fn set(value: u32) -> String {
    format!("vars.v={value}")
}

fn start(house: &House, value: u32, more: &[&str]) -> Child {
    let set = set(value);
    let mut args = vec!["run", "--set", &set];
    args.extend(more);
    house.start(&args)
}

/// Waits for a run; it must end well.
fn ended(child: Child) {
    let output = child.wait_with_output().expect("the program ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What a run with a value leaves in a file, and that nothing else is recorded for it.
fn gives(house: &House, value: u32, file: &str, text: &str) {
    let ran = house.run_with(&["--set", &set(value)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(house.read(file), text, "with v = {value}");
    let verified = house.say(&["verify", "--set", &set(value)]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
}

fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

#[test]
fn a_copy_is_not_put_where_another_run_is_writing() {
    let house = house("  a: { kind: command, run: \"echo ${vars.v} > a.txt; sleep 0.6\", outs: [a.txt] }\n");
    ended(start(&house, 1, &[]));
    let second = start(&house, 2, &[]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_to_string(house.path().join("a.txt")).ok().as_deref() != Some("2\n") {
        assert!(Instant::now() < deadline, "the second run never wrote");
        pause(5);
    }
    // It is recorded, and has to wait until the other has put its own result away.
    ended(start(&house, 1, &[]));
    assert_eq!(house.read("a.txt"), "1\n");
    ended(second);
    gives(&house, 2, "a.txt", "2\n");
    gives(&house, 1, "a.txt", "1\n");
}

#[test]
fn what_a_stage_reads_is_not_changed_by_another_run() {
    let house = house(
        "  a: { kind: command, run: \"echo ${vars.v} > a.txt\", outs: [a.txt] }
  b: { kind: command, run: \"sleep 0.3; cat a.txt > b.txt; sleep 0.3; cat a.txt >> b.txt\", deps: [a.txt], outs: [b.txt] }\n",
    );
    let first = start(&house, 1, &[]);
    pause(200);
    ended(start(&house, 2, &["a"]));
    ended(first);
    gives(&house, 1, "b.txt", "1\n1\n");
    gives(&house, 2, "b.txt", "2\n2\n");
}

#[test]
fn eight_runs_of_other_parameters_at_once_give_what_each_alone_gives() {
    let house = house(
        "  a: { kind: command, run: \"echo ${vars.v} > a.txt\", outs: [a.txt] }
  left: { kind: command, run: \"cat a.txt > left.txt\", deps: [a.txt], outs: [left.txt] }
  right: { kind: command, run: \"cat a.txt > right.txt\", deps: [a.txt], outs: [right.txt] }
  b: { kind: command, run: \"cat left.txt right.txt > b.txt\", deps: [left.txt, right.txt], outs: [b.txt] }\n",
    );
    let runs: Vec<Child> = (1..=8).map(|value| start(&house, value, &[])).collect();
    runs.into_iter().for_each(ended);
    for value in 1..=8 {
        let ran = house.run_with(&["--set", &set(value)]);
        ran.nothing_ran();
        assert_eq!(house.read("b.txt"), format!("{value}\n{value}\n"));
    }
    gives(&house, 5, "b.txt", "5\n5\n");
}

#[test]
fn a_project_is_one_whatever_link_leads_to_it() {
    let house = house(
        "  a: { kind: command, run: \"echo ${vars.v} > a.txt; sleep 0.4; cat a.txt > b.txt\", outs: [a.txt, b.txt] }\n",
    );
    let elsewhere = tempfile::tempdir().expect("a folder");
    symlink(house.path(), elsewhere.path().join("link")).expect("a link");
    let first = start(&house, 1, &[]);
    pause(150);
    let file = elsewhere.path().join("link/pipeline.yaml");
    let mut through = house.command(&["run", "--set", "vars.v=2", "--file"]);
    through.arg(file);
    let through = said(through);
    assert_eq!(through.code, 0, "{}", through.err);
    ended(first);
    gives(&house, 1, "b.txt", "1\n");
    gives(&house, 2, "b.txt", "2\n");
}

#[test]
fn one_place_has_one_writer_whatever_link_leads_to_it() {
    let house = house(
        "  a: { kind: command, run: \"echo a > real/x\", outs: [real/x] }
  b: { kind: command, run: \"echo b > link/x\", outs: [link/x] }
  c: { kind: command, run: \"cat link/y > c.txt\", deps: [link/y], outs: [c.txt] }
  d: { kind: command, run: \"echo d > real/y\", outs: [real/y] }\n",
    );
    fs::create_dir(house.path().join("real")).expect("a folder");
    symlink("real", house.path().join("link")).expect("a link");
    let said = house.say(&["check"]);
    assert_eq!(said.code, 2, "{}", said.out);
    assert!(said.err.contains("graph::two_writers") && said.err.contains("link/x"), "{}", said.err);
    house.edit("pipeline.yaml", "link/x\", outs: [link/x]", "link/z\", outs: [link/z]");
    house.run().ran(["a", "b", "c", "d"]);
    assert_eq!(house.read("c.txt"), "d\n", "the stage that reads waits for the one that writes");
    house.run().nothing_ran();
}

#[test]
fn the_files_of_the_pipeline_are_no_outputs() {
    for (out, extra) in [
        ("pipeline.yaml", ""),
        ("pipeline.lock", ""),
        ("sub", "include: [sub/more.yaml]\n"),
        ("sub/more.yaml", "include: [sub/more.yaml]\n"),
        (".git", ""),
        (".git/config", ""),
        ("link/pipeline.yaml", ""),
    ] {
        let text = format!("pipeline: p\n{extra}stages:\n  a: {{ kind: command, run: touch x, outs: [{out}] }}\n");
        let house = House::of(&text);
        house.write("sub/more.yaml", "stages:\n  more: { kind: command, run: touch more, outs: [more] }\n");
        symlink(".", house.path().join("link")).expect("a link");
        let said = house.say(&["run"]);
        assert_eq!(said.code, 2, "{out}: {}", said.err);
        assert!(said.err.contains("path::reserved"), "{out}: {}", said.err);
        assert_eq!(house.read("pipeline.yaml"), text);
    }
}

#[test]
fn what_is_in_the_way_of_an_output_is_set_aside() {
    let house = house(
        "  make: { kind: command, run: \"mkdir data; echo made > data/made\", outs: [data] }
  fail: { kind: command, run: \"false\", outs: [notes.txt], needs: [make] }\n",
    );
    house.write("data/raw.csv", "mine");
    house.write("notes.txt", "mine, too");
    let ran = house.run_with(&[]);
    assert_eq!(ran.code, 1);
    let told: Vec<&str> = ran
        .events
        .iter()
        .filter(|event| event["event"] == "stage_log" && event["level"] == "warn")
        .filter_map(|event| event["text"].as_str())
        .filter(|text| text.contains("is in no result"))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let kept = |text: &str| {
        let path = text.rsplit('`').nth(1).expect("a path");
        house.path().join(path)
    };
    assert_eq!(fs::read_to_string(kept(told[0]).join("raw.csv")).expect("kept"), "mine");
    assert_eq!(fs::read_to_string(kept(told[1])).expect("kept"), "mine, too");
    // What a stage has given before is in the store, and nothing is said of it.
    house.edit("pipeline.yaml", "echo made", "echo again");
    house.edit("pipeline.yaml", "run: \"false\"", "run: \"echo well > notes.txt\"");
    let ran = house.run();
    ran.ran(["make", "fail"]);
    assert!(!ran.events.iter().any(|event| event["text"].as_str().is_some_and(|text| text.contains("in no result"))));
}

#[test]
fn what_is_in_the_way_of_a_copy_is_set_aside_too() {
    let house = house("  two: { kind: command, run: \"echo two > two.txt\", outs: [two.txt] }\n");
    house.run();
    house.edit("pipeline.yaml", "echo two", "echo three");
    house.run();
    // An older result of its own is in the store, and nothing is said of it.
    house.edit("pipeline.yaml", "echo three", "echo two");
    let told = |ran: &crate::house::Ran| {
        let faults = ran.events.iter().filter(|event| event["event"] == "warning").map(|event| &event["fault"]);
        let faults = faults.filter(|fault| fault["code"] == "run::set_aside");
        faults.filter_map(|fault| fault["message"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let ran = house.run();
    ran.nothing_ran();
    assert!(told(&ran).is_empty() && house.read("two.txt") == "two\n");
    house.write("two.txt", "mine");
    let ran = house.run();
    ran.nothing_ran();
    assert_eq!(house.read("two.txt"), "two\n");
    let told = told(&ran);
    let path = told.first().and_then(|text| text.rsplit('`').nth(1)).expect("a path");
    assert_eq!(fs::read_to_string(house.path().join(path)).expect("kept"), "mine");
}

#[test]
fn an_input_that_was_something_else_in_between_is_found_by_its_times() {
    let house = house(
        "  copy: { kind: command, run: \"sleep 0.4; cat in.txt > out.txt; echo x >> count; sleep 0.4\", deps: [in.txt], outs: [out.txt] }\n",
    );
    house.write("in.txt", "old");
    let run = house.start(&["run"]);
    pause(250);
    house.write("in.txt", "new");
    pause(350);
    house.write("in.txt", "old");
    ended(run);
    assert_eq!(house.read("out.txt"), "old");
    house.run().nothing_ran();
    // A program that writes what is there already is no fault, it only runs twice.
    house.edit("pipeline.yaml", "sleep 0.4; cat", "printf old > in.txt; cat");
    fs::remove_file(house.path().join("count")).expect("a file");
    house.run().ran(["copy"]);
    assert_eq!(house.read("count").lines().count(), 2);
    house.run().nothing_ran();
}

#[test]
fn an_output_that_can_be_executed_stays_so() {
    let house = house(
        "  tool: { kind: command, run: \"printf '#!/bin/sh\\necho ok\\n' > tool; chmod +x tool\", outs: [tool] }
  by_path: { kind: command, run: \"./tool > path.txt\", deps: [tool], outs: [path.txt] }
  by_input: { kind: command, inputs: { tool: tool }, run: \"$INPUT_TOOL > input.txt\", outs: [input.txt] }\n",
    );
    house.run().ran(["tool", "by_path", "by_input"]);
    assert_eq!(house.read("path.txt") + &house.read("input.txt"), "ok\nok\n");
    let tool = house.path().join("tool");
    fs::remove_file(&tool).expect("the copy");
    house.run().nothing_ran();
    assert_ne!(fs::metadata(&tool).expect("put back").permissions().mode() & 0o100, 0);
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o644)).expect("permissions");
    house.edit("pipeline.yaml", "path.txt\"", "path.txt; true\"");
    house.run().ran(["by_path"]);
}

#[test]
fn a_program_that_writes_into_its_input_poisons_nobody() {
    let house = house(
        "  x: { kind: command, run: \"echo A > x.txt\", outs: [x.txt] }
  hack: { kind: command, inputs: { x: x }, run: \"chmod u+w $INPUT_X; echo HACK >> $INPUT_X; cat $INPUT_X > hack.txt\", outs: [hack.txt] }
  after: { kind: command, inputs: { x: x }, needs: [hack], run: \"cat $INPUT_X > after.txt\", outs: [after.txt] }\n",
    );
    let ran = house.run_with(&[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(ran.codes(), ["run::inputs_keep_changing"]);
    house.edit("pipeline.yaml", "echo HACK >> $INPUT_X; ", "");
    let ran = house.run();
    assert_eq!(house.read("after.txt"), "A\n", "{:?}", ran.events);
}

#[test]
fn a_stage_may_read_more_files_of_others_than_a_process_may_open_at_first() {
    let numbers: Vec<String> = (0..120).map(|number| number.to_string()).collect();
    let house = house(&format!(
        "  part: {{ kind: command, matrix: {{ n: [{}] }}, run: \"echo ${{matrix.n}} > out/${{matrix.n}}.txt\", outs: [\"out/${{matrix.n}}.txt\"] }}
  all: {{ kind: command, run: \"cat out/*.txt | wc -l > all.txt\", deps: [\"out/*.txt\"], outs: [all.txt] }}\n",
        numbers.join(", ")
    ));
    let mut limited = std::process::Command::new("/bin/sh");
    limited.args(["-c", "ulimit -Sn 100; exec \"$0\" run"]).arg(crate::house::program()).current_dir(house.path());
    let ran = said(limited);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(house.read("all.txt").trim(), "120");
}

#[test]
fn what_a_failure_leaves_is_nobodys_work_until_somebody_touches_it() {
    let house = House::of(
        "
pipeline: fails
stages:
  half: { kind: command, run: 'echo half > half.txt; mkdir tree; echo half > tree/half; exit 3', outs: [half.txt, { path: tree, kind: directory }] }
",
    );
    let aside = |house: &House| {
        let folders = std::fs::read_dir(house.path().join(".pipeline/aside-v1")).into_iter().flatten().flatten();
        folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten()).count()
    };
    for _ in 0..3 {
        let ran = house.run_with(&[]);
        assert_eq!(ran.code, 1);
        assert!(!format!("{:?}", ran.events).contains("aside"), "{:#?}", ran.events);
    }
    assert_eq!(house.read("half.txt"), "half\n", "it can be looked at");
    assert_eq!(aside(&house), 0);
    house.write("half.txt", "mine");
    house.write("tree/mine", "mine");
    let ran = house.run_with(&[]);
    assert!(format!("{:?}", ran.events).contains("aside-v1"), "{:#?}", ran.events);
    assert_eq!(aside(&house), 2);
}
