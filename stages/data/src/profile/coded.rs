//! A column as small whole numbers in the order of its values: what relationships are computed from.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};

use super::sketch::frequent::Bits;
use crate::fault::Outcome;
use crate::table::classes::Fx;
use crate::table::spill::Memory;

/// The code of a missing cell.
pub const MISSING: u32 = u32::MAX;
/// Up to this width, the values of a column are looked up in a table instead of being sorted.
const TABLE: u64 = 1 << 19;
/// Different texts of a column that are kept, in bytes.
const TEXTS: usize = 1 << 24;

/// A column in codes.
#[derive(Debug, Clone)]
pub struct Coded {
    /// A code for each row, or [`MISSING`].
    pub codes: ScalarBuffer<u32>,
    /// How often each code occurs.
    pub counts: ScalarBuffer<u32>,
    /// What each code stands for, ascending.
    pub values: Values,
    /// How many cells are missing.
    pub missing: usize,
}

/// What codes stand for.
#[derive(Debug, Clone)]
pub enum Values {
    /// Numbers (dates in days, times in microseconds).
    Numbers(ScalarBuffer<f64>),
    /// Texts, and `false`, `true`.
    Texts(StringArray),
    /// Texts that are too much together to be kept.
    Forgotten,
}

impl Coded {
    /// Of a column of single values, of every `step`th row; `None` for tensors and bytes.
    pub fn of(pieces: &[ArrayRef], step: usize) -> Option<Self> {
        match pieces.first()?.data_type() {
            DataType::Utf8 => {
                let texts = pieces.iter().flat_map(|piece| piece.as_string::<i32>().iter()).step_by(step);
                Some(texts_of(texts))
            }
            DataType::Boolean => {
                let cells = pieces.iter().flat_map(|piece| piece.as_boolean().iter()).step_by(step);
                Some(texts_of(cells.map(|cell| cell.map(|value| if value { "true" } else { "false" }))))
            }
            DataType::Int8 => Some(whole::<Int8Type>(pieces, step)),
            DataType::Int16 => Some(whole::<Int16Type>(pieces, step)),
            DataType::Int32 => Some(whole::<Int32Type>(pieces, step)),
            DataType::Int64 => Some(whole::<Int64Type>(pieces, step)),
            DataType::UInt8 => Some(whole::<UInt8Type>(pieces, step)),
            DataType::UInt16 => Some(whole::<UInt16Type>(pieces, step)),
            DataType::UInt32 => Some(whole::<UInt32Type>(pieces, step)),
            DataType::UInt64 => Some(whole::<UInt64Type>(pieces, step)),
            DataType::Date32 => Some(whole::<arrow::datatypes::Date32Type>(pieces, step)),
            DataType::Timestamp(..) => Some(whole::<arrow::datatypes::TimestampMicrosecondType>(pieces, step)),
            DataType::Float32 => Some(broken(|| cells::<Float32Type>(pieces, step).map(|cell| cell.map(f64::from)))),
            DataType::Float64 => Some(broken(|| cells::<Float64Type>(pieces, step))),
            _ => None,
        }
    }

    /// The same in scratch files, where it is too much to be held.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn park(self, memory: &Memory) -> Outcome<Self> {
        let values = match self.values {
            Values::Numbers(numbers) => Values::Numbers(memory.park(numbers)?),
            other => other,
        };
        let (codes, counts) = (memory.park(self.codes)?, memory.park(self.counts)?);
        Ok(Self { codes, counts, values, missing: self.missing })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.codes.len()
    }

    /// Different values.
    pub fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// Whether every row has a value of its own.
    pub fn unique(&self) -> bool {
        self.missing == 0 && self.distinct() == self.rows() && self.rows() > 1
    }

    /// The average rank (from 1) of each code.
    pub fn ranks(&self) -> Vec<f64> {
        ranks(&self.counts)
    }

    /// Each code's bin: of numbers, up to `bins` of equal count; of categories, the `categories - 1` most frequent and the
    /// rest. And how many bins there are.
    pub fn bins(&self, numeric: bool, bins: usize, categories: usize) -> (Vec<u8>, usize) {
        if numeric {
            if self.distinct() <= bins {
                return ((0..self.distinct()).map(|code| code as u8).collect(), self.distinct());
            }
            let total = (self.rows() - self.missing) as f64;
            let mut below = 0.0;
            let mut last = usize::MAX;
            let mut next = 0usize;
            let of_code = self.counts.iter().map(|count| {
                let bin = ((below + f64::from(*count) / 2.0) / total * bins as f64) as usize;
                below += f64::from(*count);
                if bin != last {
                    (last, next) = (bin, next + 1);
                }
                (next - 1) as u8
            });
            let of_code: Vec<u8> = of_code.collect();
            return (of_code, next);
        }
        if self.distinct() <= categories {
            return ((0..self.distinct()).map(|code| code as u8).collect(), self.distinct());
        }
        let mut order: Vec<usize> = (0..self.distinct()).collect();
        order.sort_by(|a, b| self.counts[*b].cmp(&self.counts[*a]).then(a.cmp(b)));
        let mut of_code = vec![(categories - 1) as u8; self.distinct()];
        for (bin, code) in order.into_iter().take(categories - 1).enumerate() {
            of_code[code] = bin as u8;
        }
        (of_code, categories)
    }
}

