//! CSV and TSV: text in, columns out, types inferred over all rows.
//!
//! The file is read in blocks that are cut between records and parsed by several threads. The first block tells what the columns
//! look like; every block is read on that guess, and remembers the form of each cell that did not fit. When all blocks
//! are done the forms decide; only columns whose guess was wrong are read a second time. The result does not depend on
//! the blocks or on the number of threads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, mpsc};

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use catalog::params::preprocess::OnError;
use engine::artifact::{Column, DType};
use engine::error::{Fault, nearest};
use engine::protocol::{InputFile, Progress};
use engine::worker::Channel;
use memchr::{memchr, memchr_iter};

use super::bytes::{Limits, Stream, overlong};
use super::header::{self, Header};
use super::scan::{Broken, Dialect, End, Scanner, whole_records};
use super::sink::{Missing, Sink, Target};
use crate::cell::{Seen, expected};
use crate::dataset::{Table, arrow_type, batch};
use crate::fault::{Faults, Outcome, empty, place};
use crate::spill::{Keeper, Memory};

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;
/// So much of the first block is looked at to guess types.
const PROBE: usize = 1 << 16;

/// How the text is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: u8,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Cells that mean missing, besides the empty one.
    pub missing: Vec<String>,
    /// The encoding's name, when it is not UTF-8.
    pub encoding: Option<String>,
    /// What happens to rows that are not whole and cells that are not of their stated type.
    pub on_error: OnError,
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The file, as messages show it.
    pub file: String,
    /// Its first line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
    /// How it is written.
    pub text: String,
}

/// Rows that were not as they should be, and were no fault.
#[derive(Debug, Default)]
pub struct Amiss {
    /// Those that were left out: the first [`REFUSED`].
    pub refused: Vec<Refused>,
    /// How many were left out.
    pub left_out: u64,
    /// How many were filled, or cut.
    pub filled: u64,
}

/// So many rows that were left out are kept.
pub const REFUSED: usize = 100_000;

impl Amiss {
    /// Adds those of another list, after these; its lines are counted from `line`.
    pub fn extend(&mut self, other: Self, line: u64) {
        let room = REFUSED - self.refused.len().min(REFUSED);
        let more = other.refused.into_iter().take(room);
        self.refused.extend(more.map(|row| Refused { line: row.line + line, ..row }));
        self.left_out += other.left_out;
        self.filled += other.filled;
    }
}

/// What was read.
pub struct Read {
    /// The rows.
    pub table: Table,
    /// Whether it is all of them.
    pub complete: bool,
    /// How many rows each file has, in the files' order.
    pub counts: Vec<usize>,
    /// Rows that were not as they should be.
    pub amiss: Amiss,
}

