//! `collect`: rows from files, archives, databases, and several of these together.

pub mod annotators;
pub mod look;
mod sources;
mod stated;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use arrow::array::Array;
use catalog::kinds::collect::params::{Collect, Source};
use catalog::params::on_error::OnError;
use contract::artifact::{ArtifactKind, ArtifactType, DType, DatasetType};
use contract::fault::{Fault, Faults};
use contract::kind::Question;
use contract::worker::Channel;
use contract::worker::protocol::{Finished, InputFile, RunRequest};
use serde_json::Value;

pub use self::sources::Rooms;
use self::sources::{Reader, idx_files, one};
use self::stated::stated;
use super::handler::Handler;
use crate::fault::{Outcome, empty, unwritable};
use crate::read::bytes::Limits;
use crate::read::reading::{Counts, Reading, Refusals};
use crate::read::{idx, images};
use crate::request::{Output, answer, finish, typed};
use crate::table::classes::classes;
use crate::table::dataset::Table;
use crate::table::spill::Memory;
use crate::table::writer::write;
use crate::threads;

/// Sources up to this size are read whole to infer types; of larger ones, [`HEAD`] bytes.
pub const WHOLE: u64 = 64 << 20;
/// How much of a large source is read to infer types.
pub const HEAD: u64 = 4 << 20;

/// What the program does for `collect`.
pub const HANDLER: Handler = Handler { kind: "collect", run, answer: Some(columns) };

fn run(request: &RunRequest, channel: &Channel) -> Outcome<Finished> {
    let params: Collect = typed(&request.params)?;
    let limits = Limits { threads: request.threads.max(1), memory: request.memory, ..Limits::default() };
    let rooms = Rooms { scratch: &request.scratch };
    let collected = gather(&params, &request.files, &limits, &rooms, channel)?;
    let from = DatasetType { sources: vec![request.stage.clone()], ..DatasetType::default() };
    let mut outputs: Vec<Output<'_>> = vec![("data", &collected.table, &from)];
    if request.outputs.contains_key("rejected") {
        outputs.push(("rejected", &collected.rejected, &from));
    }
    let mut finished = finish(request, outputs, collected.warnings)?;
    if collected.counts.rejected > 0 || request.outputs.contains_key("rejected") {
        finished.summary.remove("rejected.rows");
        finished.summary.insert("rejected".into(), collected.counts.rejected as f64);
    }
    if collected.counts.filled > 0 {
        finished.summary.insert("filled".into(), collected.counts.filled as f64);
    }
    if let (Some(labels), Some(path)) = (collected.labels, request.outputs.get("labels")) {
        write(&labels, path, limits.threads)?;
        finished.summary.insert("labels".into(), labels.rows() as f64);
        finished.types.insert("labels".into(), ArtifactType::Other(ArtifactKind::Labels));
    }
    Ok(finished)
}

/// The columns of a source, without a run.
fn columns(question: &Question, files: &[InputFile]) -> Outcome<Value> {
    let params: Collect = typed(&question.params)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let limits = Limits { threads, ..Limits::default() };
    answer(&infer(&params, files, &limits)?)
}

/// What was collected.
pub struct Collected {
    /// The rows.
    pub table: Table,
    /// What annotators said of them, where there are any.
    pub labels: Option<Table>,
    /// The rows that could not be read and are left out (as many as are kept).
    pub rejected: Table,
    /// How much could not be read.
    pub counts: Counts,
    /// What is worth knowing: columns that some source lacks, files and rows that are left out.
    pub warnings: Vec<Fault>,
}

/// The rows alone, with a scratch folder of their own.
///
/// # Errors
/// As [`gather`].
pub fn collect(params: &Collect, files: &[InputFile], limits: &Limits, channel: &Channel) -> Outcome<Table> {
    let scratch = scratch()?;
    gather(params, files, limits, &Rooms { scratch: scratch.path() }, channel).map(|collected| collected.table)
}

fn scratch() -> Outcome<tempfile::TempDir> {
    tempfile::tempdir().map_err(|error| Faults::from(unwritable(&error)))
}

