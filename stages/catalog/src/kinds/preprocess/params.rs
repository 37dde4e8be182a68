//! Parameters of `preprocess`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use contract::artifact::DType;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::params::shape::OneOrMany;

/// Cleans and reshapes rows and columns, step by step. No step learns anything; what must be fitted on training data
/// belongs to `train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Carried out in order.
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
    /// So many rejected rows are kept for each step in the output `rejected`, each with the reason. Default: all. All are counted.
    #[serde(default)]
    pub keep_rejected: Option<u64>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Keeps the first of rows that are equal in all (or the named) columns.
    DropDuplicates(SomeColumns),
    /// Drops rows with a missing cell in any (or any of the named) columns.
    DropMissing(SomeColumns),
    /// Puts a value in place of missing cells.
    FillMissing(FillMissing),
    /// Renames columns: old name to new name.
    Rename(BTreeMap<String, String>),
    /// Keeps only these columns, in this order.
    Select(OneOrMany<String>),
    /// Drops these columns.
    Drop(OneOrMany<String>),
    /// Changes column types: column (or pattern) to type, or to `{ to: float64, on_error: fill }`.
    Cast(BTreeMap<String, CastTo>),
    /// Keeps the rows for which an SQL expression is true: `body_mass_g > 3000 AND sex IS NOT NULL`.
    Filter(String),
    /// Packs numeric columns into one tensor column of 32-bit floats. Tensor columns give all their elements, so that an image
    /// can be scaled, too.
    Pack(Pack),
    /// Drops rows whose text (or cells) is nearly that of an earlier row that was kept: MinHash finds the candidates, their
    /// Jaccard similarity decides.
    DropNearDuplicates(NearDuplicates),
    /// Keeps some rows, chosen at random, in their order.
    Sample(Sample),
    /// Orders the rows. Rows that are equal keep their order; missing cells come last.
    Sort(Sort),
    /// Reads texts as dates, by the first of several formats that fits.
    ParseDates(ParseDates),
    /// Adds columns (or replaces them) by SQL expressions over the columns as they are before the step: new column to expression.
    Derive(BTreeMap<String, String>),
    /// Divides a text column into several.
    SplitColumn(SplitColumn),
    /// Writes the cells of several columns one behind the other into a text column.
    JoinColumns(JoinColumns),
    /// One column of 0 and 1 for each stated category. (Categories that are to be found in the data are fitted: `features:` of
    /// `train` does that on the training part.)
    OneHot(OneHot),
    /// Numbers into stated bins, named by their edges or by labels.
    Bin(Bin),
    /// Numbers below the smallest or above the largest value become that value.
    Clip(Clip),
    /// Cells that equal a value become another, or missing; or parts of texts that match a pattern are replaced.
    Replace(Replace),
    /// Cleans text: HTML, Unicode forms, case and white space, in this order, as far as they are asked for.
    CleanText(CleanText),
    /// Keeps texts in some languages, or writes down which language each is in.
    Language(Language),
    /// Changes the size of images.
    Resize(Resize),
    /// Cuts images.
    Crop(Crop),
    /// Makes images of three channels grey (ITU-R BT.601).
    Greyscale(SomeColumns),
    /// Reads images in PNG or JPEG form (a column of bytes) into a tensor; broken ones are rejected or fail the step.
    DecodeImages(DecodeImages),
    /// Drops images that look like an earlier one: their difference hashes (dHash, 64 bits) differ in few bits.
    DropDuplicateImages(DuplicateImages),
    /// Adds the columns of another table, which is connected as one more input, by equal keys.
    Join(Join),
    /// One row for each group of rows with equal keys, sorted by the keys.
    GroupBy(GroupBy),
    /// Adds columns computed over the rows around each row; rows keep their order.
    Window(Window),
    /// The rows of an SQL query. The rows so far are the table `data`, other inputs are tables by the names of their ports.
    Sql(String),
}