/// Reads files one after the other into one table. `stated` holds types that are known better than they can be inferred.
///
/// # Errors
/// Everything that is wrong with rows and cells, each with file, line and column (the field's number), up to
/// [`crate::fault::SHOWN`] a file.
pub fn read(
    files: &[InputFile],
    options: &Options,
    stated: &BTreeMap<String, DType>,
    limits: &Limits,
    memory: &Memory,
    channel: &Channel,
) -> Outcome<Read> {
    let dialect = Dialect::new(options.delimiter, options.quote);
    let missing = Missing::new(&options.missing);
    let job = Job { options, dialect: &dialect, missing: &missing, limits, memory, channel };
    let Some(first) = files.first() else { return Err(vec![empty("the source", "no file matches")]) };
    let (names, probed) = job.probe(first, stated)?;
    let mut seen = probed;
    let mut targets: Vec<Target> = names
        .iter()
        .zip(&seen)
        .map(|(name, seen)| match stated.get(name) {
            Some(dtype) => Target::Stated(*dtype),
            None => Target::Guess(seen.form(), Seen::TEXT.within(*seen)),
        })
        .collect();
    let first_pass = job.pass(files, &names, &targets)?;
    for (all, misfits) in seen.iter_mut().zip(&first_pass.seen) {
        *all = all.with(*misfits);
    }
    let mut again = vec![Target::Skip; targets.len()];
    for (column, target) in targets.iter_mut().enumerate() {
        if let Target::Guess(form, _) = target
            && seen[column].form() != *form
        {
            *target = Target::Guess(seen[column].form(), true);
            again[column] = *target;
        }
    }
    let mut batches = first_pass.table.batches;
    if options.on_error == OnError::Reject {
        // The second pass must leave out the same rows, for the same reasons.
        let stated = targets.iter().zip(&mut again).filter(|(target, _)| matches!(target, Target::Stated(_)));
        stated.for_each(|(target, again)| *again = *target);
    }
    if again.iter().any(|target| matches!(target, Target::Guess(..)))
        && again.iter().any(|target| *target != Target::Skip)
    {
        let second = job.pass(files, &names, &again)?;
        if second.rows != first_pass.rows || second.seen.iter().any(|seen| !seen.is_empty()) {
            return Err(vec![
                Fault::error("data::changed", format!("`{}` changed while it was read", first.shown))
                    .help("run again when nothing writes to it"),
            ]);
        }
        let columns = columns(&names, &targets);
        let places: Vec<usize> = (0..again.len()).filter(|column| again[*column] != Target::Skip).collect();
        batches = batches
            .iter()
            .zip(&second.table.batches)
            .map(|(old, new)| {
                let mut arrays = old.columns().to_vec();
                for (place, array) in places.iter().zip(new.columns()) {
                    arrays[*place] = array.clone();
                }
                batch(&columns, arrays)
            })
            .collect::<Outcome<Vec<RecordBatch>>>()?;
    }
    let columns = columns(&names, &targets);
    if batches.is_empty() {
        if let Some(row) = first_pass.amiss.refused.first() {
            let why = format!("all {} were rejected, line {}: {}", first_pass.amiss.left_out, row.line, row.reason);
            return Err(vec![empty(&first.shown, &why)]);
        }
        let why = if options.header { "there is a header and nothing below it" } else { "there is nothing in it" };
        return Err(vec![empty(&first.shown, why)]);
    }
    let Pass { complete, counts, amiss, .. } = first_pass;
    Ok(Read { table: Table { columns, batches }, complete, counts, amiss })
}

/// The columns that are read with these targets, in the order of the names.
fn columns(names: &[String], targets: &[Target]) -> Vec<Column> {
    let wanted = names.iter().zip(targets).filter(|(_, target)| **target != Target::Skip);
    wanted
        .map(|(name, target)| match target {
            Target::Guess(form, _) => Column::new(name, form.dtype()),
            Target::Stated(dtype) => Column::new(name, *dtype),
            Target::Skip | Target::Probe => Column::new(name, DType::String),
        })
        .collect()
}

/// What one pass over all files has read.
struct Pass {
    /// The columns that were wanted.
    table: Table,
    /// The forms of cells that did not fit, of every column.
    seen: Vec<Seen>,
    /// Rows of each block.
    rows: Vec<usize>,
    /// Whether the end was reached.
    complete: bool,
    /// Rows of each file.
    counts: Vec<usize>,
    amiss: Amiss,
}

/// Blocks put behind each other as they are parsed.
struct Gathering<'a> {
    columns: Vec<Column>,
    keeper: Keeper<'a>,
    seen: Vec<Seen>,
    rows: Vec<usize>,
    amiss: Amiss,
}

impl Gathering<'_> {
    fn add(&mut self, piece: Piece) -> Outcome<()> {
        for (all, misfits) in self.seen.iter_mut().zip(&piece.seen) {
            *all = all.with(*misfits);
        }
        self.rows.push(piece.rows);
        if piece.rows == 0 {
            return Ok(());
        }
        let arrays = piece.arrays.into_iter().zip(&self.columns);
        let arrays = arrays
            .map(|(array, column)| array.unwrap_or_else(|| new_null_array(&arrow_type(column), piece.rows)))
            .collect();
        self.keeper.push(batch(&self.columns, arrays)?)
    }
}

/// The blocks of one file, in the order in which they stand in it.
struct InOrder {
    next: usize,
    /// The line the next block begins on.
    line: u64,
    faults: Faults,
    broken: bool,
    rows: usize,
}

