//! What the page shows. Names and texts are plain: the page escapes them.

/// A profiled data set.
#[derive(Debug, Clone, Default)]
pub struct Profile<'a> {
    /// The stage, as the heading.
    pub stage: &'a str,
    /// Rows of the data.
    pub rows: u64,
    /// Rows that repeat an earlier one in every column.
    pub repeated_rows: u64,
    /// The share of cells that are missing.
    pub missing: f64,
    /// The column to predict, where it is known.
    pub target: Option<&'a str>,
    /// Every column in order.
    pub columns: Vec<Column<'a>>,
    /// What looks wrong, the worst first.
    pub alerts: Vec<Alert<'a>>,
    /// The fixes of all alerts together, one entry for each place.
    pub fixes: Vec<Fix<'a>>,
    /// What was demanded, and whether it holds.
    pub expectations: Vec<Expectation<'a>>,
    /// How pairs of columns hang together.
    pub associations: Associations<'a>,
    /// Columns on which no two rows agree.
    pub keys: &'a [Vec<String>],
    /// What columns determine others.
    pub dependencies: Vec<Dependency<'a>>,
    /// Columns that add up to the same number in every row.
    pub sums: Vec<Sum<'a>>,
    /// Columns whose values are found in a column of another table.
    pub inclusions: Vec<Inclusion<'a>>,
    /// How well each column alone predicts the target, the best first.
    pub leakage: Vec<Leakage<'a>>,
    /// How far each column is from the reference.
    pub drift: Vec<Drift<'a>>,
    /// Columns that are missing in the same rows, and in how many.
    pub missing_together: &'a [(Vec<String>, u64)],
    /// What could be demanded.
    pub proposals: Vec<Proposal<'a>>,
    /// The first rows as text; a missing cell is `None`.
    pub sample: &'a [Vec<Option<String>>],
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Numbers.
    Number,
    /// Few values.
    Category,
    /// Dates or times.
    Date,
    /// Words.
    Text,
    /// A value for every row.
    Identifier,
    /// Images and other tensors.
    Tensor,
    /// Bytes.
    Binary,
    /// One value.
    Constant,
    /// Nothing at all.
    Empty,
}

impl Sort {
    /// Every sort with its name, in the order of the overview.
    pub(super) const ALL: [(Self, &'static str); 9] = [
        (Self::Number, "number"),
        (Self::Category, "category"),
        (Self::Date, "date"),
        (Self::Text, "text"),
        (Self::Identifier, "identifier"),
        (Self::Tensor, "tensor"),
        (Self::Binary, "binary"),
        (Self::Constant, "constant"),
        (Self::Empty, "empty"),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(sort, _)| *sort == self).map_or("", |(_, name)| name)
    }
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type, as messages show it.
    pub type_name: &'a str,
    /// What it is measured in.
    pub unit: Option<&'a str>,
    /// What it holds.
    pub sort: Sort,
    /// Its values in a picture.
    pub picture: Picture<'a>,
    /// Its statistics in order.
    pub facts: Vec<Fact>,
}

/// The values of a column in a picture.
#[derive(Debug, Clone)]
pub enum Picture<'a> {
    /// No picture.
    None,
    /// Bars of equal width.
    Histogram {
        /// The share of each bar.
        shares: &'a [f64],
        /// The smallest and the largest value.
        ends: (End, End),
    },
    /// The most frequent values.
    Bars {
        /// Values and how often they occur, the most frequent first.
        values: &'a [(String, u64)],
        /// Different values.
        distinct: u64,
        /// Cells with a value.
        cells: u64,
    },
    /// The mean of every element of a tensor.
    Mean {
        /// Its shape; the last two dimensions are drawn.
        shape: &'a [u64],
        /// The means, row by row.
        cell: &'a [f64],
    },
}

/// The end of an axis.
#[derive(Debug, Clone)]
pub enum End {
    /// A number.
    Number(f64),
    /// A date or a time, in words.
    Text(String),
}

/// A statistic: its name and its value.
#[derive(Debug, Clone)]
pub struct Fact {
    /// The name.
    pub name: &'static str,
    /// The value.
    pub value: Value,
}

