//! `tf_idf`: how often its words or runs of characters occur, weighted by how rare they are (tf-idf).

use catalog::kinds::train::params::{Encoder as Asked, TfIdf as Options, Token};
use contract::artifact::Column;
use serde::{Deserialize, Serialize};

use super::encoder::{Encoder, Lesson, Rows, Strip};
use super::hash::hash;
use crate::fault::Outcome;
use crate::onnx::cell::Cell;
use crate::onnx::graph::Graph;

/// Counts in places chosen by hash, times ln((1 + n) / (1 + rows that have it)) + 1, at Euclidean length 1: scikit-learn's
/// `TfidfTransformer` over a `HashingVectorizer`, without signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TfIdf {
    /// What is counted.
    pub options: Options,
    /// The weight of each place.
    pub weights: Vec<f32>,
}

impl TfIdf {
    /// Fits the weights on the texts of the training part.
    pub fn of(options: &Options, texts: &[Option<String>]) -> Self {
        let buckets = options.buckets as usize;
        let mut rows_with = vec![0u32; buckets];
        let mut seen = vec![u32::MAX; buckets];
        for (row, text) in texts.iter().enumerate() {
            tokens(options, text.as_deref().unwrap_or_default(), |token| {
                let place = place(token, options.buckets);
                if seen[place] != row as u32 {
                    seen[place] = row as u32;
                    rows_with[place] += 1;
                }
            });
        }
        let rows = texts.len() as f64;
        let weights =
            rows_with.iter().map(|with| (libm::log((1.0 + rows) / (1.0 + f64::from(*with))) + 1.0) as f32).collect();
        Self { options: options.clone(), weights }
    }

    /// Adds a text's encoding to zeros.
    fn add(&self, text: &str, out: &mut [f32]) {
        tokens(&self.options, text, |token| out[place(token, self.options.buckets)] += 1.0);
        let mut squares = 0f64;
        for (value, weight) in out.iter_mut().zip(&self.weights) {
            *value *= weight;
            squares += f64::from(*value) * f64::from(*value);
        }
        if squares > 0.0 {
            let length = squares.sqrt() as f32;
            out.iter_mut().for_each(|value| *value /= length);
        }
    }
}

impl Encoder for TfIdf {
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Option<Self>> {
        let Asked::TfIdf(options) = &lesson.decision.encoder else { return Ok(None) };
        Ok(Some(Self::of(options, &lesson.data.texts(lesson.name())?)))
    }

    fn width(&self, _: &Column) -> u64 {
        self.weights.len() as u64
    }

    fn write(&self, rows: &Rows<'_>, strip: &mut Strip<'_>) -> Outcome<()> {
        for (row, text) in strip.rows().zip(rows.data.texts(rows.name())?) {
            self.add(text.as_deref().unwrap_or_default(), row);
        }
        Ok(())
    }

    fn not_in_onnx(&self) -> Option<&'static str> {
        Some("tf_idf")
    }

    fn graph(&self, _: &mut Graph, _: &Cell<'_>) -> String {
        unreachable!("`export` refuses what `not_in_onnx` names")
    }
}

fn place(token: &str, buckets: u32) -> usize {
    (hash(token) % u64::from(buckets)) as usize
}

/// Calls `each` for every run of words or characters.
fn tokens(options: &Options, text: &str, mut each: impl FnMut(&str)) {
    let [shortest, longest] = options.n.map(|n| n as usize);
    let lower = text.to_lowercase();
    match options.of {
        Token::Words => {
            let words: Vec<&str> =
                lower.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
            let mut run = String::new();
            for n in shortest..=longest {
                for window in words.windows(n) {
                    run.clear();
                    for (index, word) in window.iter().enumerate() {
                        if index > 0 {
                            run.push(' ');
                        }
                        run.push_str(word);
                    }
                    each(&run);
                }
            }
        }
        Token::Characters => {
            let text = lower.split_whitespace().collect::<Vec<_>>().join(" ");
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            for n in shortest..=longest {
                for window in ends.windows(n + 1) {
                    each(&text[window[0]..window[n]]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(options: &Options, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        tokens(options, text, |token| found.push(token.to_owned()));
        found
    }

    #[test]
    fn words_and_characters_are_counted_in_runs() {
        let words = Options { n: [1, 2], ..Options::default() };
        assert_eq!(all(&words, "The cat, the CAT."), ["the", "cat", "the", "cat", "the cat", "cat the", "the cat"]);
        let characters = Options { of: Token::Characters, n: [2, 3], ..Options::default() };
        assert_eq!(all(&characters, " Ab \n ß"), ["ab", "b ", " ß", "ab ", "b ß"]);
        assert!(all(&characters, "x").is_empty());
        assert!(all(&words, "… !").is_empty());
    }

    #[test]
    fn rare_words_weigh_more_and_rows_have_length_one() {
        let texts: Vec<Option<String>> =
            ["common rare", "common", "common", ""].iter().map(|text| Some((*text).to_owned())).collect();
        let form = TfIdf::of(&Options { buckets: 4096, ..Options::default() }, &texts);
        let mut row = vec![0f32; 4096];
        form.add("common rare unseen", &mut row);
        let of = |word: &str| row[place(word, 4096)];
        // ln(5/4) + 1, ln(5/2) + 1, ln(5/1) + 1 before the length is taken out.
        let raw = [(5f64 / 4.0).ln() + 1.0, (5f64 / 2.0).ln() + 1.0, 5f64.ln() + 1.0];
        let length = raw.iter().map(|value| value * value).sum::<f64>().sqrt();
        for (word, expected) in ["common", "rare", "unseen"].into_iter().zip(raw) {
            assert!((f64::from(of(word)) - expected / length).abs() < 1e-6, "{word}");
        }
        let mut empty = vec![0f32; 4096];
        form.add("", &mut empty);
        assert!(empty.iter().all(|value| *value == 0.0));
    }
}