impl InOrder {
    fn add(&mut self, mut piece: Piece, into: &mut Gathering<'_>) -> Outcome<()> {
        self.next += 1;
        if self.broken {
            return Ok(());
        }
        let mut own = std::mem::take(&mut piece.faults);
        own.shift(self.line);
        self.faults.extend(own);
        self.broken = piece.broken;
        into.amiss.extend(std::mem::take(&mut piece.amiss), self.line);
        self.line += piece.lines;
        self.rows += piece.rows;
        // With the first fault, only faults are of interest.
        if self.faults.is_empty() { into.add(piece) } else { Ok(()) }
    }
}

/// One block, parsed.
struct Piece {
    rows: usize,
    /// Line breaks in it, also those inside quotes.
    lines: u64,
    /// Of the columns that are wanted.
    arrays: Vec<Option<ArrayRef>>,
    seen: Vec<Seen>,
    /// Places count lines from the block's first, which is 0.
    faults: Faults,
    /// Its lines, too, count from the block's first.
    amiss: Amiss,
    /// Whether what comes after it cannot be trusted to be cut between records.
    broken: bool,
}

struct Job<'a> {
    options: &'a Options,
    dialect: &'a Dialect,
    missing: &'a Missing,
    limits: &'a Limits,
    memory: &'a Memory,
    channel: &'a Channel,
}

