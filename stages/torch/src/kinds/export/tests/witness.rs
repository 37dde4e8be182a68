//! The exported files in ONNX's own checker and in onnxruntime, from PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;

use model::dataset::Dataset;
use model::export::encoders::input_type;
use model::onnx::messages::DataType;

use super::*;

const PACKAGES: [&str; 2] = ["onnx==1.23.2", "onnxruntime==1.32.0"];

/// A Python that has the packages; made once and kept in the target folder.
fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/witness-onnx");
    let python = folder.join("bin/python");
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    if run(Command::new(&python).args(["-c", "import numpy, onnx, onnxruntime"])).is_err() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(PACKAGES))?;
    }
    Ok(python)
}

fn column(fitted: &model::encode::Fitted, data: &Dataset) -> Value {
    let name = &fitted.column.name;
    let rows = data.rows();
    let number = |value: &f64| if value.is_nan() { Value::Null } else { json!(value) };
    match input_type(fitted) {
        DataType::Float => {
            let packed = data.packed(name).unwrap();
            json!({ "dtype": "float", "shape": packed.size(), "values": packed.values() })
        }
        DataType::Bool => {
            let flags: Vec<bool> = data.numbers(name).unwrap().values.iter().map(|value| *value > 0.0).collect();
            json!({ "dtype": "bool", "shape": [rows, 1], "values": flags })
        }
        DataType::Double => {
            let values: Vec<Value> = data.numbers(name).unwrap().values.iter().map(number).collect();
            json!({ "dtype": "double", "shape": [rows, 1], "values": values })
        }
        _ => {
            let texts: Vec<String> = data.texts(name).unwrap().into_iter().map(Option::unwrap_or_default).collect();
            json!({ "dtype": "string", "shape": [rows, 1], "values": texts })
        }
    }
}

fn case(bundle: &Bundle, folder: &Path) -> Value {
    let description = &bundle.description;
    let data = check::made_up(&description.encoders, 100, 1, &folder.join("rows.arrow")).unwrap();
    let ours =
        answers(bundle, description.encoders.encode(&data, model::room::Room::memory()).unwrap().values()).unwrap();
    let inputs: serde_json::Map<String, Value> =
        description.encoders.columns.iter().map(|fitted| (fitted.column.name.clone(), column(fitted, &data))).collect();
    let rounded = description.quantisation.is_some();
    let (output, unit, expected) = match (ours, &description.target.scale) {
        (Predictions::Numbers(numbers), Scale::Number { deviation, .. }) => ("prediction", *deviation, numbers),
        (Predictions::Classes { probabilities, .. }, _) => ("probabilities", 1.0, probabilities),
        (Predictions::Numbers(numbers), Scale::Classes(_)) => ("prediction", 1.0, numbers),
    };
    let classes: Vec<String> = description
        .target
        .classes()
        .iter()
        .map(|class| match class.as_str() {
            "true" => "True".to_owned(),
            "false" => "False".to_owned(),
            other => other.to_owned(),
        })
        .collect();
    json!({
        "inputs": inputs,
        "output": output,
        "expected": expected,
        "classes": classes,
        "unit": unit,
        "tolerance": if rounded { 0.01 } else { 1e-4 },
        "share": if rounded { 0.98 } else { 1.0 },
    })
}

/// Skipped, with a word, on a machine without Python or a network; never where `CI` is set.
#[test]
#[expect(clippy::print_stderr, reason = "a test says why it was skipped and what it saw")]
fn onnxruntime_gives_our_answers() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: onnx and onnxruntime cannot be installed here: {reason}");
            return;
        }
        Err(reason) => panic!("onnx and onnxruntime cannot be installed: {reason}"),
    };
    let folder = tempfile::tempdir().unwrap();
    for (suffix, int8) in [("exact", None), ("static", Some(Int8::Static))] {
        for (name, bundle) in bundles(int8) {
            let (_kept, file, _) = export(&bundle, "onnx").unwrap();
            std::fs::copy(file, folder.path().join(format!("{name}-{suffix}.onnx"))).unwrap();
            let case = case(&bundle, folder.path());
            std::fs::write(folder.path().join(format!("{name}-{suffix}.json")), case.to_string()).unwrap();
        }
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/witness.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().count(), 12);
}
