//! No row of a fit is ever judged on: what is found before anything runs.

use engine::artifact::{DatasetType, ModelType};
use serde_json::json;

use crate::scene::*;

fn evaluated(model: ModelType, data: DatasetType) -> Vec<String> {
    faults("evaluate", json!({}), with_model(model, dataset("data", data)))
        .into_iter()
        .map(|fault| fault.code)
        .collect()
}

#[test]
fn a_model_is_not_judged_on_the_rows_of_its_fit() {
    const LEAK: &str = "leakage::evaluated_on_training_rows";
    assert_eq!(evaluated(digits_model(), part(images(), "test")), [""; 0]);
    assert_eq!(evaluated(digits_model(), part(images(), "train")), [LEAK]);
    assert_eq!(evaluated(digits_model(), images()), [LEAK], "the unsplit source holds the training rows");
    let whole = ModelType { fitted_on: (&images()).into(), ..digits_model() };
    assert_eq!(evaluated(whole, part(images(), "test")), [LEAK], "fitted before the split");
    let elsewhere = DatasetType { sources: vec!["other".into()], ..images() };
    assert_eq!(evaluated(digits_model(), elsewhere), [""; 0]);
    let tuned = ModelType { tuned_on: vec![(&part(images(), "validation")).into()], ..digits_model() };
    assert_eq!(evaluated(tuned, part(images(), "validation")), [LEAK]);
}

#[test]
fn validation_is_not_training() {
    let judge = |validation: &str| {
        let inputs = datasets([("train", part(images(), "train")), ("validation", part(images(), validation))]);
        faults("train", json!({ "target": "label" }), inputs)
    };
    assert_eq!(judge("validation"), []);
    only(judge("train"), "leakage::validation_is_training", "inputs.validation");
}

#[test]
fn a_loss_measured_on_training_rows_is_a_warning() {
    let judge = |check: &str| {
        let parts = datasets([("calibrate", part(images(), "train")), ("check", part(images(), check))]);
        faults("compress", json!({ "quantize": { "int8": "static" } }), with_model(digits_model(), parts))
    };
    assert_eq!(judge("validation"), []);
    let found = only(judge("train"), "leakage::checked_on_training_rows", "inputs.check");
    assert!(!found.is_error());
}
