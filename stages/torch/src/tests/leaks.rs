//! What `standard`, `one_hot` and `cyclic` learn, also of images, they learn from the training part alone.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::Date32Array;
use contract::artifact::{Column, DType};
use model::random::{Purpose, Random};
use serde_json::{Value, json};

use crate::tests::harness::{Cells, House, floats, images, integers, texts};

/// A level with missing cells, a station and a day; `shift` moves the numbers and the days, and other stations come in.
fn calendar(rows: usize, seed: u64, shift: i32) -> Vec<Cells> {
    let mut random = Random::new(seed, Purpose::Order);
    let draws: Vec<(u64, f64)> = (0..rows).map(|_| (u64::from(random.below(4)), f64::from(random.unit()))).collect();
    let stations = ["fjord", "hill", "city", "coast", "island", "lake", "moor", "pier"];
    let station = |draw: u64| stations[draw as usize + if shift > 0 { 4 } else { 0 }];
    let days =
        Date32Array::from_iter_values(draws.iter().map(|(draw, x)| shift + *draw as i32 * 90 + (x * 80.0) as i32));
    vec![
        floats("level", draws.iter().map(|(_, x)| (*x > 0.1).then_some(x * 3.0 + f64::from(shift)))),
        texts("station", draws.iter().map(|(draw, _)| Some(station(*draw)))),
        (Column::new("day", DType::Date), Arc::new(days)),
        integers("label", draws.iter().map(|(draw, x)| i64::from(*draw < 2 || *x > 0.8))),
    ]
}

/// Bright and dark pictures; `shift` makes all of them brighter.
fn pictures(rows: usize, seed: u64, shift: i32) -> Vec<Cells> {
    let mut random = Random::new(seed, Purpose::Order);
    let labels: Vec<i64> = (0..rows).map(|row| (row % 2) as i64).collect();
    let pixels = labels.iter().flat_map(|label| vec![*label as f32; 64]);
    let pixels: Vec<f32> = pixels.map(|bright| bright + random.unit() + shift as f32).collect();
    vec![images("image", &[1, 8, 8], pixels), integers("label", labels)]
}

/// The same model whatever part is watched, and another one from other rows.
fn learns_from_train_alone(params: &Value, make: fn(usize, u64, i32) -> Vec<Cells>) {
    let house = House::new();
    let train = house.data("train", &make(200, 1, 0));
    let near = house.data("near", &make(80, 2, 0));
    let far = house.data("far", &make(80, 3, 1000));
    let model = |train: &PathBuf, watched: Option<&PathBuf>| {
        let watched = watched.map(PathBuf::as_path);
        house.train(params.clone(), 7, train, watched).unwrap().bytes("model")
    };
    let alone = model(&train, None);
    assert_eq!(model(&train, Some(&near)), alone);
    assert_eq!(model(&train, Some(&far)), alone);
    assert_ne!(model(&far, None), alone);
}

#[test]
fn columns_are_encoded_from_the_training_part_alone() {
    let params = json!({ "target": "label", "epochs": 3, "model": { "mlp": { "hidden": [8] } }, "features": [
        { "columns": "level", "encode": "standard" },
        { "columns": "station", "encode": "one_hot" },
        { "columns": "day", "encode": "cyclic" },
    ] });
    learns_from_train_alone(&params, calendar);
}

#[test]
fn images_are_encoded_from_the_training_part_alone() {
    let params = json!({ "target": "label", "epochs": 2, "model": { "cnn": { "channels": [4] } } });
    learns_from_train_alone(&params, pictures);
}
