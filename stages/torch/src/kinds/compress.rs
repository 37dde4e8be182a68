//! The kind `compress`: prune, fine-tune, quantise, judge, keep the budget, and say what it cost.
//!
//! The report compares three models on the same rows: the one that came in, the one that goes out, and the control, a net of the
//! pruned size trained from scratch with the model's own recipe and then quantised the same way. Latencies are observations:
//! they are kept beside the record and never enter the report's bytes.

use std::collections::BTreeMap;

use catalog::columns::lineage;
use catalog::kinds::compress::params::{Compress, Prune, Quantize};
use catalog::kinds::evaluate::params::Metric;
use catalog::kinds::train::params::{Cosine, Optimizer, Schedule};
use catalog::network::Network;
use contract::artifact::{ArtifactKind, ArtifactType, DatasetLineage, Task};
use contract::fault::{Fault, Faults};
use contract::route;
use contract::worker::Channel;
use contract::worker::protocol::{Finished, Progress, RunRequest};
use model::array::Weights;
use model::bundle::{Bundle, Description, Stored};
use model::dataset::{Dataset, empty};
use model::encode::Encoded;
use model::file::write_json;
use model::fold::fold;
use model::int8::store;
use model::predict;
use model::random::{Purpose, Random};
use model::room::Room;
use model::target::Targets;
use model::verdict::judge;
use serde::Serialize;
use serde_json::{Value, json};
use tch::Tensor;

use crate::bundle::predictor;
use crate::device::Device;
use crate::fault::{During, Outcome};
use crate::fit::loader;
use crate::fit::optimizer;
use crate::fit::trainer::{Recipe, Stop, Trainer};
use crate::network::{self, Net};
use crate::raw::{self, Lent, Owner};
use crate::request::{decode, input, output};
use crate::shrink::latency;
use crate::shrink::prune::{self, Group};
use crate::shrink::quantize::{calibration_rows, quantize};
use crate::weights::{tensors_of, weights_of};

/// Carries the stage out.
///
/// # Errors
/// Everything that is wrong with the model or the data, and `compress::over_budget`.
pub fn run(request: &RunRequest, device: Device, channel: &Channel) -> Result<Finished, Faults> {
    let one = |fault: Fault| vec![fault];
    let params: Compress = decode(request)?;
    let model_input = input(request, "model")?;
    let bundle = Bundle::read(&model_input.path, "model").map_err(one)?;
    if bundle.description.quantisation.is_some() {
        return Err(Faults::from(one(Fault::error(
            contract::code!("compress::already_quantised"),
            "this model is in 8 bits already",
        )
        .help("compress the model it was made from, with `prune` and `quantize` in one stage")
        .at(route!["inputs", "model"]))));
    }
    let mut data = Part::open(request, "calibrate", &bundle.description)?;
    if bundle.description.encoders.tell_answers() && data.targets.is_some() && !set_apart(request) {
        let at = |fault: Fault| if fault.route.is_some() { fault } else { fault.at(route!["inputs", "calibrate"]) };
        let lessons =
            bundle.description.encoders.encode_training(&data.data, &bundle.description.target, Room::of(request));
        data.lessons = Some(lent(lessons.map_err(|faults| faults.into_iter().map(at).collect::<Vec<_>>())?)?);
    }
    let check = match request.inputs.contains_key("check") {
        true => Some(Part::open(request, "check", &bundle.description)?),
        false => None,
    };
    let mut work = Work {
        request,
        params: &params,
        device,
        channel,
        description: &bundle.description,
        data: &data,
        check: check.as_ref().unwrap_or(&data),
        steps: Vec::new(),
        done: 0,
        total: 0,
        control: false,
    };
    let result = work.compress(&bundle, std::fs::metadata(&model_input.path).map_or(0, |file| file.len()))?;

    result.bundle.write(output(request, "model")?).map_err(one)?;
    write_json(output(request, "report")?, &result.report).map_err(one)?;
    let mut model = model_input.artifact.model().cloned().unwrap_or_default();
    let made = result.bundle.artifact();
    (model.parameters, model.operations) = (made.parameters, made.operations);
    if model.inputs.is_empty() {
        (model.inputs, model.target, model.task) = (made.inputs, made.target, made.task);
    }
    let rows = request.inputs.get("calibrate").and_then(|input| input.artifact.dataset());
    let rows = rows.map(DatasetLineage::from).unwrap_or_default();
    if !rows.is_empty() && rows != model.fitted_on && !model.tuned_on.contains(&rows) {
        model.tuned_on.push(rows);
    }
    let mut warnings = Vec::new();
    if check.is_none() {
        warnings.push(
            Fault::warning(
                contract::code!("compress::judged_on_calibration_rows"),
                "the loss is measured on the rows of `calibrate`, which the model was fitted on: it looks smaller than it is",
            )
            .help("connect rows the model has not seen, for example `check: parts.validation`")
            .at(route!["inputs"]),
        );
    }
    Ok(Finished {
        types: BTreeMap::from([
            ("model".to_owned(), ArtifactType::Model(model.into())),
            ("report".to_owned(), ArtifactType::Other(ArtifactKind::Report)),
        ]),
        observations: result.observations,
        summary: result.summary,
        unmet: Vec::new(),
        warnings,
    })
}

