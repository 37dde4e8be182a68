//! Parameters of `collect`.

use std::collections::BTreeMap;

use contract::artifact::{DType, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::params::on_error::OnError;
use crate::params::shape::{OneOrMany, PathOr};

/// Reads rows from files into a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// Where the rows come from.
    pub from: Source,
    /// What is known better than it can be inferred: types and roles by column.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnOptions>,
    /// Adds two columns that say where each row came from: `source_file` and `source_row` (from 1, within the file).
    #[serde(default)]
    pub provenance: bool,
    /// What happens to input that cannot be read: rows of too few or too many cells, cells that are not of the stated type or cannot be
    /// kept, lines that are no JSON, text that is not in its encoding, broken images. What makes everything after it unreadable (a
    /// quote that is never closed, a packed file that is cut off) always fails; so does a source of which more than half cannot be read.
    #[serde(default)]
    pub on_error: OnError,
    /// So many rejected rows are kept in the output `rejected`, each with the reason. All are counted.
    #[serde(default = "kept")]
    pub keep_rejected: u64,
    /// The object store that `s3://` paths mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// Columns that hold what several people (or programs) said of each row, as crowd-sourcing sites and surveys export them. They
    /// become the output `labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotators: Option<Annotators>,
}

/// Where an S3-compatible store is. Credentials are never written here: they come from the environment (`AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// Its address, such as `https://minio.example.org:9000`. Default: Amazon's, or what `AWS_ENDPOINT_URL` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Its region. Default: what `AWS_REGION` says, or `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// Which columns are labels, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Annotators {
    /// One column for each annotator, named after them: names or patterns with `*`. An empty cell is no answer.
    pub columns: OneOrMany<String>,
    /// The column that identifies the rows. Default: the row's number, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
}

/// A source of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Comma-separated values, quoted as in RFC 4180. `.gz` and `.zst` are unpacked on the way.
    Csv(PathOr<Delimited>),
    /// Tab-separated values.
    Tsv(PathOr<Delimited>),
    /// JSON Lines: one object a line.
    Jsonl(PathOr<Files>),
    /// Apache Parquet. Image columns as the Hugging Face hub writes them are decoded, class labels get their names. In a folder whose
    /// files are called `train-00000-of-00002.parquet`, `test-...`, the part of the name becomes the column `split`.
    Parquet(PathOr<ParquetFiles>),
    /// Arrow IPC (file or stream).
    Arrow(PathOr<Files>),
    /// IDX, the format of MNIST: an image file and, beside it, a label file.
    Idx(Idx),
    /// A folder of PNG or JPEG images, one folder below it for each class, or with a file of labels beside it.
    Images(PathOr<Images>),
    /// A folder of text files, one folder below it for each class (or none).
    Texts(PathOr<Texts>),
    /// A NumPy array (`.npy`): a column of numbers, or of tensors when it has more than one dimension.
    Npy(PathOr<Numpy>),
    /// NumPy arrays under their names (`.npz`), each a column.
    Npz(PathOr<Arrays>),
    /// The rows a query gives from an SQLite file.
    Sqlite(Sqlite),
    /// The rows a query gives from a PostgreSQL server.
    Postgres(Postgres),
    /// Several sources below each other. Columns are matched by name; one that a source lacks is missing there, with a notice.
    Concat(Vec<Source>),
    /// Several sources beside each other, matched by key columns.
    Join(Join),
}

