//! `train`, `evaluate`, `compress`, `export`.

use contract::artifact::{ArtifactType, Column, DType, DatasetType, ModelType, Role, Task, Types};
use serde_json::{Value, json};

use crate::scene::*;

fn trained(params: Value, inputs: Types) -> ModelType {
    let found = infer(&*stage("train", params), inputs);
    assert!(!found.faults.iter().any(contract::fault::Fault::is_error), "{:#?}", found.faults);
    found.outputs["model"].model().unwrap().clone()
}

#[test]
fn train_types_the_model() {
    let model = trained(
        json!({ "target": "label", "model": { "cnn": { "channels": [4], "hidden": [] } } }),
        dataset("train", part(images(), "train")),
    );
    assert_eq!(model.task, Some(Task::Classification));
    assert_eq!(model.inputs[0].name, "image");
    assert_eq!(model.target.unwrap().name, "label");
    assert_eq!(model.parameters, Some(9 * 4 + 2 * 4 + (4 * 16 * 10 + 10)));
    assert_eq!(model.operations, Some(9 * 4 * 64 + 4 * 16 * 10));
    assert_eq!(model.fitted_on.parts[0].part, "train");
    assert_eq!(model.fitted_on.sources, ["raw"]);
}

#[test]
fn the_task_follows_from_the_target() {
    let text = trained(json!({ "target": "species" }), dataset("train", penguins()));
    assert_eq!(text.task, Some(Task::Classification));
    assert_eq!(text.parameters, None, "a vocabulary is fitted, so the width is not certain");
    let number = trained(json!({ "target": "bill_length_mm" }), dataset("train", penguins()));
    assert_eq!(number.task, Some(Task::Regression));
    let unknown = trained(json!({ "target": "body_mass_g" }), dataset("train", penguins()));
    assert_eq!(unknown.task, Some(Task::Regression), "no classes are known: too many to count");
    let few = trained(json!({ "target": "year" }), dataset("train", penguins()));
    assert_eq!(few.task, Some(Task::Classification));
    let stated = trained(json!({ "target": "year", "task": "regression" }), dataset("train", penguins()));
    assert_eq!(stated.task, Some(Task::Regression));
}

#[test]
fn the_target_may_be_a_role() {
    let mut data = penguins();
    data.columns.as_mut().unwrap()[0].role = Role::Target;
    assert_eq!(trained(json!({}), dataset("train", data)).target.unwrap().name, "species");
}

#[test]
fn history_has_what_is_watched() {
    let names = |inputs: Types| match &infer(&*stage("train", json!({ "target": "label" })), inputs).outputs["metrics"]
    {
        ArtifactType::Metrics(names) => names.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names(dataset("train", images())), ["train.loss"]);
    let both = datasets([("train", part(images(), "train")), ("validation", part(images(), "validation"))]);
    assert_eq!(names(both), ["train.loss", "validation.loss", "validation.accuracy"]);
}

