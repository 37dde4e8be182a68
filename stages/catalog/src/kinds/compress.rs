//! `compress`: a model made smaller and faster.

pub mod params;

use contract::artifact::{ArtifactKind, ArtifactType, DatasetLineage, DatasetType, ModelType};
use contract::fault::{Fault, Faults};
use contract::kind::{
    About, DeclaredInput, DeclaredOutput, InferContext, Inference, InputPort, Kind, Look, OutputPort, Program, Stage,
    input_ports, output_ports,
};
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::columns::lineage;
use crate::kinds::compress::params::Compress;
use crate::kinds::evaluate::unfit;
use crate::params::typed::{decode, encode, sound};

/// The input ports.
const INPUTS: &[DeclaredInput] = &[
    DeclaredInput::required("model", &[ArtifactKind::Model], "The model to compress."),
    DeclaredInput::required(
        "calibrate",
        &[ArtifactKind::Dataset],
        "Rows to fine-tune on and to measure ranges with: the training part.",
    ),
    DeclaredInput::optional(
        "check",
        &[ArtifactKind::Dataset],
        "Rows to measure the loss of accuracy on: the validation part.",
    ),
];

/// The output ports.
const OUTPUTS: &[DeclaredOutput] = &[
    DeclaredOutput::new("model", ArtifactKind::Model, "The compressed model; it goes wherever a model goes."),
    DeclaredOutput::new("report", ArtifactKind::Report, "Before and after, step by step, with the control."),
];

/// The kind.
pub struct CompressKind;

impl Kind for CompressKind {
    fn name(&self) -> &'static str {
        "compress"
    }

    fn version(&self) -> u32 {
        2
    }

    fn program(&self) -> Program {
        Program::Torch
    }

    fn seeded(&self) -> bool {
        true
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Compress::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Makes a trained model smaller and faster: whole channels and units are removed and the rest is fine-tuned, \
                      weights and activations become 8-bit integers. The report shows bytes, parameters, measured latency and \
                      accuracy before and after, and the honest control: a net of the same size trained from scratch.",
            inputs: INPUTS,
            outputs: OUTPUTS,
            example: "small:\n  kind: compress\n  inputs: { model: model, calibrate: parts.train, check: parts.validation }\n  prune: { structured: 0.5, finetune: { epochs: 5 } }\n  quantize: { int8: static }\n  budget: { accuracy_drop: 0.01 }\n",
        }
    }

    fn look(&self) -> Look {
        Look::of_hue(262)
    }

    fn smallest(&self) -> Value {
        json!({ "quantize": { "int8": "static" } })
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        let params: Compress = decode(params)?;
        let mut faults = Vec::new();
        if params.prune.is_none() && params.quantize.is_none() {
            faults.push(
                Fault::error(contract::code!("compress::nothing_to_do"), "neither `prune` nor `quantize` is asked for")
                    .help("for example `quantize: { int8: static }`"),
            );
        }
        if params.budget.as_ref().is_some_and(|budget| budget.accuracy_drop.is_none() && budget.bytes.is_none()) {
            faults.push(
                Fault::error(contract::code!("compress::empty_budget"), "the budget sets no limit")
                    .help("for example `budget: { accuracy_drop: 0.01 }`")
                    .at(route!["budget"]),
            );
        }
        sound(Box::new(CompressStage(params)), faults)
    }
}

/// A `compress` with its parameters.
pub struct CompressStage(pub Compress);

impl Stage for CompressStage {
    fn params(&self) -> Value {
        encode(&self.0)
    }

    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        input_ports(INPUTS, connected)
    }

    fn outputs(&self) -> Vec<OutputPort> {
        output_ports(OUTPUTS)
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let mut faults = Vec::new();
        let no_model = ModelType::default();
        let no_data = DatasetType::default();
        let model = context.inputs.get("model").and_then(ArtifactType::model).unwrap_or(&no_model);
        let dataset = |port: &str| context.inputs.get(port).and_then(ArtifactType::dataset);
        let calibrate = dataset("calibrate").unwrap_or(&no_data);

        // Fine-tuning and the control learn, which wants the answers; measuring ranges does not.
        let learns = self.0.prune.is_some() || self.0.control;
        faults.extend(unfit(model, calibrate, learns, "calibrate"));
        if let Some(check) = dataset("check") {
            faults.extend(unfit(model, check, true, "check"));
            self.check_rows(model, calibrate, check, &mut faults);
        }
        let limit = self.0.budget.as_ref().and_then(|budget| budget.accuracy_drop);
        if limit.is_some() && !context.connected.contains(&"check") {
            faults.push(
                Fault::error(
                    contract::code!("compress::no_check"),
                    "`accuracy_drop` is measured on the input `check`, which is not connected",
                )
                .help("connect rows the model was not fitted on, for example `check: parts.validation`")
                .at(route!["budget", "accuracy_drop"]),
            );
        }
        self.check_bytes(model, &mut faults);

        let mut smaller = model.clone();
        if self.0.prune.is_some() {
            (smaller.parameters, smaller.operations) = (None, None);
        }
        let rows = DatasetLineage::from(calibrate);
        if !rows.is_empty() && rows != smaller.fitted_on && !smaller.tuned_on.contains(&rows) {
            smaller.tuned_on.push(rows);
        }
        let outputs = [
            ("model".to_owned(), ArtifactType::Model(smaller.into())),
            ("report".to_owned(), ArtifactType::Other(ArtifactKind::Report)),
        ];
        Inference { outputs: outputs.into(), faults }
    }
}

impl CompressStage {
    fn check_rows(&self, model: &ModelType, calibrate: &DatasetType, check: &DatasetType, faults: &mut Vec<Fault>) {
        let rows = DatasetLineage::from(check);
        let tuned = DatasetLineage::from(calibrate);
        let seen = lineage::seen(model, &rows).or_else(|| lineage::overlap(&tuned, &rows).then_some(&tuned));
        if let Some(seen) = seen {
            faults.push(
                Fault::warning(
                    contract::code!("leakage::checked_on_training_rows"),
                    format!(
                        "the loss is measured on {}, which has rows the model was fitted on ({})",
                        lineage::shown(&rows),
                        lineage::shown(seen)
                    ),
                )
                .help("connect a part the model has not seen: on its own rows the loss looks smaller than it is")
                .at(route!["inputs", "check"]),
            );
        }
    }

    /// A size that no choice of channels can reach.
    fn check_bytes(&self, model: &ModelType, faults: &mut Vec<Fault>) {
        let (Some(bytes), Some(parameters)) =
            (self.0.budget.as_ref().and_then(|budget| budget.bytes), model.parameters)
        else {
            return;
        };
        // Removing a share s of all units leaves at least (1 − s)² of the weights: each has a unit at both ends.
        let kept = self.0.prune.as_ref().map_or(1.0, |prune| (1.0 - prune.structured).powi(2));
        let each = if self.0.quantize.is_some() { 1.0 } else { 4.0 };
        let least = (parameters as f64 * kept * each).floor();
        if (bytes as f64) < least {
            faults.push(
                Fault::error(
                    contract::code!("compress::budget_bytes"),
                    format!(
                        "{bytes} bytes cannot hold the model: {parameters} parameters become at least {least} bytes"
                    ),
                )
                .help(match (&self.0.prune, self.0.quantize) {
                    (_, None) => "allow more bytes, or `quantize: { int8: static }`",
                    (None, _) => "allow more bytes, or `prune` as well",
                    _ => "allow more bytes, prune a larger share, or train a smaller model",
                })
                .at(route!["budget", "bytes"]),
            );
        }
    }
}
