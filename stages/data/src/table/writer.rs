//! Writes a data set column by column and piece by piece: it takes the memory of a few pieces, however large the table is.
//!
//! Two passes. The first finds what stands in the schema, at the head of the file (missing cells, classes), and how long every
//! buffer will be; with that the place of each is known, and the second writes them where they belong. The bytes are
//! those Arrow's own `FileWriter` gives for whole batches (a test compares them), after what `docs/dataset.md` promises:
//! zeros under missing cells, no gaps in text, no spare bits.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::convert::IpcSchemaEncoder;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, write_message};
use arrow::ipc::{
    Block, Buffer, FieldNode, FooterBuilder, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder,
};
use contract::artifact::{Column, DatasetType};
use contract::fault::{Fault, Faults};
use flatbuffers::FlatBufferBuilder;

use crate::fault::{Outcome, kernel, unwritable};
use crate::table::classes::Census;
use crate::table::dataset::{BATCH_ROWS, METADATA, Table, arrow_type, write_fault};
use crate::threads;

/// Every buffer and message begins at a multiple of so many bytes.
const ALIGNMENT: usize = 64;
/// The first and the last bytes of a file.
const MAGIC: &[u8; 6] = b"ARROW1";
/// Bytes of one buffer held before they are written.
const HELD: usize = 1 << 18;

/// Rows that can be asked for piece by piece and column by column, more than once.
pub trait Rows: Sync {
    /// The columns; `nullable` and `classes` are found anew.
    fn columns(&self) -> &[Column];
    /// How many rows each piece has.
    fn lengths(&self) -> Vec<usize>;
    /// The cells of a column in a piece.
    ///
    /// # Errors
    /// Whatever making them costs.
    fn cells(&self, piece: usize, column: usize) -> Outcome<ArrayRef>;
}

impl Rows for Table {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn lengths(&self) -> Vec<usize> {
        self.batches.iter().map(arrow::array::RecordBatch::num_rows).collect()
    }

    fn cells(&self, piece: usize, column: usize) -> Outcome<ArrayRef> {
        Ok(self.batches[piece].column(column).clone())
    }
}

/// Rows `from .. from + count` of a piece.
struct Cut {
    piece: usize,
    from: usize,
    count: usize,
}

/// The pieces of each batch of the file.
fn batches(lengths: &[usize]) -> Vec<Vec<Cut>> {
    let mut batches: Vec<Vec<Cut>> = Vec::new();
    let mut room = 0;
    for (piece, length) in lengths.iter().enumerate() {
        let mut from = 0;
        while from < *length {
            if room == 0 {
                batches.push(Vec::new());
                room = BATCH_ROWS;
            }
            let count = room.min(length - from);
            if let Some(batch) = batches.last_mut() {
                batch.push(Cut { piece, from, count });
            }
            from += count;
            room -= count;
        }
    }
    batches
}

/// What the first pass finds of a column.
struct Facts {
    census: Census,
    /// Of each batch: missing cells, and bytes of text.
    batches: Vec<(usize, usize)>,
}

