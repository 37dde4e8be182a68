//! What a column's values tell: whether cells are missing, and which distinct values there are.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use contract::artifact::Classes;

/// Up to so many distinct values are listed.
pub const LISTED: usize = 256;
/// Up to so many distinct values are counted.
pub const COUNTED: usize = 10_000;

/// The distinct values of a bool, integer or text column, given in pieces; `None` for other types and for more than
/// [`COUNTED`] values.
pub fn classes(pieces: &[ArrayRef]) -> Option<Classes> {
    let mut census = Census::new(pieces.first()?.data_type());
    pieces.iter().for_each(|piece| census.add(piece));
    census.finish()
}

fn listed(values: Vec<String>) -> Classes {
    let count = values.len() as u64;
    Classes { count, values: if values.len() <= LISTED { values } else { Vec::new() } }
}

/// Width of the range around the first number that is marked in a table of flags instead of hashed.
const FLAGS: u64 = 1 << 18;

/// Distinct values being found, piece by piece.
pub struct Census(State);

enum State {
    /// Another type, or too many values.
    None,
    Bool([bool; 2]),
    Int(Ints),
    Text(HashSet<Box<str>, Quick>),
}

/// Whole numbers by their 64 bits, those of `uint64` as well.
#[derive(Default)]
struct Ints {
    unsigned: bool,
    low: i64,
    flags: Vec<u64>,
    flagged: usize,
    others: HashSet<i64, Quick>,
}

impl Census {
    /// Nothing yet, of this type.
    pub fn new(data_type: &DataType) -> Self {
        Self(match data_type {
            DataType::Boolean => State::Bool([false; 2]),
            DataType::Utf8 => State::Text(HashSet::default()),
            other if other.is_integer() => State::Int(Ints { unsigned: *other == DataType::UInt64, ..Ints::default() }),
            _ => State::None,
        })
    }

    /// Adds a piece of the column.
    pub fn add(&mut self, array: &ArrayRef) {
        let few = match &mut self.0 {
            State::None => return,
            State::Bool(seen) => {
                let array = array.as_boolean();
                let trues = array.true_count();
                seen[1] |= trues > 0;
                seen[0] |= array.len() - array.null_count() > trues;
                true
            }
            State::Int(ints) => match array.data_type() {
                DataType::Int8 => ints.add::<Int8Type>(array, i64::from),
                DataType::Int16 => ints.add::<Int16Type>(array, i64::from),
                DataType::Int32 => ints.add::<Int32Type>(array, i64::from),
                DataType::Int64 => ints.add::<Int64Type>(array, |value| value),
                DataType::UInt8 => ints.add::<UInt8Type>(array, i64::from),
                DataType::UInt16 => ints.add::<UInt16Type>(array, i64::from),
                DataType::UInt32 => ints.add::<UInt32Type>(array, i64::from),
                DataType::UInt64 => ints.add::<UInt64Type>(array, |value| value as i64),
                _ => false,
            },
            State::Text(seen) => texts(array, seen),
        };
        if !few {
            self.0 = State::None;
        }
    }

    /// The values, sorted.
    pub fn finish(self) -> Option<Classes> {
        match self.0 {
            State::None => None,
            State::Bool(seen) => {
                let values = [(seen[0], "false"), (seen[1], "true")];
                Some(listed(values.iter().filter(|(seen, _)| *seen).map(|(_, name)| (*name).to_owned()).collect()))
            }
            State::Int(ints) => Some(listed(ints.sorted().iter().map(i128::to_string).collect())),
            State::Text(seen) => {
                let mut values: Vec<String> = seen.into_iter().map(String::from).collect();
                values.sort_unstable();
                Some(listed(values))
            }
        }
    }
}

impl Ints {
    /// Whether there are still no more than [`COUNTED`].
    fn add<T: ArrowPrimitiveType>(&mut self, array: &ArrayRef, bits: impl Fn(T::Native) -> i64) -> bool {
        let array: &PrimitiveArray<T> = array.as_primitive();
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        for (row, value) in array.values().iter().enumerate() {
            let value = bits(*value);
            // What is under a missing cell says nothing; most cells repeat one before, and then it need not be asked.
            let place = value.wrapping_sub(self.low) as u64;
            let known = self.flags.get((place / 64) as usize).is_some_and(|word| word >> (place % 64) & 1 == 1);
            if !known && nulls.is_none_or(|nulls| nulls.is_valid(row)) && !self.one(value) {
                return false;
            }
        }
        true
    }

