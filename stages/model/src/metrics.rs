//! Metrics, as scikit-learn's defaults define them (golden tests compare with scikit-learn 1.9):
//!
//! * 0 / 0 is 0 (`zero_division=0`): the precision of a class nobody was given, the recall of a class nobody has.
//! * *macro* and *weighted* are over the classes that occur in the truth or among the predictions. A class of
//!   the model that occurs in neither is left out of the mean (its own numbers are 0).
//! * AUROC counts ties exactly, by mean ranks (Mann and Whitney 1947). With two classes the second one is the positive one. With
//!   more it is the mean, over the classes that have both positives and negatives, of one class against the rest
//!   (scikit-learn refuses when a class is absent; here such a class is left out).
//! * Log-loss clips probabilities to [ε, 1], ε = 2⁻⁵².
//! * R² of a constant truth is 1 when it is met exactly, else 0.

use std::collections::BTreeMap;

use catalog::params::evaluate::Metric;

/// Numbers by name; a number that is not defined is absent.
pub type Numbers = BTreeMap<String, f64>;

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

/// Precision, recall and F1 of a class, or of all pooled: 2 tp / (2 tp + fp + fn).
fn scores(tp: f64, predicted: f64, support: f64) -> [f64; 3] {
    [ratio(tp, predicted), ratio(tp, support), ratio(2.0 * tp, predicted + support)]
}

/// The metrics asked for of a classification. `probabilities` are row by row, one a class.
pub fn classification(
    wanted: &[Metric],
    truth: &[usize],
    chosen: &[usize],
    probabilities: &[f64],
    classes: &[String],
) -> Numbers {
    let mut numbers = Numbers::new();
    let rows = truth.len() as f64;
    let matrix = confusion(truth, chosen, classes.len());
    let right: u64 = (0..classes.len()).map(|class| matrix[class][class]).sum();
    let by_class: Vec<([f64; 3], f64, bool)> = (0..classes.len())
        .map(|class| {
            let support: u64 = matrix[class].iter().sum();
            let predicted: u64 = matrix.iter().map(|row| row[class]).sum();
            let scores = scores(matrix[class][class] as f64, predicted as f64, support as f64);
            (scores, support as f64, support + predicted > 0)
        })
        .collect();
    for metric in wanted {
        let name = metric.name();
        let place = match metric {
            Metric::Accuracy => {
                numbers.insert(name.to_owned(), ratio(right as f64, rows));
                continue;
            }
            Metric::LogLoss => {
                numbers.insert(name.to_owned(), log_loss(truth, probabilities, classes.len()));
                continue;
            }
            Metric::Auroc => {
                numbers.extend(auroc(truth, probabilities, classes.len()).map(|value| (name.to_owned(), value)));
                continue;
            }
            Metric::Precision => 0,
            Metric::Recall => 1,
            Metric::F1 => 2,
            Metric::ConfusionMatrix | Metric::Mae | Metric::Rmse | Metric::R2 => continue,
        };
        let present = || by_class.iter().filter(|(_, _, present)| *present);
        let count = present().count() as f64;
        let mean = ratio(present().map(|(scores, ..)| scores[place]).sum(), count);
        let weighted = ratio(by_class.iter().map(|(scores, support, _)| scores[place] * support).sum(), rows);
        numbers.insert(format!("{name}.micro"), scores(right as f64, rows, rows)[place]);
        numbers.insert(format!("{name}.macro"), mean);
        numbers.insert(format!("{name}.weighted"), weighted);
        for (class, (scores, ..)) in classes.iter().zip(&by_class) {
            numbers.insert(format!("{name}.class.{class}"), scores[place]);
        }
    }
    numbers
}

/// Mean of −log p of the right class.
fn log_loss(truth: &[usize], probabilities: &[f64], classes: usize) -> f64 {
    let of_right = truth.iter().zip(probabilities.chunks_exact(classes.max(1)));
    let sum: f64 = of_right.map(|(truth, row)| -row[*truth].clamp(f64::EPSILON, 1.0).ln()).sum();
    ratio(sum, truth.len() as f64)
}

fn auroc(truth: &[usize], probabilities: &[f64], classes: usize) -> Option<f64> {
    let against_rest = |class: usize| {
        let scores: Vec<f64> = probabilities.chunks_exact(classes).map(|row| row[class]).collect();
        let positive: Vec<bool> = truth.iter().map(|truth| *truth == class).collect();
        area(&scores, &positive)
    };
    if classes == 2 {
        return against_rest(1);
    }
    let areas: Vec<f64> = (0..classes).filter_map(against_rest).collect();
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

/// The metrics asked for of a regression.
pub fn regression(wanted: &[Metric], truth: &[f64], predicted: &[f64]) -> Numbers {
    let rows = truth.len() as f64;
    let squares: f64 = truth.iter().zip(predicted).map(|(y, p)| (y - p) * (y - p)).sum();
    let mut numbers = Numbers::new();
    for metric in wanted {
        let value = match metric {
            Metric::Mae => ratio(truth.iter().zip(predicted).map(|(y, p)| (y - p).abs()).sum(), rows),
            Metric::Rmse => ratio(squares, rows).sqrt(),
            // Of one row there is no variance to explain.
            Metric::R2 if truth.len() >= 2 => {
                let mean = truth.iter().sum::<f64>() / rows;
                let total: f64 = truth.iter().map(|y| (y - mean) * (y - mean)).sum();
                match (total == 0.0, squares == 0.0) {
                    (false, _) => 1.0 - squares / total,
                    (true, true) => 1.0,
                    (true, false) => 0.0,
                }
            }
            _ => continue,
        };
        numbers.insert(metric.name().to_owned(), value);
    }
    numbers
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
    fn what_is_not_defined_is_absent() {
        let classes = ["a".to_owned(), "b".to_owned()];
        let numbers = classification(&[Metric::Auroc, Metric::Recall], &[0, 0], &[0, 1], &[0.5; 4], &classes);
        assert!(!numbers.contains_key("auroc"));
        assert_eq!(numbers["recall.class.b"], 0.0);
        assert!(!regression(&[Metric::R2], &[1.0], &[1.0]).contains_key("r2"));
    }
}
