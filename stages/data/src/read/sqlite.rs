//! SQLite files, by query.
//!
//! The key of the stage holds the content of the database file, so everything the query may see must be in that file: a database
//! with a write-ahead log or a hot journal beside it is refused, and what is left can be opened as immutable (no lock
//! is taken, nothing is written, not even beside the file).

use catalog::kinds::collect::params::Sqlite;
use contract::fault::{Fault, Faults};
use contract::route;
use contract::worker::protocol::{InputFile, Progress};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::reading::{Reading, Sieved};
use super::records::{Cell, Records};
use crate::fault::{Outcome, place};

/// So many rows are looked at when only the head is wanted.
const HEAD_ROWS: usize = 1000;

/// The answer of the query, and whether it is all of it.
///
/// # Errors
/// Files that are no databases or have unwritten changes beside them, queries that are wrong or would write, columns of mixed types.
pub fn read(file: &InputFile, options: &Sqlite, reading: &Reading<'_>) -> Outcome<(Sieved, bool)> {
    let shown = file.shown.as_str();
    for suffix in ["-wal", "-journal"] {
        let mut beside = file.path.clone().into_os_string();
        beside.push(suffix);
        if std::fs::metadata(&beside).is_ok_and(|metadata| metadata.len() > 0) {
            let text = format!("`{shown}{suffix}` holds changes that are not in `{shown}` yet");
            let help = "close the program that writes to it, or run `sqlite3 FILE 'pragma wal_checkpoint(truncate)'`";
            return Err(Faults::from(
                Fault::error(contract::code!("data::database_busy"), text).help(help).place(place(shown, None, None)),
            ));
        }
    }
    let at = || route!["from", "sqlite", "query"];
    let fault = |error: &rusqlite::Error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        match error.sqlite_error_code() {
            Some(
                rusqlite::ErrorCode::NotADatabase
                | rusqlite::ErrorCode::DatabaseCorrupt
                | rusqlite::ErrorCode::CannotOpen,
            ) => {
                vec![
                    Fault::error(
                        contract::code!("data::damaged_database"),
                        format!("`{shown}` cannot be read as an SQLite database: {line}"),
                    )
                    .help("is it another file, or cut off? copy or download it again")
                    .place(place(shown, None, None)),
                ]
            }
            _ => Faults::from(
                Fault::error(contract::code!("data::bad_query"), format!("SQLite refuses the query: {line}"))
                    .help("try it with `sqlite3 FILE \"...\"`; `.schema` lists the tables and their columns")
                    .at(at()),
            )
            .into_vec(),
        }
    };
    let path = file.path.to_string_lossy();
    let escaped: String = path
        .chars()
        .map(|c| match c {
            '%' | '?' | '#' => format!("%{:02X}", c as u32),
            other => other.to_string(),
        })
        .collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags).map_err(|error| fault(&error))?;
    let mut statement = connection.prepare(&options.query).map_err(|error| fault(&error))?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(Faults::from(
            Fault::error(contract::code!("data::bad_query"), "the query gives no rows, or would write")
                .help("only a `select` reads rows")
                .at(at()),
        ));
    }
    let names = statement.column_names().map(|name| (name.to_owned(), None)).collect();
    let mut records = Records::new(shown, names, reading)?;
    let count = statement.column_count();
    let mut rows = statement.query([]).map_err(|error| fault(&error))?;
    while let Some(row) = rows.next().map_err(|error| fault(&error))? {
        if reading.limits.head.is_some() && records.rows() >= HEAD_ROWS {
            return Ok((records.finish()?, false));
        }
        let number = records.seen() + 1;
        let mut cells = Vec::with_capacity(count);
        for index in 0..count {
            cells.push(match row.get_ref(index).map_err(|error| fault(&error))? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(value) => Cell::Int(value),
                ValueRef::Real(value) => Cell::Float(value),
                ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
                ValueRef::Text(bytes) => match String::from_utf8(bytes.to_vec()) {
                    Ok(text) => Cell::Text(text),
                    Err(_) => {
                        let text = format!("row {number} of column {} holds text that is not UTF-8", index + 1);
                        return Err(Faults::from(
                            Fault::error(contract::code!("data::encoding"), text)
                                .help("read it as bytes: `cast(NAME as blob)`")
                                .place(place(shown, Some(number), Some(index as u64 + 1))),
                        ));
                    }
                },
            });
        }
        records.push(cells)?;
        if number.is_multiple_of(10_000) {
            reading.channel.progress(Progress {
                done: number,
                total: None,
                unit: "row".into(),
                message: shown.to_owned(),
                rate: None,
            });
        }
    }
    Ok((records.finish()?, true))
}
