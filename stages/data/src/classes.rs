//! What a column's values tell: whether cells are missing, and which distinct values there are.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use engine::artifact::Classes;

/// Up to so many distinct values are listed.
pub const LISTED: usize = 256;
/// Up to so many distinct values are counted.
pub const COUNTED: usize = 10_000;

/// The distinct values of a bool, integer or text column, given in pieces; `None` for other types and for more than
/// [`COUNTED`] values.
pub fn classes(pieces: &[ArrayRef]) -> Option<Classes> {
    match pieces.first()?.data_type() {
        DataType::Boolean => {
            let mut seen = [false; 2];
            for array in pieces {
                let array = array.as_boolean();
                let trues = array.true_count();
                seen[1] |= trues > 0;
                seen[0] |= array.len() - array.null_count() > trues;
            }
            let values = [(seen[0], "false"), (seen[1], "true")];
            Some(listed(values.iter().filter(|(seen, _)| *seen).map(|(_, name)| (*name).to_owned()).collect()))
        }
        DataType::Int8 => integers::<Int8Type>(pieces),
        DataType::Int16 => integers::<Int16Type>(pieces),
        DataType::Int32 => integers::<Int32Type>(pieces),
        DataType::Int64 => integers::<Int64Type>(pieces),
        DataType::UInt8 => integers::<UInt8Type>(pieces),
        DataType::UInt16 => integers::<UInt16Type>(pieces),
        DataType::UInt32 => integers::<UInt32Type>(pieces),
        DataType::UInt64 => integers::<UInt64Type>(pieces),
        DataType::Utf8 => texts(pieces),
        _ => None,
    }
}

fn listed(values: Vec<String>) -> Classes {
    let count = values.len() as u64;
    Classes { count, values: if values.len() <= LISTED { values } else { Vec::new() } }
}

/// Width of a value range that is marked in a table of flags instead of hashed.
const FLAGS: i128 = 1 << 18;

fn integers<T: ArrowPrimitiveType>(pieces: &[ArrayRef]) -> Option<Classes>
where
    i128: From<T::Native>,
{
    let mut low = i128::MAX;
    let mut high = i128::MIN;
    for array in pieces {
        present::<T>(array.as_primitive(), |value| {
            low = low.min(value);
            high = high.max(value);
            true
        });
    }
    if low > high {
        return Some(listed(Vec::new()));
    }
    let mut values: Vec<i128> = if high - low < FLAGS {
        let mut flags = vec![false; usize::try_from(high - low).ok()? + 1];
        for array in pieces {
            present::<T>(array.as_primitive(), |value| {
                flags[(value - low) as usize] = true;
                true
            });
        }
        flags.iter().enumerate().filter(|(_, seen)| **seen).map(|(offset, _)| low + offset as i128).collect()
    } else {
        let mut seen: HashSet<i128, Quick> = HashSet::default();
        for array in pieces {
            present::<T>(array.as_primitive(), |value| {
                seen.insert(value);
                seen.len() <= COUNTED
            });
        }
        seen.into_iter().collect()
    };
    if values.len() > COUNTED {
        return None;
    }
    values.sort_unstable();
    Some(listed(values.iter().map(i128::to_string).collect()))
}

/// Hands every value that is there to `f`, until it says stop.
fn present<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, mut f: impl FnMut(i128) -> bool)
where
    i128: From<T::Native>,
{
    if array.null_count() == 0 {
        for value in array.values() {
            if !f(i128::from(*value)) {
                return;
            }
        }
    } else {
        for value in array.iter().flatten() {
            if !f(i128::from(value)) {
                return;
            }
        }
    }
}

fn texts(pieces: &[ArrayRef]) -> Option<Classes> {
    let mut seen: HashSet<&str, Quick> = HashSet::default();
    for array in pieces {
        let array = array.as_string::<i32>();
        let mut last = None;
        for text in array.iter().flatten() {
            if last == Some(text) {
                continue;
            }
            last = Some(text);
            seen.insert(text);
            if seen.len() > COUNTED {
                return None;
            }
        }
    }
    let mut values: Vec<&str> = seen.into_iter().collect();
    values.sort_unstable();
    Some(listed(values.into_iter().map(str::to_owned).collect()))
}

type Quick = BuildHasherDefault<Fx>;

/// A quick hash for sets that stay small (the Fx hash of rustc): nothing depends on its order.
#[derive(Default)]
pub struct Fx(u64);

impl Fx {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x51_7c_c1_b7_27_22_0a_95);
    }
}

impl Hasher for Fx {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
        let mut word = [0; 8];
        let rest = chunks.remainder();
        word[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(word) ^ ((rest.len() as u64) << 56));
    }

    fn write_u8(&mut self, value: u8) {
        self.add(u64::from(value));
    }

    fn write_i128(&mut self, value: i128) {
        self.add(value as u64);
        self.add((value >> 64) as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};

    use super::*;

    fn of(array: impl Array + 'static) -> Option<Classes> {
        classes(&[Arc::new(array)])
    }

    #[test]
    fn values_are_sorted_numbers_as_numbers() {
        let found = of(Int64Array::from(vec![Some(10), Some(-1), None, Some(9), Some(10)])).unwrap();
        assert_eq!(found.values, ["-1", "9", "10"]);
        let found = of(Int64Array::from(vec![i64::MIN, i64::MAX, 0])).unwrap();
        assert_eq!(found.values, ["-9223372036854775808", "0", "9223372036854775807"]);
        assert_eq!(of(UInt64Array::from(vec![u64::MAX])).unwrap().values, ["18446744073709551615"]);
        assert_eq!(of(StringArray::from(vec![Some("b"), None, Some("a"), Some("b")])).unwrap().values, ["a", "b"]);
        assert_eq!(of(BooleanArray::from(vec![Some(true), None])).unwrap().values, ["true"]);
        assert_eq!(of(BooleanArray::from(vec![false, true])).unwrap().values, ["false", "true"]);
        assert_eq!(of(Float64Array::from(vec![1.0])), None);
        assert_eq!(of(Int64Array::from(vec![None, None])).unwrap().count, 0);
    }

    #[test]
    fn many_values_are_counted_then_not() {
        let many = of(Int64Array::from_iter_values(0..10_000)).unwrap();
        assert_eq!((many.count, many.values.len()), (10_000, 0));
        assert_eq!(of(Int64Array::from_iter_values(0..10_001)), None);
        assert_eq!(of(Int64Array::from_iter_values((0..10_001).map(|i| i << 40))), None);
        let texts: Vec<String> = (0..257).map(|i| format!("t{i}")).collect();
        let found = of(StringArray::from_iter_values(&texts)).unwrap();
        assert_eq!((found.count, found.values.len()), (257, 0));
        let texts: Vec<String> = (0..10_001).map(|i| format!("t{i}")).collect();
        assert_eq!(of(StringArray::from_iter_values(&texts)), None);
    }
}
