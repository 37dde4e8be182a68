//! A data set for people: its columns, its first rows, and what can be said of every column; or all of it as CSV.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::artifact::Column;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::classes::classes;
use crate::dataset::{Table, open};
use crate::fault::{Outcome, unwritable};
use crate::step::fill::missing;
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
    /// Where to write all rows as CSV.
    #[serde(default)]
    pub csv: Option<std::path::PathBuf>,
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
    let table = open(&ask.path)?;
    if let Some(path) = &ask.csv {
        write_csv(&table, path)?;
    }
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
    Ok(json!({ "rows": table.rows(), "columns": columns, "head": head(&table, ask.head) }))
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

/// One cell as text; of a tensor, the first `elements`.
pub fn cell(array: &ArrayRef, row: usize, elements: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    if array.data_type().is_nested() {
        let values = array.as_fixed_size_list().value(row);
        let mut texts: Vec<String> =
            (0..values.len().min(elements)).filter_map(|index| cell(&values, index, 0)).collect();
        if values.len() > elements {
            texts.push("…".into());
        }
        return Some(format!("[{}]", texts.join(", ")));
    }
    let options = FormatOptions::default();
    Some(ArrayFormatter::try_new(array, &options).map(|formatter| formatter.value(row).to_string()).unwrap_or_default())
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
    let fault = |error: std::io::Error| vec![unwritable(&error)];
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(fault)?);
    let names: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
    writeln!(out, "{}", names.join(",")).map_err(fault)?;
    for batch in &table.batches {
        let texts: Vec<bool> =
            table.columns.iter().map(|column| column.dtype == engine::artifact::DType::String).collect();
        for row in 0..batch.num_rows() {
            for (index, array) in batch.columns().iter().enumerate() {
                if index > 0 {
                    out.write_all(b",").map_err(fault)?;
                }
                if let Some(text) = cell(array, row, usize::MAX) {
                    let text = if texts[index] || text.contains(',') { quoted(&text) } else { text };
                    out.write_all(text.as_bytes()).map_err(fault)?;
                }
            }
            out.write_all(b"\n").map_err(fault)?;
        }
    }
    out.flush().map_err(fault)
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains(['"', ',', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
