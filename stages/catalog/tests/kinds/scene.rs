//! Types to put at inputs, and the question a test asks of a kind.

use std::collections::BTreeMap;

use catalog::kinds;
use catalog::question::{ExpressionType, QueryType};
use contract::artifact::{
    ArtifactType, Classes, Column, DType, DatasetLineage, DatasetType, ModelType, Part, Task, Types,
};
use contract::fault::{Fault, Faults};
use contract::kind::{InferContext, Inference, Oracle, Program, Question, Silent, Stage};
use serde_json::{Value, json};

/// A stage that must be sound.
pub fn stage(kind: &str, params: Value) -> Box<dyn Stage> {
    match kinds().get(kind).unwrap().stage(params.clone()) {
        Ok(stage) => stage,
        Err(faults) => panic!("{kind} {params}: {faults:?}"),
    }
}

/// The faults of a stage, those of its parameters alone or else those of inference.
pub fn faults(kind: &str, params: Value, inputs: Types) -> Vec<Fault> {
    match kinds().get(kind).unwrap().stage(params) {
        Ok(stage) => infer(&*stage, inputs).faults,
        Err(faults) => faults.into_vec(),
    }
}

pub fn infer(stage: &dyn Stage, inputs: Types) -> Inference {
    infer_with(stage, inputs, &Silent)
}

pub fn infer_with(stage: &dyn Stage, inputs: Types, oracle: &dyn Oracle) -> Inference {
    let connected: Vec<&str> = inputs.keys().map(String::as_str).collect();
    stage.infer(&InferContext { stage: "here", connected: &connected, inputs: &inputs, oracle })
}

/// Exactly one fault, of this code, at this route, with a help line; gives it back for more questions.
#[track_caller]
pub fn only(faults: Vec<Fault>, code: &str, route: &str) -> Fault {
    assert_eq!(faults.len(), 1, "expected only {code}: {faults:#?}");
    let fault = faults.into_iter().next().unwrap();
    assert_eq!(fault.code, code, "{fault:#?}");
    assert_eq!(fault.route.as_ref().map(ToString::to_string).unwrap_or_default(), route, "{fault:#?}");
    assert!(fault.help.as_ref().is_some_and(|help| !help.is_empty()), "no help: {fault:#?}");
    assert!(!fault.message.ends_with('.'), "a message is a fragment: {}", fault.message);
    fault
}

pub fn classes(values: &[&str]) -> Option<Classes> {
    Some(Classes { count: values.len() as u64, values: values.iter().map(ToString::to_string).collect() })
}

pub fn text(name: &str, values: &[&str]) -> Column {
    Column { classes: classes(values), ..Column::new(name, DType::String) }
}

pub fn missing(column: Column) -> Column {
    Column { nullable: true, ..column }
}

pub fn shaped(column: Column, shape: &[u64]) -> Column {
    Column { shape: shape.to_vec(), ..column }
}

pub fn label() -> Column {
    let values: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    Column { classes: classes(&values), ..Column::new("label", DType::Int64) }
}

pub fn rows(columns: Vec<Column>, count: u64) -> DatasetType {
    DatasetType { columns: Some(columns), rows: Some(count), sources: vec!["raw".into()], ..DatasetType::default() }
}

/// Digits before packing: `p0 … p63`, `label`.
pub fn pixels() -> DatasetType {
    let mut columns: Vec<Column> = (0..64).map(|at| Column::new(format!("p{at}"), DType::Int64)).collect();
    columns.push(label());
    rows(columns, 1797)
}

/// Digits after packing.
pub fn images() -> DatasetType {
    rows(vec![shaped(Column::new("image", DType::Float32), &[1, 8, 8]), label()], 1797)
}

/// Mixed types with missing cells.
pub fn penguins() -> DatasetType {
    let columns = vec![
        text("species", &["Adelie", "Chinstrap", "Gentoo"]),
        text("island", &["Biscoe", "Dream", "Torgersen"]),
        missing(Column::new("bill_length_mm", DType::Float64)),
        missing(Column::new("body_mass_g", DType::Int64)),
        missing(text("sex", &["female", "male"])),
        Column { classes: classes(&["2007", "2008", "2009"]), ..Column::new("year", DType::Int64) },
    ];
    rows(columns, 344)
}

/// One part of the split `parts`.
pub fn part(dataset: DatasetType, name: &str) -> DatasetType {
    DatasetType { parts: vec![Part { split: "parts".into(), part: name.into() }], ..dataset }
}

pub fn dataset(port: &str, dataset: DatasetType) -> Types {
    [(port.to_owned(), ArtifactType::Dataset(dataset.into()))].into()
}

pub fn datasets<const N: usize>(ports: [(&str, DatasetType); N]) -> Types {
    ports.into_iter().map(|(port, dataset)| (port.to_owned(), ArtifactType::Dataset(dataset.into()))).collect()
}

/// A model of the digits, fitted on `parts.train`.
pub fn digits_model() -> ModelType {
    ModelType {
        inputs: vec![images().columns.unwrap()[0].clone()],
        target: Some(label()),
        task: Some(Task::Classification),
        parameters: Some(10_000),
        operations: Some(50_000),
        fitted_on: DatasetLineage::from(&part(images(), "train")),
        tuned_on: Vec::new(),
    }
}

pub fn with_model(model: ModelType, mut others: Types) -> Types {
    others.insert("model".into(), ArtifactType::Model(model.into()));
    others
}

/// An oracle with prepared answers: the source of `collect`, and the type of every expression.
#[derive(Default)]
pub struct Told {
    pub source: Option<DatasetType>,
    pub expression: Option<Result<ExpressionType, Faults>>,
    pub query: Option<QueryType>,
    pub asked: std::sync::Mutex<Vec<Question>>,
}

impl Oracle for Told {
    fn ask(&self, executor: Program, question: &Question) -> Result<Option<Value>, Faults> {
        assert_eq!(executor, Program::Data);
        self.asked.lock().unwrap().push(question.clone());
        match question.kind.as_str() {
            "collect" => Ok(self.source.as_ref().map(|source| json!(source))),
            _ if self.query.is_some() => Ok(self.query.as_ref().map(|query| json!(query))),
            _ => match &self.expression {
                None => Ok(None),
                Some(Ok(answer)) => Ok(Some(json!(answer))),
                Some(Err(faults)) => Err(faults.clone()),
            },
        }
    }
}

/// The columns of an output as `name: type`.
pub fn columns(inference: &Inference, port: &str) -> Vec<String> {
    let dataset = inference.outputs[port].dataset().unwrap();
    let columns = dataset.columns.as_ref().unwrap();
    columns.iter().map(|column| format!("{}: {}", column.name, column.type_name())).collect()
}

pub fn no_inputs() -> Types {
    BTreeMap::new()
}
