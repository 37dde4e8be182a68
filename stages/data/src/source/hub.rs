//! Parquet as the Hugging Face hub writes it: image columns are structs of `bytes` and `path`, class labels are numbers whose names
//! are in the schema's metadata under `huggingface`.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use catalog::params::collect::{ColorMode, ParquetFiles};
use engine::artifact::{Column, DType};
use engine::error::Fault;
use serde_json::Value;

use super::bytes::Limits;
use super::images::{Frame, decode_from, gather, image_column};
use crate::dataset::batch;
use crate::fault::{Faults, Outcome, kernel, place};

/// What of a file follows the hub's habits.
pub struct Hub {
    /// Columns of images, by position.
    pub images: Vec<usize>,
    labels: Vec<(String, Vec<String>)>,
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
        Self { images, labels: labels.collect(), mode: options.mode, size, stated: size.is_some() }
    }

    /// The batch with its images decoded.
    ///
    /// # Errors
    /// Images that are missing, broken or of differing sizes, with their rows.
    pub fn decoded(&mut self, rows: &RecordBatch, shown: &str, before: usize, limits: &Limits) -> Outcome<RecordBatch> {
        if self.images.is_empty() {
            return Ok(rows.clone());
        }
        let mut arrays = rows.columns().to_vec();
        let mut fields: Vec<Field> = rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        for index in &self.images {
            let name = fields[*index].name().clone();
            let bytes = arrays[*index].as_struct_opt().and_then(|image| image.column_by_name("bytes").cloned());
            let bytes = bytes.and_then(|bytes| cast(&bytes, &DataType::Binary).ok());
            let bytes = bytes.ok_or_else(|| kernel("reading images", &"`bytes` holds no bytes"))?;
            let bytes = bytes.as_binary::<i32>();
            let open = |row: usize| {
                let what = format!("{shown}: row {} of column `{name}`", before + row + 1);
                let at = place(shown, Some((before + row) as u64 + 1), None);
                if bytes.is_null(row) {
                    return Err(Fault::error("data::damaged_image", format!("`{what}` has no image in it"))
                        .help("images that lie beside the file are not read: write them into it")
                        .place(at));
                }
                decode_from(Cursor::new(bytes.value(row)), &what, at)
            };
            let (height, width) = match self.size {
                Some(size) => size,
                None if bytes.is_empty() => (1, 1),
                None => {
                    let first = open(0).map_err(|fault| vec![fault])?;
                    *self.size.insert((first.height(), first.width()))
                }
            };
            let frame = Frame { mode: self.mode, size: (height, width), stated: self.stated, first: "the first" };
            let called = |row: usize| {
                let row = before + row + 1;
                (format!("the image in row {row} of `{shown}`"), place(shown, Some(row as u64), None))
            };
            let list = gather(bytes.len(), &frame, limits.threads, open, called)?;
            fields[*index] = Field::new(name.clone(), list.data_type().clone(), false);
            arrays[*index] = list;
        }
        let schema = Schema::new_with_metadata(fields, rows.schema().metadata().clone());
        RecordBatch::try_new(Arc::new(schema), arrays).map_err(|error| kernel("reading images", &error))
    }

    /// Gives image columns their shape, once it is known.
    pub fn shape(&self, columns: &mut [Column]) {
        if let Some((height, width)) = self.size {
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
        before: usize,
    ) -> Outcome<(Vec<Column>, RecordBatch)> {
        let mut columns = columns.to_vec();
        let mut arrays = rows.columns().to_vec();
        let mut faults = Faults::default();
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
                let text = number.filter(|number| *number != -1).map(|number| {
                    let text = usize::try_from(number).ok().and_then(|number| names.get(number));
                    if text.is_none() {
                        let row = before + row + 1;
                        faults.add(|| {
                            Fault::error(
                                "data::cell",
                                format!(
                                    "{number} in row {row} of column `{name}` has no name among {} classes",
                                    names.len()
                                ),
                            )
                            .help("the file's own metadata lists too few names: write it again")
                            .place(place(shown, Some(row as u64), Some(index as u64 + 1)))
                        });
                    }
                    text.map_or("", String::as_str)
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
        Ok((columns, rows))
    }
}
