//! Rows whose cells come one by one with a type of their own, as databases give them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults};

use super::reading::{Reading, Refused, Sieved};
use crate::fault::{FaultList, Outcome, place};
use crate::table::dataset::{Table, batch};

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

    /// As text, from which a stated type is read.
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Int(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Null | Self::Bytes(_) | Self::Date(_) | Self::Instant(_) => None,
        }
    }
}

/// Rows on their way into a table.
pub struct Records<'a> {
    shown: String,
    names: Vec<String>,
    cells: Vec<Vec<Cell>>,
    types: Vec<Option<DType>>,
    /// Columns of a stated type whose cells are of several: they become text, from which that type is read.
    mixed: Vec<bool>,
    reading: Reading<'a>,
    /// Rows that were given, and those (from 0) that are left out.
    seen: u64,
    gone: Vec<u64>,
    faults: FaultList,
    bytes: u64,
}

impl<'a> Records<'a> {
    /// No rows yet, of columns with these names (and types, where the source states them). No more bytes of cells are taken than may be
    /// unpacked.
    ///
    /// # Errors
    /// Names that are empty or there twice.
    pub fn new(shown: &str, columns: Vec<(String, Option<DType>)>, reading: &Reading<'a>) -> Outcome<Self> {
        let mut faults = FaultList::default();
        for (index, (name, _)) in columns.iter().enumerate() {
            let at = || place(shown, None, Some(index as u64 + 1));
            if name.trim().is_empty() {
                let text = format!("column {} of the query's answer has no name", index + 1);
                faults.add(|| {
                    Fault::error(contract::code!("data::empty_name"), text).help("name it: `... as name`").place(at())
                });
            } else if columns[..index].iter().any(|(other, _)| other == name) {
                let text = format!("two columns of the query's answer are called `{name}`");
                faults.add(|| {
                    Fault::error(contract::code!("data::duplicate_column"), text)
                        .help("name one of them anew: `... as name`")
                        .place(at())
                });
            }
        }
        let (names, types): (Vec<String>, Vec<Option<DType>>) = columns.into_iter().unzip();
        let cells = names.iter().map(|_| Vec::new()).collect();
        let mixed = vec![false; names.len()];
        let (shown, reading) = (shown.to_owned(), *reading);
        let (gone, bytes, seen) = (Vec::new(), 0, 0);
        faults.or(Self { shown, names, cells, types, mixed, reading, seen, gone, faults: FaultList::default(), bytes })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.cells.first().map_or(0, Vec::len)
    }

    /// Number of rows so far, with those that are left out.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The type of a column with one more cell, or the fault of a cell that does not fit those above it. `None`: as before.
    fn typed(&self, index: usize, cell: &Cell) -> Result<Option<DType>, Fault> {
        let Some(found) = cell.dtype() else { return Ok(None) };
        let name = &self.names[index];
        match self.types[index] {
            None => Ok(Some(found)),
            Some(known) if known == found => Ok(None),
            Some(DType::Int64) if found == DType::Float64 => Ok(Some(DType::Float64)),
            Some(DType::Float64) if found == DType::Int64 => Ok(None),
            Some(known) => {
                let number = self.seen + 1;
                let text =
                    format!("row {number} of column `{name}` is {}, rows above it are {}", found.name(), known.name());
                let help = format!(
                    "let the query decide (`cast({name} as text)`), state a `dtype` under `columns:`, or say what happens: `on_error: \
                     reject` or `on_error: fill`"
                );
                let at = place(&self.shown, Some(number), Some(index as u64 + 1));
                Err(Fault::error(contract::code!("data::types_differ"), text).help(help).place(at))
            }
        }
    }

    /// Whether cells of this column are read as its stated type, whatever they are.
    fn stated(&self, index: usize, cell: &Cell) -> bool {
        let plain = |dtype: Option<DType>| !matches!(dtype, Some(DType::Binary | DType::Date | DType::Datetime));
        self.reading.types.contains_key(&self.names[index]) && plain(self.types[index]) && plain(cell.dtype())
    }

    /// Adds one row, a cell for each column.
    ///
    /// # Errors
    /// More bytes than are allowed.
    pub fn push(&mut self, mut row: Vec<Cell>) -> Outcome<()> {
        let refusals = self.reading.refusals;
        let mut types = self.types.clone();
        let mut filled: (u64, Option<Fault>) = (0, None);
        for (index, cell) in row.iter_mut().enumerate() {
            match self.typed(index, cell) {
                Ok(found) => types[index] = found.or(types[index]),
                Err(_) if self.mixed[index] || self.stated(index, cell) => self.mixed[index] = true,
                Err(fault) if refusals.reject() => {
                    let text = std::mem::replace(cell, Cell::Null).text();
                    let refused = Refused { text, ..Refused::new(Some(self.seen), fault.message) };
                    refusals.rejected(&self.shown, refused)?;
                    self.gone.push(self.seen);
                    self.seen += 1;
                    return Ok(());
                }
                Err(fault) if refusals.fill() => {
                    *cell = Cell::Null;
                    filled = (filled.0 + 1, filled.1.or(Some(fault)));
                }
                Err(fault) => self.faults.add(|| fault),
            }
        }
        if filled.0 > 0 {
            refusals.filled(filled.0, 1, filled.1);
        }
        self.types = types;
        self.seen += 1;
        for (index, cell) in row.into_iter().enumerate() {
            self.bytes += 16
                + match &cell {
                    Cell::Text(text) => text.len() as u64,
                    Cell::Bytes(bytes) => bytes.len() as u64,
                    _ => 0,
                };
            self.cells[index].push(cell);
        }
        if self.bytes > self.reading.limits.unpacked {
            let limit = self.reading.limits.unpacked;
            let text = format!("the answer of `{}` is larger than {limit} bytes", self.shown);
            let help = "ask for less: fewer columns, a `where`, an aggregate";
            return Err(Faults::from(Fault::error(contract::code!("data::too_large"), text).help(help).place(place(
                &self.shown,
                None,
                None,
            ))));
        }
        Ok(())
    }

    /// The rows as a table. A column of missing cells alone is text.
    ///
    /// # Errors
    /// Cells of differing types in one column, whole numbers that a column of floats cannot hold.
    pub fn finish(mut self) -> Outcome<Sieved> {
        if !self.faults.is_empty() {
            return Err(self.faults.into_vec());
        }
        let rows = self.rows();
        let mut columns = Vec::with_capacity(self.names.len());
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.names.len());
        for (index, name) in self.names.iter().enumerate() {
            let cells = std::mem::take(&mut self.cells[index]).into_iter();
            if self.mixed[index] {
                arrays.push(Arc::new(cells.map(Cell::text).collect::<StringArray>()));
                columns.push(Column::new(name, DType::String));
                continue;
            }
            let dtype = self.types[index].unwrap_or(DType::String);
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
                return Err(Faults::from(
                    Fault::error(contract::code!("data::cell"), text)
                        .help("let the query decide the type with a `cast`")
                        .place(place(&self.shown, Some(row as u64 + 1), Some(index as u64 + 1))),
                ));
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
        Ok(Sieved { table: Table { columns, batches }, gone: self.gone })
    }
}
