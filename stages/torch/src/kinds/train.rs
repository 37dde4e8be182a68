//! `train`: encoders and weights fitted to the training part.

use std::collections::BTreeMap;

use catalog::columns::features;
use catalog::kinds::train::params::Train;
use catalog::network::Network;
use contract::artifact::{ArtifactType, DatasetLineage, ModelType, Task};
use contract::fault::{Fault, Faults};
use contract::route;
use contract::worker::Channel;
use contract::worker::protocol::{Finished, RunRequest};
use model::bundle::{Bundle, Description, FORMAT, Training};
use model::dataset::{Dataset, empty};
use model::encode::Encoders;
use model::file::write_json;
use model::random::{Purpose, Random};
use model::room::Room;
use model::target::Target;
use serde_json::json;

use crate::bundle;
use crate::device::Device;
use crate::fit::course::{Course, Fit, Material, Part};
use crate::fit::trainer::Recipe;
use crate::network::Net;
use crate::request::{decode, input, output};

/// Carries the stage out.
///
/// # Errors
/// Everything that is wrong with the parameters or the data.
pub fn run(request: &RunRequest, device: Device, channel: &Channel) -> Result<Finished, Faults> {
    let one = |fault: Fault| vec![fault];
    let params: Train = decode(request)?;
    let data = Dataset::open(&input(request, "train")?.path, "train").map_err(one)?;
    let held = match request.inputs.get("validation") {
        Some(artifact) => Some(Dataset::open(&artifact.path, "validation").map_err(one)?),
        None => None,
    };
    for part in std::iter::once(&data).chain(&held) {
        if part.rows() == 0 {
            return Err(Faults::from(one(empty(part.name()).at(route!["inputs", part.name()]))));
        }
    }
    if params.early_stopping.is_some() && held.is_none() {
        return Err(Faults::from(one(Fault::error(
            contract::code!("train::no_validation"),
            "`early_stopping` watches the input `validation`, which is not connected",
        )
        .help("connect it, for example `inputs: { train: parts.train, validation: parts.validation }`")
        .at(route!["early_stopping"]))));
    }

    let column =
        catalog::kinds::train::target(params.target.as_deref(), data.columns()).map_err(|fault| one(*fault))?;
    let task = catalog::kinds::train::task(column, params.task).map_err(|fault| one(fault.at(route!["target"])))?;
    let target = Target::fit(&column.name, task, &data).map_err(one)?;
    let unasked = params.task.is_none() && task == Task::Regression;
    let note = unasked.then(|| like_classes(&target, &data)).flatten();
    let features = features::decide(params.features.as_deref(), data.columns(), &column.name)?;
    let at = |fault: Fault| if fault.route.is_some() { fault } else { fault.at(route!["inputs", "train"]) };
    let encoders = Encoders::fit(&features, &data, &target, request.seed)
        .map_err(|faults| faults.into_iter().map(at).collect::<Vec<_>>())?;
    let shape = encoders.shape();
    if shape.contains(&0) {
        return Err(Faults::from(one(Fault::error(
            contract::code!("features::none"),
            "nothing is left for the model to see: all features are empty",
        )
        .help("their columns have no values in the training part"))));
    }
    let model = params.model.clone().unwrap_or_else(|| Network::default_model(&shape));
    let network = Network::resolve_embedded(&model, &shape, &encoders.tables(), target.outputs())?;
    let recipe = Recipe::of(&params, task).map_err(one)?;

    let room = Room::of(request);
    let train = Part::encode_training(&data, &encoders, &target, room)?;
    let validation = held.as_ref().map(|held| Part::encode(held, &encoders, &target, room)).transpose()?;
    let mut random = Random::new(request.seed, Purpose::Weights);
    let net = Net::fresh(&network, &mut random, device.torch()).map_err(one)?;
    channel.info(format!(
        "{} rows, {} parameters, {} multiply-adds a row",
        data.rows(),
        network.parameters(),
        network.operations()
    ));
    let material = Material { train: &train, validation: validation.as_ref(), target: &target, encoders: &encoders };
    let course = Course::new(net, recipe, request.seed, material, params.early_stopping.as_ref()).map_err(one)?;
    let fit = course.finish(channel).map_err(one)?;

    let description = Description {
        format: FORMAT,
        task,
        target,
        encoders,
        network,
        training: Training { params, seed: request.seed, epochs: fit.epochs },
        quantisation: None,
    };
    let bundle = bundle::of(&fit.net, description).map_err(one)?;
    bundle.write(output(request, "model")?).map_err(one)?;
    let final_metrics = final_metrics(&fit);
    if let Ok(path) = output(request, "metrics") {
        let history = json!({ "epochs": fit.history, "best_epoch": fit.best_epoch, "metrics": final_metrics });
        write_json(path, &history).map_err(one)?;
    }
    let warnings = features.warnings.into_iter().chain(note).collect();
    Ok(finished(request, &bundle, &fit, final_metrics, data.rows(), warnings))
}

/// Most distinct whole numbers that look like classes.
const FEW: usize = 10;

/// The note of a regression that the document did not ask for, on a column of floats that holds only a few whole numbers.
fn like_classes(target: &Target, data: &Dataset) -> Option<Fault> {
    let name = &target.column.name;
    if !target.column.dtype.is_float() {
        return None;
    }
    let mut distinct: Vec<f64> = Vec::new();
    for value in target.numbers(data).ok()? {
        if value.fract() != 0.0 {
            return None;
        }
        if !distinct.contains(&value) {
            distinct.push(value);
        }
        if distinct.len() > FEW {
            return None;
        }
    }
    distinct.sort_by(f64::total_cmp);
    let shown: Vec<String> = distinct.iter().map(f64::to_string).collect();
    let text = format!("`{name}` is predicted as a number, and holds only {}", shown.join(", "));
    let help = format!(
        "if these are classes, `cast: {{ {name}: int64 }}` in a `preprocess` before; if they are amounts, say `task: regression`"
    );
    Some(Fault::warning(contract::code!("train::like_classes"), text).help(help).at(route!["target"]))
}

/// The numbers of the epoch the weights are of.
fn final_metrics(fit: &Fit) -> BTreeMap<String, f64> {
    let entry = fit.history.iter().find(|entry| entry.get("epoch") == Some(&json!(fit.best_epoch)));
    let numbers = entry.into_iter().flatten().filter(|(name, _)| name.contains('.'));
    numbers.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
}

fn finished(
    request: &RunRequest,
    bundle: &Bundle,
    fit: &Fit,
    summary: BTreeMap<String, f64>,
    rows: usize,
    warnings: Vec<Fault>,
) -> Finished {
    let fitted_on: DatasetLineage =
        request.inputs.get("train").and_then(|input| input.artifact.dataset()).map(Into::into).unwrap_or_default();
    let model = ModelType { fitted_on, ..bundle.artifact() };
    let types = BTreeMap::from([
        ("model".to_owned(), ArtifactType::Model(model.into())),
        ("metrics".to_owned(), ArtifactType::Metrics(summary.keys().cloned().collect())),
    ]);
    let samples = rows as f64 * f64::from(fit.epochs);
    Finished {
        types,
        observations: json!({
            "seconds": fit.seconds,
            "rows_per_second": samples / fit.seconds.max(1e-9),
            "epochs": fit.epochs,
        }),
        summary,
        unmet: Vec::new(),
        warnings,
    }
}