/// Reads everything.
///
/// # Errors
/// Everything that is wrong with the files and with `columns:`.
pub fn gather(
    params: &Collect,
    files: &[InputFile],
    limits: &Limits,
    rooms: &Rooms<'_>,
    channel: &Channel,
) -> Outcome<Collected> {
    let memory = Memory::new(limits.memory, rooms.scratch.to_owned());
    let refusals = Refusals::new(params.on_error, params.keep_rejected, &memory);
    let (types, warnings) = (types(params), Mutex::default());
    let reading = Reading { limits, memory: &memory, channel, types: &types, refusals: &refusals, warnings: &warnings };
    let (table, _) = Reader { params, rooms, reading }.read(files)?;
    if table.rows() == 0 {
        let shown = files.first().map_or("the source", |file| file.shown.as_str());
        return Err(Faults::from(empty(shown, "it holds columns and no rows")));
    }
    let table = stated(table, &params.columns, files)?;
    let (table, labels) = match &params.annotators {
        Some(annotators) => annotators::apart(table, annotators).map(|(table, labels)| (table, Some(labels)))?,
        None => (table, None),
    };
    let (rejected, counts, more) = refusals.finish()?;
    let mut warnings: Vec<Fault> = warnings.into_inner().unwrap_or_default();
    warnings.extend(more);
    if counts.rejected > 0 {
        channel.info(format!("{} rows rejected, {} read", counts.rejected, table.rows()));
    }
    if counts.filled > 0 {
        channel.info(format!("{} cells of {} rows could not be read and are missing", counts.filled, counts.touched));
    }
    Ok(Collected { table, labels, rejected, counts, warnings })
}

/// The types that are stated.
fn types(params: &Collect) -> BTreeMap<String, DType> {
    params.columns.iter().filter_map(|(name, options)| Some((name.clone(), options.dtype?))).collect()
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
    let lenient = params.on_error == OnError::Reject;
    let known = match &params.from {
        _ if params.provenance => None,
        Source::Idx(_) => {
            let (images, labels) = idx_files(files)?;
            Some(idx::peek(images, labels, limits)?)
        }
        Source::Images(options) if options.0.labels.is_none() && one(files)?.path.is_dir() => {
            Some(images::peek(one(files)?, &options.0, lenient)?)
        }
        _ => None,
    };
    if let Some((columns, rows)) = known {
        let none = Table { columns, batches: Vec::new() };
        let columns = stated(none)?.columns;
        // Which images are broken is known when all were read.
        let rows = Some(rows).filter(|_| !lenient || matches!(params.from, Source::Idx(_)));
        return Ok(DatasetType { columns: Some(columns), rows, ..DatasetType::default() });
    }
    let size: u64 = files.iter().map(|file| weight(&file.path)).sum();
    let packed = files.iter().any(|file| PACKED.iter().any(|suffix| file.shown.ends_with(suffix)));
    let large = size > if packed { WHOLE / 8 } else { WHOLE };
    let limits = Limits { head: large.then_some(HEAD), ..*limits };
    let scratch = scratch()?;
    let rooms = Rooms { scratch: scratch.path() };
    let channel = Channel::silent();
    let memory = Memory::new(limits.memory, scratch.path().to_owned());
    let refusals = Refusals::new(params.on_error, 0, &memory);
    let (types, warnings) = (types(params), Mutex::default());
    let (limits, channel) = (&limits, &channel);
    let reading = Reading { limits, memory: &memory, channel, types: &types, refusals: &refusals, warnings: &warnings };
    let (table, total) = Reader { params, rooms: &rooms, reading }.read(files)?;
    let table = stated(table)?;
    let whole = total == Some(table.rows() as u64);
    if whole && table.rows() == 0 {
        return Err(Faults::from(empty(&one(files)?.shown, "it holds columns and no rows")));
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

/// Bytes of a file, or of all files below a folder.
fn weight(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| weight(&entry.path())).sum()
}

/// Names of files that hold more than they weigh.
const PACKED: [&str; 5] = [".gz", ".zst", ".zip", ".tgz", ".npz"];
