//! `profile`: what a data set is.
//!
//! One pass sketches every column ([`column`]); relationships are computed from columns in codes ([`coded`]): of large data
//! from evenly spread rows, as the profile says, and what is held of them is put into scratch files where memory is short. Nothing
//! depends on the number of threads or the memory there is. The profile is a
//! [`document::Document`]; [`report`] makes a page for people of it.

pub mod alert;
pub mod association;
pub mod coded;
pub mod column;
pub mod dependency;
pub mod document;
pub mod drift;
pub mod expect;
pub mod leakage;
pub mod report;
pub mod sketch;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use catalog::columns::pattern::unknown;
use catalog::kinds::profile::params::Profile;
use contract::artifact::{DType, Role};
use contract::fault::{Fault, Faults};
use contract::route;
use contract::worker::Channel;
use contract::worker::protocol::Progress;

use self::association::{Side, pairs};
use self::coded::Coded;
use self::column::Sketch;
use self::document::{Associations, Dependency, Document, FORMAT, Inclusion, Leakage, Sort, Sum, Variable};
use self::sketch::hash;
use crate::fault::{Outcome, place, unwritable};
use crate::step::duplicates::repeats;
use crate::table::dataset::{Table, open, release};
use crate::table::missing::missing;
use crate::table::spill::{Memory, pieces, too_little};
use crate::threads;

/// Columns whose pairs are compared.
const COMPARED: usize = 200;
/// Cells that are held in codes at once: above, every second row is, or every third …
const CELLS: usize = 1 << 26;
/// Rows of which relationships are computed, at most: evenly spread ones of more. A rank correlation of so many is off by 0.002.
const ROWS: usize = 1 << 18;
/// Below so much memory columns are put in codes one after the other.
const NARROW: u64 = 256 << 20;
/// Rows times pairs that are compared.
const WORK: usize = 4_000_000_000;
/// Rows of the sample.
const SAMPLE: usize = 10;

/// What a profile is made of besides the data.
#[derive(Debug, Default)]
pub struct Beside<'a> {
    /// The tables that columns may point into, by the names that `foreign_key` has for them.
    pub related: Vec<(&'a str, &'a Table)>,
    /// What the data is compared with.
    pub reference: Option<&'a Document>,
}

/// Describes a table; and says which expectations do not hold.
///
/// # Errors
/// A target or a column of `expect` that is not there.
pub fn profile(
    params: &Profile,
    table: &Table,
    beside: &Beside<'_>,
    memory: &Memory,
    threads: usize,
    channel: &Channel,
) -> Outcome<(Document, Vec<Fault>)> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    if let Some(target) = &params.target
        && !names.contains(&target.as_str())
    {
        return Err(Faults::from(unknown(target, &names).at(route!["target"])));
    }
    let step = |done: u64, message: &str| {
        let message = message.to_owned();
        channel.progress(Progress { done, total: Some(4), unit: "step".into(), message, rate: None });
    };
    let (expectations, unmet) = expect::check(&params.expect, table, &beside.related, memory, threads)?;
    step(1, "columns");
    let mut document = describe(params.target.clone(), table, memory, threads)?;
    step(2, "relationships");
    relate(&mut document, table, &beside.related, memory, threads)?;
    if let Some(reference) = beside.reference {
        document.drift = drift::drift(&document, reference);
    }
    step(3, "report");
    document.expectations = expectations;
    document.alerts = alert::alerts(&document);
    document.fixes = alert::fixes(&document.alerts);
    document.proposals = alert::proposals(&document);
    Ok((document, unmet))
}

