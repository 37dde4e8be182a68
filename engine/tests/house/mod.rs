//! Small kinds and documents in Rust, for tests of the engine without a worker.

use std::collections::BTreeMap;

use contract::artifact::{ArtifactKind, ArtifactType, Column, DType, DatasetType, Types};
use contract::fault::{Fault, Faults, Route};
use contract::kind::{
    About, CommandLine, FileInput, InferContext, Inference, InputPort, Kind, Kinds, OutputPort, Program, Question,
    Stage,
};
use contract::route;
use engine::graph::{PipelineSpec, Reference, ReferenceSpec, StageSpec};
use serde_json::{Value, json};

/// What a fake kind does, by its name:
///
/// - `source {path, glob?}` (data) reads a file, asks the oracle for its columns;
/// - `map {column?, factor?}` (data) needs `data`, fails to type when `column` is not there;
/// - `learn {lr?}` (torch, seeded) needs `train`, takes `validation`; gives `model` and `metrics`;
/// - `shell {run, deps?, outs?, env?}` (command) takes anything.
pub struct Fake(pub &'static str);

struct FakeStage {
    kind: &'static str,
    params: Value,
}

pub fn registry() -> Kinds {
    let mut registry = Kinds::new();
    for name in ["source", "map", "learn", "shell"] {
        registry.add(Fake(name));
    }
    registry
}

impl Kind for Fake {
    fn name(&self) -> &'static str {
        self.0
    }
    fn version(&self) -> u32 {
        1
    }
    fn program(&self) -> Program {
        match self.0 {
            "learn" => Program::Torch,
            "shell" => Program::Command,
            _ => Program::Data,
        }
    }
    fn seeded(&self) -> bool {
        self.0 == "learn"
    }
    fn schema(&self, _: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::Schema::default()
    }
    fn about(&self) -> About {
        About { summary: "fake", inputs: &[], outputs: &[], example: "" }
    }
    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        if let Some(bad) = params.get("bad") {
            let fault =
                Fault::error(contract::code!("parameters::invalid"), format!("`bad` is {bad}")).at(route!["bad"]);
            return Err(Faults::from(fault));
        }
        if params.get("grudge").is_some() {
            return Err(Faults::from(
                Fault::warning(contract::code!("train::missing_target"), "not like this").at(route!["grudge"]),
            ));
        }
        Ok(Box::new(FakeStage { kind: self.0, params }))
    }
}

impl FakeStage {
    fn list(&self, key: &str) -> Vec<String> {
        let items = self.params.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

impl Stage for FakeStage {
    fn params(&self) -> Value {
        self.params.clone()
    }
    fn keyed(&self) -> Value {
        let mut keyed = self.params.clone();
        if let Some(keyed) = keyed.as_object_mut() {
            keyed.remove("path");
        }
        keyed
    }
    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        let port =
            |name: &str, required| InputPort { name: name.into(), accepts: vec![ArtifactKind::Dataset], required };
        match self.kind {
            "map" => vec![port("data", true)],
            "learn" => vec![port("train", true), port("validation", false)],
            "shell" => connected
                .iter()
                .map(|name| InputPort { name: (*name).into(), accepts: vec![], required: true })
                .collect(),
            _ => vec![],
        }
    }
    fn outputs(&self) -> Vec<OutputPort> {
        match self.kind {
            "learn" => {
                vec![OutputPort::new("model", ArtifactKind::Model), OutputPort::new("metrics", ArtifactKind::Metrics)]
            }
            "shell" => {
                let outs = self.list("outs").into_iter().enumerate();
                outs.map(|(index, path)| OutputPort {
                    name: format!("out{index}"),
                    kind: ArtifactKind::File,
                    path: Some((path, route!["outs", index])),
                    tree: false,
                })
                .collect()
            }
            _ => vec![OutputPort::new("data", ArtifactKind::Dataset)],
        }
    }
    fn files(&self) -> Vec<FileInput> {
        let file =
            |path: String, route: Route| FileInput { role: "file".into(), glob: path.contains('*'), path, route };
        match self.kind {
            "source" => {
                let path = self.params["path"].as_str().unwrap_or_default().to_owned();
                vec![file(path, route!["path"])]
            }
            "shell" => {
                self.list("deps").into_iter().enumerate().map(|(at, path)| file(path, route!["deps", at])).collect()
            }
            _ => vec![],
        }
    }
    fn command(&self) -> Option<CommandLine> {
        let run = self.params["run"].as_str().unwrap_or_default().to_owned();
        (self.kind == "shell").then(|| CommandLine { run, env: self.list("env") })
    }
    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let mut inference = Inference::default();
        let mut types = Types::new();
        match self.kind {
            "source" => {
                let question = Question {
                    kind: "source".into(),
                    version: 1,
                    params: json!({}),
                    inputs: Types::new(),
                    files: self.files(),
                };
                let columns = match context.oracle.ask(Program::Data, &question) {
                    Ok(answer) => answer.and_then(|answer| serde_json::from_value::<Vec<String>>(answer).ok()),
                    Err(faults) => {
                        inference.faults.extend(faults);
                        None
                    }
                };
                let columns = columns.map(|names| names.iter().map(|name| Column::new(name, DType::Int64)).collect());
                types.insert(
                    "data".into(),
                    ArtifactType::Dataset(DatasetType { columns, ..DatasetType::default() }.into()),
                );
            }
            "map" => {
                let input = context.inputs.get("data").and_then(ArtifactType::dataset).cloned();
                if let Some(column) = self.params.get("column").and_then(Value::as_str)
                    && let Some(input) = &input
                    && input.columns.is_some()
                    && input.column(column).is_none()
                {
                    let fault =
                        Fault::error(contract::code!("data::unknown_column"), format!("there is no column `{column}`"));
                    inference.faults.push(fault.at(route!["column"]));
                }
                types.insert("data".into(), ArtifactType::Dataset(input.unwrap_or_default().into()));
            }
            _ => {
                for output in self.outputs() {
                    types.insert(output.name, ArtifactType::Other(output.kind));
                }
            }
        }
        inference.outputs = types;
        inference
    }
}

/// A stage: `stage("b", "map", &[("data", "a")], json!({}))`.
pub fn stage(name: &str, kind: &str, inputs: &[(&str, &str)], params: Value) -> StageSpec {
    let inputs = inputs.iter().map(|(port, reference)| {
        let (from, output) = reference.split_once('.').map_or((*reference, None), |(from, port)| (from, Some(port)));
        let reference = Reference { stage: from.into(), port: output.map(str::to_owned) };
        let route = Route::stage(name).join("inputs").join(*port);
        ((*port).to_owned(), ReferenceSpec { reference, route })
    });
    StageSpec { name: name.into(), kind: kind.into(), inputs: inputs.collect(), params, ..StageSpec::default() }
}

pub fn pipeline(root: &std::path::Path, stages: Vec<StageSpec>) -> PipelineSpec {
    PipelineSpec {
        name: "test".into(),
        root: root.to_owned(),
        seed: 7,
        device: "auto".into(),
        stages,
        vars: BTreeMap::new(),
        ..PipelineSpec::default()
    }
}
