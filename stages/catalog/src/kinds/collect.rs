//! `collect`: rows from files.

pub mod params;

use contract::artifact::{ArtifactKind, ArtifactType, Column, DType, DatasetType, Role};
use contract::fault::{Fault, Route, suggest};
use contract::kind::{
    About, DeclaredOutput, FileInput, InferContext, Inference, InputPort, Kind, Look, OutputPort, Program, Question,
    Stage, output_ports,
};
use contract::remote::{id, is_remote, shown};
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::columns::cast::{castable, retype};
use crate::columns::pattern::{entry_route, select, unknown};
use crate::kinds::collect::params::{Annotators, Collect, Delimited, Postgres, S3, Source};
use crate::params::on_error::OnError;
use crate::params::shape::OneOrMany;
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

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Vec<Fault>> {
        let mut params: Collect = decode(params)?;
        let faults = settle(&mut params);
        sound(Box::new(CollectStage(params)), faults)
    }
}

/// Writes out the defaults that depend on other parameters, and finds what no schema can.
fn settle(params: &mut Collect) -> Vec<Fault> {
    let mut faults = Vec::new();
    settle_source(&mut params.from, &route!["from"], &mut faults);
    settle_s3(params, &mut faults);
    settle_fill(&params.from, params.on_error, &mut faults);
    for (name, options) in &params.columns {
        if options.unit.as_ref().is_some_and(|unit| unit.trim().is_empty()) {
            faults.push(
                Fault::error("collect::unit", format!("the unit of `{name}` is empty"))
                    .help("write what its numbers are counted in, such as `mile`, or leave `unit` out")
                    .at(route!["columns", name.as_str(), "unit"]),
            );
        }
    }
    if let Some(annotators) = &params.annotators
        && annotators.columns.0.is_empty()
    {
        faults.push(
            Fault::error("collect::no_annotator", "no column of an annotator is named")
                .help("name them, or a pattern: `columns: rater_*`")
                .at(route!["annotators", "columns"]),
        );
    }
    faults
}

/// An address must be one.
fn settle_s3(params: &Collect, faults: &mut Vec<Fault>) {
    let Some(s3) = &params.s3 else { return };
    let good = |endpoint: &&String| {
        let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['@', '?', '#']))
    };
    if s3.endpoint.as_ref().filter(|endpoint| !good(endpoint)).is_some() {
        faults.push(
            Fault::error("collect::url", "`endpoint` is not the address of a store")
                .help("it looks like `https://minio.example.org:9000`; credentials belong into the environment")
                .at(route!["s3", "endpoint"]),
        );
    }
}

/// Pixels are a tensor, and no cell of a tensor is missing.
fn settle_fill(source: &Source, on_error: OnError, faults: &mut Vec<Fault>) {
    match source {
        Source::Concat(sources) => sources.iter().for_each(|source| settle_fill(source, on_error, faults)),
        Source::Join(join) => join.sources.iter().for_each(|source| settle_fill(source, on_error, faults)),
        Source::Images(images) if on_error == OnError::Fill && images.0.decode => faults.push(
            Fault::error(
                "collect::fill_images",
                "an image that cannot be read cannot be filled: pixels are never missing",
            )
            .help("write `on_error: reject`, which leaves such images out, or `decode: false` to keep their bytes")
            .at(route!["on_error"]),
        ),
        _ => {}
    }
}

/// Whether a path of a source, or of those in it, is as wanted.
fn any_path(source: &Source, wanted: &dyn Fn(&str) -> bool) -> bool {
    match source {
        Source::Concat(sources) => sources.iter().any(|source| any_path(source, wanted)),
        Source::Join(join) => join.sources.iter().any(|source| any_path(source, wanted)),
        _ => source.places(&Route::root()).iter().any(|place| wanted(place.path)),
    }
}

