//! Reads the data sets of the store: one Arrow IPC file, mapped, its packed columns read without a copy.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type, Schema, TimeUnit, UInt64Type};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::ipc::{MetadataVersion, root_as_footer};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use contract::artifact::{Column, DType, DatasetType};
use contract::fault::{Fault, suggest};

use crate::fault::Outcome;
use crate::{file, map};

/// Bytes after the footer: its length and the closing magic.
const TRAILER: usize = 10;

/// A data set, mapped.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    columns: Vec<Column>,
    batches: Vec<RecordBatch>,
    rows: usize,
    /// Rows of the whole before these.
    before: usize,
}

/// Rows that are worked on at once, at most.
const BLOCK: usize = 1 << 16;

/// The numbers of a scalar column.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// One a row; NaN where the cell is missing.
    pub values: Vec<f64>,
    /// How many cells are missing (null or NaN).
    pub missing: usize,
}

/// A packed column as float32 `[rows, shape...]`.
#[derive(Debug, Clone)]
pub struct Packed {
    values: ScalarBuffer<f32>,
    size: Vec<usize>,
}

impl Packed {
    /// The numbers in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The sides, the number of rows first.
    pub fn size(&self) -> &[usize] {
        &self.size
    }
}

impl Dataset {
    /// Maps a data set. `name` is how messages call it: the input port.
    ///
    /// # Errors
    /// `data::damaged_dataset` for anything that is not a whole data set of ours.
    pub fn open(path: &Path, name: &str) -> Outcome<Self> {
        let buffer = map::map(path).map_err(|error| damaged(name, &error.to_string()))?;
        // Arrow's reader checks values, but it panics on some wrong lengths and types in the metadata.
        std::panic::catch_unwind(AssertUnwindSafe(|| Self::decode(buffer, name)))
            .unwrap_or_else(|_| Err(damaged(name, "a length or a type in it is wrong")))
    }

    fn decode(buffer: Buffer, name: &str) -> Outcome<Self> {
        let damaged = |what: &str| damaged(name, what);
        if buffer.len() < TRAILER + 8 || !buffer.starts_with(b"ARROW1") {
            return Err(damaged("not an Arrow file"));
        }
        let end = buffer.len() - TRAILER;
        let trailer: [u8; TRAILER] = buffer[end..].try_into().map_err(|_| damaged("cut short"))?;
        let footer_length = read_footer_length(trailer).map_err(|error| damaged(&error.to_string()))?;
        let start = end.checked_sub(footer_length).ok_or_else(|| damaged("its footer is longer than the file"))?;
        // The footer may lie at any address, flatbuffers wants 8.
        let footer_bytes = aligned(&buffer[start..end]);
        let footer = root_as_footer(&footer_bytes).map_err(|error| damaged(&format!("its footer: {error}")))?;
        let schema = Arc::new(fb_to_schema(footer.schema().ok_or_else(|| damaged("it has no schema"))?));
        let description = schema.metadata().get("pipeline").ok_or_else(|| damaged("it has no `pipeline` metadata"))?;
        let description: DatasetType =
            serde_json::from_str(description).map_err(|error| damaged(&format!("its metadata: {error}")))?;
        let columns = description.columns.ok_or_else(|| damaged("its metadata names no columns"))?;
        if columns.len() != schema.fields().len()
            || columns.iter().zip(schema.fields()).any(|(column, field)| column.name != *field.name())
        {
            return Err(damaged("its metadata and its schema name different columns"));
        }

        let mut decoder = FileDecoder::new(schema, footer.version()).with_require_alignment(true);
        let slice = |offset: i64, metadata: i32, body: i64| -> Option<Buffer> {
            let offset = usize::try_from(offset).ok()?;
            let length = usize::try_from(metadata).ok()?.checked_add(usize::try_from(body).ok()?)?;
            (offset.checked_add(length)? <= buffer.len()).then(|| buffer.slice_with_length(offset, length))
        };
        for block in footer.dictionaries().iter().flatten() {
            let data = slice(block.offset(), block.metaDataLength(), block.bodyLength())
                .ok_or_else(|| damaged("a block lies outside of it"))?;
            decoder.read_dictionary(block, &data).map_err(|error| damaged(&error.to_string()))?;
        }
        let mut batches = Vec::new();
        for block in footer.recordBatches().iter().flatten() {
            let data = slice(block.offset(), block.metaDataLength(), block.bodyLength())
                .ok_or_else(|| damaged("a block lies outside of it"))?;
            batches.extend(decoder.read_record_batch(block, &data).map_err(|error| damaged(&error.to_string()))?);
        }
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        Ok(Self { name: name.to_owned(), columns, batches, rows, before: 0 })
    }

    /// The input port it came in at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows before its first: of a block, those of the blocks before.
    pub fn before(&self) -> usize {
        self.before
    }