/// The columns by themselves: what a reference needs.
///
/// # Errors
/// A disk that is full.
pub fn describe(target: Option<String>, table: &Table, memory: &Memory, threads: usize) -> Outcome<Document> {
    let width = table.columns.len();
    // One job for each column of each batch; merged in the order of the batches.
    let mut merged: Vec<Option<Sketch>> = vec![None; width];
    for some in table.batches.chunks(threads.max(1)) {
        let pieces = threads::map(width * some.len(), threads, |job| {
            let column = some[job / width].column(job % width);
            let sketch = Sketch::of(column);
            release(column);
            sketch
        });
        for (job, piece) in pieces.into_iter().enumerate() {
            match &mut merged[job % width] {
                Some(sketch) => sketch.merge(&piece),
                empty => *empty = Some(piece),
            }
        }
    }
    let target = target
        .or_else(|| table.columns.iter().find(|column| column.role == Role::Target).map(|column| column.name.clone()));
    let mut variables: Vec<Variable> = merged
        .into_iter()
        .zip(&table.columns)
        .map(|(sketch, column)| match sketch {
            Some(sketch) => sketch.describe(column),
            None => Variable::new(column, 0, 0),
        })
        .collect();
    for variable in &mut variables {
        if target.as_deref() == Some(variable.name.as_str()) {
            variable.role = Role::Target;
        }
        variable.sort = alert::sort(variable, false, variable.role == Role::Target);
    }
    let cut = pieces(table.clone(), memory);
    for (at, variable) in variables.iter_mut().enumerate() {
        let pieces = cut.pieces(at);
        variable.order = expect::strict(&table.columns[at], &pieces)?.map(|order| order.name().to_owned());
        pieces.iter().for_each(release);
    }
    Ok(Document {
        format: FORMAT.into(),
        rows: table.rows() as u64,
        duplicate_rows: duplicates(&cut, memory, threads)?,
        target,
        missing_together: missing_together(&cut, &variables),
        identical: identical(&cut, &variables, threads),
        variables,
        associations: Associations::default(),
        dependencies: Vec::new(),
        keys: Vec::new(),
        sums: Vec::new(),
        inclusions: Vec::new(),
        leakage: Vec::new(),
        drift: Vec::new(),
        alerts: Vec::new(),
        fixes: Vec::new(),
        proposals: Vec::new(),
        expectations: Vec::new(),
        sample: sample(table),
    })
}

/// How the columns hang together.
fn relate(
    document: &mut Document,
    table: &Table,
    related: &[(&str, &Table)],
    memory: &Memory,
    threads: usize,
) -> Outcome<()> {
    let rows = table.rows();
    let scalar: Vec<usize> = (0..table.columns.len())
        .filter(|at| table.columns[*at].shape.is_empty() && table.columns[*at].dtype != DType::Binary)
        .filter(|at| !matches!(document.variables[*at].sort, Sort::Empty | Sort::Constant))
        .collect();
    let mut kept: Vec<usize> = scalar.iter().copied().take(COMPARED).collect();
    // The target is compared however far behind it stands.
    let target = document.target.clone().and_then(|name| table.columns.iter().position(|column| column.name == name));
    if let Some(target) = target.filter(|target| scalar.contains(target) && !kept.contains(target)) {
        kept.pop();
        kept.push(target);
    }
    let between = kept.len() * kept.len().saturating_sub(1) / 2;
    let step = (rows * kept.len()).div_ceil(CELLS).max((rows * between).div_ceil(WORK)).max(rows.div_ceil(ROWS)).max(1);
    let workers = if memory.limit < NARROW { 1 } else { threads };
    let code = |at: usize| {
        let pieces = table.pieces(kept[at]);
        let coded = Coded::of(&pieces, step);
        pieces.iter().for_each(release);
        coded.map(|coded| coded.park(memory)).transpose()
    };
    let coded: Vec<Option<Coded>> = threads::map(kept.len(), workers, code).into_iter().collect::<Outcome<_>>()?;
    let columns: Vec<(usize, &Coded)> =
        kept.iter().zip(&coded).filter_map(|(at, coded)| Some((*at, coded.as_ref()?))).collect();
    for (at, column) in &columns {
        let variable = &mut document.variables[*at];
        if step == 1
            && !variable.distinct_exact
            && variable.numbers.as_ref().is_none_or(|numbers| numbers.infinite == 0)
        {
            variable.distinct = column.distinct() as u64;
            variable.distinct_exact = true;
        }
        // Where every looked at row has a value of its own, all are looked at.
        let unique = column.unique()
            && variable.missing == 0
            && (step == 1
                || variable.distinct as f64 > 0.9 * rows as f64
                    && repeats(&pieces(table.clone(), memory), &[*at], memory, threads)?.is_empty());
        variable.sort = alert::sort(variable, unique, variable.role == Role::Target);
        if unique {
            document.keys.push(vec![variable.name.clone()]);
        }
    }
    let name = |at: usize| table.columns[at].name.clone();
    // Words and identifiers hang together with everything.
    let compared: Vec<(usize, &Coded, bool)> = columns
        .iter()
        .filter_map(|(at, column)| match document.variables[*at].sort {
            Sort::Number | Sort::Date => Some((*at, *column, true)),
            Sort::Identifier if document.variables[*at].numbers.is_some() => Some((*at, *column, true)),
            Sort::Category => Some((*at, *column, false)),
            _ => None,
        })
        .collect();
    let sides = threads::map(compared.len(), workers, |at| Side::new(compared[at].1, compared[at].2, memory));
    let sides: Vec<Side<'_>> = sides.into_iter().collect::<Outcome<_>>()?;
    document.associations = Associations {
        rows: rows.div_ceil(step) as u64,
        columns: compared.iter().map(|(at, ..)| name(*at)).collect(),
        left_out: (scalar.len() - kept.len()) as u64,
        pairs: pairs(&sides, threads),
    };
    drop(sides);
    document.sums = sums(document, &pieces(table.clone(), memory))?;
    let plain: Vec<&Coded> = columns.iter().map(|(_, column)| *column).collect();
    let (dependencies, keys) = dependency::dependencies(&plain, memory, workers)?;
    document.dependencies = dependencies
        .into_iter()
        .map(|(left, right, error)| Dependency {
            from: left.into_iter().map(|at| name(columns[at].0)).collect(),
            to: name(columns[right].0),
            error,
        })
        .collect();
    if step == 1 {
        document.keys.extend(keys.into_iter().map(|(a, b)| vec![name(columns[a].0), name(columns[b].0)]));
    }
    if let Some((at, target)) = columns.iter().find(|(at, _)| Some(*at) == target) {
        let classes = document.variables[*at].sort != Sort::Number;
        let others: Vec<&(usize, &Coded)> = columns.iter().filter(|(other, _)| other != at).collect();
        let found = threads::map(others.len(), workers, |index| {
            let (other, column) = others[index];
            let numeric = document.variables[*other].numbers.is_some();
            leakage::leakage(column, numeric, target, classes)
        });
        document.leakage = others
            .iter()
            .zip(found)
            .filter_map(|((other, _), found)| {
                let (measure, value) = found?;
                Some(Leakage { column: name(*other), measure: measure.into(), value })
            })
            .collect();
        document.leakage.sort_by(|a, b| b.value.total_cmp(&a.value).then_with(|| a.column.cmp(&b.column)));
    }
    for (name, table) in related {
        let found = inclusions(document, &columns, (name, table), memory, workers)?;
        document.inclusions.extend(found);
    }
    Ok(())
}

