//! `collect`: rows from files.

use engine::artifact::{ArtifactKind, ArtifactType, Classes, Column, DType, DatasetType, Role};
use engine::error::{Fault, Route, suggest};
use engine::kind::{About, Executor, FileInput, InferContext, Inference, InputPort, Kind, OutputPort, Question, Stage};
use engine::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::params::collect::{Collect, Delimited, Source};
use crate::params::shape::OneOrMany;
use crate::pattern::entry_route;
use crate::steps::castable;
use crate::typed::{decode, encode, sound};

/// The kind.
pub struct CollectKind;

impl Kind for CollectKind {
    fn name(&self) -> &'static str {
        "collect"
    }

    fn version(&self) -> u32 {
        1
    }

    fn executor(&self) -> Executor {
        Executor::Data
    }

    fn seeded(&self) -> bool {
        false
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Collect::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Reads rows from files into a data set: CSV, TSV, JSON Lines, Parquet, Arrow, IDX, or a folder of \
                      images. Types are inferred from the whole content; what the file cannot say (that a number is an \
                      identifier, that a column is the target) is said under `columns`. The content of the files decides \
                      whether the stage runs again, never their dates or where they lie.",
            inputs: &[],
            outputs: &[("data", "dataset", "All rows, in the order of the files and of the rows inside them.")],
            example: "raw:\n  kind: collect\n  from: { csv: data/digits.csv }\n  columns:\n    label: { role: target }\n",
        }
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Vec<Fault>> {
        let mut params: Collect = decode(params)?;
        let faults = settle(&mut params);
        sound(Box::new(CollectStage(params)) as Box<dyn Stage>, faults)
    }
}

/// Writes out the defaults that depend on other parameters, and finds what no schema can.
fn settle(params: &mut Collect) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (name, options, delimiter) = match &mut params.from {
        Source::Csv(options) => ("csv", &mut options.0, ","),
        Source::Tsv(options) => ("tsv", &mut options.0, "\t"),
        Source::Jsonl(files) => return no_path(&files.0.path, "jsonl"),
        Source::Parquet(files) => return no_path(&files.0.path, "parquet"),
        Source::Arrow(files) => return no_path(&files.0.path, "arrow"),
        Source::Idx(_) | Source::Images(_) => return faults,
    };
    faults.extend(no_path(&options.path, name));
    let delimiter = options.delimiter.get_or_insert_with(|| delimiter.to_owned()).clone();
    let base = route!["from", name];
    for (key, what) in [("delimiter", &delimiter), ("quote", &options.quote)] {
        if what.len() != 1 || what.starts_with(['\n', '\r']) {
            faults.push(
                Fault::error("collect::separator", format!("`{key}` is {what:?}, which is not one ASCII character"))
                    .help(format!(
                        "use a single character of one byte, such as {}",
                        if key == "quote" { "`'`" } else { "`;`" }
                    ))
                    .at(base.join(key)),
            );
        }
    }
    if delimiter == options.quote {
        faults.push(
            Fault::error("collect::separator", format!("`delimiter` and `quote` are both {delimiter:?}"))
                .help("a field could not be told from a quoted one: choose another `quote`")
                .at(base.join("quote")),
        );
    }
    faults
}

fn no_path(paths: &OneOrMany<String>, name: &str) -> Vec<Fault> {
    let at = route!["from", name, "path"];
    let mut faults = Vec::new();
    if paths.0.is_empty() {
        faults.push(Fault::error("collect::no_path", "no file is named").help("name at least one file").at(at.clone()));
    }
    for (index, path) in paths.iter().enumerate() {
        if path.trim().is_empty() {
            faults.push(
                Fault::error("collect::no_path", "a path is empty")
                    .help("name a file")
                    .at(entry_route(paths, index, &at)),
            );
        }
    }
    faults
}

/// A `collect` with its parameters.
pub struct CollectStage(pub Collect);

