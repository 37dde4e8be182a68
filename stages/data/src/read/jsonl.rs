//! JSON Lines: one object a line, keys are columns in the order in which they first appear.
//!
//! Cells are held until the last line has told what the types are. Where they are too many they are let go, and the file is read once
//! more, a piece at a time, when the types are known.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults};
use contract::worker::protocol::{InputFile, Progress};
use memchr::{memchr, memrchr};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::bytes::{Stream, overlong};
use super::reading::{Reading, Refused, Sieved, bounded};
use crate::fault::{COLUMNS, FaultList, Outcome, empty, place, too_wide};
use crate::table::cell::{Seen, date, datetime, expected, form};
use crate::table::dataset::{Table, arrow_type, batch};
use crate::table::sink::{Missing, Sink, Target, fits};
use crate::table::spill::Keeper;

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;
/// A table of fewer cells may be as sparse as it likes.
const SQUARE: usize = 1 << 22;
/// Of so many cells of a larger one at least one is there.
const SPARSE: usize = 1 << 10;

/// One scalar of a line.
#[derive(Debug, Clone, PartialEq)]
enum Scalar {
    Missing,
    Bool(bool),
    Int(i64),
    /// A whole number beyond 63 bits, with all its digits.
    Large(String),
    Float(f64),
    Text(String),
    Nested(&'static str),
}

/// A column while lines are read: cells of rows it was not there for are missing.
struct Cells {
    name: String,
    seen: Seen,
    cells: Vec<Scalar>,
    /// Rows up to the last that has it.
    rows: usize,
    /// The line it first appeared on.
    first: u64,
}

/// Reads one file; `true` when it was read to its end.
///
/// # Errors
/// Lines that are no objects, nested values, keys that are there twice: each with file, line and column (the character).
pub fn read(file: &InputFile, reading: &Reading<'_>) -> Outcome<(Sieved, bool)> {
    let shown = file.shown.as_str();
    let (stated, memory) = (reading.types, reading.memory);
    // A cell is held as it was read, and once more in its column.
    let mut reader = Rows::new(reading, memory.limit / 6);
    let complete = lines(file, reading, |reader, text, line| reader.line(text, line, shown), &mut reader)?;
    let gone = std::mem::take(&mut reader.gone);
    if reader.room.is_some() {
        return reader.finish(stated, shown).map(|table| (Sieved { table, gone }, complete));
    }
    if !reader.faults.is_empty() {
        return Err(reader.faults.into_vec());
    }
    let mut known = reader;
    let columns: Vec<Column> = known.columns.iter().map(|cells| cells.column(stated)).collect();
    let mut keeper = Keeper::new(columns, memory);
    known.restart();
    let mut faults = FaultList::default();
    let mut failed = Vec::new();
    let most = memory.limit / 32;
    let complete = lines(
        file,
        reading,
        |known, text, line| {
            known.line(text, line, shown)?;
            if known.held > most {
                piece(known, stated, shown, &mut keeper, &mut faults, &mut failed);
            }
            Ok(())
        },
        &mut known,
    )?;
    piece(&mut known, stated, shown, &mut keeper, &mut faults, &mut failed);
    if !failed.is_empty() {
        return Err(Faults::from(failed));
    }
    faults.or(())?;
    Ok((Sieved { table: keeper.finish()?, gone }, complete))
}

/// The cells that are held, as rows that are kept.
fn piece(
    known: &mut Rows<'_>,
    stated: &BTreeMap<String, DType>,
    shown: &str,
    keeper: &mut Keeper<'_>,
    faults: &mut FaultList,
    failed: &mut Vec<Fault>,
) {
    if known.rows == 0 || !failed.is_empty() {
        return known.restart();
    }
    match known.table(stated, shown) {
        Ok(table) => {
            for rows in table.batches {
                if let Err(more) = keeper.push(rows) {
                    failed.extend(more);
                }
            }
        }
        Err(more) => more.into_iter().for_each(|fault| faults.add(|| fault)),
    }
    known.restart();
}

/// Gives every line that is not blank to `each`; `true` when the file was read to its end.
fn lines<'a>(
    file: &InputFile,
    reading: &'a Reading<'a>,
    mut each: impl FnMut(&mut Rows<'a>, &[u8], u64) -> Outcome<()>,
    reader: &mut Rows<'a>,
) -> Outcome<bool> {
    let (limits, channel) = (reading.limits, reading.channel);
    let mut stream = Stream::open_text(file, limits, None)?;
    let shown = file.shown.as_str();
    let mut line = 0;
    let mut text: Vec<u8> = Vec::new();
    let mut total = 0;
    let mut complete = true;
    loop {
        let kept = text.len();
        let room = BLOCK.max(kept);
        text.resize(kept + room, 0);
        let count = stream.fill(&mut text[kept..])?;
        text.truncate(kept + count);
        if total == 0 && text.starts_with(b"\xef\xbb\xbf") {
            text.drain(..3);
        }
        total += count as u64;
        let mut all = count < room;
        if !all && limits.head.is_some_and(|head| total >= head) {
            complete = false;
            all = true;
            let end = memrchr(b'\n', &text).map_or(0, |at| at + 1);
            text.truncate(end);
        }
        let end = if all { text.len() } else { memrchr(b'\n', &text).map_or(0, |at| at + 1) };
        let mut rest = &text[..end];
        while !rest.is_empty() {
            let (one, after) = match memchr(b'\n', rest) {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            line += 1;
            if !one.iter().all(u8::is_ascii_whitespace) {
                each(reader, one, line)?;
                if reader.runs_away() {
                    return Err(Faults::from(too_wide(shown, Some(line))));
                }
            }
            rest = after;
        }
        text.drain(..end);
        if text.len() > limits.record && !all {
            reader.faults.add(|| overlong(shown, line + 1, limits));
            return Err(std::mem::take(&mut reader.faults).into_vec());
        }
        channel.progress(Progress {
            done: stream.position(),
            total: Some(stream.size),
            unit: "byte".into(),
            message: shown.to_owned(),
            rate: None,
        });
        if all {
            break;
        }
    }
    Ok(complete)
}

struct Rows<'a> {
    reading: &'a Reading<'a>,
    /// Rows that are left out.
    gone: Vec<u64>,
    columns: Vec<Cells>,
    index: HashMap<String, usize>,
    rows: usize,
    /// Bytes of cells that may be held; `None` when they are not (any more): in the first reading nothing is, in the second all of a
    /// piece.
    room: Option<u64>,
    /// Whether this is the second reading.
    again: bool,
    /// Bytes of the cells that are held.
    held: u64,
    /// Cells that are there.
    filled: usize,
    lines: Vec<u64>,
    faults: FaultList,
}

impl<'a> Rows<'a> {
    /// None yet; cells of at most `room` bytes are held.
    fn new(reading: &'a Reading<'a>, room: u64) -> Self {
        Self {
            reading,
            gone: Vec::new(),
            columns: Vec::new(),
            index: HashMap::new(),
            rows: 0,
            room: Some(room),
            again: false,
            held: 0,
            filled: 0,
            lines: Vec::new(),
            faults: FaultList::default(),
        }
    }

