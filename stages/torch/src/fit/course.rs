//! A course of training: epochs one after the other, watched on the validation part, ended by patience or by the
//! budget. Everything that decides how it goes on can be saved between epochs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use catalog::kinds::train::params::{EarlyStopping, Optimizer, StoppingMetric};
use catalog::network::Node;
use contract::fault::{Fault, Faults, Route};
use contract::route;
use contract::worker::Channel;
use contract::worker::protocol::Progress;
use model::dataset::Dataset;
use model::encode::{Encoded, Encoders};
use model::predict;
use model::room::Room;
use model::target::{Scale, Target, Targets};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tch::Tensor;

use crate::fault::{During, Outcome};
use crate::fit::loader;
use crate::fit::loss;
use crate::fit::optimizer;
use crate::fit::trainer::{Diverged, Extra, Recipe, Stop, Trainer};
use crate::network::Net;
use crate::raw::{self, Lent};

/// A data set, encoded: what a trainer or a judge works on.
#[derive(Debug)]
pub struct Part {
    /// Encoded rows, on the CPU.
    pub rows: Lent<Encoded>,
    /// Encoded targets, on the CPU.
    pub targets: Lent<Targets>,
}

impl Part {
    /// Encodes a data set.
    ///
    /// # Errors
    /// All faults, placed at the input they came in at.
    pub fn encode(data: &Dataset, encoders: &Encoders, target: &Target, room: Room<'_>) -> Result<Self, Faults> {
        Self::of(data, encoders.encode(data, room), target, room)
    }

    /// Encodes the rows the encoders were fitted on, to learn from them ([`Encoders::encode_training`]).
    ///
    /// # Errors
    /// As [`Part::encode`].
    pub fn encode_training(
        data: &Dataset,
        encoders: &Encoders,
        target: &Target,
        room: Room<'_>,
    ) -> Result<Self, Faults> {
        Self::of(data, encoders.encode_training(data, target, room), target, room)
    }

    fn of(data: &Dataset, rows: Result<Encoded, Faults>, target: &Target, room: Room<'_>) -> Result<Self, Faults> {
        let at = |fault: Fault| if fault.route.is_some() { fault } else { fault.at(route!["inputs", data.name()]) };
        let rows = rows.map_err(|faults| faults.into_iter().map(at).collect::<Vec<_>>())?;
        let targets = target.encode(data, room).map_err(|fault| vec![at(fault)])?;
        let lending = || "laying a tensor over encoded rows".to_owned();
        Ok(Self { rows: Lent::new(rows).during(lending)?, targets: Lent::new(targets).during(lending)? })
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
    let outputs = predict::all(net, part.rows.owner().values())?;
    let count = part.rows.owner().size()[0] as i64;
    let _guard = tch::no_grad_guard();
    let outputs = Tensor::f_from_slice(&outputs)
        .and_then(|outputs| outputs.f_view([count, -1]))
        .during(|| "joining outputs".to_owned())?;
    let loss = f64::from(raw::floats(&objective.mean(&outputs, part.targets.tensor())?)[0]);
    let rows = outputs.size()[0].max(1) as f64;
    let score = match &target.scale {
        Scale::Classes(classes) => {
            let labels = raw::longs(part.targets.tensor());
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
            let pairs = raw::floats(&outputs).iter().zip(raw::floats(part.targets.tensor()));
            let squares: f64 = pairs.map(|(output, wanted)| f64::from(output - wanted).powi(2)).sum();
            (squares / rows).sqrt() * deviation
        }
    };
    Ok(Seen { loss, score })
}

/// What a course works on.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// The rows to learn from.
    pub train: &'a Part,
    /// The rows to watch.
    pub validation: Option<&'a Part>,
    /// What is predicted.
    pub target: &'a Target,
    /// What is seen; for messages.
    pub encoders: &'a Encoders,
}

/// What is kept to decide when to stop.
#[derive(Debug)]
struct Stopping {
    options: EarlyStopping,
    best: Option<f64>,
    best_epoch: u32,
    weights: BTreeMap<String, Tensor>,
}