/// Writes rows and says what they truly are (missing cells, classes and rows are found here).
///
/// # Errors
/// A disk that is full or read-only; text of more than 2 GiB in one column of one batch.
pub fn write(rows: &dyn Rows, path: &Path, threads: usize) -> Outcome<DatasetType> {
    let lengths = rows.lengths();
    let batches = batches(&lengths);
    let mut columns = rows.columns().to_vec();
    let facts: Vec<Mutex<Facts>> = columns
        .iter()
        .map(|column| Mutex::new(Facts { census: Census::new(&arrow_type(column)), batches: Vec::new() }))
        .collect();
    // Batch by batch, so that what is mapped is read once from one end to the other.
    for cuts in &batches {
        let done = threads::map(columns.len(), threads, |column| {
            facts[column].lock().map_or(Ok(()), |mut facts| look(rows, column, cuts, &mut facts))
        });
        done.into_iter().collect::<Outcome<()>>()?;
    }
    let mut extents = Vec::with_capacity(columns.len());
    for (column, facts) in columns.iter_mut().zip(facts) {
        let Ok(facts) = facts.into_inner() else {
            return Err(kernel("looking at cells", &"a thread ended early"));
        };
        column.nullable = facts.batches.iter().any(|(nulls, _)| *nulls > 0);
        column.classes = if column.shape.is_empty() && !batches.is_empty() { facts.census.finish() } else { None };
        extents.push(facts.batches);
    }
    let total = lengths.iter().sum::<usize>() as u64;
    let dataset = DatasetType { columns: Some(columns), rows: Some(total), ..DatasetType::default() };
    let columns = dataset.columns.as_deref().unwrap_or_default();

    let file = File::create(path).map_err(|error| Faults::from(unwritable(&error)))?;
    let schema = stored_schema(&dataset);
    let head = head(&schema)?;
    put(&file, &head, 0)?;
    let mut at = head.len() as u64;
    let mut blocks = Vec::with_capacity(batches.len());
    for (index, cuts) in batches.iter().enumerate() {
        let count: usize = cuts.iter().map(|cut| cut.count).sum();
        let mut layout = Layout::default();
        for (column, extents) in columns.iter().zip(&extents) {
            layout.column(column, count, extents[index]);
        }
        let message = layout.message(count);
        put(&file, &message, at)?;
        let body = at + message.len() as u64;
        let done = threads::map(columns.len(), threads, |column| {
            let fields = layout.firsts[column];
            fill(rows, column, cuts, &Place { file: &file, body, buffers: &layout.buffers[fields..] })
        });
        done.into_iter().collect::<Outcome<()>>()?;
        blocks.push(Block::new(at as i64, message.len() as i32, layout.length as i64));
        at = body + layout.length as u64;
    }
    put(&file, &foot(&schema, &blocks), at)?;
    Ok(dataset)
}

fn put(file: &File, bytes: &[u8], at: u64) -> Outcome<()> {
    file.write_all_at(bytes, at).map_err(|error| Faults::from(unwritable(&error)))
}

/// The first pass over a column's pieces of one batch.
fn look(rows: &dyn Rows, column: usize, cuts: &[Cut], facts: &mut Facts) -> Outcome<()> {
    let (mut nulls, mut bytes, mut count) = (0, 0usize, 0);
    for cut in cuts {
        let array = rows.cells(cut.piece, column)?.slice(cut.from, cut.count);
        nulls += array.null_count();
        bytes += text(&array).map_or(0, |text| text.bytes());
        count += cut.count;
        facts.census.add(&array);
    }
    if bytes > i32::MAX as usize {
        let name = &rows.columns()[column].name;
        return Err(Faults::from(
            Fault::error(
                contract::code!("data::too_large"),
                format!("column `{name}` has more than 2 GiB of text in {count} rows"),
            )
            .help("drop or shorten the column, or collect fewer rows"),
        ));
    }
    facts.batches.push((nulls, bytes));
    Ok(())
}

/// The schema as stored: true nullability, and the metadata entry.
fn stored_schema(dataset: &DatasetType) -> Schema {
    let columns = dataset.columns.as_deref().unwrap_or_default();
    let fields: Vec<Field> =
        columns.iter().map(|column| Field::new(&column.name, arrow_type(column), column.nullable)).collect();
    let json = serde_json::to_string(dataset).unwrap_or_default();
    Schema::new_with_metadata(fields, HashMap::from([(METADATA.to_owned(), json)]))
}

/// The magic and the schema's message.
fn head(schema: &Schema) -> Outcome<Vec<u8>> {
    let options =
        IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5).map_err(|error| kernel("writing", &error))?;
    let mut head = MAGIC.to_vec();
    head.resize(ALIGNMENT, 0);
    let mut tracker = DictionaryTracker::new(true);
    let message = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    write_message(&mut head, message, &options).map_err(|error| Faults::from(write_fault(error)))?;
    Ok(head)
}

