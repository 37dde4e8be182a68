//! Conversions between tensors, plain arrays and what a model's file holds.

use std::collections::BTreeMap;

use contract::fault::Fault;
use model::array::{Array, Weights};
use model::bundle::{Dtype, Stored};
use tch::{Device, Kind, Tensor};

use crate::fault::{During, Outcome};
use crate::raw;

/// A tensor's values, whatever its type and place.
///
/// # Errors
/// When libtorch cannot allocate.
pub fn array_of(tensor: &Tensor) -> Outcome<Array> {
    let tensor = tensor
        .f_detach()
        .and_then(|tensor| tensor.f_to_device(Device::Cpu))
        .and_then(|tensor| tensor.f_to_kind(Kind::Float))
        .and_then(|tensor| tensor.f_contiguous())
        .during(|| "reading a tensor".to_owned())?;
    let shape: Vec<usize> = tensor.size().iter().map(|side| *side as usize).collect();
    Ok(Array { shape, values: raw::floats(&tensor).to_vec() })
}

/// A float32 tensor on the CPU.
///
/// # Errors
/// When libtorch cannot allocate.
pub fn tensor(array: &Array) -> Outcome<Tensor> {
    let shape: Vec<i64> = array.shape.iter().map(|side| *side as i64).collect();
    Tensor::f_from_slice(&array.values)
        .and_then(|tensor| tensor.f_reshape(&shape))
        .during(|| "making a tensor".to_owned())
}

/// The values of named tensors.
///
/// # Errors
/// When libtorch cannot allocate.
pub fn weights_of(tensors: &BTreeMap<String, Tensor>) -> Outcome<Weights> {
    tensors.iter().map(|(name, tensor)| Ok((name.clone(), array_of(tensor)?))).collect()
}

/// Named tensors.
///
/// # Errors
/// When libtorch cannot allocate.
pub fn tensors_of(weights: &Weights) -> Outcome<BTreeMap<String, Tensor>> {
    weights.iter().map(|(name, array)| Ok((name.clone(), tensor(array)?))).collect()
}

/// A tensor for a model's file, moved to the CPU.
///
/// # Errors
/// `model::write` for a type that the file has no name for, and libtorch's.
pub fn stored(name: &str, tensor: &Tensor) -> Outcome<Stored> {
    let tensor = tensor
        .f_detach()
        .and_then(|tensor| tensor.f_to_device(Device::Cpu))
        .and_then(|tensor| tensor.f_contiguous())
        .during(|| format!("writing `{name}`"))?;
    let dtype = match tensor.kind() {
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::Int64 => Dtype::I64,
        Kind::Int8 => Dtype::I8,
        other => {
            return Err(Fault::error(
                contract::code!("model::write"),
                format!("the model cannot be written: `{name}` is {other:?}"),
            ));
        }
    };
    let shape = tensor.size().iter().map(|side| *side as usize).collect();
    Ok(Stored { dtype, shape, bytes: raw::bytes(&tensor).to_vec() })
}
