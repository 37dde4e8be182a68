//! A data set for people: its columns, its first rows, and what can be said of every column; or all of it as CSV.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::{cast, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Float64Type};
use contract::artifact::Column;
use contract::fault::{Fault, Faults};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::fault::{Outcome, kernel, unwritable};
use crate::step::expression::Condition;
use crate::table::classes::classes;
use crate::table::dataset::{Table, open};
use crate::table::display::{cell, value};
use crate::table::missing::missing;
use crate::threads;

/// What is asked of a data set in the store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// The data set's file.
    pub path: std::path::PathBuf,
    /// How many of the first rows are wanted.
    #[serde(default)]
    pub head: usize,
    /// Whether every column is to be described (reads all rows).
    #[serde(default)]
    pub describe: bool,
    /// So many rows at random in place of the first.
    #[serde(default)]
    pub sample: Option<u64>,
    /// Only rows for which this SQL expression is true.
    #[serde(default, rename = "where")]
    pub filter: Option<String>,
    /// Where to write all rows, in the form the suffix names.
    #[serde(default)]
    pub to: Option<std::path::PathBuf>,
}

/// What is said of a column.
#[derive(Debug, Serialize)]
struct Described {
    missing: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    distinct: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
}

/// `{"rows": n, "columns": [{…, "type", "missing", "distinct", "min", "max", "mean"}], "head": [["…"]]}`: columns are
/// [`Column`]s with more entries; in
/// `head` a missing cell is null and everything else is text; tensors are shortened.
///
/// # Errors
/// A file that is no data set; a CSV that cannot be written.
pub fn show(ask: &Show) -> Outcome<Value> {
    let mut table = open(&ask.path)?;
    let rows = table.rows();
    if let Some(text) = &ask.filter {
        let condition = Condition::new(text, &table.columns)?;
        let kept = table.batches.iter().map(|batch| {
            let mask = condition.evaluate(batch).map_err(|error| {
                let text = format!("`{text}` has no value for some row: {error}");
                vec![
                    Fault::error(contract::code!("data::expression_value"), text)
                        .help("exclude such rows first: `x <> 0 AND y / x > 1`"),
                ]
            })?;
            filter_record_batch(batch, &mask).map_err(|error| kernel("choosing rows", &error))
        });
        table.batches = kept.collect::<Outcome<Vec<_>>>()?;
    }
    let matching = table.rows();
    if let Some(path) = &ask.to {
        export(&table, path)?;
    }
    let shown = match ask.sample {
        None => head(&table, ask.head),
        Some(wanted) => head(&sampled(&table, wanted)?, usize::MAX),
    };
    let columns: Vec<Value> = threads::map(table.columns.len(), if ask.describe { 4 } else { 1 }, |index| {
        let column = &table.columns[index];
        let mut value = json!(column);
        value["type"] = json!(column.type_name());
        if ask.describe
            && let Ok(Value::Object(described)) = serde_json::to_value(describe(column, &table.pieces(index)))
            && let Value::Object(map) = &mut value
        {
            map.extend(described);
        }
        value
    });
    let mut answer = json!({ "rows": rows, "columns": columns, "head": shown });
    if ask.filter.is_some() {
        answer["matching"] = json!(matching);
    }
    Ok(answer)
}

/// Some rows at random, in their order (the same ones every time).
fn sampled(table: &Table, wanted: u64) -> Outcome<Table> {
    let (mut left, mut wanted) = (table.rows() as u64, wanted.min(table.rows() as u64));
    let mut chance = Chance::new(*b"pipeline show  1", 0);
    let mut batches = Vec::new();
    for rows in &table.batches {
        let mut chosen: Vec<u64> = Vec::new();
        for row in 0..rows.num_rows() as u64 {
            if chance.below(left) < wanted {
                chosen.push(row);
                wanted -= 1;
            }
            left -= 1;
        }
        let kept = take_record_batch(rows, &UInt64Array::from(chosen));
        batches.push(kept.map_err(|error| kernel("choosing rows", &error))?);
    }
    Ok(Table { columns: table.columns.clone(), batches })
}

