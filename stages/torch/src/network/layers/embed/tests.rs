//! Embedded columns: the look-up by hand, what training does to the vectors, and whole stages.

use std::path::{Path, PathBuf};

use catalog::network::Network;
use model::bundle::Bundle;
use model::bundle::Dtype;
use model::dataset::Dataset;
use model::encode::FittedEncoder;
use model::random::{Purpose, Random};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::*;
use crate::fit::chain::Chain;
use crate::fit::loss::Objective;
use crate::fit::trainer::{Recipe, Trainer};
use crate::network::Net;
use crate::raw;
use crate::tests::harness::{Cells, House, floats, integers, texts};
use crate::tests::sample;

fn network() -> Network {
    sample::embedded(json!({ "mlp": { "hidden": [8] } }), 5, &sample::tables(), 3)
}

fn fresh(network: &Network) -> Net {
    Net::fresh(network, &mut Random::new(1, Purpose::Weights), Device::Cpu).unwrap()
}

/// Rows whose first column has the indices 1, 2, 2, 4 and whose fourth has 3, 1, 1, 1.
fn rows() -> Tensor {
    let rows: Vec<f32> = [[1.0, 3.0], [2.0, 1.0], [2.0, 1.0], [4.0, 1.0]]
        .iter()
        .flat_map(|[first, fourth]| [*first, 0.5, -0.5, *fourth, 2.0])
        .collect();
    Tensor::from_slice(&rows).reshape([4, 5])
}

fn table(net: &Net, place: usize) -> Vec<f32> {
    raw::floats(&net.state().unwrap()[&format!("0.{place}.weight")]).to_vec()
}

#[test]
fn vectors_take_the_places_of_indices_and_numbers_stay() {
    let tables = [Table { position: 1, values: 3, dimensions: 2 }, Table { position: 2, values: 2, dimensions: 1 }];
    let layout = Layout::new(&tables, 4);
    let vectors = [vec![0.0, 0.1, 10.0, 11.0, 20.0, 21.0], vec![-1.0, -2.0]];
    let rows = [5.0, 2.0, 1.0, 6.0, 7.0, 0.0, 0.0, 8.0];
    let wanted = [5.0, 20.0, 21.0, -2.0, 6.0, 7.0, 0.0, 0.1, -1.0, 8.0];
    let mut out = [0.0; 10];
    layout.forward(&rows, &mut out, |table, index, place| {
        place.copy_from_slice(&vectors[table][index * place.len()..(index + 1) * place.len()]);
    });
    assert_eq!(out, wanted);
    let weights = [Tensor::from_slice(&vectors[0]).reshape([3, 2]), Tensor::from_slice(&vectors[1]).reshape([2, 1])];
    let found = look_up(&layout, &weights, &Tensor::from_slice(&rows).reshape([2, 4])).unwrap();
    assert_eq!(raw::floats(&found.contiguous()), wanted);
    let stray = Tensor::from_slice(&[5f32, 3.0, 1.0, 6.0]).reshape([1, 4]);
    assert!(look_up(&layout, &weights, &stray).is_err(), "an index that the table does not have");
}

#[test]
fn vectors_start_as_long_as_a_one_hot_vector_and_the_unseen_one_at_nothing() {
    let tables = [Table { position: 0, values: 1001, dimensions: 16 }];
    let net = fresh(&sample::embedded(json!({ "linear": {} }), 1, &tables, 1));
    let vectors = table(&net, 0);
    assert!(vectors[..16].iter().all(|value| *value == 0.0));
    let lengths = vectors[16..].chunks(16).map(|vector| vector.iter().map(|value| value * value).sum::<f32>());
    let mean = lengths.sum::<f32>() / 1000.0;
    assert!((mean - 1.0).abs() < 0.05, "{mean}");
}