/// Average ranks (from 1) of values that occur so often, in order.
pub fn ranks(counts: &[u32]) -> Vec<f64> {
    let mut below = 0.0;
    counts
        .iter()
        .map(|count| {
            let rank = below + (f64::from(*count) + 1.0) / 2.0;
            below += f64::from(*count);
            rank
        })
        .collect()
}

fn cells<'a, T: ArrowPrimitiveType>(
    pieces: &'a [ArrayRef],
    step: usize,
) -> impl Iterator<Item = Option<T::Native>> + 'a {
    let arrays = pieces.iter().filter_map(|piece| piece.as_any().downcast_ref::<PrimitiveArray<T>>());
    arrays.flat_map(PrimitiveArray::iter).step_by(step)
}

fn whole<T: ArrowPrimitiveType>(pieces: &[ArrayRef], step: usize) -> Coded
where
    i128: From<T::Native>,
{
    // Shifted so that the order of 64-bit keys is that of signed and unsigned numbers.
    const SHIFT: i128 = 1 << 63;
    let signed = cells::<T>(pieces, step).flatten().all(|value| i128::from(value) < SHIFT);
    let shift = if signed { SHIFT } else { 0 };
    let keys = || cells::<T>(pieces, step).map(|cell| cell.map(|value| (i128::from(value) + shift) as u64));
    of_keys(keys, |key| (key as i128 - shift) as f64)
}

fn broken<I: Iterator<Item = Option<f64>>>(cells: impl Fn() -> I) -> Coded {
    let cells = || cells().map(|cell| cell.filter(|value| !value.is_nan()));
    let whole = cells().flatten().all(|value| value.fract() == 0.0 && value.abs() < 9e15);
    if whole {
        let keys = || cells().map(|cell| cell.map(|value| (value as i64 as u64) ^ (1 << 63)));
        return of_keys(keys, |key| (key ^ (1 << 63)) as i64 as f64);
    }
    of_keys(|| cells().map(|cell| cell.map(|value| Bits::of(value).0)), |key| Bits(key).value())
}

/// Codes of keys in their order. The keys are gone through several times: they are never held.
fn of_keys<I: Iterator<Item = Option<u64>>>(keys: impl Fn() -> I, value: impl Fn(u64) -> f64) -> Coded {
    let (mut min, mut max, mut rows, mut there) = (u64::MAX, 0, 0, 0);
    for key in keys() {
        rows += 1;
        if let Some(key) = key {
            there += 1;
            min = min.min(key);
            max = max.max(key);
        }
    }
    let mut codes: Vec<u32> = Vec::with_capacity(rows);
    let mut counts: Vec<u32> = Vec::new();
    let mut values = Vec::new();
    if min <= max && max - min < TABLE {
        let mut seen = vec![0u32; (max - min) as usize + 1];
        for key in keys().flatten() {
            seen[(key - min) as usize] += 1;
        }
        // From here on the code, where there is one.
        for (offset, count) in seen.iter_mut().enumerate().filter(|(_, count)| **count > 0) {
            let code = counts.len() as u32;
            counts.push(std::mem::replace(count, code));
            values.push(value(min + offset as u64));
        }
        codes.extend(keys().map(|key| key.map_or(MISSING, |key| seen[(key - min) as usize])));
    } else {
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(there);
        order.extend(keys().enumerate().filter_map(|(row, key)| Some((key?, row as u32))));
        order.sort_unstable();
        codes.resize(rows, MISSING);
        let mut last = None;
        for (key, row) in order {
            if last != Some(key) {
                last = Some(key);
                counts.push(0);
                values.push(value(key));
            }
            let code = counts.len() - 1;
            counts[code] += 1;
            codes[row as usize] = code as u32;
        }
        counts.shrink_to_fit();
        values.shrink_to_fit();
    }
    Coded { codes: codes.into(), counts: counts.into(), values: Values::Numbers(values.into()), missing: rows - there }
}

