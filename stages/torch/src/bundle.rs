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
use safetensors::tensor::{Dtype, SafeTensors, View, serialize};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::encode::{Encoders, Target};
use crate::fault::{During, Outcome};
use crate::network::{Net, tensor_specs};
use crate::raw;

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
    /// How it is quantised; whoever reads it (`int8`) knows the form.
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
    /// The weights, on the CPU, contiguous. For a quantised model whatever its runtime wants.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Bundle {
    /// The bundle of a network in float32. Takes copies of its tensors.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn of(net: &Net, description: Description) -> Outcome<Self> {
        Ok(Self { description: Description { network: net.network().clone(), ..description }, tensors: net.state()? })
    }

    /// The network with its weights. Only for a bundle in float32 (`quantisation` is absent).
    ///
    /// # Errors
    /// When the tensors do not fit the network.
    pub fn net(&self, device: Device) -> Outcome<Net> {
        let tensors = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
        Net::from_tensors(&self.description.network, tensors, device)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// For tensors of a type the format has no name for.
    pub fn to_bytes(&self) -> Outcome<Vec<u8>> {
        let broken = |what: String| Fault::error("model::write", format!("the model cannot be written: {what}"));
        let json = serde_json::to_string(&self.description).map_err(|error| broken(error.to_string()))?;
        let mut kept = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let tensor = tensor
                .f_to_device(Device::Cpu)
                .and_then(|tensor| tensor.f_contiguous())
                .during(|| format!("writing `{name}`"))?;
            let dtype = dtype(tensor.kind()).ok_or_else(|| broken(format!("`{name}` is {:?}", tensor.kind())))?;
            let shape = tensor.size().iter().map(|side| *side as usize).collect();
            kept.push((name.as_str(), Kept { tensor, dtype, shape }));
        }
        serialize(kept, Some(HashMap::from([(ENTRY.to_owned(), json)]))).map_err(|error| broken(error.to_string()))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// `model::write` with the operating system's reason.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        write_file(path, &self.to_bytes()?)
    }

    /// Reads a file. `name` is how messages call it: the input port.
    ///
    /// # Errors
    /// `model::damaged` for anything that is not a whole bundle, `model::newer` for one of a later version.
    pub fn read(path: &Path, name: &str) -> Outcome<Self> {
        let damaged = |what: &str| {
            Fault::error("model::damaged", format!("the model at `{name}` cannot be read: {what}"))
                .help("it is damaged or was not made by `pipeline`; run the stage that makes it again")
        };
        let buffer = raw::map(path).map_err(|error| damaged(&error.to_string()))?;
        let bytes = buffer.as_slice();
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error.to_string()))?;
        let entry = metadata.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
        let json: Value = serde_json::from_str(entry.ok_or_else(|| damaged("it has no `pipeline` metadata"))?)
            .map_err(|error| damaged(&format!("its metadata: {error}")))?;
        let format = json.get("format").and_then(Value::as_u64).unwrap_or(0);
        if format > u64::from(FORMAT) {
            return Err(Fault::error("model::newer", format!("the model at `{name}` has format {format}"))
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
            let kind =
                kind(view.dtype()).ok_or_else(|| damaged(&format!("tensor `{tensor_name}` is {:?}", view.dtype())))?;
            let size: Vec<i64> = view.shape().iter().map(|side| *side as i64).collect();
            let tensor =
                Tensor::f_from_data_size(view.data(), &size, kind).during(|| format!("reading `{tensor_name}`"))?;
            tensors.insert(tensor_name.to_owned(), tensor);
        }
        Ok(Self { description, tensors })
    }

    /// Its type, without lineage (which only the request knows).
    pub fn artifact(&self) -> ModelType {
        let description = &self.description;
        let parameters = if description.quantisation.is_none() {
            let specs = tensor_specs(&description.network);
            Some(specs.iter().filter(|spec| spec.trained).map(|spec| spec.shape.iter().product::<i64>() as u64).sum())
        } else {
            Some(description.network.parameters())
        };
        ModelType {
            inputs: description.encoders.columns.iter().map(|fitted| fitted.column.clone()).collect(),
            target: Some(Column::clone(&description.target.column)),
            task: Some(description.task),
            parameters,
            operations: Some(description.network.operations()),
            ..ModelType::default()
        }
    }
}

/// Writes a file that did not exist.
///
/// # Errors
/// `model::write` with the operating system's reason.
pub fn write_file(path: &Path, bytes: &[u8]) -> Outcome<()> {
    std::fs::write(path, bytes).map_err(|error| {
        let fault = Fault::error("model::write", format!("`{}` cannot be written: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::StorageFull => fault.help("the disk is full: `pipeline gc` frees what is not needed"),
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                fault.help("the folder is read-only")
            }
            _ => fault,
        }
    })
}

/// A tensor on its way into a file.
struct Kept {
    tensor: Tensor,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl View for Kept {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(raw::bytes(&self.tensor))
    }

    fn data_len(&self) -> usize {
        raw::bytes(&self.tensor).len()
    }
}

fn dtype(kind: Kind) -> Option<Dtype> {
    Some(match kind {
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Int64 => Dtype::I64,
        Kind::Int => Dtype::I32,
        Kind::Int16 => Dtype::I16,
        Kind::Int8 => Dtype::I8,
        Kind::Uint8 => Dtype::U8,
        Kind::Bool => Dtype::BOOL,
        _ => return None,
    })
}

fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::I16 => Kind::Int16,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}
