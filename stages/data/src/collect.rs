//! `collect`: rows from files.

use std::collections::BTreeMap;

use catalog::params::collect::{Collect, ColumnOptions, Delimited, Source};
use catalog::pattern::{natural, unknown};
use engine::artifact::{Column, DType, DatasetType};
use engine::error::{Fault, Route};
use engine::protocol::InputFile;
use engine::route;
use engine::worker::Channel;

use crate::classes::classes;
use crate::convert::{self, Refusal, convert};
use crate::dataset::{Table, batch};
use crate::fault::{Faults, Outcome, empty, place};
use crate::source::bytes::Limits;
use crate::source::{delimited, idx, images, ipc, jsonl, parquet, unify};
use crate::threads;

/// Sources up to this size are read whole to infer types; of larger ones, [`HEAD`] bytes.
pub const WHOLE: u64 = 64 << 20;
/// How much of a large source is read to infer types.
pub const HEAD: u64 = 4 << 20;

/// Reads everything.
///
/// # Errors
/// Everything that is wrong with the files and with `columns:`.
pub fn collect(params: &Collect, files: &[InputFile], limits: &Limits, channel: &Channel) -> Outcome<Table> {
    let (mut table, _) = read(params, files, limits, channel)?;
    if table.rows() == 0 {
        let shown = files.first().map_or("the source", |file| file.shown.as_str());
        return Err(vec![empty(shown, "it holds columns and no rows")]);
    }
    table = stated(table, &params.columns, files)?;
    Ok(table)
}

/// What [`collect`] would give. Sources up to [`WHOLE`] are read (packed ones count unpacked); of larger ones the head tells
/// the columns, while rows, classes and missing cells stay unknown.
///
/// # Errors
/// As [`collect`], as far as was read.
pub fn infer(params: &Collect, files: &[InputFile], limits: &Limits) -> Outcome<DatasetType> {
    // Names that are not there are for the caller to report: it knows them, too.
    let stated = |table: Table| {
        let there = |name: &String| table.columns.iter().any(|column| column.name == *name);
        let options = params.columns.iter().filter(|(name, _)| there(name));
        let options = options.map(|(name, options)| (name.clone(), options.clone())).collect();
        stated(table, &options, files)
    };
    let known = match &params.from {
        Source::Idx(_) => {
            let (images, labels) = idx_files(files)?;
            Some(idx::peek(images, labels, limits)?)
        }
        Source::Images(options) => Some(images::peek(one(files)?, &options.0)?),
        _ => None,
    };
    if let Some((columns, rows)) = known {
        let none = Table { columns, batches: Vec::new() };
        let columns = stated(none)?.columns;
        return Ok(DatasetType { columns: Some(columns), rows: Some(rows), ..DatasetType::default() });
    }
    let size: u64 =
        files.iter().filter_map(|file| std::fs::metadata(&file.path).ok()).map(|metadata| metadata.len()).sum();
    let packed = files.iter().any(|file| file.shown.ends_with(".gz") || file.shown.ends_with(".zst"));
    let large = size > if packed { WHOLE / 8 } else { WHOLE };
    let limits = Limits { head: large.then_some(HEAD), ..*limits };
    let (table, total) = read(params, files, &limits, &Channel::silent())?;
    let table = stated(table)?;
    let whole = total == Some(table.rows() as u64);
    if whole && table.rows() == 0 {
        return Err(vec![empty(&one(files)?.shown, "it holds columns and no rows")]);
    }
    let columns = threads::map(table.columns.len(), limits.threads, |index| {
        let mut column = table.columns[index].clone();
        let pieces = table.pieces(index);
        column.nullable = column.shape.is_empty() && (!whole || pieces.iter().any(|piece| piece.null_count() > 0));
        column.classes = if whole && column.shape.is_empty() { classes(&pieces) } else { None };
        column
    });
    Ok(DatasetType { columns: Some(columns), rows: total, ..DatasetType::default() })
}