/// Options of `drop_near_duplicates`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NearDuplicates {
    /// Names or patterns with `*`. Default: all columns that are no tensors.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
    /// From this Jaccard similarity of their pieces (five characters of a text, or a cell) two rows are near duplicates.
    #[serde(default = "similarity")]
    #[schemars(range(min = 0.5, max = 1.0))]
    pub similarity: f64,
}

fn similarity() -> f64 {
    0.8
}

/// Options of `sample`: a number of rows or a share of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// So many rows, or all when there are fewer.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub rows: Option<u64>,
    /// This share of the rows.
    #[serde(default)]
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    pub share: Option<f64>,
    /// Other numbers choose other rows.
    #[serde(default)]
    pub seed: u64,
}

/// Options of `sort`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sort {
    /// Columns, the most important first.
    pub by: OneOrMany<String>,
    /// Largest first.
    #[serde(default)]
    pub descending: bool,
}

/// What happens to cells that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The stage fails and names them.
    #[default]
    Fail,
    /// Their rows are dropped and kept in the output `rejected`.
    Reject,
    /// The cells become missing.
    Fill,
}

/// The type a column gets: the type alone, or with what happens to cells that are not of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CastTo {
    /// The type.
    pub to: DType,
    /// What happens to cells that are not of the type.
    pub on_error: OnError,
}

/// The long form of [`CastTo`].
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CastOptions {
    /// The type.
    to: DType,
    /// What happens to cells that are not of the type.
    #[serde(default)]
    on_error: OnError,
}

impl Serialize for CastTo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { to, on_error } = *self;
        match on_error {
            OnError::Fail => to.serialize(serializer),
            _ => CastOptions { to, on_error }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CastTo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let value = if value.is_object() { value } else { serde_json::json!({ "to": value }) };
        let CastOptions { to, on_error } = serde_json::from_value(value).map_err(serde::de::Error::custom)?;
        Ok(Self { to, on_error })
    }
}

impl JsonSchema for CastTo {
    fn schema_name() -> Cow<'static, str> {
        "CastTo".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let options = generator.subschema_for::<CastOptions>();
        let names = DType::ALL.map(DType::name);
        json_schema!({ "anyOf": [{ "type": "string", "enum": names }, options] })
    }
}

/// Options of `parse_dates`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParseDates {
    /// Names or patterns with `*` of text columns.
    pub columns: OneOrMany<String>,
    /// Tried in order: `%d.%m.%Y`, `%Y-%m-%d %H:%M:%S`, `%b %d, %Y`. Known are `%Y %y %m %d %e %b %B %H %I %M %S %f %p %j %s %%`.
    pub formats: OneOrMany<String>,
    /// What the cells become. Default: `datetime` when a format has a time of day, else `date`.
    #[serde(default)]
    pub into: Option<Instant>,
    /// What happens to texts that no format fits.
    #[serde(default)]
    pub on_error: OnError,
}

/// A date, or a date with the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Instant {
    /// A day.
    Date,
    /// A day and the time.
    Datetime,
}

/// Options of `split_column`: `by` or `pattern`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitColumn {
    /// The text column.
    pub column: String,
    /// The new columns. What is not there is missing; with `by`, the last takes the rest.
    #[schemars(length(min = 1))]
    pub into: Vec<String>,
    /// The text between two parts.
    #[serde(default)]
    pub by: Option<String>,
    /// A regular expression with one group for each new column; texts that do not match give missing cells.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Whether the column stays.
    #[serde(default)]
    pub keep: bool,
}

/// Options of `join_columns`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinColumns {
    /// Names or patterns with `*`, in this order.
    pub columns: OneOrMany<String>,
    /// The new column.
    pub into: String,
    /// What stands between two cells. Missing cells are left out.
    #[serde(default = "space")]
    pub between: String,
    /// Whether the columns stay.
    #[serde(default)]
    pub keep: bool,
}

fn space() -> String {
    " ".to_owned()
}

/// Options of `one_hot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneHot {
    /// The column: text, whole numbers or true/false. It is replaced by columns called `column_category`.
    pub column: String,
    /// All categories.
    #[schemars(length(min = 1))]
    pub categories: Vec<Scalar>,
    /// What happens to rows with another value: `fill` leaves all columns 0. A missing cell always does.
    #[serde(default)]
    pub on_error: OnError,
    /// Whether the column stays.
    #[serde(default)]
    pub keep: bool,
}

