//! `export`: a model as a file other programs read.

pub mod params;

use contract::artifact::{ArtifactKind, ArtifactType};
use contract::fault::{Fault, Faults};
use contract::kind::{
    About, DeclaredInput, DeclaredOutput, InferContext, Inference, InputPort, Kind, Look, OutputPort, Program, Stage,
    input_ports,
};
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::kinds::export::params::{Export, Format};
use crate::params::typed::{decode, encode, sound};

/// The input ports.
const INPUTS: &[DeclaredInput] = &[DeclaredInput::required("model", &[ArtifactKind::Model], "The model to write.")];

/// The port of the file.
const FILE: DeclaredOutput = DeclaredOutput::new("file", ArtifactKind::File, "The file; a copy of it is at `to`.");

/// The output ports.
const OUTPUTS: &[DeclaredOutput] = &[FILE];

/// The kind.
pub struct ExportKind;

impl Kind for ExportKind {
    fn name(&self) -> &'static str {
        "export"
    }

    fn version(&self) -> u32 {
        1
    }

    fn program(&self) -> Program {
        Program::Torch
    }

    fn seeded(&self) -> bool {
        false
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Export::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Writes a model in a format other programs read, checks the file in an independent runtime, and puts a copy \
                      where `to` says.",
            inputs: INPUTS,
            outputs: OUTPUTS,
            example: "artifact:\n  kind: export\n  inputs: { model: small }\n  format: onnx\n  to: out/digits.onnx\n",
        }
    }

    fn look(&self) -> Look {
        Look::of_hue(232)
    }

    fn synonyms(&self) -> &'static [(&'static str, &'static str)] {
        &[("output_path", "to"), ("path", "to")]
    }

    fn smallest(&self) -> Value {
        json!({ "format": "onnx", "to": "m.onnx" })
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        let params: Export = decode(params)?;
        let mut faults = Vec::new();
        if params.to.trim().is_empty() || params.to.ends_with('/') {
            let folder = params.to.trim();
            faults.push(
                Fault::error(contract::code!("export::path"), format!("`{}` is no file name", params.to))
                    .help(format!("name a file: `{folder}model.{}`", suffix(params.format)))
                    .at(route!["to"]),
            );
        }
        sound(Box::new(ExportStage(params)), faults)
    }
}

fn suffix(format: Format) -> &'static str {
    match format {
        Format::Safetensors => "safetensors",
        Format::Onnx => "onnx",
    }
}

/// An `export` with its parameters.
pub struct ExportStage(pub Export);

impl Stage for ExportStage {
    fn params(&self) -> Value {
        encode(&self.0)
    }

    /// Where the copy goes changes no byte of it.
    fn keyed(&self) -> Value {
        let mut keyed = self.params();
        if let Some(keyed) = keyed.as_object_mut() {
            keyed.remove("to");
        }
        keyed
    }

    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        input_ports(INPUTS, connected)
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort { path: Some((self.0.to.clone(), route!["to"])), ..FILE.port(FILE.name) }]
    }

    fn infer(&self, _: &InferContext<'_>) -> Inference {
        let mut faults = Vec::new();
        let wanted = suffix(self.0.format);
        let other = [Format::Safetensors, Format::Onnx]
            .into_iter()
            .map(suffix)
            .find(|other| *other != wanted && self.0.to.to_lowercase().ends_with(&format!(".{other}")));
        if let Some(other) = other {
            faults.push(
                Fault::warning(
                    contract::code!("export::suffix"),
                    format!("`{}` is named like {other} but will hold {wanted}", self.0.to),
                )
                .help(format!("end the name with `.{wanted}`, or set `format: {other}`"))
                .at(route!["to"]),
            );
        }
        Inference { outputs: [("file".to_owned(), ArtifactType::Other(ArtifactKind::File))].into(), faults }
    }
}
