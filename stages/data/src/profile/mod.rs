//! `profile`: what a data set is.
//!
//! One pass sketches every column ([`column`]); relationships are computed from columns in codes ([`coded`]): of very large
//! data from evenly spread rows, as the profile says. Nothing depends on the number of threads. The profile is a
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
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use catalog::params::profile::Profile;
use catalog::pattern::unknown;
use engine::artifact::{DType, Role};
use engine::error::Fault;
use engine::protocol::Progress;
use engine::route;
use engine::worker::Channel;

use self::association::{Side, pairs};
use self::coded::Coded;
use self::column::Sketch;
use self::document::{Associations, Dependency, Document, FORMAT, Inclusion, Leakage, Sort, Variable};
use self::sketch::hash;
use crate::dataset::{Table, open};
use crate::fault::{Outcome, place};
use crate::step::fill::missing;
use crate::threads;

/// Columns whose pairs are compared.
const COMPARED: usize = 200;
/// Cells that are held in codes at once: above, every second row is, or every third …
const CELLS: usize = 1 << 26;
/// Rows times pairs that are compared.
const WORK: usize = 4_000_000_000;
/// Rows of the sample.
const SAMPLE: usize = 10;

/// What a profile is made of besides the data.
#[derive(Debug, Default)]
pub struct Beside<'a> {
    /// The table that columns may point into.
    pub related: Option<&'a Table>,
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
    threads: usize,
    channel: &Channel,
) -> Outcome<(Document, Vec<Fault>)> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    if let Some(target) = &params.target
        && !names.contains(&target.as_str())
    {
        return Err(vec![unknown(target, &names).at(route!["target"])]);
    }
    let step = |done: u64, message: &str| {
        let message = message.to_owned();
        channel.progress(Progress { done, total: Some(4), unit: "step".into(), message, rate: None });
    };
    let (expectations, unmet) = expect::check(&params.expect, table, beside.related)?;
    step(1, "columns");
    let mut document = describe(params.target.clone(), table, threads);
    step(2, "relationships");
    relate(&mut document, table, beside.related, threads);
    if let Some(reference) = beside.reference {
        document.drift = drift::drift(&document, reference);
    }
    step(3, "report");
    document.expectations = expectations;
    document.alerts = alert::alerts(&document);
    document.proposals = alert::proposals(&document);
    Ok((document, unmet))
}

/// The columns by themselves: what a reference needs.
pub fn describe(target: Option<String>, table: &Table, threads: usize) -> Document {
    let width = table.columns.len();
    // One job for each column of each batch; merged in the order of the batches.
    let pieces = threads::map(width * table.batches.len(), threads, |job| {
        Sketch::of(table.batches[job / width].column(job % width))
    });
    let mut merged: Vec<Option<Sketch>> = vec![None; width];
    for (job, piece) in pieces.into_iter().enumerate() {
        match &mut merged[job % width] {
            Some(sketch) => sketch.merge(&piece),
            empty => *empty = Some(piece),
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
    Document {
        format: FORMAT.into(),
        rows: table.rows() as u64,
        duplicate_rows: duplicates(table, threads),
        target,
        missing_together: missing_together(table, &variables),
        variables,
        associations: Associations::default(),
        dependencies: Vec::new(),
        keys: Vec::new(),
        inclusions: Vec::new(),
        leakage: Vec::new(),
        drift: Vec::new(),
        alerts: Vec::new(),
        proposals: Vec::new(),
        expectations: Vec::new(),
        sample: sample(table),
    }
}

/// How the columns hang together.
fn relate(document: &mut Document, table: &Table, related: Option<&Table>, threads: usize) {
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
    let step = (rows * kept.len()).div_ceil(CELLS).max((rows * between).div_ceil(WORK)).max(1);
    let coded: Vec<Option<Coded>> = threads::map(kept.len(), threads, |at| Coded::of(&table.pieces(kept[at]), step));
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
        let unique = step == 1 && column.unique();
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
    let sides: Vec<Side<'_>> = threads::map(compared.len(), threads, |at| Side::new(compared[at].1, compared[at].2));
    document.associations = Associations {
        rows: rows.div_ceil(step) as u64,
        columns: compared.iter().map(|(at, ..)| name(*at)).collect(),
        left_out: (scalar.len() - kept.len()) as u64,
        pairs: pairs(&sides, threads),
    };
    drop(sides);
    let plain: Vec<&Coded> = columns.iter().map(|(_, column)| *column).collect();
    let (dependencies, keys) = dependency::dependencies(&plain, threads);
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
        let found = threads::map(others.len(), threads, |index| {
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
    if let Some(related) = related {
        document.inclusions = inclusions(document, &columns, related, threads);
    }
}

fn inclusions(document: &Document, columns: &[(usize, &Coded)], related: &Table, threads: usize) -> Vec<Inclusion> {
    let wide = related.columns.len().min(COMPARED);
    let others: Vec<Option<Coded>> = threads::map(wide, threads, |at| Coded::of(&related.pieces(at), 1));
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
                found.push(Inclusion { column: variable.name.clone(), found_in: other.name.clone(), share, unique });
            }
        }
    }
    found
}

/// How many rows repeat an earlier one in every column (by 64-bit hashes of their cells).
fn duplicates(table: &Table, threads: usize) -> u64 {
    let hashed = threads::map(table.batches.len(), threads, |at| {
        let batch = &table.batches[at];
        let mut rows = vec![0u64; batch.num_rows()];
        for array in batch.columns() {
            mix(array, &mut rows);
        }
        rows
    });
    let mut all: Vec<u64> = hashed.into_iter().flatten().collect();
    all.sort_unstable();
    all.windows(2).filter(|two| two[0] == two[1]).count() as u64
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
                let cell = crate::show::cell(array, row, 4)?;
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
pub fn reference(path: &Path, stored: bool, threads: usize) -> Outcome<Document> {
    if !stored {
        return Ok(describe(None, &open(path)?, threads));
    }
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| vec![crate::fault::unreadable(&shown, &error)])?;
    let document: Option<Document> = serde_json::from_slice(&bytes).ok();
    document.filter(|document| document.format == FORMAT).ok_or_else(|| {
        vec![
            Fault::error("profile::unreadable", "the reference is not a profile that this version reads")
                .help("run the stage that made it again")
                .place(place(&shown, None, None)),
        ]
    })
}

#[cfg(test)]
mod tests;
