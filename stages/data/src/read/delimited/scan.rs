//! Records and fields of delimited text, as RFC 4180 says.
//!
//! A field is quoted as a whole or not at all; inside quotes, delimiters and line breaks are text and a quote is written
//! twice. A quote anywhere else is a fault: accepting it would make the meaning of the rest of the file a guess (and it is what
//! lets pieces of a file be read in parallel: outside of quotes there are always evenly many of them).

use memchr::{memchr, memchr_iter, memrchr};

/// The characters that structure the text.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: u8,
    special: [bool; 256],
}

impl Dialect {
    /// A dialect of two different bytes.
    pub fn new(delimiter: u8, quote: u8) -> Self {
        let mut special = [false; 256];
        for byte in [delimiter, quote, b'\n', b'\r'] {
            special[usize::from(byte)] = true;
        }
        Self { delimiter, quote, special }
    }
}

/// What ended a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A delimiter: another field of the record follows.
    Field,
    /// A line break or the end of the text.
    Record,
}

/// What is wrong with the structure, and where (offsets into the text).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A quote inside a field that does not start with one.
    StrayQuote(usize),
    /// Something between a closing quote and the next delimiter: (there, the opening quote).
    AfterQuote(usize, usize),
    /// A quote that is never closed: (the opening quote).
    Unclosed(usize),
    /// A carriage return without a line feed.
    LoneReturn(usize),
}

impl Broken {
    /// Where it is.
    pub fn offset(self) -> usize {
        match self {
            Self::StrayQuote(at) | Self::AfterQuote(at, _) | Self::Unclosed(at) | Self::LoneReturn(at) => at,
        }
    }
}

/// One field.
#[derive(Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its text, without quotes.
    pub text: &'a [u8],
    /// Whether it was quoted.
    pub quoted: bool,
    /// What comes after it.
    pub end: End,
}

/// Reads fields one after the other.
pub struct Scanner<'a> {
    text: &'a [u8],
    position: usize,
    dialect: &'a Dialect,
    unquoted: Vec<u8>,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of a record.
    pub fn new(text: &'a [u8], dialect: &'a Dialect) -> Self {
        Self { text, position: 0, dialect, unquoted: Vec::new() }
    }

    /// Where the next field starts.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Whether everything was read. Only meaningful between records.
    pub fn done(&self) -> bool {
        self.position >= self.text.len()
    }

    /// At the start of a record: skips a line without any character.
    pub fn skip_blank(&mut self) -> bool {
        let rest = &self.text[self.position..];
        let width = match rest {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return false,
        };
        self.position += width;
        true
    }

    /// The next field.
    ///
    /// # Errors
    /// Text that is not delimited text.
    #[inline]
    pub fn field(&mut self) -> Result<Field<'_>, Broken> {
        let start = self.position;
        if self.text.get(start) == Some(&self.dialect.quote) {
            return self.quoted();
        }
        let mut at = start;
        while let Some(byte) = self.text.get(at) {
            if self.dialect.special[usize::from(*byte)] {
                break;
            }
            at += 1;
        }
        let end = self.end(at, || Broken::StrayQuote(at))?;
        Ok(Field { text: &self.text[start..at], quoted: false, end })
    }

    /// What stands at `at`, where a field must be over; moves behind it.
    #[inline]
    fn end(&mut self, at: usize, otherwise: impl FnOnce() -> Broken) -> Result<End, Broken> {
        match self.text.get(at) {
            Some(byte) if *byte == self.dialect.delimiter => {
                self.position = at + 1;
                Ok(End::Field)
            }
            Some(b'\n') => {
                self.position = at + 1;
                Ok(End::Record)
            }
            Some(b'\r') => match self.text.get(at + 1) {
                Some(b'\n') => {
                    self.position = at + 2;
                    Ok(End::Record)
                }
                None => {
                    self.position = at + 1;
                    Ok(End::Record)
                }
                Some(_) => Err(Broken::LoneReturn(at)),
            },
            None => {
                self.position = at;
                Ok(End::Record)
            }
            Some(_) => Err(otherwise()),
        }
    }

    fn quoted(&mut self) -> Result<Field<'_>, Broken> {
        let open = self.position;
        let quote = self.dialect.quote;
        let mut from = open + 1;
        let mut doubled = false;
        self.unquoted.clear();
        let close = loop {
            let Some(found) = memchr(quote, &self.text[from..]) else { return Err(Broken::Unclosed(open)) };
            let at = from + found;
            if self.text.get(at + 1) == Some(&quote) {
                self.unquoted.extend_from_slice(&self.text[from..=at]);
                doubled = true;
                from = at + 2;
            } else {
                break at;
            }
        };
        if doubled {
            self.unquoted.extend_from_slice(&self.text[from..close]);
        }
        let end = self.end(close + 1, || Broken::AfterQuote(close + 1, open))?;
        let text = if doubled { self.unquoted.as_slice() } else { &self.text[open + 1..close] };
        Ok(Field { text, quoted: true, end })
    }
}

