//! `target`: the mean of the target where the column has the cell's value.

use std::collections::{BTreeMap, HashMap};

use catalog::kinds::train::params::Encoder as Asked;
use contract::artifact::Column;
use serde::{Deserialize, Serialize};

use super::encoder::{Encoder, Lesson, Rows, Strip};
use crate::dataset::Dataset;
use crate::fault::Outcome;
use crate::onnx::cell::Cell;
use crate::onnx::graph::Graph;
use crate::random::{Purpose, Random};
use crate::room::Room;
use crate::target::{Target, Targets};

/// What the target tells of each row: one number for a regression (standardised) and for two classes (1 for the second),
/// one for each class of more.
#[derive(Debug, Default)]
pub struct Answers {
    width: usize,
    values: Vec<f64>,
}

impl Answers {
    /// The answers of a data set.
    ///
    /// # Errors
    /// Those of [`Target::encode`].
    pub fn of(target: &Target, data: &Dataset) -> Outcome<Self> {
        let classes = target.classes().len();
        if classes == 0 {
            let Targets::Numbers(encoded) = target.encode(data, Room::memory())? else { return Ok(Self::default()) };
            let values = encoded.values().iter().map(|value| f64::from(*value)).collect();
            return Ok(Self { width: 1, values });
        }
        let labels = target.labels(data)?;
        if classes == 2 {
            return Ok(Self { width: 1, values: labels.into_iter().map(|label| label as f64).collect() });
        }
        let mut values = vec![0.0; labels.len() * classes];
        for (row, label) in labels.into_iter().enumerate() {
            values[row * classes + label as usize] = 1.0;
        }
        Ok(Self { width: classes, values })
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }
}

/// The mean of the target for each value of a column (Micci-Barreca 2001), as m-estimates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetMean {
    /// The values seen in training, sorted by their bytes.
    pub values: Vec<String>,
    /// Of each value, its answers' means, one value after the other.
    pub means: Vec<f64>,
    /// Of values never seen, and of missing cells: the overall means. As many as one cell becomes.
    pub overall: Vec<f64>,
    /// Rows of the overall mean added to each value's own.
    pub smoothing: f64,
    /// Folds of the training part.
    pub folds: u32,
    /// What the folds are drawn from.
    pub seed: u64,
}

impl TargetMean {
    /// Fits on all rows.
    pub fn of(texts: &[Option<String>], answers: &Answers, smoothing: f64, folds: u32, seed: u64) -> Self {
        let (overall, table) = table(texts, answers, smoothing, |_| true);
        let (values, means): (Vec<String>, Vec<Vec<f64>>) =
            table.into_iter().map(|(value, means)| (value.to_owned(), means)).unzip();
        Self { values, means: means.concat(), overall, smoothing, folds, seed }
    }

    /// The encoding of each row of other data.
    pub fn rows<'a>(&'a self, texts: &'a [Option<String>]) -> impl Iterator<Item = &'a [f64]> {
        let places: HashMap<&str, usize> =
            self.values.iter().enumerate().map(|(place, value)| (value.as_str(), place)).collect();
        let width = self.overall.len();
        texts.iter().map(move |text| match text.as_deref().and_then(|text| places.get(text)) {
            Some(place) => &self.means[place * width..(place + 1) * width],
            None => &self.overall,
        })
    }

    /// The encoding of the rows it was fitted on: each from the folds it is not in, so that no row tells its own answer.
    pub fn training_rows(&self, texts: &[Option<String>], answers: &Answers) -> Vec<Vec<f64>> {
        let folds = self.folds_of(texts.len());
        let mut rows = vec![Vec::new(); texts.len()];
        for fold in 0..self.folds {
            let (overall, table) = table(texts, answers, self.smoothing, |row| folds[row] != fold);
            for (row, text) in texts.iter().enumerate().filter(|(row, _)| folds[*row] == fold) {
                rows[row] = text.as_deref().and_then(|text| table.get(text)).unwrap_or(&overall).clone();
            }
        }
        rows
    }

    /// Folds of equal size, in random order.
    fn folds_of(&self, rows: usize) -> Vec<u32> {
        let mut folds: Vec<u32> = (0..rows).map(|row| row as u32 % self.folds).collect();
        Random::new(self.seed, Purpose::Encoders).shuffle(&mut folds);
        folds
    }
}

impl Encoder for TargetMean {
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Option<Self>> {
        let Asked::Target(options) = &lesson.decision.encoder else { return Ok(None) };
        let answers = Answers::of(lesson.target, lesson.data)?;
        let texts = lesson.data.texts(lesson.name())?;
        Ok(Some(Self::of(&texts, &answers, options.smoothing, options.folds, lesson.seed)))
    }