/// Options of `bin`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// The numeric column.
    pub column: String,
    /// Edges, ascending. A value on an edge belongs to the bin above. Below the first and from the last on there are bins, too.
    #[schemars(length(min = 1))]
    pub edges: Vec<f64>,
    /// Names of the bins: one more than edges. Default: `< 10`, `10 to 20`, `>= 20`.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
    /// The new column. Default: the column itself is replaced.
    #[serde(default)]
    pub into: Option<String>,
}

/// Options of `clip`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Names or patterns with `*` of numeric columns.
    pub columns: OneOrMany<String>,
    /// The smallest value.
    #[serde(default)]
    pub min: Option<f64>,
    /// The largest value.
    #[serde(default)]
    pub max: Option<f64>,
}

/// Options of `replace`: `values`, or `pattern` and `with`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// Names or patterns with `*`.
    pub columns: OneOrMany<String>,
    /// What the whole cell is, as text, and what it becomes: `{ "-999": null, "n.a.": null, Lon: London }`; `null` is missing.
    #[serde(default)]
    pub values: BTreeMap<String, Option<Scalar>>,
    /// A regular expression; everything in a text that matches it is replaced.
    #[serde(default)]
    pub pattern: Option<String>,
    /// What matches of `pattern` become; `$1` is the first group, `$0` all that matched. Where a letter or digit follows, and for a group with
    /// a name: `$${1}st`, `$${name}`.
    #[serde(default)]
    pub with: Option<String>,
}

/// Options of `clean_text`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanText {
    /// Names or patterns with `*`. Default: all text columns.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
    /// Removes tags, comments, scripts and styles, and reads entities such as `&amp;`.
    #[serde(default)]
    pub strip_html: bool,
    /// The Unicode form.
    #[serde(default)]
    pub unicode: Option<UnicodeForm>,
    /// Upper or lower case.
    #[serde(default)]
    pub case: Option<Case>,
    /// Runs of white space become one space, and none is left at the ends.
    #[serde(default)]
    pub whitespace: bool,
}

/// A Unicode normalisation form (UAX #15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnicodeForm {
    /// Composed: `é` is one character.
    Nfc,
    /// Composed, and compatible forms unified: `ﬁ` becomes `fi`, `²` becomes `2`.
    Nfkc,
}

/// Letter case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// All small.
    Lower,
    /// All capital.
    Upper,
}

/// Options of `language`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// The text column.
    pub column: String,
    /// Languages to keep, by ISO 639-3: `eng`, `deu`. Other rows, and texts of which the language cannot be told, are rejected.
    #[serde(default)]
    pub keep: Option<OneOrMany<String>>,
    /// A new column for the language's code; missing where it cannot be told.
    #[serde(default)]
    pub into: Option<String>,
    /// Less certain answers (0 to 1) count as not told.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: f64,
}

/// Options of `resize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Names or patterns with `*` of image columns: tensors `[channels, height, width]` of uint8.
    pub columns: OneOrMany<String>,
    /// Height and width.
    pub size: [u32; 2],
}

/// Options of `crop`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Names or patterns with `*` of image columns: tensors `[channels, height, width]`.
    pub columns: OneOrMany<String>,
    /// Height and width of what is kept.
    pub size: [u32; 2],
    /// The upper left corner (y, x). Default: the middle is kept.
    #[serde(default)]
    pub from: Option<[u32; 2]>,
}

/// Options of `decode_images`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecodeImages {
    /// The column of bytes; it is replaced by the images.
    pub column: String,
    /// Height and width all images get.
    pub size: [u32; 2],
    /// One channel in place of three.
    #[serde(default)]
    pub grey: bool,
    /// What happens to broken images (`fill` is not possible: a tensor has no missing elements).
    #[serde(default)]
    pub on_error: OnError,
}

