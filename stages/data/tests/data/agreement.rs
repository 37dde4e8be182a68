//! What `catalog` says of a step before it runs is what the step does.

use catalog::params::preprocess::Preprocess;
use catalog::question::ExpressionType;
use catalog::steps;
use engine::artifact::{DType, DatasetType};
use engine::route;
use engine::worker::Channel;
use proptest::prelude::*;
use serde_json::{Value, json};
use stages_data::dataset::write;
use stages_data::preprocess::preprocess;

use crate::steps::penguins;

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
        let condition = |_: &str, _: &DatasetType| Ok(Some(ExpressionType { dtype: DType::Bool, nullable: false }));
        let mut refused = Vec::new();
        for (index, step) in params.steps.iter().enumerate() {
            refused.extend(steps::apply(step, &mut said, &route!["steps", index], &condition).into_iter().filter(|fault| fault.is_error()));
        }
        match preprocess(&params, penguins(), &Channel::silent()) {
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
                    let by_value = ["data::cell", "data::pack_missing", "data::empty", "data::expression", "data::unknown_column"];
                    prop_assert!(faults.iter().all(|fault| by_value.contains(&fault.code.as_str())), "{faults:?}");
                }
            }
        }
    }
}
