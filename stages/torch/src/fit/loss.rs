//! What is minimised.

use catalog::kinds::train::params::{Loss, Train};
use contract::artifact::Task;
use contract::fault::Fault;
use contract::route;
use tch::{Reduction, Tensor};

use crate::fault::{During, Outcome, shape};

/// A loss with its options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// Mean over rows of −Σ q_c log p_c, where q is (1 − s) on the right class plus s / classes on every one
    /// (Szegedy et al. 2016, section 7; the same as PyTorch's `label_smoothing`).
    CrossEntropy {
        /// s
        smoothing: f64,
    },
    /// Mean over rows of (prediction − target)², both standardised.
    SquaredError,
}

impl Objective {
    /// What a stage asks for, or what fits the task.
    ///
    /// # Errors
    /// `train::loss_task` when the two do not go together.
    pub fn of(params: &Train, task: Task) -> Outcome<Self> {
        let misfit = |loss: &str, wants: &str, has: &str| {
            Err(Fault::error(
                contract::code!("train::loss_task"),
                format!("`{loss}` is a loss for {wants}, this is {has}"),
            )
            .help("leave `loss` out to get the one that fits")
            .at(route!["loss"]))
        };
        match (task, &params.loss) {
            (Task::Classification, None) => Ok(Self::CrossEntropy { smoothing: 0.0 }),
            (Task::Classification, Some(Loss::CrossEntropy(options))) => {
                Ok(Self::CrossEntropy { smoothing: options.label_smoothing })
            }
            (Task::Regression, None | Some(Loss::Mse(_))) => Ok(Self::SquaredError),
            (Task::Classification, Some(Loss::Mse(_))) => misfit("mse", "numbers", "classification"),
            (Task::Regression, Some(Loss::CrossEntropy(_))) => misfit("cross_entropy", "classes", "regression"),
        }
    }

    /// The loss of outputs `[n, k]` against int64 classes `[n]`, or of outputs `[n, 1]` against float32 `[n]`: a scalar, the mean
    /// over rows.
    ///
    /// # Errors
    /// `torch::operator` with the shapes.
    pub fn mean(self, outputs: &Tensor, targets: &Tensor) -> Outcome<Tensor> {
        let what = || format!("the loss of outputs {} and targets {}", shape(&outputs.size()), shape(&targets.size()));
        match self {
            Self::CrossEntropy { smoothing } => {
                outputs.f_cross_entropy_loss(targets, None::<&Tensor>, Reduction::Mean, -100, smoothing).during(what)
            }
            Self::SquaredError => outputs
                .f_view([-1i64].as_slice())
                .and_then(|outputs| outputs.f_mse_loss(targets, Reduction::Mean))
                .during(what),
        }
    }
}