#[test]
fn only_vectors_that_are_met_have_a_gradient() {
    let network = network();
    let net = fresh(&network);
    let targets = Tensor::from_slice(&[0i64, 1, 2, 1]);
    let objective = Objective::CrossEntropy { smoothing: 0.0 };
    let mut chain = Chain::of(&net).expect("a chain");
    chain.step(&rows(), &targets, objective, &mut Random::new(2, Purpose::Dropout)).unwrap();
    net.require_gradients(true);
    let output = net.forward(&rows(), &mut Pass::Train(&mut Random::new(2, Purpose::Dropout))).unwrap();
    let parameters: Vec<Tensor> = net.parameters().into_iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
    let loss = objective.mean(&output, &targets).unwrap();
    let autograd = Tensor::f_run_backward(&[loss], &parameters, false, false).unwrap();
    for gradients in [chain.gradients(), &autograd] {
        for (place, dimensions, met) in [(0, 3, vec![1, 2, 4]), (1, 2, vec![1, 3])] {
            let gradient = gradients[place].contiguous();
            for (index, gradient) in raw::floats(&gradient).chunks(dimensions).enumerate() {
                assert_eq!(gradient.iter().any(|value| *value != 0.0), met.contains(&index), "table {place}, {index}");
            }
        }
    }
}

fn recipe(optimizer: &Value) -> Recipe {
    let params = json!({ "optimizer": optimizer, "batch_size": 2, "epochs": 3 });
    Recipe::of(&serde_json::from_value(params).unwrap(), contract::artifact::Task::Classification).unwrap()
}

/// Without decay a vector nobody meets stays; with it, it shrinks as every weight does. The first is always the mean.
#[test]
fn vectors_that_are_not_met_stay_or_decay_and_the_first_is_the_mean() {
    let network = network();
    let targets = Tensor::from_slice(&[0i64, 1, 2, 1]);
    for (optimizer, shrunk) in [
        (json!({ "sgd": { "lr": 0.1 } }), 1.0),
        (json!({ "adamw": { "lr": 0.1, "weight_decay": 0.0 } }), 1.0),
        (json!({ "adamw": { "lr": 0.1, "weight_decay": 0.5 } }), 0.95f64.powi(6) as f32),
    ] {
        for fast in [true, false] {
            let mut trainer = Trainer::new(fresh(&network), recipe(&optimizer), 1, 4).unwrap();
            if !fast {
                trainer = trainer.with_autograd();
            }
            let before = table(trainer.net(), 0);
            for _ in 0..3 {
                trainer.epoch(&rows(), &targets, |_, _| ()).unwrap();
            }
            let after = table(trainer.net(), 0);
            for unmet in [3, 5] {
                for (before, after) in before[unmet * 3..unmet * 3 + 3].iter().zip(&after[unmet * 3..]) {
                    assert!((before * shrunk - after).abs() < 1e-5, "{optimizer}: {before} {after}");
                }
            }
            for met in [1, 2, 4] {
                assert_ne!(before[met * 3..met * 3 + 3], after[met * 3..met * 3 + 3]);
            }
            for element in 0..3 {
                let mean = (after[3 + element] + 2.0 * after[6 + element] + after[12 + element]) / 4.0;
                assert!((after[element] - mean).abs() < 1e-6, "{optimizer}: {} {mean}", after[element]);
            }
        }
    }
}

/// Forty codes on each side, half of them odd at random: the answer is whether just one of a row's two is odd. No sum over
/// categories gives it, and the codes as numbers do not either.
fn pairs(rows: usize, seed: u64) -> Vec<Cells> {
    let mut odd = Random::new(77, Purpose::Compress);
    let odd: Vec<[bool; 2]> = (0..40).map(|_| [odd.below(2) == 1, odd.below(2) == 1]).collect();
    let mut random = Random::new(seed, Purpose::Order);
    let draws: Vec<(usize, usize)> =
        (0..rows).map(|_| (random.below(40) as usize, random.below(40) as usize)).collect();
    let right: Vec<String> = draws.iter().map(|(_, right)| format!("r{right}")).collect();
    vec![
        integers("left", draws.iter().map(|(left, _)| *left as i64)),
        floats("noise", draws.iter().map(|_| Some(f64::from(random.unit())))),
        texts("right", right.iter().map(|right| Some(right.as_str()))),
        integers("label", draws.iter().map(|(left, right)| i64::from(odd[*left][0] != odd[*right][1]))),
    ]
}

fn embedded() -> Value {
    json!({ "target": "label", "epochs": 30, "batch_size": 64, "optimizer": { "adamw": { "lr": 0.01 } },
            "model": { "mlp": { "hidden": [32] } }, "features": [
                { "columns": ["left", "right"], "encode": { "embedding": { "dimensions": 4 } } }, "noise"] })
}

fn accuracy(house: &House, model: &Path, data: &Path) -> f64 {
    house.evaluate(json!({}), model, data).unwrap().json("metrics")["metrics"]["accuracy"].as_f64().unwrap()
}

