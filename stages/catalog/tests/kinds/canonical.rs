//! Canonical parameters: whatever way a document says the same, the stage is the same.

use catalog::kinds;
use proptest::prelude::*;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::sampled::{Dice, sample};
use crate::scene::*;

/// The schema of a kind with its definitions.
pub fn schema(kind: &str) -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let root = kinds().get(kind).unwrap().schema(&mut generator);
    let mut root = root.to_value();
    root["$defs"] = json!(generator.take_definitions(true));
    root
}

/// All ways to leave one key out of a document.
fn shorter(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(entries) => {
            let without = entries.keys().map(|key| {
                let mut rest = entries.clone();
                rest.remove(key);
                Value::Object(rest)
            });
            let inside = entries.iter().flat_map(|(key, inner)| {
                shorter(inner).into_iter().map(move |inner| {
                    let mut entries = entries.clone();
                    entries.insert(key.clone(), inner);
                    Value::Object(entries)
                })
            });
            without.chain(inside).collect()
        }
        Value::Array(items) => (0..items.len())
            .flat_map(|at| {
                shorter(&items[at]).into_iter().map(move |inner| {
                    let mut items = items.clone();
                    items[at] = inner;
                    Value::Array(items)
                })
            })
            .collect(),
        _ => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A document the schema allows is refused with faults or becomes a stage; the stage's parameters give the same stage
    /// again; and inference answers for every port.
    #[test]
    fn parameters_survive_a_round_trip(seed in any::<u64>(), which in 0..8usize) {
        let kinds = kinds();
        let name = kinds.names().nth(which).unwrap();
        let schema = schema(name);
        let params = sample(&schema, &schema, &mut Dice(seed), 4);
        match kinds.get(name).unwrap().stage(params.clone()) {
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                for fault in faults {
                    prop_assert!(fault.code != "parameters::invalid", "{} {}: {}", name, params, fault.message);
                    prop_assert!(fault.help.is_some(), "{}", fault.code);
                }
            }
            Ok(made) => {
                let canonical = made.params();
                let again = kinds.get(name).unwrap().stage(canonical.clone()).map_err(|faults| TestCaseError::fail(format!("{canonical}: {faults:?}")))?;
                prop_assert_eq!(again.params(), canonical);
                let inputs = with_model(digits_model(), datasets([
                    ("train", part(penguins(), "train")), ("validation", part(penguins(), "test")), ("data", penguins()),
                    ("calibrate", images()), ("check", images()),
                ]));
                let found = infer(&*made, inputs);
                for port in made.outputs() {
                    prop_assert!(found.outputs.contains_key(&port.name));
                }
                for fault in found.faults {
                    prop_assert!(fault.help.as_ref().is_some_and(|help| !help.is_empty()), "{}", fault.code);
                }
            }
        }
    }

    /// A key left out means its default: what still parses to the same parameters parses so in every combination.
    #[test]
    fn defaults_written_out_are_defaults_left_out(seed in any::<u64>(), which in 0..8usize) {
        let kinds = kinds();
        let kind = kinds.iter().nth(which).unwrap();
        let schema = schema(kind.name());
        let mut dice = Dice(seed);
        let Ok(made) = kind.stage(sample(&schema, &schema, &mut dice, 3)) else { return Ok(()) };
        let canonical = made.params();
        let keyed = made.keyed();
        let mut document = canonical.clone();
        for _ in 0..6 {
            let same: Vec<Value> = shorter(&document)
                .into_iter()
                .filter(|shorter| kind.stage(shorter.clone()).is_ok_and(|stage| stage.params() == canonical))
                .collect();
            if same.is_empty() {
                break;
            }
            document = same[dice.below(same.len())].clone();
        }
        let made = kind.stage(document).map_err(|faults| TestCaseError::fail(format!("{faults:?}")))?;
        prop_assert_eq!(made.params(), canonical);
        prop_assert_eq!(made.keyed(), keyed);
    }
}

#[test]
fn two_ways_to_say_the_same() {
    let pairs: Vec<(&str, Value, Value)> = vec![
        (
            "collect",
            json!({ "from": { "csv": "a.csv" } }),
            json!({ "from": { "csv": { "path": ["a.csv"], "header": true, "delimiter": ",", "quote": "\"" } }, "columns": {} }),
        ),
        (
            "collect",
            json!({ "from": { "tsv": "a" } }),
            json!({ "from": { "tsv": { "path": "a", "delimiter": "\t" } } }),
        ),
        (
            "preprocess",
            json!({ "steps": [{ "drop": "a" }, { "pack": { "columns": "b", "into": "c" } }] }),
            json!({ "steps": [{ "drop": ["a"] }, { "pack": { "columns": ["b"], "into": "c", "divide_by": 1.0 } }] }),
        ),
        (
            "train",
            json!({ "target": "y" }),
            json!({ "target": "y", "epochs": 20, "batch_size": 64, "optimizer": { "adamw": { "lr": 0.001 } }, "schedule": { "constant": {} } }),
        ),
        (
            "train",
            json!({ "model": { "layers": [{ "conv2d": { "channels": 2 } }, { "max_pool2d": {} }] } }),
            json!({ "model": { "layers": [
                { "conv2d": { "channels": 2, "kernel": 3, "stride": 1, "padding": 1, "bias": true } },
                { "max_pool2d": { "size": 2, "stride": 2 } },
            ] } }),
        ),
        (
            "train",
            json!({ "optimizer": { "sgd": { "lr": 1 } } }),
            json!({ "optimizer": { "sgd": { "lr": 1.0, "momentum": 0.9 } } }),
        ),
        (
            "evaluate",
            json!({ "metrics": ["f1", "accuracy"] }),
            json!({ "metrics": ["accuracy", "f1", "f1"], "require": {} }),
        ),
        (
            "compress",
            json!({ "quantize": { "int8": "static" } }),
            json!({ "quantize": { "int8": "static" }, "control": true }),
        ),
        (
            "command",
            json!({ "run": "x\n", "outs": ["a"] }),
            json!({ "run": "x", "outs": [{ "path": "a", "kind": "file" }], "deps": [] }),
        ),
    ];
    for (kind, short, long) in pairs {
        assert_eq!(stage(kind, short.clone()).params(), stage(kind, long).params(), "{kind} {short}");
    }
}
