//! `collect`: rows from files.

mod check;
pub mod params;
mod source;

use contract::artifact::{ArtifactKind, ArtifactType, Column, DType, DatasetType, Role};
use contract::fault::{Fault, Faults, suggest};
use contract::kind::{
    About, DeclaredOutput, FileInput, InferContext, Inference, InputPort, Kind, Look, OutputPort, Program, Question,
    Stage, output_ports,
};
use contract::remote::{id, is_remote, shown};
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use self::check::settle;
pub use self::source::{Place, is_url, nested_role, path_role, separators};
use self::source::{any_path, files_of, formats_of, remote, strip};
use crate::columns::cast::{castable, retype};
use crate::columns::pattern::{select, unknown};
use crate::kinds::collect::params::{Annotators, Collect};
use crate::params::on_error::OnError;
use crate::params::typed::{decode, encode, sound};

/// The output ports.
const OUTPUTS: &[DeclaredOutput] = &[
    DeclaredOutput::new(
        "data",
        ArtifactKind::Dataset,
        "All rows, in the order of the files and of the rows inside them.",
    ),
    DeclaredOutput::new(
        "rejected",
        ArtifactKind::Dataset,
        "With `on_error: reject`: what could not be read. The file, the row's number in it, its line in a text file, the \
                     reason, and the text as it stands there (its first 1000 characters).",
    ),
    DeclaredOutput::new(
        "labels",
        ArtifactKind::Labels,
        "With `annotators`: a row for each answer, with the columns `item`, `label` and `annotator`.",
    ),
];

/// The kind.
pub struct CollectKind;

impl Kind for CollectKind {
    fn name(&self) -> &'static str {
        "collect"
    }

    fn version(&self) -> u32 {
        3
    }

    fn program(&self) -> Program {
        Program::Data
    }

    fn seeded(&self) -> bool {
        false
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Collect::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Reads rows into a data set: from CSV, TSV, JSON Lines, Parquet, Arrow, IDX and NumPy files (plain, packed or in \
                      an archive; from the disk, a URL or an object store), folders of images or texts, a database query, or several of \
                      these together. Types are inferred from the whole content; what the file cannot say (that a number is an \
                      identifier, that a column is the target) is said under `columns`. The content of the files decides \
                      whether the stage runs again, never their dates or where they lie.",
            inputs: &[],
            outputs: OUTPUTS,
            example: "raw:\n  kind: collect\n  from: { csv: data/digits.csv }\n  columns:\n    label: { role: target }\n",
        }
    }

    fn look(&self) -> Look {
        Look::of_hue(205)
    }

    fn synonyms(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("file", "path"),
            ("files", "path"),
            ("sep", "delimiter"),
            ("separator", "delimiter"),
            ("na_values", "missing"),
            ("source", "from"),
        ]
    }

    fn smallest(&self) -> Value {
        json!({ "from": { "csv": "a.csv" } })
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        let mut params: Collect = decode(params)?;
        let faults = settle(&mut params);
        sound(Box::new(CollectStage(params)), faults)
    }
}

/// A `collect` with its parameters.
pub struct CollectStage(pub Collect);

impl Stage for CollectStage {
    fn params(&self) -> Value {
        encode(&self.0)
    }

    /// Paths are left out: content is keyed through [`Stage::files`], and with it as much of the names as matters. Of the part of
    /// a path before its first `*`, folders like `year=2024` matter: they become columns.
    fn keyed(&self) -> Value {
        let mut keyed = self.params();
        strip(&mut keyed["from"]);
        // The store's address is part of what stands for the objects.
        if let Some(keyed) = keyed.as_object_mut() {
            keyed.remove("s3");
        }
        keyed
    }

    fn inputs(&self, _: &[&str]) -> Vec<InputPort> {
        Vec::new()
    }

