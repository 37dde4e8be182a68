//! From encoded rows to what a model says of them, whatever its runtime.

use tch::{Device, Kind, Tensor};

use crate::bundle::Bundle;
use crate::encode::{Scale, Target};
use crate::fault::{During, Outcome};
use crate::int8::store;
use crate::network::{Net, Pass};
use crate::raw;

/// Rows of one pass forward.
const BATCH: i64 = 1024;

/// Something that computes a model's outputs: the float32 network, or the 8-bit runtime.
pub trait Predictor {
    /// Encoded rows `[n, ...]`, float32 on the CPU, to outputs `[n, k]`, float32 on the CPU: logits by class, or one
    /// standardised number.
    ///
    /// # Errors
    /// `torch::operator` naming the layer.
    fn outputs(&self, rows: &Tensor) -> Outcome<Tensor>;
}

impl Predictor for Net {
    fn outputs(&self, rows: &Tensor) -> Outcome<Tensor> {
        let _guard = tch::no_grad_guard();
        let rows = rows.f_to_device(self.device()).during(|| "moving rows to the device".to_owned())?;
        let outputs = self.forward(&rows, &mut Pass::Eval)?;
        outputs.f_to_device(Device::Cpu).during(|| "moving outputs from the device".to_owned())
    }
}

/// The predictor of a bundle.
///
/// # Errors
/// When the bundle's tensors do not fit its network.
pub fn predictor(bundle: &Bundle, device: Device) -> Outcome<Box<dyn Predictor>> {
    match &bundle.description.quantisation {
        // Whole numbers are for the processor, wherever the rest of the stage computes.
        Some(_) => Ok(Box::new(store::Whole::new(&store::quantized(bundle)?)?)),
        None => Ok(Box::new(bundle.net(device)?)),
    }
}

/// Outputs of any number of rows, in batches: `[n, k]`, float32, contiguous, on the CPU.
///
/// # Errors
/// As [`Predictor::outputs`].
pub fn all(predictor: &dyn Predictor, rows: &Tensor) -> Outcome<Tensor> {
    let count = rows.size()[0];
    let mut parts = Vec::new();
    let mut start = 0;
    while start < count {
        let length = BATCH.min(count - start);
        let batch = rows.f_narrow(0, start, length).during(|| "taking a batch".to_owned())?;
        parts.push(predictor.outputs(&batch)?);
        start += length;
    }
    if parts.is_empty() {
        return Tensor::f_zeros([0, 1], (Kind::Float, Device::Cpu)).during(|| "making no outputs".to_owned());
    }
    Tensor::f_cat(&parts, 0).and_then(|outputs| outputs.f_contiguous()).during(|| "joining outputs".to_owned())
}

/// What a model says of rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Predictions {
    /// One class a row.
    Classes {
        /// Place of the likeliest class (the first of equals).
        chosen: Vec<usize>,
        /// Row by row, `classes` numbers each: softmax of the logits, in float64.
        probabilities: Vec<f64>,
        /// Number of classes.
        classes: usize,
    },
    /// One number a row, in the target's own unit.
    Numbers(Vec<f64>),
}

/// Reads outputs `[n, k]` as predictions of a target.
pub fn read(outputs: &Tensor, target: &Target) -> Predictions {
    let values = raw::floats(outputs);
    match &target.scale {
        Scale::Number { mean, deviation } => {
            Predictions::Numbers(values.iter().map(|value| f64::from(*value) * deviation + mean).collect())
        }
        Scale::Classes(classes) => {
            let classes = classes.len();
            let mut chosen = Vec::with_capacity(values.len() / classes.max(1));
            let mut probabilities = Vec::with_capacity(values.len());
            for logits in values.chunks_exact(classes) {
                let mut best = 0;
                for (place, logit) in logits.iter().enumerate() {
                    if *logit > logits[best] {
                        best = place;
                    }
                }
                chosen.push(best);
                let start = probabilities.len();
                let top = f64::from(logits[best]);
                probabilities.extend(logits.iter().map(|logit| (f64::from(*logit) - top).exp()));
                let sum: f64 = probabilities[start..].iter().sum();
                probabilities[start..].iter_mut().for_each(|value| *value /= sum);
            }
            Predictions::Classes { chosen, probabilities, classes }
        }
    }
}
