//! A small house for tests: data sets made directly with Arrow, stages run as the worker would run them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};
use contract::artifact::{ArtifactType, Classes, Column, DType};
use contract::fault::Faults;
use contract::worker::protocol::{Finished, InputArtifact, RunRequest};
use contract::worker::{Channel, Worker};
use model::dataset;
use model::random::{Purpose, Random};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::Torch;

/// A column with its cells.
pub type Cells = (Column, ArrayRef);

/// A column of numbers, `None` where missing.
pub fn floats(name: &str, values: impl IntoIterator<Item = Option<f64>>) -> Cells {
    let array = Float64Array::from_iter(values);
    (Column { nullable: true, ..Column::new(name, DType::Float64) }, Arc::new(array))
}

/// A column of whole numbers with its classes known.
pub fn integers(name: &str, values: impl IntoIterator<Item = i64>) -> Cells {
    let values: Vec<i64> = values.into_iter().collect();
    let mut distinct = values.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let texts = distinct.iter().take(256).map(i64::to_string).collect();
    let classes = Classes { count: distinct.len() as u64, values: texts };
    (Column { classes: Some(classes), ..Column::new(name, DType::Int64) }, Arc::new(Int64Array::from(values)))
}

/// A column of text, `None` where missing.
pub fn texts<'a>(name: &str, values: impl IntoIterator<Item = Option<&'a str>>) -> Cells {
    (Column { nullable: true, ..Column::new(name, DType::String) }, Arc::new(StringArray::from_iter(values)))
}

/// A column of true and false.
pub fn booleans(name: &str, values: impl IntoIterator<Item = bool>) -> Cells {
    let values: Vec<bool> = values.into_iter().collect();
    (Column::new(name, DType::Bool), Arc::new(BooleanArray::from(values)))
}

/// A packed column of the shape.
pub fn images(name: &str, shape: &[u64], values: Vec<f32>) -> Cells {
    let cell = shape.iter().product::<u64>() as i32;
    let field = Arc::new(Field::new("item", DataType::Float32, false));
    let array = FixedSizeListArray::new(field, cell, Arc::new(Float32Array::from(values)), None);
    (Column { shape: shape.to_vec(), ..Column::new(name, DType::Float32) }, Arc::new(array))
}

/// Three classes of points in a plane, `x` and `y`, that a small network tells apart; with `label`.
pub fn blobs(rows: usize, seed: u64) -> Vec<Cells> {
    let mut random = Random::new(seed, Purpose::Order);
    let labels: Vec<i64> = (0..rows).map(|row| (row % 3) as i64).collect();
    let mut noise = || f64::from(random.unit() + random.unit() - 1.0) * 0.8;
    let centre = |label: i64| [(0.0, 2.0), (-2.0, -1.0), (2.0, -1.0)][label as usize];
    let points: Vec<(f64, f64)> =
        labels.iter().map(|label| (centre(*label).0 + noise(), centre(*label).1 + noise())).collect();
    vec![
        floats("x", points.iter().map(|point| Some(point.0))),
        floats("y", points.iter().map(|point| Some(point.1))),
        integers("label", labels),
    ]
}

/// A folder with data sets and what stages made of them.
pub struct House {
    folder: TempDir,
}

/// What a stage left behind.
pub struct Left {
    /// What it said.
    pub finished: Finished,
    /// The files by port.
    pub outputs: BTreeMap<String, PathBuf>,
}

impl Left {
    /// A JSON output.
    pub fn json(&self, port: &str) -> Value {
        serde_json::from_slice(&std::fs::read(&self.outputs[port]).unwrap()).unwrap()
    }

    /// An output's bytes.
    pub fn bytes(&self, port: &str) -> Vec<u8> {
        std::fs::read(&self.outputs[port]).unwrap()
    }
}

impl House {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a data set.
    pub fn data(&self, name: &str, columns: &[Cells]) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.arrow"));
        dataset::write(&path, columns).unwrap();
        path
    }

    /// Runs a stage through the worker's own door. Outputs get fresh names at every call.
    pub fn run(
        &self,
        kind: &str,
        params: Value,
        seed: u64,
        inputs: &[(&str, &Path)],
        outputs: &[&str],
    ) -> Result<Left, Faults> {
        self.run_within(None, kind, (params, seed), inputs, outputs)
    }

    /// The same with a limit of memory in bytes.
    pub fn run_within(
        &self,
        memory: Option<u64>,
        kind: &str,
        (params, seed): (Value, u64),
        inputs: &[(&str, &Path)],
        outputs: &[&str],
    ) -> Result<Left, Faults> {
        let registry = catalog::kinds();
        let kind = registry.get(kind).unwrap();
        let params = kind.stage(params)?.params();
        let count = std::fs::read_dir(self.path()).unwrap().count();
        let outputs: BTreeMap<String, PathBuf> =
            outputs.iter().map(|port| ((*port).to_owned(), self.path().join(format!("{count}-{port}")))).collect();
        let request = RunRequest {
            id: 1,
            stage: "tested".into(),
            kind: kind.name().into(),
            version: kind.version(),
            params,
            seed,
            device: "cpu".into(),
            inputs: inputs
                .iter()
                .map(|(port, path)| {
                    let artifact = ArtifactType::unknown_dataset();
                    let input = InputArtifact { path: path.to_path_buf(), artifact, digest: String::new() };
                    ((*port).to_owned(), input)
                })
                .collect(),
            files: Vec::new(),
            outputs: outputs.clone(),
            scratch: self.path().to_owned(),
            root: self.path().to_owned(),
            threads: 1,
            memory,
        };
        let finished = Torch.run(&request, &Channel::silent())?;
        Ok(Left { finished, outputs })
    }

    /// Trains.
    pub fn train(&self, params: Value, seed: u64, train: &Path, validation: Option<&Path>) -> Result<Left, Faults> {
        let mut inputs = vec![("train", train)];
        inputs.extend(validation.map(|path| ("validation", path)));
        self.run("train", params, seed, &inputs, &["model", "metrics"])
    }

    /// Evaluates.
    pub fn evaluate(&self, params: Value, model: &Path, data: &Path) -> Result<Left, Faults> {
        self.run("evaluate", params, 0, &[("model", model), ("data", data)], &["metrics", "predictions"])
    }
}
