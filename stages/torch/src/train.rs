//! `train`: encoders and weights fitted to the training part.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use catalog::features;
use catalog::network::{Network, Node};
use catalog::params::train::{EarlyStopping, StoppingMetric, Train};
use engine::artifact::{ArtifactType, DatasetLineage, ModelType};
use engine::error::{Fault, Route};
use engine::protocol::{Finished, Progress, RunRequest};
use engine::route;
use engine::worker::Channel;
use serde_json::{Map, Value, json};
use tch::Tensor;

use crate::bundle::{Bundle, Description, FORMAT, Training};
use crate::dataset::{Dataset, empty};
use crate::encode::{Encoded, Encoders, Scale, Target};
use crate::evaluate::write_json;
use crate::fault::Outcome;
use crate::network::Net;
use crate::program::{Device, decode, input, output};
use crate::random::{Purpose, Random};
use crate::trainer::{Diverged, Recipe, Stop, Trainer};
use crate::{loader, loss, optim, predict, raw};

/// A data set, encoded: what a trainer or a judge works on.
#[derive(Debug)]
pub struct Part {
    /// Encoded rows, on the CPU.
    pub rows: Encoded,
    /// Encoded targets, on the CPU.
    pub targets: Tensor,
}

impl Part {
    /// Encodes a data set.
    ///
    /// # Errors
    /// All faults, placed at the input they came in at.
    pub fn encode(data: &Dataset, encoders: &Encoders, target: &Target) -> Result<Self, Vec<Fault>> {
        let at = |fault: Fault| if fault.route.is_some() { fault } else { fault.at(route!["inputs", data.name()]) };
        let rows = encoders.encode(data).map_err(|faults| faults.into_iter().map(at).collect::<Vec<_>>())?;
        let targets = target.encode(data).map_err(|fault| vec![at(fault)])?;
        Ok(Self { rows, targets })
    }
}

/// What watching a data set without learning from it gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// The loss as trained with (label smoothing included).
    pub loss: f64,
    /// Share of right classes; root mean squared error in the target's unit for a regression.
    pub score: f64,
}

/// Looks at a part with a network: loss, and accuracy or RMSE.
///
/// # Errors
/// libtorch's.
pub fn watch(net: &Net, part: &Part, target: &Target, objective: loss::Objective) -> Outcome<Seen> {
    let outputs = predict::all(net, part.rows.tensor())?;
    let _guard = tch::no_grad_guard();
    let loss = f64::from(raw::floats(&objective.mean(&outputs, &part.targets)?)[0]);
    let rows = outputs.size()[0].max(1) as f64;
    let score = match &target.scale {
        Scale::Classes(classes) => {
            let labels = raw::longs(&part.targets);
            let right = raw::floats(&outputs).chunks_exact(classes.len()).zip(labels).filter(|(logits, label)| {
                let label = **label as usize;
                // The first of equals is chosen, as in `predict::read`.
                logits.iter().enumerate().all(|(place, logit)| {
                    *logit < logits[label] || place == label || (*logit == logits[label] && place > label)
                })
            });
            right.count() as f64 / rows
        }
        Scale::Number { deviation, .. } => {
            let pairs = raw::floats(&outputs).iter().zip(raw::floats(&part.targets));
            let squares: f64 = pairs.map(|(output, wanted)| f64::from(output - wanted).powi(2)).sum();
            (squares / rows).sqrt() * deviation
        }
    };
    Ok(Seen { loss, score })
}

/// What of a fit is kept to decide when to stop.
#[derive(Debug)]
struct Stopping {
    options: EarlyStopping,
    best: Option<f64>,
    best_epoch: u32,
    weights: BTreeMap<String, Tensor>,
}

impl Stopping {
    fn new(options: &EarlyStopping) -> Self {
        Self { options: options.clone(), best: None, best_epoch: 0, weights: BTreeMap::new() }
    }