    /// Whether there are more columns than a data set may have, or will be: where every line has keys of its own, the keys are values,
    /// and the table would be a square of missing cells.
    fn runs_away(&self) -> bool {
        let cells = self.columns.len().saturating_mul(self.rows);
        self.columns.len() > COLUMNS || (!self.again && cells > SQUARE && cells / SPARSE > self.filled)
    }

    /// Takes one line in.
    ///
    /// # Errors
    /// None that a user can cause.
    fn line(&mut self, text: &[u8], line: u64, shown: &str) -> Outcome<()> {
        let refusals = self.reading.refusals;
        let mut row = match object(text) {
            Ok(row) => row,
            Err(error) => {
                let why = error.to_string();
                let why = why.split(" at line ").next().unwrap_or_default().to_owned();
                let fault = || {
                    Fault::error(
                        contract::code!("data::malformed_row"),
                        format!("this line is not a JSON object: {why}"),
                    )
                    .help("every line holds one object, such as `{\"a\": 1, \"b\": \"x\"}`, without line breaks in it")
                    .place(place(shown, Some(line), Some(error.column().max(1) as u64)))
                };
                return self.refused(text, line, shown, fault);
            }
        };
        if let Some((_, fault)) = self.wrong(&row, line, shown) {
            if refusals.reject() {
                return self.refused(text, line, shown, || fault);
            }
            if refusals.fill() {
                let mut cells = 0;
                while let Some((index, fault)) = self.wrong(&row, line, shown) {
                    // Of a key that is there twice, nobody knows which value is meant.
                    let key = row[index].0.clone();
                    let mut first = true;
                    row.retain_mut(|(name, value)| {
                        if *name != key {
                            return true;
                        }
                        *value = Scalar::Missing;
                        std::mem::take(&mut first)
                    });
                    cells += 1;
                    if !self.again {
                        refusals.filled(1, u64::from(cells == 1), Some(fault));
                    }
                }
            }
        }
        for (key, value) in row {
            if let Scalar::Nested(what) = value {
                self.faults.add(|| nested(&key, what, line, shown));
                continue;
            }
            let column = match self.index.get(&key) {
                Some(column) => *column,
                None => {
                    let name = key.clone();
                    self.index.insert(name.clone(), self.columns.len());
                    self.columns.push(Cells { name, seen: Seen::default(), cells: Vec::new(), rows: 0, first: line });
                    self.columns.len() - 1
                }
            };
            let column = &mut self.columns[column];
            if column.rows > self.rows {
                self.faults.add(|| twice(&key, line, shown));
                continue;
            }
            column.rows = self.rows + 1;
            self.filled += 1;
            if !self.again {
                column.seen = column.seen.with(seen(&value));
            }
            if self.room.is_some() || self.again {
                let more = (self.rows + 1 - column.cells.len()) * std::mem::size_of::<Scalar>();
                self.held += more as u64 + if let Scalar::Text(text) = &value { text.capacity() as u64 } else { 0 };
                column.cells.resize(self.rows, Scalar::Missing);
                column.cells.push(value);
            }
        }
        self.rows += 1;
        if self.room.is_some() || self.again {
            self.lines.push(line);
        }
        if self.room.is_some_and(|room| self.held > room) {
            self.room = None;
            self.columns.iter_mut().for_each(|column| column.cells = Vec::new());
            self.lines = Vec::new();
        }
        Ok(())
    }

