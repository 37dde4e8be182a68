//! The table of metrics: name, task, shape, range and direction of each.
//!
//! Gates, the schema and the reference read this table. The computation of a metric stands beside its name in
//! `model::metrics`; a test there holds the two tables together.

use contract::artifact::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use Better::{Higher, Lower};
use Shape::{Family, Matrix, Number};
use Task::{Classification, Regression};

/// What a metric gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One number.
    Number,
    /// A value for micro, macro and weighted means and for each class.
    Family,
    /// Counts by true and predicted class; no number.
    Matrix,
}

/// Which of two values is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The larger one.
    Higher,
    /// The smaller one.
    Lower,
}

/// What is known of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    metric: Metric,
    name: &'static str,
    task: Task,
    shape: Shape,
    /// The smallest and the largest value there can be.
    range: (f64, f64),
    better: Better,
}

/// Declares the metrics, in the order in which `evaluate` computes them.
macro_rules! metrics {
    ($($(#[$doc:meta])* $metric:ident = $name:literal, $task:ident, $shape:ident, $low:expr => $high:expr, $better:ident;)*) => {
        /// A metric (or a family of them).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Metric {
            $($(#[$doc])* #[serde(rename = $name)] $metric,)*
        }

        const TABLE: &[Row] = &[
            $(Row { metric: Metric::$metric, name: $name, task: $task, shape: $shape, range: ($low, $high), better: $better },)*
        ];

        impl Metric {
            /// All, in the order in which `evaluate` computes them.
            pub const ALL: [Self; TABLE.len()] = [$(Self::$metric,)*];
        }
    };
}

metrics! {
    /// Share of right classes.
    Accuracy = "accuracy", Classification, Number, 0.0 => 1.0, Higher;
    /// Of the rows given a class, the share that has it: micro, macro, weighted and for each class.
    Precision = "precision", Classification, Family, 0.0 => 1.0, Higher;
    /// Of the rows that have a class, the share that was given it: micro, macro, weighted and for each class.
    Recall = "recall", Classification, Family, 0.0 => 1.0, Higher;
    /// Harmonic mean of precision and recall: micro, macro, weighted and for each class.
    F1 = "f1", Classification, Family, 0.0 => 1.0, Higher;
    /// Mean of −log of the right class's probability.
    LogLoss = "log_loss", Classification, Number, 0.0 => f64::INFINITY, Lower;
    /// Area under the ROC curve; one class against the rest, macro mean, for more than two classes.
    Auroc = "auroc", Classification, Number, 0.0 => 1.0, Higher;
    /// Rows by true and predicted class.
    ConfusionMatrix = "confusion_matrix", Classification, Matrix, 0.0 => 1.0, Higher;
    /// Mean absolute error.
    Mae = "mae", Regression, Number, 0.0 => f64::INFINITY, Lower;
    /// Root of the mean squared error.
    Rmse = "rmse", Regression, Number, 0.0 => f64::INFINITY, Lower;
    /// 1 − residual / total sum of squares.
    R2 = "r2", Regression, Number, f64::NEG_INFINITY => 1.0, Higher;
}

impl Metric {
    fn row(self) -> &'static Row {
        // The rows are in the order of the variants.
        &TABLE[self as usize]
    }

    /// The name in documents and outputs.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it judges.
    pub fn task(self) -> Task {
        self.row().task
    }

    /// Whether it has a value for micro, macro and weighted means and for each class.
    pub fn is_family(self) -> bool {
        self.row().shape == Family
    }

    /// The smallest and the largest value there can be.
    pub fn bounds(self) -> (f64, f64) {
        self.row().range
    }

    /// Which of two values is better.
    pub fn better(self) -> Better {
        self.row().better
    }

    /// The names of its numbers in the output, those of single classes left out. A confusion matrix is no number.
    pub fn numbers(self) -> Vec<String> {
        match self.row().shape {
            Matrix => Vec::new(),
            Family => MEANS.iter().map(|mean| format!("{}.{mean}", self.name())).collect(),
            Number => vec![self.name().to_owned()],
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
            assert_eq!(metric.row().metric, metric, "a row of another metric");
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
        assert_eq!(fitting(Task::Regression), [Metric::Mae, Metric::Rmse, Metric::R2]);
    }

    #[test]
    fn a_bounded_metric_is_best_at_its_bound() {
        for metric in Metric::ALL {
            let (low, high) = metric.bounds();
            let best = if metric.better() == Higher { high } else { low };
            assert!(low < high && best.is_finite(), "{}", metric.name());
        }
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
