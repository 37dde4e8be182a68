//! The model bundle: one safetensors file that holds everything a model is.
//!
//! Exactly one metadata entry, `pipeline`, holds JSON ([`Description`]): safetensors writes several in hash-map order, and
//! a model's digest must not depend on that. Tensors are sorted by type, then name. Same model, same bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use catalog::kinds::train::params::Train;
use catalog::network::Network;
use contract::artifact::{Column, ModelType, Task};
use contract::fault::Fault;
use half::{bf16, f16};
use safetensors::tensor::{SafeTensors, View, serialize};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::array::{Array, Weights};
use crate::encode::Encoders;
use crate::fault::Outcome;
use crate::target::Target;
use crate::{file, map};

pub use safetensors::tensor::Dtype;

/// Raised whenever a bundle's form changes.
pub const FORMAT: u32 = 1;

/// The metadata entry.
const ENTRY: &str = "pipeline";

/// What a bundle's metadata says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// [`FORMAT`].
    pub format: u32,
    /// Classification or regression.
    pub task: Task,
    /// What it predicts.
    pub target: Target,
    /// What it sees, with everything the encoders learnt.
    pub encoders: Encoders,
    /// Layers and shapes.
    pub network: Network,
    /// How it was trained: `compress` fine-tunes with it and trains the control.
    pub training: Training,
    /// How it is quantised; `int8::store` knows the form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantisation: Option<Value>,
}

/// How a model was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The parameters after defaults.
    pub params: Train,
    /// The resolved seed.
    pub seed: u64,
    /// Epochs that were run.
    pub epochs: u32,
}

/// A model.
#[derive(Debug)]
pub struct Bundle {
    /// All but the weights.
    pub description: Description,
    /// The weights. For a quantised model whatever its runtime wants.
    pub tensors: BTreeMap<String, Stored>,
}

/// A tensor as the file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The type of a number.
    pub dtype: Dtype,
    /// Sides, outermost first.
    pub shape: Vec<usize>,
    /// The numbers, little-endian, in row-major order.
    pub bytes: Vec<u8>,
}

impl Stored {
    /// 8-bit whole numbers.
    pub fn bytes(shape: &[usize], values: &[i8]) -> Self {
        let bytes = values.iter().map(|value| value.cast_unsigned()).collect();
        Self { dtype: Dtype::I8, shape: shape.to_vec(), bytes }
    }

    /// Its numbers as float32, whatever their type.
    pub fn array(&self) -> Array {
        /// The numbers of a type of `N` bytes.
        fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
            bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
        }
        let bytes = &self.bytes;
        let values = match self.dtype {
            Dtype::F64 => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
            Dtype::F16 => each(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => each(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Dtype::I64 => each(bytes, |bytes| i64::from_le_bytes(bytes) as f32),
            Dtype::I32 => each(bytes, |bytes| i32::from_le_bytes(bytes) as f32),
            Dtype::I16 => each(bytes, |bytes| f32::from(i16::from_le_bytes(bytes))),
            Dtype::I8 => each(bytes, |bytes| f32::from(i8::from_le_bytes(bytes))),
            Dtype::U8 | Dtype::BOOL => each(bytes, |[byte]| f32::from(byte)),
            // Nothing else is read.
            _ => each(bytes, f32::from_le_bytes),
        };
        Array { shape: self.shape.clone(), values }
    }
}

impl From<&Array> for Stored {
    fn from(array: &Array) -> Self {
        let bytes = array.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: array.shape.clone(), bytes }
    }
}

impl View for &Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Whether tensors of a type can be read.
fn is_known(dtype: Dtype) -> bool {
    matches!(
        dtype,
        Dtype::F32
            | Dtype::F64
            | Dtype::F16
            | Dtype::BF16
            | Dtype::I64
            | Dtype::I32
            | Dtype::I16
            | Dtype::I8
            | Dtype::U8
            | Dtype::BOOL
    )
}

impl Bundle {
    /// The file's bytes.
    ///
    /// # Errors
    /// `model::write` when the format refuses them.
    pub fn to_bytes(&self) -> Outcome<Vec<u8>> {
        let broken = |what: String| {
            Fault::error(contract::code!("model::write"), format!("the model cannot be written: {what}"))
        };
        let json = serde_json::to_string(&self.description).map_err(|error| broken(error.to_string()))?;
        serialize(&self.tensors, Some(HashMap::from([(ENTRY.to_owned(), json)])))
            .map_err(|error| broken(error.to_string()))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// `model::write` with the operating system's reason.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        file::write(path, &self.to_bytes()?)
    }

    /// Reads a file. `name` is how messages call it: the input port.
    ///
    /// # Errors
    /// `model::damaged` for anything that is not a whole bundle, `model::newer` for one of a later version.
    pub fn read(path: &Path, name: &str) -> Outcome<Self> {
        let damaged = |what: &str| {
            Fault::error(contract::code!("model::damaged"), format!("the model at `{name}` cannot be read: {what}"))
                .help("it is damaged or was not made by `pipeline`; run the stage that makes it again")
        };
        let buffer = map::map(path).map_err(|error| damaged(&error.to_string()))?;
        let bytes = buffer.as_slice();
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error.to_string()))?;
        let entry = metadata.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
        let json: Value = serde_json::from_str(entry.ok_or_else(|| damaged("it has no `pipeline` metadata"))?)
            .map_err(|error| damaged(&format!("its metadata: {error}")))?;
        let format = json.get("format").and_then(Value::as_u64).unwrap_or(0);
        if format > u64::from(FORMAT) {
            return Err(Fault::error(
                contract::code!("model::newer"),
                format!("the model at `{name}` has format {format}"),
            )
            .help(format!("this version reads formats up to {FORMAT}; update `pipeline`, or train it again")));
        }
        let description: Description =
            serde_json::from_value(json).map_err(|error| damaged(&format!("its metadata: {error}")))?;
        if description.encoders.tables() != description.network.tables() {
            return Err(damaged("its encoders and its network hold other vectors"));
        }
        let archive = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (tensor_name, view) in archive.iter() {
            let dtype = view.dtype();
            if !is_known(dtype) {
                return Err(damaged(&format!("tensor `{tensor_name}` is {dtype:?}")));
            }
            let stored = Stored { dtype, shape: view.shape().to_vec(), bytes: view.data().to_vec() };
            tensors.insert(tensor_name.to_owned(), stored);
        }
        Ok(Self { description, tensors })
    }

    /// The weights as float32.
    pub fn weights(&self) -> Weights {
        self.tensors.iter().map(|(name, stored)| (name.clone(), stored.array())).collect()
    }

    /// Its type, without lineage (which only the request knows).
    pub fn artifact(&self) -> ModelType {
        let description = &self.description;
        ModelType {
            inputs: description.encoders.columns.iter().map(|fitted| fitted.column.clone()).collect(),
            target: Some(Column::clone(&description.target.column)),
            task: Some(description.task),
            parameters: Some(description.network.parameters()),
            operations: Some(description.network.operations()),
            ..ModelType::default()
        }
    }
}
