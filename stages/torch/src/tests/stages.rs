//! `train` and `evaluate` end to end on small data, and what bad data gives.

use model::bundle::Bundle;
use model::dataset::Dataset;
use model::encode::{Encoded, Encoders};
use model::random::{Purpose, Random};
use model::room::Room;
use model::target::{Target, Targets};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::fit::course::{Course, Material, Part};
use crate::fit::loss::Objective;
use crate::fit::trainer::{Recipe, Stop, Trainer};
use crate::network::Net;
use crate::raw;
use crate::tests::harness::{Cells, House, blobs, booleans, floats, images, integers, texts};
use crate::tests::sample;

fn code(result: Result<crate::tests::harness::Left, contract::fault::Faults>) -> (String, String) {
    let Err(faults) = result else { panic!("it worked") };
    assert!(faults[0].help.is_some(), "no help: {:?}", faults[0]);
    (faults[0].code.clone(), faults[0].message.clone())
}

fn small() -> serde_json::Value {
    json!({ "target": "label", "model": { "mlp": { "hidden": [16] } }, "epochs": 15, "batch_size": 16,
            "optimizer": { "adam": { "lr": 0.02 } } })
}

#[test]
fn a_classifier_learns_and_is_judged() {
    let house = House::new();
    let (train, test) = (house.data("train", &blobs(240, 1)), house.data("test", &blobs(90, 2)));
    let model = house.train(small(), 7, &train, Some(&test)).unwrap();
    let history = model.json("metrics");
    assert_eq!(history["epochs"].as_array().unwrap().len(), 15);
    assert_eq!(history["best_epoch"], 15);
    assert!(history["epochs"][14]["train.loss"].as_f64() < history["epochs"][0]["train.loss"].as_f64());
    let verdict = house
        .evaluate(
            json!({ "require": { "accuracy": ">= 0.95", "recall.class.2": "> 0.9" } }),
            &model.outputs["model"],
            &test,
        )
        .unwrap();
    assert!(verdict.finished.unmet.is_empty());
    let metrics = verdict.json("metrics");
    assert_eq!(metrics["rows"], 90);
    assert_eq!(metrics["metrics"]["accuracy"], history["metrics"]["validation.accuracy"]);
    assert_eq!(metrics["confusion_matrix"]["classes"], json!(["0", "1", "2"]));
    let predictions = Dataset::open(&verdict.outputs["predictions"], "predictions").unwrap();
    assert_eq!(predictions.rows(), 90);
    let names: Vec<&str> = predictions.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(
        names[3..],
        ["label.prediction", "label.probability", "label.probability.0", "label.probability.1", "label.probability.2"]
    );
    let right = predictions
        .numbers("label.prediction")
        .unwrap()
        .values
        .iter()
        .zip(predictions.numbers("label").unwrap().values)
        .filter(|(left, right)| **left == *right)
        .count();
    assert_eq!(right as f64 / 90.0, metrics["metrics"]["accuracy"].as_f64().unwrap());
}

#[test]
fn a_gate_that_is_not_met_names_both_numbers() {
    let house = House::new();
    let train = house.data("train", &blobs(60, 1));
    let model = house
        .train(json!({ "target": "label", "epochs": 1, "optimizer": { "sgd": { "lr": 1e-9 } } }), 7, &train, None)
        .unwrap();
    let verdict =
        house.evaluate(json!({ "require": { "accuracy": ">= 0.999" } }), &model.outputs["model"], &train).unwrap();
    let fault = &verdict.finished.unmet[0];
    assert_eq!(fault.code, "gate::not_met");
    let accuracy = verdict.json("metrics")["metrics"]["accuracy"].as_f64().unwrap();
    assert!(
        fault.message.contains(">= 0.999") && fault.message.contains(&format!("{accuracy:.4}")),
        "{}",
        fault.message
    );
}