fn texts_of<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> Coded {
    let mut places: HashMap<&str, u32, BuildHasherDefault<Fx>> = HashMap::default();
    let mut seen: Vec<(&str, u32)> = Vec::new();
    let mut missing = 0;
    let mut codes: Vec<u32> = cells
        .map(|cell| {
            let Some(text) = cell else {
                missing += 1;
                return MISSING;
            };
            let place = *places.entry(text).or_insert_with(|| {
                seen.push((text, 0));
                (seen.len() - 1) as u32
            });
            seen[place as usize].1 += 1;
            place
        })
        .collect();
    let mut order: Vec<u32> = (0..seen.len() as u32).collect();
    order.sort_unstable_by_key(|place| seen[*place as usize].0);
    let mut code_of = vec![0u32; seen.len()];
    for (code, place) in order.iter().enumerate() {
        code_of[*place as usize] = code as u32;
    }
    for code in codes.iter_mut().filter(|code| **code != MISSING) {
        *code = code_of[*code as usize];
    }
    let counts: Vec<u32> = order.iter().map(|place| seen[*place as usize].1).collect();
    let bytes: usize = seen.iter().map(|(text, _)| text.len()).sum();
    let values = if bytes > TEXTS {
        Values::Forgotten
    } else {
        Values::Texts(StringArray::from_iter_values(order.iter().map(|place| seen[*place as usize].0)))
    };
    Coded { codes: codes.into(), counts: counts.into(), values, missing }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, UInt64Array};

    use super::*;

    fn coded(array: impl Array + 'static) -> Coded {
        Coded::of(&[Arc::new(array) as ArrayRef], 1).unwrap()
    }

    #[test]
    fn codes_follow_the_order_of_values() {
        let small = coded(Int64Array::from(vec![Some(5), None, Some(-1), Some(5)]));
        assert_eq!((&small.codes[..], small.missing), (&[1, MISSING, 0, 1][..], 1));
        let wide = coded(Int64Array::from(vec![i64::MAX, i64::MIN, 0]));
        assert_eq!(wide.codes[..], [2, 0, 1]);
        let unsigned = coded(UInt64Array::from(vec![u64::MAX, 1]));
        assert_eq!(unsigned.codes[..], [1, 0]);
        let floats = coded(Float64Array::from(vec![0.5, f64::NAN, -0.0, 0.0, f64::NEG_INFINITY, 1e300]));
        assert_eq!(floats.codes[..], [2, MISSING, 1, 1, 0, 3]);
        let texts = coded(StringArray::from(vec![Some("b"), Some("a"), None, Some("b")]));
        assert_eq!((&texts.codes[..], &texts.counts[..]), (&[1, 0, MISSING, 1][..], &[1, 2][..]));
    }

    #[test]
    fn ranks_and_bins_share_rows_out() {
        // scipy.stats.rankdata([0, 2, 3, 2]) is [1, 2.5, 4, 2.5].
        assert_eq!(ranks(&[1, 2, 1]), [1.0, 2.5, 4.0]);
        let column = coded(Int64Array::from_iter_values(0..1000));
        let (bins, count) = column.bins(true, 10, 50);
        assert_eq!(count, 10);
        assert!((0..10).all(|bin| bins.iter().filter(|found| **found == bin).count() == 100));
        let (bins, count) = column.bins(false, 10, 50);
        assert_eq!((count, bins.iter().filter(|bin| **bin == 49).count()), (50, 951));
    }
}
