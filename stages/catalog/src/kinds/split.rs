//! `split`: rows into parts.

mod check;
pub mod params;

use std::collections::BTreeMap;

use contract::artifact::{ArtifactKind, ArtifactType, DType, DatasetType, Part};
use contract::fault::{Fault, Faults, suggest};
use contract::kind::{
    ANY_NAME, About, DeclaredInput, DeclaredOutput, InferContext, Inference, InputPort, Kind, Look, OutputPort,
    Program, Stage, input_ports,
};
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use self::check::check;
use crate::columns::cast::fits;
use crate::columns::pattern;
use crate::kinds::split::params::Split;
use crate::params::shape::OneOrMany;
use crate::params::typed::{decode, encode, sound};

/// The input ports.
const INPUTS: &[DeclaredInput] = &[DeclaredInput::required("data", &[ArtifactKind::Dataset], "The rows to divide.")];

/// The port of a part that has none of its own.
const PART: DeclaredOutput = DeclaredOutput::new(
    ANY_NAME,
    ArtifactKind::Dataset,
    "One output for every other part, in the order of their names; of `folds`, `train_1`, `test_1` and so on.",
);

/// The output ports.
const OUTPUTS: &[DeclaredOutput] = &[
    DeclaredOutput::new(
        "train",
        ArtifactKind::Dataset,
        "The part of that name under `ratios`; the main output when it is there.",
    ),
    DeclaredOutput::new("validation", ArtifactKind::Dataset, "The part of that name, when it is there."),
    DeclaredOutput::new("test", ArtifactKind::Dataset, "The part of that name, when it is there."),
    PART,
];

/// The kind.
pub struct SplitKind;

impl Kind for SplitKind {
    fn name(&self) -> &'static str {
        "split"
    }

    fn version(&self) -> u32 {
        2
    }

    fn program(&self) -> Program {
        Program::Data
    }

    fn seeded(&self) -> bool {
        true
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Split::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Divides rows into parts that never share a row: at random under the seed, by groups, in time, into folds, or as a \
                      column says. Every part is an output \
                      that other stages name: `parts.train`. The lineage of each part is remembered, so that a model is \
                      never judged on rows it was fitted on.",
            inputs: INPUTS,
            outputs: OUTPUTS,
            example: "parts:\n  kind: split\n  inputs: { data: clean }\n  ratios: { train: 0.7, validation: 0.15, test: 0.15 }\n  stratify: label\n",
        }
    }

    fn look(&self) -> Look {
        Look::of_hue(48)
    }

    fn synonyms(&self) -> &'static [(&'static str, &'static str)] {
        &[("test_size", "ratios"), ("sizes", "ratios"), ("proportions", "ratios")]
    }

    fn smallest(&self) -> Value {
        json!({ "ratios": { "train": 0.5, "test": 0.5 } })
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        let params: Split = decode(params)?;
        let faults = check(&params);
        sound(Box::new(SplitStage(params)), faults)
    }
}

/// The parts in the order of the output ports: train, validation, test, then others by name.
pub fn parts(ratios: &BTreeMap<String, f64>) -> Vec<(&str, f64)> {
    let known = ["train", "validation", "test"];
    let first = known.iter().filter_map(|part| ratios.get_key_value(*part));
    let rest = ratios.iter().filter(|(part, _)| !known.contains(&part.as_str()));
    first.chain(rest).map(|(part, ratio)| (part.as_str(), *ratio)).collect()
}

/// The parts of a split in the order of the output ports, with the share of the rows where one is stated.
pub fn ports(params: &Split) -> Vec<(String, Option<f64>)> {
    let ordered = |names: Vec<&String>| -> Vec<(String, Option<f64>)> {
        let all: BTreeMap<String, f64> = names.into_iter().map(|name| (name.clone(), 0.0)).collect();
        parts(&all).into_iter().map(|(name, _)| (name.to_owned(), None)).collect()
    };
    if let Some(folds) = params.folds {
        return (1..=folds)
            .flat_map(|fold| [(format!("train_{fold}"), None), (format!("test_{fold}"), None)])
            .collect();
    }
    if let Some(by) = &params.by {
        return ordered(by.parts.keys().collect());
    }
    if !params.cuts.is_empty() {
        let train = "train".to_owned();
        return ordered(params.cuts.keys().chain([&train]).collect());
    }
    parts(&params.ratios).into_iter().map(|(name, share)| (name.to_owned(), Some(share))).collect()
}

