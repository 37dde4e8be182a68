//! Metrics, as scikit-learn's defaults define them (golden tests compare with scikit-learn 1.9):
//!
//! * 0 / 0 is 0 (`zero_division=0`): the precision of a class that no row was given, the recall of a class that no row has.
//! * *macro* and *weighted* are over the classes that occur in the truth or among the predictions. A class of
//!   the model that occurs in neither is left out of the mean (its own numbers are 0).
//! * AUROC counts ties exactly, by mean ranks (Mann and Whitney 1947). With two classes the second one is the positive one. With
//!   more it is the mean, over the classes that have both positives and negatives, of one class against the rest
//!   (scikit-learn refuses when a class is absent; here such a class is left out).
//! * Log-loss clips probabilities to [ε, 1], ε = 2⁻⁵².
//! * R² of a constant truth is 1 when it is met exactly, else 0.
//!
//! [`COMPUTATIONS`] has a row for each metric of the table in `catalog::metric`.

use std::collections::BTreeMap;

use catalog::kinds::evaluate::params::Metric;
use catalog::metric::MEANS;

/// Numbers by name; a number that is not defined is absent.
pub type Numbers = BTreeMap<String, f64>;

/// How a metric is computed.
#[derive(Debug, Clone, Copy)]
enum Computation {
    /// Of a classification; absent where it is not defined.
    Classes(fn(&Classified<'_>) -> Option<f64>),
    /// Of one class, or of all pooled.
    Family(fn(Counts) -> f64),
    /// Of a regression; absent where it is not defined.
    Regression(fn(&Regressed<'_>) -> Option<f64>),
    /// [`confusion`], which is no number.
    Matrix,
}

use Computation::{Classes, Family, Matrix, Regression};

/// The computation of every metric, by its name.
const COMPUTATIONS: [(&str, Computation); 10] = [
    ("accuracy", Classes(accuracy)),
    ("precision", Family(|counts| ratio(counts.hits, counts.predicted))),
    ("recall", Family(|counts| ratio(counts.hits, counts.support))),
    // 2 tp / (2 tp + fp + fn).
    ("f1", Family(|counts| ratio(2.0 * counts.hits, counts.predicted + counts.support))),
    ("log_loss", Classes(log_loss)),
    ("auroc", Classes(auroc)),
    ("confusion_matrix", Matrix),
    ("mae", Regression(mae)),
    ("rmse", Regression(|rows| Some(ratio(rows.squares(), rows.count()).sqrt()))),
    ("r2", Regression(r2)),
];

fn computation(metric: Metric) -> Option<Computation> {
    COMPUTATIONS.iter().find(|(name, _)| *name == metric.name()).map(|(_, computation)| *computation)
}

/// Rows of a class: those that have it, those that were given it, and those that are both.
#[derive(Debug, Clone, Copy)]
struct Counts {
    hits: f64,
    predicted: f64,
    support: f64,
}

/// What a classification is judged by.
#[derive(Debug)]
struct Classified<'a> {
    truth: &'a [usize],
    /// Row by row, one a class.
    probabilities: &'a [f64],
    classes: usize,
    by_class: Vec<Counts>,
}

impl Classified<'_> {
    fn count(&self) -> f64 {
        self.truth.len() as f64
    }

    /// All classes pooled: every row has a class and is given one.
    fn pooled(&self) -> Counts {
        let hits = self.by_class.iter().map(|counts| counts.hits).sum();
        Counts { hits, predicted: self.count(), support: self.count() }
    }
}

/// What a regression is judged by.
#[derive(Debug)]
struct Regressed<'a> {
    truth: &'a [f64],
    predicted: &'a [f64],
}

impl Regressed<'_> {
    fn count(&self) -> f64 {
        self.truth.len() as f64
    }

    /// Squared errors, summed.
    fn squares(&self) -> f64 {
        self.truth.iter().zip(self.predicted).map(|(y, p)| (y - p) * (y - p)).sum()
    }
}

/// The metrics asked for of a classification. `probabilities` are row by row, one a class.
pub fn classification(
    wanted: &[Metric],
    truth: &[usize],
    chosen: &[usize],
    probabilities: &[f64],
    classes: &[String],
) -> Numbers {
    let matrix = confusion(truth, chosen, classes.len());
    let by_class = (0..classes.len())
        .map(|class| Counts {
            hits: matrix[class][class] as f64,
            predicted: matrix.iter().map(|row| row[class]).sum::<u64>() as f64,
            support: matrix[class].iter().sum::<u64>() as f64,
        })
        .collect();
    let judged = Classified { truth, probabilities, classes: classes.len(), by_class };
    let mut numbers = Numbers::new();
    for metric in wanted {
        let name = metric.name();
        match computation(*metric) {
            Some(Classes(compute)) => numbers.extend(compute(&judged).map(|value| (name.to_owned(), value))),
            Some(Family(score)) => family(name, score, &judged, classes, &mut numbers),
            _ => {}
        }
    }
    numbers
}

