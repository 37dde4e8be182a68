//! A data set on disk: one Arrow IPC file, written so that it can be mapped and used without a copy.
//!
//! Uncompressed, every buffer aligned to 64 bytes, one record batch up to 2^20 rows and batches of exactly 2^20 rows (the
//! last may be shorter) beyond. The schema's metadata has one entry, `pipeline`: the [`DatasetType`] as JSON.
//! The bytes follow from the logical content alone: what lies under a missing cell is zero, spare bits are zero, text is
//! packed without gaps. `docs/dataset.md` is the format's page for other readers.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::{Block, convert::fb_to_schema, root_as_footer};
use contract::artifact::{Column, DType, DatasetType};
use contract::fault::{Fault, Faults};

use crate::fault::{Outcome, kernel, place, unreadable, unwritable};

/// Rows of a full record batch.
pub const BATCH_ROWS: usize = 1 << 20;
/// Bytes of a page of memory, at least.
const PAGE: usize = 4096;
/// The metadata entry that holds the [`DatasetType`].
pub const METADATA: &str = "pipeline";

/// Rows in memory (or mapped), with what is known of their columns.
#[derive(Debug, Clone)]
pub struct Table {
    /// Names, types, shapes, roles. `nullable` and `classes` are as of when the table was read; [`write`] finds them anew.
    pub columns: Vec<Column>,
    /// The rows, cut anywhere. Their schema is [`schema`] of the columns.
    pub batches: Vec<RecordBatch>,
}

impl Table {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// One column's arrays, a piece for each batch.
    pub fn pieces(&self, column: usize) -> Vec<ArrayRef> {
        self.batches.iter().map(|batch| batch.column(column).clone()).collect()
    }
}

/// The Arrow type of a column's cells.
pub fn arrow_type(column: &Column) -> DataType {
    let element = match column.dtype {
        DType::Bool => DataType::Boolean,
        DType::Int8 => DataType::Int8,
        DType::Int16 => DataType::Int16,
        DType::Int32 => DataType::Int32,
        DType::Int64 => DataType::Int64,
        DType::UInt8 => DataType::UInt8,
        DType::UInt16 => DataType::UInt16,
        DType::UInt32 => DataType::UInt32,
        DType::UInt64 => DataType::UInt64,
        DType::Float32 => DataType::Float32,
        DType::Float64 => DataType::Float64,
        DType::String => DataType::Utf8,
        DType::Date => DataType::Date32,
        DType::Datetime => DataType::Timestamp(TimeUnit::Microsecond, None),
        DType::Binary => DataType::Binary,
    };
    if column.shape.is_empty() {
        return element;
    }
    let size = column.shape.iter().product::<u64>();
    DataType::FixedSizeList(item(element), i32::try_from(size).unwrap_or(i32::MAX))
}

/// The field of a tensor's elements.
pub fn item(element: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", element, false))
}

/// The schema of a [`Table`]'s batches: every column may have missing cells.
pub fn schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(
        columns.iter().map(|column| Field::new(&column.name, arrow_type(column), true)).collect::<Vec<_>>(),
    ))
}

/// A batch of a table with these columns.
///
/// # Errors
/// When arrays do not have the types or lengths of the columns: a mistake in the program.
pub fn batch(columns: &[Column], arrays: Vec<ArrayRef>) -> Outcome<RecordBatch> {
    RecordBatch::try_new(schema(columns), arrays).map_err(|error| kernel("building a batch", &error))
}

pub(crate) fn write_fault(error: arrow::error::ArrowError) -> Fault {
    match error {
        arrow::error::ArrowError::IoError(_, error) => unwritable(&error),
        other => unwritable(&std::io::Error::other(other.to_string())),
    }
}

/// Maps a data set. Nothing is copied: arrays point into the mapping and keep it alive.
///
/// # Errors
/// `data::damaged_dataset` for anything that is not such a file.
pub fn open(path: &Path) -> Outcome<Table> {
    let shown = path.display().to_string();
    let damaged = |why: String| {
        vec![
            Fault::error(
                contract::code!("data::damaged_dataset"),
                format!("`{shown}` is not a data set of this program: {why}"),
            )
            .help("run `pipeline verify`; a damaged result is made again by the next `pipeline run`")
            .place(place(&shown, None, None)),
        ]
    };
    let file = File::open(path).map_err(|error| Faults::from(unreadable(&shown, &error)))?;
    let buffer = map(&file).map_err(|error| Faults::from(unreadable(&shown, &error)))?;
    let (schema, batches) = decode(&buffer, true).map_err(damaged)?;
    let json = schema.metadata().get(METADATA).ok_or_else(|| damaged("the `pipeline` entry is missing".into()))?;
    let dataset: DatasetType = serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
    let columns = dataset.columns.ok_or_else(|| damaged("it does not say what its columns are".into()))?;
    let loose = self::schema(&columns);
    let batches = batches
        .into_iter()
        .map(|batch| RecordBatch::try_new(loose.clone(), batch.columns().to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| damaged(error.to_string()))?;
    Ok(Table { columns, batches })
}

/// The batches of any uncompressed Arrow IPC file of 64-byte alignment, mapped.
///
/// # Errors
/// A file that cannot be read, or is something else.
pub(crate) fn mapped(path: &Path) -> Outcome<Vec<RecordBatch>> {
    decode(&map_file(path)?, true).map(|(_, batches)| batches).map_err(|why| kernel("reading back rows", &why))
}

/// The bytes of a scratch file, mapped.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn map_file(path: &Path) -> Outcome<Buffer> {
    let file = File::open(path).map_err(|error| Faults::from(unreadable(&path.display().to_string(), &error)))?;
    map(&file).map_err(|error| Faults::from(unreadable(&path.display().to_string(), &error)))
}