    fn width(&self, _: &Column) -> u64 {
        self.overall.len() as u64
    }

    fn write(&self, rows: &Rows<'_>, strip: &mut Strip<'_>) -> Outcome<()> {
        let texts = rows.data.texts(rows.name())?;
        let put = |row: &mut [f32], means: &[f64]| {
            row.iter_mut().zip(means).for_each(|(place, mean)| *place = *mean as f32);
        };
        match rows.training {
            Some(target) => {
                let encoded = self.training_rows(&texts, &Answers::of(target, rows.data)?);
                strip.rows().zip(&encoded).for_each(|(row, means)| put(row, means));
            }
            None => strip.rows().zip(self.rows(&texts)).for_each(|(row, means)| put(row, means)),
        }
        Ok(())
    }

    fn tells_answers(&self) -> bool {
        true
    }

    fn not_in_onnx(&self) -> Option<&'static str> {
        Some("target")
    }

    fn graph(&self, _: &mut Graph, _: &Cell<'_>) -> String {
        unreachable!("`export` refuses what `not_in_onnx` names")
    }
}

/// Overall means, and smoothed means by value, of the rows that are taken.
fn table<'a>(
    texts: &'a [Option<String>],
    answers: &Answers,
    smoothing: f64,
    taken: impl Fn(usize) -> bool,
) -> (Vec<f64>, BTreeMap<&'a str, Vec<f64>>) {
    let mut overall = vec![0.0; answers.width];
    let mut count = 0.0;
    let mut sums: BTreeMap<&str, (f64, Vec<f64>)> = BTreeMap::new();
    for (row, text) in texts.iter().enumerate().filter(|(row, _)| taken(*row)) {
        count += 1.0;
        let answer = answers.row(row);
        overall.iter_mut().zip(answer).for_each(|(sum, value)| *sum += value);
        if let Some(text) = text {
            let (count, sum) = sums.entry(text.as_str()).or_insert_with(|| (0.0, vec![0.0; answers.width]));
            *count += 1.0;
            sum.iter_mut().zip(answer).for_each(|(sum, value)| *sum += value);
        }
    }
    overall.iter_mut().for_each(|sum| *sum /= f64::max(count, 1.0));
    let means = sums.into_iter().map(|(value, (count, sum))| {
        let mean = sum.iter().zip(&overall).map(|(sum, overall)| (sum + smoothing * overall) / (count + smoothing));
        (value, mean.collect())
    });
    let means = means.collect();
    (overall, means)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<Option<String>> {
        values.iter().map(|value| (!value.is_empty()).then(|| (*value).to_owned())).collect()
    }

    #[test]
    fn means_are_drawn_towards_the_overall_mean() {
        let texts = texts(&["a", "a", "b", ""]);
        let answers = Answers { width: 1, values: vec![1.0, 1.0, 0.0, 0.0] };
        let fitted = TargetMean::of(&texts, &answers, 2.0, 2, 0);
        assert_eq!(fitted.overall, [0.5]);
        assert_eq!(fitted.values, ["a", "b"]);
        // (2 + 2 · 0.5) / (2 + 2) and (0 + 2 · 0.5) / (1 + 2)
        assert_eq!(fitted.means, [0.75, 1.0 / 3.0]);
        let other = self::texts(&["b", "never seen", ""]);
        assert_eq!(fitted.rows(&other).collect::<Vec<_>>(), [&[1.0 / 3.0][..], &[0.5], &[0.5]]);
    }

    #[test]
    fn no_row_of_the_training_part_tells_its_own_answer() {
        // Every value occurs once: encoded with its own answer, it would give the answer away.
        let names: Vec<String> = (0..100).map(|row| format!("row {row}")).collect();
        let texts: Vec<Option<String>> = names.into_iter().map(Some).collect();
        let answers = Answers { width: 1, values: (0..100).map(|row| f64::from(row % 2)).collect() };
        let fitted = TargetMean::of(&texts, &answers, 0.0, 5, 3);
        for (row, encoded) in fitted.training_rows(&texts, &answers).into_iter().enumerate() {
            assert!((encoded[0] - 0.5).abs() < 0.1, "row {row} is encoded as {encoded:?}");
        }
        let told: Vec<f64> = fitted.rows(&texts).map(|means| means[0]).collect();
        assert_eq!(told, answers.values, "other data would be given it, which is why training rows have folds");
        // Changing one row's answer changes nothing of that row's own encoding.
        let changed =
            Answers { width: 1, values: (0..100).map(|row| f64::from(row % 2 + i32::from(row == 7))).collect() };
        assert_eq!(fitted.training_rows(&texts, &changed)[7], fitted.training_rows(&texts, &answers)[7]);
    }
}
