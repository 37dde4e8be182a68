//! Assert what re-ran, not only what came out.

use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime};

use crate::house::House;

const ALL: [&str; 8] = ["raw", "clean", "parts", "model", "verdict", "small", "small_verdict", "artifact"];

/// The digits, trained for a moment only: these tests are about what runs, not about how well it learns.
fn digits() -> House {
    let house = House::example("digits");
    house.edit("pipeline.yaml", "epochs: 30", "epochs: 1");
    house.edit("pipeline.yaml", "finetune: { epochs: 40", "finetune: { epochs: 1");
    house.edit("pipeline.yaml", "budget: { accuracy_drop: 0.01 }", "control: false");
    let text = house.read("pipeline.yaml").replace("require: { accuracy: \">= 0.97\" }", "require: {}");
    house.write("pipeline.yaml", text);
    house
}

#[test]
fn a_second_run_has_nothing_to_do() {
    let house = digits();
    house.run().ran(ALL);
    house.run().nothing_ran().hit(ALL);
}

#[test]
fn the_learning_rate_reruns_the_model_and_what_is_below() {
    let house = digits();
    house.run();
    house.edit("pipeline.yaml", "lr: 0.003", "lr: 0.002");
    house.run().ran(["model", "verdict", "small", "small_verdict", "artifact"]).hit(["raw", "clean", "parts"]);
    house.edit("pipeline.yaml", "lr: 0.002", "lr: 3e-3");
    house.run().nothing_ran().hit(ALL);
}

#[test]
fn comments_order_defaults_and_spelling_rerun_nothing() {
    let house = digits();
    house.run();
    let text = house.read("pipeline.yaml");
    let text = text.replace("stages:\n", "# a comment\nstages:\n");
    let text = text
        .replace("    kind: split\n    inputs: { data: clean }\n", "    inputs: { data: clean }\n    kind: split\n");
    let text = text.replace("lr: 0.003", "weight_decay: 0.01, lr: 3.0e-3");
    let text = text.replace("schedule: one_cycle", "schedule: { one_cycle: {} }");
    house.write("pipeline.yaml", text);
    house.run().nothing_ran().hit(ALL);
}

#[test]
fn another_seed_reruns_what_draws_at_random() {
    let house = digits();
    house.run();
    house.edit("pipeline.yaml", "seed: 7", "seed: 8");
    house.run().ran(["parts", "model", "verdict", "small", "small_verdict", "artifact"]).hit(["raw", "clean"]);
}

#[test]
fn a_stage_keeps_its_own_seed() {
    let house = digits();
    house.edit("pipeline.yaml", "    kind: split\n", "    kind: split\n    seed: 7\n");
    house.run();
    house.edit("pipeline.yaml", "\nseed: 7\n", "\nseed: 8\n");
    house.run().ran(["model", "verdict", "small", "small_verdict", "artifact"]).hit(["raw", "clean", "parts"]);
}

#[test]
fn renaming_a_stage_is_no_work() {
    let house = digits();
    house.run();
    let text = house.read("pipeline.yaml");
    house.write("pipeline.yaml", text.replace("parts", "pieces").replace("clean", "tidy"));
    house.run().nothing_ran();
}

#[test]
fn touching_the_data_reruns_nothing() {
    let house = digits();
    house.run();
    let file = File::options().append(true).open(house.path().join("data/digits.csv")).expect("the data");
    file.set_times(FileTimes::new().set_modified(SystemTime::now() + Duration::from_secs(5))).expect("a touch");
    house.run().nothing_ran().hit(ALL);
}

#[test]
fn a_row_that_cleaning_removes_anyway_stops_there() {
    let house = digits();
    let row = |pixel: &str| format!("{}{pixel},\n", "0,".repeat(63));
    let data = house.read("data/digits.csv");
    house.write("data/digits.csv", format!("{data}{}", row("1")));
    house.run();
    house.write("data/digits.csv", format!("{data}{}", row("2")));
    house.run().ran(["raw", "clean"]).hit(["parts", "model", "verdict", "small", "small_verdict", "artifact"]);
}

#[test]
fn the_same_pipeline_from_an_empty_store_gives_the_same_bytes() {
    let (one, other) = (digits(), digits());
    let (one, other) = (one.run().digests(), other.run().digests());
    assert!(one.len() >= 12, "{one:#?}");
    assert_eq!(one, other);
}

#[test]
fn going_back_to_an_earlier_version_is_a_hit() {
    let house = digits();
    house.run();
    house.edit("pipeline.yaml", "lr: 0.003", "lr: 0.004");
    house.run();
    house.edit("pipeline.yaml", "lr: 0.004", "lr: 0.003");
    house.run().nothing_ran().hit(ALL);
}

#[test]
fn an_output_that_was_deleted_or_edited_is_put_back() {
    let house = digits();
    house.run();
    let path = house.path().join("out/digits.onnx");
    let bytes = std::fs::read(&path).expect("the export");
    std::fs::remove_file(&path).expect("removed");
    house.run().nothing_ran();
    assert_eq!(std::fs::read(&path).expect("put back"), bytes);
    std::fs::remove_file(&path).expect("removed");
    std::fs::write(&path, b"something else").expect("overwritten");
    house.run().nothing_ran();
    assert_eq!(std::fs::read(&path).expect("put back"), bytes);
}

#[test]
fn only_what_a_target_needs_runs() {
    let house = digits();
    let ran = house.run_with(&["parts"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.ran(["raw", "clean", "parts"]);
}
