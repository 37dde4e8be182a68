//! Arrow IPC, as file or as stream.
//!
//! What is read is a copy in the stage's scratch folder, mapped: it may be larger than the memory there is, and nothing that happens to
//! the original meanwhile is seen. Where only the columns are asked for, nothing is copied: a file tells how many rows it has at its end.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{StreamDecoder, StreamReader, read_footer_length};
use arrow::ipc::{convert::fb_to_schema, root_as_footer, root_as_message};
use contract::fault::{Fault, Faults};
use contract::worker::protocol::InputFile;

use super::bytes::Stream;
use super::normal;
use super::reading::{Reading, Sieved, left_out};
use crate::fault::{Outcome, place, unreadable, unwritable};
use crate::table::dataset::{Table, arrow_type, decode, map_file};
use crate::table::spill::Keeper;

/// Bytes copied at a time.
const BLOCK: usize = 1 << 18;
/// The first bytes of a file (a stream has none).
const MAGIC: &[u8; 6] = b"ARROW1";

/// Reads one file; what it is (file or stream) is seen in its first bytes. And how many rows there are, where that is known: when only
/// the head is wanted, rows that are there may be left out.
///
/// # Errors
/// `data::damaged_arrow` for a file that is truncated, damaged, compressed inside, or something else.
pub fn read(file: &InputFile, reading: &Reading<'_>) -> Outcome<(Sieved, Option<u64>)> {
    let memory = reading.memory;
    let mut stream = Stream::open(file, reading.limits)?;
    if reading.limits.head.is_some() && !stream.packed() {
        return peek(file, reading);
    }
    let path = memory.path();
    let copied = copy(&mut stream, &path);
    let bytes = copied.and_then(|()| map_file(&path));
    // The mapping keeps the bytes.
    let _ = std::fs::remove_file(&path);
    let bytes = bytes?;
    let (schema, foreign) = all(&bytes).map_err(|error| Faults::from(damaged(&file.shown, &bytes, &error)))?;
    let columns = normal::stated_columns(&schema, &file.shown, reading.types)?;
    let rows = foreign.iter().map(RecordBatch::num_rows).sum::<usize>() as u64;
    let ours = schema.fields().iter().zip(&columns).all(|(field, column)| *field.data_type() == arrow_type(column));
    let mut gone = Vec::new();
    let mut before = 0;
    let mut piece = |batch: &RecordBatch| -> Outcome<RecordBatch> {
        let all = before..before + batch.num_rows() as u64;
        let mut numbers: Vec<u64> = all.clone().collect();
        let kept = normal::read_rows(batch, &columns, &file.shown, &mut numbers, reading)?;
        before = all.end;
        gone.extend(left_out(all, &numbers));
        Ok(kept)
    };
    let table = if ours {
        // What is mapped stays mapped.
        let pieces = foreign.iter().filter(|batch| batch.num_rows() > 0).map(&mut piece);
        let mut batches = pieces.collect::<Outcome<Vec<_>>>()?;
        batches.retain(|batch| batch.num_rows() > 0);
        Table { columns: columns.clone(), batches }
    } else {
        let width = bytes.len() as u64 / rows.max(1);
        let mut keeper = Keeper::new(columns.clone(), memory);
        for batch in &foreign {
            let step = memory.rows(width);
            for start in (0..batch.num_rows()).step_by(step) {
                keeper.push(piece(&batch.slice(start, step.min(batch.num_rows() - start)))?)?;
            }
        }
        keeper.finish()?
    };
    let left = rows - gone.len() as u64;
    Ok((Sieved { table, gone }, Some(left)))
}

/// Everything of a stream into a file.
fn copy(stream: &mut Stream, path: &Path) -> Outcome<()> {
    let full = |error: std::io::Error| Faults::from(unwritable(&error));
    let mut out = BufWriter::with_capacity(BLOCK, File::create(path).map_err(full)?);
    let mut block = vec![0; BLOCK];
    loop {
        let count = stream.fill(&mut block)?;
        out.write_all(&block[..count]).map_err(full)?;
        if count < block.len() {
            return out.flush().map_err(full);
        }
    }
}

