//! Rows that grow: held in memory up to a bound, beyond it written to a scratch file and mapped.
//!
//! A mapped page that is not in use costs nothing, so a data set may be larger than the memory a stage has.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{ArrowNativeType, Schema};
use arrow::ipc::MetadataVersion;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use contract::artifact::{Column, DatasetType};
use contract::fault::{Fault, Faults};

use crate::fault::{Outcome, kernel, unwritable};
use crate::table::dataset::{METADATA, Table, batch, open, schema};

/// Rows of a piece that a step works on at once, at most.
pub const PIECE_ROWS: usize = 1 << 16;

/// How much memory a stage may use, and where it may write what does not fit.
#[derive(Debug)]
pub struct Memory {
    /// Bytes for rows: what the program itself takes is taken off.
    pub limit: u64,
    scratch: PathBuf,
    next: AtomicU64,
}

impl Memory {
    /// A stage's bound: what `resources.memory` says, or half of what the machine has free.
    pub fn new(limit: Option<u64>, scratch: PathBuf) -> Self {
        let limit = limit.map_or_else(|| free() / 2, |limit| limit.saturating_sub(own()).max(limit / 2));
        Self { limit, scratch, next: AtomicU64::new(0) }
    }

    /// Rows of so many bytes each that one piece may have: small beside the bound, and the writing of many is not slow.
    pub fn rows(&self, width: u64) -> usize {
        usize::try_from(self.limit / 64 / width.max(1)).unwrap_or(PIECE_ROWS).clamp(64, PIECE_ROWS)
    }

    /// Numbers as a slice that takes no memory of its own: written to a scratch file and mapped, where they are too many to be held.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn park<T: ArrowNativeType>(&self, values: impl Into<ScalarBuffer<T>>) -> Outcome<ScalarBuffer<T>> {
        let held: ScalarBuffer<T> = values.into();
        if held.is_empty() || (held.inner().len() as u64) < self.limit / 512 {
            return Ok(held);
        }
        let path = self.path();
        std::fs::write(&path, held.inner().as_slice()).map_err(|error| Faults::from(unwritable(&error)))?;
        let mapped = crate::table::dataset::map_file(&path);
        let _ = std::fs::remove_file(&path);
        Ok(ScalarBuffer::new(mapped?, 0, held.len()))
    }

    /// Where temporary files go.
    pub fn scratch(&self) -> &std::path::Path {
        &self.scratch
    }

    /// A new name in it.
    pub fn path(&self) -> PathBuf {
        self.scratch.join(format!("spill-{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

/// What the process holds of its own at this moment, in bytes; 16 MiB where it is not told.
fn own() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or(16 << 20, |kib| kib << 10)
}

/// The fault of a step that needs more memory than there is: how much would do, in bytes.
pub fn too_little(what: &str, needed: u64, memory: &Memory, help: &str) -> Fault {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let text = format!("{what} needs about {} MiB of memory, there are {} MiB for it", mib(needed), mib(memory.limit));
    // The program itself, and some air: what is asked for is not to be asked for twice.
    let enough = mib(needed + needed / 4) + 16;
    Fault::error(contract::code!("data::memory"), text)
        .help(format!("give it more: `resources: {{ memory: {enough}MiB }}`{help}"))
}

/// Free memory of the machine in bytes; 4 GiB where it is not told.
fn free() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or(4 << 30, |kib| kib << 10)
}

/// A table being made, batch by batch.
pub struct Keeper<'a> {
    columns: Vec<Column>,
    memory: &'a Memory,
    held: Vec<RecordBatch>,
    bytes: u64,
    /// Bytes that are held at most.
    share: u64,
    file: Option<(PathBuf, FileWriter<BufWriter<File>>)>,
}

impl<'a> Keeper<'a> {
    /// An empty table of these columns.
    pub fn new(columns: Vec<Column>, memory: &'a Memory) -> Self {
        // Several tables are alive at once (a step's input and its output, kernels between them).
        Self::within(columns, memory, memory.limit / 8)
    }

    /// An empty table that holds at most so many bytes; all else is in its file.
    pub fn within(columns: Vec<Column>, memory: &'a Memory, share: u64) -> Self {
        Self { columns, memory, held: Vec::new(), bytes: 0, share, file: None }
    }

