//! Batches put aside in a file while more are coming, and mapped when all are there.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::ipc::writer::FileWriter;
use contract::artifact::Column;
use contract::fault::Faults;

use crate::fault::{Outcome, kernel, unwritable};
use crate::table::dataset::{self, Table, batch, schema};

/// A table that grows on disk.
pub struct Spill {
    path: PathBuf,
    columns: Vec<Column>,
    writer: FileWriter<BufWriter<File>>,
}

impl Spill {
    /// An empty table of these columns, in a new file of `folder`. The mapping outlives the file.
    ///
    /// # Errors
    /// A disk that is full or read-only.
    pub fn new(folder: &Path, columns: Vec<Column>) -> Outcome<Self> {
        let file = tempfile::Builder::new().prefix("rows-").tempfile_in(folder);
        let (file, path) = file.and_then(|file| Ok(file.keep()?)).map_err(|error| Faults::from(unwritable(&error)))?;
        let writer =
            FileWriter::try_new_buffered(file, &schema(&columns)).map_err(|error| kernel("writing", &error))?;
        Ok(Self { path, columns, writer })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// As [`Spill::new`].
    pub fn push(&mut self, arrays: Vec<ArrayRef>) -> Outcome<()> {
        let rows = batch(&self.columns, arrays)?;
        self.writer.write(&rows).map_err(|error| Faults::from(dataset::write_fault(error)))
    }

    /// All rows, mapped.
    ///
    /// # Errors
    /// As [`Spill::new`].
    pub fn finish(mut self) -> Outcome<Table> {
        self.writer.finish().map_err(|error| Faults::from(dataset::write_fault(error)))?;
        let batches: Vec<RecordBatch> = dataset::mapped(&self.path)?;
        Ok(Table { columns: self.columns, batches })
    }
}
