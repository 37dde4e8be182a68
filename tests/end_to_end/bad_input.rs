//! What users get wrong, and what machines do: a code, a place, a help line; nothing lost; the next run right.

use std::fs;

use crate::house::House;

/// Collect, then train on it.
fn training(data: &str) -> House {
    let house = House::of(
        "
pipeline: bad
device: cpu
stages:
  raw: { kind: collect, from: { csv: data.csv } }
  parts: { kind: split, inputs: { data: raw }, ratios: { train: 0.5, test: 0.5 } }
  model: { kind: train, inputs: { train: parts.train }, target: y, model: linear, epochs: 2 }
  verdict: { kind: evaluate, inputs: { model: model, data: parts.test } }
",
    );
    house.write("data.csv", data);
    house
}

/// Rows of two features and two classes.
fn rows(count: usize) -> String {
    (0..count).map(|row| format!("{},{},{}\n", row % 7, row % 5, if row % 2 == 0 { "no" } else { "yes" })).collect()
}

/// Whatever step finds it, the answer has the code, the place and a help line, and no trace of a panic.
fn refused(house: &House, code: &str, place: &str) {
    let said = house.say(&["run"]);
    assert!(matches!(said.code, 1 | 2), "{}: {}", said.code, said.err);
    assert!(said.err.contains(code), "{code} is not in\n{}", said.err);
    assert!(said.err.contains(place), "{place} is not in\n{}", said.err);
    assert!(said.err.contains("help:"), "no help in\n{}", said.err);
    for word in ["panicked", "RUST_BACKTRACE", "Os {"] {
        assert!(!said.err.contains(word), "{word} in\n{}", said.err);
    }
}

#[test]
fn a_malformed_row_is_named_and_mending_it_is_enough() {
    let house = training(&format!("a,b,y\n1,2,no\n3,4\n{}", rows(20)));
    refused(&house, "data::", "data.csv:3");
    house.write("data.csv", format!("a,b,y\n1,2,no\n3,4,yes\n{}", rows(20)));
    house.run();
}

#[test]
fn a_quote_that_never_ends_is_named() {
    let house = training(&format!("a,b,y\n1,2,\"no\n{}", rows(20)));
    refused(&house, "data::", "data.csv:2");
}

#[test]
fn a_column_that_is_not_there_is_found_before_anything_runs() {
    let house = training(&format!("a,b,y\n{}", rows(20)));
    house.edit("pipeline.yaml", "target: y", "target: yy");
    let said = house.say(&["check"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("pipeline.yaml:7:") && said.err.contains("did you mean `y`?"), "{}", said.err);
}

#[test]
fn one_class_is_nothing_to_learn() {
    let house = training(&format!("a,b,y\n{}", rows(20).replace("yes", "no")));
    refused(&house, "class", "y");
}

#[test]
fn an_empty_data_set_says_so() {
    let house = training("a,b,y\n");
    refused(&house, "data::empty", "data.csv");
    let house = training("");
    refused(&house, "data::empty", "data.csv");
}

#[test]
fn a_loss_that_is_not_a_number_stops_training() {
    let house = training(&format!("a,b,y\n{}", rows(40)));
    house.edit("pipeline.yaml", "model: linear", "model: { mlp: {} }, optimizer: { sgd: { lr: 1.0e30 } }");
    refused(&house, "train::nan_loss", "model");
}

#[test]
fn a_class_that_training_never_saw_is_named() {
    let house = training(&format!("a,b,y\n{}1,1,rare\n", rows(40)));
    house.edit("pipeline.yaml", "train: 0.5, test: 0.5 }", "train: 0.5, test: 0.5 }, seed: 1");
    // One row of the class is in one of the parts only: under one of these seeds it is not the training part.
    let faults = (1..=12).find_map(|seed| {
        let said = house.say(&["run", "--set", &format!("stages.parts.seed={seed}")]);
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said.err.contains("rare").then_some(said)
    });
    let said = faults.expect("under one of twelve seeds the class is missing from the training part");
    assert!(said.err.contains("help:") || said.code == 0, "{}", said.err);
}

#[test]
fn a_truncated_parquet_file_is_named() {
    let house = House::of("pipeline: p\nstages:\n  raw: { kind: collect, from: { parquet: data.parquet } }\n");
    house.write("data.parquet", b"PAR1 and then nothing");
    refused(&house, "data::", "data.parquet");
}

#[test]
fn a_damaged_blob_is_made_again() {
    let house = House::example("penguins");
    let before = house.run().digests();
    let digest = &before["model.metrics"];
    let blob = house.path().join(".pipeline/blobs-v1").join(&digest[..2]).join(&digest[2..]);
    let mut bytes = fs::read(&blob).expect("the blob");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&blob).expect("removed");
    fs::write(&blob, &bytes).expect("damaged");
    let ran = house.run();
    ran.ran(["model"]);
    assert_eq!(ran.digests(), before, "the run after damage is right");
    // Lost altogether: the same.
    fs::remove_file(&blob).expect("removed");
    let ran = house.run();
    ran.ran(["model"]);
    assert_eq!(ran.digests(), before);
}