    fn one(&mut self, value: i64) -> bool {
        if self.flags.is_empty() {
            self.flags = vec![0; FLAGS as usize / 64];
            self.low = value.wrapping_sub(FLAGS as i64 / 2);
        }
        let place = value.wrapping_sub(self.low) as u64;
        if place < FLAGS {
            let (word, bit) = ((place / 64) as usize, 1 << (place % 64));
            if self.flags[word] & bit != 0 {
                return true;
            }
            self.flags[word] |= bit;
            self.flagged += 1;
        } else if !self.others.insert(value) {
            return true;
        }
        self.flagged + self.others.len() <= COUNTED
    }

    fn sorted(self) -> Vec<i128> {
        let wide = |value: i64| if self.unsigned { i128::from(value as u64) } else { i128::from(value) };
        let flagged = self.flags.iter().enumerate().flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word as i64 * 64 + bit)
        });
        let flagged = flagged.map(|place| wide(self.low.wrapping_add(place)));
        let mut values: Vec<i128> = flagged.chain(self.others.iter().map(|value| wide(*value))).collect();
        values.sort_unstable();
        values
    }
}

/// Texts that stand in one word, as many as are remembered.
const SHORT: usize = 1 << 13;

/// Whether there are still no more than [`COUNTED`].
fn texts(array: &ArrayRef, seen: &mut HashSet<Box<str>, Quick>) -> bool {
    let array = array.as_string::<i32>();
    let (offsets, bytes) = (array.value_offsets(), array.value_data());
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    // Zero is no text's word: the last byte is one more than its length.
    let mut short = if array.len() < SHORT / 8 { Vec::new() } else { vec![0u64; SHORT] };
    let mut last = None;
    for (row, cell) in offsets.windows(2).enumerate() {
        let (from, end) = (cell[0] as usize, cell[1] as usize);
        let mut slot = None;
        if end - from < 8
            && !short.is_empty()
            && let Some(word) = bytes.get(from..).and_then(|rest| rest.first_chunk())
        {
            let length = (end - from) as u64;
            let word = u64::from_le_bytes(*word) & ((1 << (8 * length)) - 1) | (length + 1) << 56;
            let place = (word.wrapping_mul(0x51_7c_c1_b7_27_22_0a_95) >> 51) as usize;
            if short[place] == word {
                continue;
            }
            slot = Some((place, word));
        }
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            continue;
        }
        let text = array.value(row);
        if slot.is_none() && last.replace(text) == Some(text) {
            continue;
        }
        if !seen.contains(text) {
            seen.insert(text.into());
            if seen.len() > COUNTED {
                return false;
            }
        }
        if let Some((place, word)) = slot {
            short[place] = word;
        }
    }
    true
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

    fn write_i64(&mut self, value: i64) {
        self.add(value as u64);
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
        let spread = (0..3000).flat_map(|i| [i, i << 40, -i]);
        assert_eq!(of(Int64Array::from_iter_values(spread)).unwrap().count, 2 * 2999 + 3000);
        let texts: Vec<String> = (0..257).map(|i| format!("t{i}")).collect();
        let found = of(StringArray::from_iter_values(&texts)).unwrap();
        assert_eq!((found.count, found.values.len()), (257, 0));
        // Short and long ones, over and over, in pieces, with something under missing cells.
        let cell = |row: usize| format!("{:1$}", row * 7 % 701, if row.is_multiple_of(3) { 0 } else { row % 11 });
        let distinct: std::collections::BTreeSet<String> = (0..20_000).filter(|row| row % 13 != 0).map(cell).collect();
        let pieces = [0..300, 300..9000, 9000..20_000].map(|rows: std::ops::Range<usize>| {
            let there: Vec<bool> = rows.clone().map(|row| row % 13 != 0).collect();
            let whole =
                StringArray::from_iter_values(rows.map(|row| if row % 13 == 0 { "?".into() } else { cell(row) }));
            let (offsets, bytes, _) = whole.into_parts();
            Arc::new(StringArray::new(offsets, bytes, Some(there.into()))) as ArrayRef
        });
        assert_eq!(classes(&pieces).unwrap().count, distinct.len() as u64);
        let numbers = Int64Array::new(
            (0..5000).map(|row| row % 700).collect(),
            Some((0..5000).map(|row| row % 700 > 9).collect()),
        );
        assert_eq!(of(numbers).unwrap().count, 690);
        let texts: Vec<String> = (0..10_001).map(|i| format!("t{i}")).collect();
        assert_eq!(of(StringArray::from_iter_values(&texts)), None);
    }
}