impl Job<'_> {
    /// The first file's columns and what its first cells look like.
    fn probe(&self, file: &InputFile, stated: &BTreeMap<String, DType>) -> Outcome<(Vec<String>, Vec<Seen>)> {
        let mut stream = Stream::open_text(file, self.limits, self.options.encoding.as_deref())?;
        let (head, header, _) = self.head(&mut stream)?;
        let body = &head[header.end..];
        let mut cut = whole_records(&body[..body.len().min(PROBE)], self.dialect.quote);
        if cut == 0 {
            cut = body.len().min(PROBE);
        }
        // A row that will be left out tells nothing of the types.
        let stated = |name: &String| stated.get(name).filter(|_| self.options.on_error == OnError::Reject);
        let targets: Vec<Target> = header
            .names
            .iter()
            .map(|name| stated(name).map_or(Target::Probe, |dtype| Target::Stated(*dtype)))
            .collect();
        let fields: Vec<usize> = (0..header.names.len()).collect();
        let piece = self.parse(&body[..cut], &file.shown, &header.names, &fields, &targets);
        Ok((header.names, piece.seen))
    }

    /// The first block of a file, its header, and whether the block is all of it.
    fn head(&self, stream: &mut Stream) -> Outcome<(Vec<u8>, Header, bool)> {
        let mut head = Vec::new();
        loop {
            let start = head.len();
            head.resize(start + BLOCK.max(start), 0);
            let count = stream.fill(&mut head[start..])?;
            head.truncate(start + count);
            let all = count < BLOCK.max(start);
            if head.iter().all(|byte| byte.is_ascii_whitespace()) || head == b"\xef\xbb\xbf" {
                if all {
                    return Err(vec![empty(&stream.shown, "there is nothing in it")]);
                }
                continue;
            }
            if all || whole_records(&head, self.dialect.quote) > 0 || head.len() > self.limits.record {
                if memchr(b'\n', &head).is_none()
                    && let Some(at) = memchr(b'\r', &head[..head.len() - 1])
                {
                    return Err(vec![broken_fault(Broken::LoneReturn(at), &head, &stream.shown, self.dialect)]);
                }
                let header = header::read(&head, self.dialect, self.options, &stream.shown)?;
                return Ok((head, header, all));
            }
        }
    }

    /// Reads all files with these targets.
    fn pass(&self, files: &[InputFile], names: &[String], targets: &[Target]) -> Outcome<Pass> {
        let columns = columns(names, targets);
        let keeper = Keeper::new(columns.clone(), self.memory);
        let seen = vec![Seen::default(); targets.len()];
        let mut into = Gathering { columns, keeper, seen, rows: Vec::new(), amiss: Amiss::default() };
        let mut counts = Vec::new();
        let mut complete = true;
        let mut faults = Vec::new();
        for file in files {
            match self.file(file, names, targets, files[0].shown.as_str(), &mut into) {
                Ok((rows, all)) => {
                    counts.push(rows);
                    complete &= all;
                }
                Err(more) => faults.extend(more),
            }
            if self.limits.head.is_some() && !complete {
                break;
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let Gathering { keeper, seen, rows, amiss, .. } = into;
        Ok(Pass { table: keeper.finish()?, seen, rows, complete, counts, amiss })
    }

    /// The file's rows behind those that are there: how many there are, and whether these are all.
    fn file(
        &self,
        file: &InputFile,
        names: &[String],
        targets: &[Target],
        first: &str,
        into: &mut Gathering<'_>,
    ) -> Outcome<(usize, bool)> {
        let mut stream = Stream::open_text(file, self.limits, self.options.encoding.as_deref())?;
        let (head, header, mut all) = self.head(&mut stream)?;
        let fields = fields(&header, names, &file.shown, first, self.options.header)?;
        let header_lines = memchr_iter(b'\n', &head[..header.end]).count() as u64;
        let shown = file.shown.as_str();
        let mut complete = true;
        let mut endless = false;
        let parsed: Mutex<BTreeMap<usize, Piece>> = Mutex::default();
        let threads = self.limits.threads.max(1);
        let (sender, receiver) = mpsc::sync_channel::<(usize, Vec<u8>, usize)>(threads);
        let receiver = Mutex::new(receiver);
        let mut order = InOrder { next: 0, line: header_lines + 1, faults: Faults::default(), broken: false, rows: 0 };
        let ready = |order: &mut InOrder, into: &mut Gathering<'_>| -> Outcome<()> {
            while let Some(piece) = parsed.lock().ok().and_then(|mut parsed| parsed.remove(&order.next)) {
                order.add(piece, into)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| -> Outcome<()> {
            let sender = sender;
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let next = receiver.lock().map(|receiver| receiver.recv());
                        let Ok(Ok((index, text, start))) = next else { break };
                        let piece = self.parse(&text[start..], shown, names, &fields, targets);
                        if let Ok(mut parsed) = parsed.lock() {
                            parsed.insert(index, piece);
                        }
                    }
                });
            }
            let mut text = head;
            let mut start = header.end;
            let mut total = text.len() as u64;
            let mut index = 0;
            loop {
                if self.limits.head.is_some_and(|head| total >= head) && !all {
                    complete = false;
                    all = true;
                    let end = start + whole_records(&text[start..], self.dialect.quote);
                    text.truncate(end.max(start));
                }
                let end = if all { text.len() } else { start + whole_records(&text[start..], self.dialect.quote) };
                // Not one whole record: read on, twice as much each time, but not for ever. Parsing what is there will most
                // likely find the quote that is never closed.
                let end = if end == start && text.len() > self.limits.record {
                    endless = true;
                    all = true;
                    text.len()
                } else {
                    end
                };
                let mut next = text[end..].to_vec();
                if end > start {
                    text.truncate(end);
                    if sender.send((index, text, start)).is_err() {
                        break;
                    }
                    index += 1;
                    ready(&mut order, into)?;
                }
                if all {
                    break;
                }
                let kept = next.len();
                let room = BLOCK.max(kept);
                next.resize(kept + room, 0);
                let count = stream.fill(&mut next[kept..])?;
                next.truncate(kept + count);
                total += count as u64;
                all = count < room;
                text = next;
                start = 0;
                self.tell(&stream);
            }
            self.tell(&stream);
            Ok(())
        })?;
        ready(&mut order, into)?;
        let InOrder { line, mut faults, rows, .. } = order;
        if endless {
            faults.add(|| overlong(shown, line, self.limits));
        }
        faults.or((rows, complete))
    }

    fn tell(&self, stream: &Stream) {
        self.channel.progress(Progress {
            done: stream.position(),
            total: Some(stream.size),
            unit: "byte".into(),
            message: stream.shown.clone(),
            rate: None,
        });
    }

    /// Parses whole records. `fields[i]` is the column that the record's field `i` belongs to.
    fn parse(&self, text: &[u8], shown: &str, names: &[String], fields: &[usize], targets: &[Target]) -> Piece {
        let lines = memchr_iter(b'\n', text).count() as u64;
        let mut faults = Faults::default();
        let mut amiss = Amiss::default();
        let mut broken = false;
        let mut rows = 0;
        let policy = self.options.on_error;
        let mut before: Vec<Seen> = Vec::new();
        let guess = text.len() / (fields.len() * 4).max(1);
        let mut sinks: Vec<Sink> = targets.iter().map(|target| Sink::new(*target, guess)).collect();
        if let Err(error) = std::str::from_utf8(text) {
            let at = error.valid_up_to();
            let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
            let column = String::from_utf8_lossy(&text[start..at]).chars().count() as u64 + 1;
            let fault = encoding_fault(shown, "it is not UTF-8", line_of(text, at) - 1, Some(column));
            faults.add(|| fault);
            broken = true;
        } else {
            let mut scanner = Scanner::new(text, self.dialect);
            'records: while !scanner.done() {
                if fields.len() > 1 && scanner.skip_blank() {
                    continue;
                }
                let start = scanner.position();
                let mut count = 0;
                let mut wrong: Option<Fault> = None;
                if policy == OnError::Reject {
                    before.clear();
                    before.extend(sinks.iter().map(Sink::seen));
                }
                loop {
                    let field = match scanner.field() {
                        Ok(field) => field,
                        Err(error) => {
                            faults.add(|| lines_from_zero(broken_fault(error, text, shown, self.dialect)));
                            broken = true;
                            break 'records;
                        }
                    };
                    let end = field.end;
                    if let Some(column) = fields.get(count)
                        && sinks[*column].push(field.text, field.quoted, self.missing).is_err()
                    {
                        let found = String::from_utf8_lossy(field.text).into_owned();
                        let fault = || {
                            let line = line_of(text, start) - 1;
                            cell_fault(&found, &names[*column], targets[*column], shown, line, count as u64 + 1)
                        };
                        match policy {
                            OnError::Fail => faults.add(fault),
                            _ => {
                                wrong.get_or_insert_with(fault);
                            }
                        }
                    }
                    count += 1;
                    if end == End::Record {
                        break;
                    }
                }
                if count != fields.len() {
                    let fault =
                        || ragged_fault(count, fields.len(), shown, line_of(text, start) - 1, self.options.header);
                    match policy {
                        OnError::Fail => faults.add(fault),
                        // Cells in the wrong columns are no reason of their own.
                        _ => wrong = Some(fault()),
                    }
                }
                match (policy, wrong) {
                    (OnError::Reject, Some(wrong)) => {
                        sinks.iter_mut().zip(&before).for_each(|(sink, seen)| sink.back(rows, *seen));
                        amiss.left_out += 1;
                        if amiss.refused.len() < REFUSED {
                            let line = wrong.place.as_ref().and_then(|place| place.line).unwrap_or_default();
                            let whole = String::from_utf8_lossy(&text[start..scanner.position()]);
                            amiss.refused.push(Refused {
                                file: shown.to_owned(),
                                line,
                                reason: wrong.message,
                                text: whole.trim_end_matches(['\n', '\r']).to_owned(),
                            });
                        }
                        continue;
                    }
                    (OnError::Fill, Some(_)) => {
                        for column in fields.iter().skip(count) {
                            // An empty cell is missing, whatever the type.
                            let _ = sinks[*column].push(b"", false, self.missing);
                        }
                        amiss.filled += 1;
                    }
                    _ => {}
                }
                rows += 1;
            }
        }
        let seen = sinks.iter().map(Sink::seen).collect();
        let mut arrays = Vec::with_capacity(sinks.len());
        if faults.is_empty() {
            for (sink, _) in sinks.into_iter().zip(targets).filter(|(_, target)| **target != Target::Skip) {
                match sink.finish() {
                    Ok(array) => arrays.push(array.filter(|array| array.len() == rows)),
                    Err(more) => more.into_iter().for_each(|fault| faults.add(|| fault)),
                }
            }
        }
        Piece { rows, lines, arrays, seen, faults, amiss, broken }
    }
}

