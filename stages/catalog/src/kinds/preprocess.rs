//! `preprocess`: rows and columns, step by step.

pub mod params;

use contract::artifact::{ArtifactKind, ArtifactType, Column, DType, DatasetType, Types};
use contract::fault::{Fault, Faults};
use contract::kind::{
    ANY_NAME, About, DeclaredInput, DeclaredOutput, InferContext, Inference, InputPort, Kind, Look, OutputPort,
    Program, Stage, input_ports, output_ports,
};
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use self::params::Preprocess;
use crate::params::typed::{decode, encode, sound};
use crate::question::Expression;
use crate::steps::Step;
use crate::{question, steps};

/// The input ports.
const INPUTS: &[DeclaredInput] = &[
    DeclaredInput::required("data", &[ArtifactKind::Dataset], "The rows to work on."),
    DeclaredInput::optional(
        ANY_NAME,
        &[ArtifactKind::Dataset],
        "Other tables for `join` and `sql`, by names of your own.",
    ),
];

/// The output ports.
const OUTPUTS: &[DeclaredOutput] = &[
    DeclaredOutput::new("data", ArtifactKind::Dataset, "What is left after the last step."),
    DeclaredOutput::new(
        "rejected",
        ArtifactKind::Dataset,
        "Rows that steps rejected: the step, its name, the row's number there, the reason, and the cells as JSON (bytes as \
                     Base64). What `sample`, `sql` and `group_by` leave out is not rejected.",
    ),
];

/// The kind.
pub struct PreprocessKind;

impl Kind for PreprocessKind {
    fn name(&self) -> &'static str {
        "preprocess"
    }

    fn version(&self) -> u32 {
        4
    }

    fn program(&self) -> Program {
        Program::Data
    }

    fn seeded(&self) -> bool {
        false
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Preprocess::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Cleans and reshapes rows and columns, step by step, in the order written. No step learns \
                      anything, so it may stand before a split; what has to be learned from data (means, vocabularies) belongs to \
                      `train`, which learns it on the training part only. `window`, `join` and `sql` may compute cells from other \
                      rows: where such a column, made before a split, reaches a model, a warning says so.",
            inputs: INPUTS,
            outputs: OUTPUTS,
            example: "clean:\n  kind: preprocess\n  inputs: { data: raw }\n  steps:\n    - drop_duplicates\n    - drop_missing: { columns: [label] }\n    - filter: \"label <> 'unknown'\"\n    - pack: { columns: \"pixel_*\", into: image, shape: [1, 8, 8], divide_by: 16 }\n",
        }
    }

    fn look(&self) -> Look {
        Look::of_hue(178)
    }

    fn synonyms(&self) -> &'static [(&'static str, &'static str)] {
        &[("cols", "columns"), ("column", "columns"), ("as", "into")]
    }

    fn smallest(&self) -> Value {
        json!({ "steps": [{ "drop_duplicates": {} }] })
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        let params: Preprocess = decode(params)?;
        let faults = params
            .steps
            .iter()
            .enumerate()
            .flat_map(|(index, step)| steps::check(step, &route!["steps", index]))
            .collect();
        sound(Box::new(PreprocessStage(params)), faults)
    }
}

/// A `preprocess` with its parameters.
pub struct PreprocessStage(pub Preprocess);

impl Stage for PreprocessStage {
    fn params(&self) -> Value {
        encode(&self.0)
    }

    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        // Only where a step can read another table may one be connected.
        let reads = self.0.steps.iter().any(Step::reads_tables);
        input_ports(INPUTS, if reads { connected } else { &[] })
    }

    fn outputs(&self) -> Vec<OutputPort> {
        output_ports(OUTPUTS)
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let mut dataset: DatasetType =
            context.inputs.get("data").and_then(ArtifactType::dataset).cloned().unwrap_or_default();
        let mut others: Types = context.inputs.clone();
        others.remove("data");
        let mut faults: Vec<Fault> = Vec::new();
        let ask = |expression: &Expression, inputs: &Types| {
            question::expression(context.oracle, PreprocessKind.version(), expression, inputs)
        };
        let mut rejected = DatasetType { columns: Some(rejected()), ..DatasetType::default() };
        rejected.follow(&dataset);
        for (index, step) in self.0.steps.iter().enumerate() {
            let at = route!["steps", index];
            if let Some(fault) = step.unconnected(context.connected, &at) {
                faults.push(fault);
                dataset.columns = None;
                continue;
            }
            faults.extend(steps::apply(step, &mut dataset, &others, &at, &ask));
        }
        for mixed in dataset.mixed.iter_mut().filter(|mixed| mixed.stage.is_empty()) {
            context.stage.clone_into(&mut mixed.stage);
        }
        let outputs = [
            ("data".to_owned(), ArtifactType::Dataset(dataset.into())),
            ("rejected".to_owned(), ArtifactType::Dataset(rejected.into())),
        ];
        Inference { outputs: outputs.into(), faults }
    }
}

/// The columns of the output `rejected`: the step (from 1), its name, the row's number in what came into the step (from 1), why it
/// was dropped, and its cells as JSON.
pub fn rejected() -> Vec<Column> {
    [
        ("step", DType::Int64),
        ("name", DType::String),
        ("row", DType::Int64),
        ("reason", DType::String),
        ("cells", DType::String),
    ]
    .into_iter()
    .map(|(name, dtype)| Column::new(name, dtype))
    .collect()
}
