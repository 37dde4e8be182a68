//! `preprocess`: rows and columns, step by step.

use engine::artifact::{ArtifactKind, ArtifactType, DatasetType};
use engine::error::Fault;
use engine::kind::{About, Executor, InferContext, Inference, InputPort, Kind, OutputPort, Stage};
use engine::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::params::preprocess::Preprocess;
use crate::typed::{decode, encode, sound};
use crate::{question, steps};

/// The kind.
pub struct PreprocessKind;

impl Kind for PreprocessKind {
    fn name(&self) -> &'static str {
        "preprocess"
    }

    fn version(&self) -> u32 {
        1
    }

    fn executor(&self) -> Executor {
        Executor::Data
    }

    fn seeded(&self) -> bool {
        false
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Preprocess::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Cleans and reshapes rows and columns, step by step, in the order written. Every step is stateless, so it \
                      may stand before a split; what has to be learned from data (means, vocabularies) belongs to `train`, \
                      which learns it on the training part only.",
            inputs: &[("data", "dataset", true, "The rows to work on.")],
            outputs: &[("data", "dataset", "What is left after the last step.")],
            example: "clean:\n  kind: preprocess\n  inputs: { data: raw }\n  steps:\n    - drop_duplicates\n    - drop_missing: { columns: [label] }\n    - filter: \"label <> 'unknown'\"\n    - pack: { columns: \"pixel_*\", into: image, shape: [1, 8, 8], divide_by: 16 }\n",
        }
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Vec<Fault>> {
        let params: Preprocess = decode(params)?;
        let faults = params
            .steps
            .iter()
            .enumerate()
            .flat_map(|(index, step)| steps::check(step, &route!["steps", index]))
            .collect();
        sound(Box::new(PreprocessStage(params)) as Box<dyn Stage>, faults)
    }
}

/// A `preprocess` with its parameters.
pub struct PreprocessStage(pub Preprocess);

impl Stage for PreprocessStage {
    fn params(&self) -> Value {
        encode(&self.0)
    }

    fn inputs(&self, _: &[&str]) -> Vec<InputPort> {
        vec![InputPort { name: "data".into(), accepts: vec![ArtifactKind::Dataset], required: true }]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("data", ArtifactKind::Dataset)]
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let mut dataset: DatasetType =
            context.inputs.get("data").and_then(ArtifactType::dataset).cloned().unwrap_or_default();
        let mut faults: Vec<Fault> = Vec::new();
        let ask = |text: &str, dataset: &DatasetType| {
            question::expression(context.oracle, PreprocessKind.version(), text, dataset)
        };
        for (index, step) in self.0.steps.iter().enumerate() {
            faults.extend(steps::apply(step, &mut dataset, &route!["steps", index], &ask));
        }
        Inference { outputs: [("data".to_owned(), ArtifactType::Dataset(dataset))].into(), faults }
    }
}
