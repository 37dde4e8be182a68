//! What determines what: functional dependencies, keys, inclusions.
//!
//! Dependencies are searched as in TANE (Huhtala et al. 1999), level by level with stripped partitions (groups of rows that
//! agree; single rows cannot contradict anything), up to two columns on the left. Missing equals missing. An error is g₃: the
//! share of rows to take away before the dependency holds exactly.

use arrow::buffer::ScalarBuffer;

use super::coded::{Coded, MISSING, Values};
use crate::fault::Outcome;
use crate::table::spill::Memory;
use crate::threads;

/// The largest error of a dependency.
pub const TOLERATED: f64 = 0.01;
/// Rows times pairs that are looked at; beyond, evenly spread rows are.
const WORK: usize = 100_000_000;
/// Columns whose pairs are tried on the left.
const WIDE: usize = 48;

/// A dependency: positions on the left, position on the right, error.
pub type Found = (Vec<usize>, usize, f64);

/// Groups of at least two rows that agree.
struct Partition {
    rows: Vec<u32>,
    ends: Vec<u32>,
    /// Groups, single rows included.
    groups: usize,
}

impl Partition {
    /// Groups by keys below `distinct`; keys may be far apart when `distinct` is large.
    fn of(keys: &[u64], distinct: u64) -> Self {
        let mut order: Vec<u32> = Vec::with_capacity(keys.len());
        let mut sizes: Vec<u32> = Vec::new();
        if distinct <= 1 << 20 {
            let mut starts = vec![0u32; distinct as usize + 1];
            for key in keys {
                starts[*key as usize + 1] += 1;
            }
            sizes.extend(starts.iter().skip(1).filter(|size| **size > 0));
            for at in 1..starts.len() {
                starts[at] += starts[at - 1];
            }
            order.resize(keys.len(), 0);
            for (row, key) in keys.iter().enumerate() {
                let place = &mut starts[*key as usize];
                order[*place as usize] = row as u32;
                *place += 1;
            }
        } else {
            let mut sorted: Vec<(u64, u32)> = keys.iter().enumerate().map(|(row, key)| (*key, row as u32)).collect();
            sorted.sort_unstable();
            let mut last = None;
            for (key, row) in sorted {
                if last == Some(key) {
                    if let Some(size) = sizes.last_mut() {
                        *size += 1;
                    }
                } else {
                    last = Some(key);
                    sizes.push(1);
                }
                order.push(row);
            }
        }
        let groups = sizes.len();
        let mut stripped = Self { rows: Vec::new(), ends: Vec::new(), groups };
        let mut at = 0;
        for size in sizes {
            let next = at + size as usize;
            if size > 1 {
                stripped.rows.extend_from_slice(&order[at..next]);
                stripped.ends.push(stripped.rows.len() as u32);
            }
            at = next;
        }
        stripped
    }

    /// Rows that contradict `right`, or `None` when they are more than `limit`.
    fn contradictions(&self, right: &[u32], distinct: usize, limit: usize) -> Option<usize> {
        let mut counts = vec![0u32; distinct];
        let mut start = 0;
        let mut wrong = 0;
        for end in &self.ends {
            let group = &self.rows[start..*end as usize];
            start = *end as usize;
            let mut most = 0;
            for row in group {
                let count = &mut counts[right[*row as usize] as usize];
                *count += 1;
                most = most.max(*count);
            }
            for row in group {
                counts[right[*row as usize] as usize] = 0;
            }
            wrong += group.len() - most as usize;
            if wrong > limit {
                return None;
            }
        }
        Some(wrong)
    }
}

/// Codes with missing cells as a value of their own, of evenly spread rows; and how many values there are.
fn closed(column: &Coded, step: usize) -> (Vec<u32>, usize) {
    let last = column.distinct() as u32;
    let codes = column.codes.iter().step_by(step).map(|code| if *code == MISSING { last } else { *code }).collect();
    (codes, column.distinct() + usize::from(column.missing > 0))
}

/// Two columns, by their positions.
pub type Pair = (usize, usize);

/// Whether dependencies of so many rows and columns are looked for in all rows.
pub fn of_all(rows: u64, columns: usize) -> bool {
    let columns = columns.min(4 * WIDE) as u64;
    rows.saturating_mul(columns * columns / 2) <= WORK as u64
}