#[test]
fn train_faults() {
    let digits = || dataset("train", part(images(), "train"));
    let birds = || dataset("train", penguins());
    let label = |mut rest: Value| {
        rest["target"] = json!("label");
        rest
    };
    let cases: Vec<(Value, Types, &str, &str)> = vec![
        (json!({}), digits(), "train::no_target", ""),
        (json!({ "target": "lable" }), digits(), "data::unknown_column", "target"),
        (json!({ "target": "image" }), digits(), "train::target_type", "target"),
        (json!({ "target": "bill_length_mm", "task": "classification" }), birds(), "train::task", "task"),
        (json!({ "target": "species", "task": "regression" }), birds(), "train::task", "task"),
        (label(json!({ "loss": { "mse": {} } })), digits(), "train::loss", "loss"),
        (label(json!({ "loss": { "mse": {} }, "task": "classification" })), digits(), "train::loss", "loss"),
        (label(json!({ "loss": { "cross_entropy": {} }, "task": "regression" })), digits(), "train::loss", "loss"),
        (label(json!({ "early_stopping": {} })), digits(), "train::no_validation", "early_stopping"),
        (
            label(json!({ "optimizer": { "sgd": { "nesterov": true, "momentum": 0 } } })),
            digits(),
            "train::nesterov",
            "optimizer.sgd.nesterov",
        ),
        (
            label(json!({ "features": [{ "columns": "image", "encode": { "tf_idf": { "n": [3, 1] } } }] })),
            digits(),
            "features::range",
            "features[0].encode.tf_idf.n",
        ),
        (
            label(json!({ "epochs": 3, "schedule": { "cosine": { "warmup": 4 } } })),
            digits(),
            "train::warmup",
            "schedule.cosine.warmup",
        ),
        (label(json!({ "batch_size": 1 })), digits(), "train::batch_size", "batch_size"),
        (label(json!({ "features": ["label"] })), digits(), "leakage::target_among_features", "features[0]"),
        (label(json!({ "features": ["imge"] })), digits(), "data::unknown_column", "features[0]"),
        (
            label(json!({ "model": { "layers": ["flatten", { "conv2d": { "channels": 2 } }] } })),
            digits(),
            "model::shape",
            "model.layers[1]",
        ),
        (
            label(json!({ "model": { "layers": ["flatten", { "linear": { "units": 5 } }] } })),
            digits(),
            "model::output",
            "model.layers[1]",
        ),
        (json!({ "target": "species", "model": { "cnn": {} } }), birds(), "model::not_an_image", "model.cnn"),
        (
            json!({ "target": "x", "model": { "mlp": { "hidden": [65536, 65536, 65536, 65536, 65536] } } }),
            dataset("train", DatasetType::default()),
            "model::too_large",
            "model",
        ),
        (label(json!({})), dataset("train", DatasetType { rows: Some(0), ..images() }), "data::empty", "inputs.train"),
    ];
    for (params, inputs, code, route) in cases {
        only(faults("train", params, inputs), code, route);
    }
}

#[test]
fn a_regression_has_no_accuracy_to_watch() {
    let inputs = datasets([("train", part(penguins(), "train")), ("validation", part(penguins(), "validation"))]);
    let params = json!({ "target": "bill_length_mm", "early_stopping": { "metric": "accuracy" } });
    let codes: Vec<(String, bool)> =
        faults("train", params, inputs).into_iter().map(|fault| (fault.code.clone(), fault.is_error())).collect();
    assert_eq!(codes, [("train::missing_target".into(), false), ("train::stopping_metric".into(), true)]);
}

#[test]
fn one_class_is_nothing_to_learn() {
    let mut data = images();
    data.columns.as_mut().unwrap()[1].classes = classes(&["3"]);
    only(faults("train", json!({ "target": "label" }), dataset("train", data)), "train::one_class", "target");
}

#[test]
fn several_roles_do_not_decide() {
    let mut data = penguins();
    data.columns.as_mut().unwrap()[0].role = Role::Target;
    data.columns.as_mut().unwrap()[5].role = Role::Target;
    only(faults("train", json!({}), dataset("train", data)), "train::several_targets", "");
}

#[test]
fn validation_has_the_columns_of_training() {
    let judge = |validation: DatasetType| {
        let inputs = datasets([("train", part(images(), "train")), ("validation", part(validation, "validation"))]);
        faults("train", json!({ "target": "label" }), inputs)
    };
    assert_eq!(judge(images()), []);
    let mut other = images();
    other.columns.as_mut().unwrap()[0].shape = vec![1, 9, 9];
    only(judge(other), "train::validation_columns", "inputs.validation");
    let renamed = only(
        judge(rows(vec![label(), shaped(Column::new("imag", DType::Float32), &[1, 8, 8])], 9)),
        "train::validation_columns",
        "inputs.validation",
    );
    assert!(renamed.help.unwrap().contains("`imag`"));
    only(judge(DatasetType { rows: Some(0), ..images() }), "data::empty", "inputs.validation");
}