/// Length of the longest prefix of whole records, given text that starts with a record; 0 when there is no whole one.
pub fn whole_records(text: &[u8], quote: u8) -> usize {
    let quotes = memchr_iter(quote, text).count();
    let mut inside = quotes % 2 == 1;
    let mut end = text.len();
    loop {
        // `text[..end]` ends inside or outside of quotes; the part after its last quote is what it ends in.
        let open = memrchr(quote, &text[..end]);
        let from = open.map_or(0, |at| at + 1);
        if !inside && let Some(at) = memrchr(b'\n', &text[from..end]) {
            return from + at + 1;
        }
        match open {
            Some(at) => end = at,
            None => return 0,
        }
        inside = !inside;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(text: &str) -> Result<Vec<Vec<String>>, Broken> {
        let dialect = Dialect::new(b',', b'"');
        let mut scanner = Scanner::new(text.as_bytes(), &dialect);
        let mut records = Vec::new();
        while !scanner.done() {
            let mut record = Vec::new();
            loop {
                let field = scanner.field()?;
                record.push(String::from_utf8(field.text.to_vec()).unwrap());
                if field.end == End::Record {
                    break;
                }
            }
            records.push(record);
        }
        Ok(records)
    }

    #[test]
    fn the_rules() {
        let read = |text| records(text).unwrap();
        assert_eq!(read("a,b\r\n1,2"), [["a", "b"], ["1", "2"]]);
        assert_eq!(read("a,b\n1,2\n"), [["a", "b"], ["1", "2"]]);
        assert_eq!(read("\"a\nb\",\"c,\"\"d\"\"\"\r\n,\n"), [["a\nb", "c,\"d\""], ["", ""]]);
        assert_eq!(read("\"\",\"\"\"\"\n"), [["", "\""]]);
        assert_eq!(read("ä,\"ö\"\r"), [["ä", "ö"]]);
    }

    #[test]
    fn what_is_broken() {
        assert_eq!(records("a,b\"c\n"), Err(Broken::StrayQuote(3)));
        assert_eq!(records("a,\"b\"c\n"), Err(Broken::AfterQuote(5, 2)));
        assert_eq!(records("a\n\"b,c\nd\n"), Err(Broken::Unclosed(2)));
        assert_eq!(records("a\rb\n"), Err(Broken::LoneReturn(1)));
    }

    #[test]
    fn records_are_cut_outside_of_quotes_only() {
        for (text, expected) in [
            ("a\nb\nc", 4),
            ("a\nb\n", 4),
            ("a", 0),
            ("", 0),
            ("\"a\nb\"\nc", 6),
            ("x\n\"a\nb", 2),
            ("\"a\nb", 0),
            ("x\n\"\"\"\n", 2),
            ("\"a\"\"\nb\"\n", 8),
        ] {
            assert_eq!(whole_records(text.as_bytes(), b'"'), expected, "{text:?}");
        }
    }

    fn cell() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[a-z0-9 ,\"\r\nä;\t]{0,8}").unwrap()
    }

    fn written(records: &[Vec<String>], always: bool, ending: &str) -> String {
        let cell = |text: &String| {
            if always || text.contains(['"', ',', '\r', '\n']) {
                format!("\"{}\"", text.replace('"', "\"\""))
            } else {
                text.clone()
            }
        };
        records.iter().map(|record| record.iter().map(cell).collect::<Vec<_>>().join(",") + ending).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_by_the_rules_is_read_back(
            rows in proptest::collection::vec(proptest::collection::vec(cell(), 3), 1..8),
            always in any::<bool>(),
            crlf in any::<bool>(),
        ) {
            let text = written(&rows, always, if crlf { "\r\n" } else { "\n" });
            prop_assert_eq!(records(&text), Ok(rows));
        }

        #[test]
        fn cutting_anywhere_gives_whole_records(
            rows in proptest::collection::vec(proptest::collection::vec(cell(), 2), 1..8),
            share in 0.0..1.0f64,
        ) {
            let text = written(&rows, false, "\n");
            let cut = (text.len() as f64 * share) as usize;
            let end = whole_records(&text.as_bytes()[..cut], b'"');
            prop_assert!(end <= cut);
            let mut both = records(&text[..end]).unwrap();
            both.extend(records(&text[end..]).unwrap());
            prop_assert_eq!(both, rows);
        }

        #[test]
        fn nothing_panics(text in "[a,\"\n\r]{0,30}") {
            let _ = records(&text);
            whole_records(text.as_bytes(), b'"');
        }
    }
}