/// What a part adds to the lineage of its rows.
///
/// Every fold is a split of its own: `test_2` is the test part of fold 2 and lies in the training part of all others, `train_2` is only
/// known to be the training part of fold 2. The fold itself comes last: messages name it.
pub fn lineage(stage: &str, params: &Split, port: &str) -> Vec<Part> {
    let fold = port.rsplit_once('_').and_then(|(part, fold)| Some((part, fold.parse::<u32>().ok()?)));
    let (Some(folds), Some((part, fold))) = (params.folds, fold) else {
        return vec![Part { split: stage.to_owned(), part: port.to_owned() }];
    };
    let of = |fold: u32, part: &str| Part { split: format!("{stage}.fold_{fold}"), part: part.to_owned() };
    let others = (1..=folds).filter(|other| *other != fold && part == "test").map(|other| of(other, "train"));
    others.chain([of(fold, part)]).collect()
}

/// The type of a data set as a part of it, but for the number of rows.
pub fn divided(data: &DatasetType, stage: &str, params: &Split, part: &str) -> DatasetType {
    let mut divided = data.clone();
    let together: Vec<String> = params.group.iter().flat_map(OneOrMany::iter).cloned().collect();
    crate::columns::lineage::divide(&mut divided, &lineage(stage, params, part), &together, params.time.is_some());
    divided
}

/// How many of `rows` each part gets, by largest remainder (ties to the earlier part). The sum is `rows`.
pub fn sizes(rows: u64, shares: &[f64]) -> Vec<u64> {
    let exact: Vec<f64> = shares.iter().map(|share| rows as f64 * share).collect();
    // 0.7 × 10 is 7.000000000000001 or 6.999999999999999: the remainder must not decide on such a difference.
    let floor = |value: f64| if value.round() - value < 1e-6 * value.max(1.0) { value.round() } else { value.floor() };
    let mut sizes: Vec<u64> = exact.iter().map(|value| floor(*value).min(rows as f64) as u64).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|a, b| {
        let remainder = |at: usize| ((exact[at] - sizes[at] as f64) * 1e9).round();
        remainder(*b).total_cmp(&remainder(*a)).then(a.cmp(b))
    });
    let mut left = rows as i64 - sizes.iter().sum::<u64>() as i64;
    for at in order.iter().cycle() {
        match left {
            0 => break,
            1.. => {
                sizes[*at] += 1;
                left -= 1;
            }
            _ if sizes[*at] > 0 => {
                sizes[*at] -= 1;
                left += 1;
            }
            _ => {}
        }
    }
    sizes
}

/// A `split` with its parameters.
pub struct SplitStage(pub Split);

impl Stage for SplitStage {
    fn params(&self) -> Value {
        encode(&self.0)
    }

    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        input_ports(INPUTS, connected)
    }

    fn outputs(&self) -> Vec<OutputPort> {
        let declared = |part: &str| OUTPUTS.iter().find(|port| port.name == part).unwrap_or(&PART);
        ports(&self.0).into_iter().map(|(part, _)| declared(&part).port(&part)).collect()
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let unknown = DatasetType::default();
        let data = context.inputs.get("data").and_then(ArtifactType::dataset).unwrap_or(&unknown);
        let mut faults = Vec::new();
        self.check_stratify(data, &mut faults);
        self.check_columns(data, &mut faults);
        let parts = ports(&self.0);
        let shares: Option<Vec<f64>> = parts.iter().map(|(_, share)| *share).collect();
        let sizes = data.rows.zip(shares).map(|(rows, shares)| sizes(rows, &shares));
        if let (Some(rows), Some(sizes)) = (data.rows, &sizes)
            && rows > 0
        {
            for ((part, share), _) in parts.iter().zip(sizes).filter(|(_, size)| **size == 0) {
                let share = share.unwrap_or_default();
                faults.push(
                    Fault::error(
                        contract::code!("split::empty_part"),
                        format!("`{part}` would be empty: {share} of {rows} rows"),
                    )
                    .help("give it a larger share, or collect more rows")
                    .at(route!["ratios", part.as_str()]),
                );
            }
        }
        // Stratified parts are rounded for each value, and groups are of any size: how many rows there are is not known before.
        let free =
            self.0.stratify.is_some() || self.0.group.is_some() || self.0.together.is_some() || self.0.time.is_some();
        let outputs = parts
            .iter()
            .enumerate()
            .map(|(index, (part, _))| {
                let mut dataset = divided(data, context.stage, &self.0, part);
                dataset.rows = if free { None } else { sizes.as_ref().map(|sizes| sizes[index]) };
                (part.clone(), ArtifactType::Dataset(dataset.into()))
            })
            .collect();
        Inference { outputs, faults }
    }
}

