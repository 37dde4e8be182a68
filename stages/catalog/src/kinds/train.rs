//! `train`: weights fitted to the training part.

pub mod params;

use contract::artifact::{
    ArtifactKind, ArtifactType, Column, DType, DatasetLineage, DatasetType, Mixed, ModelType, Role, Task,
};
use contract::fault::{Code, Fault, Faults, Route, suggest};
use contract::kind::{
    About, DeclaredInput, DeclaredOutput, InferContext, Inference, InputPort, Kind, Look, OutputPort, Program, Stage,
    input_ports, output_ports,
};
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::columns::features::{self, Features};
use crate::columns::lineage;
use crate::kinds::train::params::{EncodedFeature, Encoder, Feature, Loss, Optimizer, Schedule, StoppingMetric, Train};
use crate::metric::task_name;
use crate::network::{Network, Op};
use crate::params::network::{Layer, Model};
use crate::params::typed::{decode, encode, sound};

/// A whole-number target of more distinct values than this is a quantity unless the document says otherwise.
pub const MOST_CLASSES: u64 = 100;

/// The input ports.
const INPUTS: &[DeclaredInput] = &[
    DeclaredInput::required("train", &[ArtifactKind::Dataset], "The rows to learn from."),
    DeclaredInput::optional(
        "validation",
        &[ArtifactKind::Dataset],
        "Rows to watch while learning; early stopping wants them.",
    ),
];

/// The output ports.
const OUTPUTS: &[DeclaredOutput] = &[
    DeclaredOutput::new("model", ArtifactKind::Model, "Weights, architecture and fitted encoders in one file."),
    DeclaredOutput::new(
        "metrics",
        ArtifactKind::Metrics,
        "The history: losses, validation metrics and learning rate of every epoch.",
    ),
];

/// The kind.
pub struct TrainKind;

impl Kind for TrainKind {
    fn name(&self) -> &'static str {
        "train"
    }

    fn version(&self) -> u32 {
        1
    }

    fn program(&self) -> Program {
        Program::Torch
    }

    fn seeded(&self) -> bool {
        true
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Train::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Trains a model on the training part. Whatever is fitted (means and deviations, vocabularies, weights) is \
                      fitted on that part alone and travels inside the model, so a served model takes raw rows. The task \
                      follows from the target's type: text, true/false and integers of at most 100 values are classes, other \
                      numbers are predicted as such.",
            inputs: INPUTS,
            outputs: OUTPUTS,
            example: "model:\n  kind: train\n  inputs: { train: parts.train, validation: parts.validation }\n  target: label\n  model: { cnn: { channels: [16, 32] } }\n  optimizer: { adamw: { lr: 0.002 } }\n  schedule: one_cycle\n  epochs: 30\n  early_stopping: { patience: 5 }\n",
        }
    }

    fn look(&self) -> Look {
        Look::of_hue(340)
    }

    fn synonyms(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("learning_rate", "lr"),
            ("learning-rate", "lr"),
            ("learningrate", "lr"),
            ("rate", "lr"),
            ("l2", "weight_decay"),
            ("decay", "weight_decay"),
            ("epsilon", "eps"),
            ("dropout_rate", "dropout"),
            ("batchsize", "batch_size"),
            ("batch", "batch_size"),
            ("n_epochs", "epochs"),
            ("num_epochs", "epochs"),
            ("max_epochs", "epochs"),
            ("iterations", "epochs"),
            ("optimiser", "optimizer"),
            ("scheduler", "schedule"),
            ("lr_scheduler", "schedule"),
            ("criterion", "loss"),
            ("clip", "gradient_clip"),
            ("grad_clip", "gradient_clip"),
            ("label", "target"),
            ("y", "target"),
            ("output", "target"),
            ("hidden_sizes", "hidden"),
            ("hidden_layers", "hidden"),
            ("hidden_size", "hidden"),
            ("filters", "channels"),
            ("kernel_size", "kernel"),
            ("out_features", "units"),
            ("out_channels", "channels"),
        ]
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        let mut params: Train = decode(params)?;
        if let Some(Model::Layers(layers)) = &mut params.model {
            layers.iter_mut().for_each(settle);
        }
        let faults = check(&params);
        sound(Box::new(TrainStage(params)), faults)
    }
}

