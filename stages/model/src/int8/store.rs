//! A quantised network inside a bundle: `<layer>.weight` int8, `<layer>.scale` and `<layer>.bias` float32 (a table of vectors has
//! no bias), and the rounding points as JSON in the description.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use catalog::kinds::compress::params::Int8;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::quantized::{Layer8, Point, Quantized, damaged};
use super::runtime::Runtime;
use crate::array::Array;
use crate::bundle::{Bundle, Dtype, Stored};
use crate::embed::table_name;
use crate::fault::Outcome;
use crate::fold::{Folded, fold};
use crate::predict::Predictor;

/// What the bundle's description says under `quantisation`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantisation {
    /// Always 8.
    pub bits: u32,
    /// How values between layers are rounded.
    pub mode: Int8,
    /// `[scale, zero]` of every rounding point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
}

/// A model as something that can be run.
#[derive(Debug)]
pub enum Model {
    /// Real weights, folded for prediction.
    Real(Folded),
    /// 8-bit weights.
    Whole(Quantized),
}

/// The tensors and the description of a quantised network.
///
/// # Errors
/// `model::damaged` when the description cannot be written.
pub fn tensors(quantized: &Quantized) -> Outcome<(BTreeMap<String, Stored>, Value)> {
    let mut tensors: BTreeMap<String, Stored> =
        quantized.norms.iter().map(|(name, array)| (name.clone(), array.into())).collect();
    for (name, layer) in &quantized.layers {
        tensors.insert(format!("{name}.weight"), Stored::bytes(&layer.shape, &layer.weight));
        for (part, values) in [("scale", &layer.scale), ("bias", &layer.bias)] {
            if !values.is_empty() {
                let array = Array::new([values.len()], values.clone());
                tensors.insert(format!("{name}.{part}"), Stored::from(&array));
            }
        }
    }
    let quantisation = Quantisation { bits: 8, mode: quantized.mode, points: quantized.points.clone() };
    let value = serde_json::to_value(&quantisation).map_err(|error| damaged(&error.to_string()))?;
    Ok((tensors, value))
}

/// The model of a bundle, ready for prediction.
///
/// # Errors
/// `model::damaged` when tensors do not fit the layers.
pub fn model(bundle: &Bundle) -> Outcome<Model> {
    if bundle.description.quantisation.is_some() {
        return Ok(Model::Whole(quantized(bundle)?));
    }
    Ok(Model::Real(fold(&bundle.description.network, &bundle.weights())?))
}

/// The quantised network of a bundle.
///
/// # Errors
/// `model::damaged` when it is none, or its tensors do not fit.
pub fn quantized(bundle: &Bundle) -> Outcome<Quantized> {
    let Bundle { description, tensors } = bundle;
    let value = description.quantisation.as_ref().ok_or_else(|| damaged("it is not quantised"))?;
    let Quantisation { bits, mode, points } =
        serde_json::from_value(value.clone()).map_err(|error| damaged(&error.to_string()))?;
    if bits != 8 {
        return Err(damaged(&format!("it has {bits} bits")));
    }
    if points.iter().any(|point| !point.scale.is_finite() || point.scale <= 0.0) {
        return Err(damaged("a step of no size"));
    }
    let network = &description.network;
    let tables: BTreeSet<String> = match network.nodes.first() {
        Some(node) => (0..network.tables().len()).map(|place| table_name(node, place)).collect(),
        None => BTreeSet::new(),
    };
    let mut layers = BTreeMap::new();
    let mut norms = BTreeMap::new();
    for (name, tensor) in tensors {
        let Some((layer, part)) = name.rsplit_once('.') else { return Err(damaged(&format!("a tensor `{name}`"))) };
        if !tensors.contains_key(&format!("{layer}.scale")) {
            norms.insert(name.clone(), tensor.array());
        } else if part == "weight" {
            if tensor.dtype != Dtype::I8 {
                return Err(damaged(&format!("`{name}` is {:?}", tensor.dtype)));
            }
            let array = |part: &str| -> Outcome<Vec<f32>> {
                let tensor =
                    tensors.get(&format!("{layer}.{part}")).ok_or_else(|| damaged(&format!("no `{layer}.{part}`")))?;
                Ok(tensor.array().values)
            };
            layers.insert(
                layer.to_owned(),
                Layer8 {
                    shape: tensor.shape.clone(),
                    weight: tensor.bytes.iter().map(|byte| byte.cast_signed()).collect(),
                    scale: array("scale")?,
                    bias: if tables.contains(layer) { Vec::new() } else { array("bias")? },
                },
            );
        }
    }
    Ok(Quantized { network: network.clone(), mode, layers, norms, points })
}

/// The 8-bit runtime as a predictor.
#[derive(Debug)]
pub struct Whole(RefCell<Runtime>);

impl Whole {
    /// Packs a network for this machine.
    ///
    /// # Errors
    /// `model::damaged` when tensors or points do not fit the layers.
    pub fn new(quantized: &Quantized) -> Outcome<Self> {
        Ok(Self(RefCell::new(Runtime::new(quantized)?)))
    }
}

impl Predictor for Whole {
    fn width(&self) -> usize {
        self.0.borrow().width()
    }

    fn outputs(&self, rows: &[f32]) -> Outcome<Vec<f32>> {
        Ok(self.0.borrow_mut().forward(rows))
    }
}
