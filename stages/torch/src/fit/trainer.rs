//! The trainer: a network, its optimiser and everything else that decides the next step.
//!
//! Its state after n epochs depends only on its state at the start. It can be saved between two epochs, and a trainer that
//! resumes there reaches the same bits. Nothing random is drawn from libtorch's process-wide generator for that reason.

use std::collections::{BTreeMap, HashMap};

use catalog::kinds::train::params::{Optimizer, Schedule, Train};
use contract::artifact::Task;
use contract::fault::Fault;
use contract::route;
use model::random::{Purpose, Random, RandomState};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::fault::{During, Outcome};
use crate::fit::chain::Chain;
use crate::fit::loader;
use crate::fit::loss::Objective;
use crate::fit::optimizer::{self, Optimiser};
use crate::fit::schedule::Timetable;
use crate::network::Net;
use crate::network::layer::Pass;
use crate::raw;

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// How weights are changed.
    pub optimizer: Optimizer,
    /// What is minimised.
    pub objective: Objective,
    /// How the learning rate moves.
    pub schedule: Schedule,
    /// Epochs the schedule is laid over.
    pub epochs: u32,
    /// Rows for one step.
    pub batch_size: u32,
    /// Largest Euclidean norm of all gradients together.
    pub gradient_clip: Option<f64>,
}

impl Recipe {
    /// The recipe of a `train` stage.
    ///
    /// # Errors
    /// When loss and task do not go together.
    pub fn of(params: &Train, task: Task) -> Outcome<Self> {
        Ok(Self {
            optimizer: params.optimizer.clone(),
            objective: Objective::of(params, task)?,
            schedule: params.schedule.clone(),
            epochs: params.epochs,
            batch_size: params.batch_size,
            gradient_clip: params.gradient_clip,
        })
    }
}

/// The result of one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// From 1.
    pub number: u32,
    /// Mean loss over the rows, each with the weights of its step.
    pub loss: f64,
    /// Learning rate of the last step.
    pub rate: f64,
}

/// The place where a loss stopped being a number.
#[derive(Debug)]
pub struct Diverged {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step in the epoch, from 1.
    pub step: u64,
    /// The loss.
    pub loss: f64,
    /// Learning rate of the step.
    pub rate: f64,
    /// The rows of the batch.
    pub rows: Tensor,
}

/// The reason why an epoch did not end.
#[derive(Debug)]
pub enum Stop {
    /// Something failed.
    Failed(Fault),
    /// The loss is NaN or infinite; the weights are those before the step.
    Diverged(Diverged),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// Trains a network epoch by epoch.
#[derive(Debug)]
pub struct Trainer {
    net: Net,
    recipe: Recipe,
    parameters: Vec<Tensor>,
    optimiser: Optimiser,
    timetable: Timetable,
    sizes: Vec<usize>,
    order: Random,
    dropout: Random,
    epoch: u32,
    chain: Option<Chain>,
}

/// The part of a saved trainer that is not tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    format: u32,
    epoch: u32,
    step: u64,
    order: RandomState,
    dropout: RandomState,
    extra: Value,
}

/// What is saved beside a trainer.
#[derive(Debug, Default)]
pub struct Extra {
    /// Anything.
    pub json: Value,
    /// Float32 tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
}

const FORMAT: u32 = 1;
const ENTRY: &str = "trainer";

impl Trainer {
    /// A trainer at epoch 0 for a training part of `rows` rows.
    ///
    /// # Errors
    /// No rows, or batches of one row with batch normalisation.
    pub fn new(net: Net, recipe: Recipe, seed: u64, rows: usize) -> Outcome<Self> {
        let normalises = net.normalises();
        let sizes = loader::batches(rows, recipe.batch_size as usize, normalises);
        if sizes.is_empty() {
            return Err(Fault::error(contract::code!("data::empty"), "there are no rows to train on")
                .help("look at the stages above: a filter, `drop_missing` or a split ratio may leave nothing"));
        }
        if normalises && sizes.contains(&1) {
            return Err(Fault::error(
                contract::code!("train::batch_of_one"),
                "batch normalisation cannot be trained on batches of one row",
            )
            .help("use a `batch_size` of at least 2 and at least 2 rows, or a model without `batch_norm`")
            .at(route!["batch_size"]));
        }
        // The chain shares the network's weights, so only one of the two may compute gradients: with a chain, autograd records
        // nothing.
        let chain = Chain::of(&net);
        net.require_gradients(chain.is_none());
        // Detached tensors share the storage. The optimiser may write to them without autograd recording it.
        let parameters: Vec<Tensor> = net.parameters().iter().map(|(_, tensor)| tensor.detach()).collect();
        let optimiser = Optimiser::new(&recipe.optimizer, &parameters)?;
        let timetable = Timetable::new(
            &recipe.schedule,
            optimizer::rate(&recipe.optimizer),
            sizes.len() as u64,
            u64::from(recipe.epochs),
        );
        Ok(Self {
            net,
            recipe,
            parameters,
            optimiser,
            timetable,
            sizes,
            order: Random::new(seed, Purpose::Order),
            dropout: Random::new(seed, Purpose::Dropout),
            epoch: 0,
            chain,
        })
    }