/// The schema and batches of an uncompressed Arrow IPC file, pointing into `buffer`. What is not `aligned` is copied, or wrong.
pub(crate) fn decode(buffer: &Buffer, aligned: bool) -> Result<(SchemaRef, Vec<RecordBatch>), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let tail = buffer.len().checked_sub(10).ok_or("it is too short")?;
    let mut trailer = [0; 10];
    trailer.copy_from_slice(&buffer[tail..]);
    let length = read_footer_length(trailer).map_err(|error| text(&error))?;
    let start = tail.checked_sub(length).ok_or("its footer is longer than the file")?;
    let footer = root_as_footer(&buffer[start..tail]).map_err(|error| text(&error))?;
    let schema = Arc::new(fb_to_schema(footer.schema().ok_or("it has no schema")?));
    let mut decoder = FileDecoder::new(schema.clone(), footer.version()).with_require_alignment(aligned);
    for block in footer.dictionaries().iter().flatten() {
        let slice = block_bytes(buffer, block).ok_or("a dictionary lies outside the file")?;
        decoder.read_dictionary(block, &slice).map_err(|error| text(&error))?;
    }
    let mut batches = Vec::new();
    for block in footer.recordBatches().iter().flatten() {
        let slice = block_bytes(buffer, block).ok_or("a batch lies outside the file")?;
        batches.extend(decoder.read_record_batch(block, &slice).map_err(|error| text(&error))?);
    }
    Ok((schema, batches))
}

fn block_bytes(buffer: &Buffer, block: &Block) -> Option<Buffer> {
    let offset = usize::try_from(block.offset()).ok()?;
    let length =
        usize::try_from(block.metaDataLength()).ok()?.checked_add(usize::try_from(block.bodyLength()).ok()?)?;
    (offset.checked_add(length)? <= buffer.len()).then(|| buffer.slice_with_length(offset, length))
}

#[expect(unsafe_code, reason = "a memory map is the zero-copy path between stages")]
fn map(file: &File) -> std::io::Result<Buffer> {
    if file.metadata()?.len() == 0 {
        return Ok(Buffer::from(&[] as &[u8]));
    }
    // SAFETY: blobs of the store are read-only and replaced by rename, never written in place; a person who truncates one
    // by hand gets a dead worker, which costs one attempt of one stage.
    let map = unsafe { memmap2::Mmap::map(file)? };
    Ok(Buffer::from(bytes::Bytes::from_owner(Mapping::new(map))))
}

/// A map that is known while it lives: [`release`] must never touch other memory.
struct Mapping(Arc<memmap2::Mmap>);

/// Every map that is alive, by its first address.
static MAPPED: Mutex<BTreeMap<usize, Weak<memmap2::Mmap>>> = Mutex::new(BTreeMap::new());

fn mappings() -> MutexGuard<'static, BTreeMap<usize, Weak<memmap2::Mmap>>> {
    MAPPED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mapping {
    fn new(map: memmap2::Mmap) -> Self {
        let map = Arc::new(map);
        mappings().insert(map.as_ptr() as usize, Arc::downgrade(&map));
        Self(map)
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        mappings().remove(&(self.0.as_ptr() as usize));
    }
}