/// All rows as a file of the form its suffix names: CSV, TSV, JSON Lines, Parquet, or a contact sheet of images.
///
/// # Errors
/// A disk that is full or read-only; a contact sheet of rows that have no images.
pub fn export(table: &Table, path: &Path) -> Outcome<()> {
    let suffix = path.extension().map(|suffix| suffix.to_string_lossy().to_lowercase()).unwrap_or_default();
    match suffix.as_str() {
        "tsv" => write_delimited(table, path, '\t'),
        "jsonl" | "ndjson" => write_jsonl(table, path),
        "parquet" => write_parquet(table, path),
        "png" => write_sheet(table, path),
        _ => write_csv(table, path),
    }
}

fn create(path: &Path) -> Outcome<BufWriter<File>> {
    Ok(BufWriter::with_capacity(1 << 20, File::create(path).map_err(|error| Faults::from(unwritable(&error)))?))
}

fn write_jsonl(table: &Table, path: &Path) -> Outcome<()> {
    let fault = |error: std::io::Error| Faults::from(unwritable(&error));
    let mut out = create(path)?;
    for batch in &table.batches {
        for row in 0..batch.num_rows() {
            // In the order of the columns, which a map would not keep.
            for (index, (column, array)) in table.columns.iter().zip(batch.columns()).enumerate() {
                let between = if index == 0 { '{' } else { ',' };
                let name = Value::String(column.name.clone());
                write!(out, "{between}{name}:{}", value(array, row, usize::MAX)).map_err(fault)?;
            }
            writeln!(out, "{}", if table.columns.is_empty() { "{}" } else { "}" }).map_err(fault)?;
        }
    }
    out.flush().map_err(fault)
}

fn write_parquet(table: &Table, path: &Path) -> Outcome<()> {
    let fail =
        |error: parquet::errors::ParquetError| Faults::from(unwritable(&std::io::Error::other(error.to_string())));
    let schema = crate::table::dataset::schema(&table.columns);
    let mut writer = parquet::arrow::ArrowWriter::try_new(create(path)?, schema, None).map_err(fail)?;
    for batch in &table.batches {
        writer.write(batch).map_err(fail)?;
    }
    writer.close().map(|_| ()).map_err(fail)
}

/// Images of a contact sheet.
const SHEET: usize = 100;

/// The first images of the first image column, ten in a row, as PNG. Floats are stretched to the range of what is shown.
fn write_sheet(table: &Table, path: &Path) -> Outcome<()> {
    let image = |column: &Column| matches!(column.shape.as_slice(), [1 | 3, _, _] | [_, _]);
    let Some(index) = table.columns.iter().position(image) else {
        return Err(Faults::from(
            Fault::error(contract::code!("data::no_images"), "no column holds images, so there is nothing to draw")
                .help("write `.csv`, `.jsonl`, `.parquet` or `.arrow`; images are tensors such as `uint8[3, 32, 32]`"),
        ));
    };
    let shape = &table.columns[index].shape;
    let (channels, sides) = if shape.len() == 3 { (shape[0] as usize, &shape[1..]) } else { (1, &shape[..]) };
    let (height, width) = (sides[0] as usize, sides[1] as usize);
    let each = channels * height * width;
    let mut values: Vec<f32> = Vec::new();
    for batch in &table.batches {
        let list = batch.column(index).as_fixed_size_list();
        for row in 0..list.len().min(SHEET - values.len() / each.max(1)) {
            let cell = cast(&list.value(row), &DataType::Float32).map_err(|error| kernel("drawing images", &error))?;
            values.extend(cell.as_primitive::<arrow::datatypes::Float32Type>().values().iter());
        }
        if values.len() >= SHEET * each {
            break;
        }
    }
    let (low, high) = if table.columns[index].dtype == contract::artifact::DType::UInt8 {
        (0.0, 255.0)
    } else {
        values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
    };
    let scale = if high > low { 255.0 / (high - low) } else { 0.0 };
    // Small images are drawn larger, by a whole factor, with a line between them.
    let zoom = (64 / height.max(width).max(1)).max(1);
    let count = values.len() / each.max(1);
    let across = count.clamp(1, 10);
    let (cell_height, cell_width) = (height * zoom + 2, width * zoom + 2);
    let (rows, background) = (count.div_ceil(across), image::Rgb([24u8, 24, 24]));
    let mut sheet =
        image::RgbImage::from_pixel((across * cell_width) as u32, (rows.max(1) * cell_height) as u32, background);
    for (number, pixels) in values.chunks_exact(each.max(1)).enumerate() {
        let (top, left) = (number / across * cell_height + 1, number % across * cell_width + 1);
        for y in 0..height * zoom {
            for x in 0..width * zoom {
                let at = y / zoom * width + x / zoom;
                let level = |channel: usize| {
                    let value = pixels[(channel % channels) * height * width + at];
                    ((value - low) * scale).round().clamp(0.0, 255.0) as u8
                };
                sheet.put_pixel((left + x) as u32, (top + y) as u32, image::Rgb([level(0), level(1), level(2)]));
            }
        }
    }
    sheet
        .save_with_format(path, image::ImageFormat::Png)
        .map_err(|error| Faults::from(unwritable(&std::io::Error::other(error.to_string()))))
}

