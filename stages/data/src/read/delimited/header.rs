//! The first line of delimited text: what the columns are called.

use std::collections::HashMap;

use contract::fault::{Fault, Faults};

use crate::fault::{COLUMNS, FaultList, Outcome, place, too_wide};
use crate::read::delimited::fault::{broken_fault, encoding_fault, line_of};
use crate::read::delimited::options::Options;
use crate::read::delimited::scan::{Dialect, End, Scanner};

/// What the head of a file says.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// The columns' names, each once, none empty.
    pub names: Vec<String>,
    /// Where the first row starts.
    pub end: usize,
}

/// Reads the header from the head of a file, which must hold all of it. Without a header the first record only tells how many
/// columns there are.
///
/// # Errors
/// Names that are empty or there twice, and text that is not UTF-8 or not delimited text.
pub fn read(head: &[u8], dialect: &Dialect, options: &Options, shown: &str) -> Outcome<Header> {
    let start = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    for (magic, format) in [(b"PAR1".as_slice(), "parquet"), (b"ARROW1", "arrow")] {
        if head.starts_with(magic) {
            let text = format!("`{shown}` is not text, it is {format}");
            let help = format!("read it as such: `from: {{ {format}: {shown} }}`");
            return Err(Faults::from(
                Fault::error(contract::code!("data::wrong_format"), text).help(help).place(place(shown, None, None)),
            ));
        }
    }
    let text = &head[start..];
    let mut scanner = Scanner::new(text, dialect);
    while scanner.skip_blank() {}
    let first = scanner.position();
    let mut names = Vec::new();
    loop {
        let field = scanner.field().map_err(|broken| Faults::from(broken_fault(broken, text, shown, dialect)))?;
        let end = field.end;
        match std::str::from_utf8(field.text) {
            Ok(name) => names.push(name.to_owned()),
            Err(_) => {
                let column = names.len() as u64 + 1;
                return Err(Faults::from(encoding_fault(shown, "it is not UTF-8", line_of(text, first), Some(column))));
            }
        }
        if end == End::Record {
            break;
        }
        if names.len() > COLUMNS {
            return Err(Faults::from(too_wide(shown, Some(line_of(text, first)))));
        }
    }
    if !options.header {
        let names = (1..=names.len()).map(|number| format!("column_{number}")).collect();
        return Ok(Header { names, end: start + first });
    }
    check(&names, line_of(text, first), shown)?;
    Ok(Header { names, end: start + scanner.position() })
}

fn check(names: &[String], line: u64, shown: &str) -> Outcome<()> {
    let mut faults = FaultList::default();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (index, name) in names.iter().enumerate() {
        let column = index as u64 + 1;
        if name.trim().is_empty() {
            let help = if index == 0 {
                "name it in the header (R writes such a first column unless told `row.names = FALSE`)"
            } else {
                "name it in the header; a delimiter at the end of every line makes such a column, too"
            };
            faults.add(|| {
                Fault::error(contract::code!("data::empty_name"), format!("column {column} of `{shown}` has no name"))
                    .help(help)
                    .place(place(shown, Some(line), Some(column)))
            });
        } else if let Some(first) = known.get(name.as_str()) {
            faults.add(|| {
                Fault::error(
                    contract::code!("data::duplicate_column"),
                    format!("columns {} and {column} of `{shown}` are both called `{name}`", first + 1),
                )
                .help("give every column its own name; `header: false` numbers the columns instead")
                .place(place(shown, Some(line), Some(column)))
            });
        } else {
            known.insert(name, index);
        }
    }
    faults.or(())
}
