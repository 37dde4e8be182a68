//! Every kind keeps the contract the engine relies on.

use catalog::kinds;
use contract::kind::{MAIN, Program};
use serde_json::{Value, json};

use crate::scene::*;

/// The smallest parameters of each kind.
pub fn smallest(kind: &str) -> Value {
    match kind {
        "collect" => json!({ "from": { "csv": "a.csv" } }),
        "preprocess" => json!({ "steps": [{ "drop_duplicates": {} }] }),
        "split" => json!({ "ratios": { "train": 0.5, "test": 0.5 } }),
        "train" | "evaluate" | "profile" => json!({}),
        "compress" => json!({ "quantize": { "int8": "static" } }),
        "export" => json!({ "format": "onnx", "to": "m.onnx" }),
        "command" => json!({ "run": "true", "outs": ["a"] }),
        other => panic!("no parameters for {other}"),
    }
}

#[test]
fn every_output_is_typed_even_when_nothing_is_known() {
    for kind in kinds().iter() {
        let stage = stage(kind.name(), smallest(kind.name()));
        let found = infer(&*stage, no_inputs());
        for port in stage.outputs() {
            let artifact = found.outputs.get(&port.name).unwrap_or_else(|| panic!("{}.{}", kind.name(), port.name));
            assert_eq!(artifact.kind(), port.kind, "{}.{}", kind.name(), port.name);
        }
        assert_eq!(found.outputs.len(), stage.outputs().len(), "{}", kind.name());
        assert!(!found.faults.iter().any(contract::fault::Fault::is_error), "{}: {:?}", kind.name(), found.faults);
    }
}

#[test]
fn documented_ports_are_the_ports() {
    for kind in kinds().iter().filter(|kind| !matches!(kind.name(), "split" | "command")) {
        let about = kind.about();
        let mut params = smallest(kind.name());
        if kind.name() == "collect" {
            // It has more outputs only then.
            params["annotators"] = json!({ "columns": "rater_*" });
            params["on_error"] = json!("reject");
        }
        let stage = stage(kind.name(), params);
        let inputs: Vec<(String, bool)> =
            stage.inputs(&[]).into_iter().map(|port| (port.name, port.required)).collect();
        // `…` stands for ports with names of the user's own.
        let told = about.inputs.iter().filter(|port| port.0 != "…");
        let told: Vec<(String, bool)> = told.map(|port| (port.0.to_owned(), port.2)).collect();
        assert_eq!(inputs, told, "{}", kind.name());
        let outputs: Vec<(String, &str)> =
            stage.outputs().into_iter().map(|port| (port.name, port.kind.name())).collect();
        let told: Vec<(String, &str)> = about.outputs.iter().map(|port| (port.0.to_owned(), port.1)).collect();
        assert_eq!(outputs, told, "{}", kind.name());
        assert!(!stage.outputs()[MAIN].name.is_empty());
    }
}

#[test]
fn who_carries_what_out() {
    let told: Vec<(&str, Program, bool)> =
        kinds().iter().map(|kind| (kind.name(), kind.program(), kind.seeded())).collect();
    assert_eq!(
        told,
        [
            ("collect", Program::Data, false),
            ("command", Program::Command, false),
            ("compress", Program::Torch, true),
            ("evaluate", Program::Torch, false),
            ("export", Program::Torch, false),
            ("preprocess", Program::Data, false),
            ("profile", Program::Data, false),
            ("split", Program::Data, true),
            ("train", Program::Torch, true),
        ]
    );
}

#[test]
fn command_starts_what_was_written() {
    let line = stage("command", json!({ "run": "echo hi\n", "env": ["B", "A", "B"] })).command().unwrap();
    assert_eq!((line.run.as_str(), line.env), ("echo hi", vec!["A".to_owned(), "B".to_owned()]));
}