    /// Turns the fast path off: for tests that compare the two.
    #[must_use]
    pub fn with_autograd(mut self) -> Self {
        self.chain = None;
        self.net.require_gradients(true);
        self
    }

    /// The network as it is now.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// The network, to put other weights in (the best ones).
    pub fn net_mut(&mut self) -> &mut Net {
        &mut self.net
    }

    /// The network, trained.
    pub fn into_net(self) -> Net {
        self.net.require_gradients(false);
        self.net
    }

    /// Epochs done.
    pub fn epochs(&self) -> u32 {
        self.epoch
    }

    /// Steps of one epoch.
    pub fn steps(&self) -> usize {
        self.sizes.len()
    }

    /// One epoch over encoded rows and targets on the network's device. After every step `watch` is called with the rows
    /// done and the sum of their losses so far (0 where reading the sum would wait for the device).
    ///
    /// # Errors
    /// libtorch's, or where the loss stopped being a number.
    pub fn epoch(&mut self, rows: &Tensor, targets: &Tensor, mut watch: impl FnMut(usize, f64)) -> Result<Epoch, Stop> {
        let number = self.epoch + 1;
        let on_cpu = self.net.device() == Device::Cpu;
        // Borrowed field by field: the closure below changes the optimiser while it reads the network.
        let Self { net, recipe, parameters, optimiser, timetable, sizes, order, dropout, chain, .. } = self;
        let mut step = 0u64;
        let mut done = 0usize;
        let mut sum = 0f64;
        let mut device_sum: Option<Tensor> = None;
        let mut rate = 0.0;
        let mut diverged = None;
        let gradient_inputs: Vec<Tensor> = if chain.is_none() {
            net.parameters().iter().map(|(_, tensor)| tensor.shallow_clone()).collect()
        } else {
            Vec::new()
        };
        let result = loader::epoch(rows, targets, sizes, order, |batch, batch_targets| {
            // The rate depends on the steps done, which are saved, and on nothing else: a resumed run needs no more.
            rate = timetable.rate(optimiser.steps());
            let count = batch.size()[0] as usize;
            let mut autograd = Vec::new();
            let loss = match chain {
                Some(chain) => chain.step(batch, batch_targets, recipe.objective, dropout)?,
                None => {
                    let outputs = net.forward(batch, &mut Pass::Train(dropout))?;
                    let loss = recipe.objective.mean(&outputs, batch_targets)?;
                    autograd = Tensor::f_run_backward(&[&loss], &gradient_inputs, false, false)
                        .during(|| "the pass backward".to_owned())?;
                    contiguous(&mut autograd)?;
                    if on_cpu {
                        f64::from(raw::floats(&loss)[0])
                    } else {
                        // Read once an epoch, because reading waits for the device. The price: on a device a loss that is no
                        // number is found at the end of the epoch, not at its step.
                        let add = || -> Result<Tensor, tch::TchError> {
                            let loss = loss.f_detach()?.f_mul_scalar(count as f64)?;
                            match &device_sum {
                                Some(sum) => sum.f_add(&loss),
                                None => Ok(loss),
                            }
                        };
                        device_sum = Some(add().during(|| "adding up the loss".to_owned())?);
                        0.0
                    }
                }
            };
            // Before the optimiser's step: the weights are still those that gave this loss, and the message can name the
            // layer that failed.
            if !loss.is_finite() {
                // A batch is a view of a block that the loader overwrites, so the rows are copied.
                let rows = batch.f_copy_of()?;
                diverged = Some(Diverged { epoch: number, step: step + 1, loss, rate, rows });
                return Err(Fault::error(contract::code!("train::nan_loss"), "the loss is not a number"));
            }
            let gradients = chain.as_ref().map_or(autograd.as_slice(), Chain::gradients);
            optimiser.step(parameters, gradients, rate, recipe.gradient_clip)?;
            step += 1;
            done += count;
            sum += loss * count as f64;
            watch(done, sum);
            Ok(())
        });
        // First `diverged`, then `result`: the closure also failed, but only to leave the loop.
        if let Some(diverged) = diverged {
            return Err(Stop::Diverged(diverged));
        }
        result?;
        if let Some(device_sum) = device_sum {
            sum = f64::try_from(&device_sum).during(|| "reading the loss".to_owned())?;
            if !sum.is_finite() {
                let rows = rows.f_copy_of()?;
                return Err(Stop::Diverged(Diverged { epoch: number, step, loss: sum, rate, rows }));
            }
        }
        // Once an epoch, after the last step: the mean of the vectors changes with every one of them.
        self.net.settle(rows)?;
        // The last assignment: a failed epoch does not count.
        self.epoch = number;
        Ok(Epoch { number, loss: sum / done.max(1) as f64, rate })
    }

    /// Everything that decides how training goes on, as safetensors bytes with one metadata entry.
    ///
    /// # Errors
    /// When libtorch cannot copy.
    pub fn save(&self) -> Outcome<Vec<u8>> {
        self.save_with(&Extra::default())
    }