/// The value of a statistic.
#[derive(Debug, Clone)]
pub enum Value {
    /// A number of about four digits.
    Number(f64),
    /// Two decimals.
    Rounded(f64),
    /// A whole number.
    Count(u64),
    /// An estimated whole number.
    About(u64),
    /// A share between 0 and 1.
    Share(f64),
    /// From one number to another.
    Range(f64, f64),
    /// Words.
    Text(String),
    /// A regular expression, and the share of values of this form.
    Form(String, f64),
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A model would be wrong.
    Serious,
    /// Worth mending.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something that looks wrong.
#[derive(Debug, Clone)]
pub struct Alert<'a> {
    /// How bad it is.
    pub level: Level,
    /// What sort of fault it is: `constant`, `leakage` …
    pub code: &'a str,
    /// In words, names between backticks.
    pub text: &'a str,
    /// What mends it.
    pub fix: Option<Fix<'a>>,
}

/// A remedy.
#[derive(Debug, Clone)]
pub struct Fix<'a> {
    /// Where it belongs, names between backticks.
    pub place: &'a str,
    /// What to paste there.
    pub yaml: &'a str,
}

/// Something that was demanded.
#[derive(Debug, Clone)]
pub struct Expectation<'a> {
    /// In words, names between backticks.
    pub text: &'a str,
    /// Whether it holds.
    pub holds: bool,
    /// Rows that were looked at.
    pub rows: u64,
    /// Rows in which it does not hold.
    pub broken: u64,
    /// Examples: row number from 1, and the value.
    pub examples: &'a [(u64, String)],
}

/// How pairs of columns hang together.
#[derive(Debug, Clone, Default)]
pub struct Associations<'a> {
    /// Rows that were compared.
    pub rows: u64,
    /// Columns that were compared.
    pub columns: &'a [String],
    /// Columns that were not, because there are too many.
    pub left_out: u64,
    /// Every pair.
    pub pairs: Vec<Pair>,
}

/// A pair of columns.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Positions in [`Associations::columns`].
    pub between: (usize, usize),
    /// What `value` is.
    pub measure: &'static str,
    /// The strength between −1 and 1, where it is defined.
    pub value: Option<f64>,
    /// Mutual information in nats.
    pub information: f64,
    /// Theil's U: what the first tells of the second, and the second of the first.
    pub uncertainty: Option<(f64, f64)>,
}

/// A functional dependency.
#[derive(Debug, Clone)]
pub struct Dependency<'a> {
    /// These columns …
    pub from: &'a [String],
    /// … determine this one,
    pub to: &'a str,
    /// but for this share of rows.
    pub error: f64,
}

/// Columns of numbers that add up to the same in every row.
#[derive(Debug, Clone)]
pub struct Sum<'a> {
    /// The columns.
    pub columns: &'a [String],
    /// What they add up to.
    pub equals: f64,
}

/// Values of a column that are found in another table.
#[derive(Debug, Clone)]
pub struct Inclusion<'a> {
    /// The column.
    pub column: &'a str,
    /// The column of the other table.
    pub found_in: String,
    /// The share of different values that are found there.
    pub share: f64,
    /// Whether the other column has each of its values once.
    pub unique: bool,
}

/// How well a column alone predicts the target.
#[derive(Debug, Clone)]
pub struct Leakage<'a> {
    /// The column.
    pub column: &'a str,
    /// What `value` is.
    pub measure: &'static str,
    /// The value between 0 and 1.
    pub value: f64,
}

/// How far a column is from the reference.
#[derive(Debug, Clone)]
pub struct Drift<'a> {
    /// The column.
    pub column: &'a str,
    /// Whether it is so far that it is marked.
    pub changed: bool,
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
    /// What has changed most, in words.
    pub change: &'a str,
    /// Categories the reference has not.
    pub new: &'a [String],
}

/// Something that could be demanded.
#[derive(Debug, Clone)]
pub struct Proposal<'a> {
    /// An entry of `expect`.
    pub yaml: &'a str,
    /// The share of rows for which it holds.
    pub support: f64,
}