/// The end of the messages, and where they are.
fn foot(schema: &Schema, blocks: &[Block]) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let none: [Block; 0] = [];
    let dictionaries = builder.create_vector(&none);
    let batches = builder.create_vector(blocks);
    let mut tracker = DictionaryTracker::new(true);
    let schema =
        IpcSchemaEncoder::new().with_dictionary_tracker(&mut tracker).schema_to_fb_offset(&mut builder, schema);
    let mut footer = FooterBuilder::new(&mut builder);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(dictionaries);
    footer.add_recordBatches(batches);
    let root = footer.finish();
    builder.finish(root, None);
    let footer = builder.finished_data();
    let mut foot = vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    foot.extend_from_slice(footer);
    foot.extend_from_slice(&(footer.len() as i32).to_le_bytes());
    foot.extend_from_slice(MAGIC);
    foot
}

/// Where everything of a batch goes.
#[derive(Default)]
struct Layout {
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    /// The first buffer of each column.
    firsts: Vec<usize>,
    length: usize,
}

impl Layout {
    fn column(&mut self, column: &Column, count: usize, (nulls, bytes): (usize, usize)) {
        self.firsts.push(self.buffers.len());
        self.node(count, nulls);
        match arrow_type(column) {
            DataType::FixedSizeList(field, size) => {
                let elements = count * size as usize;
                self.node(elements, 0);
                self.buffer(values(field.data_type(), elements));
            }
            DataType::Utf8 | DataType::Binary => {
                self.buffer((count + 1) * 4);
                self.buffer(bytes);
            }
            other => self.buffer(values(&other, count)),
        }
    }

    /// A field and its validity.
    fn node(&mut self, count: usize, nulls: usize) {
        self.nodes.push(FieldNode::new(count as i64, nulls as i64));
        self.buffer(if nulls > 0 { count.div_ceil(8) } else { 0 });
    }

    fn buffer(&mut self, length: usize) {
        self.buffers.push(Buffer::new(self.length as i64, length as i64));
        self.length += length.next_multiple_of(ALIGNMENT);
    }

    /// The message, without its body, padded.
    fn message(&self, count: usize) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let buffers = builder.create_vector(&self.buffers);
        let nodes = builder.create_vector(&self.nodes);
        let mut batch = RecordBatchBuilder::new(&mut builder);
        batch.add_length(count as i64);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        let root = batch.finish().as_union_value();
        let mut message = MessageBuilder::new(&mut builder);
        message.add_version(MetadataVersion::V5);
        message.add_header_type(MessageHeader::RecordBatch);
        message.add_bodyLength(self.length as i64);
        message.add_header(root);
        let root = message.finish();
        builder.finish(root, None);
        let metadata = builder.finished_data();
        let length = (metadata.len() + 8).next_multiple_of(ALIGNMENT);
        let mut bytes = vec![0xff; 4];
        bytes.extend_from_slice(&(length as i32 - 8).to_le_bytes());
        bytes.extend_from_slice(metadata);
        bytes.resize(length, 0);
        bytes
    }
}

/// Bytes of so many values.
fn values(data_type: &DataType, count: usize) -> usize {
    data_type.primitive_width().map_or_else(|| count.div_ceil(8), |width| count * width)
}

/// Where the buffers of a column lie.
struct Place<'a> {
    file: &'a File,
    body: u64,
    buffers: &'a [Buffer],
}

impl<'a> Place<'a> {
    fn lane(&self, buffer: usize) -> Lane<'a> {
        Lane { file: self.file, at: self.body + self.buffers[buffer].offset() as u64, held: Vec::new() }
    }

    fn length(&self, buffer: usize) -> usize {
        self.buffers[buffer].length() as usize
    }
}