#[test]
fn a_full_disk_is_an_error_of_the_store_and_nothing_is_lost() {
    // A file system of its own needs a privilege that not every machine gives.
    let house = House::example("penguins");
    let disk = house.path().join("disk");
    fs::create_dir_all(&disk).expect("a folder");
    let shell = format!(
        "mount -t tmpfs -o size=1200k tmpfs {0} && cp -r pipeline.yaml data {0} && cd {0} && head -c 100m /dev/zero > filler; \
         {1} run; code=$?; rm -f filler; {1} run --quiet || exit 99; exit $code",
        disk.display(),
        crate::house::program().display()
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", &shell]).current_dir(house.path()).env("NO_COLOR", "1");
    let said = crate::house::said(command);
    if said.err.contains("unshare") || said.err.contains("mount:") {
        eprintln!("skipped: no private mounts here: {}", said.err);
        return;
    }
    assert!(matches!(said.code, 1 | 4), "{}: {}", said.code, said.err);
    assert!(said.err.contains("full") && said.err.contains("help:"), "{}", said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let house = House::example("penguins");
    let mut command = std::process::Command::new("unshare");
    let shell = format!(
        "mount --bind {0} {0} && mount -o remount,ro,bind {0} && cd {0} && {1} run",
        house.path().display(),
        crate::house::program().display()
    );
    command.args(["-m", "sh", "-c", &shell]).env("NO_COLOR", "1");
    let said = crate::house::said(command);
    if said.err.contains("unshare") || said.err.contains("mount:") {
        eprintln!("skipped: no private mounts here: {}", said.err);
        return;
    }
    assert_eq!(said.code, 4, "{}", said.err);
    assert!(said.err.contains("store::") && said.err.contains("help:"), "{}", said.err);
}

#[test]
fn a_missing_worker_fails_its_stages_and_says_how_to_get_it() {
    let house = House::example("penguins");
    let empty = house.path().join("nothing");
    fs::create_dir_all(&empty).expect("a folder");
    let mut command = house.command(&["run"]);
    command.env("PIPELINE_WORKERS", &empty);
    let said = crate::house::said(command);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("worker::missing") && said.err.contains("help:"), "{}", said.err);
    house.run();
}

#[test]
fn a_worker_of_another_version_is_refused() {
    let house = House::example("penguins");
    let fakes = house.path().join("fakes");
    fs::create_dir_all(&fakes).expect("a folder");
    let real = crate::house::program();
    std::os::unix::fs::symlink(real.with_file_name("pipeline-data"), fakes.join("pipeline-data")).expect("a link");
    let hello = r#"{"hello":{"protocol":1,"program":"pipeline-torch","version":"0.1.0","toolchain":{"libtorch":"1.13.1"},"cuda_devices":[]}}"#;
    let fake = fakes.join("pipeline-torch");
    fs::write(&fake, format!("#!/bin/sh\necho '{hello}'\n[ \"$1\" = --hello ] || cat > /dev/null\n"))
        .expect("a script");
    fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let mut command = house.command(&["run"]);
    command.env("PIPELINE_WORKERS", &fakes);
    let said = crate::house::said(command);
    assert!(matches!(said.code, 1 | 2), "{}: {}", said.code, said.err);
    assert!(said.err.contains("libtorch") && said.err.contains("1.13.1") && said.err.contains("help:"), "{}", said.err);
}

#[test]
fn cuda_where_there_is_none_is_told_at_its_place() {
    if std::path::Path::new("/dev/nvidia0").exists() {
        eprintln!("skipped: there is a CUDA device");
        return;
    }
    let house = House::example("penguins");
    house.edit("pipeline.yaml", "device: cpu", "device: cuda");
    let said = house.say(&["run"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(
        said.err.contains("device::") && said.err.contains("pipeline.yaml:5:") && said.err.contains("help:"),
        "{}",
        said.err
    );
}

#[test]
fn a_missing_source_is_found_before_anything_runs() {
    let house = House::example("penguins");
    house.edit("pipeline.yaml", "data/penguins.csv", "data/penguin.csv");
    let said = house.say(&["run"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("file::missing") && said.err.contains("penguins.csv"), "{}", said.err);
    assert!(!house.path().join(".pipeline/records-v1").join("log").exists() || said.err.contains("error"));
}

#[test]
fn a_thousand_faults_are_counted_and_all_listed_in_short() {
    let stages: String =
        (0..1000).map(|n| format!("  s{n}: {{ kind: command, run: 'true', retries: many }}\n")).collect();
    let house = House::of(&format!("pipeline: faults\nstages:\n{stages}"));
    let said = house.say(&["check"]);
    assert_eq!(said.code, 2);
    for part in ["and 900 more", "1000 errors"] {
        assert!(said.err.contains(part), "{part}");
    }
    assert!(said.err.lines().count() < 1500, "{}", said.err.lines().count());
    assert_eq!(house.say(&["check", "--short"]).out.lines().count(), 1000);
}

#[test]
fn paths_with_spaces_and_unicode_and_two_spellings() {
    let house = House::of(
        "pipeline: paths
stages:
  write: { kind: command, run: 'echo 1 > \"a b/é 日.txt\"', outs: ['a b/é 日.txt'] }
  read: { kind: command, run: 'cat \"a b/é 日.txt\" > c.txt', deps: ['./a b//x/../é 日.txt'], outs: [c.txt] }
",
    );
    house.run();
    assert_eq!(house.read("c.txt"), "1\n");
    let house = House::of(
        "pipeline: twice
stages:
  one: { kind: command, run: 'true', outs: [out/a.txt] }
  two: { kind: command, run: 'true', outs: ['./out//b/../a.txt'] }
  three: { kind: command, run: 'true', outs: [../a.txt] }
",
    );
    let said = house.say(&["check"]);
    assert!(said.err.contains("graph::two_writers"), "{}", said.err);
    assert!(said.err.contains("path::outside"), "{}", said.err);
}

#[test]
fn a_circle_of_ten_thousand_and_a_chain_of_a_hundred_thousand() {
    let count = 10_000;
    let stages: String = (0..count)
        .map(|n| format!("  s{n}: {{ kind: command, run: 'true', needs: s{} }}\n", (n + 1) % count))
        .collect();
    let house = House::of(&format!("pipeline: circle\nstages:\n{stages}"));
    let said = house.say(&["check"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("graph::cycle") && said.err.contains("more)"), "{}", said.err);
    assert!(said.err.lines().count() < 30);
    let chain = |count: usize| {
        let stage = |n: usize| {
            let needs = if n == 0 { String::new() } else { format!(", needs: s{}", n - 1) };
            format!("  s{n}: {{ kind: command, run: 'true'{needs} }}\n")
        };
        House::of(&format!("pipeline: chain\nstages:\n{}", (0..count).map(stage).collect::<String>()))
    };
    let house = chain(20_000);
    for args in [&["plan"][..], &["graph"], &["why", "s19999"]] {
        assert_eq!(house.say(args).code, 0, "{args:?}");
    }
    let said = chain(100_000).say(&["check"]);
    assert!(said.code == 0 && said.err.contains("100,000 stages"), "{}", said.err);
}

#[test]
fn a_file_without_end_and_one_of_a_hundred_megabytes() {
    let house = House::of("pipeline: zero\ninclude: /dev/zero\nstages: {}\n");
    house.write("big.yaml", "pipeline: big\n".repeat(100 << 16));
    for (args, code, place) in [
        (&["check"][..], "source::not_a_file", "pipeline.yaml:2"),
        (&["check", "big.yaml"], "source::too_large", "(87 MiB)"),
        (&["check", "/dev/zero"], "source::not_a_file", "`/dev/zero`"),
    ] {
        let said = house.say(args);
        assert_eq!(said.code, 2, "{args:?}");
        assert!(said.err.contains(code) && said.err.contains(place), "{args:?}: {}", said.err);
    }
}