fn head(table: &Table, count: usize) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for batch in &table.batches {
        for row in 0..batch.num_rows() {
            if rows.len() == count {
                return rows;
            }
            rows.push(
                batch.columns().iter().map(|array| cell(array, row, 6).map_or(Value::Null, Value::String)).collect(),
            );
        }
    }
    rows
}

fn describe(column: &Column, pieces: &[ArrayRef]) -> Described {
    let gone = pieces.iter().map(|piece| missing(piece).count_set_bits() as u64).sum();
    let mut described = Described { missing: gone, distinct: None, min: None, max: None, mean: None };
    if !column.shape.is_empty() {
        return described;
    }
    described.distinct = classes(pieces).map(|classes| classes.count);
    if column.dtype.is_numeric() {
        let (mut low, mut high, mut sum, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0u64);
        for piece in pieces {
            let Ok(floats) = cast(piece, &DataType::Float64) else { continue };
            for value in floats.as_primitive::<Float64Type>().iter().flatten().filter(|value| !value.is_nan()) {
                low = low.min(value);
                high = high.max(value);
                sum += value;
                count += 1;
            }
        }
        if count > 0 {
            let number = |value: f64| {
                let whole = column.dtype.is_integer() && value.abs() < 9e15;
                if whole { json!(value as i64) } else { json!(value) }
            };
            described.min = Some(number(low));
            described.max = Some(number(high));
            described.mean = Some(sum / count as f64).filter(|mean| mean.is_finite());
        }
    } else if !matches!(pieces.first().map(|piece| piece.data_type()), Some(DataType::Binary) | None) {
        let texts = || pieces.iter().flat_map(|piece| (0..piece.len()).filter_map(move |row| extreme_text(piece, row)));
        described.min = texts().min().map(Value::String);
        described.max = texts().max().map(Value::String);
    }
    described
}

fn extreme_text(array: &ArrayRef, row: usize) -> Option<String> {
    cell(array, row, 0)
}

/// All rows by the rules of RFC 4180, with a header; a missing cell is empty, an empty text is `""`.
///
/// # Errors
/// A disk that is full or read-only.
pub fn write_csv(table: &Table, path: &Path) -> Outcome<()> {
    write_delimited(table, path, ',')
}

fn write_delimited(table: &Table, path: &Path, between: char) -> Outcome<()> {
    let fault = |error: std::io::Error| Faults::from(unwritable(&error));
    let mut out = create(path)?;
    let names: Vec<String> = table.columns.iter().map(|column| quoted(&column.name, between)).collect();
    writeln!(out, "{}", names.join(&between.to_string())).map_err(fault)?;
    for batch in &table.batches {
        let texts: Vec<bool> =
            table.columns.iter().map(|column| column.dtype == contract::artifact::DType::String).collect();
        for row in 0..batch.num_rows() {
            for (index, array) in batch.columns().iter().enumerate() {
                if index > 0 {
                    write!(out, "{between}").map_err(fault)?;
                }
                if let Some(text) = cell(array, row, usize::MAX) {
                    let text = if texts[index] || text.contains(between) { quoted(&text, between) } else { text };
                    out.write_all(text.as_bytes()).map_err(fault)?;
                }
            }
            out.write_all(b"\n").map_err(fault)?;
        }
    }
    out.flush().map_err(fault)
}

fn quoted(text: &str, between: char) -> String {
    if text.is_empty() || text.contains(['"', between, '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
