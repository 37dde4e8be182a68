use contract::fault::Faults;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::tests::harness::{Cells, House, Left, blobs, floats, images, integers, texts};

/// A house with a trained classifier of blobs.
struct Trained {
    house: House,
    model: PathBuf,
    train: PathBuf,
    check: PathBuf,
}

fn trained(model: Value) -> Trained {
    let house = House::new();
    let (train, check) = (house.data("train", &blobs(240, 1)), house.data("check", &blobs(90, 2)));
    let params = json!({ "target": "label", "model": model, "epochs": 12, "batch_size": 16,
                         "optimizer": { "adam": { "lr": 0.02 } } });
    let model = house.train(params, 7, &train, None).unwrap().outputs["model"].clone();
    Trained { house, model, train, check }
}

impl Trained {
    fn compress(&self, params: Value) -> Result<Left, Faults> {
        let inputs: [(&str, &Path); 3] = [("model", &self.model), ("calibrate", &self.train), ("check", &self.check)];
        self.house.run("compress", params, 3, &inputs, &["model", "report"])
    }
}

fn wide() -> Value {
    json!({ "mlp": { "hidden": [64, 64], "batch_norm": true, "dropout": 0.1 } })
}

#[test]
fn pruned_and_quantised_the_model_is_small_and_as_good() {
    let trained = trained(wide());
    let params = json!({ "prune": { "structured": 0.75, "finetune": { "epochs": 4 } }, "quantize": { "int8": "static" },
                         "budget": { "accuracy_drop": 0.05 } });
    let left = trained.compress(params).unwrap();
    let report = left.json("report");
    let (before, after, control) = (&report["before"], &report["after"], &report["control"]);
    assert!(after["parameters"].as_u64().unwrap() * 10 < before["parameters"].as_u64().unwrap(), "{report:#}");
    assert_eq!(control["parameters"], after["parameters"]);
    assert!(control["bytes"].as_u64().unwrap().abs_diff(after["bytes"].as_u64().unwrap()) < 100);
    assert_eq!(after["bytes"].as_u64().unwrap(), left.bytes("model").len() as u64);
    assert_eq!(before["bytes"].as_u64().unwrap(), std::fs::metadata(&trained.model).unwrap().len());
    assert!(after["metrics"]["accuracy"].as_f64().unwrap() > 0.9, "{report:#}");
    let steps: Vec<&str> =
        report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["prune", "quantize"]);
    assert_eq!(report["steps"][0]["widths"], json!({ "0": 16, "4": 16 }));
    for model in ["before", "after", "after_float32"] {
        for batch in ["1", "64"] {
            assert!(left.finished.observations["latency_us"][model][batch].as_f64().unwrap() > 0.0);
        }
    }
    assert!(!report.to_string().contains("latency"), "what is measured stays out of the bytes");

    // It goes wherever a model goes.
    let verdict = trained.house.evaluate(json!({}), &left.outputs["model"], &trained.check).unwrap();
    assert_eq!(verdict.json("metrics")["metrics"]["accuracy"], after["metrics"]["accuracy"]);
    let inputs = [("model", left.outputs["model"].as_path())];
    trained.house.run("export", json!({ "format": "onnx", "to": "m.onnx" }), 0, &inputs, &["file"]).unwrap();
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let trained = trained(wide());
    let params = json!({ "prune": { "structured": 0.5, "criterion": "taylor", "rounds": 2, "finetune": { "epochs": 1 } },
                         "quantize": { "int8": "dynamic" } });
    let (one, two) = (trained.compress(params.clone()).unwrap(), trained.compress(params).unwrap());
    assert_eq!(one.bytes("model"), two.bytes("model"));
    assert_eq!(one.bytes("report"), two.bytes("report"));
    assert_eq!(one.json("report")["steps"].as_array().unwrap().len(), 3);
}

#[test]
fn pruning_alone_gives_a_float32_model_and_quantising_alone_keeps_the_shape() {
    let trained = trained(wide());
    let pruned = trained
        .compress(json!({ "prune": { "structured": 0.5, "finetune": { "epochs": 2 } }, "control": false }))
        .unwrap();
    let report = pruned.json("report");
    assert!(report["control"].is_null());
    let bundle = Bundle::read(&pruned.outputs["model"], "model").unwrap();
    assert!(bundle.description.quantisation.is_none());
    assert_eq!(
        crate::bundle::net(&bundle, tch::Device::Cpu).unwrap().network().parameters(),
        report["after"]["parameters"].as_u64().unwrap()
    );

    let whole = trained.compress(json!({ "quantize": { "int8": "static" } })).unwrap();
    let report = whole.json("report");
    assert_eq!(report["before"]["operations"], report["after"]["operations"]);
    assert!(
        report["after"]["bytes"].as_u64().unwrap() * 5 < report["before"]["bytes"].as_u64().unwrap() * 3,
        "{report:#}"
    );
    assert!(report["control"].is_null(), "the model itself is the net of that size");
    let again = trained.house.run(
        "compress",
        json!({ "quantize": { "int8": "static" } }),
        3,
        &[("model", whole.outputs["model"].as_path()), ("calibrate", &trained.train)],
        &["model", "report"],
    );
    let Err(faults) = again else { panic!("8 bits of 8 bits") };
    assert_eq!(faults[0].code, "compress::already_quantised");
}

