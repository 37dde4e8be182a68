//! `evaluate`: a model judged on rows it has not seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use catalog::condition::Condition;
use catalog::kinds::evaluate::params::{Evaluate, Metric};
use catalog::metric;
use contract::artifact::{ArtifactType, Column, DType, DatasetType, Role};
use contract::fault::{Fault, Faults};
use contract::route;
use contract::worker::Channel;
use contract::worker::protocol::{Finished, Progress, RunRequest};
use model::bundle::Bundle;
use model::dataset::{self, Dataset, empty};
use model::file::write_json;
use model::metrics::Numbers;
use model::predict::{self, Predictions};
use model::room::Room;
use model::target::Target;
use model::verdict::judge;
use serde_json::json;

use crate::bundle::predictor;
use crate::device::Device;
use crate::request::{decode, input, output};

/// More classes than this have no probability column each.
const MOST_COLUMNS: usize = 256;

/// Carries the stage out.
///
/// # Errors
/// Everything that is wrong with the parameters, the model or the data.
pub fn run(request: &RunRequest, device: Device, channel: &Channel) -> Result<Finished, Faults> {
    let one = |fault: Fault| vec![fault];
    let params: Evaluate = decode(request)?;
    let bundle = Bundle::read(&input(request, "model")?.path, "model").map_err(one)?;
    let data = Dataset::open(&input(request, "data")?.path, "data").map_err(one)?;
    if data.rows() == 0 {
        return Err(Faults::from(one(empty("data").at(route!["inputs", "data"]))));
    }
    let description = &bundle.description;
    let task = description.task;
    let wanted = params.metrics.clone().unwrap_or_else(|| metric::fitting(task));
    if let Some(other) = wanted.iter().find(|metric| metric.task() != task) {
        return Err(Faults::from(one(Fault::error(
            contract::code!("evaluate::metric_task"),
            format!("`{}` does not fit {}", other.name(), metric::task_name(task)),
        )
        .help("leave `metrics` out for all that fit the task")
        .at(route!["metrics"]))));
    }
    let at = |fault: Fault| if fault.route.is_some() { fault } else { fault.at(route!["inputs", "data"]) };
    let rows = description
        .encoders
        .encode(&data, Room::of(request))
        .map_err(|faults| faults.into_iter().map(at).collect::<Vec<_>>())?;
    let predictor = predictor(&bundle, device.torch()).map_err(one)?;
    let started = std::time::Instant::now();
    let outputs = predict::all(predictor.as_ref(), rows.values()).map_err(one)?;
    let seconds = started.elapsed().as_secs_f64();
    let verdict = judge(&outputs, &description.target, &data, &wanted).map_err(|fault| one(at(fault)))?;
    channel.progress(Progress {
        done: data.rows() as u64,
        total: Some(data.rows() as u64),
        unit: "row".into(),
        message: headline(&verdict.numbers),
        rate: None,
    });

    let mut metrics = json!({ "metrics": verdict.numbers, "rows": data.rows() });
    if let Some(rows) = &verdict.confusion {
        metrics["confusion_matrix"] = json!({ "classes": description.target.classes(), "rows": rows });
    }
    let mut types = BTreeMap::new();
    if let Ok(path) = output(request, "metrics") {
        write_json(path, &metrics).map_err(one)?;
        types.insert("metrics".to_owned(), ArtifactType::Metrics(verdict.numbers.keys().cloned().collect()));
    }
    if let Ok(path) = output(request, "predictions") {
        let lineage = request.inputs.get("data").and_then(|input| input.artifact.dataset());
        let written = write_predictions(path, &data, &description.target, &verdict.predictions).map_err(one)?;
        let mut dataset = written;
        if let Some(lineage) = lineage {
            dataset.follow(lineage);
        }
        types.insert("predictions".to_owned(), ArtifactType::Dataset(dataset.into()));
    }
    let (unmet, warnings) = gates(&params, &verdict.numbers, &wanted);
    Ok(Finished {
        types,
        observations: json!({ "rows_per_second": data.rows() as f64 / seconds.max(1e-9), "seconds": seconds }),
        summary: verdict.numbers.into_iter().filter(|(name, _)| !name.contains(".class.")).collect(),
        unmet,
        warnings,
    })
}

fn headline(numbers: &Numbers) -> String {
    let shown: Vec<String> = ["accuracy", "f1.macro", "rmse", "r2"]
        .iter()
        .filter_map(|name| Some(format!("{name} {:.4}", numbers.get(*name)?)))
        .collect();
    shown.join(", ")
}

