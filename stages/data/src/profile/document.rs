//! The profile as it is stored: `docs/profile.md` describes it for other readers.

use contract::artifact::{Column, Role};
use serde::{Deserialize, Serialize};

use super::sketch::distinct::Distinct;
use super::sketch::frequent::Counted;
use super::sketch::moments::Moments;
use super::sketch::quantile::Quantiles;

/// The value of `format`; another one is not read.
pub const FORMAT: &str = "pipeline-profile/1";

/// A profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`].
    pub format: String,
    /// Rows of the data.
    pub rows: u64,
    /// Rows that repeat an earlier one in every column.
    pub duplicate_rows: u64,
    /// The column to predict, if one is known.
    pub target: Option<String>,
    /// Every column in order.
    pub variables: Vec<Variable>,
    /// Which cells are missing together: columns, and in how many rows exactly they are.
    pub missing_together: Vec<(Vec<String>, u64)>,
    /// How pairs of columns hang together.
    pub associations: Associations,
    /// What columns determine others.
    pub dependencies: Vec<Dependency>,
    /// Columns that tell rows apart: one, or two together.
    pub keys: Vec<Vec<String>>,
    /// Columns whose cells are all the same: the later, and the first that it repeats.
    #[serde(default)]
    pub identical: Vec<(String, String)>,
    /// Columns that add up to the same number in every row.
    #[serde(default)]
    pub sums: Vec<Sum>,
    /// Columns whose values are found in a column of a related table.
    pub inclusions: Vec<Inclusion>,
    /// How well each column alone predicts the target.
    pub leakage: Vec<Leakage>,
    /// How far each column is from the reference.
    pub drift: Vec<Drift>,
    /// What looks wrong, the worst first.
    pub alerts: Vec<Alert>,
    /// The alerts' fixes together, one entry for each place.
    #[serde(default)]
    pub fixes: Vec<Fix>,
    /// What could be demanded.
    pub proposals: Vec<Proposal>,
    /// What was demanded, and whether it holds.
    pub expectations: Vec<Checked>,
    /// The first rows as text.
    pub sample: Vec<Vec<Option<String>>>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Nothing at all.
    Empty,
    /// One value.
    Constant,
    /// A value for every row.
    Identifier,
    /// Few values.
    Category,
    /// Numbers.
    Number,
    /// Dates or times.
    Date,
    /// Words.
    Text,
    /// Images and other tensors.
    Tensor,
    /// Bytes.
    Binary,
}

/// A column and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type as messages show it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What it holds, as far as its values tell.
    pub sort: Sort,
    /// What it is measured in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What it is for.
    pub role: Role,
    /// Cells.
    pub rows: u64,
    /// Missing cells; NaN is missing.
    pub missing: u64,
    /// Different values.
    pub distinct: u64,
    /// Whether `distinct` is exact or estimated (standard error 2.3 %).
    pub distinct_exact: bool,
    /// The first and the last of dates and times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<(String, String)>,
    /// Of numbers, dates and times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
    /// Of texts (lengths also of bytes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Texts>,
    /// Of tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor: Option<Tensor>,
    /// The most frequent values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequent: Option<Counted<String>>,
    /// The set of values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sketch: Option<Distinct>,
    /// `strictly_increasing` or `strictly_decreasing`, where rows follow each other so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

impl Variable {
    /// Nothing but what the schema says.
    pub fn new(column: &Column, rows: u64, missing: u64) -> Self {
        Self {
            name: column.name.clone(),
            type_name: column.type_name(),
            sort: Sort::Empty,
            unit: column.unit.clone(),
            role: column.role,
            rows,
            missing,
            distinct: 0,
            distinct_exact: false,
            span: None,
            numbers: None,
            texts: None,
            tensor: None,
            frequent: None,
            sketch: None,
            order: None,
        }
    }
}

/// Statistics of numbers; of dates in days, of times in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// Zeros.
    pub zeros: u64,
    /// Values below 0.
    pub negative: u64,
    /// Infinite values; they are in no other statistic.
    pub infinite: u64,
    /// Whether all are whole numbers.
    pub whole: bool,
    /// Standard deviation (n − 1).
    pub deviation: Option<f64>,
    /// Skewness g₁.
    pub skewness: Option<f64>,
    /// Excess kurtosis g₂.
    pub kurtosis: Option<f64>,
    /// Quantiles.
    pub quantiles: Vec<Quantile>,
    /// Bars of equal width.
    pub histogram: Option<Histogram>,
    /// Moments.
    pub moments: Moments,
    /// The sketch of quantiles.
    pub sketch: Quantiles,
}

/// A quantile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// The share of numbers at most `value`.
    pub share: f64,
    /// The value.
    pub value: f64,
}

/// Shares of the values in bars of equal width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Where the first bar begins.
    pub from: f64,
    /// Width of a bar.
    pub width: f64,
    /// Share of each bar.
    pub shares: Vec<f64>,
}

