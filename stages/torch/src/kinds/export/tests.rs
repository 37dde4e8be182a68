use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use catalog::kinds::compress::params::Int8;
use catalog::network::Network;
use catalog::params::network::Model as Layers;
use contract::artifact::{Classes, Column, Task};
use contract::fault::Faults;
use contract::worker::protocol::InputArtifact;
use model::bundle::{Description, FORMAT, Stored, Training};
use model::encode::embedding::Embedding;
use model::encode::hashed::Hashed;
use model::encode::identity::Identity;
use model::encode::number::{Number, NumberForm};
use model::encode::one_hot::OneHot;
use model::encode::periodic::Periodic;
use model::encode::piecewise::Piecewise;
use model::encode::robust::Robust;
use model::encode::spread::Spread;
use model::encode::standard::Standard;
use model::encode::{Encoders, Fitted, FittedEncoder};
use model::fold::fold;
use model::int8::store;
use model::target::Target;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::shrink::quantize::quantize;
use crate::tests::sample;

mod witness;

fn fitted(name: &str, dtype: DType, shape: &[u64], encoder: FittedEncoder) -> Fitted {
    Fitted { column: Column { shape: shape.to_vec(), ..Column::new(name, dtype) }, encoder }
}

fn standard(mean: f64, deviation: f64, indicator: bool) -> FittedEncoder {
    FittedEncoder::Standard(Standard { mean: vec![mean], deviation: vec![deviation], indicator })
}

fn one_hot(values: &[&str], indicator: bool) -> FittedEncoder {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    FittedEncoder::OneHot(OneHot { values, indicator })
}

fn number_form(form: NumberForm, indicator: bool) -> FittedEncoder {
    FittedEncoder::Number(Number { form, indicator })
}

/// Columns of every sort.
fn mixed() -> Encoders {
    Encoders {
        columns: vec![
            fitted("bill length (mm)", DType::Float64, &[], standard(43.9, 5.4, true)),
            fitted("year", DType::Int64, &[], standard(2008.0, 0.8, false)),
            fitted("island", DType::String, &[], one_hot(&["Biscoe", "Dream", "Torgersen"], false)),
            fitted("sex", DType::String, &[], one_hot(&["female", "male"], true)),
            fitted("alive", DType::Bool, &[], one_hot(&["false", "true"], false)),
            fitted("ringed", DType::Bool, &[], one_hot(&["false", "true"], true)),
            fitted("weight", DType::Float32, &[], FittedEncoder::Identity(Identity)),
            fitted("legs", DType::UInt8, &[], one_hot(&["1", "2"], true)),
            fitted("seen", DType::Date, &[], one_hot(&["2007-11-11", "2008-01-02"], false)),
            fitted("hatched", DType::Date, &[], standard(13_800.0, 100.0, false)),
            fitted("rings", DType::Float32, &[2, 3], standard(1.0, 0.5, false)),
            fitted("label", DType::Bool, &[], FittedEncoder::Identity(Identity)),
            fitted(
                "depth",
                DType::Float64,
                &[],
                number_form(NumberForm::Robust(Robust(Spread { centre: 17.0, factor: 0.25 })), true),
            ),
            fitted(
                "age",
                DType::Int64,
                &[],
                number_form(NumberForm::Piecewise(Piecewise { edges: vec![1.0, 2.0, 5.0, 9.0] }), false),
            ),
            fitted(
                "tide",
                DType::Float64,
                &[],
                number_form(
                    NumberForm::Periodic(Periodic {
                        spread: Spread { centre: 2.0, factor: 0.5 },
                        frequencies: vec![0.5, -1.25, 2.0],
                        phases: vec![0.0, 0.25, 0.7],
                    }),
                    true,
                ),
            ),
        ],
    }
}

fn embedding(values: &[&str], indicator: bool, dimensions: u64) -> FittedEncoder {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    FittedEncoder::Embedding(Embedding { values, indicator, dimensions })
}

/// Embedded columns of every sort, and numbers between them.
fn towns() -> Encoders {
    Encoders {
        columns: vec![
            fitted("town", DType::String, &[], embedding(&["Bergen", "Oslo", "Tromsø"], false, 4)),
            fitted("depth", DType::Float64, &[], standard(17.0, 4.0, true)),
            fitted("ward", DType::String, &[], embedding(&["east", "west"], true, 2)),
            fitted("shop", DType::Int64, &[], embedding(&["-3", "7", "12", "2000"], true, 3)),
            fitted("open", DType::Bool, &[], embedding(&["false", "true"], false, 1)),
            fitted("fair", DType::Bool, &[], embedding(&["false", "true"], true, 2)),
            fitted("day", DType::Date, &[], embedding(&["2007-11-11", "2008-01-02"], false, 2)),
            fitted("never", DType::String, &[], embedding(&[], true, 1)),
            fitted("year", DType::Int64, &[], standard(2008.0, 0.8, false)),
        ],
    }
}