    /// Takes an epoch in; whether to stop.
    fn after(&mut self, epoch: u32, seen: Seen, net: &Net) -> Outcome<bool> {
        // Higher is better.
        let value = match self.options.metric {
            StoppingMetric::Loss => -seen.loss,
            StoppingMetric::Accuracy => seen.score,
        };
        let better = value.is_finite() && self.best.is_none_or(|best| value > best + self.options.min_delta);
        if better {
            self.best = Some(value);
            self.best_epoch = epoch;
            if self.options.restore_best {
                self.weights = net.state()?;
            }
        }
        Ok(epoch - self.best_epoch >= self.options.patience)
    }
}

/// A finished fit.
#[derive(Debug)]
pub struct Fit {
    /// With the weights of the best epoch, where early stopping restores them.
    pub net: Net,
    /// One object an epoch.
    pub history: Vec<Map<String, Value>>,
    /// The epoch the weights are of.
    pub best_epoch: u32,
    /// Epochs run.
    pub epochs: u32,
    /// Seconds of all epochs.
    pub seconds: f64,
}

/// Fits a network: the loop of `train`, of fine-tuning and of the control that `compress` trains.
///
/// # Errors
/// `train::nan_loss` and whatever libtorch refuses.
#[expect(clippy::too_many_arguments, reason = "everything a fit depends on, each once")]
pub fn fit(
    net: Net,
    recipe: Recipe,
    seed: u64,
    train: &Part,
    validation: Option<&Part>,
    target: &Target,
    early_stopping: Option<&EarlyStopping>,
    encoders: &Encoders,
    channel: &Channel,
) -> Outcome<Fit> {
    let device = net.device();
    let rows = loader::to_device(train.rows.tensor(), device)?;
    let targets = loader::to_device(&train.targets, device)?;
    let count = rows.size()[0] as usize;
    let epochs = recipe.epochs;
    let objective = recipe.objective;
    let optimizer = recipe.optimizer.clone();
    let mut trainer = Trainer::new(net, recipe, seed, count)?;
    let mut stopping = early_stopping.filter(|_| validation.is_some()).map(Stopping::new);
    let mut history: Vec<Map<String, Value>> = Vec::new();
    let mut line = String::new();
    let started = Instant::now();
    while trainer.epochs() < epochs {
        let number = trainer.epochs();
        let epoch_started = Instant::now();
        let mut told = epoch_started;
        let result = trainer.epoch(&rows, &targets, |done, sum| {
            let now = Instant::now();
            if now - told > Duration::from_millis(200) {
                told = now;
                let loss = sum / done as f64;
                let share = 100 * done / count.max(1);
                let rate = done as f64 / (now - epoch_started).as_secs_f64();
                channel.progress(progress(
                    number,
                    epochs,
                    format!("loss {loss:.4}, {share} % of epoch {}", number + 1),
                    rate,
                ));
            }
        });
        let epoch = match result {
            Ok(epoch) => epoch,
            Err(Stop::Failed(fault)) => return Err(fault),
            Err(Stop::Diverged(diverged)) => return Err(nan_loss(&diverged, trainer.net(), encoders, &optimizer)),
        };
        let rate = count as f64 / epoch_started.elapsed().as_secs_f64().max(1e-9);
        let mut entry = Map::new();
        entry.insert("epoch".into(), json!(epoch.number));
        entry.insert("lr".into(), json!(epoch.rate));
        let mut note = |name: &str, value: f64| {
            entry.insert(name.to_owned(), json!(value));
            channel.metric(name, u64::from(epoch.number), value);
        };
        note("train.loss", epoch.loss);
        line = format!("loss {:.4}", epoch.loss);
        let mut stop = false;
        if let Some(validation) = validation {
            let seen = watch(trainer.net(), validation, target, objective)?;
            let name = score_name(target);
            note("validation.loss", seen.loss);
            note(&format!("validation.{name}"), seen.score);
            line = format!("{line}, validation {name} {:.4}", seen.score);
            if let Some(stopping) = &mut stopping {
                stop = stopping.after(epoch.number, seen, trainer.net())?;
            }
        }
        history.push(entry);
        channel.progress(progress(epoch.number, epochs, line.clone(), rate));
        if stop {
            channel
                .info(format!("no improvement since epoch {}: stopped", stopping.as_ref().map_or(0, |s| s.best_epoch)));
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let run = trainer.epochs();
    let mut best_epoch = run;
    if let Some(stopping) = stopping.filter(|stopping| !stopping.weights.is_empty()) {
        trainer.net_mut().set_state(&stopping.weights)?;
        best_epoch = stopping.best_epoch;
    }
    // Told once more, complete, so that a bar that ended early is full.
    channel.progress(progress(run, run, line, count as f64 * f64::from(run) / seconds.max(1e-9)));
    Ok(Fit { net: trainer.into_net(), history, best_epoch, epochs: run, seconds })
}

fn progress(done: u32, total: u32, message: String, rate: f64) -> Progress {
    Progress {
        done: u64::from(done),
        total: Some(u64::from(total)),
        unit: "epoch".into(),
        message,
        rate: Some((rate, "rows".into())),
    }
}

fn score_name(target: &Target) -> &'static str {
    match target.scale {
        Scale::Classes(_) => "accuracy",
        Scale::Number { .. } => "rmse",
    }
}

/// The fault of a loss that stopped being a number: when, and what went wrong first.
fn nan_loss(
    diverged: &Diverged,
    net: &Net,
    encoders: &Encoders,
    optimizer: &catalog::params::train::Optimizer,
) -> Fault {
    let finite = |tensor: &Tensor| {
        tensor.f_isfinite().and_then(|finite| finite.f_all()).is_ok_and(|all| all.int64_value(&[]) == 1)
    };
    let _guard = tch::no_grad_guard();
    let rule = optim::name(optimizer);
    let lower = format!("lower `{rule}.lr` (it is {}), or set `gradient_clip: 1.0`", optim::rate(optimizer));
    let mut help = lower.clone();
    let culprit = if !finite(&diverged.rows) {
        let width = diverged.rows.size().iter().skip(1).product::<i64>().max(1) as usize;
        let rows = crate::network::copy(&diverged.rows, tch::Device::Cpu).ok();
        let place = rows.and_then(|rows| raw::floats(&rows).iter().position(|value| !value.is_finite()));
        let column = place.and_then(|place| encoders.source((place % width) as u64)).unwrap_or("?");
        help = format!("look at the values of `{column}`: after encoding some are not finite");
        format!("column `{column}` has values that are not finite")
    } else if let Some((name, _)) = net.parameters().into_iter().find(|(_, tensor)| !finite(tensor)) {
        format!("`{name}` is no longer finite")
    } else {
        let mut first: Option<(String, &'static str)> = None;
        let mut largest: (f64, String) = (0.0, String::new());
        let mut look = |node: &Node, _: &Tensor, out: &Tensor| {
            if first.is_none() && !finite(out) {
                first = Some((node.name.clone(), crate::network::op_name(&node.op)));
            }
            let top = out.f_abs().and_then(|out| out.f_max()).map_or(0.0, |top| top.double_value(&[]));
            if top > largest.0 {
                largest = (top, node.name.clone());
            }
        };
        let _ = net.forward_observed(&diverged.rows, &mut look);
        match first {
            Some((name, op)) => format!("layer `{name}` ({op}) is the first whose output is not finite"),
            None => format!("the outputs are still finite, up to {:.3e} at layer `{}`", largest.0, largest.1),
        }
    };
    let what = if diverged.loss.is_nan() { "NaN" } else { "infinite" };
    Fault::error(
        "train::nan_loss",
        format!(
            "the loss became {what} in epoch {}, step {} (learning rate {:.3e}): {culprit}",
            diverged.epoch, diverged.step, diverged.rate
        ),
    )
    .help(help)
    .at(Route::root().join("optimizer").join(rule).join("lr"))
}

/// Carries the stage out.
///
/// # Errors
/// Everything that is wrong with the parameters or the data.
pub fn run(request: &RunRequest, device: Device, channel: &Channel) -> Result<Finished, Vec<Fault>> {
    let one = |fault: Fault| vec![fault];
    let params: Train = decode(request)?;
    let data = Dataset::open(&input(request, "train")?.path, "train").map_err(one)?;
    let held = match request.inputs.get("validation") {
        Some(artifact) => Some(Dataset::open(&artifact.path, "validation").map_err(one)?),
        None => None,
    };
    for part in std::iter::once(&data).chain(&held) {
        if part.rows() == 0 {
            return Err(one(empty(part.name()).at(route!["inputs", part.name()])));
        }
    }
    if params.early_stopping.is_some() && held.is_none() {
        return Err(one(Fault::error(
            "train::no_validation",
            "`early_stopping` watches the input `validation`, which is not connected",
        )
        .help("connect it, for example `inputs: { train: parts.train, validation: parts.validation }`")
        .at(route!["early_stopping"])));
    }

    let column = catalog::train::target(params.target.as_deref(), data.columns()).map_err(|fault| one(*fault))?;
    let stated = catalog::train::task(column, params.task).map_err(|fault| one(fault.at(route!["target"])))?;
    let (task, target) = Target::fit(&column.name, Some(stated), &data).map_err(one)?;
    let features = features::decide(params.features.as_deref(), data.columns(), &column.name)?;
    let at = |fault: Fault| if fault.route.is_some() { fault } else { fault.at(route!["inputs", "train"]) };
    let encoders = Encoders::fit(&features, &data).map_err(|faults| faults.into_iter().map(at).collect::<Vec<_>>())?;
    let shape = encoders.shape();
    if shape.contains(&0) {
        return Err(one(Fault::error(
            "features::none",
            "nothing is left for the model to see: all features are empty",
        )
        .help("their columns have no values in the training part")));
    }
    let model = params.model.clone().unwrap_or_else(|| Network::default_model(&shape));
    let network = Network::resolve(&model, &shape, target.outputs())?;
    let mut recipe = Recipe::of(&params, task).map_err(one)?;
    recipe.batch_size = recipe.batch_size.max(1);

    let train = Part::encode(&data, &encoders, &target)?;
    let validation = held.as_ref().map(|held| Part::encode(held, &encoders, &target)).transpose()?;
    let mut random = Random::new(request.seed, Purpose::Weights);
    let net = Net::fresh(&network, &mut random, device.torch()).map_err(one)?;
    channel.info(format!(
        "{} rows, {} parameters, {} multiply-adds a row",
        data.rows(),
        network.parameters(),
        network.operations()
    ));
    let fit = fit(
        net,
        recipe,
        request.seed,
        &train,
        validation.as_ref(),
        &target,
        params.early_stopping.as_ref(),
        &encoders,
        channel,
    )
    .map_err(one)?;

    let description = Description {
        format: FORMAT,
        task,
        target,
        encoders,
        network,
        training: Training { params, seed: request.seed, epochs: fit.epochs },
        quantisation: None,
    };
    let bundle = Bundle::of(&fit.net, description).map_err(one)?;
    bundle.write(output(request, "model")?).map_err(one)?;
    let final_metrics = final_metrics(&fit);
    if let Ok(path) = output(request, "metrics") {
        let history = json!({ "epochs": fit.history, "best_epoch": fit.best_epoch, "metrics": final_metrics });
        write_json(path, &history).map_err(one)?;
    }
    Ok(finished(request, &bundle, &fit, final_metrics, data.rows(), features.warnings))
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
        ("model".to_owned(), ArtifactType::Model(model)),
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
