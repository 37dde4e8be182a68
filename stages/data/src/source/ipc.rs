//! Arrow IPC, as file or as stream.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use engine::error::Fault;
use engine::protocol::InputFile;

use super::bytes::Stream;
use super::normal;
use super::reading::{Reading, Sieved, left_out};
use crate::dataset::Table;
use crate::fault::{Outcome, place};

/// Reads one file; what it is (file or stream) is seen in its first bytes.
///
/// # Errors
/// `data::damaged_arrow` for a file that is truncated, damaged, compressed inside, or something else.
pub fn read(file: &InputFile, reading: &Reading<'_>) -> Outcome<Sieved> {
    let bytes = Stream::open(file, reading.limits)?.all()?;
    let (schema, foreign) = decode(&bytes).map_err(|error| vec![damaged(&file.shown, &bytes, &error)])?;
    let columns = normal::stated_columns(&schema, &file.shown, reading.types)?;
    let mut batches = Vec::with_capacity(foreign.len());
    let mut gone = Vec::new();
    let mut rows = 0;
    for batch in foreign.iter().filter(|batch| batch.num_rows() > 0) {
        let all = rows..rows + batch.num_rows() as u64;
        let mut numbers: Vec<u64> = all.clone().collect();
        batches.push(normal::read_rows(batch, &columns, &file.shown, &mut numbers, reading)?);
        rows = all.end;
        gone.extend(left_out(all, &numbers));
    }
    batches.retain(|batch| batch.num_rows() > 0);
    Ok(Sieved { table: Table { columns, batches }, gone })
}

fn decode(bytes: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    if bytes.starts_with(b"ARROW1") {
        let reader = FileReader::try_new(Cursor::new(bytes), None)?;
        let schema = reader.schema();
        Ok((schema, reader.collect::<Result<_, _>>()?))
    } else {
        let reader = StreamReader::try_new(Cursor::new(bytes), None)?;
        let schema = reader.schema();
        Ok((schema, reader.collect::<Result<_, _>>()?))
    }
}

fn damaged(shown: &str, bytes: &[u8], error: &ArrowError) -> Fault {
    let text = error.to_string();
    let (why, help) = if bytes.is_empty() {
        ("it is empty", "copy or download it again")
    } else if text.contains("compress") {
        (
            "it is compressed inside",
            "write it without compression, and compress the whole file as `.zst` if it must be small",
        )
    } else if bytes.starts_with(b"ARROW1") && !bytes.ends_with(b"ARROW1") {
        ("its end is missing", "the file was cut off: copy or download it again")
    } else if bytes.starts_with(b"FEA1") {
        ("it is Feather version 1", "write it as Feather version 2 (Arrow IPC)")
    } else {
        (text.lines().next().unwrap_or_default(), "is it another format, or damaged? copy or download it again")
    };
    Fault::error("data::damaged_arrow", format!("`{shown}` cannot be read as Arrow: {why}"))
        .help(help)
        .place(place(shown, None, None))
}
