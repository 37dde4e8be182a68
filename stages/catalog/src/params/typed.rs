//! Between JSON and typed parameters.

use contract::expansion::Expansion;
use contract::fault::{Fault, Faults, Route};
use contract::kind::{CommandLine, FileInput, InferContext, Inference, InputPort, OutputPort, Stage};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Types parameters that have passed their schema.
///
/// # Errors
/// `parameters::invalid` with serde's message: only reached when the schema was not applied before.
pub fn decode<T: DeserializeOwned>(params: Value) -> Result<T, Faults> {
    serde_json::from_value(params).map_err(|error| {
        Faults::from(
            Fault::error(contract::code!("parameters::invalid"), error.to_string())
                .help("the parameters do not have the shape that the kind's schema describes")
                .at(Route::root()),
        )
    })
}

/// The canonical form: every default written out, keys sorted.
pub fn encode<T: Serialize>(params: &T) -> Value {
    serde_json::to_value(params).unwrap_or(Value::Null)
}

/// A stage whose parameters have no errors; what they are warned of is told when its types are inferred.
///
/// # Errors
/// All faults, when there is an error among them.
pub fn sound(stage: Box<dyn Stage>, faults: Vec<Fault>) -> Result<Box<dyn Stage>, Faults> {
    if faults.iter().any(Fault::is_error) {
        return Err(Faults::from(faults));
    }
    Ok(if faults.is_empty() { stage } else { Box::new(Warned { stage, warnings: faults }) })
}

/// A stage with warnings about its parameters: in everything else the stage itself.
struct Warned {
    stage: Box<dyn Stage>,
    warnings: Vec<Fault>,
}

impl Stage for Warned {
    fn params(&self) -> Value {
        self.stage.params()
    }

    fn keyed(&self) -> Value {
        self.stage.keyed()
    }

    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        self.stage.inputs(connected)
    }

    fn takes_many(&self, port: &str) -> bool {
        self.stage.takes_many(port)
    }

    fn expansion(&self) -> Option<&dyn Expansion> {
        self.stage.expansion()
    }

    fn outputs(&self) -> Vec<OutputPort> {
        self.stage.outputs()
    }

    fn files(&self) -> Vec<FileInput> {
        self.stage.files()
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let mut inference = self.stage.infer(context);
        inference.faults.splice(0..0, self.warnings.iter().cloned());
        inference
    }

    fn command(&self) -> Option<CommandLine> {
        self.stage.command()
    }
}

/// Whether a name can stand after the dot of a reference and in an environment variable: a letter or `_`, then letters,
/// digits, `_`.
pub fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use contract::kind::{Kind, Silent};
    use serde_json::json;

    use super::*;

    fn command() -> Box<dyn Stage> {
        let params = json!({ "run": "true", "deps": ["a.txt"], "outs": ["b.txt"], "env": ["HOME"] });
        crate::kinds::command::CommandKind.stage(params).expect("a sound stage")
    }

    #[test]
    fn a_warning_keeps_its_stage_and_is_told_once() {
        let warned = sound(command(), vec![Fault::warning(contract::code!("train::missing_target"), "odd")])
            .expect("only a warning");
        let plain = command();
        assert_eq!(warned.params(), plain.params());
        assert_eq!(warned.keyed(), plain.keyed());
        assert_eq!(warned.inputs(&["x"]), plain.inputs(&["x"]));
        assert_eq!(warned.takes_many("x"), plain.takes_many("x"));
        assert!(warned.takes_many("x"), "a command takes many");
        assert_eq!(warned.outputs(), plain.outputs());
        assert_eq!(warned.files(), plain.files());
        assert_eq!(warned.command(), plain.command());
        assert!(warned.command().is_some());
        let context = InferContext { stage: "here", connected: &[], inputs: &Default::default(), oracle: &Silent };
        let (warned, plain) = (warned.infer(&context), plain.infer(&context));
        assert_eq!(warned.outputs, plain.outputs);
        let codes: Vec<&str> = warned.faults.iter().map(|fault| fault.code.as_str()).collect();
        assert_eq!(codes, ["train::missing_target"]);
        assert_eq!(plain.faults, []);
    }

    #[test]
    fn an_error_among_the_faults_makes_no_stage() {
        let faults = vec![
            Fault::warning(contract::code!("train::missing_target"), "odd"),
            Fault::error(contract::code!("parameters::invalid"), "wrong"),
        ];
        assert_eq!(sound(command(), faults).err().expect("an error").len(), 2);
    }
}
