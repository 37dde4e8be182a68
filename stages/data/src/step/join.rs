//! `join`: the columns of another table by equal keys. Rows keep the order of the left table, and among the partners of one row the
//! order of the right.
//!
//! The keys of the right are held and compared as they are. Where they would take more than their share of the memory, keys are
//! compared by 128 bits of their hash: the hashes of both sides are dealt to scratch files by themselves, file is joined with file,
//! and the pairs of rows that are found are brought together in the order of the left.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use ahash::RandomState;
use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{interleave, take};
use arrow::row::{RowConverter, Rows, SortField};
use catalog::steps::join::{How, Join, joined};
use contract::artifact::Column;
use contract::fault::{Fault, Faults, Route};

use super::duplicates::{Folded, digest};
use super::rejected::Rejected;
use super::{Transform, Whole};
use crate::fault::{Outcome, kernel, unreadable, unwritable};
use crate::table::dataset::{Table, arrow_type, batch};
use crate::table::spill::{Keeper, Memory, size, too_little};
use crate::threads;

/// Bytes a row of the right takes while partners are looked for: its entry, in a table of hashes that may have just grown.
const COST: u64 = 96;
/// Scratch files of a side at most.
const FILES: u64 = 256;
/// Bytes of a scratch file that are held while it is written or read.
const HELD: usize = 1 << 13;
/// The place behind the last row of a key.
const NOWHERE: u64 = u64::MAX;
/// The same among rows that are held.
const NONE: u32 = u32::MAX;
/// Fewer rows than this are not worth a second thread.
const FEW: usize = 4096;

/// The digest of a row's key, or nothing where a part of it is missing.
type Digest = Option<[u64; 2]>;

/// The keys of a table's rows.
struct Coder<'a> {
    positions: &'a [usize],
    converter: RowConverter,
}

impl<'a> Coder<'a> {
    fn new(columns: &[Column], positions: &'a [usize]) -> Outcome<Self> {
        let types = positions.iter().map(|at| SortField::new(arrow_type(&columns[*at])));
        let converter = RowConverter::new(types.collect()).map_err(|error| kernel("joining", &error))?;
        Ok(Self { positions, converter })
    }

    fn columns(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.positions.iter().map(|position| rows.column(*position).clone()).collect()
    }

    fn digests(&self, rows: &RecordBatch) -> Outcome<Vec<Digest>> {
        let arrays = self.columns(rows);
        let keys = self.converter.convert_columns(&arrays).map_err(|error| kernel("joining", &error))?;
        let digests = keys.iter().enumerate().map(|(row, key)| {
            arrays.iter().all(|array| array.is_valid(row)).then(|| {
                let digest = digest(key.as_ref());
                [digest as u64, (digest >> 64) as u64]
            })
        });
        Ok(digests.collect())
    }

    /// Every row that has a key, in order.
    fn each(&self, table: &Table, memory: &Memory, mut f: impl FnMut([u64; 2], u64) -> Outcome<()>) -> Outcome<()> {
        let mut number = 0;
        for whole in &table.batches {
            let step = memory.rows(64);
            for start in (0..whole.num_rows()).step_by(step) {
                for digest in self.digests(&whole.slice(start, step.min(whole.num_rows() - start)))? {
                    if let Some(digest) = digest {
                        f(digest, number)?;
                    }
                    number += 1;
                }
            }
        }
        Ok(())
    }
}

/// The rows of the right by their keys, which are held: of each key the first row, of each row the next one with its key.
struct Held {
    keys: Rows,
    hasher: RandomState,
    /// Open addresses, a power of two of them, at most half of them taken: a part of the hash, and the first row of a key.
    slots: Vec<(u32, u32)>,
    next: Vec<u32>,
}

impl Held {
    /// Nothing where the keys would take more than `most` bytes.
    fn new(table: &Table, coder: &Coder<'_>, memory: &Memory, most: u64) -> Outcome<Option<Self>> {
        let rows = table.rows();
        if rows as u64 * COST > most || rows >= NONE as usize / 4 {
            return Ok(None);
        }
        let fail = |error| kernel("joining", &error);
        let mut keys = coder.converter.empty_rows(rows, 0);
        let mut there: Vec<bool> = Vec::with_capacity(rows);
        for whole in &table.batches {
            let step = memory.rows(64);
            for start in (0..whole.num_rows()).step_by(step) {
                let arrays = coder.columns(&whole.slice(start, step.min(whole.num_rows() - start)));
                coder.converter.append(&mut keys, &arrays).map_err(fail)?;
                match missing(&arrays) {
                    Some(nulls) => there.extend(nulls.iter()),
                    None => there.resize(keys.num_rows(), true),
                }
                // What grows is there twice for a moment.
                if rows as u64 * COST + 2 * keys.size() as u64 > most {
                    return Ok(None);
                }
            }
        }
        // No result depends on the numbers: they only say which rows meet in a slot.
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let slots = vec![(0, NONE); (2 * rows).next_power_of_two()];
        let mut held = Self { keys, hasher, slots, next: vec![NONE; rows] };
        // From the last row to the first, so that a slot ends with the first row of its key.
        for row in (0..rows).rev().filter(|row| there[*row]) {
            let (slot, part) = held.slot(held.keys.row(row).as_ref());
            held.next[row] = held.slots[slot].1;
            held.slots[slot] = (part, row as u32);
        }
        Ok(Some(held))
    }