/// Options of `drop_duplicate_images`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuplicateImages {
    /// The image column: a tensor `[channels, height, width]`.
    pub column: String,
    /// Images whose hashes differ in no more bits are duplicates.
    #[serde(default = "distance")]
    #[schemars(range(max = 32))]
    pub distance: u32,
}

fn distance() -> u32 {
    4
}

/// Options of `join`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The input port of the other table: `inputs: { data: flights, planes: planes }`, `with: planes`.
    pub with: String,
    /// Columns that are equal. They have the same name in both tables; `on: { origin: faa }` under `keys` says others.
    #[serde(default)]
    pub on: Option<OneOrMany<String>>,
    /// Column here to column there, where names differ.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// Which rows stay.
    #[serde(default)]
    pub how: How,
    /// Which columns of the other table come in: names or patterns with `*`. Default: all but the keys.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
    /// Put behind the name of a column that is there already.
    #[serde(default)]
    pub suffix: Option<String>,
}

/// Which rows a join keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Rows without a partner stay; the other table's cells are missing.
    #[default]
    Left,
    /// Rows without a partner are rejected.
    Inner,
}

/// Options of `group_by`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupBy {
    /// The keys.
    pub by: OneOrMany<String>,
    /// New column to what is computed: `{ flights: count, delay: { mean: dep_delay } }`. The new columns follow the keys in the order of their
    /// names, as the order in which a mapping is written never matters; `select` puts columns in another.
    #[schemars(length(min = 1))]
    pub aggregates: BTreeMap<String, Aggregate>,
}

/// What is computed over many rows. Missing cells are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Rows.
    Count,
    /// Distinct values of a column.
    Distinct(String),
    /// Sum of a numeric column; of true/false, how many are true.
    Sum(String),
    /// Mean of a numeric column; of true/false, the share that is true.
    Mean(String),
    /// Median of a numeric column.
    Median(String),
    /// Standard deviation of a numeric column (of the sample: n - 1).
    Std(String),
    /// Smallest value.
    Min(String),
    /// Largest value.
    Max(String),
    /// The first value in the order of the rows.
    First(String),
    /// The last value in the order of the rows.
    Last(String),
}

/// Options of `window`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Rows with equal keys belong together. Default: all rows.
    #[serde(default)]
    pub by: Option<OneOrMany<String>>,
    /// The order inside a group. Default: the order of the rows.
    #[serde(default)]
    pub order: Option<OneOrMany<String>>,
    /// The last so many rows, this one included, are computed over. Default: all from the group's first row on.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub rows: Option<u32>,
    /// New column to what is computed: `{ previous: { lag: delay }, smooth: { mean: delay }, position: number }`.
    #[schemars(length(min = 1))]
    pub columns: BTreeMap<String, WindowFunction>,
}

/// What is computed over the rows before each row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowFunction {
    /// The row's position in its group, from 1.
    Number,
    /// The value one row before.
    Lag(String),
    /// The value one row after.
    Lead(String),
    /// The value minus the one a row before.
    Difference(String),
    /// Number of present cells.
    Count(String),
    /// Sum.
    Sum(String),
    /// Mean.
    Mean(String),
    /// Smallest value.
    Min(String),
    /// Largest value.
    Max(String),
}

/// All columns, or some.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SomeColumns {
    /// Names or patterns with `*`. Default: all columns.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
}

/// Options of `fill_missing`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FillMissing {
    /// Names or patterns with `*`. Default: all columns the value fits.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
    /// The value. (A mean or a median would have to be fitted: `train` does that on the training part.)
    pub with: Scalar,
}

/// A constant in a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number.
    Float(f64),
    /// Text.
    Text(String),
}

/// Options of `pack`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Names or patterns with `*`, in the order of the data (a pattern sorts numbers inside names as numbers). They are
    /// replaced by the packed column.
    pub columns: OneOrMany<String>,
    /// The new column's name.
    pub into: String,
    /// Shape of one cell; its product is the number of columns. Default: one dimension, or the shape of a single tensor column.
    #[serde(default)]
    pub shape: Option<Vec<u32>>,
    /// Every value is divided by this.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub divide_by: f64,
}

fn one() -> f64 {
    1.0
}