/// Numbers that add up to the same in every row: all there are, those whose names begin alike, and pairs of which one falls as the other
/// rises.
fn sums(document: &Document, table: &Table) -> Outcome<Vec<Sum>> {
    let adds = |name: &String| {
        let at = table.columns.iter().position(|column| column.name == *name)?;
        (document.variables[at].sort == Sort::Number).then_some(at)
    };
    let names = &document.associations.columns;
    let numbers: Vec<usize> = names.iter().filter_map(adds).collect();
    let stem = |at: &usize| {
        let name = table.columns[*at].name.as_str();
        let end = name.rfind(['_', '.', ' ', '-']).or_else(|| name.find(|c: char| c.is_ascii_digit()));
        end.filter(|end| *end > 0).map(|end| name[..end].to_owned())
    };
    let mut alike: std::collections::BTreeMap<String, Vec<usize>> = Default::default();
    for at in &numbers {
        if let Some(stem) = stem(at) {
            alike.entry(stem).or_default().push(*at);
        }
    }
    let mut tried: Vec<Vec<usize>> = vec![numbers.clone()];
    tried.extend(alike.into_values());
    let falling = document.associations.pairs.iter().filter(|pair| pair.value.is_some_and(|value| value < -0.999));
    tried.extend(falling.filter_map(|pair| {
        let (a, b) = (adds(&names[pair.between.0])?, adds(&names[pair.between.1])?);
        Some(vec![a.min(b), a.max(b)])
    }));
    let mut found: Vec<Sum> = Vec::new();
    for columns in tried.into_iter().filter(|columns| columns.len() > 1) {
        let named: Vec<String> = columns.iter().map(|at| table.columns[*at].name.clone()).collect();
        if found.iter().all(|sum| sum.columns != named)
            && let Some(equals) = expect::constant_sum(table, &columns)?
        {
            found.push(Sum { columns: named, equals });
        }
    }
    Ok(found)
}

