//! `hashed`: a place chosen by hash.

use catalog::kinds::train::params::Encoder as Asked;
use contract::artifact::Column;
use serde::{Deserialize, Serialize};

use super::encoder::{Encoder, Lesson, Rows, Strip};
use super::hash::hash;
use crate::fault::Outcome;
use crate::onnx::cell::Cell;
use crate::onnx::graph::Graph;

/// ±1 at a place chosen by hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hashed {
    /// Number of places.
    pub buckets: u32,
    /// Whether training had missing cells: then one place more is theirs.
    pub indicator: bool,
}

impl Encoder for Hashed {
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Option<Self>> {
        let Asked::Hashed(options) = &lesson.decision.encoder else { return Ok(None) };
        let indicator = lesson.data.texts(lesson.name())?.iter().any(Option::is_none);
        Ok(Some(Self { buckets: options.buckets, indicator }))
    }

    fn width(&self, _: &Column) -> u64 {
        u64::from(self.buckets) + u64::from(self.indicator)
    }

    fn write(&self, rows: &Rows<'_>, strip: &mut Strip<'_>) -> Outcome<()> {
        for (row, text) in strip.rows().zip(rows.data.texts(rows.name())?) {
            match text {
                Some(text) => {
                    let (place, sign) = bucket(&text, self.buckets);
                    row[place] = sign;
                }
                None if self.indicator => row[self.buckets as usize] = 1.0,
                None => {}
            }
        }
        Ok(())
    }

    fn not_in_onnx(&self) -> Option<&'static str> {
        Some("hashed")
    }

    fn graph(&self, _: &mut Graph, _: &Cell<'_>) -> String {
        unreachable!("`export` refuses what `not_in_onnx` names")
    }
}

/// The place and the sign of a value among `buckets` (Weinberger et al. 2009): the sign keeps collisions from adding up.
fn bucket(text: &str, buckets: u32) -> (usize, f32) {
    let hash = hash(text);
    ((hash % u64::from(buckets)) as usize, if hash >> 63 == 0 { 1.0 } else { -1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_values_reach_every_place() {
        let places: std::collections::BTreeSet<usize> =
            (0..1000).map(|value| bucket(&value.to_string(), 64).0).collect();
        assert_eq!(places.len(), 64);
    }
}