/// Whether the rows of `calibrate` are known to be none of those the model was fitted on.
fn set_apart(request: &RunRequest) -> bool {
    let artifact = |port: &str| request.inputs.get(port).map(|input| &input.artifact);
    let fitted_on = artifact("model").and_then(ArtifactType::model).map(|model| &model.fitted_on);
    let rows = artifact("calibrate").and_then(ArtifactType::dataset).map(DatasetLineage::from);
    match (fitted_on, rows) {
        (Some(fitted_on), Some(rows)) if !fitted_on.is_empty() && !rows.is_empty() => {
            !lineage::overlap(fitted_on, &rows)
        }
        _ => false,
    }
}

/// A data set, encoded as the model wants it.
struct Part {
    data: Dataset,
    rows: Lent<Encoded>,
    /// The rows to learn from where they are encoded otherwise: rows the model was fitted on would be told their own answers by
    /// a `target` encoding, so they get it from the folds they are not in, as in training.
    lessons: Option<Lent<Encoded>>,
    /// Absent when the data has no target column (ranges can be measured without).
    targets: Option<Lent<Targets>>,
}

impl Part {
    fn open(request: &RunRequest, port: &str, description: &Description) -> Result<Self, Faults> {
        let at = |fault: Fault| if fault.route.is_some() { fault } else { fault.at(route!["inputs", port]) };
        let data = Dataset::open(&input(request, port)?.path, port).map_err(|fault| vec![at(fault)])?;
        if data.rows() == 0 {
            return Err(at(empty(port)).into());
        }
        let room = Room::of(request);
        let rows = description.encoders.encode(&data, room);
        let rows = rows.map_err(|faults| faults.into_iter().map(at).collect::<Vec<_>>())?;
        let has_target = data.columns().iter().any(|column| column.name == description.target.column.name);
        let targets = match has_target {
            true => Some(lent(description.target.encode(&data, room).map_err(|fault| vec![at(fault)])?)?),
            false => None,
        };
        Ok(Self { data, rows: lent(rows)?, lessons: None, targets })
    }

    fn count(&self) -> usize {
        self.data.rows()
    }

    /// The rows to learn from.
    fn lessons(&self) -> &Tensor {
        self.lessons.as_ref().unwrap_or(&self.rows).tensor()
    }

    /// At most `count` rows spread evenly over the part, and their targets.
    fn spread(&self, count: usize) -> Outcome<(Tensor, Option<Tensor>)> {
        self.spread_of(self.rows.tensor(), count)
    }

    /// The same of one of its encodings.
    fn spread_of(&self, rows: &Tensor, count: usize) -> Outcome<(Tensor, Option<Tensor>)> {
        let all = self.count();
        let what = || "taking calibration rows".to_owned();
        if count >= all {
            let rows = network::copy(rows, tch::Device::Cpu)?;
            return Ok((rows, self.targets.as_ref().map(|targets| targets.tensor().shallow_clone())));
        }
        let places: Vec<i64> = (0..count).map(|place| (place * all / count) as i64).collect();
        let places = Tensor::f_from_slice(&places).during(what)?;
        let pick = |tensor: &Tensor| tensor.f_index_select(0, &places).during(what);
        Ok((pick(rows)?, self.targets.as_ref().map(|targets| pick(targets.tensor())).transpose()?))
    }
}

