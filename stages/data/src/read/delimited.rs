//! CSV and TSV: text in, columns out, types inferred over all rows.
//!
//! The file is read in blocks that are cut between records, and several threads parse them. The start of the first block gives a
//! guess of every column's type. Every block is parsed under that guess, and notes the form of each cell that does not fit. After
//! the last block the noted forms decide. Only the columns whose guess was wrong are read a second time. The result does not
//! depend on the size of the blocks or on the number of threads.

pub mod fault;
pub mod header;
pub mod options;
pub mod scan;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, mpsc};

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults, nearest};
use contract::worker::protocol::{InputFile, Progress};
use memchr::{memchr, memchr_iter};

use self::fault::{broken_fault, cell_fault, encoding_fault, line_of, lines_from_zero, ragged_fault};
use self::header::Header;
use self::options::Options;
use self::scan::{Broken, Dialect, End, Scanner, whole_records};
use super::bytes::{Stream, overlong};
use super::reading::{Reading, Refused, bounded};
use crate::fault::{FaultList, Outcome, empty, place};
use crate::table::cell::Seen;
use crate::table::dataset::{Table, arrow_type, batch};
use crate::table::sink::{Missing, Sink, Target};
use crate::table::spill::Keeper;

/// Bytes of a block. A block grows beyond it only where one record is longer.
const BLOCK: usize = 1 << 20;
/// Bytes of the first block from which types are guessed. A wrong guess costs a second pass over the column, so that more bytes
/// would rarely pay.
const PROBE: usize = 1 << 16;

/// What was read.
pub struct Read {
    /// The rows.
    pub table: Table,
    /// Whether it is all of them.
    pub complete: bool,
    /// How many rows each file has, in the files' order.
    pub counts: Vec<usize>,
    /// The numbers of each file's rows (from 0) that could not be read and are left out.
    pub gone: Vec<Vec<u64>>,
}

/// Reads files one after the other into one table.
///
/// # Errors
/// Everything that is wrong with rows and cells, each with file, line and column (the field's number), up to
/// [`crate::fault::SHOWN`] a file.
pub fn read(files: &[InputFile], options: &Options, reading: &Reading<'_>) -> Outcome<Read> {
    let dialect = Dialect::new(options.delimiter, options.quote);
    let missing = Missing::new(&options.missing);
    let stated = reading.types;
    let job = Job { options, dialect: &dialect, missing: &missing, reading };
    let Some(first) = files.first() else { return Err(Faults::from(empty("the source", "no file matches"))) };
    let (names, probed) = job.probe(first)?;
    let mut seen = probed;
    let mut targets: Vec<Target> = names
        .iter()
        .zip(&seen)
        .map(|(name, seen)| match stated.get(name) {
            Some(dtype) => Target::Stated(*dtype),
            None => Target::Guess(seen.form(), Seen::TEXT.within(*seen)),
        })
        .collect();
    // The forms of the probe and of all cells that did not fit are joined. The order in which forms are joined does not
    // matter, so the result does not depend on the order of the blocks.
    let first_pass = job.pass(files, &names, &targets, None)?;
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
    if again.iter().any(|target| *target != Target::Skip) {
        let second = job.pass(files, &names, &again, Some(&first_pass.left_out))?;
        // The two passes are put together row by row: another number of rows in any block, or a cell that still does not fit the
        // widened type, means that the file is another one by now.
        if second.rows != first_pass.rows || second.seen.iter().any(|seen| !seen.is_empty()) {
            return Err(Faults::from(
                Fault::error(contract::code!("data::changed"), format!("`{}` changed while it was read", first.shown))
                    .help("run again when nothing writes to it"),
            ));
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
        let why = if options.header { "there is a header and nothing below it" } else { "there is nothing in it" };
        return Err(Faults::from(empty(&first.shown, why)));
    }
    let Pass { complete, counts, gone, .. } = first_pass;
    Ok(Read { table: Table { columns, batches }, complete, counts, gone })
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
    /// Of each file, the rows that are left out.
    gone: Vec<Vec<u64>>,
    /// Of each block, the records that are left out.
    left_out: Vec<Vec<usize>>,
}

/// The names of the columns, what they become, and which records of each block an earlier pass has left out.
type Known<'a> = (&'a [String], &'a [Target], Option<&'a [Vec<usize>]>);