fn inclusions(
    document: &Document,
    columns: &[(usize, &Coded)],
    (name, related): (&str, &Table),
    memory: &Memory,
    threads: usize,
) -> Outcome<Vec<Inclusion>> {
    let table = (name != "related").then(|| name.to_owned());
    let wide = related.columns.len().min(COMPARED);
    // Every value is looked for: of the related table no row is left out.
    let needed = related.rows() as u64 * 64;
    if needed > memory.limit {
        return Err(Faults::from(too_little(
            "`profile` with `related`",
            needed,
            memory,
            ", or relate it to fewer rows",
        )));
    }
    let code = |at: usize| Coded::of(&related.pieces(at), 1).map(|coded| coded.park(memory)).transpose();
    let others: Vec<Option<Coded>> = threads::map(wide, threads, code).into_iter().collect::<Outcome<_>>()?;
    let mut found = Vec::new();
    for (at, column) in columns {
        let variable = &document.variables[*at];
        // Two values are found anywhere, and broken numbers point nowhere.
        if column.distinct() < 3 || variable.numbers.as_ref().is_some_and(|numbers| !numbers.whole) {
            continue;
        }
        for (other, coded) in related.columns.iter().zip(&others) {
            let Some(coded) = coded else { continue };
            let Some(share) = dependency::included(column, coded).filter(|share| *share >= 0.9) else { continue };
            let unique = coded.unique();
            // Numbers lie in other numbers by chance unless the other column is a key or has the same name.
            if unique || other.name == variable.name || variable.numbers.is_none() {
                let (column, found_in) = (variable.name.clone(), other.name.clone());
                found.push(Inclusion { column, table: table.clone(), found_in, share, unique });
            }
        }
    }
    Ok(found)
}

/// How many rows repeat an earlier one in every column (by 64-bit hashes of their cells). Hashes that are too many to be held are dealt to
/// scratch files by their first bits.
fn duplicates(table: &Table, memory: &Memory, threads: usize) -> Outcome<u64> {
    let repeated = |mut hashes: Vec<u64>| {
        hashes.sort_unstable();
        hashes.windows(2).filter(|two| two[0] == two[1]).count() as u64
    };
    let files = (table.rows() as u64 * 16).div_ceil((memory.limit / 4).max(1)).next_power_of_two().min(256);
    let full = |error: std::io::Error| Faults::from(unwritable(&error));
    let mut held: Vec<u64> = Vec::new();
    let paths: Vec<_> = (0..files).map(|_| memory.path()).collect();
    let mut parts: Vec<BufWriter<File>> = Vec::new();
    if files > 1 {
        for path in &paths {
            parts.push(BufWriter::with_capacity(1 << 13, File::create(path).map_err(full)?));
        }
    }
    for some in table.batches.chunks(threads.max(1)) {
        let hashed = threads::map(some.len(), threads, |at| {
            let mut rows = vec![0u64; some[at].num_rows()];
            for array in some[at].columns() {
                mix(array, &mut rows);
                release(array);
            }
            rows
        });
        for hash in hashed.into_iter().flatten() {
            if files == 1 {
                held.push(hash);
            } else {
                let part = &mut parts[(hash >> (64 - files.ilog2())) as usize];
                part.write_all(&hash.to_le_bytes()).map_err(full)?;
            }
        }
    }
    if files == 1 {
        return Ok(repeated(held));
    }
    let mut count = 0;
    for (part, path) in parts.into_iter().zip(&paths) {
        part.into_inner().map_err(|error| full(error.into_error()))?;
        let bytes = std::fs::read(path).map_err(full)?;
        let _ = std::fs::remove_file(path);
        count += repeated(bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect());
    }
    Ok(count)
}

/// Columns whose cells are all those of an earlier one, by 128 bits of their hashes. Missing equals missing; what holds nothing or one
/// value is not worth saying.
fn identical(table: &Table, variables: &[Variable], threads: usize) -> Vec<(String, String)> {
    let like = |a: usize, b: usize| {
        let (one, other) = (&variables[a], &variables[b]);
        table.columns[a].dtype == table.columns[b].dtype
            && table.columns[a].shape == table.columns[b].shape
            && (one.missing, one.distinct) == (other.missing, other.distinct)
            && !matches!(one.sort, Sort::Empty | Sort::Constant)
    };
    // Columns that cannot be told apart by their numbers only.
    let width = variables.len();
    let mut by_numbers: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
    for (at, variable) in variables.iter().enumerate() {
        by_numbers.entry((variable.missing, variable.distinct)).or_default().push(at);
    }
    let alone = |at: usize| {
        let some = &by_numbers[&(variables[at].missing, variables[at].distinct)];
        some.iter().all(|other| *other == at || !like(*other, at))
    };
    let candidates: Vec<usize> = (0..width).filter(|at| !alone(*at)).collect();
    let digests = threads::map(candidates.len(), threads, |index| {
        let mut digest = (0u64, 0u64);
        for rows in &table.batches {
            let mut cells = vec![0u64; rows.num_rows()];
            mix(rows.column(candidates[index]), &mut cells);
            release(rows.column(candidates[index]));
            for cell in cells {
                digest =
                    (hash::word(digest.0.rotate_left(7) ^ cell), hash::word(digest.1.wrapping_add(cell) ^ !digest.0));
            }
        }
        digest
    });
    let mut firsts: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
    let mut found = Vec::new();
    for (at, digest) in candidates.into_iter().zip(digests) {
        let same = firsts.entry(digest).or_default();
        match same.iter().find(|first| like(**first, at)) {
            Some(first) => found.push((variables[at].name.clone(), variables[*first].name.clone())),
            None => same.push(at),
        }
    }
    found
}