    /// The slot of a key, or the one it would take; and the part of its hash that stands there.
    fn slot(&self, key: &[u8]) -> (usize, u32) {
        let hash = self.hasher.hash_one(key);
        let (mask, part) = (self.slots.len() - 1, (hash >> 32) as u32);
        let mut slot = hash as usize & mask;
        loop {
            let (other, row) = self.slots[slot];
            if row == NONE || other == part && self.keys.row(row as usize).as_ref() == key {
                return (slot, part);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The first partner of every row.
    fn firsts(&self, coder: &Coder<'_>, rows: &RecordBatch) -> Outcome<Vec<u32>> {
        let arrays = coder.columns(rows);
        let keys = coder.converter.convert_columns(&arrays).map_err(|error| kernel("joining", &error))?;
        let missing = missing(&arrays);
        let first = |(row, key): (usize, arrow::row::Row<'_>)| {
            let there = missing.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            if there { self.slots[self.slot(key.as_ref()).0].1 } else { NONE }
        };
        Ok(keys.iter().enumerate().map(first).collect())
    }
}

/// The rows in which no part of the key is missing, where there are others.
fn missing(arrays: &[ArrayRef]) -> Option<NullBuffer> {
    arrays.iter().fold(None, |nulls, array| NullBuffer::union(nulls.as_ref(), array.nulls()))
}

/// The rows of a file of the right by their digests: of each the first and the last, of each row the next with its digest.
#[derive(Default)]
struct Partners {
    ends: HashMap<[u64; 2], (u64, u64), Folded>,
    rows: Vec<(u64, u64)>,
}

impl Partners {
    fn add(&mut self, key: [u64; 2], row: u64) {
        let at = self.rows.len() as u64;
        self.rows.push((row, NOWHERE));
        let ends = self.ends.entry(key).or_insert((at, NOWHERE));
        if ends.1 != NOWHERE {
            self.rows[ends.1 as usize].1 = at;
        }
        ends.1 = at;
    }

    fn of(&self, key: [u64; 2]) -> impl Iterator<Item = u64> + '_ {
        let mut at = self.ends.get(&key).map_or(NOWHERE, |(first, _)| *first);
        std::iter::from_fn(move || {
            let (row, next) = *self.rows.get(usize::try_from(at).ok()?)?;
            at = next;
            Some(row)
        })
    }
}

/// Where the partners of a row are looked up.
enum Found {
    Held(Held),
    Dealt(Dealt),
}

/// Pairs of rows in files, each ascending; every left row is in one file only.
struct Dealt {
    files: Vec<BufReader<File>>,
    heads: BinaryHeap<Reverse<([u64; 2], usize)>>,
}

impl Dealt {
    /// Deals both sides' keys to files and joins file with file.
    fn new(left: (&Table, &Coder<'_>), right: (&Table, &Coder<'_>), files: u64, memory: &Memory) -> Outcome<Self> {
        let theirs = deal(right, files, memory)?;
        let mine = deal(left, files, memory)?;
        let mut dealt = Self { files: Vec::new(), heads: BinaryHeap::new() };
        for (mine, theirs) in mine.iter().zip(&theirs) {
            let mut partners = Partners::default();
            let mut file = reader(theirs)?;
            while let Some([a, b, row]) = record(&mut file)? {
                partners.add([a, b], row);
            }
            let (mut file, path) = (reader(mine)?, memory.path());
            let mut pairs = writer(&path)?;
            while let Some([a, b, row]) = record(&mut file)? {
                for partner in partners.of([a, b]) {
                    put(&mut pairs, &[row, partner])?;
                }
            }
            pairs.into_inner().map_err(|error| Faults::from(unwritable(&error.into_error())))?;
            let mut pairs = reader(&path)?;
            if let Some(head) = record(&mut pairs)? {
                dealt.heads.push(Reverse((head, dealt.files.len())));
                dealt.files.push(pairs);
            }
        }
        Ok(dealt)
    }

    /// The next partner of a row, when there is one more.
    fn next(&mut self, row: u64) -> Outcome<Option<u64>> {
        let Some(mut head) = self.heads.peek_mut().filter(|head| head.0.0[0] == row) else { return Ok(None) };
        let Reverse(([_, partner], file)) = *head;
        match record(&mut self.files[file])? {
            Some(next) => *head = Reverse((next, file)),
            None => {
                std::collections::binary_heap::PeekMut::pop(head);
            }
        }
        Ok(Some(partner))
    }
}

/// The digests and numbers of a table's rows in files, by the digests' first bits.
fn deal((table, coder): (&Table, &Coder<'_>), files: u64, memory: &Memory) -> Outcome<Vec<PathBuf>> {
    let paths: Vec<PathBuf> = (0..files).map(|_| memory.path()).collect();
    let mut parts = paths.iter().map(|path| writer(path)).collect::<Outcome<Vec<_>>>()?;
    coder.each(table, memory, |digest, row| {
        // The other half is the hash of the table of partners.
        put(&mut parts[(digest[0] % files) as usize], &[digest[0], digest[1], row])
    })?;
    for part in parts {
        part.into_inner().map_err(|error| Faults::from(unwritable(&error.into_error())))?;
    }
    Ok(paths)
}

fn writer(path: &Path) -> Outcome<BufWriter<File>> {
    let file = File::create(path).map_err(|error| Faults::from(unwritable(&error)))?;
    Ok(BufWriter::with_capacity(HELD, file))
}

/// An open file has no name any more.
fn reader(path: &Path) -> Outcome<BufReader<File>> {
    let file = File::open(path).map_err(|error| Faults::from(unreadable("a scratch file", &error)))?;
    let _ = std::fs::remove_file(path);
    Ok(BufReader::with_capacity(HELD, file))
}

fn put(file: &mut BufWriter<File>, words: &[u64]) -> Outcome<()> {
    words
        .iter()
        .try_for_each(|word| file.write_all(&word.to_le_bytes()))
        .map_err(|error| Faults::from(unwritable(&error)))
}

fn record<const N: usize>(file: &mut BufReader<File>) -> Outcome<Option<[u64; N]>> {
    let mut bytes = [[0; 8]; N];
    match file.read_exact(bytes.as_flattened_mut()) {
        Ok(()) => Ok(Some(bytes.map(u64::from_le_bytes))),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(Faults::from(unreadable("a scratch file", &error))),
    }
}

/// Joined rows being made.
struct Output<'a> {
    columns: Vec<Column>,
    keeper: Keeper<'a>,
    /// Of each column taken over, its pieces; behind them one missing cell.
    sources: Vec<Vec<ArrayRef>>,
    /// The first row of each piece of the right.
    starts: Vec<u64>,
    most: usize,
    threads: usize,
    lefts: Vec<u64>,
    rights: Vec<u64>,
}

impl Output<'_> {
    fn add(&mut self, rows: &RecordBatch, left: usize, right: u64) -> Outcome<()> {
        self.lefts.push(left as u64);
        self.rights.push(right);
        // A key with very many partners must not make one batch of everything.
        if self.rights.len() >= self.most { self.flush(rows) } else { Ok(()) }
    }

    fn flush(&mut self, rows: &RecordBatch) -> Outcome<()> {
        let (Some(first), count) = (self.lefts.first().copied(), self.lefts.len()) else { return Ok(()) };
        // One partner for each of them: nothing is copied.
        let run = self.lefts.iter().zip(first..).all(|(left, next)| *left == next);
        let lefts = UInt64Array::from(std::mem::take(&mut self.lefts));
        let rights = std::mem::take(&mut self.rights);
        let near: UInt64Array = if self.starts.len() == 1 {
            rights.iter().map(|row| (*row != NOWHERE).then_some(*row)).collect()
        } else {
            UInt64Array::from(Vec::<u64>::new())
        };
        let far: Vec<(usize, usize)> = if self.starts.len() == 1 { Vec::new() } else { self.places(&rights) };
        let old = rows.num_columns();
        let threads = if count < FEW { 1 } else { self.threads };
        let arrays = threads::map(old + self.sources.len(), threads, |column| match column.checked_sub(old) {
            None if run => Ok(rows.column(column).slice(first as usize, count)),
            None => take(rows.column(column), &lefts, None),
            Some(column) if self.starts.len() == 1 => take(&self.sources[column][0], &near, None),
            Some(column) => {
                let pieces: Vec<&dyn Array> = self.sources[column].iter().map(|piece| piece.as_ref()).collect();
                interleave(&pieces, &far)
            }
        });
        let arrays = arrays.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| kernel("joining", &error))?;
        self.keeper.push(batch(&self.columns, arrays)?)
    }

