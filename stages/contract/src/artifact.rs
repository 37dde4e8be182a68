//! Artifact types, and what is known of an artifact before it exists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What sort of thing travels along an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// A table as one Arrow IPC file (uncompressed, 64-byte aligned).
    Dataset,
    /// A trained model: one safetensors bundle.
    Model,
    /// A description to train from: architecture and settings, no weights.
    ModelSpec,
    /// A fitted transformation.
    Transform,
    /// Statistics, constraints and relationships of a data set.
    Profile,
    /// Named numbers and curves as JSON.
    Metrics,
    /// Annotations: item, label, annotator.
    Labels,
    /// The finished trials of a search.
    Trials,
    /// Something for people to read: JSON with tables, or HTML.
    Report,
    /// Any one file.
    File,
    /// Any folder.
    Directory,
}

impl ArtifactKind {
    /// The name used in documents and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Model => "model",
            Self::ModelSpec => "model_spec",
            Self::Transform => "transform",
            Self::Profile => "profile",
            Self::Metrics => "metrics",
            Self::Labels => "labels",
            Self::Trials => "trials",
            Self::Report => "report",
            Self::File => "file",
            Self::Directory => "directory",
        }
    }
}

/// The element type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// True or false.
    Bool,
    /// Signed 8-bit integer.
    Int8,
    /// Signed 16-bit integer.
    Int16,
    /// Signed 32-bit integer.
    Int32,
    /// Signed 64-bit integer.
    Int64,
    /// Unsigned 8-bit integer.
    UInt8,
    /// Unsigned 16-bit integer.
    UInt16,
    /// Unsigned 32-bit integer.
    UInt32,
    /// Unsigned 64-bit integer.
    UInt64,
    /// 32-bit floating point.
    Float32,
    /// 64-bit floating point.
    Float64,
    /// UTF-8 text.
    String,
    /// Calendar date.
    Date,
    /// Date and time of day, microseconds, no time zone.
    Datetime,
    /// Raw bytes (encoded images, for one).
    Binary,
}

impl DType {
    /// Every one of them.
    pub const ALL: [Self; 15] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::UInt8,
        Self::UInt16,
        Self::UInt32,
        Self::UInt64,
        Self::Float32,
        Self::Float64,
        Self::String,
        Self::Date,
        Self::Datetime,
        Self::Binary,
    ];

    /// The name used in documents and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::UInt8 => "uint8",
            Self::UInt16 => "uint16",
            Self::UInt32 => "uint32",
            Self::UInt64 => "uint64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Binary => "binary",
        }
    }

    /// Whether the type is an integer of any width.
    pub fn is_integer(self) -> bool {
        matches!(
            self,
            Self::Int8
                | Self::Int16
                | Self::Int32
                | Self::Int64
                | Self::UInt8
                | Self::UInt16
                | Self::UInt32
                | Self::UInt64
        )
    }

    /// Whether the type is a floating-point number.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float64)
    }

    /// Whether arithmetic makes sense on the type.
    pub fn is_numeric(self) -> bool {
        self.is_integer() || self.is_float()
    }
}

/// What a column is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Something a model may see (the default).
    #[default]
    Feature,
    /// What a model predicts.
    Target,
    /// Identifies a row; never a feature.
    Id,
    /// Kept, never a feature.
    Ignore,
}

/// The distinct values of a column, where they are few enough to be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// How many distinct non-missing values there are (at most this many, after a filter).
    pub count: u64,
    /// The values as text, sorted (numbers numerically); empty when there are more than 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What is known of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The name, exactly as in the data.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// Shape of one cell: empty for a scalar, `[1, 8, 8]` for a packed image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shape: Vec<u64>,
    /// What it is for.
    #[serde(default)]
    pub role: Role,
    /// What its numbers are counted in, where that was said: free text, such as `mile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether a cell may be missing.
    #[serde(default)]
    pub nullable: bool,
    /// Distinct values, when known. Whether a column *is* categorical is decided where it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
}

impl Column {
    /// A scalar feature column without missing values.
    pub fn new(name: impl Into<String>, dtype: DType) -> Self {
        let (name, shape, role) = (name.into(), Vec::new(), Role::Feature);
        Self { name, dtype, shape, role, unit: None, nullable: false, classes: None }
    }

    /// How a message shows the type: `float32[1, 8, 8]`, `string?`.
    pub fn type_name(&self) -> String {
        let mut name = self.dtype.name().to_owned();
        if !self.shape.is_empty() {
            let dims: Vec<String> = self.shape.iter().map(u64::to_string).collect();
            name.push_str(&format!("[{}]", dims.join(", ")));
        }
        if self.nullable {
            name.push('?');
        }
        name
    }
}