/// One buffer being written, front to back.
struct Lane<'a> {
    file: &'a File,
    at: u64,
    held: Vec<u8>,
}

impl Lane<'_> {
    fn put(&mut self, bytes: &[u8]) -> Outcome<()> {
        if self.held.len() + bytes.len() > HELD {
            self.flush()?;
        }
        if bytes.len() <= HELD / 2 {
            self.held.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush()?;
        put(self.file, bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Outcome<()> {
        put(self.file, &self.held, self.at)?;
        self.at += self.held.len() as u64;
        self.held.clear();
        Ok(())
    }
}

/// Which cells are there, bit by bit.
struct Bits(BooleanBufferBuilder);

impl Bits {
    fn validity(&mut self, array: &ArrayRef) {
        match array.nulls() {
            Some(nulls) => self.0.append_buffer(nulls.inner()),
            None => self.0.append_n(array.len(), true),
        }
    }

    fn write(mut self, mut lane: Lane<'_>) -> Outcome<()> {
        let bits = self.0.finish();
        lane.put(&bits.inner().as_slice()[..bits.len().div_ceil(8)])?;
        lane.flush()
    }
}

fn missing(array: &ArrayRef) -> Option<&NullBuffer> {
    array.nulls().filter(|nulls| nulls.null_count() > 0)
}

/// The second pass over a column's pieces of one batch.
fn fill(rows: &dyn Rows, column: usize, cuts: &[Cut], place: &Place<'_>) -> Outcome<()> {
    let count: usize = cuts.iter().map(|cut| cut.count).sum();
    let nullable = place.length(0) > 0;
    let mut validity = Bits(BooleanBufferBuilder::new(if nullable { count } else { 0 }));
    let mut values = Values::new(&arrow_type(&rows.columns()[column]), place, count)?;
    for cut in cuts {
        let array = rows.cells(cut.piece, column)?.slice(cut.from, cut.count);
        if nullable {
            validity.validity(&array);
        }
        values.put(&array)?;
    }
    values.finish(place)?;
    if nullable { validity.write(place.lane(0)) } else { Ok(()) }
}

/// The cells of a column being written.
enum Values<'a> {
    Bits(usize, Bits),
    Numbers(Lane<'a>, Vec<u8>),
    Text { offsets: Lane<'a>, bytes: Lane<'a>, end: i32 },
    List(Box<Values<'a>>, usize),
}

impl<'a> Values<'a> {
    fn new(data_type: &DataType, place: &Place<'a>, count: usize) -> Outcome<Self> {
        Ok(match data_type {
            DataType::Boolean => Self::Bits(1, Bits(BooleanBufferBuilder::new(count))),
            DataType::Utf8 | DataType::Binary => {
                let mut offsets = place.lane(1);
                offsets.put(&0i32.to_le_bytes())?;
                Self::Text { offsets, bytes: place.lane(2), end: 0 }
            }
            DataType::FixedSizeList(field, size) => {
                let size = *size as usize;
                let elements = if *field.data_type() == DataType::Boolean {
                    Self::Bits(2, Bits(BooleanBufferBuilder::new(count * size)))
                } else {
                    Self::Numbers(place.lane(2), Vec::new())
                };
                Self::List(Box::new(elements), size)
            }
            _ => Self::Numbers(place.lane(1), Vec::new()),
        })
    }

    fn put(&mut self, array: &ArrayRef) -> Outcome<()> {
        match self {
            Self::Bits(_, bits) => {
                let array = array.as_boolean();
                let shown: BooleanBuffer = match array.nulls() {
                    Some(nulls) => array.values() & nulls.inner(),
                    None => array.values().clone(),
                };
                bits.0.append_buffer(&shown);
                Ok(())
            }
            Self::Numbers(lane, scratch) => {
                let data = array.to_data();
                let Some(width) = data.data_type().primitive_width() else {
                    return Err(kernel("writing", &format!("{} has no numbers", data.data_type())));
                };
                let bytes = &data.buffers()[0].as_slice()[data.offset() * width..(data.offset() + data.len()) * width];
                let Some(nulls) = missing(array) else { return lane.put(bytes) };
                scratch.clear();
                scratch.extend_from_slice(bytes);
                for row in (!nulls.inner()).set_indices() {
                    scratch[row * width..(row + 1) * width].fill(0);
                }
                lane.put(scratch)
            }
            Self::Text { offsets, bytes, end } => match text(array) {
                Some(text) => text.put(offsets, bytes, end),
                None => Err(kernel("writing", &format!("{} is no text", array.data_type()))),
            },
            Self::List(elements, size) => {
                let list = array.as_fixed_size_list();
                let start = if array.is_empty() { 0 } else { list.value_offset(0) as usize };
                elements.put(&list.values().slice(start, array.len() * *size))
            }
        }
    }

    fn finish(self, place: &Place<'_>) -> Outcome<()> {
        match self {
            Self::Bits(buffer, bits) => bits.write(place.lane(buffer)),
            Self::Numbers(mut lane, _) => lane.flush(),
            Self::Text { mut offsets, mut bytes, .. } => {
                offsets.flush()?;
                bytes.flush()
            }
            Self::List(elements, _) => elements.finish(place),
        }
    }
}

/// An array of texts or bytes.
struct Text<'a> {
    offsets: &'a [i32],
    bytes: &'a [u8],
    /// Missing cells, where one of them has bytes under it.
    hidden: Option<&'a NullBuffer>,
}

fn text(array: &ArrayRef) -> Option<Text<'_>> {
    let (offsets, bytes): (&[i32], &[u8]) = match array.data_type() {
        DataType::Utf8 => (array.as_string::<i32>().value_offsets(), array.as_string::<i32>().value_data()),
        DataType::Binary => (array.as_binary::<i32>().value_offsets(), array.as_binary::<i32>().value_data()),
        _ => return None,
    };
    let hides = |nulls: &&NullBuffer| (!nulls.inner()).set_indices().any(|row| offsets[row] != offsets[row + 1]);
    Some(Text { offsets, bytes, hidden: missing(array).filter(hides) })
}

impl Text<'_> {
    /// Bytes of the cells that are there.
    fn bytes(&self) -> usize {
        let all = self.offsets.last().copied().unwrap_or_default() - self.offsets.first().copied().unwrap_or_default();
        let under = self.hidden.map_or(0, |nulls| {
            (!nulls.inner()).set_indices().map(|row| (self.offsets[row + 1] - self.offsets[row]) as usize).sum()
        });
        all as usize - under
    }

    fn put(&self, offsets: &mut Lane<'_>, bytes: &mut Lane<'_>, end: &mut i32) -> Outcome<()> {
        let first = self.offsets.first().copied().unwrap_or_default();
        let last = self.offsets.last().copied().unwrap_or_default();
        let Some(nulls) = self.hidden else {
            let shift = *end - first;
            let moved: Vec<u8> =
                self.offsets.iter().skip(1).flat_map(|offset| (offset + shift).to_le_bytes()).collect();
            *end = last + shift;
            offsets.put(&moved)?;
            return bytes.put(&self.bytes[first as usize..last as usize]);
        };
        for (row, cell) in self.offsets.windows(2).enumerate() {
            if nulls.is_valid(row) {
                bytes.put(&self.bytes[cell[0] as usize..cell[1] as usize])?;
                *end += cell[1] - cell[0];
            }
            offsets.put(&end.to_le_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, FixedSizeListArray, Float64Array, Int64Array, RecordBatch, StringArray,
        UInt8Array,
    };
    use arrow::compute::concat;
    use arrow::ipc::writer::FileWriter;
    use contract::artifact::DType;
    use proptest::prelude::*;

    use super::*;
    use crate::table::dataset::{batch, item};

    /// Columns of every layout over rows that are missing where `there` says so.
    fn table(there: &[bool], cuts: &[usize]) -> Table {
        let rows = there.len();
        let mut tensor = Column::new("tensor", DType::UInt8);
        tensor.shape = vec![3];
        let columns = vec![
            Column::new("int", DType::Int64),
            Column::new("float", DType::Float64),
            Column::new("flag", DType::Bool),
            Column::new("text", DType::String),
            Column::new("bytes", DType::Binary),
            Column::new("day", DType::Date),
            tensor,
            Column::new("whole", DType::String),
        ];
        let cell = |row: usize| there[row].then(|| "x".repeat(row % 5));
        let arrays: Vec<ArrayRef> = vec![
            Arc::new((0..rows).map(|row| there[row].then_some(row as i64 * 7)).collect::<Int64Array>()),
            Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / 3.0))),
            Arc::new((0..rows).map(|row| there[row].then_some(row % 3 == 0)).collect::<BooleanArray>()),
            Arc::new((0..rows).map(cell).collect::<StringArray>()),
            Arc::new((0..rows).map(|row| cell(row).map(String::into_bytes)).collect::<BinaryArray>()),
            Arc::new((0..rows).map(|row| there[row].then_some(row as i32)).collect::<Date32Array>()),
            Arc::new(FixedSizeListArray::new(
                item(DataType::UInt8),
                3,
                Arc::new(UInt8Array::from_iter_values((0..rows * 3).map(|element| element as u8))),
                None,
            )),
            Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("row {row}")))),
        ];
        let whole = batch(&columns, arrays).unwrap();
        let mut batches = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().copied().filter(|cut| *cut <= rows).chain([rows]) {
            if cut > from {
                batches.push(whole.slice(from, cut - from));
                from = cut;
            }
        }
        Table { columns, batches }
    }

    /// The bytes Arrow's own writer gives, batches put together first.
    fn expected(table: &Table, dataset: &DatasetType) -> Vec<u8> {
        let schema = Arc::new(stored_schema(dataset));
        let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5).unwrap();
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
        let arrays = (0..table.columns.len())
            .map(|column| {
                let pieces = table.pieces(column);
                concat(&pieces.iter().map(|piece| piece.as_ref() as &dyn Array).collect::<Vec<_>>()).unwrap()
            })
            .collect();
        writer.write(&RecordBatch::try_new(schema, arrays).unwrap()).unwrap();
        writer.into_inner().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_bytes_are_those_of_arrows_own_writer(
            there in proptest::collection::vec(any::<bool>(), 1..200),
            mut cuts in proptest::collection::vec(1usize..200, 0..6),
            threads in 1usize..4,
        ) {
            cuts.sort_unstable();
            let table = table(&there, &cuts);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("data");
            let dataset = write(&table, &path, threads).unwrap();
            prop_assert_eq!(std::fs::read(&path).unwrap(), expected(&table, &dataset));
            let back = crate::table::dataset::open(&path).unwrap();
            prop_assert_eq!(back.rows(), there.len());
        }
    }

    #[test]
    fn long_pieces_are_written_behind_short_ones() {
        let there: Vec<bool> = (0..150_000).map(|row| row % 11 != 3).collect();
        let table = table(&there, &[10, 40_000, 90_000, 90_001]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let dataset = write(&table, &path, 2).unwrap();
        assert!(std::fs::read(&path).unwrap() == expected(&table, &dataset));
    }

    #[test]
    fn a_table_without_rows_is_a_file_without_batches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let none = Table { columns: table(&[true], &[]).columns, batches: Vec::new() };
        let dataset = write(&none, &path, 2).unwrap();
        assert_eq!((dataset.rows, dataset.columns.unwrap()[0].classes.clone()), (Some(0), None));
        assert_eq!(crate::table::dataset::open(&path).unwrap().rows(), 0);
    }
}