/// Writes out the defaults of a layer that follow from its other options.
fn settle(layer: &mut Layer) {
    match layer {
        Layer::Conv2d(conv) => {
            conv.padding.get_or_insert((conv.kernel.max(1) - 1) / 2);
        }
        Layer::MaxPool2d(pool) | Layer::AvgPool2d(pool) => {
            pool.stride.get_or_insert(pool.size);
        }
        Layer::Residual(inner) => inner.iter_mut().for_each(settle),
        _ => {}
    }
}

/// What is wrong whatever the data.
fn check(params: &Train) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Optimizer::Sgd(sgd) = &params.optimizer
        && sgd.nesterov
        && sgd.momentum == 0.0
    {
        faults.push(
            Fault::error(contract::code!("train::nesterov"), "`nesterov` looks ahead along the momentum, which is 0")
                .help("set `momentum: 0.9`, or leave `nesterov` out")
                .at(route!["optimizer", "sgd", "nesterov"]),
        );
    }
    match &params.schedule {
        Schedule::Cosine(cosine) if cosine.warmup > f64::from(params.epochs) => faults.push(
            Fault::error(
                contract::code!("train::warmup"),
                format!("the warm-up takes {} epochs, the training {}", cosine.warmup, params.epochs),
            )
            .help("the warm-up is counted in epochs and lies inside the training")
            .at(route!["schedule", "cosine", "warmup"]),
        ),
        _ => {}
    }
    if let (Some(Loss::CrossEntropy(_)), Some(Task::Regression)) | (Some(Loss::Mse(_)), Some(Task::Classification)) =
        (&params.loss, params.task)
    {
        faults.extend(params.task.and_then(|task| loss_fault(params, task)));
    }
    for (index, feature) in params.features.iter().flatten().enumerate() {
        if let Feature::Encoded(EncodedFeature { encode: Encoder::TfIdf(options), .. }) = feature
            && options.n[0] > options.n[1]
        {
            faults.push(
                Fault::error(
                    contract::code!("features::range"),
                    format!("`n` goes from {} down to {}", options.n[0], options.n[1]),
                )
                .help("write the shortest run first, as in `n: [1, 3]`")
                .at(route!["features", index, "encode", "tf_idf", "n"]),
            );
        }
    }
    faults
}

fn loss_fault(params: &Train, task: Task) -> Option<Fault> {
    let (loss, fitting) = match (params.loss.as_ref()?, task) {
        (Loss::CrossEntropy(_), Task::Regression) => ("cross_entropy", "mse"),
        (Loss::Mse(_), Task::Classification) => ("mse", "cross_entropy"),
        _ => return None,
    };
    Some(
        Fault::error(contract::code!("train::loss"), format!("`{loss}` does not fit {}", task_name(task)))
            .help(format!("use `loss: {fitting}`, or leave `loss` out"))
            .at(route!["loss"]),
    )
}

/// A `train` with its parameters.
pub struct TrainStage(pub Train);

impl Stage for TrainStage {
    fn params(&self) -> Value {
        encode(&self.0)
    }

    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        input_ports(INPUTS, connected)
    }

    fn outputs(&self) -> Vec<OutputPort> {
        output_ports(OUTPUTS)
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let mut faults = Vec::new();
        let validated = context.connected.contains(&"validation");
        if self.0.early_stopping.is_some() && !validated {
            faults.push(
                Fault::error(
                    contract::code!("train::no_validation"),
                    "`early_stopping` watches the input `validation`, which is not connected",
                )
                .help("connect it, for example `inputs: { train: parts.train, validation: parts.validation }`")
                .at(route!["early_stopping"]),
            );
        }
        let unknown = DatasetType::default();
        let train = context.inputs.get("train").and_then(ArtifactType::dataset).unwrap_or(&unknown);
        let mut model = ModelType { fitted_on: train.into(), ..ModelType::default() };
        if train.rows == Some(0) {
            faults.push(
                Fault::error(contract::code!("data::empty"), "the training part has no rows")
                    .help("check the steps before")
                    .at(route!["inputs", "train"]),
            );
        }
        if let Some(columns) = &train.columns {
            self.judge(columns, &mut model, &mut faults);
        } else {
            self.judge_model_alone(&mut faults);
        }
        faults.extend(lineage::mixed(&model).map(|mixed| beyond(&model, mixed)));
        if let Some(validation) = context.inputs.get("validation").and_then(ArtifactType::dataset) {
            check_validation(&model, validation, &mut faults);
        }
        let mut metrics = vec!["train.loss".to_owned()];
        if validated {
            metrics.push("validation.loss".into());
            metrics.extend((model.task == Some(Task::Classification)).then(|| "validation.accuracy".to_owned()));
        }
        let outputs = [
            ("model".to_owned(), ArtifactType::Model(model.into())),
            ("metrics".to_owned(), ArtifactType::Metrics(metrics)),
        ];
        Inference { outputs: outputs.into(), faults }
    }
}