#[test]
fn the_same_request_gives_the_same_bytes_and_another_seed_does_not() {
    let house = House::new();
    let train = house.data("train", &blobs(120, 1));
    let params = json!({ "target": "label", "epochs": 3,
        "model": { "mlp": { "hidden": [16, 8], "dropout": 0.3, "batch_norm": true } } });
    let first = house.train(params.clone(), 7, &train, Some(&train)).unwrap();
    let again = house.train(params.clone(), 7, &train, Some(&train)).unwrap();
    let other = house.train(params, 8, &train, Some(&train)).unwrap();
    for port in ["model", "metrics"] {
        assert_eq!(first.bytes(port), again.bytes(port), "{port}");
        assert_ne!(first.bytes(port), other.bytes(port), "{port}");
    }
    let judged: Vec<_> = (0..2).map(|_| house.evaluate(json!({}), &first.outputs["model"], &train).unwrap()).collect();
    for port in ["metrics", "predictions"] {
        assert_eq!(judged[0].bytes(port), judged[1].bytes(port), "{port}");
    }
}

#[test]
fn rows_that_are_encoded_into_files_teach_the_same() {
    let house = House::new();
    // More than one block of rows.
    let rows = 70_000;
    let mut columns = blobs(rows, 1);
    let words = ["north", "south", "east", "west"];
    columns.push(texts("word", (0..rows).map(|row| (row % 11 != 0).then_some(words[row * 7 % 4]))));
    columns.push(texts("place", (0..rows).map(|row| Some(words[row * 3 % 4]))));
    let train = house.data("train", &columns);
    let params = |target: &str| {
        json!({ "target": target, "epochs": 1, "batch_size": 4096, "model": { "mlp": { "hidden": [4] } },
                "features": [{ "columns": "word", "encode": "one_hot" }, { "columns": "place", "encode": { "target": {} } }, "x"] })
    };
    for target in ["label", "y"] {
        let inputs = [("train", train.as_path()), ("validation", train.as_path())];
        let run = |memory| {
            let made = house.run_within(memory, "train", (params(target), 7), &inputs, &["model", "metrics"]).unwrap();
            let judged = [("model", made.outputs["model"].as_path()), ("data", &train)];
            let judged =
                house.run_within(memory, "evaluate", (json!({}), 0), &judged, &["metrics", "predictions"]).unwrap();
            [made.bytes("model"), made.bytes("metrics"), judged.bytes("metrics"), judged.bytes("predictions")]
        };
        assert!(run(Some(1 << 20)) == run(None), "{target}");
    }
    // And they are in files.
    let data = Dataset::open(&train, "train").unwrap();
    let model = house.train(params("label"), 7, &train, None).unwrap();
    let description = Bundle::read(&model.outputs["model"], "model").unwrap().description;
    let (encoders, target) = (&description.encoders, &description.target);
    let before = std::fs::read_dir(house.path()).unwrap().count();
    let room = Room::new(house.path(), 1 << 17);
    let filed = Part::encode_training(&data, encoders, target, room).unwrap();
    let held = Part::encode_training(&data, encoders, target, Room::memory()).unwrap();
    let Encoded::Owned(sheet) = filed.rows.owner() else { panic!("made of several columns") };
    let is_filed = |part: &Part| match part.targets.owner() {
        Targets::Classes(sheet) => sheet.is_filed(),
        Targets::Numbers(sheet) => sheet.is_filed(),
    };
    assert!(sheet.is_filed() && is_filed(&filed) && !is_filed(&held));
    assert!(raw::bytes(filed.rows.tensor()) == raw::bytes(held.rows.tensor()));
    assert!(raw::bytes(filed.targets.tensor()) == raw::bytes(held.targets.tensor()));
    assert_eq!(std::fs::read_dir(house.path()).unwrap().count(), before, "the files have no names");
}

#[test]
fn images_that_are_encoded_into_files_are_the_same() {
    let house = House::new();
    let rows = 66_000;
    let pixels = (0..rows * 4).map(|place| (place % 251) as f32 / 3.0).collect();
    let labels = integers("label", (0..rows).map(|row| (row % 2) as i64));
    let train = house.data("train", &[images("image", &[1, 2, 2], pixels), labels]);
    let params = json!({ "target": "label", "epochs": 1, "batch_size": 8192, "model": { "linear": {} } });
    let inputs = [("train", train.as_path())];
    let [small, large] = [Some(1 << 20), None].map(|memory| {
        house.run_within(memory, "train", (params.clone(), 7), &inputs, &["model", "metrics"]).unwrap().bytes("model")
    });
    assert!(small == large);
}

