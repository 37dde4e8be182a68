//! Near duplicates: MinHash (A. Broder, On the resemblance and containment of documents, 1997) finds candidates, banded as in
//! Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4; the true Jaccard similarity decides.

use contract::fault::Faults;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::fault::{Outcome, kernel, unreadable, unwritable};
use crate::table::spill::Memory;

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

/// The rows so far, by the bands of their signatures. A row takes a few hundred bytes; its pieces, which may be as long as its text,
/// go to a scratch file when they are too many to be held.
pub struct Index<'a> {
    memory: &'a Memory,
    /// Of each band the last row.
    bands: HashMap<u64, u32>,
    kept: Vec<Kept>,
    /// Pieces that are held, behind those in the file.
    held: Vec<u64>,
    /// Without a name, and how many pieces it has.
    file: Option<File>,
    filed: u64,
}

/// A row that was kept.
struct Kept {
    row: usize,
    /// Its pieces among all.
    pieces: Range<u64>,
    /// In each of its bands, the row before it.
    before: [u32; BANDS],
}

/// The place before the first row of a band.
const NONE: u32 = u32::MAX;

impl<'a> Index<'a> {
    /// No rows yet.
    pub fn new(memory: &'a Memory) -> Self {
        Self { memory, bands: HashMap::new(), kept: Vec::new(), held: Vec::new(), file: None, filed: 0 }
    }

    /// The most similar earlier row of at least this similarity (the first of several), as (row, similarity).
    ///
    /// # Errors
    /// A scratch file that cannot be read.
    pub fn similar(
        &self,
        shingles: &[u64],
        signature: &[u64; PERMUTATIONS],
        least: f64,
    ) -> Outcome<Option<(usize, f64)>> {
        let mut candidates: Vec<u32> = Vec::new();
        for (band, key) in keys(signature).enumerate() {
            let mut next = self.bands.get(&key).copied().unwrap_or(NONE);
            while next != NONE {
                candidates.push(next);
                next = self.kept[next as usize].before[band];
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        let mut best: Option<(usize, f64)> = None;
        for candidate in candidates {
            let kept = &self.kept[candidate as usize];
            let similarity = jaccard(shingles, &self.pieces(kept)?);
            if similarity >= least && best.is_none_or(|(_, known)| similarity > known) {
                best = Some((kept.row, similarity));
            }
        }
        Ok(best)
    }

    fn pieces(&self, kept: &Kept) -> Outcome<Cow<'_, [u64]>> {
        let Range { start, end } = kept.pieces;
        let Some(file) = self.file.as_ref().filter(|_| start < self.filed) else {
            return Ok(Cow::Borrowed(&self.held[(start - self.filed) as usize..(end - self.filed) as usize]));
        };
        let mut bytes = vec![0; (end - start) as usize * 8];
        let read = file.read_exact_at(&mut bytes, start * 8);
        read.map_err(|error| Faults::from(unreadable("a scratch file", &error)))?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
    }

    /// Adds a row.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn add(&mut self, row: usize, shingles: &[u64], signature: &[u64; PERMUTATIONS]) -> Outcome<()> {
        let position = self.kept.len() as u32;
        let mut before = [NONE; BANDS];
        for (before, key) in before.iter_mut().zip(keys(signature)) {
            *before = self.bands.insert(key, position).unwrap_or(NONE);
        }
        let start = self.filed + self.held.len() as u64;
        self.held.extend_from_slice(shingles);
        self.kept.push(Kept { row, pieces: start..start + shingles.len() as u64, before });
        if self.held.len() as u64 * 8 > self.memory.limit / 16 { self.put_aside() } else { Ok(()) }
    }

    fn put_aside(&mut self) -> Outcome<()> {
        let full = |error: std::io::Error| Faults::from(unwritable(&error));
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let path = self.memory.path();
                let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(full)?;
                let _ = std::fs::remove_file(&path);
                none.insert(file)
            }
        };
        let bytes: Vec<u8> = self.held.iter().flat_map(|piece| piece.to_le_bytes()).collect();
        file.write_all_at(&bytes, self.filed * 8).map_err(full)?;
        self.filed += self.held.len() as u64;
        self.held.clear();
        Ok(())
    }
}

/// A key of each band; those of two bands are equal by chance only, and then a candidate more is looked at.
fn keys(signature: &[u64; PERMUTATIONS]) -> impl Iterator<Item = u64> + '_ {
    (0..BANDS).map(|band| {
        let slots = &signature[band * ROWS..(band + 1) * ROWS];
        slots.iter().fold(band as u64, |hash, slot| mix(hash ^ slot))
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
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(Some(1 << 30), folder.path().to_owned());
        let mut index = Index::new(&memory);
        index.add(7, &left, &a).unwrap();
        assert_eq!(index.similar(&right, &b, 0.8).unwrap().map(|(row, _)| row), Some(7));
        assert_eq!(index.similar(&right, &b, 0.9).unwrap(), None);
    }

    #[test]
    fn the_same_rows_are_alike_however_little_memory_there_is() {
        let rows: Vec<Vec<u64>> = (0..400u64)
            .map(|row| {
                let group = row % 37;
                let mut pieces: Vec<u64> = (0..60).map(|piece| mix(group * 1000 + piece + row / 37 % 9)).collect();
                pieces.sort_unstable();
                pieces
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let run = |limit: u64| {
            let mut memory = Memory::new(None, folder.path().to_owned());
            memory.limit = limit;
            let mut index = Index::new(&memory);
            let mut found = Vec::new();
            for (row, pieces) in rows.iter().enumerate() {
                let signature = signature(pieces);
                found.push(index.similar(pieces, &signature, 0.7).unwrap());
                index.add(row, pieces, &signature).unwrap();
            }
            (found, index.filed)
        };
        let (held, none) = run(1 << 40);
        // By every earlier row, without bands: what is found is the most similar, and the first of several.
        for (row, found) in held.iter().enumerate().filter_map(|(row, found)| Some((row, (*found)?))) {
            let best = (0..row).map(|other| jaccard(&rows[row], &rows[other])).fold(0.0, f64::max);
            assert!(found.1 == best && found.0 % 37 == row % 37, "{row} {found:?} {best}");
        }
        assert!(none == 0 && held.iter().flatten().count() > 300);
        let (put_aside, filed) = run(16 << 10);
        assert!(filed > 20_000 && put_aside == held);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