/// Options of `csv` and `tsv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delimited {
    /// A file, a folder (all files in it that are named like this format), a pattern with `*`, a URL (`https://...`), objects of a store
    /// (`s3://bucket/folder/*.csv`), or a list of them. Relative to the pipeline's file.
    pub path: OneOrMany<String>,
    /// Whether the first line names the columns. Without it they are `column_1`, `column_2` ...
    #[serde(default = "yes")]
    pub header: bool,
    /// One character between fields. Default: `,` for csv, a tab for tsv.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1))]
    pub delimiter: Option<String>,
    /// One character around fields that hold delimiters or line breaks; doubled inside them.
    #[serde(default = "quote")]
    #[schemars(length(min = 1, max = 1))]
    pub quote: String,
    /// Cells that mean missing, besides the empty cell. The default is that of pandas, and `?`.
    #[serde(default = "missing")]
    pub missing: Vec<String>,
    /// How characters are written: `utf-8`, `latin-1`, `windows-1252`, `utf-16le`, `shift_jis` ... (the WHATWG's names).
    /// Default: UTF-8, or UTF-16 where the file begins with a byte order mark.
    #[serde(default)]
    pub encoding: Option<String>,
    /// Which files of an archive (`.zip`, `.tar`, `.tar.gz`, `.tar.zst`) are read, with `*` for any characters. Default: all that
    /// are named like this format.
    #[serde(default)]
    pub inside: Option<OneOrMany<String>>,
    /// SHA-256 of each path that is a URL, in their order: `sha256:` and 64 hex digits. What is declared is fetched once; without
    /// it the server is asked at every run whether the file changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<OneOrMany<String>>,
}

/// Options of `jsonl` and `arrow`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// A file, a folder (all files in it that are named like this format), a pattern with `*`, a URL (`https://...`), objects of a store
    /// (`s3://bucket/folder/*.csv`), or a list of them. Relative to the pipeline's file.
    pub path: OneOrMany<String>,
    /// Which files of an archive (`.zip`, `.tar`, `.tar.gz`, `.tar.zst`) are read, with `*` for any characters. Default: all that
    /// are named like this format.
    #[serde(default)]
    pub inside: Option<OneOrMany<String>>,
    /// SHA-256 of each path that is a URL, in their order: `sha256:` and 64 hex digits. What is declared is fetched once; without
    /// it the server is asked at every run whether the file changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<OneOrMany<String>>,
}

/// Options of `npz`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arrays {
    /// A file, a pattern with `*`, a URL (`https://...`), objects of a store (`s3://bucket/folder/*.npz`), or a list of them. Relative
    /// to the pipeline's file.
    pub path: OneOrMany<String>,
    /// Which arrays are read, with `*` for any characters. Default: all.
    #[serde(default)]
    pub inside: Option<OneOrMany<String>>,
    /// SHA-256 of each path that is a URL, in their order: `sha256:` and 64 hex digits. What is declared is fetched once; without
    /// it the server is asked at every run whether the file changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<OneOrMany<String>>,
}

/// Options of `parquet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParquetFiles {
    /// A file, a folder (all files in it that are named like this format), a pattern with `*`, a URL (`https://...`), objects of a store
    /// (`s3://bucket/folder/*.csv`), or a list of them. Relative to the pipeline's file.
    pub path: OneOrMany<String>,
    /// Which files of an archive are read, with `*` for any characters. Default: all that are named like this format.
    #[serde(default)]
    pub inside: Option<OneOrMany<String>>,
    /// SHA-256 of each path that is a URL, in their order: `sha256:` and 64 hex digits. What is declared is fetched once; without
    /// it the server is asked at every run whether the file changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<OneOrMany<String>>,
    /// Whether images of image columns are decoded into pixels. Otherwise the column holds their encoded bytes, for `decode_images` later.
    #[serde(default = "yes")]
    pub decode: bool,
    /// How pixels of image columns are kept.
    #[serde(default)]
    pub mode: ColorMode,
    /// Height and width every image of an image column is resized to. Without it, all must have one size.
    #[serde(default)]
    pub size: Option<[u32; 2]>,
}

/// Options of `npy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Numpy {
    /// A file, a pattern with `*`, a URL, objects of a store (`s3://`), or a list of them: rows below each other, in the column
    /// `value`.
    pub path: OneOrMany<String>,
    /// An array of as many labels, for the column `label`.
    #[serde(default)]
    pub labels: Option<String>,
    /// Which files of an archive are read, with `*` for any characters. Default: all that are named like this format.
    #[serde(default)]
    pub inside: Option<OneOrMany<String>>,
    /// SHA-256 of each path that is a URL, in their order: `sha256:` and 64 hex digits. What is declared is fetched once; without
    /// it the server is asked at every run whether the file changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<OneOrMany<String>>,
}

