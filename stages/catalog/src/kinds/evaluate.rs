//! `evaluate`: a model judged on rows it has not seen.

pub mod params;

use contract::artifact::{
    ArtifactKind, ArtifactType, Column, DType, DatasetLineage, DatasetType, ModelType, Role, Task,
};
use contract::fault::{Fault, Faults, nearest};
use contract::kind::{
    About, DeclaredInput, DeclaredOutput, InferContext, Inference, InputPort, Kind, Look, OutputPort, Program, Stage,
    input_ports, output_ports,
};
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::columns::lineage;
use crate::condition::{Condition, Malformed};
use crate::kinds::evaluate::params::{Evaluate, Metric};
use crate::kinds::train::misfit;
use crate::metric::{MEANS, fitting, of_number, task_name};
use crate::params::typed::{decode, encode, sound};

/// The input ports.
const INPUTS: &[DeclaredInput] = &[
    DeclaredInput::required("model", &[ArtifactKind::Model], "The model to judge."),
    DeclaredInput::required("data", &[ArtifactKind::Dataset], "Rows with the columns the model reads, and the target."),
];

/// The output ports.
const OUTPUTS: &[DeclaredOutput] = &[
    DeclaredOutput::new("metrics", ArtifactKind::Metrics, "The numbers and the confusion matrix."),
    DeclaredOutput::new("predictions", ArtifactKind::Dataset, "The rows with what the model says of each."),
];

/// The kind.
pub struct EvaluateKind;

impl Kind for EvaluateKind {
    fn name(&self) -> &'static str {
        "evaluate"
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
        Evaluate::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Judges a model on rows it has not seen, and fails the run where a gate under `require` is not met (exit \
                      code 3; the numbers are kept). Judging a model on rows it was fitted on is an error found before \
                      anything runs.",
            inputs: INPUTS,
            outputs: OUTPUTS,
            example: "verdict:\n  kind: evaluate\n  inputs: { model: model, data: parts.test }\n  metrics: [accuracy, recall, confusion_matrix]\n  require: { accuracy: \">= 0.97\", recall.class.7: \"> 0.9\" }\n",
        }
    }

    fn look(&self) -> Look {
        Look::of_hue(292)
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        let mut params: Evaluate = decode(params)?;
        let faults = check(&params);
        if let Some(metrics) = &mut params.metrics {
            // The order in which metrics are listed changes no number.
            metrics.sort_unstable();
            metrics.dedup();
        }
        sound(Box::new(EvaluateStage(params)), faults)
    }
}

/// What is wrong whatever the model.
fn check(params: &Evaluate) -> Vec<Fault> {
    let mut faults = Vec::new();
    if params.metrics.as_ref().is_some_and(Vec::is_empty) {
        faults.push(
            Fault::error(contract::code!("evaluate::no_metrics"), "no metric is asked for")
                .help("name at least one, or leave `metrics` out for all that fit the task")
                .at(route!["metrics"]),
        );
    }
    for (name, text) in &params.require {
        let at = route!["require", name.as_str()];
        let condition: Option<Condition> = match text.parse() {
            Ok(condition) => Some(condition),
            Err(error) => {
                let error: Malformed = error;
                faults.push(
                    Fault::error(contract::code!("evaluate::condition"), error.to_string())
                        .help(Malformed::HELP)
                        .at(at.clone()),
                );
                None
            }
        };
        let Some((metric, _)) = of_number(name) else {
            faults.push(unknown_metric(name).at_key(at));
            continue;
        };
        let (low, high) = metric.bounds();
        if let Some(condition) = condition
            && condition.impossible(low, high)
        {
            let share = Condition { value: condition.value / 100.0, ..condition };
            let help = if high == 1.0 && condition.value >= 10.0 && condition.value <= 100.0 {
                format!("shares are at most 1: did you mean `{share}`?")
            } else if high == 1.0 && condition.value > 1.0 && condition.value <= 100.0 {
                format!("shares are at most 1; {} % is written `{share}`", condition.value)
            } else {
                format!("`{name}` lies between {low} and {high}")
            };
            faults.push(
                Fault::error(contract::code!("evaluate::impossible"), format!("no `{name}` can be {condition}"))
                    .help(help)
                    .at(at),
            );
        }
        let computed = params.metrics.as_ref().is_none_or(|metrics| metrics.contains(&metric));
        if !computed {
            faults.push(
                Fault::error(
                    contract::code!("evaluate::not_computed"),
                    format!("`{name}` is required, but `{}` is not among `metrics`", metric.name()),
                )
                .help(format!("add `{}` to `metrics`", metric.name()))
                .at_key(route!["require", name.as_str()]),
            );
        }
    }
    faults
}

fn unknown_metric(name: &str) -> Fault {
    let fault = Fault::error(contract::code!("evaluate::unknown_metric"), format!("there is no metric `{name}`"));
    let family = Metric::ALL.into_iter().find(|metric| metric.is_family() && metric.name() == name);
    if let Some(family) = family {
        let kinds: Vec<String> = MEANS.iter().map(|mean| format!("`{}.{mean}`", family.name())).collect();
        return Fault::error(contract::code!("evaluate::unknown_metric"), format!("`{name}` is several numbers"))
            .help(format!("name one of {}, or `{name}.class.…` for one class", kinds.join(", ")));
    }
    if name == Metric::ConfusionMatrix.name() {
        return fault.help("a confusion matrix is no number: require `accuracy`, or `recall.class.…`");
    }
    let numbers: Vec<String> = Metric::ALL.into_iter().flat_map(Metric::numbers).collect();
    match nearest(name, numbers.iter().map(String::as_str)) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault.help("for example `accuracy`, `f1.macro`, `recall.class.7`, `log_loss`, `rmse`, `r2`"),
    }
}