/// Gates that are not met, and warnings for numbers that have no value.
fn gates(params: &Evaluate, numbers: &Numbers, wanted: &[Metric]) -> (Vec<Fault>, Vec<Fault>) {
    let mut unmet = Vec::new();
    let mut warnings = Vec::new();
    for (name, text) in &params.require {
        let at = route!["require", name.as_str()];
        let Ok(condition) = text.parse::<Condition>() else {
            unmet.push(
                Fault::error(contract::code!("evaluate::condition"), format!("`{text}` is not a condition"))
                    .help(catalog::condition::Malformed::HELP)
                    .at(at),
            );
            continue;
        };
        match numbers.get(name) {
            Some(value) if condition.holds(*value) => {}
            Some(value) => unmet.push(
                Fault::error(
                    contract::code!("gate::not_met"),
                    format!("`{name}` is {}, required is {condition}", shown(*value, &condition)),
                )
                .help("improve the model, or change the gate under `require`")
                .at(at),
            ),
            None => unmet.push(
                Fault::error(
                    contract::code!("gate::not_met"),
                    format!("`{name}` has no value here, required is {condition}"),
                )
                .help("it is not defined for this data, for example because a class has no rows")
                .at(at),
            ),
        }
    }
    for metric in wanted.iter().filter(|metric| metric.numbers().iter().any(|name| !numbers.contains_key(name))) {
        warnings.push(
            Fault::warning(
                contract::code!("evaluate::undefined"),
                format!("`{}` is not defined on these rows", metric.name()),
            )
            .help("AUROC wants rows of at least two classes, R² at least two rows"),
        );
    }
    (unmet, warnings)
}

/// As few digits as tell the value from the bound.
fn shown(value: f64, condition: &Condition) -> String {
    (4..17)
        .map(|digits| format!("{value:.digits$}"))
        .find(|text| text.parse::<f64>().is_ok_and(|rounded| !condition.holds(rounded)))
        .unwrap_or_else(|| value.to_string())
}

/// The rows with `<target>.prediction`, and for classes `<target>.probability` (of the predicted one) and
/// `<target>.probability.<class>`.
fn write_predictions(
    path: &std::path::Path,
    data: &Dataset,
    target: &Target,
    predictions: &Predictions,
) -> Result<DatasetType, Fault> {
    let mut columns: Vec<(Column, ArrayRef)> = Vec::new();
    for column in data.columns() {
        columns.push((column.clone(), data.array(&column.name)?));
    }
    let name = &target.column.name;
    let free = |columns: &[(Column, ArrayRef)], wanted: String| {
        let mut name = wanted;
        while columns.iter().any(|(column, _)| column.name == name) {
            name.push('_');
        }
        name
    };
    let mut add = |wanted: String, dtype: DType, array: ArrayRef| {
        let name = free(&columns, wanted);
        columns.push((Column { role: Role::Ignore, ..Column::new(name, dtype) }, array));
    };
    let numbers = |values: Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
    match predictions {
        Predictions::Numbers(values) => add(format!("{name}.prediction"), DType::Float64, numbers(values.clone())),
        Predictions::Classes { chosen, probabilities, classes: count } => {
            let classes = target.classes();
            let text: ArrayRef =
                Arc::new(StringArray::from_iter_values(chosen.iter().map(|place| classes[*place].as_str())));
            let (dtype, array) = match data.array(name) {
                Ok(like) => match cast(&text, like.data_type()) {
                    Ok(array) if array.null_count() == 0 => (data.column(name)?.dtype, array),
                    _ => (DType::String, text),
                },
                Err(_) => (DType::String, text),
            };
            let array = if dtype == DType::String { cast(&array, &DataType::Utf8).unwrap_or(array) } else { array };
            add(format!("{name}.prediction"), dtype, array);
            let of_chosen = chosen.iter().zip(probabilities.chunks_exact(*count)).map(|(place, row)| row[*place]);
            add(format!("{name}.probability"), DType::Float64, numbers(of_chosen.collect()));
            if *count <= MOST_COLUMNS {
                for (place, class) in classes.iter().enumerate() {
                    let of_class = probabilities.chunks_exact(*count).map(|row| row[place]).collect();
                    add(format!("{name}.probability.{class}"), DType::Float64, numbers(of_class));
                }
            }
        }
    }
    dataset::write(path, &columns)
}