impl TrainStage {
    /// Everything that follows from the columns: target, task, features, network.
    fn judge(&self, columns: &[Column], model: &mut ModelType, faults: &mut Vec<Fault>) {
        let target = match target(self.0.target.as_deref(), columns) {
            Ok(target) => target,
            Err(fault) => return faults.push(*fault),
        };
        let at = self.target_route();
        model.target = Some(target.clone());
        let task = match task(target, self.0.task) {
            Ok(task) => Some(task),
            Err(fault) => {
                let of_the_task = self.0.task.is_some() && fault.code == contract::code!("train::task");
                faults.push(fault.at(if of_the_task { route!["task"] } else { at.clone() }));
                None
            }
        };
        model.task = task;
        if target.nullable && task.is_some() {
            faults.push(
                Fault::warning(
                    contract::code!("train::missing_target"),
                    format!("`{}` may have missing cells, from which nothing is learned", target.name),
                )
                .help(format!("put `drop_missing: {{ columns: [{}] }}` into a `preprocess` stage", target.name))
                .at(at.clone()),
            );
        }
        let outputs = task.and_then(|task| self.check_task(target, task, &at, faults));
        match features::decide(self.0.features.as_deref(), columns, &target.name) {
            Ok(features) => {
                faults.extend(features.warnings.iter().cloned());
                model.inputs = features.raw();
                self.judge_network(&features, outputs, target, model, faults);
            }
            Err(found) => faults.extend(found),
        }
    }

    fn target_route(&self) -> Route {
        if self.0.target.is_some() { route!["target"] } else { Route::root() }
    }

    /// Faults of what depends on the task; the network's number of outputs when it is known.
    fn check_task(&self, target: &Column, task: Task, at: &Route, faults: &mut Vec<Fault>) -> Option<u64> {
        // Stated tasks were compared with the loss when the parameters were typed.
        if self.0.task.is_none() {
            faults.extend(loss_fault(&self.0, task));
        }
        if task == Task::Regression {
            if let Some(stopping) = &self.0.early_stopping
                && stopping.metric == StoppingMetric::Accuracy
            {
                faults.push(
                    Fault::error(contract::code!("train::stopping_metric"), "a regression has no accuracy to watch")
                        .help("use `metric: loss`")
                        .at(route!["early_stopping", "metric"]),
                );
            }
            return Some(1);
        }
        let count = target.classes.as_ref().map(|classes| classes.count);
        if let Some(few @ (0 | 1)) = count {
            let what = if few == 1 { "only one value" } else { "no values" };
            faults.push(
                Fault::error(
                    contract::code!("train::one_class"),
                    format!("`{}` has {what}: there is nothing to tell apart", target.name),
                )
                .help("check the filters before, or choose another target")
                .at(at.clone()),
            );
            return None;
        }
        count.or((target.dtype == DType::Bool).then_some(2))
    }