    /// Rows of the right by their piece.
    fn places(&self, rights: &[u64]) -> Vec<(usize, usize)> {
        let place = |row: &u64| match *row {
            NOWHERE => (self.starts.len(), 0),
            row => {
                let piece = self.starts.partition_point(|start| *start <= row) - 1;
                (piece, (row - self.starts[piece]) as usize)
            }
        };
        rights.iter().map(place).collect()
    }
}

fn width(table: &Table) -> u64 {
    table.batches.iter().map(size).sum::<u64>() / table.rows().max(1) as u64
}

impl Transform for Join {
    fn needs_all_rows(&self) -> bool {
        true
    }

    fn whole(&self, table: Table, input: &mut Whole<'_, '_>) -> Outcome<Table> {
        let Some(other) = input.scene.others.get(&self.with) else {
            let text = format!("no input of the stage is called `{}`", self.with);
            let fault = Fault::error(contract::code!("data::unknown_table"), text)
                .help("connect the other table under `inputs`");
            return Err(Faults::from(fault.at(input.route.join("with"))));
        };
        let (joined, repeated) =
            join(self, &table, other, (input.scene.memory, input.scene.threads), input.rejected, input.route)?;
        input.warnings.extend((repeated > 0).then(|| multiplied(self, repeated, &table, &joined, input.route)));
        Ok(joined)
    }
}