#[test]
fn evaluate_names_its_numbers() {
    let numbers = |params: Value| {
        let inputs = with_model(digits_model(), dataset("data", part(images(), "test")));
        let found = infer(&*stage("evaluate", params), inputs);
        assert_eq!(found.faults, []);
        let predictions = found.outputs["predictions"].dataset().unwrap().clone();
        assert_eq!(predictions.parts[0].part, "test");
        let names = predictions.columns.unwrap();
        assert_eq!(names[2].name, "label.prediction");
        assert_eq!((names[4].name.as_str(), names.len()), ("label.probability.0", 14));
        match found.outputs["metrics"].clone() {
            ArtifactType::Metrics(names) => names,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        numbers(json!({ "metrics": ["f1", "accuracy", "accuracy"] })),
        ["accuracy", "f1.micro", "f1.macro", "f1.weighted"]
    );
    assert!(numbers(json!({})).contains(&"auroc".to_owned()));
}

#[test]
fn evaluate_faults() {
    let digits = || with_model(digits_model(), dataset("data", part(images(), "test")));
    let require = |name: &str, condition: &str| json!({ "require": { name: condition } });
    let cases: Vec<(Value, &str, &str)> = vec![
        (require("accuracy", "0.97"), "evaluate::condition", "require.accuracy"),
        (require("accuracy", ">= 97"), "evaluate::impossible", "require.accuracy"),
        (require("log_loss", "< 0"), "evaluate::impossible", "require.log_loss"),
        (require("acuracy", ">= 0.9"), "evaluate::unknown_metric", "require.acuracy"),
        (require("f1", ">= 0.9"), "evaluate::unknown_metric", "require.f1"),
        (require("confusion_matrix", ">= 1"), "evaluate::unknown_metric", "require.confusion_matrix"),
        (require("recall.class.11", ">= 0.9"), "evaluate::unknown_class", "require.recall.class.11"),
        (require("r2", ">= 0.9"), "evaluate::metric_task", "require.r2"),
        (json!({ "metrics": ["rmse"] }), "evaluate::metric_task", "metrics"),
        (json!({ "metrics": [] }), "evaluate::no_metrics", "metrics"),
        (
            json!({ "metrics": ["f1"], "require": { "accuracy": "> 0.5" } }),
            "evaluate::not_computed",
            "require.accuracy",
        ),
    ];
    for (params, code, route) in cases {
        only(faults("evaluate", params, digits()), code, route);
    }
    let share =
        only(faults("evaluate", require("accuracy", ">= 97"), digits()), "evaluate::impossible", "require.accuracy");
    assert_eq!(share.help.as_deref(), Some("shares are at most 1: did you mean `>= 0.97`?"));
    let above =
        only(faults("evaluate", require("accuracy", ">= 1.5"), digits()), "evaluate::impossible", "require.accuracy");
    assert_eq!(above.help.as_deref(), Some("shares are at most 1; 1.5 % is written `>= 0.015`"));
    let near =
        only(faults("evaluate", require("acuracy", "> 0"), digits()), "evaluate::unknown_metric", "require.acuracy");
    assert_eq!(near.help.as_deref(), Some("did you mean `accuracy`?"));
}

#[test]
fn evaluate_wants_the_model_s_columns() {
    let judge = |data: DatasetType| {
        faults("evaluate", json!({}), with_model(digits_model(), dataset("data", part(data, "test"))))
    };
    only(judge(rows(vec![label()], 9)), "data::model_columns", "inputs.data");
    only(judge(rows(vec![images().columns.unwrap()[0].clone()], 9)), "data::model_target", "inputs.data");
    let number = Column::new("image", DType::Float32);
    only(judge(rows(vec![number, label()], 9)), "data::model_columns", "inputs.data");
    only(judge(DatasetType { rows: Some(0), ..images() }), "data::empty", "inputs.data");
}

#[test]
fn compress_faults() {
    let inputs = || {
        let parts = datasets([("calibrate", part(images(), "train")), ("check", part(images(), "validation"))]);
        with_model(digits_model(), parts)
    };
    let unchecked = || with_model(digits_model(), dataset("calibrate", part(images(), "train")));
    let int8 = json!({ "int8": "static" });
    let cases: Vec<(Value, Types, &str, &str)> = vec![
        (json!({}), inputs(), "compress::nothing_to_do", ""),
        (json!({ "quantize": int8, "budget": {} }), inputs(), "compress::empty_budget", "budget"),
        (
            json!({ "quantize": int8, "budget": { "accuracy_drop": 0.01 } }),
            unchecked(),
            "compress::no_check",
            "budget.accuracy_drop",
        ),
        (json!({ "quantize": int8, "budget": { "bytes": 9999 } }), inputs(), "compress::budget_bytes", "budget.bytes"),
        (
            json!({ "prune": { "structured": 0.5 }, "budget": { "bytes": 9999 } }),
            inputs(),
            "compress::budget_bytes",
            "budget.bytes",
        ),
        (
            json!({ "quantize": int8 }),
            with_model(digits_model(), dataset("calibrate", rows(vec![label()], 9))),
            "data::model_columns",
            "inputs.calibrate",
        ),
    ];
    for (params, inputs, code, route) in cases {
        only(faults("compress", params, inputs), code, route);
    }
    let enough = json!({ "prune": { "structured": 0.5 }, "quantize": int8, "budget": { "bytes": 9999 } });
    assert_eq!(faults("compress", enough, inputs()), []);
}

#[test]
fn a_pruned_model_has_other_numbers_and_remembers_its_rows() {
    let params = json!({ "prune": { "structured": 0.5 } });
    let small = |calibrate: &str| {
        let inputs = with_model(digits_model(), dataset("calibrate", part(images(), calibrate)));
        infer(&*stage("compress", params.clone()), inputs).outputs["model"].model().unwrap().clone()
    };
    let same = small("train");
    assert_eq!((same.parameters, same.operations), (None, None));
    assert_eq!(same.tuned_on, []);
    assert_eq!(small("validation").tuned_on[0].parts[0].part, "validation");
}

#[test]
fn export_faults_and_its_path() {
    let model = || with_model(digits_model(), no_inputs());
    only(faults("export", json!({ "format": "onnx", "to": "out/" }), model()), "export::path", "to");
    let suffix = faults("export", json!({ "format": "onnx", "to": "m.safetensors" }), model());
    assert!(!only(suffix, "export::suffix", "to").is_error());
    let stage = stage("export", json!({ "format": "onnx", "to": "out/m.onnx" }));
    assert_eq!(stage.outputs()[0].path.as_ref().unwrap().0, "out/m.onnx");
    assert_eq!(stage.keyed(), json!({ "format": "onnx" }));
}

#[test]
fn a_second_encoder_for_a_name_is_told() {
    let judge = |features: Value| {
        let found = faults("train", json!({ "target": "species", "features": features }), dataset("train", penguins()));
        found.into_iter().filter(|fault| fault.code.starts_with("features::")).collect::<Vec<_>>()
    };
    let mass = |encode: &str| json!({ "columns": "body_mass_g", "encode": encode });
    let fault =
        only(judge(json!([mass("standard"), mass("robust")])), "features::encoded_twice", "features[1].columns");
    assert!(!fault.is_error() && fault.message.contains("`robust` takes the place of `standard`"), "{}", fault.message);
    assert_eq!(judge(json!([mass("robust"), mass("robust")])), []);
    assert_eq!(judge(json!([{ "columns": "b*", "encode": "standard" }, mass("robust")])), [], "a pattern, then a name");
    assert_eq!(judge(json!(["body_mass_g", mass("robust")])), [], "a name alone asks for no encoder");
}