    /// A line that is left out, or at fault.
    fn refused(&mut self, text: &[u8], line: u64, shown: &str, fault: impl FnOnce() -> Fault) -> Outcome<()> {
        if !self.reading.refusals.reject() {
            self.faults.add(fault);
            return Ok(());
        }
        // When lines are read once more, that is known.
        if self.again {
            return Ok(());
        }
        let number = self.rows as u64 + self.gone.len() as u64;
        self.gone.push(number);
        let (reason, text) = (fault().message, Some(bounded(text)));
        self.reading.refusals.rejected(shown, Refused { row: Some(number), line: Some(line), reason, text })
    }

    /// The first value of a line that cannot be kept, where it is not left to the end to find it.
    fn wrong(&self, row: &[(String, Scalar)], line: u64, shown: &str) -> Option<(usize, Fault)> {
        if !self.reading.refusals.reject() && !self.reading.refusals.fill() {
            return None;
        }
        let mut keys = HashSet::new();
        row.iter().enumerate().find_map(|(index, (key, value))| {
            let fault = match (value, self.reading.types.get(key)) {
                (Scalar::Nested(what), _) => nested(key, what, line, shown),
                _ if !keys.insert(key) => twice(key, line, shown),
                (value, Some(dtype)) if !fits(*dtype, text_of(value).as_bytes()) => {
                    misfit(&text_of(value), key, *dtype, line, shown)
                }
                _ => return None,
            };
            Some((index, fault))
        })
    }