/// The schema and batches, pointing into `bytes` wherever they are aligned.
fn all(bytes: &Buffer) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    if bytes.starts_with(MAGIC) {
        return decode(bytes, false).map_err(ArrowError::ParseError);
    }
    let mut decoder = StreamDecoder::new();
    let mut rest = bytes.clone();
    let mut batches = Vec::new();
    while !rest.is_empty() {
        batches.extend(decoder.decode(&mut rest)?);
    }
    decoder.finish()?;
    let schema = decoder.schema().ok_or_else(|| ArrowError::ParseError("it has no schema".into()))?;
    Ok((schema, batches))
}

/// The columns, and of a file how many rows there are: its end and the heads of its batches are all that is read. Of a stream the first
/// batch is.
fn peek(file: &InputFile, reading: &Reading<'_>) -> Outcome<(Sieved, Option<u64>)> {
    let unread = |error: std::io::Error| Faults::from(unreadable(&file.shown, &error));
    let mut opened = File::open(&file.path).map_err(unread)?;
    let length = opened.metadata().map_err(unread)?.len();
    let mut magic = [0; 6];
    let there = opened.read(&mut magic).map_err(unread)?;
    opened.seek(SeekFrom::Start(0)).map_err(unread)?;
    if magic[..there] != MAGIC[..] {
        let first = StreamReader::try_new(BufReader::new(opened), None)
            .and_then(|mut reader| Ok((reader.schema(), reader.next().transpose()?)));
        let (schema, batch) = first.map_err(|error| Faults::from(damaged(&file.shown, &magic[..there], &error)))?;
        let columns = normal::stated_columns(&schema, &file.shown, reading.types)?;
        let rows = |batch: &RecordBatch| {
            let mut numbers = (0..batch.num_rows() as u64).collect();
            normal::read_rows(batch, &columns, &file.shown, &mut numbers, reading)
        };
        let batches = batch.iter().map(rows).collect::<Outcome<_>>()?;
        return Ok((Table { columns, batches }.into(), None));
    }
    let (schema, rows) = ends(&mut opened, length).map_err(|error| {
        let mut tail = [0; 6];
        let _ = opened.seek(SeekFrom::End(-6)).and_then(|_| opened.read_exact(&mut tail));
        vec![damaged(&file.shown, &[*MAGIC, tail].concat(), &error)]
    })?;
    let columns = normal::stated_columns(&schema, &file.shown, reading.types)?;
    Ok((Table { columns, batches: Vec::new() }.into(), Some(rows)))
}

/// What the end of a file and the heads of its batches say.
fn ends(file: &mut File, length: u64) -> Result<(SchemaRef, u64), ArrowError> {
    let wrong = |what: &str| ArrowError::ParseError(what.to_owned());
    let mut at = |from: u64, count: usize| -> Result<Vec<u8>, ArrowError> {
        if from.checked_add(count as u64).is_none_or(|end| end > length) {
            return Err(wrong("a part lies outside the file"));
        }
        let mut bytes = vec![0; count];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    let tail = length.checked_sub(10).ok_or_else(|| wrong("it is too short"))?;
    let mut trailer = [0; 10];
    trailer.copy_from_slice(&at(tail, 10)?);
    let footer = read_footer_length(trailer)?;
    let start = tail.checked_sub(footer as u64).ok_or_else(|| wrong("its footer is longer than the file"))?;
    let footer = at(start, footer)?;
    let footer = root_as_footer(&footer).map_err(|error| wrong(&error.to_string()))?;
    let schema = fb_to_schema(footer.schema().ok_or_else(|| wrong("it has no schema"))?);
    let mut rows = 0;
    for block in footer.recordBatches().iter().flatten() {
        let (from, count) = (u64::try_from(block.offset()), usize::try_from(block.metaDataLength()));
        let (Ok(from), Ok(count)) = (from, count) else { return Err(wrong("a batch lies outside the file")) };
        let head = at(from, count)?;
        // A marker of four bytes (of old files: none), the length, the message.
        let skip = if head.starts_with(&[0xff; 4]) { 8 } else { 4 };
        let message =
            root_as_message(head.get(skip..).unwrap_or_default()).map_err(|error| wrong(&error.to_string()))?;
        let batch = message.header_as_record_batch().ok_or_else(|| wrong("a batch is none"))?;
        rows += u64::try_from(batch.length()).map_err(|_| wrong("a batch has less than no rows"))?;
    }
    Ok((std::sync::Arc::new(schema), rows))
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
    Fault::error(contract::code!("data::damaged_arrow"), format!("`{shown}` cannot be read as Arrow: {why}"))
        .help(help)
        .place(place(shown, None, None))
}
