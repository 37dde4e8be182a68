//! Apache Parquet.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use catalog::kinds::collect::params::ParquetFiles;
use contract::fault::{Fault, Faults};
use contract::worker::protocol::{InputFile, Progress};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::hub::Hub;
use super::normal;
use super::reading::{Reading, Sieved, left_out};
use crate::fault::{Outcome, empty, place, unreadable};
use crate::table::dataset::Table;
use crate::table::spill::Keeper;

/// Rows decoded at a time.
const ROWS: usize = 1 << 16;

/// Reads one file. With `reading.limits.head`, so many rows that about as many bytes are read. The number tells how many rows the
/// file has, where that is known.
///
/// # Errors
/// `data::damaged_parquet` for a file that is truncated, damaged, or something else.
pub fn read(file: &InputFile, options: &ParquetFiles, reading: &Reading<'_>) -> Outcome<(Sieved, Option<u64>)> {
    let shown = file.shown.as_str();
    let damaged = |error: &dyn std::fmt::Display| Faults::from(damaged(file, &error.to_string()));
    let handle = File::open(&file.path).map_err(|error| Faults::from(unreadable(shown, &error)))?;
    // Arrow's own schema in the metadata may promise types (views, dictionaries) that cost conversions later.
    let metadata = ArrowReaderMetadata::load(&handle, ArrowReaderOptions::new()).map_err(|error| damaged(&error))?;
    let mut hub = Hub::of(metadata.schema(), options);
    // Image columns have no type before the first image is seen.
    let mut columns = if hub.images.is_empty() {
        normal::stated_columns(metadata.schema(), shown, reading.types)?
    } else {
        Vec::new()
    };
    let total = metadata.metadata().file_metadata().num_rows().max(0) as u64;
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata).with_batch_size(ROWS);
    if let Some(head) = reading.limits.head {
        let bytes: i64 = builder.metadata().row_groups().iter().map(|group| group.total_byte_size()).sum();
        let row = (bytes.max(1) as u64 / total.max(1)).max(1);
        builder = builder.with_limit(usize::try_from(head / row).unwrap_or(usize::MAX).max(1000));
    }
    let reader = builder.build().map_err(|error| damaged(&error))?;
    let mut keeper: Option<Keeper<'_>> = None;
    let mut labelled = columns.clone();
    let mut gone = Vec::new();
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(&error))?;
        let all = rows..rows + batch.num_rows() as u64;
        rows = all.end;
        let mut numbers: Vec<u64> = all.clone().collect();
        let batch = hub.decoded(&batch, shown, &mut numbers, reading)?;
        if columns.is_empty() {
            columns = normal::stated_columns(&batch.schema(), shown, reading.types)?;
            hub.shape(&mut columns);
        }
        let plain = normal::read_rows(&batch, &columns, shown, &mut numbers, reading)?;
        let (renamed, plain) = hub.named(&columns, plain, shown, &mut numbers, reading)?;
        gone.extend(left_out(all.clone(), &numbers));
        if all.start == 0 {
            labelled = renamed;
        }
        keeper.get_or_insert_with(|| Keeper::new(labelled.clone(), reading.memory)).push(plain)?;
        reading.channel.progress(Progress {
            done: rows,
            total: Some(total),
            unit: "row".into(),
            message: shown.to_owned(),
            rate: None,
        });
    }
    if labelled.is_empty() {
        return Err(Faults::from(empty(shown, "it holds columns and no rows")));
    }
    let table = match keeper {
        Some(keeper) => keeper.finish()?,
        None => Table { columns: labelled, batches: Vec::new() },
    };
    let read = match (rows == total, reading.refusals.reject()) {
        (true, _) => Some(table.rows() as u64),
        (false, false) => Some(total),
        (false, true) => None,
    };
    Ok((Sieved { table, gone }, read))
}

fn damaged(file: &InputFile, error: &str) -> Fault {
    let shown = file.shown.as_str();
    let (head, tail) = ends(file).unwrap_or_default();
    let (why, help) = if head.is_empty() {
        ("it is empty".to_owned(), "copy or download it again")
    } else if head != b"PAR1" {
        (
            "it does not start as Parquet files do".to_owned(),
            "is it another format? `csv`, `jsonl` and `arrow` are read, too",
        )
    } else if tail != b"PAR1" {
        ("its end is missing".to_owned(), "the file was cut off: copy or download it again")
    } else {
        let line = error.lines().next().unwrap_or_default().to_owned();
        let lower = line.to_lowercase();
        if ["codec", "disabled feature", "brotli", "lzo"].iter().any(|word| lower.contains(word)) {
            let text = format!("`{shown}` is packed in a way that is not known: {line}");
            return Fault::error(contract::code!("data::unsupported_codec"), text)
                .help("write it with `zstd`, `snappy`, `gzip` or `lz4`, or without compression")
                .place(place(shown, None, None));
        }
        (line, "the file is damaged: copy or download it again")
    };
    Fault::error(contract::code!("data::damaged_parquet"), format!("`{shown}` cannot be read as Parquet: {why}"))
        .help(help)
        .place(place(shown, None, None))
}

/// The first and the last four bytes.
fn ends(file: &InputFile) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut handle = File::open(&file.path)?;
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    handle.by_ref().take(4).read_to_end(&mut head)?;
    let start = handle.metadata()?.len().saturating_sub(4);
    handle.seek(SeekFrom::Start(start))?;
    handle.read_to_end(&mut tail)?;
    Ok((head, tail))
}
