//! What `catalog` says of a step before it runs is what the step does.

use catalog::kinds::preprocess::params::Preprocess;
use catalog::question::Expression;
use catalog::steps;
use contract::artifact::{DatasetType, Types};
use contract::route;
use proptest::prelude::*;
use serde_json::{Value, json};
use stages_data::table::writer::write;

use crate::steps::{penguins, run_params as run};

fn step() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({ "drop_duplicates": {} })),
        Just(json!({ "drop_missing": { "columns": ["bill"] } })),
        Just(json!({ "drop_missing": {} })),
        Just(json!({ "fill_missing": { "with": 7 } })),
        Just(json!({ "fill_missing": { "columns": "sex", "with": "unknown" } })),
        Just(json!({ "rename": { "p9": "first", "p10": "p9" } })),
        Just(json!({ "select": ["sex", "p*", "*"] })),
        Just(json!({ "drop": "mass" })),
        Just(json!({ "cast": { "p*": "float32", "p9": "int8" } })),
        Just(json!({ "cast": { "mass": "string" } })),
        Just(json!({ "cast": { "bill": "string", "p9": "string" } })),
        Just(json!({ "filter": "p10 < 4" })),
        Just(json!({ "drop_near_duplicates": {} })),
        Just(json!({ "sample": { "share": 0.5 } })),
        Just(json!({ "sort": { "by": ["p10", "sex"], "descending": true } })),
        Just(json!({ "derive": { "mass": "p10 + 1", "new": "upper(sex)" } })),
        Just(json!({ "split_column": { "column": "sex", "by": "a", "into": ["s1", "s2"] } })),
        Just(json!({ "join_columns": { "columns": ["sex", "p10"], "into": "both" } })),
        Just(json!({ "one_hot": { "column": "sex", "categories": ["male", ""] } })),
        Just(json!({ "bin": { "column": "bill", "edges": [10, 39.5] } })),
        Just(json!({ "clip": { "columns": ["mass", "p10"], "max": 3 } })),
        Just(json!({ "replace": { "columns": ["mass", "p10"], "values": { "2": 7, "3750": null } } })),
        Just(json!({ "clean_text": { "case": "upper" } })),
        Just(json!({ "language": { "column": "sex", "into": "lang" } })),
        Just(json!({ "group_by": { "by": "sex", "aggregates": {
            "n": "count", "m": { "mean": "mass" }, "d": { "distinct": "bill" }, "s": { "sum": "p10" }, "x": { "max": "bill" },
            "f": { "first": "p9" }, "e": { "std": "mass" }, "o": { "median": "p10" } } } })),
        Just(json!({ "window": { "by": "sex", "order": "p10", "columns": {
            "i": "number", "l": { "lag": "mass" }, "c": { "difference": "p10" }, "r": { "mean": "bill" } } } })),
        Just(json!({ "pack": { "columns": "p*", "into": "x" } })),
        Just(json!({ "pack": { "columns": ["p10", "bill"], "into": "bill", "shape": [2, 1] } })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn steps_do_what_the_types_said(chosen in proptest::collection::vec(step(), 1..4)) {
        let params: Preprocess = serde_json::from_value(json!({ "steps": chosen })).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let before = write(&penguins(), &folder.path().join("before"), 1).unwrap();
        let mut said: DatasetType = before;
        // As the worker answers: from the columns that the question gives, as the steps before have left them.
        let condition = |asked: &Expression, inputs: &Types| {
            let columns = inputs["data"].dataset().unwrap().columns.clone().unwrap();
            let answer = stages_data::kinds::preprocess::expression(asked, &columns)?;
            Ok(Some(json!(answer)))
        };
        let mut refused = Vec::new();
        for (index, step) in params.steps.iter().enumerate() {
            refused.extend(steps::apply(step, &mut said, &Types::new(), &route!["steps", index], &condition).into_iter().filter(|fault| fault.is_error()));
        }
        match run(&params).map(|made| made.table) {
            Ok(table) => {
                prop_assert!(refused.is_empty(), "refused, yet it ran: {refused:?}");
                let done = write(&table, &folder.path().join("after"), 1).unwrap();
                let said = said.columns.unwrap();
                let done = done.columns.unwrap();
                prop_assert_eq!(said.len(), done.len());
                for (said, done) in said.iter().zip(&done) {
                    prop_assert_eq!((&said.name, said.dtype, &said.shape, said.role), (&done.name, done.dtype, &done.shape, done.role));
                    prop_assert!(said.nullable || !done.nullable, "{} has missing cells", done.name);
                    if let (Some(said), Some(done)) = (&said.classes, &done.classes) {
                        prop_assert!(said.count >= done.count, "more classes than were said");
                        if !said.values.is_empty() {
                            prop_assert!(done.values.iter().all(|value| said.values.contains(value)), "{said:?} {done:?}");
                        }
                    }
                }
            }
            Err(faults) => {
                // What was not refused before can only fail by its values, and every such fault has a place in the document.
                prop_assert!(!faults.is_empty() && faults.iter().all(|fault| fault.route.is_some() && fault.help.is_some()));
                if refused.is_empty() {
                    let by_value = ["data::cell", "data::pack_missing", "data::empty", "data::expression", "data::expression_value", "data::unknown_column", "data::category"];
                    prop_assert!(faults.iter().all(|fault| by_value.contains(&fault.code.as_str())), "{faults:?}");
                }
            }
        }
    }
}