/// Blocks put behind each other as they are parsed.
struct Gathering<'a> {
    columns: Vec<Column>,
    keeper: Keeper<'a>,
    seen: Vec<Seen>,
    rows: Vec<usize>,
    left_out: Vec<Vec<usize>>,
}

impl Gathering<'_> {
    fn add(&mut self, piece: Piece) -> Outcome<()> {
        for (all, misfits) in self.seen.iter_mut().zip(&piece.seen) {
            *all = all.with(*misfits);
        }
        self.rows.push(piece.rows);
        self.left_out.push(piece.bad.iter().map(|bad| bad.record).collect());
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
    faults: FaultList,
    broken: bool,
    rows: usize,
    /// Records that are left out.
    gone: Vec<u64>,
}

impl InOrder {
    fn add(&mut self, mut piece: Piece, into: &mut Gathering<'_>, shown: &str, reading: &Reading<'_>) -> Outcome<()> {
        self.next += 1;
        // Behind a broken quote the cuts between records are a guess: faults found there would mislead.
        if self.broken {
            return Ok(());
        }
        let mut own = std::mem::take(&mut piece.faults);
        own.shift(self.line);
        self.faults.extend(own);
        self.broken = piece.broken;
        // Row numbers count the records that are left out as well: a user finds the row in the file by them.
        let (before, line) = (self.rows as u64 + self.gone.len() as u64, self.line);
        self.line += piece.lines;
        self.rows += piece.rows;
        for bad in &piece.bad {
            let row = before + bad.record as u64;
            self.gone.push(row);
            let (reason, text) = (bad.reason.clone(), Some(bad.text.clone()));
            reading.refusals.rejected(shown, Refused { row: Some(row), line: Some(line + bad.line), reason, text })?;
        }
        if let Some(mut first) = piece.filled.first.take() {
            if let Some(place) = &mut first.place {
                place.line = place.line.map(|own| own + line);
            }
            reading.refusals.filled(piece.filled.cells, piece.filled.rows, Some(first));
        }
        // The rows are not kept once there is a fault: the read fails, and the rest is parsed only to list its faults.
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
    faults: FaultList,
    /// Whether what comes after it cannot be trusted to be cut between records.
    broken: bool,
    /// Records that could not be read and are not among the rows.
    bad: Vec<Bad>,
    /// Cells that could not be read and are missing.
    filled: Filled,
}

/// A record that cannot be read.
struct Bad {
    /// Its number in the block.
    record: usize,
    /// Its line, from the block's first, which is 0.
    line: u64,
    reason: String,
    text: String,
}

/// Cells that became missing, of how many rows, and the first.
#[derive(Default)]
struct Filled {
    cells: u64,
    rows: u64,
    first: Option<Fault>,
}

impl Filled {
    fn add(&mut self, fault: impl FnOnce() -> Fault) {
        self.cells += 1;
        if self.first.is_none() {
            self.first = Some(fault());
        }
    }
}

/// Which columns are read from a file's records, and how.
#[derive(Clone, Copy)]
struct Plan<'a> {
    shown: &'a str,
    names: &'a [String],
    /// The column that each field of a record belongs to.
    fields: &'a [usize],
    targets: &'a [Target],
}

struct Job<'a> {
    options: &'a Options,
    dialect: &'a Dialect,
    missing: &'a Missing,
    reading: &'a Reading<'a>,
}

