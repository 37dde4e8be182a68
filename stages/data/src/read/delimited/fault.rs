//! What can be wrong with delimited text, with its line and column.

use contract::artifact::DType;
use contract::fault::Fault;
use memchr::memchr_iter;

use super::scan::{Broken, Dialect};
use crate::fault::place;
use crate::table::cell::expected;
use crate::table::sink::Target;

/// The line, from 1, that holds an offset.
pub fn line_of(text: &[u8], offset: usize) -> u64 {
    memchr_iter(b'\n', &text[..offset]).count() as u64 + 1
}

/// Text that is not UTF-8.
pub fn encoding_fault(shown: &str, why: &str, line: u64, column: Option<u64>) -> Fault {
    Fault::error(contract::code!("data::encoding"), format!("`{shown}` cannot be read as text: {why}"))
        .help("say how it is written: `encoding: latin-1` is the most likely; or save it as UTF-8")
        .place(place(shown, Some(line), column))
}

/// A broken structure, with the line counted from the start of `text`.
pub fn broken_fault(broken: Broken, text: &[u8], shown: &str, dialect: &Dialect) -> Fault {
    let at = broken.offset();
    let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&text[start..at]).chars().count() as u64 + 1;
    let quote = char::from(dialect.quote);
    let (message, help) = match broken {
        Broken::StrayQuote(_) => (
            format!("a quote `{quote}` stands inside a cell that is not quoted"),
            format!("put the whole cell in quotes and double the quotes inside it, or choose another `quote:` than `{quote}`"),
        ),
        Broken::AfterQuote(at, open) => (
            format!("expected a delimiter or the end of the line after the quoted cell that starts {}", since(text, at, open)),
            "double the quotes inside a quoted cell; or the cell's closing quote is missing".to_owned(),
        ),
        Broken::Unclosed(_) => (
            format!("the quote `{quote}` that opens here is never closed"),
            "close the cell with a quote, or double the quotes that are part of the text".to_owned(),
        ),
        Broken::LoneReturn(_) => (
            "a carriage return stands here without a line feed".to_owned(),
            "end lines with a line feed, for example `tr '\\r' '\\n' < old.csv > new.csv`; quote cells that hold line breaks"
                .to_owned(),
        ),
    };
    Fault::error(contract::code!("data::malformed_row"), message).help(help).place(place(
        shown,
        Some(line_of(text, at)),
        Some(column),
    ))
}

fn since(text: &[u8], at: usize, open: usize) -> String {
    match line_of(text, at) - line_of(text, open) {
        0 => "on this line".to_owned(),
        1 => "one line above".to_owned(),
        lines => format!("{lines} lines above"),
    }
}

/// In a block, lines count from 0: [`FaultList::shift`] adds the line the block starts on.
pub(super) fn lines_from_zero(mut fault: Fault) -> Fault {
    if let Some(place) = &mut fault.place {
        place.line = place.line.map(|line| line - 1);
    }
    fault
}

pub(super) fn ragged_fault(count: usize, expected: usize, shown: &str, line: u64, header: bool) -> Fault {
    let than = if header { "the header" } else { "the first row" };
    let cells = |count: usize| if count == 1 { "1 cell".to_owned() } else { format!("{count} cells") };
    Fault::error(
        contract::code!("data::malformed_row"),
        format!("this row has {}, {than} has {}", cells(count), cells(expected)),
    )
    .help("check the row for a missing or an additional delimiter; cells that hold one must be quoted")
    .place(place(shown, Some(line), Some(count.min(expected) as u64 + u64::from(count > expected))))
}

pub(super) fn cell_fault(found: &str, name: &str, target: Target, shown: &str, line: u64, column: u64) -> Fault {
    let dtype = match target {
        Target::Stated(dtype) => dtype,
        _ => DType::String,
    };
    let mut short: String = found.chars().take(40).collect();
    if short.len() < found.len() {
        short.push('…');
    }
    Fault::error(
        contract::code!("data::cell"),
        format!("`{short}` in column `{name}` is not {}: expected {}", dtype.name(), expected(dtype)),
    )
    .help("correct the cell, list it under `missing:`, or give the column another `dtype:`")
    .place(place(shown, Some(line), Some(column)))
}