/// One embedded column and nothing else.
fn town() -> Encoders {
    Encoders { columns: towns().columns.into_iter().take(1).collect() }
}

fn image(shape: [u64; 3]) -> Encoders {
    let mean = (0..shape[0]).map(|channel| 7.0 + channel as f64).collect();
    let deviation = (0..shape[0]).map(|channel| 5.0 + channel as f64).collect();
    let encoder = FittedEncoder::Standard(Standard { mean, deviation, indicator: false });
    Encoders { columns: vec![fitted("image", DType::Float32, &shape, encoder)] }
}

fn classes(dtype: DType, values: &[&str]) -> Target {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    let known = Classes { count: values.len() as u64, values: values.clone() };
    Target { column: Column { classes: Some(known), ..Column::new("target", dtype) }, scale: Scale::Classes(values) }
}

fn number() -> Target {
    Target { column: Column::new("price", DType::Float64), scale: Scale::Number { mean: 3900.0, deviation: 4000.0 } }
}

fn bundle(model: Value, encoders: Encoders, target: Target, int8: Option<Int8>) -> Bundle {
    let model: Layers = serde_json::from_value(model).unwrap();
    let network = Network::resolve_embedded(&model, &encoders.shape(), &encoders.tables(), target.outputs()).unwrap();
    let weights = sample::weights(&network, 1);
    let task = if target.classes().is_empty() { Task::Regression } else { Task::Classification };
    let mut description = Description {
        format: FORMAT,
        task,
        target,
        encoders,
        network: network.clone(),
        training: Training { params: serde_json::from_value(json!({})).unwrap(), seed: 1, epochs: 1 },
        quantisation: None,
    };
    let mut tensors = weights.iter().map(|(name, array)| (name.clone(), Stored::from(array))).collect();
    if let Some(mode) = int8 {
        let folded = fold(&network, &weights).unwrap();
        let quantized = quantize(&folded, &sample::rows(&network, 200, 3), mode).unwrap();
        let (whole, value) = store::tensors(&quantized).unwrap();
        (tensors, description.network, description.quantisation) = (whole, quantized.network, Some(value));
    }
    Bundle { description, tensors }
}

fn request(folder: &Path, format: &str) -> RunRequest {
    let model = InputArtifact {
        path: folder.join("model"),
        artifact: ArtifactType::Model(Box::default()),
        digest: String::new(),
    };
    RunRequest {
        id: 1,
        stage: "artifact".into(),
        kind: "export".into(),
        version: 1,
        params: json!({ "format": format, "to": "out/model" }),
        seed: 0,
        device: "cpu".into(),
        inputs: BTreeMap::from([("model".to_owned(), model)]),
        files: Vec::new(),
        outputs: BTreeMap::from([("file".to_owned(), folder.join("file"))]),
        scratch: folder.to_owned(),
        root: folder.to_owned(),
        threads: 1,
        memory: None,
    }
}

fn export(bundle: &Bundle, format: &str) -> Result<(TempDir, PathBuf, Finished), Faults> {
    let folder = tempfile::tempdir().unwrap();
    bundle.write(&folder.path().join("model")).unwrap();
    let finished = run(&request(folder.path(), format), &Channel::silent())?;
    let file = folder.path().join("file");
    Ok((folder, file, finished))
}

fn every_layer() -> Value {
    json!({ "layers": [
        { "conv2d": { "channels": 6, "bias": false } }, { "batch_norm": {} }, "relu",
        { "residual": [{ "conv2d": { "channels": 3, "kernel": 1 } }, "gelu", { "conv2d": { "channels": 6 } }] }, "silu",
        { "max_pool2d": { "size": 3, "stride": 2 } }, { "batch_norm": {} },
        { "avg_pool2d": { "size": 2, "stride": 1 } }, { "conv2d": { "channels": 4, "stride": 2 } }, "tanh",
        "global_avg_pool", { "linear": { "units": 9 } }, "sigmoid"
    ]})
}