impl Job<'_> {
    /// The first file's columns and what its first cells look like.
    fn probe(&self, file: &InputFile) -> Outcome<(Vec<String>, Vec<Seen>)> {
        let mut stream = Stream::open_text(file, self.reading.limits, self.options.encoding.as_deref())?;
        let (head, header, _) = self.head(&mut stream)?;
        let body = &head[header.end..];
        let mut cut = whole_records(&body[..body.len().min(PROBE)], self.dialect.quote);
        if cut == 0 {
            cut = body.len().min(PROBE);
        }
        // A row that is left out does not widen the type of a column.
        let stated = |name: &String| self.reading.types.get(name).map_or(Target::Probe, |dtype| Target::Stated(*dtype));
        let targets: Vec<Target> = header.names.iter().map(stated).collect();
        let fields: Vec<usize> = (0..header.names.len()).collect();
        let plan = Plan { shown: &file.shown, names: &header.names, fields: &fields, targets: &targets };
        let seen = self.parse(&body[..cut], &plan, None).seen;
        Ok((header.names, seen))
    }

    /// The first block of a file, its header, and whether the block is all of it.
    fn head(&self, stream: &mut Stream) -> Outcome<(Vec<u8>, Header, bool)> {
        let mut head = Vec::new();
        loop {
            let start = head.len();
            // The buffer doubles, so that a header of any length costs linear time.
            head.resize(start + BLOCK.max(start), 0);
            let count = stream.fill(&mut head[start..])?;
            head.truncate(start + count);
            let all = count < BLOCK.max(start);
            if head.iter().all(|byte| byte.is_ascii_whitespace()) || head == b"\xef\xbb\xbf" {
                if all {
                    return Err(Faults::from(empty(&stream.shown, "there is nothing in it")));
                }
                continue;
            }
            if all || whole_records(&head, self.dialect.quote) > 0 || head.len() > self.reading.limits.record {
                // Lines of old Mac files end with a carriage return alone: without this check the whole file is one header.
                if memchr(b'\n', &head).is_none()
                    && let Some(at) = memchr(b'\r', &head[..head.len() - 1])
                {
                    return Err(Faults::from(broken_fault(Broken::LoneReturn(at), &head, &stream.shown, self.dialect)));
                }
                let header = header::read(&head, self.dialect, self.options, &stream.shown)?;
                return Ok((head, header, all));
            }
        }
    }

    /// Reads all files with these targets. `known` are the records of each block that an earlier pass has left out.
    fn pass(
        &self,
        files: &[InputFile],
        names: &[String],
        targets: &[Target],
        known: Option<&[Vec<usize>]>,
    ) -> Outcome<Pass> {
        let columns = columns(names, targets);
        let keeper = Keeper::new(columns.clone(), self.reading.memory);
        let seen = vec![Seen::default(); targets.len()];
        let mut into = Gathering { columns, keeper, seen, rows: Vec::new(), left_out: Vec::new() };
        let mut counts = Vec::new();
        let mut gone = Vec::new();
        let mut complete = true;
        let mut faults = Vec::new();
        for file in files {
            match self.file(file, (names, targets, known), files[0].shown.as_str(), &mut into) {
                Ok((rows, left_out, all)) => {
                    counts.push(rows);
                    gone.push(left_out);
                    complete &= all;
                }
                Err(more) => faults.extend(more),
            }
            if self.reading.limits.head.is_some() && !complete {
                break;
            }
        }
        if !faults.is_empty() {
            return Err(Faults::from(faults));
        }
        let Gathering { keeper, seen, rows, left_out, .. } = into;
        Ok(Pass { table: keeper.finish()?, seen, rows, complete, counts, gone, left_out })
    }

    /// The file's rows behind those that are there: how many there are, which are left out, and whether these are all.
    fn file(
        &self,
        file: &InputFile,
        (names, targets, known): Known<'_>,
        first: &str,
        into: &mut Gathering<'_>,
    ) -> Outcome<(usize, Vec<u64>, bool)> {
        let mut stream = Stream::open_text(file, self.reading.limits, self.options.encoding.as_deref())?;
        let (head, header, mut all) = self.head(&mut stream)?;
        let fields = fields(&header, names, &file.shown, first, self.options.header)?;
        let header_lines = memchr_iter(b'\n', &head[..header.end]).count() as u64;
        let shown = file.shown.as_str();
        let plan = Plan { shown, names, fields: &fields, targets };
        // Every pass cuts the same blocks, so that the records an earlier pass left out are found by block and number.
        let known = known.map(|known| known.get(into.rows.len()..).unwrap_or_default());
        let mut complete = true;
        let mut endless = false;
        // Threads finish blocks in any order; the map holds those that wait for an earlier one. The channel is bounded by the number of
        // threads: a fast disk would otherwise put the whole file into memory.
        let parsed: Mutex<BTreeMap<usize, Piece>> = Mutex::default();
        let threads = self.reading.limits.threads.max(1);
        let (sender, receiver) = mpsc::sync_channel::<(usize, Vec<u8>, usize)>(threads);
        let receiver = Mutex::new(receiver);
        let mut order = InOrder {
            next: 0,
            line: header_lines + 1,
            faults: FaultList::default(),
            broken: false,
            rows: 0,
            gone: Vec::new(),
        };
        let ready = |order: &mut InOrder, into: &mut Gathering<'_>| -> Outcome<()> {
            while let Some(piece) = parsed.lock().ok().and_then(|mut parsed| parsed.remove(&order.next)) {
                order.add(piece, into, shown, self.reading)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| -> Outcome<()> {
            // The sender is moved in here so that it is dropped at the end: only then do the threads leave their loop and the scope ends.
            let sender = sender;
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let next = receiver.lock().map(|receiver| receiver.recv());
                        let Ok(Ok((index, text, start))) = next else { break };
                        let known = known.map(|known| known.get(index).map_or(&[][..], Vec::as_slice));
                        let piece = self.parse(&text[start..], &plan, known);
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
                if self.reading.limits.head.is_some_and(|head| total >= head) && !all {
                    complete = false;
                    all = true;
                    let end = start + whole_records(&text[start..], self.dialect.quote);
                    text.truncate(end.max(start));
                }
                let end = if all { text.len() } else { start + whole_records(&text[start..], self.dialect.quote) };
                // The text holds no whole record yet: read on, twice as much each time, up to the limit of a record. Beyond the limit the
                // text is not parsed, because the end of its record is not known.
                if end == start && text.len() > self.reading.limits.record {
                    endless = true;
                    break;
                }
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
        // All threads have ended: what is in the map now is the rest.
        ready(&mut order, into)?;
        let InOrder { line, mut faults, rows, gone, .. } = order;
        if endless {
            faults.add(|| overlong(shown, line, self.reading.limits));
        }
        faults.or((rows, gone, complete))
    }

    fn tell(&self, stream: &Stream) {
        self.reading.channel.progress(Progress {
            done: stream.position(),
            total: Some(stream.size),
            unit: "byte".into(),
            message: stream.shown.clone(),
            rate: None,
        });
    }

    /// Parses whole records. With `on_error: reject`, those that cannot be read are left out of everything: they are found first, and
    /// the block is parsed without them. `known` are those that are known to be left out.
    fn parse(&self, text: &[u8], plan: &Plan<'_>, known: Option<&[usize]>) -> Piece {
        let mut piece = self.parse_without(text, plan, known.unwrap_or_default());
        if known.is_none() && self.reading.refusals.reject() && !piece.bad.is_empty() {
            let bad = std::mem::take(&mut piece.bad);
            // The sinks already hold cells of the bad records and may have widened their types: the block is parsed again without them.
            let left_out: Vec<usize> = bad.iter().map(|bad| bad.record).collect();
            piece = self.parse_without(text, plan, &left_out);
            piece.bad = bad;
        }
        // The first pass has counted the filled cells; a second pass reads the same cells again.
        if known.is_some() {
            piece.filled = Filled::default();
        }
        piece
    }

    fn parse_without(&self, text: &[u8], plan: &Plan<'_>, left_out: &[usize]) -> Piece {
        let Plan { shown, names, fields, targets } = *plan;
        let (reject, fill) = (self.reading.refusals.reject(), self.reading.refusals.fill());
        // A cell takes about four bytes: enough to spare most buffers a reallocation.
        let guess = text.len() / (fields.len() * 4).max(1);
        let mut sinks: Vec<Sink> = targets.iter().map(|target| Sink::new(*target, guess)).collect();
        let mut piece = Piece {
            rows: 0,
            lines: memchr_iter(b'\n', text).count() as u64,
            arrays: Vec::new(),
            seen: Vec::new(),
            faults: FaultList::default(),
            broken: false,
            bad: Vec::new(),
            filled: Filled::default(),
        };
        let valid = std::str::from_utf8(text);
        if let Err(error) = valid
            && !reject
            && !fill
        {
            let at = error.valid_up_to();
            let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
            let column = String::from_utf8_lossy(&text[start..at]).chars().count() as u64 + 1;
            let fault = encoding_fault(shown, "it is not UTF-8", line_of(text, at) - 1, Some(column));
            piece.faults.add(|| fault);
            piece.broken = true;
            piece.seen = sinks.iter().map(Sink::seen).collect();
            return piece;
        }
        // A block that is UTF-8 as a whole needs no check of its cells, which is the common case and the fast one.
        let checked = valid.is_err();
        let mut left_out = left_out.iter().copied().peekable();
        let mut scanner = Scanner::new(text, self.dialect);
        let mut record = 0;
        // Lines are counted on from the last place that was asked for: counting from the start for every fault is quadratic.
        let mut counted = (0, 0);
        let mut line_at = |offset: usize| {
            counted.1 += memchr_iter(b'\n', &text[counted.0..offset]).count() as u64;
            counted.0 = offset;
            counted.1
        };
        'records: while !scanner.done() {
            // In a file of one column an empty line is a record with a missing cell.
            if fields.len() > 1 && scanner.skip_blank() {
                continue;
            }
            let start = scanner.position();
            let gone = left_out.next_if_eq(&record).is_some();
            let mut wrong: Option<Fault> = None;
            let filled = piece.filled.cells;
            let mut count = 0;
            loop {
                let field = match scanner.field() {
                    Ok(field) => field,
                    Err(error) => {
                        piece.faults.add(|| lines_from_zero(broken_fault(error, text, shown, self.dialect)));
                        piece.broken = true;
                        break 'records;
                    }
                };
                let end = field.end;
                if !gone && let Some(column) = fields.get(count) {
                    let readable = !checked || std::str::from_utf8(field.text).is_ok();
                    let cell = if readable { (field.text, field.quoted) } else { (&b""[..], false) };
                    let fits = sinks[*column].push(cell.0, cell.1, self.missing).is_ok();
                    if !(fits && readable) {
                        let found = String::from_utf8_lossy(field.text).into_owned();
                        let mut fault = || {
                            let (line, number) = (line_at(start), count as u64 + 1);
                            if readable {
                                cell_fault(&found, &names[*column], targets[*column], shown, line, number)
                            } else {
                                encoding_fault(shown, "it is not UTF-8", line, Some(number))
                            }
                        };
                        if fill {
                            piece.filled.add(fault);
                        } else if !reject {
                            piece.faults.add(fault);
                        } else if wrong.is_none() {
                            wrong = Some(fault());
                        }
                    }
                }
                count += 1;
                if end == End::Record {
                    break;
                }
            }
            record += 1;
            if gone {
                continue;
            }
            if count != fields.len() {
                let mut fault = || ragged_fault(count, fields.len(), shown, line_at(start), self.options.header);
                if fill && count < fields.len() {
                    for column in &fields[count..] {
                        // An empty cell fits every type.
                        let _ = sinks[*column].push(b"", false, self.missing);
                        piece.filled.add(&mut fault);
                    }
                } else if fill {
                    piece.faults.add(|| {
                        fault()
                            .help("cells that are too many cannot be filled: `on_error: reject` leaves such rows out")
                    });
                } else if !reject {
                    piece.faults.add(fault);
                } else if wrong.is_none() {
                    wrong = Some(fault());
                }
            }
            if let Some(fault) = wrong {
                let (line, text) = (line_at(start), bounded(&text[start..scanner.position()]));
                piece.bad.push(Bad { record: record - 1, line, reason: fault.message, text });
            }
            piece.filled.rows += u64::from(piece.filled.cells > filled);
            piece.rows += 1;
        }
        piece.seen = sinks.iter().map(Sink::seen).collect();
        if piece.faults.is_empty() && (piece.bad.is_empty() || !reject) {
            for (sink, _) in sinks.into_iter().zip(targets).filter(|(_, target)| **target != Target::Skip) {
                match sink.finish() {
                    Ok(array) => piece.arrays.push(array.filter(|array| array.len() == piece.rows)),
                    Err(more) => more.into_iter().for_each(|fault| piece.faults.add(|| fault)),
                }
            }
        }
        piece
    }
}

/// Which column each field of a file belongs to: files may order their columns differently, but must have the same.
fn fields(header: &Header, names: &[String], shown: &str, first: &str, named: bool) -> Outcome<Vec<usize>> {
    let mut faults = Vec::new();
    let mut fields = Vec::with_capacity(header.names.len());
    if !named && header.names.len() != names.len() {
        let text = format!("`{shown}` has {} columns, `{first}` has {}", header.names.len(), names.len());
        faults.push(
            Fault::error(contract::code!("data::columns_differ"), text)
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
                        contract::code!("data::columns_differ"),
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
            Fault::error(
                contract::code!("data::columns_differ"),
                format!("`{shown}` has no column `{name}`, which `{first}` has"),
            )
            .help("files that are collected together need the same columns")
            .place(place(shown, Some(1), None)),
        );
    }
    if faults.is_empty() { Ok(fields) } else { Err(Faults::from(faults)) }
}
