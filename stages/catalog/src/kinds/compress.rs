//! `compress`: a model made smaller and faster.

pub mod params;

use contract::artifact::{ArtifactKind, ArtifactType, DatasetLineage, DatasetType, ModelType};
use contract::fault::Fault;
use contract::kind::{About, InferContext, Inference, InputPort, Kind, OutputPort, Program, Stage};
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::columns::lineage;
use crate::kinds::compress::params::Compress;
use crate::kinds::evaluate::unfit;
use crate::params::typed::{decode, encode, sound};

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
            inputs: &[
                ("model", "model", true, "The model to compress."),
                ("calibrate", "dataset", true, "Rows to fine-tune on and to measure ranges with: the training part."),
                ("check", "dataset", false, "Rows to measure the loss of accuracy on: the validation part."),
            ],
            outputs: &[
                ("model", "model", "The compressed model; it goes wherever a model goes."),
                ("report", "report", "Before and after, step by step, with the control."),
            ],
            example: "small:\n  kind: compress\n  inputs: { model: model, calibrate: parts.train, check: parts.validation }\n  prune: { structured: 0.5, finetune: { epochs: 5 } }\n  quantize: { int8: static }\n  budget: { accuracy_drop: 0.01 }\n",
        }
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Vec<Fault>> {
        let params: Compress = decode(params)?;
        let mut faults = Vec::new();
        if params.prune.is_none() && params.quantize.is_none() {
            faults.push(
                Fault::error("compress::nothing_to_do", "neither `prune` nor `quantize` is asked for")
                    .help("for example `quantize: { int8: static }`"),
            );
        }
        if params.budget.as_ref().is_some_and(|budget| budget.accuracy_drop.is_none() && budget.bytes.is_none()) {
            faults.push(
                Fault::error("compress::empty_budget", "the budget sets no limit")
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

    fn inputs(&self, _: &[&str]) -> Vec<InputPort> {
        vec![
            InputPort { name: "model".into(), accepts: vec![ArtifactKind::Model], required: true },
            InputPort { name: "calibrate".into(), accepts: vec![ArtifactKind::Dataset], required: true },
            InputPort { name: "check".into(), accepts: vec![ArtifactKind::Dataset], required: false },
        ]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("model", ArtifactKind::Model), OutputPort::new("report", ArtifactKind::Report)]
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
                    "compress::no_check",
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
                    "leakage::checked_on_training_rows",
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
                    "compress::budget_bytes",
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