/// Which part of which split a data set is: the lineage that leakage checks read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Part {
    /// The splitting stage.
    pub split: String,
    /// The part: `train`, `validation`, `test` ...
    pub part: String,
}

/// What is known of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetType {
    /// The columns in order; `None` when nothing could be found out before running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<Column>>,
    /// Number of rows, when known exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The splits this data went through, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// The collecting stages whose rows it holds, sorted. Of stages that read the same the first is among them, so that they are
    /// known to be one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The files those stages read, as the pipeline's folder sees them, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Rows of other lineages that may be among these: what a `union` took in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<DatasetLineage>,
    /// Columns whose cells say something of other rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mixed: Vec<Mixed>,
}

/// Columns whose cells are computed from other rows than their own: by a window, or brought in by a join.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mixed {
    /// The columns; empty when it is not known which, and then any may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The stage that did it.
    pub stage: String,
    /// The step that did it: `window`, `join`, `sql`.
    pub step: String,
    /// The rows whose cells went in. They stay what they were when the data is split.
    pub rows: Vec<DatasetLineage>,
    /// Only rows that agree with the own row in these columns went in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<String>,
    /// Only rows before the own row went in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub past: bool,
}

impl DatasetType {
    /// Takes the lineage of another data set: everything but its columns and rows.
    pub fn follow(&mut self, other: &Self) {
        self.parts.clone_from(&other.parts);
        self.sources.clone_from(&other.sources);
        self.files.clone_from(&other.files);
        self.also.clone_from(&other.also);
        self.mixed.clone_from(&other.mixed);
    }

    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.as_ref()?.iter().find(|column| column.name == name)
    }
}

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of a set of classes.
    Classification,
    /// A number.
    Regression,
}

/// What is known of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelType {
    /// The raw columns it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Column>,
    /// What it predicts: the target's column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Column>,
    /// Classification or regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Number of trained parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Multiply-adds for one row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<u64>,
    /// What its weights were fitted on.
    #[serde(default, skip_serializing_if = "DatasetLineage::is_empty")]
    pub fitted_on: DatasetLineage,
    /// Other rows that shaped it later: those a pruned model was fine-tuned on, or a quantised one was calibrated on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tuned_on: Vec<DatasetLineage>,
}

/// Where the rows of a fit came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetLineage {
    /// As in [`DatasetType::parts`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// As in [`DatasetType::sources`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// As in [`DatasetType::files`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// As in [`DatasetType::also`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<DatasetLineage>,
    /// As in [`DatasetType::mixed`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mixed: Vec<Mixed>,
}

impl From<&DatasetType> for DatasetLineage {
    fn from(dataset: &DatasetType) -> Self {
        let DatasetType { parts, sources, files, also, mixed, .. } = dataset.clone();
        Self { parts, sources, files, also, mixed }
    }
}

impl DatasetLineage {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Its rows one lineage after the other: those that lead, then [`DatasetLineage::also`].
    pub fn strands(&self) -> Vec<Self> {
        let lead = Self { also: Vec::new(), mixed: Vec::new(), ..self.clone() };
        std::iter::once(lead).chain(self.also.iter().cloned()).filter(|strand| !strand.is_empty()).collect()
    }
}

/// What is known of an artifact before (and after) it exists. Small, for most artifacts of a large pipeline are files of which
/// only the kind is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactType {
    /// A table.
    Dataset(Box<DatasetType>),
    /// A trained model.
    Model(Box<ModelType>),
    /// Named numbers; the names that are certain to be there.
    Metrics(Vec<String>),
    /// Anything else: only its kind is known.
    Other(ArtifactKind),
}

impl ArtifactType {
    /// A data set of which nothing is known yet.
    pub fn unknown_dataset() -> Self {
        Self::Dataset(Box::default())
    }

    /// What sort of thing it is.
    pub fn kind(&self) -> ArtifactKind {
        match self {
            Self::Dataset(_) => ArtifactKind::Dataset,
            Self::Model(_) => ArtifactKind::Model,
            Self::Metrics(_) => ArtifactKind::Metrics,
            Self::Other(kind) => *kind,
        }
    }

    /// The data set's type, if it is one.
    pub fn dataset(&self) -> Option<&DatasetType> {
        match self {
            Self::Dataset(dataset) => Some(dataset),
            _ => None,
        }
    }

    /// The model's type, if it is one.
    pub fn model(&self) -> Option<&ModelType> {
        match self {
            Self::Model(model) => Some(model),
            _ => None,
        }
    }
}

/// Artifact types by port name.
pub type Types = BTreeMap<String, ArtifactType>;
