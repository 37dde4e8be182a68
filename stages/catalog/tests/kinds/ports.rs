//! Every kind keeps the contract the engine relies on.

use catalog::kinds;
use contract::kind::{ANY_NAME, DeclaredOutput, InputPort, Kind, MAIN, Program};
use serde_json::{Value, json};

use crate::scene::*;

#[test]
fn every_output_is_typed_even_when_nothing_is_known() {
    for kind in kinds().iter() {
        let stage = stage(kind.name(), kind.smallest());
        let found = infer(&*stage, no_inputs());
        for port in stage.outputs() {
            let artifact = found.outputs.get(&port.name).unwrap_or_else(|| panic!("{}.{}", kind.name(), port.name));
            assert_eq!(artifact.kind(), port.kind, "{}.{}", kind.name(), port.name);
        }
        assert_eq!(found.outputs.len(), stage.outputs().len(), "{}", kind.name());
        assert!(!found.faults.iter().any(contract::fault::Fault::is_error), "{}: {:?}", kind.name(), found.faults);
    }
}

/// Parameters with which a stage has all ports that its kind declares.
fn fullest(kind: &dyn Kind) -> Value {
    let mut params = kind.smallest();
    match kind.name() {
        "collect" => {
            params["annotators"] = json!({ "columns": "rater_*" });
            params["on_error"] = json!("reject");
        }
        "split" => params["ratios"] = json!({ "train": 0.5, "validation": 0.2, "test": 0.2, "rest": 0.1 }),
        "preprocess" => params["steps"] = json!([{ "sql": "select * from own" }]),
        _ => {}
    }
    params
}

#[test]
fn documented_ports_are_the_ports() {
    for kind in kinds().iter() {
        let about = kind.about();
        let stage = stage(kind.name(), fullest(kind));
        // A name of the user's own becomes a port exactly where the kind declares that it may.
        let inputs = stage.inputs(&["own"]);
        let name = |name: &'static str| if name == ANY_NAME { "own" } else { name };
        let declared: Vec<InputPort> = about.inputs.iter().map(|port| port.port(name(port.name))).collect();
        assert_eq!(inputs, declared, "{}", kind.name());
        let outputs: Vec<(String, &str)> =
            stage.outputs().into_iter().map(|port| (port.name, port.kind.name())).collect();
        let own = match kind.name() {
            "split" => "rest",
            _ => "a",
        };
        let name = |name: &'static str| if name == ANY_NAME { own } else { name };
        let artifact = |port: &DeclaredOutput| if port.kind.is_some() { port.artifact() } else { "file" };
        let declared: Vec<(String, &str)> =
            about.outputs.iter().map(|port| (name(port.name).to_owned(), artifact(port))).collect();
        assert_eq!(outputs, declared, "{}", kind.name());
        assert!(!stage.outputs()[MAIN].name.is_empty());
    }
}

#[test]
fn kinds_do_not_look_alike() {
    let mut hues: Vec<u32> = kinds().iter().map(|kind| kind.look().hue).collect();
    hues.sort_unstable();
    assert!(hues.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{hues:?}");
    assert!(hues.iter().all(|hue| *hue < 360), "{hues:?}");
}

#[test]
fn a_word_of_other_tools_has_one_meaning() {
    let mut words: Vec<&str> = kinds().iter().flat_map(|kind| kind.synonyms()).map(|(word, _)| *word).collect();
    let count = words.len();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), count);
    for kind in kinds().iter() {
        let schema = crate::canonical::schema(kind.name()).to_string();
        for (word, key) in kind.synonyms() {
            assert!(
                schema.contains(&format!("\"{key}\"")),
                "{}: `{word}` is called `{key}`, which is no key",
                kind.name()
            );
            assert_eq!(*word, word.to_lowercase());
        }
    }
}

#[test]
fn who_carries_what_out() {
    let kinds = kinds();
    let names = |wanted: &dyn Fn(&dyn contract::kind::Kind) -> bool| -> Vec<&str> {
        kinds.iter().filter(|kind| wanted(*kind)).map(|kind| kind.name()).collect()
    };
    // Every other kind is one of `pipeline-data`, whose own test compares them with its handlers.
    assert_eq!(names(&|kind| kind.program() == Program::Command), ["command"]);
    assert_eq!(names(&|kind| kind.program() == Program::Torch), ["compress", "evaluate", "export", "train"]);
    assert_eq!(names(&|kind| kind.seeded()), ["compress", "split", "train"]);
}

#[test]
fn command_starts_what_was_written() {
    let line = stage("command", json!({ "run": "echo hi\n", "env": ["B", "A", "B"] })).command().unwrap();
    assert_eq!((line.run.as_str(), line.env), ("echo hi", vec!["A".to_owned(), "B".to_owned()]));
}