impl SplitStage {
    fn check_columns(&self, data: &DatasetType, faults: &mut Vec<Fault>) {
        let Some(columns) = &data.columns else { return };
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let together = self.0.together.as_ref().and_then(|together| together.columns.as_ref());
        let lists = [(self.0.group.as_ref(), route!["group"]), (together, route!["together", "columns"])];
        for (entries, at) in lists {
            let Some(entries) = entries else { continue };
            match pattern::select(entries, &names, &at) {
                Ok(positions) => {
                    for column in positions.into_iter().map(|at| &columns[at]).filter(|column| !column.shape.is_empty())
                    {
                        faults.push(
                            Fault::error(
                                contract::code!("split::group_type"),
                                format!("`{}` is {}, which makes no groups", column.name, column.type_name()),
                            )
                            .help("groups are made by numbers, texts, dates or true/false")
                            .at(at.clone()),
                        );
                    }
                }
                Err(more) => faults.extend(more),
            }
        }
        let mut one = |name: &str, at: contract::fault::Route| {
            let found = data.column(name);
            if found.is_none() {
                faults.push(pattern::unknown(name, &names).at(at));
            }
            found.cloned()
        };
        let time = self.0.time.as_ref().and_then(|name| one(name, route!["time"]));
        let by = self.0.by.as_ref().and_then(|by| one(&by.column, route!["by", "column"]));
        if let Some(column) = time {
            let ordered = column.shape.is_empty()
                && (column.dtype.is_numeric() || matches!(column.dtype, DType::Date | DType::Datetime));
            if !ordered {
                faults.push(
                    Fault::error(
                        contract::code!("split::time_type"),
                        format!("`{}` is {}, which is no time", column.name, column.type_name()),
                    )
                    .help("`parse_dates` in a `preprocess` before makes dates of texts")
                    .at(route!["time"]),
                );
            }
            for (part, cut) in self.0.cuts.iter().filter(|(_, cut)| ordered && !fits(&column, cut)) {
                faults.push(
                    Fault::error(
                        contract::code!("split::cut_type"),
                        format!(
                            "the cut {} does not fit `{}`, which is {}",
                            cut.shown(),
                            column.name,
                            column.type_name()
                        ),
                    )
                    .help("write a date as `2013-11-01`, a datetime as `2013-11-01 12:00:00`, or a number")
                    .at(route!["cuts", part.as_str()]),
                );
            }
        }
        if let (Some(column), Some(predefined)) = (by, &self.0.by)
            && let Some(classes) = column.classes.as_ref().filter(|classes| !classes.values.is_empty())
        {
            for (part, values) in &predefined.parts {
                for (index, value) in values.iter().enumerate().filter(|(_, value)| !classes.values.contains(value)) {
                    let at = pattern::entry_route(values, index, &route!["by", "parts", part.as_str()]);
                    let fault = Fault::error(
                        contract::code!("split::unknown_value"),
                        format!("`{value}` is no value of `{}`", column.name),
                    );
                    let help = suggest(value, classes.values.iter().map(String::as_str));
                    faults.push(fault.help(help.unwrap_or_else(|| "name values that the column has".into())).at(at));
                }
            }
        }
    }

    fn check_stratify(&self, data: &DatasetType, faults: &mut Vec<Fault>) {
        let (Some(name), Some(columns)) = (&self.0.stratify, &data.columns) else { return };
        let at = route!["stratify"];
        let Some(column) = data.column(name) else {
            let fault = Fault::error(
                contract::code!("data::unknown_column"),
                format!("there is no column `{name}` to stratify by"),
            );
            faults.push(match suggest(name, columns.iter().map(|column| column.name.as_str())) {
                Some(help) => fault.help(help).at(at),
                None => fault.help("the data has no columns").at(at),
            });
            return;
        };
        let categorical = column.shape.is_empty() && !column.dtype.is_float() && column.dtype != DType::Binary;
        if !categorical {
            faults.push(
                Fault::error(
                    contract::code!("split::stratify_type"),
                    format!("`{name}` is {}, which has no classes", column.type_name()),
                )
                .help("stratify by a column of classes: text, whole numbers or true/false; without `stratify` rows are divided at random")
                .at(at),
            );
            return;
        }
        if let (Some(classes), Some(rows)) = (&column.classes, data.rows) {
            let parts = u64::from(self.0.folds.unwrap_or(self.0.ratios.len() as u32));
            if classes.count.saturating_mul(parts) > rows {
                faults.push(
                    Fault::warning(
                        contract::code!("split::rare_classes"),
                        format!(
                            "`{name}` has {} distinct values in {rows} rows: most cannot be in all {parts} parts",
                            classes.count
                        ),
                    )
                    .help("stratify by a column with fewer distinct values")
                    .at(at),
                );
            }
        }
    }
}