    /// Its rows in blocks, none copied: what is made of a column is made of a few rows at a time.
    pub fn blocks(&self) -> impl Iterator<Item = Self> + '_ {
        let mut before = self.before;
        let cuts = self.batches.iter().flat_map(|batch| {
            (0..batch.num_rows()).step_by(BLOCK).map(move |from| batch.slice(from, BLOCK.min(batch.num_rows() - from)))
        });
        cuts.map(move |rows| {
            let block = Self {
                name: self.name.clone(),
                columns: self.columns.clone(),
                rows: rows.num_rows(),
                batches: vec![rows],
                before,
            };
            before += block.rows;
            block
        })
    }

    /// Its columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Its type, as far as the bytes say.
    pub fn artifact(&self) -> DatasetType {
        DatasetType { columns: Some(self.columns.clone()), rows: Some(self.rows as u64), ..DatasetType::default() }
    }

    /// The column of a name.
    ///
    /// # Errors
    /// `data::unknown_column` with the nearest name.
    pub fn column(&self, name: &str) -> Outcome<&Column> {
        Ok(&self.columns[self.position(name)?])
    }

    fn position(&self, name: &str) -> Outcome<usize> {
        self.columns.iter().position(|column| column.name == name).ok_or_else(|| {
            let fault = Fault::error(
                contract::code!("data::unknown_column"),
                format!("the data at `{}` has no column `{name}`", self.name),
            );
            match suggest(name, self.columns.iter().map(|column| column.name.as_str())) {
                Some(help) => fault.help(help),
                None => fault,
            }
        })
    }

    /// All cells of a column as one Arrow array (shared when there is one batch).
    ///
    /// # Errors
    /// When there is no such column.
    pub fn array(&self, name: &str) -> Outcome<ArrayRef> {
        let position = self.position(name)?;
        match self.batches.as_slice() {
            [one] => Ok(one.column(position).clone()),
            batches => {
                let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(position).as_ref()).collect();
                if parts.is_empty() {
                    return Err(empty(&self.name));
                }
                concat(&parts).map_err(|error| self.unreadable(name, &error))
            }
        }
    }

    /// The cells of a scalar column as numbers: true is 1, a date is days since 1970, a date and time seconds.
    ///
    /// # Errors
    /// `data::not_a_number` for text and tensors.
    pub fn numbers(&self, name: &str) -> Outcome<Numbers> {
        let column = self.column(name)?;
        let refuse = || {
            Fault::error(
                contract::code!("data::not_a_number"),
                format!("column `{name}` at `{}` is {} and not a number", self.name, column.type_name()),
            )
            .help("encode it with `one_hot`, or `cast` it in a `preprocess` stage")
        };
        if !column.shape.is_empty() || matches!(column.dtype, DType::String | DType::Binary) {
            return Err(refuse());
        }
        let array = self.array(name)?;
        let (array, unit) = match array.data_type() {
            DataType::Date32 => (cast(&array, &DataType::Int32), 1.0),
            DataType::Timestamp(TimeUnit::Microsecond, _) => (cast(&array, &DataType::Int64), 1e-6),
            _ => (Ok(array), 1.0),
        };
        let array =
            array.and_then(|array| cast(&array, &DataType::Float64)).map_err(|error| self.unreadable(name, &error))?;
        let floats = array.as_primitive::<Float64Type>();
        let values: Vec<f64> = if floats.null_count() == 0 {
            floats.values().iter().map(|value| value * unit).collect()
        } else {
            floats.iter().map(|value| value.map_or(f64::NAN, |value| value * unit)).collect()
        };
        let missing = values.iter().filter(|value| value.is_nan()).count();
        Ok(Numbers { values, missing })
    }

    /// The cells of a scalar column as text, `None` where missing. A number has one text whatever its type
    /// (`3`, `0.5`), so that a column read as whole numbers once and as fractions another time still matches.
    ///
    /// # Errors
    /// `data::not_a_scalar` for tensors and raw bytes.
    pub fn texts(&self, name: &str) -> Outcome<Vec<Option<String>>> {
        let column = self.column(name)?;
        if !column.shape.is_empty() || column.dtype == DType::Binary {
            return Err(Fault::error(
                contract::code!("data::not_a_scalar"),
                format!(
                    "column `{name}` at `{}` is {}: it has no distinct values to list",
                    self.name,
                    column.type_name()
                ),
            ));
        }
        let array = self.array(name)?;
        let texts = match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect(),
            DataType::LargeUtf8 => array.as_string::<i64>().iter().map(|text| text.map(str::to_owned)).collect(),
            DataType::Boolean => array.as_boolean().iter().map(|value| value.map(|value| value.to_string())).collect(),
            DataType::UInt64 => {
                array.as_primitive::<UInt64Type>().iter().map(|value| value.map(|value| value.to_string())).collect()
            }
            kind if kind.is_integer() => {
                let array = cast(&array, &DataType::Int64).map_err(|error| self.unreadable(name, &error))?;
                array.as_primitive::<Int64Type>().iter().map(|value| value.map(|value| value.to_string())).collect()
            }
            kind if kind.is_floating() => {
                let array = cast(&array, &DataType::Float64).map_err(|error| self.unreadable(name, &error))?;
                let floats = array.as_primitive::<Float64Type>();
                floats.iter().map(|value| value.filter(|value| !value.is_nan()).map(number_text)).collect()
            }
            _ => {
                let options = FormatOptions::default();
                let format =
                    ArrayFormatter::try_new(array.as_ref(), &options).map_err(|error| self.unreadable(name, &error))?;
                (0..array.len()).map(|row| (!array.is_null(row)).then(|| format.value(row).to_string())).collect()
            }
        };
        Ok(texts)
    }

    /// A packed column as float32 `[rows, shape...]`: the map itself when it is float32 in one batch, else a copy.
    ///
    /// # Errors
    /// When the column is no tensor, or its cells are missing.
    pub fn packed(&self, name: &str) -> Outcome<Packed> {
        let column = self.column(name)?;
        let array = self.array(name)?;
        let refuse = |what: &str| {
            Fault::error(contract::code!("data::not_a_tensor"), format!("column `{name}` at `{}` {what}", self.name))
                .help("`pack` the columns of the image into one in a `preprocess` stage")
        };
        let Some(list) = array.as_fixed_size_list_opt() else {
            return Err(refuse(&format!("is {} and not a tensor", column.type_name())));
        };
        if list.null_count() > 0 || list.values().null_count() > 0 {
            return Err(refuse("has missing cells"));
        }
        let cell: u64 = column.shape.iter().product();
        if u64::try_from(list.value_length()).ok() != Some(cell) {
            return Err(refuse(&format!("is {} but has {} values a cell", column.type_name(), list.value_length())));
        }
        let mut size = vec![list.len()];
        size.extend(column.shape.iter().map(|side| *side as usize));
        let cell = cell as usize;
        let values = list.values().slice(list.value_offset(0) as usize, list.len() * cell);
        let values = match values.data_type() {
            DataType::Float32 => values,
            _ => cast(&values, &DataType::Float32).map_err(|error| self.unreadable(name, &error))?,
        };
        Ok(Packed { values: values.as_primitive::<Float32Type>().values().clone(), size })
    }

    fn unreadable(&self, column: &str, error: &arrow::error::ArrowError) -> Fault {
        Fault::error(
            contract::code!("data::damaged_dataset"),
            format!("column `{column}` at `{}` cannot be read: {error}", self.name),
        )
        .help("run the stage that makes it again")
    }
}