    /// Forgets the rows, not the columns.
    fn restart(&mut self) {
        for column in &mut self.columns {
            column.cells.clear();
            column.rows = 0;
        }
        self.lines.clear();
        (self.rows, self.filled, self.held, self.again) = (0, 0, 0, true);
    }

    fn finish(mut self, stated: &BTreeMap<String, DType>, shown: &str) -> Outcome<Table> {
        if self.faults.is_empty() && self.rows == 0 {
            return Err(Faults::from(empty(shown, "there is no object in it")));
        }
        if self.faults.is_empty() && self.columns.is_empty() {
            return Err(Faults::from(empty(shown, "its objects have no keys")));
        }
        self.table(stated, shown)
    }

    /// The rows that are held.
    fn table(&mut self, stated: &BTreeMap<String, DType>, shown: &str) -> Outcome<Table> {
        let Self { columns: read, rows, lines, faults, .. } = self;
        let (rows, mut faults) = (*rows, std::mem::take(faults));
        let missing = Missing::new(&[]);
        let mut columns = Vec::with_capacity(read.len());
        let mut arrays = Vec::with_capacity(read.len());
        for column in read {
            column.cells.resize(rows, Scalar::Missing);
            if column.name.trim().is_empty() {
                let line = column.first;
                faults.add(|| {
                    Fault::error(contract::code!("data::empty_name"), "a key is empty".to_owned())
                        .help("name it where the file is written")
                        .place(place(shown, Some(line), None))
                });
            }
            let made = column.column(stated);
            let dtype = made.dtype;
            let target = match stated.get(&column.name) {
                Some(dtype) => Target::Stated(*dtype),
                // Texts that look like numbers are texts: JSON says which is which.
                None => Target::Guess(column.seen.form(), true),
            };
            let mut sink = Sink::new(target, rows);
            for (row, cell) in column.cells.iter().enumerate() {
                let text = text_of(cell);
                if sink.push(text.as_bytes(), matches!(cell, Scalar::Text(_)), &missing).is_err() {
                    faults.add(|| misfit(&text, &column.name, dtype, lines[row], shown));
                }
            }
            match sink.finish() {
                Ok(array) => {
                    arrays.push(array.unwrap_or_else(|| arrow::array::new_null_array(&arrow_type(&made), rows)));
                }
                Err(more) => more.into_iter().for_each(|fault| faults.add(|| fault)),
            }
            columns.push(made);
        }
        if !faults.is_empty() {
            return Err(faults.into_vec());
        }
        let batches = vec![batch(&columns, arrays)?];
        Ok(Table { columns, batches })
    }
}

impl Cells {
    fn column(&self, stated: &BTreeMap<String, DType>) -> Column {
        let dtype = stated.get(&self.name).copied().unwrap_or_else(|| self.seen.form().dtype());
        Column::new(&self.name, dtype)
    }
}

/// A value as it is written; a missing one is empty.
fn text_of(value: &Scalar) -> Cow<'_, str> {
    match value {
        Scalar::Missing | Scalar::Nested(_) => "".into(),
        Scalar::Bool(value) => value.to_string().into(),
        Scalar::Int(value) => value.to_string().into(),
        Scalar::Float(value) => value.to_string().into(),
        Scalar::Large(text) | Scalar::Text(text) => text.as_str().into(),
    }
}