impl Stopping {
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

/// The part of a saved course that is not the trainer's.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    history: Vec<Map<String, Value>>,
    best: Option<f64>,
    best_epoch: u32,
    stopped: bool,
}

/// A course of training.
#[derive(Debug)]
pub struct Course<'a> {
    material: Material<'a>,
    trainer: Trainer,
    rows: Tensor,
    targets: Tensor,
    epochs: u32,
    objective: loss::Objective,
    optimizer: Optimizer,
    stopping: Option<Stopping>,
    history: Vec<Map<String, Value>>,
    stopped: bool,
    line: String,
    seconds: f64,
}

/// A finished course.
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

impl<'a> Course<'a> {
    /// A course at its beginning. Early stopping needs a validation part.
    ///
    /// # Errors
    /// As [`Trainer::new`]; a device without memory for the rows.
    pub fn new(
        net: Net,
        recipe: Recipe,
        seed: u64,
        material: Material<'a>,
        early_stopping: Option<&EarlyStopping>,
    ) -> Outcome<Self> {
        let device = net.device();
        let rows = loader::to_device(material.train.rows.tensor(), device)?;
        let targets = loader::to_device(material.train.targets.tensor(), device)?;
        let stopping = early_stopping.filter(|_| material.validation.is_some()).map(|options| Stopping {
            options: options.clone(),
            best: None,
            best_epoch: 0,
            weights: BTreeMap::new(),
        });
        let (epochs, objective, optimizer) = (recipe.epochs, recipe.objective, recipe.optimizer.clone());
        let trainer = Trainer::new(net, recipe, seed, rows.size()[0] as usize)?;
        Ok(Self {
            material,
            trainer,
            rows,
            targets,
            epochs,
            objective,
            optimizer,
            stopping,
            history: Vec::new(),
            stopped: false,
            line: String::new(),
            seconds: 0.0,
        })
    }

    /// Whether nothing is left to do.
    pub fn ended(&self) -> bool {
        self.stopped || self.trainer.epochs() >= self.epochs
    }

    /// Runs one epoch and looks at the validation part.
    ///
    /// # Errors
    /// `train::nan_loss` and whatever libtorch refuses.
    pub fn epoch(&mut self, channel: &Channel) -> Outcome<()> {
        let started = Instant::now();
        let (before, epochs, count) = (self.trainer.epochs(), self.epochs, self.rows.size()[0] as usize);
        let mut reported = started;
        let result = self.trainer.epoch(&self.rows, &self.targets, |done, sum| {
            let now = Instant::now();
            if now - reported > Duration::from_millis(200) {
                reported = now;
                let (loss, share) = (sum / done as f64, 100 * done / count.max(1));
                let rate = done as f64 / (now - started).as_secs_f64();
                let line = format!("loss {loss:.4}, {share} % of epoch {}", before + 1);
                channel.progress(progress(before, epochs, line, rate));
            }
        });
        let epoch = match result {
            Ok(epoch) => epoch,
            Err(Stop::Failed(fault)) => return Err(fault),
            Err(Stop::Diverged(diverged)) => {
                return Err(nan_loss(&diverged, self.trainer.net(), self.material.encoders, &self.optimizer));
            }
        };
        let rate = count as f64 / started.elapsed().as_secs_f64().max(1e-9);
        let mut entry = Map::new();
        entry.insert("epoch".into(), json!(epoch.number));
        entry.insert("lr".into(), json!(epoch.rate));
        let mut note = |name: &str, value: f64| {
            entry.insert(name.to_owned(), json!(value));
            channel.metric(name, u64::from(epoch.number), value);
        };
        note("train.loss", epoch.loss);
        self.line = format!("loss {:.4}", epoch.loss);
        if let Some(validation) = self.material.validation {
            let seen = watch(self.trainer.net(), validation, self.material.target, self.objective)?;
            let name = score_name(self.material.target);
            note("validation.loss", seen.loss);
            note(&format!("validation.{name}"), seen.score);
            self.line = format!("{}, validation {name} {:.4}", self.line, seen.score);
            if let Some(stopping) = &mut self.stopping
                && stopping.after(epoch.number, seen, self.trainer.net())?
            {
                self.stopped = true;
                channel.info(format!("no improvement since epoch {}: stopped", stopping.best_epoch));
            }
        }
        self.history.push(entry);
        self.seconds += started.elapsed().as_secs_f64();
        channel.progress(progress(epoch.number, epochs, self.line.clone(), rate));
        Ok(())
    }