/// Rows that a join has given several partners are there more than once.
fn multiplied(options: &Join, repeated: u64, table: &Table, joined: &Table, route: &Route) -> Fault {
    let with = &options.with;
    let keys: Vec<String> = (options.on.iter().flat_map(|on| on.iter().map(String::as_str)))
        .chain(options.keys.values().map(String::as_str))
        .map(|key| format!("`{key}`"))
        .collect();
    let text = format!(
        "{repeated} rows have several partners in `{with}` and are now there once for each: {} rows became {}",
        table.rows(),
        joined.rows()
    );
    Fault::warning(contract::code!("data::join_multiplies"), text)
        .help(format!(
            "if one partner is meant: {} is not enough to tell the rows of `{with}` apart; add a key, or keep one row of each before, with `group_by` or `drop_duplicates: {{ columns: … }}`",
            keys.join(" + ")
        ))
        .at(route.clone())
}

/// Joins. Missing keys have no partner. Also says how many rows have found more than one.
///
/// # Errors
/// As the catalog's, and keys that do not fit however they are dealt.
pub fn join(
    options: &Join,
    table: &Table,
    other: &Table,
    (memory, threads): (&Memory, usize),
    rejected: &mut Rejected<'_>,
    at: &Route,
) -> Outcome<(Table, u64)> {
    let resolved = joined(options, &table.columns, &other.columns, at)?;
    let (left_keys, right_keys): (Vec<usize>, Vec<usize>) = resolved.keys.iter().copied().unzip();
    let (left, right) = (Coder::new(&table.columns, &left_keys)?, Coder::new(&other.columns, &right_keys)?);
    let share = (memory.limit / 4).max(1);
    let mut found = match Held::new(other, &right, memory, share)? {
        Some(held) => Found::Held(held),
        None => {
            let held = other.rows() as u64 * COST;
            let files = held.div_ceil(share).next_power_of_two().max(2);
            if files > 2 * FILES {
                return Err(Faults::from(too_little("`join`", held / FILES * 2, memory, "").at(at.clone())));
            }
            Found::Dealt(Dealt::new((table, &left), (other, &right), files.min(FILES), memory)?)
        }
    };
    let mut columns = table.columns.clone();
    for (position, name) in &resolved.columns {
        let column = &other.columns[*position];
        columns.push(Column {
            name: name.clone(),
            nullable: column.nullable || options.how == How::Left,
            ..column.clone()
        });
    }
    let sources = resolved.columns.iter().map(|(position, _)| {
        let mut pieces = other.pieces(*position);
        let data_type = arrow_type(&other.columns[*position]);
        if other.columns[*position].shape.is_empty() {
            pieces.push(new_null_array(&data_type, 1));
        }
        pieces
    });
    let starts = other.batches.iter().scan(0, |before, rows| {
        *before += rows.num_rows() as u64;
        Some(*before - rows.num_rows() as u64)
    });
    let mut output = Output {
        keeper: Keeper::new(columns.clone(), memory),
        columns,
        sources: sources.collect(),
        starts: starts.collect(),
        most: memory.rows(width(table) + width(other)),
        threads,
        lefts: Vec::new(),
        rights: Vec::new(),
    };
    let (mut before, mut repeated) = (0, 0);
    for group in table.batches.chunks(threads.max(1)) {
        let firsts = match &found {
            Found::Held(held) => threads::map(group.len(), threads, |index| held.firsts(&left, &group[index])),
            Found::Dealt(_) => group.iter().map(|_| Ok(Vec::new())).collect(),
        };
        for (rows, firsts) in group.iter().zip(firsts) {
            let firsts = firsts?;
            #[expect(clippy::needless_range_loop, reason = "there are partners only where the other table is held")]
            for row in 0..rows.num_rows() {
                let mut found_here = 0u64;
                match &mut found {
                    Found::Held(held) => {
                        let mut partner = firsts[row];
                        while partner != NONE {
                            found_here += 1;
                            output.add(rows, row, u64::from(partner))?;
                            partner = held.next[partner as usize];
                        }
                    }
                    Found::Dealt(dealt) => {
                        while let Some(partner) = dealt.next((before + row) as u64)? {
                            found_here += 1;
                            output.add(rows, row, partner)?;
                        }
                    }
                }
                repeated += u64::from(found_here > 1);
                let alone = found_here == 0;
                match options.how {
                    How::Left if alone => output.add(rows, row, NOWHERE)?,
                    How::Inner if alone => {
                        let reason = format!("no row of `{}` has its key", options.with);
                        rejected.add(rows, &table.columns, row, before, &reason)?;
                    }
                    _ => {}
                }
            }
            output.flush(rows)?;
            before += rows.num_rows();
        }
    }
    Ok((output.keeper.finish()?, repeated))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use contract::artifact::DType;
    use contract::route;

    use super::*;

    #[test]
    fn the_same_pairs_are_found_however_little_memory_there_is() {
        let table = |name: &str, rows: i64, cell: fn(i64) -> Option<i64>| {
            let columns = vec![Column::new("key", DType::Int64), Column::new(name, DType::Int64)];
            let batches = [0..rows / 3, rows / 3..rows].map(|rows| {
                let arrays: Vec<ArrayRef> = vec![
                    Arc::new(rows.clone().map(cell).collect::<Int64Array>()),
                    Arc::new(Int64Array::from_iter_values(rows)),
                ];
                batch(&columns, arrays).unwrap()
            });
            Table { columns: columns.clone(), batches: batches.to_vec() }
        };
        let left = table("left", 3000, |row| (row % 13 != 0).then_some(row % 700));
        let right = table("right", 2000, |row| (row % 17 != 0).then_some(row * 7 % 900));
        let mut expected = Vec::new();
        for row in 0..3000i64 {
            let partners: Vec<i64> =
                (0..2000).filter(|other| other % 17 != 0 && row % 13 != 0 && other * 7 % 900 == row % 700).collect();
            expected.extend(partners.iter().map(|partner| (row, Some(*partner))));
            if partners.is_empty() {
                expected.push((row, None));
            }
        }
        let scratch = tempfile::tempdir().unwrap();
        for how in [How::Left, How::Inner] {
            for (limit, threads) in [(1 << 30, 1), (1 << 30, 3), (100_000, 2), (10_000, 1)] {
                let mut memory = Memory::new(None, scratch.path().to_owned());
                memory.limit = limit;
                let options: Join =
                    serde_json::from_value(serde_json::json!({ "with": "right", "on": "key" })).unwrap();
                let mut rejected = Rejected::new(None, &memory, 1);
                rejected.step(0, "join");
                let made =
                    join(&Join { how, ..options }, &left, &right, (&memory, threads), &mut rejected, &route!["join"])
                        .unwrap()
                        .0;
                let column = |at: usize| -> Vec<Option<i64>> {
                    made.pieces(at)
                        .iter()
                        .flat_map(|piece| piece.as_primitive::<Int64Type>().iter().collect::<Vec<_>>())
                        .collect()
                };
                let found: Vec<(i64, Option<i64>)> =
                    column(1).into_iter().map(|left| left.unwrap()).zip(column(2)).collect();
                let wanted: Vec<_> =
                    expected.iter().copied().filter(|(_, right)| how == How::Left || right.is_some()).collect();
                assert!(found == wanted, "{how:?} with {limit} bytes");
                let alone = expected.iter().filter(|(_, right)| right.is_none()).count();
                assert_eq!(rejected.count(), if how == How::Inner { alone as u64 } else { 0 });
            }
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "scratch files are removed");
    }
}