fn nested(key: &str, what: &str, line: u64, shown: &str) -> Fault {
    Fault::error(contract::code!("data::nested"), format!("`{key}` holds {what}; a column holds one value a row"))
        .help("flatten it where the file is written (`a.b`, `a.0`), or write it as text")
        .place(place(shown, Some(line), None))
}

fn twice(key: &str, line: u64, shown: &str) -> Fault {
    Fault::error(contract::code!("data::duplicate_column"), format!("the key `{key}` is there twice in this line"))
        .help("give every value its own key")
        .place(place(shown, Some(line), None))
}

fn misfit(text: &str, name: &str, dtype: DType, line: u64, shown: &str) -> Fault {
    let text = format!("`{text}` in column `{name}` is not {}: expected {}", dtype.name(), expected(dtype));
    Fault::error(contract::code!("data::cell"), text)
        .help("correct the value, or give the column another `dtype:`")
        .place(place(shown, Some(line), None))
}

/// The form of a value. Texts are only ever texts, dates or times; a mixture of types is text.
fn seen(value: &Scalar) -> Seen {
    match value {
        Scalar::Missing | Scalar::Nested(_) => Seen::default(),
        Scalar::Bool(_) => Seen::BOOL,
        Scalar::Int(value) if value.unsigned_abs() <= 1 << 53 => Seen::INT,
        Scalar::Int(value) => form(value.to_string().as_bytes()),
        Scalar::Large(text) => form(text.as_bytes()),
        Scalar::Float(_) => Seen::FLOAT,
        Scalar::Text(text) => match datetime(text.as_bytes()) {
            _ if date(text.as_bytes()).is_some() => Seen::DATE,
            Some((_, false)) => Seen::LOCAL,
            Some((_, true)) => Seen::ZONED,
            None => Seen::TEXT,
        },
    }
}

/// The values of a line.
fn object(text: &[u8]) -> Result<Vec<(String, Scalar)>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let mut row = deserializer.deserialize_any(Object).and_then(|row| deserializer.end().map(|()| row))?;
    // Whole numbers of more than 64 bits come as floats: their digits are in the text.
    let large = |value: &Scalar| matches!(value, Scalar::Float(value) if value.abs() >= 9_223_372_036_854_775_808.0);
    if row.iter().any(|(_, value)| large(value)) {
        for ((_, value), token) in row.iter_mut().zip(tokens(text)) {
            if large(value) && token.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
                *value = Scalar::Large(String::from_utf8_lossy(token).into_owned());
            }
        }
    }
    Ok(row)
}

/// The values of an object that is known to be one, as they stand in the text.
fn tokens(text: &[u8]) -> Vec<&[u8]> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut start = None;
    let mut tokens = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        if quoted {
            quoted = escaped || *byte != b'"';
            escaped = *byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b':' if depth == 1 => start = Some(at + 1),
            b',' | b'}' if depth == 1 => tokens.extend(start.take().map(|start| text[start..at].trim_ascii())),
            _ => {}
        }
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    tokens
}

/// An object of scalars, keys in order.
struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Vec<(String, Scalar)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut row = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            row.push((key, map.next_value_seed(One)?));
        }
        Ok(row)
    }
}

/// One value.
struct One;

impl<'de> serde::de::DeserializeSeed<'de> for One {
    type Value = Scalar;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for One {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Missing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(value).map_or_else(|_| Scalar::Large(value.to_string()), Scalar::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested("an object"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested("an array"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_keep_their_digits() {
        let text = br#"{"a": "x,:}\"", "b": [1, {"c": 2}], "d": 123456789012345678901234567890 ,"e": 1e30, "f":-99999999999999999999}"#;
        let values: Vec<Scalar> = object(text).unwrap().into_iter().map(|(_, value)| value).collect();
        let large = |text: &str| Scalar::Large(text.to_owned());
        assert_eq!(
            values[2..],
            [large("123456789012345678901234567890"), Scalar::Float(1e30), large("-99999999999999999999")]
        );
    }
}
