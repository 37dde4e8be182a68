//! FaultList of data: the few that many places share, and the list that stops growing.

use std::io;

use contract::fault::{Fault, Faults, Place};

/// A value, or everything that is wrong.
pub type Outcome<T> = Result<T, Faults>;

/// So many faults of one file or step are listed; the last says how many more there are.
pub const SHOWN: usize = 20;

/// A place in a file.
pub fn place(file: &str, line: Option<u64>, column: Option<u64>) -> Place {
    Place { file: file.to_owned(), line, column }
}

/// A file that could not be read.
pub fn unreadable(file: &str, error: &io::Error) -> Fault {
    let (what, help) = match error.kind() {
        io::ErrorKind::NotFound => ("is not there".to_owned(), "check the path; it starts from the pipeline's folder"),
        io::ErrorKind::PermissionDenied => ("may not be read".to_owned(), "give yourself the right to read it"),
        io::ErrorKind::IsADirectory => {
            ("is a folder, not a file".to_owned(), "name a file, or a pattern such as `folder/*.csv`")
        }
        _ => (format!("could not be read: {error}"), "check that the disk or network share is well"),
    };
    Fault::error(contract::code!("data::unreadable"), format!("`{file}` {what}"))
        .help(help)
        .place(place(file, None, None))
}

/// An output that could not be written.
pub fn unwritable(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Fault::error(contract::code!("data::disk_full"), "the disk is full: the data set could not be written")
                .help("free some space (`pipeline gc` drops old results), then run again; nothing was lost")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Fault::error(contract::code!("data::read_only"), "the store's folder may not be written to")
                .help("give yourself the right to write to `.pipeline`, or move the project")
        }
        _ => Fault::error(contract::code!("data::unwritable"), format!("the data set could not be written: {error}"))
            .help("check the disk that holds `.pipeline`"),
    }
}

/// The innermost reason of an error, which is the one that tells something: one line, without the system's number.
pub fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split(" (os error").next().unwrap_or(line).to_owned()
}

/// So many columns may a data set have.
pub const COLUMNS: usize = 1 << 16;

/// A file of more columns than [`COLUMNS`].
pub fn too_wide(file: &str, line: Option<u64>) -> Fault {
    let text = format!("`{file}` has too many columns: no more than {COLUMNS}, and not a new one in every row");
    Fault::error(contract::code!("data::too_wide"), text)
        .help("is the delimiter right, and are keys perhaps values? numbers of one kind belong into one tensor column (`npy`, or `parquet` with lists of a fixed length)")
        .place(place(file, line, None))
}

/// A file without rows.
pub fn empty(file: &str, why: &str) -> Fault {
    Fault::error(contract::code!("data::empty"), format!("`{file}` has no rows: {why}"))
        .help("a data set needs at least one row; check that the file is the right one and complete")
        .place(place(file, None, None))
}

/// An Arrow kernel that refused, where checks before it should have found the reason.
pub fn kernel(what: &str, error: &dyn std::fmt::Display) -> Faults {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    Faults::from(Fault::error(contract::code!("data::kernel"), format!("{what} failed: {line}")).help(
        "this is a limit of the table engine or a mistake in `pipeline`; a smaller data set or a simpler step may pass",
    ))
}

/// A list of faults that keeps the first [`SHOWN`] and counts the rest.
#[derive(Debug, Default)]
pub struct FaultList {
    kept: Vec<Fault>,
    more: u64,
}

impl FaultList {
    /// Adds one; it is made only when it will be kept.
    pub fn add(&mut self, fault: impl FnOnce() -> Fault) {
        if self.kept.len() < SHOWN {
            self.kept.push(fault());
        } else {
            self.more += 1;
        }
    }

    /// Adds those of another list, after these.
    pub fn extend(&mut self, other: Self) {
        for fault in other.kept {
            self.add(|| fault);
        }
        self.more += other.more;
    }

    /// Adds `lines` to every line.
    pub fn shift(&mut self, lines: u64) {
        for place in self.kept.iter_mut().filter_map(|fault| fault.place.as_mut()) {
            place.line = place.line.map(|line| line + lines);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The list, with a last entry that counts what was left out.
    pub fn into_vec(mut self) -> Faults {
        if self.more > 0
            && let Some(last) = self.kept.last()
        {
            let mut rest = last.clone();
            rest.message = format!("and {} more like these", self.more);
            if let Some(place) = &mut rest.place {
                (place.line, place.column) = (None, None);
            }
            self.kept.push(rest);
        }
        Faults::from(self.kept)
    }

    /// `value` when nothing is wrong.
    ///
    /// # Errors
    /// The list.
    pub fn or<T>(self, value: T) -> Outcome<T> {
        if self.is_empty() { Ok(value) } else { Err(self.into_vec()) }
    }
}
