//! From encoded rows to what a model says of them, whatever its runtime.

use crate::fault::Outcome;
use crate::target::{Scale, Target};

/// Most rows of one pass forward.
const BATCH: usize = 1024;

/// A runtime that computes a model's outputs.
pub trait Predictor {
    /// Numbers in one encoded row.
    fn width(&self) -> usize;

    /// Encoded rows `[n, ...]` to outputs `[n, k]`: logits by class, or one standardised number.
    ///
    /// # Errors
    /// `torch::operator` naming the layer.
    fn outputs(&self, rows: &[f32]) -> Outcome<Vec<f32>>;
}

/// Outputs `[n, k]` of any number of rows, in batches.
///
/// # Errors
/// As [`Predictor::outputs`].
pub fn all(predictor: &dyn Predictor, rows: &[f32]) -> Outcome<Vec<f32>> {
    let mut outputs = Vec::new();
    for batch in rows.chunks(BATCH * predictor.width().max(1)) {
        outputs.append(&mut predictor.outputs(batch)?);
    }
    Ok(outputs)
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
pub fn read(values: &[f32], target: &Target) -> Predictions {
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
