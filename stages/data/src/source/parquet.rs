//! Apache Parquet.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use engine::error::Fault;
use engine::protocol::{InputFile, Progress};
use engine::worker::Channel;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::bytes::Limits;
use super::normal;
use crate::dataset::Table;
use crate::fault::{Outcome, place, unreadable};

/// Rows decoded at a time.
const ROWS: usize = 1 << 16;

/// Reads one file. With `limits.head`, so many rows that about as many bytes are read. The number tells how many rows the
/// file has.
///
/// # Errors
/// `data::damaged_parquet` for a file that is truncated, damaged, or something else.
pub fn read(file: &InputFile, limits: &Limits, channel: &Channel) -> Outcome<(Table, u64)> {
    let shown = file.shown.as_str();
    let damaged = |error: &dyn std::fmt::Display| vec![damaged(file, &error.to_string())];
    let handle = File::open(&file.path).map_err(|error| vec![unreadable(shown, &error)])?;
    // Arrow's own schema in the metadata may promise types (views, dictionaries) that cost conversions later.
    let options = ArrowReaderOptions::new();
    let metadata = ArrowReaderMetadata::load(&handle, options).map_err(|error| damaged(&error))?;
    let columns = normal::columns(metadata.schema(), shown)?;
    let total = metadata.metadata().file_metadata().num_rows().max(0) as u64;
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata).with_batch_size(ROWS);
    if let Some(head) = limits.head {
        let bytes: i64 = builder.metadata().row_groups().iter().map(|group| group.total_byte_size()).sum();
        let row = (bytes.max(1) as u64 / total.max(1)).max(1);
        builder = builder.with_limit(usize::try_from(head / row).unwrap_or(usize::MAX).max(1000));
    }
    let reader = builder.build().map_err(|error| damaged(&error))?;
    let mut batches = Vec::new();
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(&error))?;
        let before = rows;
        rows += batch.num_rows();
        batches.push(normal::rows(&batch, &columns, shown, before)?);
        channel.progress(Progress {
            done: rows as u64,
            total: Some(total),
            unit: "row".into(),
            message: shown.to_owned(),
            rate: None,
        });
    }
    Ok((Table { columns, batches }, total))
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
        (line, "the file is damaged: copy or download it again")
    };
    Fault::error("data::damaged_parquet", format!("`{shown}` cannot be read as Parquet: {why}"))
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