fn settle_source(source: &mut Source, at: &Route, faults: &mut Vec<Fault>) {
    let base = at.join(source.name());
    match source {
        Source::Csv(options) => settle_delimited(&mut options.0, ",", &base, faults),
        Source::Tsv(options) => settle_delimited(&mut options.0, "\t", &base, faults),
        Source::Texts(options) => settle_encoding(options.0.encoding.as_deref(), &base, faults),
        Source::Sqlite(options) if options.query.trim().is_empty() => faults.push(
            Fault::error("collect::no_query", "`query` is empty")
                .help("write a `select`, for example `select * from measurements`")
                .at(base.join("query")),
        ),
        Source::Postgres(postgres) => settle_postgres(postgres, &base, faults),
        Source::Concat(sources) => settle_all(sources, &base, faults),
        Source::Join(join) => {
            if join.on.0.is_empty() {
                faults.push(
                    Fault::error("collect::no_key", "no key column is named")
                        .help("name the columns that must be equal: `on: id`")
                        .at(base.join("on")),
                );
            }
            settle_all(&mut join.sources, &base.join("sources"), faults);
        }
        _ => {}
    }
    if let Some(paths) = source.paths() {
        faults.extend(no_path(paths, &base));
    }
    settle_digests(source, &base, faults);
}

fn settle_all(sources: &mut [Source], at: &Route, faults: &mut Vec<Fault>) {
    if sources.len() < 2 {
        faults.push(
            Fault::error("collect::one_source", "several sources are wanted here")
                .help("list two or more, as in `concat: [{ csv: a.csv }, { jsonl: b.jsonl }]`, or name the one under `from:`")
                .at(at.clone()),
        );
    }
    for (index, source) in sources.iter_mut().enumerate() {
        settle_source(source, &at.join(index), faults);
    }
}

fn settle_postgres(options: &Postgres, base: &Route, faults: &mut Vec<Fault>) {
    if options.query.trim().is_empty() {
        faults.push(
            Fault::error("collect::no_query", "`query` is empty")
                .help("write a `select`, for example `select * from measurements order by id`")
                .at(base.join("query")),
        );
    }
    for (key, text) in [("host", &options.host), ("database", &options.database), ("user", &options.user)] {
        if text.trim().is_empty() || (key == "host" && text.contains("://")) {
            faults.push(
                Fault::error("collect::database", format!("`{key}` does not name one"))
                    .help("as in `postgres: { host: db.example.org, database: shop, user: reader, query: ... }`")
                    .at(base.join(key)),
            );
        }
    }
    let name = &options.password_env;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        faults.push(
            Fault::error("collect::password", "`password_env` is not the name of an environment variable")
                .help("name the variable that holds the password, not the password: `password_env: SHOP_PASSWORD`")
                .at(base.join("password_env")),
        );
    }
}

/// Digests are declared for all URLs or for none, and addresses hold no secrets.
fn settle_digests(source: &Source, base: &Route, faults: &mut Vec<Fault>) {
    let urls = source.paths().map_or(0, |paths| paths.iter().filter(|path| is_url(path)).count());
    let digests = source.digests();
    for (index, digest) in digests.iter().enumerate() {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            faults.push(
                Fault::error("collect::digest", format!("`{digest}` is not `sha256:` and 64 hex digits"))
                    .help("`sha256sum FILE` prints them")
                    .at(base.join("digest").join(index)),
            );
        }
    }
    if urls != digests.len() && !digests.is_empty() {
        faults.push(
            Fault::error("collect::digest", format!("{urls} URLs have {} digests", digests.len()))
                .help("declare the content of every URL or of none: `{ path: https://..., digest: sha256:... }`; `sha256sum` prints it")
                .at(base.join("digest")),
        );
    }
    for Place { path, at, listed, .. } in source.places(base) {
        if is_url(path) {
            let host = path.split('/').nth(2).unwrap_or_default();
            if host.contains('@') || host.is_empty() {
                faults.push(
                    Fault::error("collect::url", "a URL has no server, or a user and a password in it")
                        .help("secrets do not belong into a pipeline; files that need a login are fetched by a `command` stage")
                        .at(at),
                );
            }
        } else if let Some(rest) = path.strip_prefix("s3://") {
            let (bucket, key) = rest.split_once('/').unwrap_or_default();
            if bucket.is_empty() || bucket.contains(['*', '?', '@', ':']) || key.is_empty() {
                faults.push(
                    Fault::error("collect::url", format!("`{path}` does not name a bucket and objects in it"))
                        .help("write `s3://bucket/folder/*.csv`; the store's address is said under `s3: { endpoint: ... }`")
                        .at(at),
                );
            } else if !listed && (key.contains(['*', '?']) || key.ends_with('/')) {
                let help = match source {
                    Source::Images(_) | Source::Texts(_) => {
                        "pack the folder (`.zip`, `.tar.zst`) and name that one object"
                    }
                    _ => "name one object",
                };
                faults.push(
                    Fault::error(
                        "collect::url",
                        format!("`{path}` names many objects, and `{}` reads one", source.name()),
                    )
                    .help(help)
                    .at(at),
                );
            }
        }
    }
}