#[test]
fn a_regression_is_judged_in_its_own_unit() {
    let house = House::new();
    let rows = 200;
    let mut random = Random::new(5, Purpose::Order);
    let x: Vec<f64> = (0..rows).map(|_| f64::from(random.unit()) * 10.0).collect();
    let data = house.data(
        "data",
        &[floats("x", x.iter().map(|x| Some(*x))), floats("price", x.iter().map(|x| Some(1000.0 + 50.0 * x)))],
    );
    let params =
        json!({ "target": "price", "model": { "linear": {} }, "epochs": 60, "optimizer": { "sgd": { "lr": 0.05 } } });
    let model = house.train(params, 1, &data, Some(&data)).unwrap();
    let metrics = house.evaluate(json!({}), &model.outputs["model"], &data).unwrap().json("metrics");
    assert!(metrics["metrics"]["r2"].as_f64().unwrap() > 0.999, "{metrics}");
    let rmse = metrics["metrics"]["rmse"].as_f64().unwrap();
    let watched = model.json("metrics")["metrics"]["validation.rmse"].as_f64().unwrap();
    assert!((rmse - watched).abs() < 1e-3 * rmse + 1e-3, "{rmse} {watched}");
}

#[test]
fn mixed_columns_with_missing_cells_are_encoded() {
    let house = House::new();
    let data = vec![
        floats("mass", [Some(1.0), None, Some(3.0), Some(2.0)]),
        texts("island", [Some("b"), Some("a"), None, Some("b")]),
        booleans("tagged", [true, false, true, true]),
        integers("label", [0, 1, 0, 1]),
    ];
    let path = house.data("train", &data);
    let model = house.train(json!({ "target": "label", "epochs": 1 }), 1, &path, None).unwrap();
    let bundle = Bundle::read(&model.outputs["model"], "model").unwrap();
    let encoders = &bundle.description.encoders;
    // mass + its indicator, a, b, missing, false, true
    assert_eq!(encoders.shape(), [7]);
    let encoded = encoders.encode(&Dataset::open(&path, "train").unwrap(), Room::memory()).unwrap();
    let row = |n: usize| encoded.values()[n * 7..(n + 1) * 7].to_vec();
    let deviation = (2.0f64 / 3.0).sqrt();
    assert_eq!(row(0), [(-1.0 / deviation) as f32, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    assert_eq!(row(1), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(row(2)[2..5], [0.0, 0.0, 1.0]);
    assert_eq!(encoders.source(0), Some("mass"));
    assert_eq!(encoders.source(4), Some("island"));
    // A value never seen sets no indicator; a missing cell where training had none is the mean.
    let later = house.data(
        "later",
        &[
            floats("mass", [Some(2.0)]),
            texts("island", [Some("zebra")]),
            booleans("tagged", [false]),
            integers("label", [0]),
        ],
    );
    let later = encoders.encode(&Dataset::open(&later, "later").unwrap(), Room::memory()).unwrap();
    assert_eq!(later.values(), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn an_image_column_is_mapped_without_a_copy() {
    let house = House::new();
    let values: Vec<f32> = (0..4 * 16).map(|value| value as f32).collect();
    let path = house.data("train", &[images("image", &[1, 4, 4], values.clone()), integers("label", [0, 1, 0, 1])]);
    let data = Dataset::open(&path, "train").unwrap();
    let mapped = data.packed("image").unwrap();
    assert_eq!(mapped.size(), [4, 1, 4, 4]);
    assert_eq!(mapped.values(), values);
    // 64-byte aligned inside the map, and twice the same memory: no copy was made.
    let again = data.packed("image").unwrap();
    assert_eq!(mapped.values().as_ptr(), again.values().as_ptr());
    assert_eq!(mapped.values().as_ptr() as usize % 64, 0);
}

#[test]
fn bad_data_is_said_with_code_and_help() {
    let house = House::new();
    let one_class = house.data("one", &[floats("x", [Some(1.0), Some(2.0)]), integers("label", [3, 3])]);
    let fault = code(house.train(json!({ "target": "label" }), 1, &one_class, None));
    assert!(fault.0 == "train::one_class" && fault.1.contains("`3`"), "{fault:?}");

    let good = house.data("good", &blobs(30, 1));
    let unseen = house.data("unseen", &[floats("x", [Some(1.0)]), floats("y", [Some(1.0)]), integers("label", [9])]);
    let fault = code(house.train(json!({ "target": "label", "epochs": 1 }), 1, &good, Some(&unseen)));
    assert!(fault.0 == "data::unseen_class" && fault.1.contains("`9`"), "{fault:?}");

    let model = house.train(json!({ "target": "label", "epochs": 1 }), 1, &good, None).unwrap();
    let fault = code(house.evaluate(json!({}), &model.outputs["model"], &unseen));
    assert_eq!(fault.0, "data::unseen_class");

    let empty = house.data("empty", &[floats("x", []), integers("label", [])]);
    assert_eq!(code(house.train(json!({ "target": "label" }), 1, &empty, None)).0, "data::empty");
    assert_eq!(code(house.evaluate(json!({}), &model.outputs["model"], &empty)).0, "data::empty");

    let missing = house.data("missing", &[floats("x", [Some(1.0), Some(2.0)]), texts("label", [Some("a"), None])]);
    assert_eq!(code(house.train(json!({ "target": "label" }), 1, &missing, None)).0, "data::missing_target");

    let fault = code(house.train(json!({ "target": "lable" }), 1, &good, None));
    assert_eq!(fault.0, "data::unknown_column");

    let infinite = house.data("infinite", &[floats("x", [Some(1.0), Some(f64::INFINITY)]), integers("label", [0, 1])]);
    let fault = code(house.train(json!({ "target": "label" }), 1, &infinite, None));
    assert!(fault.0 == "data::not_finite" && fault.1.contains("`x`") && fault.1.contains("row 2"), "{fault:?}");

    let narrow = house.data("narrow", &[floats("x", [Some(1.0)]), integers("label", [1])]);
    assert_eq!(code(house.evaluate(json!({}), &model.outputs["model"], &narrow)).0, "data::unknown_column");
}

#[test]
fn damaged_files_are_faults_and_never_panics() {
    let house = House::new();
    let good = std::fs::read(house.data("good", &blobs(30, 1))).unwrap();
    let path = house.path().join("damaged.arrow");
    let mut random = Random::new(11, Purpose::Order);
    for round in 0..300 {
        let mut bytes = good.clone();
        if round % 3 == 0 {
            bytes.truncate(random.below(good.len() as u32) as usize);
        } else {
            for _ in 0..1 + round % 7 {
                // The metadata is near the end and at the beginning; that is where damage hurts.
                let near_end = good.len() - 1 - random.below(1200.min(good.len() as u32)) as usize;
                let place = if round % 2 == 0 { near_end } else { random.below(good.len() as u32) as usize };
                bytes[place] = random.below(256) as u8;
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        match Dataset::open(&path, "train") {
            Ok(data) => {
                for column in data.columns() {
                    let _ = data.numbers(&column.name);
                }
            }
            Err(fault) => assert_eq!(fault.code, "data::damaged_dataset"),
        }
    }
    let model =
        house.train(json!({ "target": "label", "epochs": 1 }), 1, &house.data("good", &blobs(30, 1)), None).unwrap();
    let good = model.bytes("model");
    for round in 0..200 {
        let mut bytes = good.clone();
        if round % 2 == 0 {
            bytes.truncate(random.below(good.len() as u32) as usize);
        } else {
            bytes[random.below(1500.min(good.len() as u32)) as usize] = random.below(256) as u8;
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Err(fault) = Bundle::read(&path, "model").and_then(|bundle| crate::bundle::net(&bundle, Device::Cpu)) {
            assert!(["model::damaged", "model::tensors", "model::newer"].contains(&fault.code.as_str()), "{fault:?}");
        }
    }
}

#[test]
fn a_loss_that_explodes_is_named() {
    let house = House::new();
    let train = house.data("train", &blobs(120, 1));
    let params = json!({ "target": "label", "epochs": 50, "optimizer": { "sgd": { "lr": 1e30 } },
        "model": { "mlp": { "hidden": [16, 16] } } });
    let Err(faults) = house.train(params, 7, &train, None) else { panic!("it worked") };
    let fault = &faults[0];
    assert_eq!(fault.code, "train::nan_loss");
    assert_eq!(fault.route.as_ref().unwrap().to_string(), "optimizer.sgd.lr");
    assert!(fault.message.contains("epoch 1, step ") && fault.message.contains("layer `"), "{}", fault.message);
    assert!(fault.help.as_ref().unwrap().contains("gradient_clip"), "{fault:?}");
}

#[test]
fn early_stopping_keeps_the_best_weights() {
    let house = House::new();
    let (train, validation) = (house.data("train", &blobs(60, 1)), house.data("validation", &noisy(60)));
    let params = json!({ "target": "label", "epochs": 200, "optimizer": { "adam": { "lr": 0.05 } },
        "model": { "mlp": { "hidden": [64] } }, "early_stopping": { "patience": 3 } });
    let model = house.train(params, 3, &train, Some(&validation)).unwrap();
    let history = model.json("metrics");
    let epochs = history["epochs"].as_array().unwrap();
    let best = history["best_epoch"].as_u64().unwrap() as usize;
    assert!(epochs.len() < 200 && epochs.len() == best + 3, "{} {best}", epochs.len());
    let losses: Vec<f64> = epochs.iter().map(|epoch| epoch["validation.loss"].as_f64().unwrap()).collect();
    assert_eq!(losses.iter().copied().fold(f64::INFINITY, f64::min), losses[best - 1]);
    let judged = house.evaluate(json!({}), &model.outputs["model"], &validation).unwrap().json("metrics");
    let log_loss = judged["metrics"]["log_loss"].as_f64().unwrap();
    assert!((log_loss - losses[best - 1]).abs() < 1e-5, "{log_loss} {}", losses[best - 1]);
}

/// Blobs with a third of the labels wrong: its loss rises again soon.
fn noisy(rows: usize) -> Vec<Cells> {
    let mut cells = blobs(rows, 9);
    cells[2] = integers("label", (0..rows as i64).map(|row| if row % 3 == 0 { (row / 3) % 3 } else { row % 3 }));
    cells
}

fn recipe(value: serde_json::Value) -> Recipe {
    let params: catalog::kinds::train::params::Train = serde_json::from_value(value).unwrap();
    Recipe::of(&params, contract::artifact::Task::Classification).unwrap()
}

fn data(network: &catalog::network::Network, rows: usize) -> (Tensor, Tensor) {
    let targets: Vec<i64> = (0..rows as i64).map(|row| row * 7 % network.output()[0] as i64).collect();
    (sample::rows(network, rows, 4), Tensor::from_slice(&targets))
}

fn weights(net: &Net) -> Vec<Vec<f32>> {
    net.state().unwrap().values().map(|tensor| raw::floats(tensor).to_vec()).collect()
}

#[test]
fn ten_epochs_and_ten_more_are_twenty() {
    let cases = [
        (json!({ "mlp": { "hidden": [12, 8], "dropout": 0.4 } }), vec![6]),
        (json!({ "mlp": { "hidden": [12], "batch_norm": true, "activation": "gelu" } }), vec![6]),
        (json!({ "cnn": { "channels": [4], "hidden": [8], "dropout": 0.2 } }), vec![1, 6, 6]),
    ];
    let optimizers =
        [json!({ "sgd": { "lr": 0.05, "nesterov": true } }), json!({ "adam": {} }), json!({ "adamw": {} })];
    for ((model, input), optimizer) in cases.into_iter().zip(optimizers) {
        let network = match input.as_slice() {
            [width] => sample::embedded(model, *width, &sample::tables(), 3),
            _ => sample::network(model, &input, 3),
        };
        let (rows, targets) = data(&network, 41);
        let recipe = recipe(json!({ "optimizer": optimizer, "batch_size": 8, "epochs": 20, "gradient_clip": 1.0,
            "schedule": { "step": { "every": 4, "gamma": 0.5 } } }));
        let start = || {
            let net = Net::fresh(&network, &mut Random::new(1, Purpose::Weights), Device::Cpu).unwrap();
            Trainer::new(net, recipe.clone(), 9, 41).unwrap()
        };
        let go = |trainer: &mut Trainer, until: u32| {
            while trainer.epochs() < until {
                trainer.epoch(&rows, &targets, |_, _| ()).unwrap();
            }
        };
        let mut straight = start();
        go(&mut straight, 20);
        let mut first = start();
        go(&mut first, 10);
        let saved = first.save().unwrap();
        assert_eq!(saved, first.save().unwrap());
        let mut second = start();
        second.resume(&saved).unwrap();
        assert_eq!(second.epochs(), 10);
        go(&mut second, 20);
        assert_eq!(weights(straight.net()), weights(second.net()));
        assert_eq!(straight.save().unwrap(), second.save().unwrap());
        assert!(second.resume(&saved[..saved.len() / 2]).is_err());
    }
}

#[test]
fn the_fast_path_has_autograd_s_gradients() {
    let models = [
        json!({ "linear": {} }),
        json!({ "mlp": { "hidden": [12, 8] } }),
        json!({ "mlp": { "hidden": [12, 8], "dropout": 0.3, "activation": "gelu" } }),
        json!({ "mlp": { "hidden": [12, 8], "dropout": 0.3, "activation": "tanh" } }),
        json!({ "mlp": { "hidden": [12], "activation": "silu" } }),
        json!({ "layers": ["sigmoid", { "linear": { "units": 5, "bias": false } }, "relu", { "dropout": { "p": 0.2 } }, "relu",
                           { "linear": { "units": 4 } }, "tanh"] }),
    ];
    let cases = models.iter().flat_map(|model| [(model, Vec::new()), (model, sample::tables())]);
    for (model, tables) in cases {
        for objective in [Objective::CrossEntropy { smoothing: 0.1 }, Objective::SquaredError] {
            let outputs = if objective == Objective::SquaredError { 1 } else { 3 };
            let network = sample::embedded(model.clone(), 6, &tables, outputs);
            let (rows, labels) = data(&network, 21);
            let targets = if outputs == 1 { rows.select(1, 0) * 0.5 } else { labels };
            let targets = targets.contiguous();
            let net = Net::fresh(&network, &mut Random::new(1, Purpose::Weights), Device::Cpu).unwrap();
            let mut chain = crate::fit::chain::Chain::of(&net).expect("a chain");
            let loss = chain.step(&rows, &targets, objective, &mut Random::new(2, Purpose::Dropout)).unwrap();
            net.require_gradients(true);
            let mut masks = Random::new(2, Purpose::Dropout);
            let output = net.forward(&rows, &mut crate::network::layer::Pass::Train(&mut masks)).unwrap();
            let expected = objective.mean(&output, &targets).unwrap();
            assert!((loss - f64::try_from(&expected).unwrap()).abs() < 1e-5, "{model}: {loss}");
            let parameters: Vec<Tensor> =
                net.parameters().into_iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
            let gradients = Tensor::f_run_backward(&[expected], &parameters, false, false).unwrap();
            assert_eq!(gradients.len(), chain.gradients().len());
            for (ours, wanted) in chain.gradients().iter().zip(&gradients) {
                let difference = f64::try_from((ours - wanted).abs().max()).unwrap();
                assert!(difference < 1e-5, "{model} {objective:?}: {difference}");
                assert_eq!(ours.kind(), Kind::Float);
            }
        }
    }
}

#[test]
fn batch_normalisation_never_meets_one_row() {
    let network = sample::network(json!({ "mlp": { "hidden": [8], "batch_norm": true } }), &[6], 3);
    let net = || Net::fresh(&network, &mut Random::new(1, Purpose::Weights), Device::Cpu).unwrap();
    let (rows, targets) = data(&network, 17);
    let mut trainer = Trainer::new(net(), recipe(json!({ "batch_size": 8 })), 1, 17).unwrap();
    trainer.epoch(&rows, &targets, |_, _| ()).unwrap();
    assert_eq!(trainer.steps(), 2);
    for (size, rows) in [(1, 17), (8, 1)] {
        let fault = Trainer::new(net(), recipe(json!({ "batch_size": size })), 1, rows).unwrap_err();
        assert_eq!(fault.code, "train::batch_of_one");
    }
}

#[test]
fn a_column_that_is_not_finite_is_found_even_late() {
    let network = sample::network(json!({ "mlp": { "hidden": [8] } }), &[2], 3);
    let net = Net::fresh(&network, &mut Random::new(1, Purpose::Weights), Device::Cpu).unwrap();
    let mut trainer = Trainer::new(net, recipe(json!({})), 1, 2).unwrap();
    let rows = Tensor::from_slice(&[1f32, f32::NAN, 0.0, 1.0]).view([2, 2]);
    let stop = trainer.epoch(&rows, &Tensor::from_slice(&[0i64, 1]), |_, _| ()).unwrap_err();
    assert!(
        matches!(stop, Stop::Diverged(diverged) if diverged.epoch == 1 && diverged.step == 1 && diverged.loss.is_nan())
    );
}

#[test]
fn a_saved_course_stops_where_it_would_have_stopped() {
    let house = House::new();
    let (train, validation) = (house.data("train", &blobs(60, 1)), house.data("validation", &noisy(60)));
    let params: catalog::kinds::train::params::Train =
        serde_json::from_value(json!({ "epochs": 200, "optimizer": { "adam": { "lr": 0.05 } },
        "early_stopping": { "patience": 4 } }))
        .unwrap();
    let (train, validation) =
        (Dataset::open(&train, "train").unwrap(), Dataset::open(&validation, "validation").unwrap());
    let target = Target::fit("label", contract::artifact::Task::Classification, &train).unwrap();
    let features = catalog::columns::features::decide(None, train.columns(), "label").unwrap();
    let encoders = Encoders::fit(&features, &train, &target, 1).unwrap();
    let network = sample::network(json!({ "mlp": { "hidden": [32], "batch_norm": true } }), &encoders.shape(), 3);
    let (train, validation) = (
        Part::encode(&train, &encoders, &target, Room::memory()).unwrap(),
        Part::encode(&validation, &encoders, &target, Room::memory()).unwrap(),
    );
    let material = Material { train: &train, validation: Some(&validation), target: &target, encoders: &encoders };
    let recipe = Recipe::of(&params, contract::artifact::Task::Classification).unwrap();
    let start = || {
        let net = Net::fresh(&network, &mut Random::new(1, Purpose::Weights), Device::Cpu).unwrap();
        Course::new(net, recipe.clone(), 9, material, params.early_stopping.as_ref()).unwrap()
    };
    let channel = contract::worker::Channel::silent();
    let straight = start().finish(&channel).unwrap();
    assert!(straight.epochs < 200 && straight.best_epoch + 4 == straight.epochs);
    // Saved between the best epoch and the end: what is kept of the best one decides.
    let mut first = start();
    for _ in 0..straight.best_epoch + 2 {
        first.epoch(&channel).unwrap();
    }
    let mut second = start();
    second.resume(&first.save().unwrap()).unwrap();
    let resumed = second.finish(&channel).unwrap();
    assert_eq!((straight.best_epoch, straight.epochs), (resumed.best_epoch, resumed.epochs));
    assert_eq!(straight.history, resumed.history);
    assert_eq!(weights(&straight.net), weights(&resumed.net));
}

#[test]
fn several_batches_are_read_as_one() {
    let house = House::new();
    let rows = (1 << 20) + 3;
    let values: Vec<f32> = (0..rows * 2).map(|value| (value % 1009) as f32).collect();
    let path = house
        .data("long", &[images("pair", &[2], values.clone()), integers("label", (0..rows as i64).map(|row| row % 2))]);
    let data = Dataset::open(&path, "train").unwrap();
    assert_eq!(data.rows(), rows);
    assert_eq!(data.packed("pair").unwrap().values(), values);
    let labels = data.numbers("label").unwrap();
    assert_eq!(labels.values.len(), rows);
    assert_eq!(labels.values[rows - 1], ((rows - 1) % 2) as f64);
}

#[test]
fn a_regression_on_a_few_whole_numbers_is_noted() {
    let house = House::new();
    let told = |grades: &[f64], more: Value| {
        let rows = 0..60;
        let data = house.data(
            "data",
            &[
                floats("x", rows.clone().map(|row| Some(f64::from(row)))),
                floats("grade", rows.map(|row| Some(grades[row as usize % grades.len()]))),
            ],
        );
        let mut params = json!({ "target": "grade", "model": { "linear": {} }, "epochs": 1 });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let warnings = house.train(params, 1, &data, None).unwrap().finished.warnings;
        warnings.into_iter().map(|fault| format!("{}: {}", fault.code, fault.message)).collect::<Vec<_>>()
    };
    let note = "train::like_classes: `grade` is predicted as a number, and holds only 1, 2, 3";
    assert_eq!(told(&[1.0, 2.0, 3.0], json!({})), [note]);
    assert_eq!(told(&[1.0, 2.0, 3.0], json!({ "task": "regression" })), [""; 0]);
    assert_eq!(told(&[1.0, 2.5, 3.0], json!({})), [""; 0]);
    assert_eq!(told(&(0..30).map(f64::from).collect::<Vec<_>>(), json!({})), [""; 0]);
}