/// Statistics of texts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Texts {
    /// Characters.
    pub length: Moments,
    /// Words.
    pub words: Moments,
    /// Texts of nothing but white space.
    pub empty: u64,
    /// Forms as regular expressions, the most frequent first.
    pub shapes: Counted<String>,
}

impl Default for Counted<String> {
    fn default() -> Self {
        Self { values: Vec::new(), error: 0 }
    }
}

/// Statistics of tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Shape of a cell.
    pub shape: Vec<u64>,
    /// Of all elements.
    pub moments: Moments,
    /// The mean of every element; empty for large cells.
    pub mean_cell: Vec<f64>,
}

/// How pairs of columns hang together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Associations {
    /// How many rows were compared (evenly spread ones of very large data).
    pub rows: u64,
    /// Columns that were compared.
    pub columns: Vec<String>,
    /// Columns that were not, because there are too many.
    pub left_out: u64,
    /// Every pair.
    pub pairs: Vec<Pair>,
}

/// A pair of columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Positions in [`Associations::columns`].
    pub between: (usize, usize),
    /// What `value` is.
    pub measure: Measure,
    /// The strength; none where it is not defined. Between −1 and 1.
    pub value: Option<f64>,
    /// Mutual information in nats, of deciles or of the 50 most frequent categories.
    pub information: f64,
    /// Theil's U of two categories: the share of the second's entropy that the first tells, and the share of the first's that the
    /// second tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<(f64, f64)>,
}

/// A measure of association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Spearman's rank correlation: two numbers.
    Spearman,
    /// Cramér's V without its bias (W. Bergsma 2013): two categories.
    CramersV,
    /// The correlation ratio η: a category and a number.
    CorrelationRatio,
}

/// A functional dependency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dependency {
    /// These columns …
    pub from: Vec<String>,
    /// … determine this one,
    pub to: String,
    /// but for this share of rows (g₃ of Kivinen and Mannila 1995).
    pub error: f64,
}

/// Values of one table found in another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inclusion {
    /// A column of the data.
    pub column: String,
    /// The related table, where it is not the input `related`: `planes` is the input `related_planes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// A column of it.
    pub found_in: String,
    /// The share of different values that are found there.
    pub share: f64,
    /// Whether the other column has each of its values once.
    pub unique: bool,
}

impl Inclusion {
    /// What `foreign_key` says for it.
    pub fn pointed(&self) -> String {
        self.table.as_ref().map_or_else(|| self.found_in.clone(), |table| format!("{table}.{}", self.found_in))
    }
}

/// Columns of numbers that add up to the same in every row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    /// The columns.
    pub columns: Vec<String>,
    /// What they add up to.
    pub equals: f64,
}

/// How well a column alone predicts the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leakage {
    /// The column.
    pub column: String,
    /// `auc` or `r2`, of rows the tree has not seen.
    pub measure: String,
    /// Its value.
    pub value: f64,
}

/// How far a column is from the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The column.
    pub column: String,
    /// Population stability index.
    pub psi: f64,
    /// The Kolmogorov-Smirnov distance of numbers.
    pub ks: Option<f64>,
    /// χ² of categories.
    pub chi_square: Option<f64>,
    /// The probability of such a distance between two samples of one population.
    pub p: Option<f64>,
    /// Missing shares: reference, data.
    pub missing: (f64, f64),
    /// Categories the reference has not.
    pub new: Vec<String>,
    /// What has changed most, in words: means, the greatest changes of shares, the ends of dates.
    #[serde(default)]
    pub change: String,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A model would be wrong.
    Serious,
    /// Worth mending.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something that looks wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// How bad.
    pub level: Level,
    /// What sort: `constant`, `leakage` …
    pub code: String,
    /// The columns.
    pub columns: Vec<String>,
    /// In words.
    pub text: String,
    /// YAML that mends it, and where it belongs. None where another alert's mends it, too, or gets in its way.
    pub fix: Option<Fix>,
}

/// A remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fix {
    /// The kind of the stage that it is for: not always a `preprocess`.
    #[serde(default)]
    pub stage: String,
    /// Where it belongs: `steps` of a `preprocess`, `features` of a `train`, `split` …
    pub place: String,
    /// What to paste there.
    pub yaml: String,
}

/// Something that could be demanded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// An entry of `expect`.
    pub yaml: String,
    /// The share of rows for which it holds.
    pub support: f64,
}

/// Something that was demanded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Its place under `expect`.
    pub index: usize,
    /// In words.
    pub text: String,
    /// Whether it holds.
    pub holds: bool,
    /// How many rows were looked at.
    pub rows: u64,
    /// In how many it does not hold.
    pub broken: u64,
    /// Examples: row number from 1, and the value.
    pub examples: Vec<(u64, String)>,
}