    fn outputs(&self) -> Vec<OutputPort> {
        let there = |name: &str| match name {
            "rejected" => self.0.on_error == OnError::Reject,
            "labels" => self.0.annotators.is_some(),
            _ => true,
        };
        output_ports(OUTPUTS).into_iter().filter(|port| there(&port.name)).collect()
    }

    fn files(&self) -> Vec<FileInput> {
        let mut files = Vec::new();
        files_of(&self.0.from, self.0.s3.as_ref(), "", &route!["from"], &mut files);
        files
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let mut faults = self.format_looks_wrong();
        faults.extend(self.unused_store());
        let mut dataset = match self.ask(context) {
            Ok(dataset) => dataset,
            Err(found) => {
                faults.extend(found);
                DatasetType::default()
            }
        };
        dataset.parts = Vec::new();
        dataset.sources = vec![context.stage.to_owned()];
        dataset.files = self.rows_from();
        if let Some(columns) = &mut dataset.columns {
            faults.extend(self.override_columns(columns));
            if let Some(annotators) = &self.0.annotators {
                faults.extend(take_annotators(annotators, columns));
            }
        }
        if dataset.rows == Some(0) {
            faults.push(
                Fault::error(contract::code!("data::empty"), "the source has no rows")
                    .help("check the path and the `header` option: a file of one line has only a header")
                    .at(route!["from"]),
            );
        }
        let mut outputs: contract::artifact::Types =
            [("data".to_owned(), ArtifactType::Dataset(dataset.into()))].into();
        if self.0.on_error == OnError::Reject {
            let sources = vec![context.stage.to_owned()];
            let rejected = DatasetType { columns: Some(rejected()), sources, ..DatasetType::default() };
            outputs.insert("rejected".to_owned(), ArtifactType::Dataset(rejected.into()));
        }
        if self.0.annotators.is_some() {
            outputs.insert("labels".to_owned(), ArtifactType::Other(ArtifactKind::Labels));
        }
        Inference { outputs, faults }
    }
}

/// The columns of the output `rejected`: the file, the row's number in it (from 1; missing where the file is the row), its line in a
/// text file, why it was rejected, and its text.
pub fn rejected() -> Vec<Column> {
    let column = |name: &str, dtype, nullable| Column { nullable, ..Column::new(name, dtype) };
    vec![
        column("source_file", DType::String, false),
        column("source_row", DType::Int64, true),
        column("line", DType::Int64, true),
        column("reason", DType::String, false),
        column("text", DType::String, true),
    ]
}

/// Takes the annotators' columns out of the data.
fn take_annotators(annotators: &Annotators, columns: &mut Vec<Column>) -> Vec<Fault> {
    match annotators.positions(columns) {
        Ok(taken) => {
            let mut position = 0;
            columns.retain(|_| {
                position += 1;
                !taken.contains(&(position - 1))
            });
            Vec::new()
        }
        Err(faults) => faults.into_vec(),
    }
}

impl Annotators {
    /// The positions of the annotators' columns among these.
    ///
    /// # Errors
    /// Names and patterns that are not there, and columns that leave nothing else.
    pub fn positions(&self, columns: &[Column]) -> Result<Vec<usize>, Faults> {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let mut faults = Vec::new();
        let taken = select(&self.columns, &names, &route!["annotators", "columns"]).unwrap_or_else(|more| {
            faults.extend(more);
            Vec::new()
        });
        if let Some(item) = &self.item {
            match names.iter().position(|name| name == item) {
                None => faults.push(unknown(item, &names).at(route!["annotators", "item"])),
                Some(at) if taken.contains(&at) => faults.push(
                    Fault::error(
                        contract::code!("collect::item"),
                        format!("`{item}` is the item and an annotator's column at once"),
                    )
                    .help("let the pattern leave it out, or name the annotators' columns one by one")
                    .at(route!["annotators", "item"]),
                ),
                Some(_) => {}
            }
        }
        if faults.is_empty() && taken.len() == columns.len() {
            faults.push(
                Fault::error(contract::code!("collect::no_data"), "every column is an annotator's: no data is left")
                    .help("name fewer columns, or leave `annotators` out and use the table as it is")
                    .at(route!["annotators", "columns"]),
            );
        }
        if faults.is_empty() { Ok(taken) } else { Err(Faults::from(faults)) }
    }
}