fn mix(array: &ArrayRef, rows: &mut [u64]) {
    let gone = missing(array);
    let mut put = |row: usize, cell: u64| {
        let cell = if gone.value(row) { 0x6d69_7373 } else { cell };
        rows[row] = hash::word(rows[row].rotate_left(7) ^ cell);
    };
    match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            (0..array.len()).for_each(|row| put(row, hash::bytes(texts.value(row).as_bytes())));
        }
        DataType::Binary => {
            let cells = array.as_binary::<i32>();
            (0..array.len()).for_each(|row| put(row, hash::bytes(cells.value(row))));
        }
        DataType::Boolean => {
            let cells = array.as_boolean();
            (0..array.len()).for_each(|row| put(row, u64::from(cells.value(row))));
        }
        DataType::FixedSizeList(..) => {
            let list = array.as_fixed_size_list();
            for row in 0..array.len() {
                let mut inner = vec![0u64; list.value_length().max(0) as usize];
                mix(&list.value(row), &mut inner);
                put(row, inner.into_iter().fold(1, |all, cell| hash::word(all ^ cell)));
            }
        }
        DataType::Float32 | DataType::Float64 => {
            let Some(cells) = column::numbers(array) else { return };
            let cells = cells.as_primitive::<arrow::datatypes::Float64Type>();
            (0..array.len()).for_each(|row| put(row, hash::number(cells.value(row))));
        }
        _ => {
            // Whole numbers by their bytes.
            let data = array.to_data();
            let Some(width) = data.data_type().primitive_width() else { return };
            let bytes = &data.buffers()[0].as_slice()[data.offset() * width..];
            for row in 0..array.len() {
                let mut word = [0; 8];
                word[..width].copy_from_slice(&bytes[row * width..(row + 1) * width]);
                put(row, hash::word(u64::from_le_bytes(word)));
            }
        }
    }
}

/// Sets of columns (of the first 64 that have gaps) that are missing in the same rows, the most frequent first.
fn missing_together(table: &Table, variables: &[Variable]) -> Vec<(Vec<String>, u64)> {
    let gaps: Vec<usize> = (0..variables.len()).filter(|at| variables[*at].missing > 0).take(64).collect();
    if gaps.is_empty() {
        return Vec::new();
    }
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for batch in &table.batches {
        let mut sets = vec![0u64; batch.num_rows()];
        for (bit, at) in gaps.iter().enumerate() {
            for row in missing(batch.column(*at)).set_indices() {
                sets[row] |= 1 << bit;
            }
        }
        for set in sets.into_iter().filter(|set| *set > 0) {
            *counts.entry(set).or_default() += 1;
        }
    }
    let mut sorted: Vec<(u64, u64)> = counts.into_iter().collect();
    sorted.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    sorted
        .into_iter()
        .take(20)
        .map(|(set, count)| {
            let columns = gaps.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
            (columns.map(|(_, at)| variables[*at].name.clone()).collect(), count)
        })
        .collect()
}

fn sample(table: &Table) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    for batch in &table.batches {
        for row in 0..batch.num_rows().min(SAMPLE - rows.len()) {
            let cells = batch.columns().iter().take(40).map(|array| {
                let cell = crate::table::display::cell(array, row, 4)?;
                Some(if cell.chars().count() > 60 { cell.chars().take(59).chain(['…']).collect() } else { cell })
            });
            rows.push(cells.collect());
        }
    }
    rows
}

/// A reference: a profile as it is stored, or the profile of a data set.
///
/// # Errors
/// A file that is neither.
pub fn reference(path: &Path, stored: bool, memory: &Memory, threads: usize) -> Outcome<Document> {
    if !stored {
        return describe(None, &open(path)?, memory, threads);
    }
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| Faults::from(crate::fault::unreadable(&shown, &error)))?;
    let document: Option<Document> = serde_json::from_slice(&bytes).ok();
    document.filter(|document| document.format == FORMAT).ok_or_else(|| {
        Faults::from(
            Fault::error(
                contract::code!("profile::unreadable"),
                "the reference is not a profile that this version reads",
            )
            .help("run the stage that made it again")
            .place(place(&shown, None, None)),
        )
    })
}

#[cfg(test)]
mod tests;