/// Says that a column's cells are not looked at for now: pages of a mapped file are given back, and come again by themselves when
/// they are needed. Anything else is left as it is.
#[expect(unsafe_code, reason = "giving pages back is safe for maps of files only")]
pub fn release(array: &ArrayRef) {
    let mut data = vec![array.to_data()];
    while let Some(next) = data.pop() {
        let validity = next.nulls().map(|nulls| nulls.buffer());
        for bytes in next.buffers().iter().chain(validity) {
            let at = bytes.as_ptr() as usize;
            let Some(map) = mappings().range(..=at).next_back().and_then(|(_, map)| map.upgrade()) else { continue };
            let from = at - map.as_ptr() as usize;
            // Whole pages: what shares one with its neighbours stays.
            let (from, end) = (from.next_multiple_of(PAGE), from.saturating_add(bytes.len()) / PAGE * PAGE);
            if from < end && end <= map.len() {
                // SAFETY: a shared, read-only map of a file, alive as long as `map`: what is read of these pages later is the
                // file again, byte for byte.
                let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, end - from) };
            }
        }
        data.extend(next.child_data().iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        AsArray, BooleanArray, Date32Array, FixedSizeListArray, Float32Array, Int64Array, StringArray,
        TimestampMicrosecondArray, UInt8Array,
    };

    use super::*;
    use crate::table::writer::write;

    fn sample() -> Table {
        let mut image = Column::new("image", DType::UInt8);
        image.shape = vec![1, 2, 2];
        let columns = vec![
            Column::new("id", DType::Int64),
            Column::new("name", DType::String),
            Column::new("flag", DType::Bool),
            image,
            Column::new("day", DType::Date),
            Column::new("at", DType::Datetime),
            Column::new("weight", DType::Float32),
        ];
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
            Arc::new(StringArray::from(vec![Some("a"), Some(""), None])),
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
            Arc::new(FixedSizeListArray::new(
                item(DataType::UInt8),
                4,
                Arc::new(UInt8Array::from_iter_values(0..12)),
                None,
            )),
            Arc::new(Date32Array::from(vec![0, 1, 2])),
            Arc::new(TimestampMicrosecondArray::from(vec![0, 1, 2])),
            Arc::new(Float32Array::from(vec![0.5, 1.5, -0.0])),
        ];
        let batch = batch(&columns, arrays).unwrap();
        Table { columns, batches: vec![batch] }
    }

    fn bytes(table: &Table, threads: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        write(table, &path, threads).unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_mapped_and_aligned() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let table = sample();
        let dataset = write(&table, &path, 2).unwrap();
        assert_eq!(dataset.rows, Some(3));
        assert!(dataset.column("id").unwrap().nullable && !dataset.column("day").unwrap().nullable);
        let back = open(&path).unwrap();
        assert_eq!(back.columns, dataset.columns.unwrap());
        assert_eq!(back.batches, table.batches);
        let tensor = back.batches[0].column(3).as_fixed_size_list().values().to_data();
        assert_eq!(tensor.buffers()[0].as_ptr() as usize % 64, 0, "tensors are mapped where they can be used in place");
    }

    #[test]
    fn what_is_released_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let columns = vec![Column::new("n", DType::Int64), Column::new("text", DType::String)];
        let text = |row: i64| (row % 7 != 0).then(|| format!("row {row}"));
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(0..50_000)),
            Arc::new((0..50_000).map(text).collect::<StringArray>()),
        ];
        let table = Table { batches: vec![batch(&columns, arrays).unwrap()], columns };
        write(&table, &path, 1).unwrap();
        let back = open(&path).unwrap();
        let pages = || {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let ours = maps.split(path.to_str().unwrap()).nth(1).unwrap();
            let line = ours.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
            line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap()
        };
        for table in [&back, &table] {
            assert!(table.batches[0].columns().iter().all(|array| array.to_data().validate_full().is_ok()));
            table.batches[0].columns().iter().for_each(release);
            if cfg!(target_os = "linux") {
                assert!(pages() < 64, "{} KiB are still there", pages());
            }
        }
        assert_eq!(back.batches, table.batches);
    }

    #[test]
    fn bytes_follow_from_content_alone() {
        let table = sample();
        let expected = bytes(&table, 1);
        assert_eq!(bytes(&table, 5), expected, "threads");
        let cut = Table {
            columns: table.columns.clone(),
            batches: vec![table.batches[0].slice(0, 1), table.batches[0].slice(1, 2)],
        };
        assert_eq!(bytes(&cut, 1), expected, "cut elsewhere");
        let mut hidden = table.clone();
        let mut arrays = hidden.batches[0].columns().to_vec();
        arrays[0] = Arc::new(Int64Array::new(vec![1, 77, 3].into(), Some(vec![true, false, true].into())));
        arrays[1] = Arc::new(StringArray::new(
            arrow::buffer::OffsetBuffer::new(vec![0, 1, 1, 4].into()),
            Buffer::from(b"axyz"),
            Some(vec![true, true, false].into()),
        ));
        arrays[2] = Arc::new(BooleanArray::new(vec![true, false, true].into(), Some(vec![true, true, false].into())));
        hidden.batches = vec![batch(&hidden.columns, arrays).unwrap()];
        assert_eq!(bytes(&hidden, 1), expected, "what lies under a missing cell is not content");
    }

    #[test]
    fn long_tables_are_cut_at_two_to_the_twenty() {
        let columns = vec![Column::new("n", DType::Int64)];
        let rows = BATCH_ROWS + 3;
        let array: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        let table = Table { batches: vec![batch(&columns, vec![array]).unwrap()], columns };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        write(&table, &path, 2).unwrap();
        let back = open(&path).unwrap();
        assert_eq!(back.batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [BATCH_ROWS, 3]);
        assert_eq!(back.columns[0].classes, None);
    }

    #[test]
    fn damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let whole = bytes(&sample(), 1);
        for (what, bytes) in [
            ("empty", Vec::new()),
            ("short", whole[..7].to_vec()),
            ("cut", whole[..whole.len() - 40].to_vec()),
            ("foreign", b"PAR1 and so on and so forth PAR1".to_vec()),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let faults = open(&path).unwrap_err();
            assert_eq!(faults[0].code, "data::damaged_dataset", "{what}: {faults:?}");
        }
    }
}