/// The numbers of a family: its means, then those of each class.
fn family(name: &str, score: fn(Counts) -> f64, judged: &Classified<'_>, classes: &[String], numbers: &mut Numbers) {
    let by_class = &judged.by_class;
    let present = || by_class.iter().filter(|counts| counts.support + counts.predicted > 0.0);
    let means = [
        score(judged.pooled()),
        ratio(present().map(|counts| score(*counts)).sum(), present().count() as f64),
        ratio(by_class.iter().map(|counts| score(*counts) * counts.support).sum(), judged.count()),
    ];
    numbers.extend(MEANS.iter().zip(means).map(|(mean, value)| (format!("{name}.{mean}"), value)));
    for (class, counts) in classes.iter().zip(by_class) {
        numbers.insert(format!("{name}.class.{class}"), score(*counts));
    }
}

/// The metrics asked for of a regression.
pub fn regression(wanted: &[Metric], truth: &[f64], predicted: &[f64]) -> Numbers {
    let judged = Regressed { truth, predicted };
    let mut numbers = Numbers::new();
    for metric in wanted {
        if let Some(Regression(compute)) = computation(*metric) {
            numbers.extend(compute(&judged).map(|value| (metric.name().to_owned(), value)));
        }
    }
    numbers
}

/// Rows by true (outer) and predicted (inner) class.
pub fn confusion(truth: &[usize], chosen: &[usize], classes: usize) -> Vec<Vec<u64>> {
    let mut rows = vec![vec![0; classes]; classes];
    for (truth, chosen) in truth.iter().zip(chosen) {
        rows[*truth][*chosen] += 1;
    }
    rows
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

fn accuracy(judged: &Classified<'_>) -> Option<f64> {
    Some(ratio(judged.pooled().hits, judged.count()))
}

/// Mean of −log p of the right class.
fn log_loss(judged: &Classified<'_>) -> Option<f64> {
    let of_right = judged.truth.iter().zip(judged.probabilities.chunks_exact(judged.classes.max(1)));
    let sum: f64 = of_right.map(|(truth, row)| -row[*truth].clamp(f64::EPSILON, 1.0).ln()).sum();
    Some(ratio(sum, judged.count()))
}

fn auroc(judged: &Classified<'_>) -> Option<f64> {
    let against_rest = |class: usize| {
        let scores: Vec<f64> = judged.probabilities.chunks_exact(judged.classes).map(|row| row[class]).collect();
        let positive: Vec<bool> = judged.truth.iter().map(|truth| *truth == class).collect();
        area(&scores, &positive)
    };
    if judged.classes == 2 {
        return against_rest(1);
    }
    let areas: Vec<f64> = (0..judged.classes).filter_map(against_rest).collect();
    (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
}

/// Area under the ROC curve: the chance that a positive row has a higher score than a negative one, ties counted half.
/// `None` without positives or without negatives.
pub fn area(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let positives = positive.iter().filter(|positive| **positive).count() as f64;
    let negatives = positive.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|left, right| scores[*left].total_cmp(&scores[*right]));
    let mut rank_sum = 0f64;
    let mut start = 0;
    while start < order.len() {
        let mut end = start + 1;
        while end < order.len() && scores[order[end]] == scores[order[start]] {
            end += 1;
        }
        // Ranks start + 1 ..= end, all given their mean.
        let rank = (start + 1 + end) as f64 / 2.0;
        rank_sum += rank * order[start..end].iter().filter(|row| positive[**row]).count() as f64;
        start = end;
    }
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

fn mae(judged: &Regressed<'_>) -> Option<f64> {
    let errors = judged.truth.iter().zip(judged.predicted).map(|(y, p)| (y - p).abs());
    Some(ratio(errors.sum(), judged.count()))
}

fn r2(judged: &Regressed<'_>) -> Option<f64> {
    // Of one row there is no variance to explain.
    if judged.truth.len() < 2 {
        return None;
    }
    let squares = judged.squares();
    let mean = judged.truth.iter().sum::<f64>() / judged.count();
    let total: f64 = judged.truth.iter().map(|y| (y - mean) * (y - mean)).sum();
    Some(match (total == 0.0, squares == 0.0) {
        (false, _) => 1.0 - squares / total,
        (true, true) => 1.0,
        (true, false) => 0.0,
    })
}

#[cfg(test)]
mod tests {
    use contract::artifact::Task;
    use serde_json::Value;

    use super::*;

    fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
        value.as_array().unwrap().iter().map(read).collect()
    }

    /// `testdata/metrics.py` writes the file with scikit-learn.
    #[test]
    fn equal_to_scikit_learns() {
        let golden: Value = serde_json::from_str(include_str!("../testdata/metrics.json")).unwrap();
        let mut compared = 0;
        for case in golden.as_array().unwrap() {
            let numbers = if case["task"] == "regression" {
                let truth = list(&case["truth"], |value| value.as_f64().unwrap());
                let predicted = list(&case["predicted"], |value| value.as_f64().unwrap());
                regression(&catalog::metric::fitting(Task::Regression), &truth, &predicted)
            } else {
                let truth = list(&case["truth"], |value| value.as_u64().unwrap() as usize);
                let chosen = list(&case["chosen"], |value| value.as_u64().unwrap() as usize);
                let classes = list(&case["classes"], |value| value.as_str().unwrap().to_owned());
                let probabilities: Vec<f64> = case["probabilities"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .flat_map(|row| list(row, |value| value.as_f64().unwrap()))
                    .collect();
                let wanted = catalog::metric::fitting(Task::Classification);
                let matrix = confusion(&truth, &chosen, classes.len());
                assert_eq!(serde_json::to_value(&matrix).unwrap(), case["confusion_matrix"], "{}", case["name"]);
                classification(&wanted, &truth, &chosen, &probabilities, &classes)
            };
            for (name, wanted) in case["metrics"].as_object().unwrap() {
                let number = numbers[name];
                let wanted = wanted.as_f64().unwrap();
                assert!((number - wanted).abs() < 1e-9, "{} {name}: {number} is not {wanted}", case["name"]);
                compared += 1;
            }
        }
        assert!(compared > 100, "{compared}");
    }

    #[test]
    fn every_metric_of_the_catalogue_is_computed_as_what_it_is() {
        let names: Vec<&str> = COMPUTATIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, Metric::ALL.map(Metric::name), "the two tables have the same metrics in the same order");
        for metric in Metric::ALL {
            let (task, family, numbers) = match computation(metric).unwrap() {
                Classes(_) => (Task::Classification, false, 1),
                Family(_) => (Task::Classification, true, MEANS.len()),
                Regression(_) => (Task::Regression, false, 1),
                Matrix => (Task::Classification, false, 0),
            };
            let name = metric.name();
            assert_eq!((metric.task(), metric.is_family(), metric.numbers().len()), (task, family, numbers), "{name}");
        }
    }

    /// A better prediction has the better value, and values lie within the range.
    #[test]
    fn range_and_direction_are_those_of_the_catalogue() {
        let classes = ["a".to_owned(), "b".to_owned()];
        let classified = |right: f64, chosen: [usize; 4]| {
            let probabilities = [right, 1.0 - right, right, 1.0 - right, 1.0 - right, right, 1.0 - right, right];
            classification(&Metric::ALL, &[0, 0, 1, 1], &chosen, &probabilities, &classes)
        };
        let regressed = |error: f64| regression(&Metric::ALL, &[1.0, 2.0, 4.0], &[1.0 + error, 2.0, 4.0 - error]);
        let pairs = [(classified(0.9, [0, 0, 1, 1]), classified(0.2, [1, 0, 0, 1])), (regressed(0.1), regressed(3.0))];
        let mut compared = 0;
        for (good, bad) in pairs {
            for (name, good) in good {
                let (metric, _) = catalog::metric::of_number(&name).unwrap();
                let (low, high) = metric.bounds();
                assert!([good, bad[&name]].iter().all(|value| (low..=high).contains(value)), "{name}");
                let higher = metric.better() == catalog::metric::Better::Higher;
                assert_eq!(good > bad[&name], higher, "{name}: {good} and {}", bad[&name]);
                compared += 1;
            }
        }
        assert_eq!(compared, 21);
    }

    #[test]
    fn what_is_not_defined_is_absent() {
        let classes = ["a".to_owned(), "b".to_owned()];
        let numbers = classification(&[Metric::Auroc, Metric::Recall], &[0, 0], &[0, 1], &[0.5; 4], &classes);
        assert!(!numbers.contains_key("auroc"));
        assert_eq!(numbers["recall.class.b"], 0.0);
        assert!(!regression(&[Metric::R2], &[1.0], &[1.0]).contains_key("r2"));
    }
}
