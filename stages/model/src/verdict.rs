//! What a model is worth on rows whose answers are known.

use catalog::kinds::evaluate::params::Metric;

use crate::dataset::Dataset;
use crate::fault::Outcome;
use crate::metrics::{self, Numbers};
use crate::predict::{self, Predictions};
use crate::target::Target;

/// What judging came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// By name.
    pub numbers: Numbers,
    /// Rows by true and predicted class.
    pub confusion: Option<Vec<Vec<u64>>>,
    /// Row by row.
    pub predictions: Predictions,
}

/// Judges outputs `[n, k]` against the target of a data set.
///
/// # Errors
/// Missing targets, classes the model does not know.
pub fn judge(outputs: &[f32], target: &Target, data: &Dataset, wanted: &[Metric]) -> Outcome<Verdict> {
    let predictions = predict::read(outputs, target);
    Ok(match &predictions {
        Predictions::Classes { chosen, probabilities, .. } => {
            let truth: Vec<usize> = target.labels(data)?.into_iter().map(|label| label as usize).collect();
            let classes = target.classes();
            let confusion =
                wanted.contains(&Metric::ConfusionMatrix).then(|| metrics::confusion(&truth, chosen, classes.len()));
            let numbers = metrics::classification(wanted, &truth, chosen, probabilities, classes);
            Verdict { numbers, confusion, predictions }
        }
        Predictions::Numbers(values) => {
            let numbers = metrics::regression(wanted, &target.numbers(data)?, values);
            Verdict { numbers, confusion: None, predictions }
        }
    })
}