/// An `evaluate` with its parameters.
pub struct EvaluateStage(pub Evaluate);

impl Stage for EvaluateStage {
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
        let no_model = ModelType::default();
        let no_data = DatasetType::default();
        let model = context.inputs.get("model").and_then(ArtifactType::model).unwrap_or(&no_model);
        let data = context.inputs.get("data").and_then(ArtifactType::dataset).unwrap_or(&no_data);
        if let Some(task) = model.task {
            self.check_task(task, &mut faults);
        }
        self.check_classes(model.target.as_ref(), &mut faults);
        faults.extend(unfit(model, data, true, "data"));
        if data.rows == Some(0) {
            faults.push(
                Fault::error(contract::code!("data::empty"), "there are no rows to judge on")
                    .help("check the steps before")
                    .at(route!["inputs", "data"]),
            );
        }
        let rows = DatasetLineage::from(data);
        if let Some(met) = lineage::met(model, &rows) {
            let judged = format!("judged on {}", lineage::shown(&rows));
            let at = route!["inputs", "data"];
            faults.push(lineage::fault(
                &met,
                contract::code!("leakage::evaluated_on_training_rows"),
                &judged,
                &rows,
                at,
            ));
        }
        let metrics = self.0.metrics.clone().or_else(|| model.task.map(fitting)).unwrap_or_default();
        let numbers = metrics.into_iter().flat_map(Metric::numbers).collect();
        let predictions = DatasetType { columns: predicted(model, data), ..data.clone() };
        let outputs = [
            ("metrics".to_owned(), ArtifactType::Metrics(numbers)),
            ("predictions".to_owned(), ArtifactType::Dataset(predictions.into())),
        ];
        Inference { outputs: outputs.into(), faults }
    }
}

impl EvaluateStage {
    fn check_task(&self, task: Task, faults: &mut Vec<Fault>) {
        let fitting: Vec<String> = fitting(task).iter().map(|metric| format!("`{}`", metric.name())).collect();
        let fault = |metric: Metric| {
            Fault::error(
                contract::code!("evaluate::metric_task"),
                format!("`{}` does not fit {}", metric.name(), task_name(task)),
            )
            .help(format!("what fits: {}", fitting.join(", ")))
        };
        let listed = self.0.metrics.iter().flatten().filter(|metric| metric.task() != task);
        faults.extend(listed.map(|metric| fault(*metric).at(route!["metrics"])));
        if self.0.metrics.is_none() {
            for name in self.0.require.keys() {
                if let Some((metric, _)) = of_number(name).filter(|(metric, _)| metric.task() != task) {
                    faults.push(fault(metric).at_key(route!["require", name.as_str()]));
                }
            }
        }
    }

    /// A gate on one class names a class there is.
    fn check_classes(&self, target: Option<&Column>, faults: &mut Vec<Fault>) {
        let Some(classes) =
            target.and_then(|target| target.classes.as_ref()).filter(|classes| !classes.values.is_empty())
        else {
            return;
        };
        for name in self.0.require.keys() {
            let Some((_, Some(class))) = of_number(name) else { continue };
            if !classes.values.iter().any(|value| value == class) {
                let help = contract::fault::suggest(class, classes.values.iter().map(String::as_str));
                let fault = Fault::error(
                    contract::code!("evaluate::unknown_class"),
                    format!("the target has no class `{class}`"),
                );
                faults.push(fault.help(help.unwrap_or_default()).at_key(route!["require", name.as_str()]));
            }
        }
    }
}

/// More classes than this have no column of probabilities each.
pub const MOST_PROBABILITIES: usize = 256;

/// The columns of `predictions`: those of the data, `<target>.prediction`, and for classes `<target>.probability` (of the
/// predicted one) and `<target>.probability.<class>`. `None` when they are not all known.
fn predicted(model: &ModelType, data: &DatasetType) -> Option<Vec<Column>> {
    let mut columns = data.columns.clone()?;
    let target = model.target.as_ref()?;
    let name = &target.name;
    let mut add = |name: String, dtype: DType| {
        columns.push(Column { role: Role::Ignore, ..Column::new(name, dtype) });
    };
    match model.task? {
        Task::Regression => add(format!("{name}.prediction"), DType::Float64),
        Task::Classification => {
            let classes = target.classes.as_ref().filter(|classes| !classes.values.is_empty())?;
            add(format!("{name}.prediction"), target.dtype);
            add(format!("{name}.probability"), DType::Float64);
            let each = classes.values.iter().filter(|_| classes.values.len() <= MOST_PROBABILITIES);
            each.for_each(|class| add(format!("{name}.probability.{class}"), DType::Float64));
        }
    }
    let unique: std::collections::BTreeSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    (unique.len() == columns.len()).then_some(columns)
}

/// What of the columns a model reads (and of its target, where it is needed) a data set at `port` does not have.
pub fn unfit(model: &ModelType, data: &DatasetType, target: bool, port: &str) -> Vec<Fault> {
    let Some(columns) = &data.columns else { return Vec::new() };
    let at = route!["inputs", port];
    let mut faults: Vec<Fault> = model
        .inputs
        .iter()
        .filter_map(|column| misfit(column, columns, contract::code!("data::model_columns")))
        .collect();
    if let Some(wanted) = model.target.as_ref().filter(|_| target) {
        faults.extend(misfit(wanted, columns, contract::code!("data::model_target")));
    }
    faults.into_iter().map(|fault| fault.at(at.clone())).collect()
}
