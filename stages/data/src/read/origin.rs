//! What a row's place tells: partition columns from folders like `year=2024`, and provenance columns on request.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::take;
use contract::artifact::{Column, DType, Role};
use contract::fault::{Fault, Faults};

use crate::fault::{Outcome, kernel, place};
use crate::table::cell::{self, Seen};
use crate::table::dataset::{Table, batch};
use crate::table::spill::{Keeper, Memory};

/// Rows that came from one file, in the order of the table.
#[derive(Debug, Clone)]
pub struct Span {
    /// The file, as messages show it.
    pub shown: String,
    /// Number of rows.
    pub rows: usize,
    /// The numbers of rows (from 0) that are left out.
    pub gone: Vec<u64>,
}

impl Span {
    /// All rows of a file.
    pub fn whole(shown: impl Into<String>, rows: usize) -> Self {
        Self { shown: shown.into(), rows, gone: Vec::new() }
    }

    /// The numbers, from 1, that its rows have in the file.
    fn numbers(&self) -> impl Iterator<Item = i64> + '_ {
        let mut gone = self.gone.iter().peekable();
        let all = 0..(self.rows + self.gone.len()) as u64;
        all.filter(move |row| gone.next_if_eq(&row).is_none()).map(|row| row as i64 + 1)
    }
}

/// The part of a name like `train-00000-of-00002.parquet`, as the Hugging Face hub calls its files.
fn part(shown: &str) -> Option<&str> {
    let name = shown.rsplit('/').next()?;
    let stem = name.split('.').next()?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (part, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(count) && digits(number) && !part.is_empty()).then_some(part)
}

/// Adds the column `split` where the files of a folder are called after two parts or more; it is no feature. A `split` that the files
/// have themselves stays as it is.
///
/// # Errors
/// A disk that is full.
pub fn add_parts(table: Table, spans: &[Span], memory: &Memory) -> Outcome<Table> {
    let parts: Option<Vec<&str>> = spans.iter().map(|span| part(&span.shown)).collect();
    let Some(parts) = parts else { return Ok(table) };
    if parts.windows(2).all(|pair| pair[0] == pair[1]) || table.columns.iter().any(|column| column.name == "split") {
        return Ok(table);
    }
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(parts));
    let mut column = Column::new("split", DType::String);
    column.role = Role::Ignore;
    beside(table, vec![column], spans, memory, |files, _| {
        Ok(vec![take(&names, files, None).map_err(|error| kernel("adding columns", &error))?])
    })
}

/// The spelling Hive gives a missing value.
const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

/// `year=2024/month=1` of a path, without the file's name.
fn partitions(shown: &str) -> Vec<(String, Option<String>)> {
    let mut parts: Vec<&str> = shown.split('/').collect();
    parts.pop();
    let pairs = parts.into_iter().filter_map(|part| part.split_once('=')).filter(|(key, _)| !key.is_empty());
    pairs.map(|(key, value)| (plain(key), (value != MISSING).then(|| plain(value)))).collect()
}

/// `%3A` and its like as characters.
fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Adds a column for each `key=value` folder of the files' paths: whole numbers, dates or text, as all values allow.
///
/// # Errors
/// Files with different keys, and a key that is a column of the files, too.
pub fn add_partitions(table: Table, spans: &[Span], memory: &Memory) -> Outcome<Table> {
    let Some(first) = spans.first() else { return Ok(table) };
    let keys: Vec<String> = partitions(&first.shown).into_iter().map(|(key, _)| key).collect();
    let mut faults = Vec::new();
    for span in spans {
        let own: Vec<String> = partitions(&span.shown).into_iter().map(|(key, _)| key).collect();
        if own != keys {
            let named =
                |keys: &[String]| if keys.is_empty() { "none".to_owned() } else { format!("`{}`", keys.join("`, `")) };
            let text = format!(
                "the folders of `{}` say {}, those of `{}` say {}",
                span.shown,
                named(&own),
                first.shown,
                named(&keys)
            );
            faults.push(
                Fault::error(contract::code!("data::columns_differ"), text)
                    .help("files that are collected together need the same `key=value` folders")
                    .place(place(&span.shown, None, None)),
            );
        }
    }
    for key in &keys {
        if table.columns.iter().any(|column| column.name == *key) {
            let text = format!("`{key}` is a folder of `{}` and a column in it", first.shown);
            faults.push(
                Fault::error(contract::code!("data::duplicate_column"), text)
                    .help("rename the folder or the column")
                    .place(place(&first.shown, None, None)),
            );
        }
    }
    if !faults.is_empty() {
        return Err(Faults::from(faults));
    }
    if keys.is_empty() {
        return Ok(table);
    }
    let values: Vec<Vec<Option<String>>> =
        spans.iter().map(|span| partitions(&span.shown).into_iter().map(|(_, value)| value).collect()).collect();
    let mut added: Vec<(Column, ArrayRef)> = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        // One cell a file.
        let cells: Vec<Option<&str>> = values.iter().map(|values| values[index].as_deref()).collect();
        let seen = values
            .iter()
            .filter_map(|values| values[index].as_deref())
            .fold(Seen::default(), |seen, value| seen.with(cell::form(value.as_bytes())));
        let (dtype, array): (DType, ArrayRef) = match seen.form().dtype() {
            DType::Int64 => {
                let cells = cells.iter().map(|cell| cell.and_then(|cell| cell::int(cell.as_bytes())));
                (DType::Int64, Arc::new(cells.collect::<Int64Array>()))
            }
            DType::Date => {
                let cells = cells.iter().map(|cell| cell.and_then(|cell| cell::date(cell.as_bytes())));
                (DType::Date, Arc::new(cells.collect::<Date32Array>()))
            }
            _ => (DType::String, Arc::new(cells.iter().copied().collect::<StringArray>())),
        };
        added.push((Column::new(key, dtype), array));
    }
    let (added, cells): (Vec<Column>, Vec<ArrayRef>) = added.into_iter().unzip();
    beside(table, added, spans, memory, |files, _| {
        let copied = cells.iter().map(|cells| take(cells, files, None));
        copied.collect::<Result<_, _>>().map_err(|error| kernel("adding columns", &error))
    })
}

