//! The shortcut of a run with nothing to do gives no other answer than the long way.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::house::{self, House, said};

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

/// A house in which the next run would take the shortcut.
fn settled() -> House {
    let house = house();
    for _ in 0..2 {
        assert_eq!(house.say(&["run"]).code, 0);
    }
    assert_eq!(taken(&house), 1);
    house
}

/// The next run goes the long way, and leaves everything as it should be for this word.
fn long_way(house: &House, word: &str, why: &str) {
    let before = taken(house);
    let mut command = house.command(&["run"]);
    if !word.is_empty() {
        command.env("WORD", word);
    }
    let run = said(command);
    assert_eq!((run.code, taken(house)), (0, before), "{why}: {}", run.err);
    is_right(house, word, why);
}

fn is_right(house: &House, word: &str, why: &str) {
    let a = house.read("one") + &house.read("two") + word;
    let b = house.read("two") + &a;
    for (name, expected) in OUTPUTS.iter().zip([a.clone(), b.clone(), a + &b]) {
        assert_eq!(house.read(name), expected, "{why}: `{name}`");
    }
}

#[test]
fn a_changed_variable_that_a_stage_reads_is_seen() {
    let house = settled();
    for word in ["hot", "cold", "hot", "hot", ""] {
        let mut command = house.command(&["run"]);
        command.env("WORD", word);
        assert_eq!(said(command).code, 0);
        is_right(&house, word, word);
    }
    // The second `hot` in a row, and no other.
    assert_eq!(taken(&house), 2);
}

#[test]
fn a_changed_setting_of_the_program_is_seen() {
    let house = settled();
    let workers = house::program().parent().expect("a folder").to_path_buf();
    for (name, value) in [("PIPELINE_WORKERS", workers.as_os_str()), ("PIPELINE_NEW_SETTING", "1".as_ref())] {
        let mut command = house.command(&["run"]);
        command.env(name, value);
        assert_eq!((said(command).code, taken(&house)), (0, 1), "{name}");
    }
}

#[test]
fn a_changed_worker_program_is_seen() {
    let house = House::of("pipeline: p\nstages:\n  raw: {kind: collect, from: {csv: data.csv}}\n");
    house.write("data.csv", "a,b\n1,2\n3,4\n");
    let real = house::program().with_file_name("pipeline-data");
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", real.display());
    let worker = house.path().join("workers/pipeline-data");
    house.write("workers/pipeline-data", &script);
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).expect("mine");
    let run = || {
        let mut command = house.command(&["run"]);
        command.env("PIPELINE_WORKERS", house.path().join("workers"));
        let run = said(command);
        assert_eq!(run.code, 0, "{}", run.err);
        taken(&house)
    };
    assert_eq!((run(), run(), run()), (0, 1, 2));
    // In place, to the same size.
    fs::write(&worker, script.replace("exec", "exeC")).expect("mine");
    fs::write(&worker, &script).expect("mine");
    assert_eq!((run(), run()), (2, 3));
    // Another file of the same content and time.
    fs::copy(&worker, house.path().join("workers/new")).expect("mine");
    let time = fs::metadata(&worker).and_then(|meta| meta.modified()).expect("a time");
    fs::File::open(house.path().join("workers/new")).and_then(|file| file.set_modified(time)).expect("mine");
    fs::rename(house.path().join("workers/new"), &worker).expect("mine");
    assert_eq!(run(), 3);
}

#[test]
fn a_damaged_or_removed_object_is_seen() {
    for removed in [false, true] {
        for number in 0..3 {
            let house = settled();
            let blob = &blobs(&house)[number];
            fs::set_permissions(blob, fs::Permissions::from_mode(0o644)).expect("mine");
            if removed {
                fs::remove_file(blob).expect("mine");
            } else {
                let mut bytes = fs::read(blob).expect("mine");
                bytes[0] ^= 1;
                fs::write(blob, bytes).expect("mine");
            }
            long_way(&house, "", "an object");
            assert_eq!(blobs(&house).len(), 3);
        }
    }
}

#[test]
fn a_collected_object_is_seen() {
    let house = settled();
    fs::remove_file(house.path().join("pipeline.lock")).expect("the lock");
    assert_eq!(house.say(&["run"]).code, 0);
    fs::remove_file(house.path().join("pipeline.lock")).expect("the lock");
    let swept = house.say(&["gc", "--keep", "0B", "--keep-runs", "0"]);
    assert_eq!((swept.code, blobs(&house).len()), (0, 0), "{}", swept.err);
    house.say(&["run"]);
    assert_eq!((taken(&house), blobs(&house).len()), (1, 3));
    is_right(&house, "", "collected");
}

#[test]
fn an_output_that_was_edited_or_removed_in_the_project_is_seen() {
    for output in OUTPUTS {
        let house = settled();
        house.write(output, "edited");
        long_way(&house, "", "edited");
        let same_size = "x".repeat(house.read(output).len());
        house.write(output, same_size);
        long_way(&house, "", "edited to the same size");
        fs::remove_file(house.path().join(output)).expect("mine");
        long_way(&house, "", "removed");
        let folder = house.path().join(output).parent().expect("a folder").to_path_buf();
        fs::remove_dir_all(folder).expect("mine");
        long_way(&house, "", "its folder removed");
    }
}

