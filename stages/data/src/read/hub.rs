//! Parquet as the Hugging Face hub writes it: image columns are structs of `bytes` and `path`, class labels are numbers whose names
//! are in the schema's metadata under `huggingface`.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use catalog::kinds::collect::params::{ColorMode, ParquetFiles};
use contract::artifact::{Column, DType};
use contract::fault::Fault;
use serde_json::Value;

use super::images::{Frame, decode_from, gather, image_column};
use super::normal::leave_out;
use super::reading::Reading;
use crate::fault::{FaultList, Outcome, kernel, place};
use crate::table::dataset::batch;

/// What of a file follows the hub's habits.
pub struct Hub {
    /// Columns of images, by position.
    pub images: Vec<usize>,
    labels: Vec<(String, Vec<String>)>,
    decode: bool,
    mode: ColorMode,
    size: Option<(u32, u32)>,
    stated: bool,
}

impl Hub {
    /// Looks at a schema.
    pub fn of(schema: &Schema, options: &ParquetFiles) -> Self {
        let image = |field: &Field| match field.data_type() {
            DataType::Struct(fields) => {
                fields.len() == 2
                    && fields.iter().any(|field| field.name() == "bytes")
                    && fields.iter().any(|field| field.name() == "path")
            }
            _ => false,
        };
        let images =
            schema.fields().iter().enumerate().filter(|(_, field)| image(field)).map(|(index, _)| index).collect();
        let about: Option<Value> =
            schema.metadata().get("huggingface").and_then(|json| serde_json::from_str(json).ok());
        let features = about.as_ref().and_then(|about| about.pointer("/info/features")).and_then(Value::as_object);
        let labels = features.into_iter().flatten().filter_map(|(name, feature)| {
            let names = feature.get("names").filter(|_| feature["_type"] == "ClassLabel")?.as_array()?;
            Some((name.clone(), names.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
        });
        let size = options.size.map(|[height, width]| (height, width));
        let (decode, mode, stated) = (options.decode, options.mode, size.is_some());
        Self { images, labels: labels.collect(), decode, mode, size, stated }
    }

    /// The batch with its images decoded, or as their bytes. `numbers` are as in [`super::normal::read_rows`].
    ///
    /// # Errors
    /// Images that are missing, broken or of differing sizes, with their rows.
    pub fn decoded(
        &mut self,
        rows: &RecordBatch,
        shown: &str,
        numbers: &mut Vec<u64>,
        reading: &Reading<'_>,
    ) -> Outcome<RecordBatch> {
        let mut rows = rows.clone();
        for index in self.images.clone() {
            rows = self.decoded_column(&rows, index, shown, numbers, reading)?;
        }
        Ok(rows)
    }

    fn decoded_column(
        &mut self,
        rows: &RecordBatch,
        index: usize,
        shown: &str,
        numbers: &mut Vec<u64>,
        reading: &Reading<'_>,
    ) -> Outcome<RecordBatch> {
        let schema = rows.schema();
        let name = schema.field(index).name();
        let bytes = rows.column(index).as_struct_opt().and_then(|image| image.column_by_name("bytes").cloned());
        let bytes = bytes.and_then(|bytes| cast(&bytes, &DataType::Binary).ok());
        let bytes = bytes.ok_or_else(|| kernel("reading images", &"`bytes` holds no bytes"))?;
        let with = |rows: &RecordBatch, array: ArrayRef| {
            let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
            fields[index] = Field::new(name, array.data_type().clone(), array.null_count() > 0);
            let mut arrays = rows.columns().to_vec();
            arrays[index] = array;
            let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
            RecordBatch::try_new(Arc::new(schema), arrays).map_err(|error| kernel("reading images", &error))
        };
        if !self.decode {
            // An image's own absence is in the struct, not in its bytes.
            let absent = rows.column(index).nulls().cloned();
            let cells = bytes.as_binary::<i32>();
            let nulls = arrow::buffer::NullBuffer::union(absent.as_ref(), cells.nulls());
            let cells = arrow::array::BinaryArray::new(cells.offsets().clone(), cells.values().clone(), nulls);
            return with(rows, Arc::new(cells));
        }
        let images = bytes.as_binary::<i32>();
        let known: &[u64] = numbers;
        let called = |row: usize| {
            let row = known[row] + 1;
            (format!("the image in row {row} of column `{name}` of `{shown}`"), place(shown, Some(row), None))
        };
        let open = |row: usize| {
            let (what, at) = called(row);
            if images.is_null(row) {
                return Err(Fault::error(contract::code!("data::damaged_image"), format!("{what} is not there"))
                    .help("images that lie beside the file are not read: write them into it, or leave such rows out with `on_error: reject`")
                    .place(at));
            }
            decode_from(Cursor::new(images.value(row)), &what, at)
        };
        let lenient = reading.refusals.reject();
        let (height, width) = match self.size {
            Some(size) => size,
            None => {
                let first = (0..images.len()).map(&open).find(|image| image.is_ok() || !lenient);
                match first {
                    // Broken ones are found again below.
                    None => (1, 1),
                    Some(first) => {
                        let first = first?;
                        *self.size.insert((first.height(), first.width()))
                    }
                }
            }
        };
        let frame = Frame { mode: self.mode, size: (height, width), stated: self.stated, first: "the first", lenient };
        let (list, bad) = gather(images.len(), &frame, reading.limits.threads, open, called)?;
        if bad.is_empty() {
            return with(rows, list);
        }
        let bad: BTreeMap<usize, Fault> = bad.into_iter().collect();
        let left = leave_out(rows, bad, shown, numbers, reading)?;
        with(&left, list)
    }

    /// Gives image columns their shape, once it is known.
    pub fn shape(&self, columns: &mut [Column]) {
        if let Some((height, width)) = self.size.filter(|_| self.decode) {
            for index in &self.images {
                columns[*index].shape = image_column("", self.mode, height, width).shape;
            }
        }
    }

    /// Class labels by their names; `-1` is how the hub writes a missing one.
    ///
    /// # Errors
    /// Numbers that have no name, with their rows.
    pub fn named(
        &self,
        columns: &[Column],
        rows: RecordBatch,
        shown: &str,
        numbers: &mut Vec<u64>,
        reading: &Reading<'_>,
    ) -> Outcome<(Vec<Column>, RecordBatch)> {
        let mut columns = columns.to_vec();
        let mut arrays = rows.columns().to_vec();
        let mut faults = FaultList::default();
        let mut bad: BTreeMap<usize, Fault> = BTreeMap::new();
        let places = numbers.clone();
        let mut changed = false;
        for (name, names) in &self.labels {
            let Some(index) = columns.iter().position(|column| column.name == *name && column.dtype.is_integer())
            else {
                continue;
            };
            let numbers: ArrayRef =
                cast(&arrays[index], &DataType::Int64).map_err(|error| kernel("naming labels", &error))?;
            let numbers =
                numbers.as_any().downcast_ref::<Int64Array>().cloned().unwrap_or_else(|| Int64Array::from(vec![0; 0]));
            let mut texts: Vec<Option<&str>> = Vec::with_capacity(numbers.len());
            for (row, number) in numbers.iter().enumerate() {
                let text = number.filter(|number| *number != -1).and_then(|number| {
                    let text = usize::try_from(number).ok().and_then(|number| names.get(number));
                    if text.is_none() {
                        let number_of = places[row] + 1;
                        let fault = || {
                            Fault::error(
                                contract::code!("data::cell"),
                                format!(
                                    "{number} in row {number_of} of column `{name}` has no name among {} classes",
                                    names.len()
                                ),
                            )
                            .help("the file's own metadata lists too few names: write it again")
                            .place(place(shown, Some(number_of), Some(index as u64 + 1)))
                        };
                        if reading.refusals.reject() {
                            bad.entry(row).or_insert_with(fault);
                        } else if reading.refusals.fill() {
                            reading.refusals.filled(1, 1, Some(fault()));
                        } else {
                            faults.add(fault);
                        }
                    }
                    text.map(String::as_str)
                });
                texts.push(text);
            }
            columns[index].dtype = DType::String;
            arrays[index] = Arc::new(texts.into_iter().collect::<StringArray>());
            changed = true;
        }
        if !faults.is_empty() {
            return Err(faults.into_vec());
        }
        let rows = if changed { batch(&columns, arrays)? } else { rows };
        let rows = if bad.is_empty() { rows } else { leave_out(&rows, bad, shown, numbers, reading)? };
        Ok((columns, rows))
    }
}