/// Which column each field of a file belongs to: files may order their columns differently, but must have the same.
fn fields(header: &Header, names: &[String], shown: &str, first: &str, named: bool) -> Outcome<Vec<usize>> {
    let mut faults = Vec::new();
    let mut fields = Vec::with_capacity(header.names.len());
    if !named && header.names.len() != names.len() {
        let text = format!("`{shown}` has {} columns, `{first}` has {}", header.names.len(), names.len());
        faults.push(
            Fault::error("data::columns_differ", text)
                .help("files that are collected together need the same columns")
                .place(place(shown, Some(1), None)),
        );
    }
    let known: HashMap<&String, usize> = names.iter().enumerate().map(|(column, name)| (name, column)).collect();
    for (index, name) in header.names.iter().enumerate() {
        match known.get(name) {
            Some(column) => fields.push(*column),
            None if named => {
                let near = nearest(name, names.iter().map(String::as_str));
                let help = near.map_or_else(
                    || "files that are collected together need the same columns".to_owned(),
                    |near| format!("did they mean `{near}`, as in `{first}`?"),
                );
                faults.push(
                    Fault::error(
                        "data::columns_differ",
                        format!("`{shown}` has a column `{name}` that `{first}` has not"),
                    )
                    .help(help)
                    .place(place(shown, Some(1), Some(index as u64 + 1))),
                );
            }
            None => {}
        }
    }
    let own: HashSet<&String> = header.names.iter().collect();
    for name in names.iter().filter(|name| named && !own.contains(name)) {
        faults.push(
            Fault::error("data::columns_differ", format!("`{shown}` has no column `{name}`, which `{first}` has"))
                .help("files that are collected together need the same columns")
                .place(place(shown, Some(1), None)),
        );
    }
    if faults.is_empty() { Ok(fields) } else { Err(faults) }
}