fn one(files: &[InputFile]) -> Outcome<&InputFile> {
    files.first().ok_or_else(|| vec![empty("the source", "no file matches")])
}

/// The rows, and how many the source has where that is known.
fn read(params: &Collect, files: &[InputFile], limits: &Limits, channel: &Channel) -> Outcome<(Table, Option<u64>)> {
    one(files)?;
    let files = natural_order(files);
    let types: BTreeMap<String, DType> =
        params.columns.iter().filter_map(|(name, options)| Some((name.clone(), options.dtype?))).collect();
    match &params.from {
        Source::Csv(options) => delimited(&options.0, b',', "csv", &files, &types, limits, channel),
        Source::Tsv(options) => delimited(&options.0, b'\t', "tsv", &files, &types, limits, channel),
        Source::Jsonl(_) => several(&files, true, limits, |file| {
            let (table, complete) = jsonl::read(file, &types, limits, channel)?;
            let rows = complete.then_some(table.rows() as u64);
            Ok((table, rows))
        }),
        Source::Parquet(_) => several(&files, false, limits, |file| {
            let (table, rows) = parquet::read(file, limits, channel)?;
            Ok((table, Some(rows)))
        }),
        Source::Arrow(_) => several(&files, false, limits, |file| {
            let table = ipc::read(file, limits)?;
            let rows = table.rows() as u64;
            Ok((table, Some(rows)))
        }),
        Source::Idx(_) => {
            let (images, labels) = idx_files(&files)?;
            idx::read(images, labels, limits).map(counted)
        }
        Source::Images(options) => images::read(one(&files)?, &options.0, limits, channel).map(counted),
    }
}

fn counted(table: Table) -> (Table, Option<u64>) {
    let rows = table.rows() as u64;
    (table, Some(rows))
}

/// Files of one role in natural order: `part-2` before `part-10`.
fn natural_order(files: &[InputFile]) -> Vec<InputFile> {
    let mut ordered = files.to_vec();
    for run in ordered.chunk_by_mut(|a, b| a.role == b.role) {
        run.sort_by(|a, b| natural(&a.shown, &b.shown));
    }
    ordered
}