impl Stage for CollectStage {
    fn params(&self) -> Value {
        encode(&self.0)
    }

    /// Paths are left out: content is keyed through [`Stage::files`], and with it as much of the names as matters.
    fn keyed(&self) -> Value {
        let mut keyed = self.params();
        if let Some(format) = keyed["from"].as_object_mut().and_then(|from| from.values_mut().next())
            && let Some(options) = format.as_object_mut()
        {
            for key in ["path", "images", "labels"] {
                options.remove(key);
            }
        }
        keyed
    }

    fn inputs(&self, _: &[&str]) -> Vec<InputPort> {
        Vec::new()
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("data", ArtifactKind::Dataset)]
    }

    fn files(&self) -> Vec<FileInput> {
        let file =
            |role: String, path: &str, glob: bool, route: Route| FileInput { role, path: path.to_owned(), glob, route };
        match &self.0.from {
            Source::Csv(options) => listed(&options.0.path, "csv"),
            Source::Tsv(options) => listed(&options.0.path, "tsv"),
            Source::Jsonl(files) => listed(&files.0.path, "jsonl"),
            Source::Parquet(files) => listed(&files.0.path, "parquet"),
            Source::Arrow(files) => listed(&files.0.path, "arrow"),
            Source::Idx(idx) => {
                let images = file("images".into(), &idx.images, false, route!["from", "idx", "images"]);
                let labels =
                    idx.labels.iter().map(|path| file("labels".into(), path, false, route!["from", "idx", "labels"]));
                std::iter::once(images).chain(labels).collect()
            }
            Source::Images(images) => {
                vec![file("images".into(), &images.0.path, false, route!["from", "images", "path"])]
            }
        }
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let mut faults = self.format_looks_wrong();
        let mut dataset = match self.ask(context) {
            Ok(dataset) => dataset,
            Err(found) => {
                faults.extend(found);
                DatasetType::default()
            }
        };
        dataset.parts = Vec::new();
        dataset.sources = vec![context.stage.to_owned()];
        if let Some(columns) = &mut dataset.columns {
            faults.extend(self.override_columns(columns));
        }
        if dataset.rows == Some(0) {
            faults.push(
                Fault::error("data::empty", "the source has no rows")
                    .help("check the path and the `header` option: a file of one line has only a header")
                    .at(route!["from"]),
            );
        }
        Inference { outputs: [("data".to_owned(), ArtifactType::Dataset(dataset))].into(), faults }
    }
}

impl CollectStage {
    fn ask(&self, context: &InferContext<'_>) -> Result<DatasetType, Vec<Fault>> {
        let question = Question {
            kind: "collect".into(),
            version: CollectKind.version(),
            params: self.params(),
            inputs: Default::default(),
            files: self.files(),
        };
        let answer = context.oracle.ask(Executor::Data, &question)?;
        Ok(answer.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default())
    }

    /// Applies `columns:`. The worker has done so where it can; what it gave is kept, what it did not know is a fault.
    fn override_columns(&self, columns: &mut [Column]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (name, options) in &self.0.columns {
            let at = route!["columns", name.as_str()];
            let Some(position) = columns.iter().position(|column| column.name == *name) else {
                let fault = Fault::error("data::unknown_column", format!("there is no column `{name}` in the source"));
                let fault = match suggest(name, columns.iter().map(|column| column.name.as_str())) {
                    Some(help) => fault.help(help),
                    None => fault.help("the source has no columns"),
                };
                faults.push(fault.at_key(at));
                continue;
            };
            let column = &mut columns[position];
            if let Some(role) = options.role {
                column.role = role;
            }
            if let Some(dtype) = options.dtype
                && dtype != column.dtype
            {
                match castable(column, dtype) {
                    Ok(()) => retype(column, dtype),
                    Err(why) => faults.push(
                        Fault::error(
                            "data::cannot_cast",
                            format!("`{name}` is {} and cannot be read as {}: {why}", column.type_name(), dtype.name()),
                        )
                        .help("leave `dtype` out, or name a type its values can have")
                        .at(at.join("dtype")),
                    ),
                }
            }
        }
        let targets: Vec<&Column> = columns.iter().filter(|column| column.role == Role::Target).collect();
        if let [first, second, ..] = targets.as_slice() {
            faults.push(
                Fault::warning(
                    "collect::several_targets",
                    format!("`{}` and `{}` both have the role `target`", first.name, second.name),
                )
                .help("`train` then wants its `target` named")
                .at(route!["columns", second.name.as_str(), "role"]),
            );
        }
        faults
    }

