//! The names of metrics: which fit a task, what a family expands to, between which bounds values lie.

use contract::artifact::Task;

use crate::kinds::evaluate::params::Metric;

impl Metric {
    /// In the order in which `evaluate` computes them.
    pub const ALL: [Self; 10] = [
        Self::Accuracy,
        Self::Precision,
        Self::Recall,
        Self::F1,
        Self::LogLoss,
        Self::Auroc,
        Self::ConfusionMatrix,
        Self::Mae,
        Self::Rmse,
        Self::R2,
    ];

    /// The name in documents and outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "f1",
            Self::LogLoss => "log_loss",
            Self::Auroc => "auroc",
            Self::ConfusionMatrix => "confusion_matrix",
            Self::Mae => "mae",
            Self::Rmse => "rmse",
            Self::R2 => "r2",
        }
    }

    /// What it judges.
    pub fn task(self) -> Task {
        match self {
            Self::Mae | Self::Rmse | Self::R2 => Task::Regression,
            _ => Task::Classification,
        }
    }

    /// Whether it has a value for micro, macro and weighted means and for each class.
    pub fn is_family(self) -> bool {
        matches!(self, Self::Precision | Self::Recall | Self::F1)
    }

    /// The smallest and the largest value there can be.
    pub fn bounds(self) -> (f64, f64) {
        match self {
            Self::LogLoss | Self::Mae | Self::Rmse => (0.0, f64::INFINITY),
            Self::R2 => (f64::NEG_INFINITY, 1.0),
            _ => (0.0, 1.0),
        }
    }

    /// The names of its numbers in the output, those of single classes left out. A confusion matrix is no number.
    pub fn numbers(self) -> Vec<String> {
        match self {
            Self::ConfusionMatrix => Vec::new(),
            family if family.is_family() => MEANS.iter().map(|mean| format!("{}.{mean}", family.name())).collect(),
            other => vec![other.name().to_owned()],
        }
    }
}

/// How a family is averaged over classes.
pub const MEANS: [&str; 3] = ["micro", "macro", "weighted"];

/// The metrics that fit a task: what `evaluate` computes when nothing is said.
pub fn fitting(task: Task) -> Vec<Metric> {
    Metric::ALL.into_iter().filter(|metric| metric.task() == task).collect()
}

/// How a task is named in messages.
pub fn task_name(task: Task) -> &'static str {
    match task {
        Task::Classification => "classification",
        Task::Regression => "regression",
    }
}

/// The metric a number belongs to, and the class when it is of one class: `recall.class.7` is (recall, `7`).
pub fn of_number(name: &str) -> Option<(Metric, Option<&str>)> {
    Metric::ALL.into_iter().find_map(|metric| {
        let class = metric
            .is_family()
            .then(|| name.strip_prefix(metric.name())?.strip_prefix(".class."))
            .flatten()
            .filter(|class| !class.is_empty());
        if class.is_some() {
            return Some((metric, class));
        }
        metric.numbers().iter().any(|number| number == name).then_some((metric, None))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_serialised_name() {
        for metric in Metric::ALL {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
        assert_eq!(fitting(Task::Regression), [Metric::Mae, Metric::Rmse, Metric::R2]);
    }

    #[test]
    fn numbers_are_found_again() {
        for (name, expected) in [
            ("accuracy", Some((Metric::Accuracy, None))),
            ("f1.macro", Some((Metric::F1, None))),
            ("recall.class.7", Some((Metric::Recall, Some("7")))),
            ("recall.class.a.b", Some((Metric::Recall, Some("a.b")))),
            ("f1", None),
            ("f1.class.", None),
            ("confusion_matrix", None),
            ("accuracy.class.1", None),
        ] {
            assert_eq!(of_number(name), expected, "{name}");
        }
    }
}