/// Adds `source_file` and `source_row`, the row's number in its file, from 1. Neither is a feature.
///
/// # Errors
/// A source that has such a column of its own.
pub fn add_provenance(table: Table, spans: &[Span], memory: &Memory) -> Outcome<Table> {
    for name in ["source_file", "source_row"] {
        if table.columns.iter().any(|column| column.name == name) {
            return Err(Faults::from(
                Fault::error(
                    contract::code!("data::duplicate_column"),
                    format!("the source has a column `{name}` of its own"),
                )
                .help("leave out `provenance: true`, or rename the column")
                .at(contract::route!["provenance"]),
            ));
        }
    }
    let ignored = |name: &str, dtype| {
        let mut column = Column::new(name, dtype);
        column.role = Role::Ignore;
        column
    };
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(spans.iter().map(|span| &span.shown)));
    let added = vec![ignored("source_file", DType::String), ignored("source_row", DType::Int64)];
    beside(table, added, spans, memory, |files, rows| {
        let names = take(&names, files, None).map_err(|error| kernel("adding columns", &error))?;
        Ok(vec![names, Arc::new(Int64Array::from(rows))])
    })
}

/// Columns behind a table's own, made for each of its pieces from the rows' files and their numbers there (from 1).
fn beside(
    table: Table,
    added: Vec<Column>,
    spans: &[Span],
    memory: &Memory,
    cells: impl Fn(&UInt64Array, Vec<i64>) -> Outcome<Vec<ArrayRef>>,
) -> Outcome<Table> {
    if table.rows() != spans.iter().map(|span| span.rows).sum::<usize>() {
        return Err(kernel("adding columns", &"the files' rows do not add up"));
    }
    let mut places = spans.iter().enumerate().flat_map(|(file, span)| span.numbers().map(move |row| (file, row)));
    // Kept apart from the table's own rows, which may be mapped already.
    let mut keeper = Keeper::new(added.clone(), memory);
    let pieces: Vec<&RecordBatch> = table.batches.iter().filter(|piece| piece.num_rows() > 0).collect();
    for piece in &pieces {
        let (files, rows): (Vec<u64>, Vec<i64>) =
            places.by_ref().take(piece.num_rows()).map(|(file, row)| (file as u64, row)).unzip();
        keeper.push(batch(&added, cells(&UInt64Array::from(files), rows)?)?)?;
    }
    let more = keeper.finish()?.batches;
    let mut columns = table.columns.clone();
    columns.extend(added);
    let batches = pieces
        .iter()
        .zip(&more)
        .map(|(own, more)| batch(&columns, own.columns().iter().chain(more.columns()).cloned().collect()))
        .collect::<Outcome<Vec<RecordBatch>>>()?;
    Ok(Table { columns, batches })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_columns() {
        let found = partitions("data/year=2024/city=S%C3%A3o/day=__HIVE_DEFAULT_PARTITION__/a=b.csv");
        let pair = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        assert_eq!(found, [pair("year", Some("2024")), pair("city", Some("São")), pair("day", None)]);
        assert_eq!(partitions("data/x.csv"), []);
        assert_eq!(part("data/train-00000-of-00002.parquet"), Some("train"));
        assert_eq!(part("data/no-train-00000-of-00002.snappy.parquet"), Some("no-train"));
        assert_eq!(part("data/train-0-of-2.parquet"), None);
        assert_eq!(part("data/part-1.parquet"), None);
        assert_eq!(plain("100%"), "100%");
    }
}