/// A source changed right after the run that read it, to the same size and in place: its times may be as they were.
#[test]
fn a_source_changed_within_the_clocks_granularity_of_the_run_is_seen() {
    let house = house();
    for turn in 0..12 {
        assert_eq!(house.say(&["run"]).code, 0);
        fs::write(house.path().join("one"), format!("{}\n", turn % 10)).expect("mine");
        assert_eq!(house.say(&["run"]).code, 0);
        is_right(&house, "", &format!("turn {turn}"));
    }
}

#[test]
fn another_pipeline_of_the_same_name_in_its_place_is_seen() {
    let here = House::empty();
    let pipeline = |word: &str| {
        format!("pipeline: p\nstages:\n  a: {{kind: command, run: 'printf {word} > out', deps: [in], outs: [out]}}\n")
    };
    for (folder, word) in [("one", "first"), ("two", "other")] {
        here.write(&format!("{folder}/pipeline.yaml"), pipeline(word));
        here.write(&format!("{folder}/in"), "same");
    }
    let run = |folder: &str| {
        let mut command = here.command(&["run"]);
        command.current_dir(here.path().join(folder));
        let run = said(command);
        assert_eq!(run.code, 0, "{}", run.err);
        here.read(&format!("{folder}/out"))
    };
    for _ in 0..3 {
        assert_eq!((run("one").as_str(), run("two").as_str()), ("first", "other"));
    }
    // The folders change places, with their stores.
    let at = |name: &str| here.path().join(name);
    for (from, to) in [("one", "three"), ("two", "one"), ("three", "two")] {
        fs::rename(at(from), at(to)).expect("mine");
    }
    assert_eq!((run("one").as_str(), run("two").as_str()), ("other", "first"));
    // Only the stores change places: each vouches for the files of the other.
    for (from, to) in [("one/.pipeline", "three"), ("two/.pipeline", "one/.pipeline"), ("three", "two/.pipeline")] {
        fs::rename(at(from), at(to)).expect("mine");
    }
    for name in ["one/out", "two/out"] {
        fs::remove_file(at(name)).expect("mine");
    }
    assert_eq!((run("one").as_str(), run("two").as_str()), ("other", "first"));
    // Two files in one folder, and one file in the place of the other.
    here.write("one/second.yaml", pipeline("second"));
    let run_file = |file: &str| {
        let mut command = here.command(&["run", "--file", file]);
        command.current_dir(here.path().join("one"));
        assert_eq!(said(command).code, 0);
        here.read("one/out")
    };
    for _ in 0..3 {
        assert_eq!((run_file("pipeline.yaml").as_str(), run_file("second.yaml").as_str()), ("other", "second"));
    }
    fs::rename(at("one/second.yaml"), at("one/pipeline.yaml")).expect("mine");
    assert_eq!(run_file("pipeline.yaml"), "second");
}

#[test]
fn included_files_and_profiles_are_seen() {
    let house = House::of(
        "pipeline: parts\ninclude: [part.yaml, link.yaml]\nvars: { word: plain }\nprofiles: { loud: { vars: { word: LOUD } } }\n",
    );
    let part = |name: &str, word: &str| {
        format!("stages:\n  {name}: {{ kind: command, run: 'echo {word} > {name}.txt', outs: [{name}.txt] }}\n")
    };
    house.write("part.yaml", part("a", "${vars.word}"));
    house.write("other.yaml", part("b", "one"));
    house.write("another.yaml", part("b", "two"));
    let link = house.path().join("link.yaml");
    symlink("other.yaml", &link).expect("mine");
    let run = |arguments: &[&str]| {
        let run = house.say(arguments);
        assert_eq!(run.code, 0, "{}", run.err);
        (house.read("a.txt").trim().to_owned(), house.read("b.txt").trim().to_owned())
    };
    let both = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    for _ in 0..3 {
        assert_eq!(run(&["run"]), both("plain", "one"));
        assert_eq!(run(&["run", "--profile", "loud"]), both("LOUD", "one"));
    }
    // In turns each finds the files of the other; twice in a row there is nothing to do.
    assert_eq!(taken(&house), 0);
    assert_eq!(run(&["run", "--profile", "loud"]), both("LOUD", "one"));
    assert_eq!(taken(&house), 1);
    house.write("part.yaml", part("a", "new"));
    assert_eq!(run(&["run", "--profile", "loud"]), both("new", "one"));
    fs::remove_file(&link).expect("mine");
    symlink("another.yaml", &link).expect("mine");
    assert_eq!(run(&["run", "--profile", "loud"]), both("new", "two"));
    assert_eq!(taken(&house), 1);
}

#[test]
fn the_lock_file_is_written_where_it_is_missing_or_different_and_compared_where_it_is_locked() {
    let house = settled();
    let lock = house.read("pipeline.lock");
    fs::remove_file(house.path().join("pipeline.lock")).expect("the lock");
    long_way(&house, "", "no lock file");
    assert_eq!(house.read("pipeline.lock"), lock);
    house.write("pipeline.lock", lock.replacen("a", "b", 1));
    long_way(&house, "", "another lock file");
    assert_eq!(house.read("pipeline.lock"), lock);
    assert_eq!(house.say(&["run"]).code, 0);
    assert_eq!(taken(&house), 2);
    assert_eq!(house.say(&["run", "--locked"]).code, 0);
    fs::remove_file(house.path().join("pipeline.lock")).expect("the lock");
    let locked = house.say(&["run", "--locked"]);
    assert_eq!((locked.code, taken(&house)), (2, 2), "{}", locked.err);
    assert!(locked.err.contains("lock::missing"), "{}", locked.err);
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
