//! Parameters of `collect`.

use std::collections::BTreeMap;

use engine::artifact::{DType, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{OneOrMany, PathOr};

/// Reads rows from files into a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// Where the rows come from.
    pub from: Source,
    /// What is known better than it can be inferred: types and roles by column.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnOptions>,
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
    /// Apache Parquet.
    Parquet(PathOr<Files>),
    /// Arrow IPC (file or stream).
    Arrow(PathOr<Files>),
    /// IDX, the format of MNIST: an image file and, beside it, a label file.
    Idx(Idx),
    /// A folder of PNG or JPEG images, one folder below it for each class.
    Images(PathOr<Images>),
}

/// Options of `csv` and `tsv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delimited {
    /// A file, a pattern with `*`, or a list of them. Relative to the pipeline's file.
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
    /// Cells that mean missing, besides the empty cell.
    #[serde(default = "missing")]
    pub missing: Vec<String>,
}

/// Options of `jsonl`, `parquet` and `arrow`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// A file, a pattern with `*`, or a list of them. Relative to the pipeline's file.
    pub path: OneOrMany<String>,
}

/// Options of `idx`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idx {
    /// The file of images (or of any tensor whose first dimension counts rows).
    pub images: String,
    /// The file of labels.
    #[serde(default)]
    pub labels: Option<String>,
}

/// Options of `images`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// The folder.
    pub path: String,
    /// How pixels are kept.
    #[serde(default)]
    pub mode: ColorMode,
    /// Height and width every image is resized to. Without it, all images must have one size.
    #[serde(default)]
    pub size: Option<[u32; 2]>,
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
}

fn yes() -> bool {
    true
}

fn quote() -> String {
    "\"".into()
}

fn missing() -> Vec<String> {
    ["NA", "N/A", "NaN", "nan", "null", "NULL", "?"].map(String::from).to_vec()
}