#[test]
fn a_budget_that_is_not_kept_says_what_would_fit() {
    let trained = trained(json!({ "mlp": { "hidden": [10] } }));
    let params = json!({ "prune": { "structured": 0.95, "finetune": { "epochs": 0 } }, "quantize": { "int8": "static" },
                         "budget": { "accuracy_drop": 0.01 } });
    let Err(faults) = trained.compress(params) else { panic!("1 of 10 units without fine-tuning loses nothing") };
    let fault = &faults[0];
    assert_eq!(fault.code, "compress::over_budget");
    assert!(fault.message.contains("allowed are 0.01"), "{}", fault.message);
    assert!(fault.help.as_ref().unwrap().contains("8 bits without pruning drop"), "{:?}", fault.help);
    assert_eq!(fault.route.as_ref().unwrap().to_string(), "budget.accuracy_drop");

    let Err(faults) = trained.compress(json!({ "quantize": { "int8": "static" }, "budget": { "bytes": 1000 } })) else {
        panic!("it does not fit")
    };
    assert_eq!(faults[0].code, "compress::over_budget");
    assert!(faults[0].help.as_ref().unwrap().contains("prune.structured"), "{:?}", faults[0].help);
}

#[test]
fn a_regression_on_images_is_judged_by_r2() {
    let house = House::new();
    let part = |rows: usize, seed: u64| -> PathBuf {
        let mut random = Random::new(seed, Purpose::Compress);
        let mut pixels = vec![0f32; rows * 36];
        random.fill_uniform(&mut pixels, 1.0);
        let answers: Vec<Option<f64>> =
            pixels.chunks(36).map(|image| Some(f64::from(image[..18].iter().sum::<f32>()) * 100.0)).collect();
        let cells: Vec<Cells> = vec![images("image", &[1, 6, 6], pixels), floats("brightness", answers)];
        house.data(&format!("part{seed}"), &cells)
    };
    let (train, check) = (part(200, 1), part(60, 2));
    let params = json!({ "target": "brightness", "model": { "cnn": { "channels": [12], "hidden": [16] } }, "epochs": 15,
                         "optimizer": { "adamw": { "lr": 0.01 } }, "batch_size": 32 });
    let model = house.train(params, 1, &train, None).unwrap().outputs["model"].clone();
    let params =
        json!({ "prune": { "structured": 0.5, "finetune": { "epochs": 5 } }, "quantize": { "int8": "static" } });
    let left = house
        .run(
            "compress",
            params,
            1,
            &[("model", &model), ("calibrate", &train), ("check", &check)],
            &["model", "report"],
        )
        .unwrap();
    let report = left.json("report");
    let r2 = report["after"]["metrics"]["r2"].as_f64().unwrap();
    assert!(r2 > 0.5, "{report:#}");
    assert!(left.finished.summary.contains_key("r2_drop"));
    assert!(left.finished.warnings.is_empty());
}

/// Names that occur once, encoded by the mean of the target, would give every row's answer away.
#[test]
fn fine_tuning_is_not_told_the_answers() {
    let house = House::new();
    let part = |rows: usize, seed: u64| -> PathBuf {
        let mut random = Random::new(seed, Purpose::Compress);
        let draws: Vec<(f64, bool)> = (0..rows)
            .map(|_| (f64::from(random.unit()), random.unit() < 0.1))
            .map(|(x, wrong)| (x, (x > 0.5) != wrong))
            .collect();
        let names: Vec<String> = (0..rows).map(|row| format!("{seed}-{row}")).collect();
        let cells: Vec<Cells> = vec![
            floats("x", draws.iter().map(|(x, _)| Some(*x))),
            texts("name", names.iter().map(|name| Some(name.as_str()))),
            integers("label", draws.iter().map(|(_, label)| i64::from(*label))),
        ];
        house.data(&format!("part{seed}"), &cells)
    };
    let (train, check) = (part(400, 1), part(200, 2));
    let params = json!({ "target": "label", "epochs": 15, "batch_size": 16, "model": { "mlp": { "hidden": [16] } },
                         "optimizer": { "adam": { "lr": 0.02 } },
                         "features": ["x", { "columns": "name", "encode": { "target": { "smoothing": 0.0 } } }] });
    let model = house.train(params, 7, &train, None).unwrap().outputs["model"].clone();
    let params = json!({ "prune": { "structured": 0.5, "finetune": { "epochs": 20, "lr": 0.02 } } });
    let inputs = [("model", model.as_path()), ("calibrate", train.as_path()), ("check", check.as_path())];
    let report = house.run("compress", params, 3, &inputs, &["model", "report"]).unwrap().json("report");
    for net in ["before", "after", "control"] {
        assert!(report[net]["metrics"]["accuracy"].as_f64().unwrap() > 0.8, "{net}: {report:#}");
    }
}

#[test]
fn data_without_answers_and_models_without_units_are_faults() {
    let linear = trained(json!({ "linear": {} }));
    let Err(faults) = linear.compress(json!({ "prune": { "structured": 0.5 } })) else { panic!("nothing to prune") };
    assert_eq!(faults[0].code, "compress::nothing_to_prune");
    let mute = linear.house.data("mute", &blobs(20, 3)[..2]);
    let inputs = [("model", linear.model.as_path()), ("calibrate", mute.as_path()), ("check", linear.check.as_path())];
    let left =
        linear.house.run("compress", json!({ "quantize": { "int8": "static" } }), 1, &inputs, &["model", "report"]);
    assert!(left.is_ok(), "ranges can be measured without answers");
    let inputs = [("model", linear.model.as_path()), ("calibrate", mute.as_path())];
    let left =
        linear.house.run("compress", json!({ "quantize": { "int8": "static" } }), 1, &inputs, &["model", "report"]);
    let Err(faults) = left else { panic!("no answers to judge by") };
    assert_eq!(faults[0].code, "compress::no_target");
    assert_eq!(faults[0].route.as_ref().unwrap().to_string(), "inputs.calibrate");
}