/// Whether a path is a URL: one whose content can be declared.
pub fn is_url(path: &str) -> bool {
    path.starts_with("https://") || path.starts_with("http://")
}

fn settle_encoding(encoding: Option<&str>, base: &Route, faults: &mut Vec<Fault>) {
    if let Some(name) = encoding
        && name.trim().is_empty()
    {
        faults.push(
            Fault::error("collect::encoding", "`encoding` is empty")
                .help("name one, such as `latin-1`, or leave it out for UTF-8")
                .at(base.join("encoding")),
        );
    }
}

fn settle_delimited(options: &mut Delimited, default: &str, base: &Route, faults: &mut Vec<Fault>) {
    settle_encoding(options.encoding.as_deref(), base, faults);
    let delimiter = options.delimiter.get_or_insert_with(|| default.to_owned()).clone();
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
}

fn no_path(paths: &OneOrMany<String>, base: &Route) -> Vec<Fault> {
    let at = base.join("path");
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
                Fault::error("data::empty", "the source has no rows")
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
        Err(faults) => faults,
    }
}

impl Annotators {
    /// The positions of the annotators' columns among these.
    ///
    /// # Errors
    /// Names and patterns that are not there, and columns that leave nothing else.
    pub fn positions(&self, columns: &[Column]) -> Result<Vec<usize>, Vec<Fault>> {
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
                    Fault::error("collect::item", format!("`{item}` is the item and an annotator's column at once"))
                        .help("let the pattern leave it out, or name the annotators' columns one by one")
                        .at(route!["annotators", "item"]),
                ),
                Some(_) => {}
            }
        }
        if faults.is_empty() && taken.len() == columns.len() {
            faults.push(
                Fault::error("collect::no_data", "every column is an annotator's: no data is left")
                    .help("name fewer columns, or leave `annotators` out and use the table as it is")
                    .at(route!["annotators", "columns"]),
            );
        }
        if faults.is_empty() { Ok(taken) } else { Err(faults) }
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

    fn ask(&self, context: &InferContext<'_>) -> Result<DatasetType, Vec<Fault>> {
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

    /// Options of a store nothing is read from are most likely a mistake.
    fn unused_store(&self) -> Option<Fault> {
        let used = any_path(&self.0.from, &|path| path.starts_with("s3://"));
        (self.0.s3.is_some() && !used).then(|| {
            Fault::warning("collect::unused_s3", "`s3` is said, but no path begins with `s3://`")
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

/// The role of one of several paths: their order is the order of rows, so it is part of it.
pub fn path_role(paths: usize, index: usize) -> String {
    if paths == 1 { "data".to_owned() } else { format!("data.{index:06}") }
}

/// Takes the paths out of a source's canonical parameters, wherever they are in it.
fn strip(source: &mut Value) {
    let Some((name, options)) = source.as_object_mut().and_then(|source| source.iter_mut().next()) else { return };
    match (name.as_str(), options) {
        ("concat", Value::Array(sources)) => sources.iter_mut().for_each(strip),
        ("join", options) => {
            options["sources"].as_array_mut().into_iter().flatten().for_each(strip);
        }
        (_, Value::Object(options)) => {
            let path = options.remove("path");
            options.remove("images");
            // How one gets in is not what one gets.
            options.remove("password_env");
            options.remove("tls");
            if let Some(labels) = options.get_mut("labels") {
                match labels {
                    Value::Object(labels) => drop(labels.remove("path")),
                    _ => drop(options.remove("labels")),
                }
            }
            let paths: Vec<Value> = match path {
                Some(Value::Array(paths)) => paths,
                Some(one) => vec![one],
                None => Vec::new(),
            };
            let folders: Vec<Value> = paths
                .iter()
                .filter_map(Value::as_str)
                .map(|path| Value::Array(fixed_partitions(path).into_iter().map(Value::String).collect()))
                .collect();
            if folders.iter().any(|folders| folders.as_array().is_some_and(|folders| !folders.is_empty())) {
                options.insert("partitions".into(), Value::Array(folders));
            }
        }
        _ => {}
    }
}

/// The folders like `year=2024` in a path (which may name a folder itself), before its first wildcard.
fn fixed_partitions(path: &str) -> Vec<String> {
    path.split('/')
        .take_while(|part| !part.contains(['*', '?']))
        .filter(|part| part.split_once('=').is_some_and(|(key, _)| !key.is_empty()))
        .map(str::to_owned)
        .collect()
}

/// Where the files of the `index`-th of several sources begin their roles.
pub fn nested_role(prefix: &str, index: usize) -> String {
    format!("{prefix}{index:03}/")
}

fn nested(source: &Source, at: &Route) -> Option<(Vec<Source>, Route)> {
    match source {
        Source::Concat(sources) => Some((sources.clone(), at.join("concat"))),
        Source::Join(join) => Some((join.sources.clone(), at.join("join").join("sources"))),
        _ => None,
    }
}

fn formats_of(source: &Source, prefix: &str, formats: &mut Vec<(String, &'static str)>) {
    match source {
        Source::Images(_) | Source::Texts(_) | Source::Sqlite(_) | Source::Postgres(_) => {}
        Source::Npy(_) | Source::Npz(_) => {}
        _ => match nested(source, &route![]) {
            Some((sources, _)) => sources
                .iter()
                .enumerate()
                .for_each(|(index, source)| formats_of(source, &nested_role(prefix, index), formats)),
            None => formats.push((prefix.to_owned(), source.name())),
        },
    }
}

fn files_of(source: &Source, s3: Option<&S3>, prefix: &str, at: &Route, files: &mut Vec<FileInput>) {
    if let Some((sources, at)) = nested(source, at) {
        for (index, source) in sources.iter().enumerate() {
            files_of(source, s3, &nested_role(prefix, index), &at.join(index), files);
        }
        return;
    }
    let base = at.join(source.name());
    if let Source::Postgres(Postgres { host, port, database, user, query, .. }) = source {
        let path = format!("postgres://{user}@{host}:{port}/{database}#{query}");
        files.push(FileInput { role: format!("{prefix}answer"), path, glob: false, route: base.join("query") });
    }
    let declared = !source.digests().is_empty();
    let outside = source.places(&base).into_iter().filter(|place| !(declared && place.listed && is_url(place.path)));
    files.extend(outside.map(|place| FileInput {
        role: format!("{prefix}{}", place.role),
        path: elsewhere(place.path, s3),
        glob: place.listed && place.path.contains(['*', '?']) && !is_remote(place.path),
        route: place.at,
    }));
}

/// A path with everything that tells which source it is: the same bucket's name may be in two stores.
fn elsewhere(path: &str, s3: Option<&S3>) -> String {
    let Some(s3) = s3.filter(|_| path.starts_with("s3://")) else { return path.to_owned() };
    let said = |value: &Option<String>| value.clone().unwrap_or_default();
    format!("{path}#{} {}", said(&s3.endpoint), said(&s3.region))
}

/// Whether anything of a source is fetched from elsewhere.
fn remote(source: &Source) -> bool {
    match source {
        Source::Concat(sources) => sources.iter().any(remote),
        Source::Join(join) => join.sources.iter().any(remote),
        Source::Postgres(_) => true,
        _ => any_path(source, &is_remote),
    }
}

/// A path in the options of a source.
#[derive(Debug)]
pub struct Place<'a> {
    /// What its file is called among those of the source.
    pub role: String,
    /// A path, a URL, an object.
    pub path: &'a str,
    /// Where it is written.
    pub at: Route,
    /// Whether it is one of [`Source::paths`]: then it may be a pattern or a folder, and a URL may have a digest.
    pub listed: bool,
}

impl Source {
    /// Every path it reads, in order; `base` is where its options are written.
    pub fn places(&self, base: &Route) -> Vec<Place<'_>> {
        let mut places = Vec::new();
        if let Some(paths) = self.paths() {
            let at = base.join("path");
            places.extend(paths.iter().enumerate().map(|(index, path)| Place {
                role: path_role(paths.0.len(), index),
                path,
                at: entry_route(paths, index, &at),
                listed: true,
            }));
        }
        let single: Vec<(&str, &String, &str)> = match self {
            Self::Idx(idx) => {
                let labels = idx.labels.iter().map(|path| ("labels", path, "labels"));
                std::iter::once(("images", &idx.images, "images")).chain(labels).collect()
            }
            Self::Images(images) => {
                let labels = images.0.labels.iter().map(|labels| ("labels", &labels.0.path, "labels"));
                std::iter::once(("images", &images.0.path, "path")).chain(labels).collect()
            }
            Self::Texts(texts) => vec![("texts", &texts.0.path, "path")],
            Self::Sqlite(sqlite) => vec![("database", &sqlite.path, "path")],
            Self::Npy(npy) => npy.0.labels.iter().map(|path| ("labels", path, "labels")).collect(),
            _ => Vec::new(),
        };
        places.extend(single.into_iter().map(|(role, path, key)| Place {
            role: role.to_owned(),
            path,
            at: base.join(key),
            listed: false,
        }));
        places
    }

    /// The name it has under `from:`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Csv(_) => "csv",
            Self::Tsv(_) => "tsv",
            Self::Jsonl(_) => "jsonl",
            Self::Parquet(_) => "parquet",
            Self::Arrow(_) => "arrow",
            Self::Idx(_) => "idx",
            Self::Images(_) => "images",
            Self::Texts(_) => "texts",
            Self::Npy(_) => "npy",
            Self::Npz(_) => "npz",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::Concat(_) => "concat",
            Self::Join(_) => "join",
        }
    }

    /// The files it reads rows from, one below the other; `None` for sources of another make.
    pub fn paths(&self) -> Option<&OneOrMany<String>> {
        Some(match self {
            Self::Csv(options) | Self::Tsv(options) => &options.0.path,
            Self::Jsonl(files) | Self::Arrow(files) => &files.0.path,
            Self::Npz(files) => &files.0.path,
            Self::Parquet(files) => &files.0.path,
            Self::Npy(files) => &files.0.path,
            _ => return None,
        })
    }

    /// What URLs are declared to hold, in their order.
    pub fn digests(&self) -> &[String] {
        let digests = match self {
            Self::Csv(options) | Self::Tsv(options) => options.0.digest.as_ref(),
            Self::Jsonl(files) | Self::Arrow(files) => files.0.digest.as_ref(),
            Self::Npz(files) => files.0.digest.as_ref(),
            Self::Parquet(files) => files.0.digest.as_ref(),
            Self::Npy(files) => files.0.digest.as_ref(),
            _ => None,
        };
        digests.map_or(&[], |digests| digests.0.as_slice())
    }

    /// Which files of an archive are wanted.
    pub fn inside(&self) -> Option<&OneOrMany<String>> {
        match self {
            Self::Csv(options) | Self::Tsv(options) => options.0.inside.as_ref(),
            Self::Jsonl(files) | Self::Arrow(files) => files.0.inside.as_ref(),
            Self::Npz(files) => files.0.inside.as_ref(),
            Self::Parquet(files) => files.0.inside.as_ref(),
            Self::Npy(files) => files.0.inside.as_ref(),
            _ => None,
        }
    }
}

/// The delimiter and the quote as bytes, once [`Kind::stage`] has settled them.
pub fn separators(options: &Delimited, default: u8) -> (u8, u8) {
    let byte = |text: &str| text.as_bytes().first().copied();
    (options.delimiter.as_deref().and_then(byte).unwrap_or(default), byte(&options.quote).unwrap_or(b'"'))
}