fn bundles(int8: Option<Int8>) -> Vec<(&'static str, Bundle)> {
    let digits: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let digits: Vec<&str> = digits.iter().map(String::as_str).collect();
    let mlp = json!({ "mlp": { "hidden": [16, 8], "batch_norm": true } });
    vec![
        (
            "digits",
            bundle(json!({ "cnn": { "channels": [8, 16] } }), image([1, 8, 8]), classes(DType::Int64, &digits), int8),
        ),
        ("penguins", bundle(mlp.clone(), mixed(), classes(DType::String, &["Adelie", "Chinstrap", "Gentoo"]), int8)),
        ("price", bundle(mlp.clone(), mixed(), number(), int8)),
        ("towns", bundle(mlp.clone(), towns(), classes(DType::String, &["cold", "mild", "warm"]), int8)),
        ("town", bundle(mlp, town(), number(), int8)),
        ("layers", bundle(every_layer(), image([3, 9, 9]), classes(DType::Bool, &["false", "true"]), int8)),
    ]
}

#[test]
fn exact_models_agree_with_an_independent_runtime() {
    for (name, bundle) in bundles(None) {
        let (_folder, _, finished) = export(&bundle, "onnx").unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
        let difference = finished.observations["largest_difference"].as_f64().unwrap();
        assert!(difference < EXACT, "{name}: {difference}");
    }
}

#[test]
fn rounded_models_agree_and_their_files_are_small() {
    for mode in [Int8::Static, Int8::Dynamic] {
        for (name, bundle) in bundles(Some(mode)) {
            export(&bundle, "onnx").unwrap_or_else(|faults| panic!("{name} {mode:?}: {faults:?}"));
        }
    }
    let wide = |int8| {
        let model = json!({ "mlp": { "hidden": [256, 256] } });
        let (_folder, file, _) = export(&bundle(model, image([1, 8, 8]), number(), int8), "onnx").unwrap();
        std::fs::metadata(file).unwrap().len()
    };
    assert!(wide(Some(Int8::Static)) * 3 < wide(None));
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let bytes = || {
        let (_folder, file, _) = export(&bundles(Some(Int8::Static)).swap_remove(1).1, "onnx").unwrap();
        std::fs::read(file).unwrap()
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn a_file_that_answers_otherwise_is_refused() {
    let (_, good) = bundles(None).swap_remove(2);
    let (_, mut other) = bundles(None).swap_remove(2);
    let mut weight = other.tensors["0.weight"].array();
    weight.values.iter_mut().for_each(|value| *value *= 1.01);
    other.tensors.insert("0.weight".to_owned(), Stored::from(&weight));
    let model = store::model(&other).unwrap();
    let Model::Real(folded) = &model else { panic!("real weights") };
    let description = &good.description;
    let file = write(&Source::Real(folded), &description.encoders, &description.target, Extent::Numbers).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = check::made_up(&description.encoders, 20, 0, &folder.path().join("rows")).unwrap();
    let encoded = description.encoders.encode(&data, model::room::Room::memory()).unwrap();
    let model = store::model(&good).unwrap();
    let ours = answers(&good, encoded.values()).unwrap();
    let fault = compare(&good, &model, &file.encode_to_vec(), &data, &ours).unwrap_err();
    assert_eq!(fault.code, "export::mismatch");
    assert!(fault.message.contains("of 20 rows differ"), "{}", fault.message);
}

#[test]
fn the_bundle_itself_is_the_safetensors_export() {
    let (_, bundle) = bundles(Some(Int8::Static)).swap_remove(0);
    let (folder, file, finished) = export(&bundle, "safetensors").unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(folder.path().join("model")).unwrap());
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(finished.summary["bytes"], bytes.len() as f64);
    let archive = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(archive.tensor("0.weight").unwrap().dtype(), safetensors::Dtype::I8);
}

#[test]
fn a_damaged_model_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model"), b"no model").unwrap();
    let faults = run(&request(folder.path(), "onnx"), &Channel::silent()).unwrap_err();
    assert_eq!(faults[0].code, "model::damaged");
}

#[test]
fn an_encoder_without_onnx_form_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let encoders = Encoders {
        columns: vec![fitted(
            "name",
            DType::String,
            &[],
            FittedEncoder::Hashed(Hashed { buckets: 8, indicator: false }),
        )],
    };
    bundle(json!({ "linear": {} }), encoders, number(), None).write(&folder.path().join("model")).unwrap();
    let faults = run(&request(folder.path(), "onnx"), &Channel::silent()).unwrap_err();
    assert_eq!(faults[0].code, "export::encoder");
    assert!(faults[0].message.contains("`name`") && faults[0].message.contains("`hashed`"), "{}", faults[0].message);
    assert!(!folder.path().join("file").exists());
}