#[test]
fn categories_that_decide_together_are_learned() {
    let house = House::new();
    let (train, test) = (house.data("train", &pairs(2400, 1)), house.data("test", &pairs(400, 2)));
    let model = house.train(embedded(), 7, &train, None).unwrap();
    let found = accuracy(&house, &model.outputs["model"], &test);
    assert!(found > 0.95, "{found}");
    let mut linear = embedded();
    linear["model"] = json!({ "linear": {} });
    let model = house.train(linear, 7, &train, None).unwrap();
    let found = accuracy(&house, &model.outputs["model"], &test);
    assert!(found < 0.7, "what this test asks is more than a sum: {found}");
}

#[test]
fn the_same_request_gives_the_same_bytes_and_another_seed_other_vectors() {
    let house = House::new();
    let train = house.data("train", &pairs(300, 1));
    for model in [json!({ "mlp": { "hidden": [8] } }), json!({ "mlp": { "hidden": [8], "batch_norm": true } })] {
        let run = |seed| {
            let mut params = embedded();
            (params["epochs"], params["model"]) = (json!(3), model.clone());
            house.train(params, seed, &train, None).unwrap().bytes("model")
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}

#[test]
fn a_bundle_holds_the_vectors_and_refuses_others() {
    let house = House::new();
    let train = house.data("train", &pairs(600, 1));
    let mut params = embedded();
    params["epochs"] = json!(3);
    params["features"] = json!([{ "columns": ["left", "right"], "encode": { "embedding": {} } }]);
    let left = house.train(params, 7, &train, None).unwrap();
    let mut bundle = Bundle::read(&left.outputs["model"], "model").unwrap();
    assert_eq!(bundle.to_bytes().unwrap(), left.bytes("model"));
    // Forty values, and one for those never seen; fastai's rule gives 13 dimensions.
    let shapes: Vec<Vec<usize>> = ["0.0.weight", "0.1.weight"].map(|name| bundle.tensors[name].shape.clone()).to_vec();
    assert_eq!(shapes, [[41, 13], [41, 13]]);
    let parameters = 2 * 41 * 13 + (26 * 32 + 32) + (32 * 2 + 2);
    assert_eq!(bundle.artifact().parameters, Some(parameters));
    assert_eq!(bundle.description.network.parameters(), parameters);
    assert_eq!(bundle.description.network.operations(), 26 * 32 + 32 * 2);
    let net = crate::bundle::net(&bundle, Device::Cpu).unwrap();
    let data = Dataset::open(&train, "train").unwrap();
    let rows = bundle.description.encoders.encode(&data, model::room::Room::memory()).unwrap();
    let rows = raw::Lent::new(rows).unwrap();
    let vectors = crate::weights::tensor(&bundle.tensors["0.0.weight"].array()).unwrap();
    let counts = rows.tensor().select(1, 0).to_kind(Kind::Int64).bincount(None::<&Tensor>, 41).to_kind(Kind::Float);
    let mean = counts.unsqueeze(0).mm(&vectors) / 600.0;
    let difference = (mean.squeeze() - vectors.select(0, 0)).abs().max().double_value(&[]);
    assert!(difference < 1e-5, "the vector of values never seen is the mean over the training part: {difference}");
    assert!(net.forward(rows.tensor(), &mut Pass::Eval).is_ok());

    if let FittedEncoder::Embedding(embedding) = &mut bundle.description.encoders.columns[0].encoder {
        embedding.values.push("one more".to_owned());
    }
    let path = house.path().join("other");
    bundle.write(&path).unwrap();
    assert_eq!(Bundle::read(&path, "model").unwrap_err().code, "model::damaged");
}

/// Ten towns with prices from 100 to 1000; where nobody said the town, the price is 2000.
fn prices(rows: usize, seed: u64, town: impl Fn(usize) -> Option<String>) -> Vec<Cells> {
    let mut random = Random::new(seed, Purpose::Order);
    let draws: Vec<usize> = (0..rows).map(|_| random.below(11) as usize).collect();
    let towns: Vec<Option<String>> = draws.iter().map(|draw| town(*draw)).collect();
    let price = |draw: usize| if draw == 10 { 2000.0 } else { 100.0 * (draw + 1) as f64 };
    vec![
        texts("town", towns.iter().map(Option::as_deref)),
        floats("noise", draws.iter().map(|_| Some(f64::from(random.unit())))),
        floats("price", draws.iter().map(|draw| Some(price(*draw)))),
    ]
}

fn predicted(house: &House, model: &Path, data: &Path) -> Vec<f64> {
    let verdict = house.evaluate(json!({}), model, data).unwrap();
    let predictions = Dataset::open(&verdict.outputs["predictions"], "predictions").unwrap();
    predictions.numbers("price.prediction").unwrap().values
}

fn priced(house: &House, train: &Path) -> PathBuf {
    let params = json!({ "target": "price", "epochs": 40, "batch_size": 32, "optimizer": { "adamw": { "lr": 0.01 } },
                         "model": { "mlp": { "hidden": [16] } },
                         "features": [{ "columns": "town", "encode": { "embedding": {} } }, "noise"] });
    house.train(params, 3, train, None).unwrap().outputs["model"].clone()
}

#[test]
fn missing_cells_have_a_vector_and_values_never_seen_the_mean() {
    let house = House::new();
    let named = |draw: usize| (draw < 10).then(|| format!("town {draw}"));
    let train = house.data("train", &prices(1100, 1, named));
    let model = priced(&house, &train);
    let missing = predicted(&house, &model, &house.data("missing", &prices(50, 2, |_| None)));
    assert!(missing.iter().all(|price| (price - 2000.0).abs() < 150.0), "{missing:?}");
    let unseen = predicted(&house, &model, &house.data("unseen", &prices(50, 2, |_| Some("elsewhere".to_owned()))));
    let other = predicted(&house, &model, &house.data("other", &prices(50, 2, |draw| Some(format!("x{draw}")))));
    assert_eq!(unseen, other, "all values never seen are one");
    // The mean of all prices is about 680.
    assert!(unseen.iter().all(|price| (350.0..1200.0).contains(price)), "{unseen:?}");

    // Where training had no missing cells, they are as values never seen.
    let whole = house.data("whole", &prices(1100, 1, |draw| Some(format!("town {draw}"))));
    let model = priced(&house, &whole);
    let missing = predicted(&house, &model, &house.path().join("missing.arrow"));
    let unseen = predicted(&house, &model, &house.path().join("unseen.arrow"));
    assert_eq!(missing, unseen);
    let seen = predicted(&house, &model, &whole);
    let near = seen.iter().zip(Dataset::open(&whole, "whole").unwrap().numbers("price").unwrap().values);
    assert!(near.clone().filter(|(found, wanted)| (*found - wanted).abs() < 100.0).count() * 20 > near.count() * 19);
}

#[test]
fn an_embedded_model_is_pruned_rounded_and_exported() {
    let house = House::new();
    let (train, test) = (house.data("train", &pairs(2400, 1)), house.data("test", &pairs(400, 2)));
    let model = house.train(embedded(), 7, &train, None).unwrap().outputs["model"].clone();
    for mode in ["static", "dynamic"] {
        let inputs = [("model", model.as_path()), ("calibrate", train.as_path()), ("check", test.as_path())];
        let params = json!({ "prune": { "structured": 0.5, "criterion": if mode == "static" { "l2" } else { "taylor" },
                                        "finetune": { "epochs": 4 } }, "quantize": { "int8": mode } });
        let left = house.run("compress", params, 3, &inputs, &["model", "report"]).unwrap();
        let report = left.json("report");
        assert!(report["after"]["metrics"]["accuracy"].as_f64().unwrap() > 0.93, "{report:#}");
        assert!(report["control"]["metrics"]["accuracy"].as_f64().unwrap() > 0.9, "{report:#}");
        assert_eq!(report["steps"][0]["widths"], json!({ "1": 16 }));
        let small = &left.outputs["model"];
        let bundle = Bundle::read(small, "model").unwrap();
        assert_eq!(bundle.tensors["0.0.weight"].dtype, Dtype::I8);
        assert_eq!(bundle.tensors["0.0.scale"].shape, [41]);
        assert_eq!(bundle.to_bytes().unwrap(), left.bytes("model"));
        assert_eq!(accuracy(&house, small, &test), report["after"]["metrics"]["accuracy"].as_f64().unwrap());
        house.run("export", json!({ "format": "onnx", "to": "m" }), 0, &[("model", small)], &["file"]).unwrap();
    }
    house.run("export", json!({ "format": "onnx", "to": "m" }), 0, &[("model", &model)], &["file"]).unwrap();
}