    /// Runs what is left, and puts the best weights back.
    ///
    /// # Errors
    /// As [`Course::epoch`].
    pub fn finish(mut self, channel: &Channel) -> Outcome<Fit> {
        while !self.ended() {
            self.epoch(channel)?;
        }
        let run = self.trainer.epochs();
        let mut best_epoch = run;
        if let Some(stopping) = self.stopping.as_ref().filter(|stopping| !stopping.weights.is_empty()) {
            self.trainer.net_mut().set_state(&stopping.weights)?;
            best_epoch = stopping.best_epoch;
        }
        // A last, complete report, so that the bar of a run that stopped early is full.
        let rate = self.rows.size()[0] as f64 * self.history.len() as f64 / self.seconds.max(1e-9);
        channel.progress(progress(run, run, self.line, rate));
        let (history, seconds) = (self.history, self.seconds);
        Ok(Fit { net: self.trainer.into_net(), history, best_epoch, epochs: run, seconds })
    }

    /// Everything that decides how the course goes on: the trainer's state, the history, the best weights so far.
    ///
    /// # Errors
    /// As [`Trainer::save`].
    pub fn save(&self) -> Outcome<Vec<u8>> {
        let stopping = self.stopping.as_ref();
        let saved = Saved {
            history: self.history.clone(),
            best: stopping.and_then(|stopping| stopping.best),
            best_epoch: stopping.map_or(0, |stopping| stopping.best_epoch),
            stopped: self.stopped,
        };
        let mut tensors = BTreeMap::new();
        for (name, tensor) in stopping.iter().flat_map(|stopping| &stopping.weights) {
            tensors.insert(name.clone(), tensor.shallow_clone());
        }
        self.trainer.save_with(&Extra { json: json!(saved), tensors })
    }

    /// Takes a saved course and goes on from there.
    ///
    /// # Errors
    /// `train::state` when it is damaged or of another network.
    pub fn resume(&mut self, bytes: &[u8]) -> Outcome<()> {
        let extra = self.trainer.resume_with(bytes)?;
        let saved: Saved = serde_json::from_value(extra.json).map_err(|error| {
            Fault::error(
                contract::code!("train::state"),
                format!("the saved state of the training cannot be read: {error}"),
            )
            .help("it is damaged or of another version; training starts again without it")
        })?;
        if let Some(stopping) = &mut self.stopping {
            (stopping.best, stopping.best_epoch, stopping.weights) = (saved.best, saved.best_epoch, extra.tensors);
        }
        (self.history, self.stopped) = (saved.history, saved.stopped);
        Ok(())
    }
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
fn nan_loss(diverged: &Diverged, net: &Net, encoders: &Encoders, optimizer: &Optimizer) -> Fault {
    let finite = |tensor: &Tensor| {
        tensor.f_isfinite().and_then(|finite| finite.f_all()).is_ok_and(|all| all.int64_value(&[]) == 1)
    };
    let _guard = tch::no_grad_guard();
    let rule = optimizer::name(optimizer);
    let lower = format!("lower `{rule}.lr` (it is {}), or set `gradient_clip: 1.0`", optimizer::rate(optimizer));
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
                first = Some((node.name.clone(), crate::network::layers::name(&node.op)));
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
        contract::code!("train::nan_loss"),
        format!(
            "the loss became {what} in epoch {}, step {} (learning rate {:.3e}): {culprit}",
            diverged.epoch, diverged.step, diverged.rate
        ),
    )
    .help(help)
    .at(Route::root().join("optimizer").join(rule).join("lr"))
}