impl CollectStage {
    /// The files whose rows it holds. Databases are left out: what is asked of one twice need not be the same.
    fn rows_from(&self) -> Vec<String> {
        let base = |file: &FileInput| file.role.rsplit('/').next().unwrap_or_default().to_owned();
        let rows = |file: &FileInput| !["database", "answer"].contains(&base(file).as_str());
        // What follows a URL's `?` may be a secret, and what is known of data is kept.
        let named = |file: FileInput| match is_remote(&file.path) {
            true => format!("{} {}", shown(&file.path), id(&file.path)),
            false => file.path,
        };
        let mut files: Vec<String> = self.files().into_iter().filter(rows).map(named).collect();
        files.sort();
        files.dedup();
        files
    }

    fn ask(&self, context: &InferContext<'_>) -> Result<DatasetType, Faults> {
        // Checking stays off the network: what a URL holds is known once it was collected.
        if remote(&self.0.from) {
            return Ok(DatasetType::default());
        }
        let question = Question {
            kind: "collect".into(),
            version: CollectKind.version(),
            params: self.params(),
            inputs: Default::default(),
            files: self.files(),
        };
        let answer = context.oracle.ask(Program::Data, &question)?;
        Ok(answer.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default())
    }

    /// Applies `columns:`. The worker has done so where it can; what it gave is kept, what it did not know is a fault.
    fn override_columns(&self, columns: &mut [Column]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (name, options) in &self.0.columns {
            let at = route!["columns", name.as_str()];
            let Some(position) = columns.iter().position(|column| column.name == *name) else {
                let fault = Fault::error(
                    contract::code!("data::unknown_column"),
                    format!("there is no column `{name}` in the source"),
                );
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
            if options.unit.is_some() {
                column.unit.clone_from(&options.unit);
            }
            if let Some(dtype) = options.dtype
                && dtype != column.dtype
            {
                match castable(column, dtype) {
                    Ok(()) => retype(column, dtype),
                    Err(why) => faults.push(
                        Fault::error(
                            contract::code!("data::cannot_cast"),
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
                    contract::code!("collect::several_targets"),
                    format!("`{}` and `{}` both have the role `target`", first.name, second.name),
                )
                .help("`train` then wants its `target` named")
                .at(route!["columns", second.name.as_str(), "role"]),
            );
        }
        faults
    }

    /// Options of a store nothing is read from are most likely a mistake.
    fn unused_store(&self) -> Option<Fault> {
        let used = any_path(&self.0.from, &|path| path.starts_with("s3://"));
        (self.0.s3.is_some() && !used).then(|| {
            Fault::warning(contract::code!("collect::unused_s3"), "`s3` is said, but no path begins with `s3://`")
                .help("write paths as `s3://bucket/folder/*.csv`, or leave `s3` out")
                .at(route!["s3"])
        })
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
        let mut chosen = Vec::new();
        formats_of(&self.0.from, "", &mut chosen);
        let mut faults = Vec::new();
        for file in self.files() {
            let Some((_, chosen)) = chosen.iter().rev().find(|(prefix, _)| file.role.starts_with(prefix)) else {
                continue;
            };
            let lower = file.path.to_lowercase();
            let plain = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".zst")).unwrap_or(&lower);
            let Some((_, format)) = SUFFIXES.iter().find(|(suffix, _)| plain.ends_with(suffix)) else { continue };
            // Comma- or semicolon-separated text is called `.csv` and `.tsv` alike.
            let kin = matches!((*format, *chosen), ("csv" | "tsv", "csv" | "tsv"));
            if *format != *chosen && !kin {
                faults.push(
                    Fault::warning(
                        contract::code!("collect::format"),
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