    /// A file whose suffix belongs to another format is most likely a mistake.
    fn format_looks_wrong(&self) -> Vec<Fault> {
        const SUFFIXES: [(&str, &str); 8] = [
            (".csv", "csv"),
            (".tsv", "tsv"),
            (".jsonl", "jsonl"),
            (".ndjson", "jsonl"),
            (".parquet", "parquet"),
            (".arrow", "arrow"),
            (".feather", "arrow"),
            ("-ubyte", "idx"),
        ];
        let chosen = match &self.0.from {
            Source::Csv(_) => "csv",
            Source::Tsv(_) => "tsv",
            Source::Jsonl(_) => "jsonl",
            Source::Parquet(_) => "parquet",
            Source::Arrow(_) => "arrow",
            Source::Idx(_) => "idx",
            Source::Images(_) => return Vec::new(),
        };
        let mut faults = Vec::new();
        for file in self.files() {
            let lower = file.path.to_lowercase();
            let plain = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".zst")).unwrap_or(&lower);
            let Some((_, format)) = SUFFIXES.iter().find(|(suffix, _)| plain.ends_with(suffix)) else { continue };
            // Comma- or semicolon-separated text is called `.csv` and `.tsv` alike.
            let kin = matches!((*format, chosen), ("csv" | "tsv", "csv" | "tsv"));
            if *format != chosen && !kin {
                faults.push(
                    Fault::warning(
                        "collect::format",
                        format!("`{}` is read as {chosen} but is named like {format}", file.path),
                    )
                    .help(format!("did you mean `from: {{ {format}: {} }}`?", file.path))
                    .at(file.route),
                );
            }
        }
        faults
    }
}

fn listed(paths: &OneOrMany<String>, format: &str) -> Vec<FileInput> {
    let base = route!["from", format, "path"];
    paths
        .iter()
        .enumerate()
        .map(|(index, path)| FileInput {
            // The order of files is the order of rows, so it is part of the role.
            role: if paths.0.len() == 1 { "data".to_owned() } else { format!("data.{index:06}") },
            path: path.clone(),
            glob: path.contains(['*', '?']),
            route: entry_route(paths, index, &base),
        })
        .collect()
}

/// Gives a column another type; what is known of its values follows as far as it can.
pub(crate) fn retype(column: &mut Column, dtype: DType) {
    let from = std::mem::replace(&mut column.dtype, dtype);
    let Some(Classes { count, values }) = &mut column.classes else { return };
    match (from, dtype) {
        (from, to) if from.is_integer() && to.is_integer() => {}
        (from, DType::String) if from.is_integer() || matches!(from, DType::Bool | DType::String) => values.sort(),
        (_, DType::Bool) => {
            *count = (*count).min(2);
            values.clear();
        }
        (_, to) if to.is_float() => column.classes = None,
        _ => values.clear(),
    }
}

/// The delimiter and the quote as bytes, once [`Kind::stage`] has settled them.
pub fn separators(options: &Delimited, default: u8) -> (u8, u8) {
    let byte = |text: &str| text.as_bytes().first().copied();
    (options.delimiter.as_deref().and_then(byte).unwrap_or(default), byte(&options.quote).unwrap_or(b'"'))
}