    /// Adds rows behind those that are there.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn push(&mut self, batch: RecordBatch) -> Outcome<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.bytes += size(&batch);
        self.held.push(batch);
        if self.bytes > self.share {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Outcome<()> {
        let (_, writer) = match &mut self.file {
            Some(open) => open,
            none => {
                let path = self.memory.path();
                let file = File::create(&path).map_err(|error| Faults::from(unwritable(&error)))?;
                let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)
                    .map_err(|error| kernel("writing", &error))?;
                let dataset = DatasetType { columns: Some(self.columns.clone()), ..DatasetType::default() };
                let json = serde_json::to_string(&dataset).unwrap_or_default();
                let fields = schema(&self.columns).fields().clone();
                let schema = Schema::new_with_metadata(fields, HashMap::from([(METADATA.to_owned(), json)]));
                let out = BufWriter::with_capacity(1 << 18, file);
                let writer = FileWriter::try_new_with_options(out, &schema, options)
                    .map_err(|error| kernel("writing", &error))?;
                none.insert((path, writer))
            }
        };
        for batch in self.held.drain(..) {
            let batch = RecordBatch::try_new(Arc::clone(writer.schema()), batch.columns().to_vec())
                .map_err(|error| kernel("building a batch", &error))?;
            writer
                .write(&batch)
                .map_err(|error| Faults::from(unwritable(&std::io::Error::other(error.to_string()))))?;
        }
        self.bytes = 0;
        Ok(())
    }

    /// Everything, in order; what was written is mapped, and its file is gone from the folder.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn finish(mut self) -> Outcome<Table> {
        if self.file.is_none() {
            return Ok(Table { columns: self.columns, batches: self.held });
        }
        self.flush()?;
        let Some((path, mut writer)) = self.file.take() else {
            return Ok(Table { columns: self.columns, batches: self.held });
        };
        let fault = |error: &dyn std::fmt::Display| Faults::from(unwritable(&std::io::Error::other(error.to_string())));
        writer.finish().map_err(|error| fault(&error))?;
        writer
            .into_inner()
            .map_err(|error| fault(&error))?
            .flush()
            .map_err(|error| Faults::from(unwritable(&error)))?;
        let table = open(&path)?;
        // The mapping keeps the bytes until the last batch is dropped.
        let _ = std::fs::remove_file(&path);
        Ok(Table { columns: self.columns, batches: table.batches })
    }
}

/// Bytes of a batch's own rows, not of the buffers it is a slice of.
pub fn size(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|array| array.to_data().get_slice_memory_size().unwrap_or_default() as u64).sum()
}

/// The same rows in pieces small enough for a step to hold several of. Never changes a result.
pub fn pieces(table: Table, memory: &Memory) -> Table {
    let width = table.batches.iter().map(size).sum::<u64>() / table.rows().max(1) as u64;
    let rows = memory.rows(width);
    let mut batches = Vec::with_capacity(table.batches.len());
    for batch in &table.batches {
        for start in (0..batch.num_rows()).step_by(rows) {
            batches.push(batch.slice(start, rows.min(batch.num_rows() - start)));
        }
    }
    Table { columns: table.columns, batches }
}

/// The columns of a table with others beside them, row by row.
///
/// # Errors
/// A disk that is full, tables of different lengths.
pub fn beside(table: &Table, others: &Table, columns: &[Column], memory: &Memory) -> Outcome<Table> {
    let mut keeper = Keeper::new(columns.to_vec(), memory);
    let mut right = others.batches.iter();
    let mut rest: Option<RecordBatch> = None;
    for rows in &table.batches {
        let mut from = 0;
        while from < rows.num_rows() {
            let Some(there) = rest.take().filter(|rest| rest.num_rows() > 0).or_else(|| right.next().cloned()) else {
                return Err(kernel("putting columns beside others", &"there are fewer rows of them"));
            };
            let count = there.num_rows().min(rows.num_rows() - from);
            let mut arrays = rows.slice(from, count).columns().to_vec();
            arrays.extend(there.slice(0, count).columns().iter().cloned());
            keeper.push(batch(columns, arrays)?)?;
            rest = Some(there.slice(count, there.num_rows() - count));
            from += count;
        }
    }
    keeper.finish()
}
