//! A store of an earlier build is still worth what it was: every stage is a hit.

use std::fs;

use crate::house::House;

/// Stages of the fixture that run again because the version of their kind was raised: the same inputs and parameters
/// give other bytes since then. A change of a key for any other reason is a mistake.
const OF_A_NEWER_VERSION: [&str; 1] = ["facts"];

#[test]
fn a_store_of_an_earlier_build_holds_hits_alone() {
    let house = House::fixture("kept");
    // The store has another name in version control, where `.pipeline` is ignored.
    fs::rename(house.path().join("store"), house.path().join(".pipeline")).unwrap();
    let ran = house.run();
    ran.ran(OF_A_NEWER_VERSION).hit([
        "artifact",
        "clean",
        "model[seed=1]",
        "model[seed=2]",
        "note",
        "parts",
        "raw",
        "small",
        "verdict",
    ]);
    assert_eq!(house.read("out/lines.txt").trim(), "91");
}