fn damaged(name: &str, what: &str) -> Fault {
    Fault::error(contract::code!("data::damaged_dataset"), format!("the data set at `{name}` cannot be read: {what}"))
        .help("it is damaged or was not made by `pipeline`; run the stage that makes it again")
}

/// The fault for a data set without rows.
pub fn empty(name: &str) -> Fault {
    Fault::error(contract::code!("data::empty"), format!("the data set at `{name}` has no rows"))
        .help("look at the stages above: a filter, `drop_missing` or a split ratio may leave nothing")
}

/// The one text of a number.
pub fn number_text(value: f64) -> String {
    // -0 and 0 are one value.
    if value == 0.0 { "0".to_owned() } else { value.to_string() }
}

/// A copy that starts at a multiple of 8.
fn aligned(bytes: &[u8]) -> Buffer {
    // Arrow's own allocations are aligned to 64 bytes or more.
    Buffer::from_slice_ref(bytes)
}

/// Rows of one record batch, as everywhere in the store.
const BATCH_ROWS: usize = 1 << 20;

/// Writes a data set: Arrow IPC, uncompressed, aligned to 64 bytes, its type in the schema's metadata.
///
/// # Errors
/// What Arrow or the operating system says.
pub fn write(path: &Path, columns: &[(Column, ArrayRef)]) -> Outcome<DatasetType> {
    let rows = columns.first().map_or(0, |(_, array)| array.len());
    let description = DatasetType {
        columns: Some(columns.iter().map(|(column, _)| column.clone()).collect()),
        rows: Some(rows as u64),
        ..DatasetType::default()
    };
    let mut bytes = Vec::new();
    let mut fill = || -> Result<(), arrow::error::ArrowError> {
        let json = serde_json::to_string(&description)
            .map_err(|error| arrow::error::ArrowError::ExternalError(Box::new(error)))?;
        let fields: Vec<Field> = columns
            .iter()
            .map(|(column, array)| Field::new(&column.name, array.data_type().clone(), column.nullable))
            .collect();
        let metadata = std::collections::HashMap::from([("pipeline".to_owned(), json)]);
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let arrays = columns.iter().map(|(_, array)| array.clone()).collect();
        let batch = RecordBatch::try_new(schema.clone(), arrays)?;
        let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)?;
        let mut writer = FileWriter::try_new_with_options(&mut bytes, &schema, options)?;
        let mut start = 0;
        loop {
            let length = BATCH_ROWS.min(rows - start);
            writer.write(&batch.slice(start, length))?;
            start += length;
            if start >= rows {
                break;
            }
        }
        writer.finish()
    };
    fill().map_err(|error| {
        Fault::error(contract::code!("data::write"), format!("a data set cannot be written: {error}"))
    })?;
    file::write(path, &bytes)?;
    Ok(description)
}