    fn judge_network(
        &self,
        features: &Features,
        outputs: Option<u64>,
        target: &Column,
        model: &mut ModelType,
        faults: &mut Vec<Fault>,
    ) {
        // A width or a class count that is not known yet stands for any: what is left to judge are the layers themselves.
        let known = features.input().zip(features.tables());
        let (shape, tables) = known.clone().unwrap_or_else(|| (vec![1], Vec::new()));
        let default = Network::default_model(&shape);
        let chosen = self.0.model.as_ref().unwrap_or(&default);
        if let (Model::Layers(layers), Some(outputs)) = (chosen, outputs)
            && let Some(Layer::Linear(last)) = layers.last()
            && u64::from(last.units) != outputs
        {
            let wanted = match model.task {
                Some(Task::Classification) => format!("`{}` has {outputs} classes", target.name),
                _ => format!("`{}` is one number", target.name),
            };
            faults.push(
                Fault::warning(
                    contract::code!("model::output"),
                    format!(
                        "the last layer gives {} values and {wanted}: an output layer is added after it",
                        last.units
                    ),
                )
                .help(format!("end with `linear: {{ units: {outputs} }}`, or put an activation after this layer"))
                .at(route!["model", "layers", layers.len() - 1]),
            );
        }
        match Network::resolve_embedded(chosen, &shape, &tables, outputs.unwrap_or(2)) {
            Ok(network) => {
                self.check_batch(&network, faults);
                if known.is_some() && features.exact() && outputs.is_some() {
                    model.parameters = Some(network.parameters());
                    model.operations = Some(network.operations());
                }
            }
            Err(found) => faults.extend(found),
        }
    }

    fn check_batch(&self, network: &Network, faults: &mut Vec<Fault>) {
        let normalises = network.walk().iter().any(|node| matches!(node.op, Op::BatchNorm(_)));
        if self.0.batch_size == 1 && normalises {
            faults.push(
                Fault::error(
                    contract::code!("train::batch_size"),
                    "batch normalisation has no deviation over a batch of 1",
                )
                .help("use a larger `batch_size`, or a model without batch normalisation")
                .at(route!["batch_size"]),
            );
        }
    }

    /// Nothing is known of the data: only layers that fit no input at all can be found.
    fn judge_model_alone(&self, faults: &mut Vec<Fault>) {
        let Some(model @ Model::Mlp(_)) = &self.0.model else { return };
        if let Err(found) = Network::resolve(model, &[1], 1) {
            faults.extend(found);
        }
    }
}

/// The column to predict: the one named, or the one with the role `target`.
///
/// # Errors
/// `train::no_target`, `train::several_targets` (nothing is named and the roles do not decide), `data::unknown_column`.
pub fn target<'a>(named: Option<&str>, columns: &'a [Column]) -> Result<&'a Column, Box<Fault>> {
    let names = || columns.iter().map(|column| column.name.as_str());
    if let Some(name) = named {
        return columns.iter().find(|column| column.name == name).ok_or_else(|| {
            let fault = Fault::error(
                contract::code!("data::unknown_column"),
                format!("there is no column `{name}` to predict"),
            );
            let help = suggest(name, names()).unwrap_or_else(|| "the data has no columns".into());
            Box::new(fault.help(help).at(route!["target"]))
        });
    }
    let targets: Vec<&Column> = columns.iter().filter(|column| column.role == Role::Target).collect();
    match targets.as_slice() {
        [one] => Ok(one),
        [] => Err(Box::new(
            Fault::error(contract::code!("train::no_target"), "nothing says which column to predict")
                .help(format!("add `target:` with one of {}", listed(names()))),
        )),
        several => Err(Box::new(
            Fault::error(
                contract::code!("train::several_targets"),
                format!("{} columns have the role `target`", several.len()),
            )
            .help(format!("add `target:` with one of {}", listed(several.iter().map(|column| column.name.as_str())))),
        )),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let more = if names.len() > 8 { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(8)].join(", "))
}

/// What kind of prediction a target asks for. Stated or, by its type: classes for text, true/false and integers of
/// at most [`MOST_CLASSES`] known values, else a number.
///
/// # Errors
/// `train::target_type` for a column nothing can be learned for, `train::task` when the stated task does not fit.
pub fn task(target: &Column, stated: Option<Task>) -> Result<Task, Fault> {
    let name = &target.name;
    let dtype = target.dtype;
    let classes = matches!(dtype, DType::String | DType::Bool) || dtype.is_integer();
    if !target.shape.is_empty() || !(classes || dtype.is_float()) {
        return Err(Fault::error(
            contract::code!("train::target_type"),
            format!("`{name}` is {}, which cannot be predicted", target.type_name()),
        )
        .help("a target is text, true/false or a number"));
    }
    match stated {
        Some(Task::Classification) if !classes => {
            Err(Fault::error(contract::code!("train::task"), format!("`{name}` is {}: it has no classes", target.type_name())).help(format!(
                "where all are whole numbers, `cast: {{ {name}: int64 }}` in a `preprocess` before (it names the row of one that is \
                 not); `bin` makes classes of a quantity; to predict the number, leave `task` out"
            )))
        }
        Some(Task::Regression) if !dtype.is_numeric() => {
            Err(Fault::error(contract::code!("train::task"), format!("`{name}` is {}: it is no number", target.type_name()))
                .help("leave `task` out, or cast the target to a number before"))
        }
        Some(task) => Ok(task),
        None if dtype.is_integer() => match &target.classes {
            Some(classes) if classes.count <= MOST_CLASSES => Ok(Task::Classification),
            _ => Ok(Task::Regression),
        },
        None if dtype.is_float() => Ok(Task::Regression),
        None => Ok(Task::Classification),
    }
}

