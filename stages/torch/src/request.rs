//! What a handler reads from its request: parameters, inputs, and where outputs go.

use std::path::PathBuf;

use contract::fault::{Fault, Faults};
use contract::worker::protocol::{InputArtifact, RunRequest};
use serde::de::DeserializeOwned;

/// The typed parameters of a request.
///
/// # Errors
/// When they are not those of the kind: the engine and the worker were built from different sources.
pub fn decode<T: DeserializeOwned>(request: &RunRequest) -> Result<T, Faults> {
    serde_json::from_value(request.params.clone()).map_err(|error| {
        Faults::from(Fault::error(
            contract::code!("worker::parameters"),
            format!("the parameters of `{}` cannot be read: {error}", request.kind),
        ))
    })
}

/// The artifact at an input port.
///
/// # Errors
/// When it is not connected.
pub fn input<'a>(request: &'a RunRequest, port: &str) -> Result<&'a InputArtifact, Faults> {
    request.inputs.get(port).ok_or_else(|| {
        Faults::from(
            Fault::error(
                contract::code!("graph::missing_input"),
                format!("`{}` needs the input `{port}`", request.stage),
            )
            .at(contract::route!["inputs"]),
        )
    })
}

/// The path of an output port.
///
/// # Errors
/// When the engine did not ask for it.
pub fn output<'a>(request: &'a RunRequest, port: &str) -> Result<&'a PathBuf, Faults> {
    request.outputs.get(port).ok_or_else(|| {
        Faults::from(Fault::error(
            contract::code!("worker::no_output"),
            format!("no path was given for the output `{port}`"),
        ))
    })
}
