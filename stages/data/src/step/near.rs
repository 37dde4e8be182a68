//! Near duplicates: MinHash (A. Broder, On the resemblance and containment of documents, 1997) finds candidates, banded as in
//! Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4; the true Jaccard similarity decides.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::fault::{Outcome, kernel};

/// Permutations of a signature.
pub const PERMUTATIONS: usize = 64;
const BANDS: usize = 16;
const ROWS: usize = PERMUTATIONS / BANDS;
/// Characters of a piece of text.
const PIECE: usize = 5;

/// A 64-bit mixer (G. Steele, D. Lea, C. Flood, Fast splittable pseudorandom number generators, 2014).
fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// FNV-1a with a finishing mixer: the same on every machine.
fn hash(start: u64, bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325 ^ mix(start), |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    }))
}

/// The distinct pieces of a row's cells, hashed and sorted: runs of five characters of texts (small letters, white space made
/// one), and other cells whole. Missing cells give none.
pub fn shingles(rows: &RecordBatch, columns: &[usize], row: usize) -> Outcome<Vec<u64>> {
    let mut found = Vec::new();
    for (place, index) in columns.iter().enumerate() {
        let array: &ArrayRef = rows.column(*index);
        if array.is_null(row) {
            continue;
        }
        if array.data_type() == &DataType::Utf8 {
            let text = array.as_string::<i32>().value(row).to_lowercase();
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            if ends.len() <= PIECE {
                found.push(hash(place as u64, text.as_bytes()));
            }
            for at in 0..ends.len().saturating_sub(PIECE) {
                found.push(hash(place as u64, &text.as_bytes()[ends[at]..ends[at + PIECE]]));
            }
        } else {
            let options = FormatOptions::default();
            let formatter =
                ArrayFormatter::try_new(array, &options).map_err(|error| kernel("comparing rows", &error))?;
            found.push(hash(place as u64, formatter.value(row).to_string().as_bytes()));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The smallest of the pieces under each permutation.
pub fn signature(shingles: &[u64]) -> [u64; PERMUTATIONS] {
    let mut smallest = [u64::MAX; PERMUTATIONS];
    for shingle in shingles {
        for (permutation, slot) in smallest.iter_mut().enumerate() {
            *slot = (*slot).min(mix(shingle ^ mix(permutation as u64 + 1)));
        }
    }
    smallest
}

/// Shared pieces over all pieces; two rows without pieces are alike.
pub fn jaccard(left: &[u64], right: &[u64]) -> f64 {
    let (mut a, mut b, mut shared) = (0, 0, 0usize);
    while a < left.len() && b < right.len() {
        match left[a].cmp(&right[b]) {
            std::cmp::Ordering::Equal => {
                shared += 1;
                a += 1;
                b += 1;
            }
            std::cmp::Ordering::Less => a += 1,
            std::cmp::Ordering::Greater => b += 1,
        }
    }
    let all = left.len() + right.len() - shared;
    if all == 0 { 1.0 } else { shared as f64 / all as f64 }
}

/// The rows so far, by the bands of their signatures.
#[derive(Default)]
pub struct Index {
    bands: HashMap<(usize, u64), Vec<u32>>,
    kept: Vec<(usize, Vec<u64>)>,
}

impl Index {
    /// The most similar earlier row of at least this similarity (the first of several), as (row, similarity).
    pub fn similar(&self, shingles: &[u64], signature: &[u64; PERMUTATIONS], least: f64) -> Option<(usize, f64)> {
        let mut candidates: Vec<u32> =
            keys(signature).filter_map(|key| self.bands.get(&key)).flatten().copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        let mut best: Option<(usize, f64)> = None;
        for candidate in candidates {
            let (row, other) = &self.kept[candidate as usize];
            let similarity = jaccard(shingles, other);
            if similarity >= least && best.is_none_or(|(_, known)| similarity > known) {
                best = Some((*row, similarity));
            }
        }
        best
    }

    /// Adds a row.
    pub fn add(&mut self, row: usize, shingles: Vec<u64>, signature: &[u64; PERMUTATIONS]) {
        let position = self.kept.len() as u32;
        for key in keys(signature) {
            self.bands.entry(key).or_default().push(position);
        }
        self.kept.push((row, shingles));
    }
}

fn keys(signature: &[u64; PERMUTATIONS]) -> impl Iterator<Item = (usize, u64)> + '_ {
    (0..BANDS).map(|band| {
        let slots = &signature[band * ROWS..(band + 1) * ROWS];
        (band, slots.iter().fold(band as u64, |hash, slot| mix(hash ^ slot)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_estimates_the_similarity() {
        let left: Vec<u64> = (0..1000).map(mix).collect();
        let right: Vec<u64> = (100..1100).map(mix).collect();
        let sorted = |mut values: Vec<u64>| {
            values.sort_unstable();
            values
        };
        let (left, right) = (sorted(left), sorted(right));
        let truth = jaccard(&left, &right);
        assert!((truth - 900.0 / 1100.0).abs() < 1e-12);
        let (a, b) = (signature(&left), signature(&right));
        let equal = a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / PERMUTATIONS as f64;
        assert!((equal - truth).abs() < 0.2, "{equal} {truth}");
        let mut index = Index::default();
        index.add(7, left, &a);
        assert_eq!(index.similar(&right, &b, 0.8).map(|(row, _)| row), Some(7));
        assert_eq!(index.similar(&right, &b, 0.9), None);
    }
}
