//! `split`: rows into parts.

use std::collections::BTreeMap;

use engine::artifact::{ArtifactKind, ArtifactType, DatasetType, Part};
use engine::error::{Fault, suggest};
use engine::kind::{About, Executor, InferContext, Inference, InputPort, Kind, OutputPort, Stage};
use engine::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::params::split::Split;
use crate::typed::{decode, encode, is_identifier, sound};

/// The kind.
pub struct SplitKind;

impl Kind for SplitKind {
    fn name(&self) -> &'static str {
        "split"
    }

    fn version(&self) -> u32 {
        1
    }

    fn executor(&self) -> Executor {
        Executor::Data
    }

    fn seeded(&self) -> bool {
        true
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Split::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Divides rows at random, under the seed, into parts that never share a row. Every part is an output \
                      that other stages name: `parts.train`. The lineage of each part is remembered, so that a model is \
                      never judged on rows it was fitted on.",
            inputs: &[("data", "dataset", true, "The rows to divide.")],
            outputs: &[
                ("train", "dataset", "The part of that name under `ratios`; the main output when it is there."),
                ("validation", "dataset", "The part of that name, when it is there."),
                ("test", "dataset", "The part of that name, when it is there."),
                ("…", "dataset", "One output for every other part, in the order of their names."),
            ],
            example: "parts:\n  kind: split\n  inputs: { data: clean }\n  ratios: { train: 0.7, validation: 0.15, test: 0.15 }\n  stratify: label\n",
        }
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Vec<Fault>> {
        let params: Split = decode(params)?;
        let faults = check(&params);
        sound(Box::new(SplitStage(params)) as Box<dyn Stage>, faults)
    }
}

fn check(params: &Split) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (part, ratio) in &params.ratios {
        let at = route!["ratios", part.as_str()];
        if !is_identifier(part) {
            faults.push(
                Fault::error("split::part_name", format!("`{part}` cannot be the name of a part"))
                    .help("use letters, digits and `_`, beginning with a letter: it is written as `parts.name`")
                    .at_key(at.clone()),
            );
        }
        if ratio.is_nan() || *ratio <= 0.0 {
            faults.push(
                Fault::error("split::ratio", format!("the share of `{part}` is {ratio}"))
                    .help("every share is larger than 0; leave the part out instead")
                    .at(at),
            );
        }
    }
    if params.ratios.len() < 2 {
        faults.push(
            Fault::error("split::one_part", "a split has at least two parts")
                .help("for example `ratios: { train: 0.8, test: 0.2 }`")
                .at(route!["ratios"]),
        );
    } else {
        let sum: f64 = params.ratios.values().sum();
        if sum.is_nan() || (sum - 1.0).abs() > 1e-9 {
            let shown = (sum * 1e9).round() / 1e9;
            faults.push(
                Fault::error("split::ratios", format!("the shares sum to {shown}, not to 1"))
                    .help(match params.ratios.iter().next_back() {
                        Some((part, ratio)) if ratio + 1.0 - sum > 0.0 => {
                            format!("with `{part}: {}` they would", ((ratio + 1.0 - sum) * 1e9).round() / 1e9)
                        }
                        _ => "give each part a share of the rows, for example 0.7, 0.15 and 0.15".to_owned(),
                    })
                    .at(route!["ratios"]),
            );
        }
    }
    faults
}

/// The parts in the order of the output ports: train, validation, test, then others by name.
pub fn parts(ratios: &BTreeMap<String, f64>) -> Vec<(&str, f64)> {
    let known = ["train", "validation", "test"];
    let first = known.iter().filter_map(|part| ratios.get_key_value(*part));
    let rest = ratios.iter().filter(|(part, _)| !known.contains(&part.as_str()));
    first.chain(rest).map(|(part, ratio)| (part.as_str(), *ratio)).collect()
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

    fn inputs(&self, _: &[&str]) -> Vec<InputPort> {
        vec![InputPort { name: "data".into(), accepts: vec![ArtifactKind::Dataset], required: true }]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        parts(&self.0.ratios).into_iter().map(|(part, _)| OutputPort::new(part, ArtifactKind::Dataset)).collect()
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let unknown = DatasetType::default();
        let data = context.inputs.get("data").and_then(ArtifactType::dataset).unwrap_or(&unknown);
        let mut faults = Vec::new();
        self.check_stratify(data, &mut faults);
        let parts = parts(&self.0.ratios);
        let shares: Vec<f64> = parts.iter().map(|(_, share)| *share).collect();
        let sizes = data.rows.map(|rows| sizes(rows, &shares));
        if let (Some(rows), Some(sizes)) = (data.rows, &sizes)
            && rows > 0
        {
            for ((part, share), _) in parts.iter().zip(sizes).filter(|(_, size)| **size == 0) {
                faults.push(
                    Fault::error("split::empty_part", format!("`{part}` would be empty: {share} of {rows} rows"))
                        .help("give it a larger share, or collect more rows")
                        .at(route!["ratios", *part]),
                );
            }
        }
        let outputs = parts
            .iter()
            .enumerate()
            .map(|(index, (part, _))| {
                let mut dataset = data.clone();
                dataset.parts.push(Part { split: context.stage.to_owned(), part: (*part).to_owned() });
                // Stratified parts are rounded for each value, so their sizes are not known before.
                dataset.rows = if self.0.stratify.is_none() { sizes.as_ref().map(|sizes| sizes[index]) } else { None };
                ((*part).to_owned(), ArtifactType::Dataset(dataset))
            })
            .collect();
        Inference { outputs, faults }
    }
}

impl SplitStage {
    fn check_stratify(&self, data: &DatasetType, faults: &mut Vec<Fault>) {
        let (Some(name), Some(columns)) = (&self.0.stratify, &data.columns) else { return };
        let at = route!["stratify"];
        let Some(column) = data.column(name) else {
            let fault = Fault::error("data::unknown_column", format!("there is no column `{name}` to stratify by"));
            faults.push(match suggest(name, columns.iter().map(|column| column.name.as_str())) {
                Some(help) => fault.help(help).at(at),
                None => fault.help("the data has no columns").at(at),
            });
            return;
        };
        let categorical =
            column.shape.is_empty() && !column.dtype.is_float() && column.dtype != engine::artifact::DType::Binary;
        if !categorical {
            faults.push(
                Fault::error(
                    "split::stratify_type",
                    format!("`{name}` is {}, which has no classes", column.type_name()),
                )
                .help("stratify by a column of classes: text, whole numbers or true/false; without `stratify` rows are divided at random")
                .at(at),
            );
            return;
        }
        if let (Some(classes), Some(rows)) = (&column.classes, data.rows) {
            let parts = self.0.ratios.len() as u64;
            if classes.count.saturating_mul(parts) > rows {
                faults.push(
                    Fault::warning(
                        "split::rare_classes",
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
