//! What all kinds do with a request: type its parameters, open its inputs, write its outputs.

use contract::artifact::{ArtifactType, DatasetType};
use contract::fault::{Fault, Faults};
use contract::worker::protocol::{Finished, RunRequest};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fault::Outcome;
use crate::table::dataset::{Table, open};
use crate::table::writer::{Rows, write};

/// An output: its port, its rows, and the type that says where the rows come from.
pub type Output<'a> = (&'a str, &'a dyn Rows, &'a DatasetType);

/// Typed parameters.
///
/// # Errors
/// `worker::bad_request`: the parameters are those of another version.
pub fn typed<T: DeserializeOwned>(params: &Value) -> Outcome<T> {
    serde_json::from_value(params.clone()).map_err(|error| {
        Faults::from(
            Fault::error(contract::code!("worker::bad_request"), format!("the parameters do not fit: {error}"))
                .help("`pipeline` and `pipeline-data` must be of one version"),
        )
    })
}

/// An answer as JSON.
///
/// # Errors
/// `worker::bad_answer`: the value has no JSON form.
pub fn answer<T: serde::Serialize>(value: &T) -> Outcome<Value> {
    serde_json::to_value(value)
        .map_err(|error| Faults::from(Fault::error(contract::code!("worker::bad_answer"), error.to_string())))
}

/// The rows at an input port, and the type that says where they come from.
///
/// # Errors
/// `worker::bad_request`: the port is not connected; a file that is no data set.
pub fn input(request: &RunRequest, port: &str) -> Outcome<(Table, DatasetType)> {
    let Some(input) = request.inputs.get(port) else {
        let text = format!("the input `{port}` is not connected");
        return Err(Faults::from(
            Fault::error(contract::code!("worker::bad_request"), text)
                .help("`pipeline` and `pipeline-data` must be of one version"),
        ));
    };
    let from = input.artifact.dataset().cloned().unwrap_or_default();
    Ok((open(&input.path)?, from))
}

/// Writes the outputs and says what they are.
///
/// # Errors
/// `worker::bad_request`: an output has no path; a disk that is full.
pub fn finish(request: &RunRequest, outputs: Vec<Output<'_>>, warnings: Vec<Fault>) -> Outcome<Finished> {
    let mut finished = Finished { warnings, observations: json!({}), ..Finished::default() };
    for (port, table, from) in outputs {
        let Some(path) = request.outputs.get(port) else {
            let text = format!("the request has no path for the output `{port}`");
            return Err(Faults::from(
                Fault::error(contract::code!("worker::bad_request"), text)
                    .help("`pipeline` and `pipeline-data` must be of one version"),
            ));
        };
        let mut dataset = write(table, path, request.threads.max(1))?;
        dataset.follow(from);
        let rows =
            if request.outputs.len() == 1 || port == "data" { "rows".to_owned() } else { format!("{port}.rows") };
        finished.summary.insert(rows, dataset.rows.unwrap_or_default() as f64);
        finished.types.insert(port.to_owned(), ArtifactType::Dataset(dataset.into()));
    }
    Ok(finished)
}