    /// The same, with what the caller keeps beside the trainer.
    ///
    /// # Errors
    /// When libtorch cannot copy.
    pub fn save_with(&self, extra: &Extra) -> Outcome<Vec<u8>> {
        let saved = Saved {
            format: FORMAT,
            epoch: self.epoch,
            step: self.optimiser.steps(),
            order: self.order.state(),
            dropout: self.dropout.state(),
            extra: extra.json.clone(),
        };
        let broken = |what: String| {
            Fault::error(contract::code!("train::state"), format!("the training cannot be saved: {what}"))
        };
        let json = serde_json::to_string(&saved).map_err(|error| broken(error.to_string()))?;
        // Sorted by name, and one metadata entry only: safetensors writes several in the order of a hash map.
        let mut tensors = BTreeMap::new();
        for (name, tensor) in self.net.state()? {
            tensors.insert(format!("net.{name}"), tensor);
        }
        for (name, tensor) in self.optimiser.tensors() {
            tensors.insert(format!("optimiser.{name}"), crate::network::copy(tensor, Device::Cpu)?);
        }
        for (name, tensor) in &extra.tensors {
            tensors.insert(format!("extra.{name}"), crate::network::copy(tensor, Device::Cpu)?);
        }
        let mut views = Vec::with_capacity(tensors.len());
        for (name, tensor) in &tensors {
            let shape = tensor.size().iter().map(|side| *side as usize).collect();
            let view =
                TensorView::new(Dtype::F32, shape, raw::bytes(tensor)).map_err(|error| broken(error.to_string()))?;
            views.push((name.as_str(), view));
        }
        serialize(views, Some(HashMap::from([(ENTRY.to_owned(), json)]))).map_err(|error| broken(error.to_string()))
    }

    /// Takes a saved state: weights, optimiser, place in the schedule, random streams.
    ///
    /// # Errors
    /// `train::state` when it is damaged or of another network.
    pub fn resume(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.resume_with(bytes).map(drop)
    }

    /// The same, giving back what was saved beside it.
    ///
    /// # Errors
    /// `train::state` when it is damaged or of another network.
    pub fn resume_with(&mut self, bytes: &[u8]) -> Outcome<Extra> {
        let broken = |what: String| {
            Fault::error(
                contract::code!("train::state"),
                format!("the saved state of the training cannot be read: {what}"),
            )
            .help("it is damaged or of another version; training starts again without it")
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| broken(error.to_string()))?;
        let json = metadata.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
        let json = json.ok_or_else(|| broken("no metadata".to_owned()))?;
        let saved: Saved = serde_json::from_str(json).map_err(|error| broken(error.to_string()))?;
        if saved.format != FORMAT {
            return Err(broken(format!("format {}", saved.format)));
        }
        let archive = SafeTensors::deserialize(bytes).map_err(|error| broken(error.to_string()))?;
        let find = |name: &str| -> Option<Tensor> {
            let view = archive.tensor(name).ok()?;
            let size: Vec<i64> = view.shape().iter().map(|side| *side as i64).collect();
            Tensor::f_from_data_size(view.data(), &size, Kind::Float).ok()
        };
        let mut state = BTreeMap::new();
        for name in self.net.state()?.into_keys() {
            let tensor = find(&format!("net.{name}")).ok_or_else(|| broken(format!("no `{name}`")))?;
            state.insert(name, tensor);
        }
        let stream = |state: &RandomState| Random::resume(state).ok_or_else(|| broken("its random state".to_owned()));
        // Everything is read and checked before anything is changed: a damaged state leaves the trainer as it was, except
        // where the optimiser's own tensors are missing.
        let (order, dropout) = (stream(&saved.order)?, stream(&saved.dropout)?);
        self.net.set_state(&state)?;
        self.optimiser.restore(saved.step, |name| find(&format!("optimiser.{name}")))?;
        (self.order, self.dropout, self.epoch) = (order, dropout, saved.epoch);
        let mut extra = Extra { json: saved.extra, tensors: BTreeMap::new() };
        for name in archive.names() {
            if let Some(short) = name.strip_prefix("extra.")
                && let Some(tensor) = find(name)
            {
                extra.tensors.insert(short.to_owned(), tensor);
            }
        }
        Ok(extra)
    }
}

/// Our optimiser reads gradients as slices, and autograd may return a transposed view.
fn contiguous(gradients: &mut [Tensor]) -> Outcome<()> {
    for gradient in gradients {
        if !gradient.is_contiguous() {
            *gradient = gradient.f_contiguous().during(|| "arranging a gradient".to_owned())?;
        }
    }
    Ok(())
}

/// A copy that outlives the block a batch is a view of.
trait CopyOf {
    fn f_copy_of(&self) -> Outcome<Tensor>;
}

impl CopyOf for Tensor {
    fn f_copy_of(&self) -> Outcome<Tensor> {
        crate::network::copy(self, self.device())
    }
}
