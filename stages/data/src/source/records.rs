//! Rows whose cells come one by one with a type of their own, as databases give them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use engine::artifact::{Column, DType};
use engine::error::Fault;

use crate::dataset::{Table, batch};
use crate::fault::{Faults, Outcome, place};

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Missing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since 1970.
    Instant(i64),
}

impl Cell {
    fn dtype(&self) -> Option<DType> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(_) => DType::Bool,
            Self::Int(_) => DType::Int64,
            Self::Float(_) => DType::Float64,
            Self::Text(_) => DType::String,
            Self::Bytes(_) => DType::Binary,
            Self::Date(_) => DType::Date,
            Self::Instant(_) => DType::Datetime,
        })
    }
}

/// Rows on their way into a table.
pub struct Records {
    shown: String,
    names: Vec<String>,
    cells: Vec<Vec<Cell>>,
    types: Vec<Option<DType>>,
    faults: Faults,
    bytes: u64,
    limit: u64,
}

impl Records {
    /// No rows yet, of columns with these names (and types, where the source states them). No more than `limit` bytes of cells are
    /// taken.
    ///
    /// # Errors
    /// Names that are empty or there twice.
    pub fn new(shown: &str, columns: Vec<(String, Option<DType>)>, limit: u64) -> Outcome<Self> {
        let mut faults = Faults::default();
        for (index, (name, _)) in columns.iter().enumerate() {
            let at = || place(shown, None, Some(index as u64 + 1));
            if name.trim().is_empty() {
                let text = format!("column {} of the query's answer has no name", index + 1);
                faults.add(|| Fault::error("data::empty_name", text).help("name it: `... as name`").place(at()));
            } else if columns[..index].iter().any(|(other, _)| other == name) {
                let text = format!("two columns of the query's answer are called `{name}`");
                faults.add(|| {
                    Fault::error("data::duplicate_column", text)
                        .help("name one of them anew: `... as name`")
                        .place(at())
                });
            }
        }
        let (names, types): (Vec<String>, Vec<Option<DType>>) = columns.into_iter().unzip();
        let cells = names.iter().map(|_| Vec::new()).collect();
        faults.or(Self { shown: shown.to_owned(), names, cells, types, faults: Faults::default(), bytes: 0, limit })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.cells.first().map_or(0, Vec::len)
    }

    /// Adds one row, a cell for each column.
    ///
    /// # Errors
    /// More bytes than are allowed.
    pub fn push(&mut self, row: Vec<Cell>) -> Outcome<()> {
        let number = self.rows() as u64 + 1;
        for (index, cell) in row.into_iter().enumerate() {
            self.bytes += 16
                + match &cell {
                    Cell::Text(text) => text.len() as u64,
                    Cell::Bytes(bytes) => bytes.len() as u64,
                    _ => 0,
                };
            if let Some(found) = cell.dtype() {
                match self.types[index] {
                    None => self.types[index] = Some(found),
                    Some(known) if known == found => {}
                    Some(DType::Int64) if found == DType::Float64 => self.types[index] = Some(DType::Float64),
                    Some(DType::Float64) if found == DType::Int64 => {}
                    Some(known) => {
                        let text = format!(
                            "row {number} of column `{}` is {}, rows above it are {}",
                            self.names[index],
                            found.name(),
                            known.name()
                        );
                        let at = place(&self.shown, Some(number), Some(index as u64 + 1));
                        let help = format!("let the query decide: `cast({} as text)`, for example", self.names[index]);
                        self.faults.add(|| Fault::error("data::types_differ", text).help(help).place(at));
                    }
                }
            }
            self.cells[index].push(cell);
        }
        if self.bytes > self.limit {
            let text = format!("the answer of `{}` is larger than {} bytes", self.shown, self.limit);
            let help = "ask for less: fewer columns, a `where`, an aggregate";
            return Err(vec![Fault::error("data::too_large", text).help(help).place(place(&self.shown, None, None))]);
        }
        Ok(())
    }

    /// The rows as a table. A column of missing cells alone is text.
    ///
    /// # Errors
    /// Cells of differing types in one column, whole numbers that a column of floats cannot hold.
    pub fn finish(mut self) -> Outcome<Table> {
        if !self.faults.is_empty() {
            return Err(self.faults.into_vec());
        }
        let rows = self.rows();
        let mut columns = Vec::with_capacity(self.names.len());
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.names.len());
        for (index, name) in self.names.iter().enumerate() {
            let dtype = self.types[index].unwrap_or(DType::String);
            let cells = std::mem::take(&mut self.cells[index]).into_iter();
            macro_rules! gather {
                ($array:ident, $($cell:pat => $value:expr),+) => {
                    Arc::new(cells.map(|cell| match cell { $($cell => Some($value),)+ _ => None }).collect::<$array>()) as ArrayRef
                };
            }
            if dtype == DType::Float64
                && let Some(row) = cells
                    .as_slice()
                    .iter()
                    .position(|cell| matches!(cell, Cell::Int(value) if (*value as f64) as i64 != *value))
            {
                let text =
                    format!("row {} of column `{name}` is a whole number that a column of floats cannot hold", row + 1);
                return Err(vec![
                    Fault::error("data::cell", text).help("let the query decide the type with a `cast`").place(place(
                        &self.shown,
                        Some(row as u64 + 1),
                        Some(index as u64 + 1),
                    )),
                ]);
            }
            arrays.push(match dtype {
                DType::Bool => gather!(BooleanArray, Cell::Bool(value) => value),
                DType::Int64 => gather!(Int64Array, Cell::Int(value) => value),
                DType::Float64 => gather!(Float64Array, Cell::Float(value) => value, Cell::Int(value) => value as f64),
                DType::Binary => {
                    let bytes: Vec<Option<Vec<u8>>> =
                        cells.map(|cell| if let Cell::Bytes(bytes) = cell { Some(bytes) } else { None }).collect();
                    Arc::new(bytes.iter().map(Option::as_deref).collect::<BinaryArray>())
                }
                DType::Date => gather!(Date32Array, Cell::Date(value) => value),
                DType::Datetime => gather!(TimestampMicrosecondArray, Cell::Instant(value) => value),
                _ => gather!(StringArray, Cell::Text(value) => value),
            });
            columns.push(Column::new(name, dtype));
        }
        let batches = if rows == 0 { Vec::new() } else { vec![batch(&columns, arrays)?] };
        Ok(Table { columns, batches })
    }
}