/// The line, from 1, that holds an offset.
pub fn line_of(text: &[u8], offset: usize) -> u64 {
    memchr_iter(b'\n', &text[..offset]).count() as u64 + 1
}

/// Text that is not UTF-8.
pub fn encoding_fault(shown: &str, why: &str, line: u64, column: Option<u64>) -> Fault {
    Fault::error("data::encoding", format!("`{shown}` cannot be read as text: {why}"))
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
    Fault::error("data::malformed_row", message).help(help).place(place(shown, Some(line_of(text, at)), Some(column)))
}

fn since(text: &[u8], at: usize, open: usize) -> String {
    match line_of(text, at) - line_of(text, open) {
        0 => "on this line".to_owned(),
        1 => "one line above".to_owned(),
        lines => format!("{lines} lines above"),
    }
}

/// In a block, lines count from 0: [`Faults::shift`] adds the line the block starts on.
fn lines_from_zero(mut fault: Fault) -> Fault {
    if let Some(place) = &mut fault.place {
        place.line = place.line.map(|line| line - 1);
    }
    fault
}

fn ragged_fault(count: usize, expected: usize, shown: &str, line: u64, header: bool) -> Fault {
    let than = if header { "the header" } else { "the first row" };
    let cells = |count: usize| if count == 1 { "1 cell".to_owned() } else { format!("{count} cells") };
    Fault::error("data::malformed_row", format!("this row has {}, {than} has {}", cells(count), cells(expected)))
        .help("check the row for a missing or an additional delimiter; cells that hold one must be quoted")
        .place(place(shown, Some(line), Some(count.min(expected) as u64 + u64::from(count > expected))))
}

fn cell_fault(found: &str, name: &str, target: Target, shown: &str, line: u64, column: u64) -> Fault {
    let dtype = match target {
        Target::Stated(dtype) => dtype,
        _ => DType::String,
    };
    let mut short: String = found.chars().take(40).collect();
    if short.len() < found.len() {
        short.push('…');
    }
    Fault::error(
        "data::cell",
        format!("`{short}` in column `{name}` is not {}: expected {}", dtype.name(), expected(dtype)),
    )
    .help("correct the cell, list it under `missing:`, or give the column another `dtype:`")
    .place(place(shown, Some(line), Some(column)))
}