fn several(
    files: &[InputFile],
    lenient: bool,
    limits: &Limits,
    read: impl Fn(&InputFile) -> Outcome<(Table, Option<u64>)>,
) -> Outcome<(Table, Option<u64>)> {
    let mut tables = Vec::new();
    let mut faults = Vec::new();
    let mut total = Some(0);
    let mut read_bytes = 0;
    for file in files {
        match read(file) {
            Ok((table, rows)) => {
                total = total.zip(rows).map(|(a, b)| a + b);
                tables.push((file.shown.clone(), table));
            }
            Err(more) => faults.extend(more),
        }
        read_bytes += std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        if limits.head.is_some_and(|head| read_bytes > head) && tables.len() < files.len() {
            total = None;
            break;
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    unify::tables(tables, lenient).map(|table| (table, total))
}

fn delimited(
    options: &Delimited,
    default: u8,
    name: &str,
    files: &[InputFile],
    types: &BTreeMap<String, DType>,
    limits: &Limits,
    channel: &Channel,
) -> Outcome<(Table, Option<u64>)> {
    let mut faults = Vec::new();
    let mut byte = |key: &str, text: &str| match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => *byte,
        _ => {
            let text = format!("`{key}` must be one ASCII character, not `{text}`");
            let help = "for example `delimiter: \";\"` or `quote: \"'\"`";
            faults.push(Fault::error("data::bad_character", text).help(help).at(route!["from", name, key]));
            0
        }
    };
    let delimiter = options.delimiter.as_deref().map_or(default, |text| byte("delimiter", text));
    let quote = byte("quote", &options.quote);
    if faults.is_empty() && delimiter == quote {
        let text = "`delimiter` and `quote` are the same character";
        faults.push(Fault::error("data::bad_character", text).help("choose two").at(route!["from", name, "quote"]));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let options = delimited::Options { delimiter, quote, header: options.header, missing: options.missing.clone() };
    let read = delimited::read(files, &options, types, limits, channel)?;
    let rows = read.complete.then_some(read.table.rows() as u64);
    Ok((read.table, rows))
}

fn idx_files(files: &[InputFile]) -> Outcome<(&InputFile, Option<&InputFile>)> {
    let labels = files.iter().find(|file| file.role.contains("label"));
    let images = files.iter().find(|file| !file.role.contains("label"));
    Ok((images.map_or_else(|| one(files), Ok)?, labels))
}

/// Applies `columns:`. Text formats have read stated types already; other formats are converted here.
fn stated(mut table: Table, options: &BTreeMap<String, ColumnOptions>, files: &[InputFile]) -> Outcome<Table> {
    let mut faults = Faults::default();
    for (name, option) in options {
        let Some(index) = table.columns.iter().position(|column| column.name == *name) else {
            let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            faults.add(|| unknown(name, &names).at_key(route!["columns", name.as_str()]));
            continue;
        };
        if let Some(role) = option.role {
            table.columns[index].role = role;
        }
        if let Some(dtype) = option.dtype
            && table.columns[index].dtype != dtype
        {
            let shown = files.first().map_or("", |file| file.shown.as_str());
            retype(&mut table, index, dtype, &mut faults, &route!["columns", name.as_str(), "dtype"], shown);
        }
    }
    faults.or(table)
}

fn retype(table: &mut Table, index: usize, dtype: DType, faults: &mut Faults, route: &Route, shown: &str) {
    let old: Column = table.columns[index].clone();
    let mut columns = table.columns.clone();
    columns[index].dtype = dtype;
    let mut batches = Vec::with_capacity(table.batches.len());
    let mut before = 0;
    for rows in &table.batches {
        let mut arrays = rows.columns().to_vec();
        match convert(&arrays[index], dtype) {
            Ok(array) => {
                arrays[index] = array;
                match batch(&columns, arrays) {
                    Ok(batch) => batches.push(batch),
                    Err(more) => more.into_iter().for_each(|fault| faults.add(|| fault)),
                }
            }
            Err(refusal) => refused(&refusal, &old, dtype, &arrays[index], before, faults, route, Some(shown)),
        }
        before += rows.num_rows();
    }
    if faults.is_empty() {
        *table = Table { columns, batches };
    }
}

/// Names every cell that was refused: row (from 1), column and value.
#[expect(clippy::too_many_arguments, reason = "one sentence is made of all of them")]
pub fn refused(
    refusal: &Refusal,
    column: &Column,
    dtype: DType,
    array: &arrow::array::ArrayRef,
    before: usize,
    faults: &mut Faults,
    route: &Route,
    shown: Option<&str>,
) {
    match refusal {
        // It is the same for every batch: said with the first.
        Refusal::Types if before > 0 => {}
        Refusal::Types => {
            let text =
                format!("column `{}` is {}, which cannot become {}", column.name, column.type_name(), dtype.name());
            faults.add(|| {
                Fault::error("data::cannot_cast", text)
                    .help("numbers, bools and text become each other, dates and datetimes too; go over `string` if you must")
                    .at(route.clone())
            });
        }
        Refusal::Cells(rows, _) => {
            for row in rows {
                faults.add(|| {
                    let value = convert::shown(array, *row);
                    let row = before + row + 1;
                    let text = format!(
                        "`{value}` in row {row} of column `{}` is not {}: expected {}",
                        column.name,
                        dtype.name(),
                        crate::cell::expected(dtype)
                    );
                    let fault = Fault::error("data::cell", text)
                        .help("correct or drop the row, or choose another type")
                        .at(route.clone());
                    match shown {
                        Some(shown) => fault.place(place(shown, Some(row as u64), None)),
                        None => fault,
                    }
                });
            }
        }
    }
}