/// A tensor over encoded rows or targets.
fn lent<O: Owner>(owner: O) -> Result<Lent<O>, Faults> {
    Lent::new(owner).during(|| "laying a tensor over encoded rows".to_owned()).map_err(Faults::from)
}

/// What a model costs and is worth.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    /// Of its file.
    bytes: u64,
    parameters: u64,
    operations: u64,
    metrics: BTreeMap<String, f64>,
}

struct Compressed {
    bundle: Bundle,
    report: Value,
    observations: Value,
    summary: BTreeMap<String, f64>,
}

struct Work<'a> {
    request: &'a RunRequest,
    params: &'a Compress,
    device: Device,
    channel: &'a Channel,
    description: &'a Description,
    data: &'a Part,
    check: &'a Part,
    /// What was done, in order, for the report.
    steps: Vec<Value>,
    /// Epochs trained, of all that will be.
    done: u64,
    total: u64,
    /// Whether it is the control that is being made: it adds no steps to the report.
    control: bool,
}

impl Work<'_> {
    fn compress(&mut self, bundle: &Bundle, bytes: u64) -> Result<Compressed, Faults> {
        let one = |fault: Fault| vec![fault];
        let control = self.params.control && self.params.prune.is_some();
        let finetune = self.params.prune.as_ref().map_or(0, |prune| prune.rounds.max(1) * prune.finetune.epochs);
        let from_scratch = if control { self.description.training.params.epochs } else { 0 };
        self.total = u64::from(finetune) + u64::from(from_scratch);
        if self.total > 0 {
            self.targets(self.data).map_err(one)?;
        }
        self.targets(self.check).map_err(one)?;

        let before = Measured { bytes, ..self.measured(bundle).map_err(one)? };
        let weights = bundle.weights();
        let (network, weights) = match &self.params.prune {
            Some(prune) => self.prune(prune, &bundle.description.network, weights)?,
            None => (bundle.description.network.clone(), weights),
        };
        let small = self.finished(&network, &weights).map_err(one)?;
        let after = self.measured(&small).map_err(one)?;
        if self.params.quantize.is_some() {
            self.step(json!({ "step": "quantize", "bytes": after.bytes, "metrics": after.metrics }));
        }
        self.within_budget(bundle, &before, &after).map_err(one)?;
        let control = match control {
            true => Some(self.control(&network).map_err(one)?),
            false => None,
        };

        let observations = self.observe(bundle, &network, &weights, &small).map_err(one)?;
        let name = self.headline();
        let drop = before.metrics[name] - after.metrics[name];
        self.channel.info(format!(
            "{} bytes to {} ({:.1} times fewer), {name} {:.4} to {:.4}",
            before.bytes,
            after.bytes,
            before.bytes as f64 / after.bytes.max(1) as f64,
            before.metrics[name],
            after.metrics[name],
        ));
        let summary = BTreeMap::from([
            ("bytes".to_owned(), after.bytes as f64),
            ("times_smaller".to_owned(), before.bytes as f64 / after.bytes.max(1) as f64),
            (name.to_owned(), after.metrics[name]),
            (format!("{name}_drop"), drop),
        ]);
        let report = json!({
            "judged_on": { "port": self.check.data.name(), "rows": self.check.count() },
            "before": before,
            "after": after,
            "control": control,
            "steps": self.steps,
        });
        Ok(Compressed { bundle: small, report, observations, summary })
    }

    /// The targets of a part: learning and judging need them.
    fn targets<'b>(&self, part: &'b Part) -> Outcome<&'b Tensor> {
        part.targets.as_ref().map(Lent::tensor).ok_or_else(|| {
            let name = &self.description.target.column.name;
            Fault::error(
                contract::code!("compress::no_target"),
                format!("the data at `{}` has no column `{name}`, which the model predicts", part.data.name()),
            )
            .help("connect rows with the answers: pruning learns from them, and the loss is measured with them")
            .at(route!["inputs", part.data.name()])
        })
    }

    fn headline(&self) -> &'static str {
        match self.description.task {
            Task::Classification => "accuracy",
            Task::Regression => "r2",
        }
    }

    fn step(&mut self, step: Value) {
        if !self.control {
            self.steps.push(step);
        }
    }

    // --- judging ----------------------------------------------------------------------------------------------------

    fn measured(&self, bundle: &Bundle) -> Outcome<Measured> {
        let metrics = self.metrics(bundle)?;
        let made = bundle.artifact();
        Ok(Measured {
            bytes: bundle.to_bytes()?.len() as u64,
            parameters: made.parameters.unwrap_or(0),
            operations: made.operations.unwrap_or(0),
            metrics,
        })
    }

    fn metrics(&self, bundle: &Bundle) -> Outcome<BTreeMap<String, f64>> {
        let wanted: &[Metric] = match self.description.task {
            Task::Classification => &[Metric::Accuracy, Metric::F1, Metric::LogLoss],
            Task::Regression => &[Metric::R2, Metric::Rmse, Metric::Mae],
        };
        let predictor = predictor(bundle, self.device.torch())?;
        let outputs = predict::all(predictor.as_ref(), self.check.rows.owner().values())?;
        let verdict = judge(&outputs, &self.description.target, &self.check.data, wanted)?;
        let mut numbers = verdict.numbers;
        numbers
            .retain(|name, _| !name.contains(".class.") && !name.ends_with(".micro") && !name.ends_with(".weighted"));
        // One row has no R².
        numbers.entry(self.headline().to_owned()).or_insert(0.0);
        Ok(numbers)
    }

    fn metrics_of(&self, network: &Network, weights: &Weights) -> Outcome<BTreeMap<String, f64>> {
        self.metrics(&self.real(network, weights))
    }

    /// A bundle in float32.
    fn real(&self, network: &Network, weights: &Weights) -> Bundle {
        let description = Description { network: network.clone(), quantisation: None, ..self.description.clone() };
        Bundle {
            description,
            tensors: weights.iter().map(|(name, array)| (name.clone(), Stored::from(array))).collect(),
        }
    }

    /// The bundle that goes out: quantised when that is asked for.
    fn finished(&self, network: &Network, weights: &Weights) -> Outcome<Bundle> {
        let Some(Quantize::Int8(mode)) = self.params.quantize else {
            return Ok(self.real(network, weights));
        };
        let folded = fold(network, weights)?;
        let (rows, _) = self.data.spread(calibration_rows(&folded.network, self.data.count()))?;
        let quantized = quantize(&folded, &rows, mode)?;
        let (tensors, quantisation) = store::tensors(&quantized)?;
        let description =
            Description { network: quantized.network, quantisation: Some(quantisation), ..self.description.clone() };
        Ok(Bundle { description, tensors })
    }

    fn observe(&self, before: &Bundle, network: &Network, weights: &Weights, after: &Bundle) -> Outcome<Value> {
        let rows = self.check.spread(latency::BATCHES.into_iter().max().unwrap_or(1))?.0;
        let time = |bundle: &Bundle| -> Outcome<Value> {
            let predictor = predictor(bundle, self.device.torch())?;
            Ok(json!(latency::measure(predictor.as_ref(), raw::floats(&rows))?))
        };
        let mut latency = json!({ "before": time(before)?, "after": time(after)? });
        if self.params.quantize.is_some() {
            // The same shapes in float32: what the 8 bits alone are worth.
            latency["after_float32"] = time(&self.real(network, weights))?;
        }
        Ok(json!({ "latency_us": latency }))
    }

    // --- pruning ----------------------------------------------------------------------------------------------------

    fn prune(&mut self, prune: &Prune, network: &Network, weights: Weights) -> Result<(Network, Weights), Faults> {
        let one = |fault: Fault| vec![fault];
        let original: BTreeMap<String, usize> =
            prune::groups(network).into_iter().map(|group| (group.producer, group.channels)).collect();
        if original.is_empty() {
            return Err(Faults::from(one(prune::nothing().at(route!["prune"]))));
        }
        let rounds = prune.rounds.max(1);
        let (mut network, mut weights) = (network.clone(), weights);
        for round in 1..=rounds {
            // Every round keeps the same share of what the one before left.
            let share = 1.0 - (1.0 - prune.structured).powf(f64::from(round) / f64::from(rounds));
            let groups = prune::groups(&network);
            let counts = groups
                .iter()
                .map(|group| {
                    let kept = prune::kept_count(original[&group.producer], share).min(group.channels);
                    (group.producer.clone(), kept)
                })
                .collect();
            let importance = self.importance(prune, &groups, &network, &weights).map_err(one)?;
            let kept = prune::choose(&groups, &importance, &counts);
            (network, weights) = prune::remove(&network, &weights, &groups, &kept).map_err(one)?;
            let cut = self.metrics_of(&network, &weights).map_err(one)?;
            let label =
                if rounds > 1 { format!("fine-tuning, round {round} of {rounds}") } else { "fine-tuning".to_owned() };
            weights = self.finetune(prune, &label, round, &network, &weights).map_err(one)?;
            let tuned = self.metrics_of(&network, &weights).map_err(one)?;
            let widths: BTreeMap<&str, usize> = kept.iter().map(|(name, kept)| (name.as_str(), kept.len())).collect();
            self.step(json!({
                "step": "prune",
                "share": share,
                "widths": widths,
                "parameters": network.parameters(),
                "operations": network.operations(),
                "metrics": cut,
                "finetuned": tuned,
            }));
        }
        Ok((network, weights))
    }

    fn importance(
        &self,
        prune: &Prune,
        groups: &[Group],
        network: &Network,
        weights: &Weights,
    ) -> Outcome<prune::Importance> {
        if !prune::needs_rows(prune.criterion) {
            return prune::l2(groups, weights);
        }
        let (rows, targets) = self.data.spread_of(self.data.lessons(), prune::TAYLOR_ROWS as usize)?;
        let targets = targets.unwrap_or_else(|| Tensor::from_slice::<i64>(&[]));
        prune::taylor(groups, network, weights, self.description.task, &rows, &targets)
    }

    fn finetune(
        &mut self,
        prune: &Prune,
        label: &str,
        round: u32,
        network: &Network,
        weights: &Weights,
    ) -> Outcome<Weights> {
        let epochs = prune.finetune.epochs;
        if epochs == 0 {
            return Ok(weights.clone());
        }
        let mut recipe = Recipe::of(&self.description.training.params, self.description.task)?;
        let rate = prune.finetune.lr.unwrap_or_else(|| optimizer::rate(&recipe.optimizer) / 3.0);
        set_rate(&mut recipe.optimizer, rate);
        recipe.schedule = Schedule::Cosine(Cosine::default());
        recipe.epochs = epochs;
        let net = Net::from_tensors(network, tensors_of(weights)?, self.device.torch())?;
        // Every round goes through the rows in another order.
        let seed = self.request.seed.wrapping_add(u64::from(round));
        let net = self.fit(label, net, recipe, epochs, seed).map_err(|fault| {
            if fault.code == contract::code!("compress::diverged") {
                fault.at(route!["prune", "finetune"])
            } else {
                fault
            }
        })?;
        weights_of(&net.state()?)
    }

    /// Trains on the calibration part.
    fn fit(&mut self, label: &str, net: Net, recipe: Recipe, epochs: u32, seed: u64) -> Outcome<Net> {
        let device = self.device.torch();
        let rows = loader::to_device(self.data.lessons(), device)?;
        let targets = loader::to_device(self.targets(self.data)?, device)?;
        let mut trainer = Trainer::new(net, recipe, seed, self.data.count())?;
        for _ in 0..epochs {
            let epoch = match trainer.epoch(&rows, &targets, |_, _| ()) {
                Ok(epoch) => epoch,
                Err(Stop::Failed(fault)) => return Err(fault),
                Err(Stop::Diverged(diverged)) => {
                    return Err(Fault::error(
                        contract::code!("compress::diverged"),
                        format!(
                            "{label}: the loss is no number after {} epochs at a learning rate of {:.1e}",
                            diverged.epoch, diverged.rate
                        ),
                    )
                    .help("use a smaller `lr` under `prune.finetune`"));
                }
            };
            self.done += 1;
            self.channel.progress(Progress {
                done: self.done,
                total: Some(self.total),
                unit: "epoch".to_owned(),
                message: format!("{label}: loss {:.4}", epoch.loss),
                rate: None,
            });
            self.channel.metric(if self.control { "control.loss" } else { "loss" }, self.done, epoch.loss);
        }
        Ok(trainer.into_net())
    }

    /// A net of the pruned size, trained from scratch with the model's own recipe.
    fn control(&mut self, network: &Network) -> Outcome<Measured> {
        self.control = true;
        let params = &self.description.training.params;
        let recipe = Recipe::of(params, self.description.task)?;
        let mut random = Random::new(self.request.seed, Purpose::Control);
        let net = Net::fresh(network, &mut random, self.device.torch())?;
        let net = self.fit("control, from scratch", net, recipe, params.epochs, self.request.seed)?;
        let weights = weights_of(&net.state()?)?;
        self.measured(&self.finished(network, &weights)?)
    }

    // --- the budget -------------------------------------------------------------------------------------------------

    fn within_budget(&self, bundle: &Bundle, before: &Measured, after: &Measured) -> Outcome<()> {
        let Some(budget) = &self.params.budget else { return Ok(()) };
        let name = self.headline();
        let drop = before.metrics[name] - after.metrics[name];
        if let Some(limit) = budget.accuracy_drop
            && drop > limit + 1e-12
        {
            return Err(Fault::error(
                contract::code!("compress::over_budget"),
                format!(
                    "{name} on `{}` drops by {drop:.4} ({:.4} to {:.4}), allowed are {limit}",
                    self.check.data.name(),
                    before.metrics[name],
                    after.metrics[name],
                ),
            )
            .help(self.what_would_fit(bundle, before, limit)?)
            .at(route!["budget", "accuracy_drop"]));
        }
        if let Some(limit) = budget.bytes
            && after.bytes > limit
        {
            let needed = 1.0 - (limit as f64 / after.bytes as f64).sqrt();
            let share = self.params.prune.as_ref().map_or(0.0, |prune| prune.structured);
            let wanted = 1.0 - (1.0 - share) * (1.0 - needed);
            let help = match self.params.quantize {
                None => "add `quantize: { int8: static }`: weights become a quarter".to_owned(),
                Some(_) if wanted < 0.95 => {
                    format!(
                        "a share of about {:.2} under `prune.structured` would fit",
                        (wanted * 100.0).ceil() / 100.0
                    )
                }
                Some(_) => "train a smaller model".to_owned(),
            };
            return Err(Fault::error(
                contract::code!("compress::over_budget"),
                format!("the compressed model has {} bytes, allowed are {limit}", after.bytes),
            )
            .help(help)
            .at(route!["budget", "bytes"]));
        }
        Ok(())
    }

    /// What of the things already tried, or of a cheap try, keeps the limit.
    fn what_would_fit(&self, bundle: &Bundle, before: &Measured, limit: f64) -> Outcome<String> {
        let name = self.headline();
        let mut found = Vec::new();
        let mut tried = self.steps.iter().filter(|step| step["step"] == "prune").collect::<Vec<_>>();
        tried.reverse();
        for step in tried {
            let drop = before.metrics[name] - step["finetuned"][name].as_f64().unwrap_or(f64::NEG_INFINITY);
            let share = step["share"].as_f64().unwrap_or(0.0);
            if drop <= limit {
                found.push(format!("pruning a share of {share:.2} without 8 bits drops {drop:.4}"));
                break;
            }
        }
        if self.params.prune.is_some() && self.params.quantize.is_some() {
            let weights = bundle.weights();
            let whole = self.finished(&bundle.description.network, &weights)?;
            let drop = before.metrics[name] - self.metrics(&whole)?[name];
            if drop <= limit {
                let bytes = whole.to_bytes()?.len();
                found.push(format!("8 bits without pruning drop {drop:.4} ({bytes} bytes)"));
            }
        }
        let advice = "allow a larger drop, prune a smaller share, in more `rounds`, or with more `finetune.epochs`";
        Ok(if found.is_empty() { advice.to_owned() } else { format!("{}; or {advice}", found.join("; ")) })
    }
}

fn set_rate(rule: &mut Optimizer, rate: f64) {
    match rule {
        Optimizer::Sgd(options) => options.lr = rate,
        Optimizer::Adam(options) => options.lr = rate,
        Optimizer::Adamw(options) => options.lr = rate,
    }
}

#[cfg(test)]
mod tests;
