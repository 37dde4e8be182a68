//! Every encoder through `train`: what it learns, and from which part.

use model::bundle::Bundle;
use model::dataset::Dataset;
use model::encode::Fitted;
use model::random::{Purpose, Random};
use serde_json::json;

use crate::tests::harness::{Cells, House, floats, integers, texts};

/// Names of five stations with means of their own, a skewed number, and a sentence; `shift` moves all of them.
fn weather(rows: usize, seed: u64, shift: f64) -> Vec<Cells> {
    let mut random = Random::new(seed, Purpose::Order);
    let stations = ["fjord", "hill", "city", "coast", "lake"];
    let draws: Vec<(usize, f64)> =
        (0..rows).map(|_| (random.below(5) as usize, f64::from(random.unit()) * 4.0 + shift)).collect();
    let sentences: Vec<String> =
        draws.iter().map(|(station, x)| format!("seen at the {} {}", stations[*station], (*x * 10.0) as i64)).collect();
    // Where everything is moved, towns have other names.
    let towns: Vec<String> = draws.iter().map(|(station, _)| format!("{} {shift:.0}", stations[*station])).collect();
    vec![
        floats("wind", draws.iter().map(|(station, x)| (*station != 4 || *x > 1.0).then(|| x.exp()))),
        floats("rain", draws.iter().map(|(_, x)| Some(x * x))),
        floats("sun", draws.iter().map(|(_, x)| Some(-x))),
        floats("cloud", draws.iter().map(|(_, x)| Some(x.sin()))),
        texts("station", draws.iter().map(|(station, _)| Some(stations[*station]))),
        texts("place", draws.iter().map(|(station, _)| Some(stations[*station]))),
        texts("report", sentences.iter().map(|sentence| Some(sentence.as_str()))),
        texts("town", draws.iter().zip(&towns).map(|((_, x), town)| (*x < 3.9 + shift).then_some(town.as_str()))),
        integers("label", draws.iter().map(|(station, x)| i64::from(*station < 2 || *x > 3.5 + shift))),
    ]
}

fn params() -> serde_json::Value {
    json!({ "target": "label", "epochs": 20, "model": { "mlp": { "hidden": [16] } }, "features": [
        { "columns": "wind", "encode": "robust" },
        { "columns": "rain", "encode": { "quantile": {} } },
        { "columns": "sun", "encode": { "piecewise": { "bins": 8 } } },
        { "columns": "cloud", "encode": { "periodic": { "frequencies": 4 } } },
        { "columns": "station", "encode": { "target": {} } },
        { "columns": "place", "encode": { "hashed": { "buckets": 16 } } },
        { "columns": "report", "encode": { "tf_idf": { "buckets": 64, "n": [1, 2] } } },
        { "columns": "town", "encode": { "embedding": { "dimensions": 3 } } },
    ] })
}

#[test]
fn every_encoder_learns_from_the_training_part_alone() {
    let house = House::new();
    let train = house.data("train", &weather(300, 1, 0.0));
    // Two validation parts that share nothing: what is learnt must not know which one was watched.
    let near = house.data("near", &weather(100, 2, 0.0));
    let far = house.data("far", &weather(100, 3, 1000.0 / 3.0));
    let watched_near = house.train(params(), 7, &train, Some(&near)).unwrap();
    let watched_far = house.train(params(), 7, &train, Some(&far)).unwrap();
    let alone = house.train(params(), 7, &train, None).unwrap();
    assert_eq!(watched_near.bytes("model"), alone.bytes("model"));
    assert_eq!(watched_far.bytes("model"), alone.bytes("model"));
    let verdict = house.evaluate(json!({}), &alone.outputs["model"], &near).unwrap().json("metrics");
    assert!(verdict["metrics"]["accuracy"].as_f64().unwrap() > 0.9, "{verdict}");
}

#[test]
fn encodings_have_the_width_they_say() {
    let house = House::new();
    let train = house.data("train", &weather(300, 1, 0.0));
    let model = house.train(params(), 7, &train, None).unwrap();
    let encoders = Bundle::read(&model.outputs["model"], "model").unwrap().description.encoders;
    let widths: Vec<u64> = encoders.columns.iter().map(Fitted::width).collect();
    assert_eq!(widths, [2, 1, 8, 5, 1, 16, 64, 1]);
    let data = Dataset::open(&train, "train").unwrap();
    let encoded = encoders.encode(&data, model::room::Room::memory()).unwrap();
    let width = encoders.shape()[0] as usize;
    let rows = encoded.values();
    assert!(rows.iter().all(|value| value.is_finite()));
    for (row, wind) in rows.chunks_exact(width).zip(data.numbers("wind").unwrap().values) {
        assert_eq!(row[1], f32::from(u8::from(wind.is_nan())), "the indicator of a missing cell");
        assert!(row[0].abs() <= 3.0, "the smooth clip ends at 3");
        let place: f32 = row[17..33].iter().map(|value| value.abs()).sum();
        assert_eq!(place, 1.0, "one place of the hash");
        assert!(
            row[97].fract() == 0.0 && (1.0..=6.0).contains(&row[97]),
            "an index of a town, or of none: {}",
            row[97]
        );
        let length: f32 = row[33..97].iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5, "a text has length 1, not {length}");
    }
    // The mean of the target, drawn a little towards the overall one: nearly 1 on the stations that decide it.
    let stations = data.texts("station").unwrap();
    for (row, station) in rows.chunks_exact(width).zip(&stations) {
        assert_eq!(row[16] > 0.8, matches!(station.as_deref(), Some("fjord" | "hill")), "{station:?}: {}", row[16]);
    }
}

#[test]
fn bytes_follow_the_seed() {
    let house = House::new();
    let train = house.data("train", &weather(100, 1, 0.0));
    let run = |seed| house.train(params(), seed, &train, None).unwrap().bytes("model");
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