/// The warning of columns that were computed over more rows than are trained on.
fn beyond(model: &ModelType, mixed: &Mixed) -> Fault {
    let met = |name: &&String| {
        model.target.is_none() || model.inputs.iter().chain(&model.target).any(|column| column.name == **name)
    };
    let names: Vec<&String> = mixed.columns.iter().filter(met).collect();
    let columns: Vec<String> = names.iter().take(3).map(|column| format!("`{column}`")).collect();
    let more = if names.len() > 3 { ", …" } else { "" };
    let what = match columns.is_empty() {
        true => "cells of these rows".to_owned(),
        false => format!("{}{more}", columns.join(", ")),
    };
    let message = format!(
        "{what} (by `{}` in `{}`) is computed over rows beyond the training part: what the model is judged on has shaped it",
        mixed.step, mixed.stage
    );
    let help = "divide the rows first. Means, deviations and ranks: `features:` of `train` learns them from the training part \
                (`standard`, `quantile`, `target`). A table of the training part alone may be joined to every part. Rows that go \
                together: `group:` in `split`; what only looks back: `time:`";
    Fault::warning(contract::code!("leakage::computed_before_split"), message).help(help).at(route!["inputs", "train"])
}

fn check_validation(model: &ModelType, validation: &DatasetType, faults: &mut Vec<Fault>) {
    let at = route!["inputs", "validation"];
    let rows = DatasetLineage::from(validation);
    if let Some(met) = lineage::met(model, &rows) {
        let judged = format!("validation on {}", lineage::shown(&rows));
        faults.push(lineage::fault(
            &met,
            contract::code!("leakage::validation_is_training"),
            &judged,
            &rows,
            at.clone(),
        ));
    }
    if validation.rows == Some(0) {
        faults.push(
            Fault::error(contract::code!("data::empty"), "the validation part has no rows")
                .help("check the steps before")
                .at(at.clone()),
        );
    }
    if let Some(columns) = &validation.columns {
        let wanted = model.inputs.iter().chain(&model.target);
        faults.extend(
            wanted
                .filter_map(|column| misfit(column, columns, contract::code!("train::validation_columns")))
                .map(|fault| fault.at(at.clone())),
        );
    }
}

/// The fault of a column a model reads, where the data does not have it as it was in training.
pub fn misfit(wanted: &Column, columns: &[Column], code: Code) -> Option<Fault> {
    let Some(found) = columns.iter().find(|column| column.name == wanted.name) else {
        let near = contract::fault::nearest(&wanted.name, columns.iter().map(|column| column.name.as_str()));
        let help = match near {
            Some(near) => format!("there is `{near}`; give both data sets the same `preprocess` steps"),
            None => "give both data sets the same `preprocess` steps".to_owned(),
        };
        return Some(
            Fault::error(code, format!("there is no column `{}`, which the model was trained with", wanted.name))
                .help(help),
        );
    };
    let numbers = found.dtype.is_numeric() && wanted.dtype.is_numeric();
    if found.shape == wanted.shape && (found.dtype == wanted.dtype || numbers) {
        return None;
    }
    let expected = Column { nullable: false, ..wanted.clone() }.type_name();
    let message = format!(
        "`{}` is {}, the model was trained with {expected}",
        wanted.name,
        Column { nullable: false, ..found.clone() }.type_name()
    );
    Some(Fault::error(code, message).help("give both data sets the same `preprocess` steps"))
}