/// Dependencies that do not follow from smaller ones, and pairs of columns that tell all rows apart (positions). Columns of
/// one value, and columns that tell (nearly) all rows apart by themselves, are in neither: they determine everything.
///
/// # Errors
/// A disk that is full.
pub fn dependencies(columns: &[&Coded], memory: &Memory, threads: usize) -> Outcome<(Vec<Found>, Vec<Pair>)> {
    let rows = columns.first().map_or(0, |column| column.rows());
    if rows < 4 {
        return Ok((Vec::new(), Vec::new()));
    }
    let usable: Vec<usize> =
        (0..columns.len()).filter(|at| columns[*at].distinct() > 1 && columns[*at].distinct() * 2 <= rows).collect();
    let usable = &usable[..usable.len().min(4 * WIDE)];
    let step = (rows * usable.len() * usable.len() / 2 / WORK).max(1);
    let codes = usable.iter().map(|at| {
        let (codes, distinct) = closed(columns[*at], step);
        Ok((memory.park(codes)?, distinct))
    });
    let codes: Vec<(ScalarBuffer<u32>, usize)> = codes.collect::<Outcome<_>>()?;
    let rows = codes.first().map_or(0, |(codes, _)| codes.len());
    let limit = (rows as f64 * TOLERATED) as usize;
    // What guessing the most frequent value gets wrong: a dependency must do much better.
    let guessed: Vec<usize> = usable
        .iter()
        .map(|at| {
            let most = columns[*at].counts.iter().copied().max().unwrap_or(0) as usize;
            (columns[*at].rows() - most.max(columns[*at].missing)) / step
        })
        .collect();
    let tell = |partition: &Partition, right: usize| {
        let bound = limit.min(guessed[right] / 5);
        partition.contradictions(&codes[right].0, codes[right].1, bound)
    };
    let share = |wrong: usize| wrong as f64 / rows as f64;
    let singles: Vec<Vec<(usize, f64)>> = threads::map(usable.len(), threads, |left| {
        let keys: Vec<u64> = codes[left].0.iter().map(|code| u64::from(*code)).collect();
        let partition = Partition::of(&keys, codes[left].1 as u64);
        let rights = (0..usable.len()).filter(|right| *right != left && guessed[*right] > 0);
        rights.filter_map(|right| Some((right, share(tell(&partition, right)?)))).collect()
    });
    let mut found: Vec<Found> = Vec::new();
    let mut determined = vec![vec![false; usable.len()]; usable.len()];
    for (left, rights) in singles.iter().enumerate() {
        for (right, error) in rights {
            determined[left][*right] = true;
            found.push((vec![usable[left]], usable[*right], *error));
        }
    }
    let wide = usable.len().min(WIDE);
    let pairs: Vec<(usize, usize)> = (0..wide).flat_map(|a| (a + 1..wide).map(move |b| (a, b))).collect();
    let doubles = threads::map(pairs.len(), threads, |index| {
        let (a, b) = pairs[index];
        // One that determines the other adds nothing to it.
        if determined[a][b] || determined[b][a] {
            return (false, Vec::new());
        }
        let width = codes[b].1 as u64;
        let keys: Vec<u64> =
            codes[a].0.iter().zip(&codes[b].0).map(|(a, b)| u64::from(*a) * width + u64::from(*b)).collect();
        let partition = Partition::of(&keys, codes[a].1 as u64 * width);
        let key = partition.groups == rows && step == 1 && columns[usable[a]].missing + columns[usable[b]].missing == 0;
        if partition.groups * 2 > rows {
            return (key, Vec::new());
        }
        let rights = (0..usable.len()).filter(|right| {
            *right != a && *right != b && guessed[*right] > 0 && !determined[a][*right] && !determined[b][*right]
        });
        (key, rights.filter_map(|right| Some((right, share(tell(&partition, right)?)))).collect::<Vec<_>>())
    });
    let mut keys = Vec::new();
    for ((a, b), (key, rights)) in pairs.into_iter().zip(doubles) {
        if key {
            keys.push((usable[a], usable[b]));
        }
        found.extend(rights.into_iter().map(|(right, error)| (vec![usable[a], usable[b]], usable[right], error)));
    }
    Ok((found, keys))
}

/// The share of a column's different values that another column has, too; `None` when they cannot be compared.
pub fn included(column: &Coded, other: &Coded) -> Option<f64> {
    fn found<T>(mine: &[T], theirs: &[T], order: impl Fn(&T, &T) -> std::cmp::Ordering) -> usize {
        mine.iter().filter(|value| theirs.binary_search_by(|other| order(other, value)).is_ok()).count()
    }
    let common = match (&column.values, &other.values) {
        (Values::Numbers(mine), Values::Numbers(theirs)) => found(mine, theirs, f64::total_cmp),
        (Values::Texts(mine), Values::Texts(theirs)) => {
            let theirs: Vec<&str> = theirs.iter().flatten().collect();
            found(&mine.iter().flatten().collect::<Vec<&str>>(), &theirs, Ord::cmp)
        }
        _ => return None,
    };
    (column.distinct() > 0).then(|| common as f64 / column.distinct() as f64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    fn column(values: impl IntoIterator<Item = i64>) -> Coded {
        Coded::of(&[Arc::new(Int64Array::from_iter_values(values)) as ArrayRef], 1).unwrap()
    }

    fn memory() -> Memory {
        Memory::new(Some(1 << 30), std::env::temp_dir())
    }

    #[test]
    fn planted_dependencies_are_found_and_no_others() {
        // city → country, (city, street) → code; 1 row of 400 breaks city → country.
        let city = column((0..400).map(|row| row % 8));
        let country = column((0..400).map(|row| if row == 17 { 3 } else { row % 8 / 2 }));
        let street = column((0..400).map(|row| row / 8 % 10));
        let code = column((0..400).map(|row| (row % 8 * 31 + row / 8 % 10 * 17) % 40));
        for threads in [1, 3] {
            let (found, keys) = dependencies(&[&city, &country, &street, &code], &memory(), threads).unwrap();
            assert!(found.contains(&(vec![0], 1, 1.0 / 400.0)), "{found:?}");
            assert!(found.contains(&(vec![0, 2], 3, 0.0)), "{found:?}");
            assert!(!found.iter().any(|(left, right, _)| *left == [1] && *right == 0), "{found:?}");
            assert!(keys.is_empty());
        }
    }

    #[test]
    fn two_columns_can_be_a_key() {
        let a = column((0..100).map(|row| row / 10));
        let b = column((0..100).map(|row| row % 10));
        let (found, keys) = dependencies(&[&a, &b], &memory(), 1).unwrap();
        assert_eq!((found, keys), (vec![], vec![(0, 1)]));
    }

    #[test]
    fn inclusion_is_a_share_of_values() {
        let (some, all) = (column([1, 2, 2, 9]), column([1, 2, 3, 4]));
        assert_eq!(included(&some, &all), Some(2.0 / 3.0));
        assert_eq!(included(&all, &all), Some(1.0));
    }
}