/// Options of `texts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// The folder, or an archive of it (also behind a URL, or one object of a store): `.txt`, `.text` and `.md` files.
    pub path: String,
    /// How characters are written, as in `csv`.
    #[serde(default)]
    pub encoding: Option<String>,
}

/// Options of `sqlite`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sqlite {
    /// The database file; a URL or one object of a store, too. It is opened for reading only.
    pub path: String,
    /// One `select`. Without `order by`, rows come in the order SQLite finds them in.
    pub query: String,
}

/// Options of `postgres`. The answer is kept: `pipeline run --refresh` asks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// The server's name or address, or the folder of its socket.
    #[serde(default = "localhost")]
    pub host: String,
    /// The port.
    #[serde(default = "postgres_port")]
    pub port: u16,
    /// The database.
    pub database: String,
    /// Who asks.
    pub user: String,
    /// One `select`, carried out in a transaction that cannot write. Without an `order by` at its end, rows come in the order of all
    /// their columns, so that the same rows give the same data set.
    pub query: String,
    /// The environment variable that holds the password, which is never written down.
    #[serde(default = "password_env")]
    pub password_env: String,
    /// Whether the connection is encrypted, and the server's certificate checked.
    #[serde(default)]
    pub tls: Tls,
}

/// When a connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Always, but for a server on this machine.
    #[default]
    Auto,
    /// Always.
    Require,
    /// Never.
    Off,
}

/// Options of `join`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The sources, the leading one first.
    pub sources: Vec<Source>,
    /// The columns that must be equal. A missing key equals nothing.
    pub on: OneOrMany<String>,
    /// Which rows are kept.
    #[serde(default)]
    pub how: How,
}

/// Which rows a join keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Those with a partner in every source.
    Inner,
    /// All of the leading source.
    #[default]
    Left,
    /// All of every source.
    Full,
}

/// Options of `idx`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idx {
    /// The file of images (or of any tensor whose first dimension counts rows); a URL or one object of a store, too.
    pub images: String,
    /// The file of labels.
    #[serde(default)]
    pub labels: Option<String>,
}

/// Options of `images`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// The folder, or an archive of it (also behind a URL, or one object of a store: `s3://bucket/images.zip`).
    pub path: String,
    /// A CSV file with a column of paths (relative to the folder); its other columns come along. Without it, classes are
    /// the folders' names.
    #[serde(default)]
    pub labels: Option<PathOr<LabelFile>>,
    /// Whether images are decoded into pixels. Otherwise the column holds their encoded bytes, for `decode_images` later.
    #[serde(default = "yes")]
    pub decode: bool,
    /// How pixels are kept.
    #[serde(default)]
    pub mode: ColorMode,
    /// Height and width every image is resized to. Without it, all images must have one size.
    #[serde(default)]
    pub size: Option<[u32; 2]>,
}

/// A file that says which labels images have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelFile {
    /// The CSV file.
    pub path: String,
    /// Its column of paths.
    #[serde(default = "file")]
    pub file: String,
}

/// Channels of a decoded image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColorMode {
    /// One channel.
    Grey,
    /// Three channels.
    #[default]
    Rgb,
}

/// What is said of one column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnOptions {
    /// The type to read it as.
    #[serde(default)]
    pub dtype: Option<DType>,
    /// What it is for.
    #[serde(default)]
    pub role: Option<Role>,
    /// What its numbers are counted in, in words of your own: `mile`, `kg/m²`. It stays with the column through `preprocess` and `split`
    /// until a step makes new values of it, and is shown wherever the column is described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

fn localhost() -> String {
    "localhost".into()
}

fn postgres_port() -> u16 {
    5432
}

fn password_env() -> String {
    "PGPASSWORD".into()
}

fn kept() -> u64 {
    100_000
}

fn yes() -> bool {
    true
}

fn file() -> String {
    "file".into()
}

fn quote() -> String {
    "\"".into()
}

fn missing() -> Vec<String> {
    let pandas = [
        "NA", "N/A", "n/a", "<NA>", "#N/A", "#N/A N/A", "#NA", "NaN", "nan", "-NaN", "-nan", "NULL", "Null", "null",
        "None", "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN",
    ];
    pandas.into_iter().chain(["?"]).map(String::from).collect()
}
