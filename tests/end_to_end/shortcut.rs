//! The shortcut of a run with nothing to do gives no other answer than the long way.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::house::{House, said};

const PIPELINE: &str = "\
pipeline: shortcut
stages:
  a: {kind: command, run: 'cat one two > out/a; printf %s \"$WORD\" >> out/a', env: [WORD], deps: [one, two], outs: [out/a]}
  b: {kind: command, run: 'cat two out/a > out/b', deps: [two, out/a], outs: [out/b]}
  c: {kind: command, run: 'cat out/a out/b > deep/er/c', deps: [out/a, out/b], outs: [deep/er/c]}
";

const OUTPUTS: [&str; 3] = ["out/a", "out/b", "deep/er/c"];

/// How many runs took the shortcut: their entry in the history names the run they stand for.
fn taken(house: &House) -> usize {
    let log = fs::read(house.path().join(".pipeline/runs-v1/log")).unwrap_or_default();
    String::from_utf8_lossy(&log).matches("stages_of").count()
}

fn house() -> House {
    let house = House::of(PIPELINE);
    house.write("one", "1\n");
    house.write("two", "2\n");
    house
}

fn blobs(house: &House) -> Vec<PathBuf> {
    let folders = fs::read_dir(house.path().join(".pipeline/blobs-v1")).expect("blobs");
    let mut blobs: Vec<PathBuf> = folders
        .flat_map(|folder| fs::read_dir(folder.expect("a folder").path()).expect("blobs"))
        .map(|blob| blob.expect("a blob").path())
        .collect();
    blobs.sort();
    blobs
}

#[test]
fn the_second_run_takes_it_and_is_told_and_kept_as_any_other() {
    let house = house();
    let long = house.say(&["run"]);
    assert_eq!((long.code, taken(&house)), (0, 0), "{}", long.err);
    let short = house.say(&["run"]);
    assert_eq!((short.code, taken(&house)), (0, 1), "{}", short.err);
    assert!(short.err.starts_with("= up to date: a, b, c\ndone in "), "{}", short.err);
    assert!(short.err.trim_end().ends_with(": 3 up to date"), "{}", short.err);
    // Another program name of the same run: quiet says only the last line, JSON wants every event.
    assert_eq!(house.say(&["run", "--quiet"]).err.lines().count(), 1);
    house.run().nothing_ran();
    assert_eq!(taken(&house), 2);
    let runs: serde_json::Value = serde_json::from_str(&house.say(&["runs", "--json"]).out).expect("JSON");
    for run in &runs.as_array().expect("runs")[..3] {
        assert_eq!((&run["hit"], &run["outcome"]), (&3.into(), &"success".into()), "{run}");
        let stages = run["stages"].as_array().expect("the stages of a run that took the shortcut");
        assert!(
            stages.iter().all(|stage| stage["end"] == "hit" && stage["key"].as_str().is_some_and(|k| k.len() == 64))
        );
        assert_eq!(stages.len(), 3);
    }
}

#[test]
fn what_must_be_said_or_done_again_never_takes_it() {
    let house = house();
    house.edit("pipeline.yaml", "  b: {kind: command,", "  b: {cache: false, kind: command,");
    for _ in 0..3 {
        let ran = house.say(&["run"]);
        assert!(ran.err.contains("b "), "{}", ran.err);
    }
    house.edit("pipeline.yaml", "cache: false, ", "");
    for arguments in [&["run", "--force"][..], &["run", "a"], &["run", "--force", "b"]] {
        assert_eq!(house.say(arguments).code, 0);
    }
    assert_eq!(taken(&house), 0);
}

/// Random edits; after each a run, which may take the shortcut. Then everything must be as a full run leaves it: what lies in the
/// project follows from the sources, and the long way finds nothing to do.
#[test]
fn no_edit_slips_through() {
    let house = house();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) % below
    };
    let path = |name: &str| house.path().join(name);
    let mut word = String::new();
    for turn in 0..60 {
        let output = OUTPUTS[random(3) as usize];
        let source = ["one", "two"][random(2) as usize];
        let edit = random(16);
        match edit {
            0 => house.write(source, format!("{}\n", random(3))),
            1 => house.write(source, house.read(source)),
            2 => fs::remove_file(path(output)).unwrap_or_default(),
            3 => fs::write(path(output), "wrong").unwrap_or_default(),
            4 | 5 => {
                if let Some(blob) = blobs(&house).get(random(9) as usize) {
                    fs::set_permissions(blob, fs::Permissions::from_mode(0o644)).expect("mine");
                    if edit == 4 {
                        fs::write(blob, "x").expect("mine");
                    } else {
                        fs::remove_file(blob).expect("mine");
                    }
                }
            }
            6 => fs::set_permissions(path(source), fs::Permissions::from_mode(0o600)).expect("mine"),
            7 => {
                // Another file of the same content, by a link.
                let text = house.read(source);
                house.write("elsewhere", text);
                fs::remove_file(path(source)).expect("mine");
                fs::copy(path("elsewhere"), path(&format!("{source}.real"))).expect("mine");
                symlink(path(&format!("{source}.real")), path(source)).expect("mine");
            }
            8 if path(output).exists() => {
                fs::rename(path(output), path("away")).expect("mine");
                symlink(path("away"), path(output)).expect("mine");
            }
            9 => word = random(3).to_string(),
            10 => house.write("pipeline.yaml", house.read("pipeline.yaml") + "# a comment\n"),
            11 => {
                let text = house.read("pipeline.yaml");
                let other = if text.contains("cat two out/a >") { "cat out/a two >" } else { "cat two out/a >" };
                let here = if other == "cat out/a two >" { "cat two out/a >" } else { "cat out/a two >" };
                house.edit("pipeline.yaml", here, other);
            }
            _ => {}
        }
        let mut command = house.command(&["run"]);
        command.env("WORD", &word);
        let run = said(command);
        assert_eq!(run.code, 0, "turn {turn}, edit {edit}: {}", run.err);
        let a = house.read("one") + &house.read("two") + &word;
        let b = match house.read("pipeline.yaml").contains("cat two out/a >") {
            true => house.read("two") + &a,
            false => a.clone() + &house.read("two"),
        };
        let expected = [a.clone(), b.clone(), a + &b];
        for (name, expected) in OUTPUTS.iter().zip(expected) {
            assert_eq!(house.read(name), expected, "turn {turn}, edit {edit}: `{name}`\n{}", run.err);
            assert!(!path(name).is_symlink(), "turn {turn}, edit {edit}: `{name}` is a link");
        }
        if turn % 2 == 0 {
            // Of another environment, so it never takes the shortcut itself.
            let mut command = house.command(&["run", "--json"]);
            command.env("WORD", &word).env("TURN", turn.to_string());
            let long = said(command);
            let ran = long.out.lines().filter(|line| line.contains("\"stage_started\"")).count();
            assert_eq!((long.code, ran), (0, 0), "turn {turn}, edit {edit}: {}", long.out);
        }
    }
    assert!(taken(&house) >= 5, "the shortcut was hardly taken: {}", taken(&house));
}
