//! The sources of `collect`, from files of any place and format to one table.

use contract::natural::natural;
use std::path::Path;

use catalog::kinds::collect::params::{Collect, Delimited, Source};
use catalog::kinds::collect::{Place, is_url, nested_role};
use catalog::params::shape::OneOrMany;
use contract::fault::{Fault, Faults, Route};
use contract::remote::{Seen, is_remote};
use contract::route;
use contract::worker::protocol::InputFile;

use super::look::seen_now;
use super::stated::fitted;
use crate::fault::{Outcome, empty, kernel, place, unwritable};
use crate::fetch::archive::{self, Wanted};
use crate::fetch::downloads::Shelf;
use crate::fetch::http::{self, Remote};
use crate::fetch::s3::{Bucket, Object};
use crate::read::origin::{self, Span};
use crate::read::reading::{Reading, Sieved};
use crate::read::{delimited, idx, images, ipc, join, jsonl, listing, npy, parquet, postgres, sqlite, texts, unify};
use crate::table::dataset::Table;

/// Where things may be put while reading.
#[derive(Debug, Clone, Copy)]
pub struct Rooms<'a> {
    /// A folder that is empty at first and removed afterwards: archives are unpacked here.
    pub scratch: &'a Path,
}

/// Rows, and how many the source has where that is known.
pub(super) type Counted = (Table, Option<u64>);

/// Reads the sources of one stage.
pub(super) struct Reader<'a> {
    pub(super) params: &'a Collect,
    pub(super) rooms: &'a Rooms<'a>,
    pub(super) reading: Reading<'a>,
}

impl Reader<'_> {
    pub(super) fn read(&self, files: &[InputFile]) -> Outcome<Counted> {
        self.source(&self.params.from, files, "", &route!["from"])
    }

    /// One source, or several as one. Its files are those whose roles begin with `prefix`.
    fn source(&self, source: &Source, files: &[InputFile], prefix: &str, at: &Route) -> Outcome<Counted> {
        let several = |sources: &[Source], at: &Route| -> Outcome<Vec<(String, Counted)>> {
            let mut tables = Vec::new();
            let mut faults = Vec::new();
            for (index, source) in sources.iter().enumerate() {
                let prefix = nested_role(prefix, index);
                let shown = files.iter().find(|file| file.role.starts_with(&prefix)).map(|file| file.shown.clone());
                match self.source(source, files, &prefix, &at.join(index)) {
                    Ok(found) => tables.push((shown.unwrap_or_else(|| format!("source {}", index + 1)), found)),
                    Err(more) => faults.extend(more),
                }
            }
            if faults.is_empty() { Ok(tables) } else { Err(Faults::from(faults)) }
        };
        match source {
            Source::Concat(sources) => {
                let tables = several(sources, &at.join("concat"))?;
                let total = tables.iter().map(|(_, (_, rows))| *rows).sum::<Option<u64>>();
                let tables: Vec<(String, Table)> =
                    tables.into_iter().map(|(shown, (table, _))| (shown, table)).collect();
                self.notice_lacks(&tables, &at.join("concat"));
                Ok((unify::tables(tables, true)?, total))
            }
            Source::Join(join) => {
                let mut tables = several(&join.sources, &at.join("join").join("sources"))?.into_iter();
                let Some((_, (mut table, mut total))) = tables.next() else {
                    return Err(Faults::from(empty("the source", "nothing is joined")));
                };
                for (_, (next, rows)) in tables {
                    table = join::join(table, next, &join.on.0, join.how, &at.join("join"))?;
                    total = total.and(rows);
                }
                let total = total.map(|_| table.rows() as u64);
                Ok((table, total))
            }
            leaf => {
                let mut own: Vec<InputFile> =
                    files.iter().filter(|file| file.role.starts_with(prefix)).cloned().collect();
                own.iter_mut().for_each(|file| file.role = file.role[prefix.len()..].to_owned());
                let own = self.fetched(leaf, own, at)?;
                self.leaf(leaf, &own, prefix, at)
            }
        }
    }

    /// The files of a source, with those that lie elsewhere fetched.
    fn fetched(&self, source: &Source, mut own: Vec<InputFile>, at: &Route) -> Outcome<Vec<InputFile>> {
        let shelf = Shelf::beside(self.rooms.scratch);
        let store = self.params.s3.clone().unwrap_or_default();
        let (limits, channel) = (self.reading.limits, self.reading.channel);
        let mut digests = source.digests().iter();
        for place in source.places(&at.join(source.name())).into_iter().filter(|place| is_remote(place.path)) {
            let Place { role, path, at, listed } = place;
            let remote = Remote { url: path, role: role.clone(), at: at.clone(), limit: limits.unpacked };
            if listed
                && is_url(path)
                && let Some(digest) = digests.next()
            {
                let sha256 = digest.trim_start_matches("sha256:");
                own.push(http::by_digest(&remote, sha256, &shelf, channel)?);
                continue;
            }
            // The engine gives a file that says in which state the source was seen.
            let stand_in = own.iter().position(|file| file.role == role).map(|at| own.remove(at));
            let seen = match stand_in.and_then(|file| Seen::read(&file.path)) {
                Some(seen) => seen,
                None => {
                    let (state, _) = seen_now(path, &store, &at)?;
                    Seen { source: path.to_owned(), id: String::new(), state, taken: None }
                }
            };
            let unreadable = |error: serde_json::Error| kernel("reading what was seen of a source", &error);
            if is_url(path) {
                let state = serde_json::from_value(seen.state.clone()).map_err(unreadable)?;
                own.push(http::by_state(&remote, &seen, &state, &shelf, channel)?);
            } else {
                let objects: Vec<Object> = serde_json::from_value(seen.state["objects"].clone()).map_err(unreadable)?;
                let bucket = Bucket::of(path, &store, at)?;
                own.extend(bucket.fetch(&objects, &role, &seen, &shelf, limits.unpacked, channel)?);
            }
        }
        // Roles tell the order of the paths, of those that were fetched and of those that were there.
        own.sort_by(|a, b| a.role.cmp(&b.role));
        Ok(own)
    }

    /// Columns that one of several sources has and another has not are missing there: that is said.
    fn notice_lacks(&self, tables: &[(String, Table)], at: &Route) {
        let mut names: Vec<&str> = Vec::new();
        for column in tables.iter().flat_map(|(_, table)| &table.columns) {
            if !names.contains(&column.name.as_str()) {
                names.push(&column.name);
            }
        }
        for (index, (shown, table)) in tables.iter().enumerate() {
            let lacking: Vec<&str> =
                names.iter().filter(|name| table.columns.iter().all(|column| column.name != **name)).copied().collect();
            if !lacking.is_empty() {
                let text = format!(
                    "`{shown}` has no column `{}`: its {} rows are missing there",
                    lacking.join("`, `"),
                    table.rows()
                );
                self.reading.warn(
                    Fault::warning(contract::code!("data::lacking_column"), text)
                        .help("nothing needs to be done if that is meant")
                        .at(at.join(index)),
                );
            }
        }
    }

    fn leaf(&self, source: &Source, files: &[InputFile], prefix: &str, at: &Route) -> Outcome<Counted> {
        one(files)?;
        let refusals = self.reading.refusals;
        let folder = source.paths().is_some() && files.iter().any(|file| file.path.is_dir());
        let files = if folder { self.below(source, files)? } else { files.to_vec() };
        let (files, complete) = self.unpacked(source, &natural_order(&files), prefix)?;
        let before = refusals.counts();
        let (table, total, spans) = match self.rows(source, &files, at) {
            // Where every row is left out, that is what is wrong.
            Err(faults) if faults.iter().all(|fault| fault.code == contract::code!("data::empty")) => {
                return Err(refusals.too_many(before, 0).map_or(faults, Faults::from));
            }
            read => read?,
        };
        if complete
            && total.is_some()
            && let Some(fault) = refusals.too_many(before, table.rows() as u64)
        {
            return Err(Faults::from(fault));
        }
        let memory = self.reading.memory;
        let table = match source.paths() {
            Some(_) => origin::add_partitions(table, &spans, memory)?,
            None => table,
        };
        let table = if folder { origin::add_parts(table, &spans, memory)? } else { table };
        let table = if self.params.provenance { origin::add_provenance(table, &spans, memory)? } else { table };
        Ok((table, total.filter(|_| complete)))
    }

    /// Folders among the files as the files of the format that are in them, however deep.
    fn below(&self, source: &Source, files: &[InputFile]) -> Outcome<Vec<InputFile>> {
        let endings: &[&str] = match source {
            Source::Csv(_) => &[".csv"],
            Source::Tsv(_) => &[".tsv", ".tab"],
            Source::Jsonl(_) => &[".jsonl", ".ndjson", ".json"],
            Source::Parquet(_) => &[".parquet", ".pq"],
            Source::Arrow(_) => &[".arrow", ".feather", ".ipc"],
            Source::Npz(_) => &[".npz"],
            _ => &[".npy"],
        };
        let mut all = Vec::new();
        for file in files {
            if !file.path.is_dir() {
                all.push(file.clone());
                continue;
            }
            let (found, others) = listing::below(file, endings)?;
            if let Some(fault) = listing::notice(&file.shown, &others, endings) {
                self.reading.warn(fault);
            }
            all.extend(found);
        }
        Ok(all)
    }

    fn rows(&self, source: &Source, files: &[InputFile], at: &Route) -> Outcome<(Table, Option<u64>, Vec<Span>)> {
        let reading = &self.reading;
        let limits = reading.limits;
        let single = |rows: Sieved| -> Outcome<(Table, Option<u64>, Vec<Span>)> {
            let Sieved { table, gone } = fitted(rows, &files[0].shown, reading)?;
            let rows = table.rows();
            Ok((table, Some(rows as u64), vec![Span { gone, ..Span::whole(&files[0].shown, rows) }]))
        };
        let each = |(table, spans): (Table, Vec<Span>)| (Some(table.rows() as u64), table, spans);
        Ok(match source {
            Source::Csv(options) => delimited(&options.0, b',', "csv", files, reading)?,
            Source::Tsv(options) => delimited(&options.0, b'\t', "tsv", files, reading)?,
            Source::Jsonl(_) => several(files, true, reading, |file| {
                let (rows, complete) = jsonl::read(file, reading)?;
                let count = complete.then_some(rows.table.rows() as u64);
                Ok((rows, count))
            })?,
            Source::Parquet(options) => {
                several(files, false, reading, |file| parquet::read(file, &options.0, reading))?
            }
            Source::Arrow(_) => several(files, false, reading, |file| ipc::read(file, reading))?,
            Source::Npy(_) => {
                let (labels, values): (Vec<_>, Vec<_>) = files.iter().cloned().partition(|file| file.role == "labels");
                match (values.as_slice(), labels.as_slice()) {
                    ([_], [_]) => {
                        let name = |file: &InputFile| if file.role == "labels" { "label" } else { "value" }.to_owned();
                        single(npy::beside(&[values[0].clone(), labels[0].clone()], name, limits)?.into())?
                    }
                    (_, []) => several(files, false, reading, |file| {
                        npy::read(file, "value", limits).map(|table| counted(table.into()))
                    })?,
                    _ => {
                        let text = "`labels` goes with one array, and there are several";
                        return Err(Faults::from(
                            Fault::error(contract::code!("data::rows_differ"), text)
                                .help("put the pairs below each other with `concat`")
                                .place(place(&labels[0].shown, None, None)),
                        ));
                    }
                }
            }
            Source::Npz(_) => {
                let name = |file: &InputFile| {
                    let name = file.shown.rsplit_once(".npz/").map_or(file.shown.as_str(), |(_, inside)| inside);
                    name.trim_end_matches(".npy").to_owned()
                };
                single(npy::beside(files, name, limits)?.into())?
            }
            Source::Idx(_) => {
                let (images, labels) = idx_files(files)?;
                single(idx::read(images, labels, limits)?.into())?
            }
            Source::Images(options) => {
                let (total, table, spans) = match files.iter().find(|file| file.role == "labels") {
                    None => each(images::read(one(files)?, &options.0, reading)?),
                    Some(labels) => {
                        let folder = files.iter().find(|file| file.role == "images").map_or_else(|| one(files), Ok)?;
                        let own = std::slice::from_ref(labels);
                        let (table, _, spans) = delimited(&label_file(), b',', "csv", own, reading)?;
                        let gone = spans.into_iter().next().map(|span| span.gone).unwrap_or_default();
                        each(images::labelled(folder, (labels, Sieved { table, gone }), &options.0, reading)?)
                    }
                };
                (table, total, spans)
            }
            Source::Texts(options) => {
                let (total, table, spans) = each(texts::read(one(files)?, &options.0, reading)?);
                (table, total, spans)
            }
            Source::Sqlite(options) => {
                let (rows, complete) = sqlite::read(one(files)?, options, reading)?;
                let (table, rows, spans) = single(rows)?;
                (table, rows.filter(|_| complete), spans)
            }
            Source::Postgres(options) => {
                let at = at.join("postgres");
                let table = postgres::read(options, &at, self.rooms.scratch, limits, reading.channel)?;
                let shown = postgres::shown(options);
                let Sieved { table, gone } = fitted(table.into(), &shown, reading)?;
                let rows = table.rows();
                (table, Some(rows as u64), vec![Span { gone, ..Span::whole(shown, rows) }])
            }
            Source::Concat(_) | Source::Join(_) => {
                return Err(Faults::from(empty("the source", "sources are nested in an unknown way")));
            }
        })
    }

    /// Archives among the files as what is in them. A folder's archive becomes the folder.
    fn unpacked(&self, source: &Source, files: &[InputFile], prefix: &str) -> Outcome<(Vec<InputFile>, bool)> {
        let (format, suffixes, whole): (&str, &[&str], bool) = match source {
            Source::Csv(_) => ("csv", &[".csv", ".tsv", ".txt"], false),
            Source::Tsv(_) => ("tsv", &[".tsv", ".tab", ".csv", ".txt"], false),
            Source::Jsonl(_) => ("jsonl", &[".jsonl", ".ndjson", ".json"], false),
            Source::Parquet(_) => ("parquet", &[".parquet", ".pq"], false),
            Source::Arrow(_) => ("arrow", &[".arrow", ".feather", ".ipc"], false),
            Source::Npy(_) | Source::Npz(_) => ("npy", &[".npy"], false),
            Source::Images(_) => ("images", images::IMAGES, true),
            Source::Texts(_) => ("texts", texts::TEXTS, true),
            _ => return Ok((files.to_vec(), true)),
        };
        let inside = source.inside().map(|inside| {
            let suffix = |name: &String| {
                if matches!(source, Source::Npz(_)) && !name.ends_with(".npy") {
                    format!("{name}.npy")
                } else {
                    name.clone()
                }
            };
            inside.iter().map(suffix).collect::<Vec<_>>()
        });
        let wanted =
            Wanted { inside: inside.as_deref(), suffixes, format, head: self.reading.limits.head.filter(|_| !whole) };
        let mut found = Vec::new();
        let mut complete = true;
        for (index, file) in files.iter().enumerate() {
            let Some(packed) = archive::format(file)? else {
                if matches!(source, Source::Npz(_)) {
                    let text = format!("`{}` cannot be read as a NumPy archive: it is no zip file", file.shown);
                    return Err(Faults::from(
                        Fault::error(contract::code!("data::damaged_npy"), text)
                            .help("a single array is read with `npy:`; if it should be an `.npz`, copy or download it again")
                            .place(place(&file.shown, None, None))));
                }
                found.push(file.clone());
                continue;
            };
            let folder = self.rooms.scratch.join(format!("{}{index}", prefix.replace('/', "-")));
            std::fs::create_dir_all(&folder).map_err(|error| Faults::from(unwritable(&error)))?;
            let archive::Unpacked { files: inner, complete: all, others } =
                archive::unpack(file, packed, &wanted, &folder, self.reading.limits)?;
            complete &= all;
            if whole {
                if let Some(fault) = listing::notice(&file.shown, &others, suffixes) {
                    self.reading.warn(fault);
                }
                found.push(InputFile { path: listing::top(&folder), ..file.clone() });
            } else {
                found.extend(inner);
            }
        }
        Ok((found, complete))
    }
}

/// How a file of labels is written.
fn label_file() -> Delimited {
    Delimited {
        path: OneOrMany(Vec::new()),
        header: true,
        delimiter: None,
        quote: "\"".into(),
        missing: Vec::new(),
        encoding: None,
        inside: None,
        digest: None,
    }
}

fn counted(rows: Sieved) -> (Sieved, Option<u64>) {
    let count = rows.table.rows() as u64;
    (rows, Some(count))
}

/// Files of one role in natural order: `part-2` before `part-10`.
fn natural_order(files: &[InputFile]) -> Vec<InputFile> {
    let mut ordered = files.to_vec();
    for run in ordered.chunk_by_mut(|a, b| a.role == b.role) {
        run.sort_by(|a, b| natural(&a.shown, &b.shown));
    }
    ordered
}

fn several(
    files: &[InputFile],
    lenient: bool,
    reading: &Reading<'_>,
    read: impl Fn(&InputFile) -> Outcome<(Sieved, Option<u64>)>,
) -> Outcome<(Table, Option<u64>, Vec<Span>)> {
    let mut tables = Vec::new();
    let mut faults = Vec::new();
    let mut spans = Vec::new();
    let mut total = Some(0);
    let mut read_bytes = 0;
    for file in files {
        // Where stated cells are rejected, the rows that are left are counted anew.
        let fitted = read(file).and_then(|(rows, count)| {
            let before = rows.table.rows();
            let rows = fitted(rows, &file.shown, reading)?;
            let rejected = (before - rows.table.rows()) as u64;
            Ok((rows, count.map(|count| count - rejected)))
        });
        match fitted {
            Ok((Sieved { table, gone }, rows)) => {
                total = total.zip(rows).map(|(a, b)| a + b);
                spans.push(Span { gone, ..Span::whole(&file.shown, table.rows()) });
                tables.push((file.shown.clone(), table));
            }
            Err(more) => faults.extend(more),
        }
        read_bytes += std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        if reading.limits.head.is_some_and(|head| read_bytes > head) && tables.len() < files.len() {
            total = None;
            break;
        }
    }
    if !faults.is_empty() {
        return Err(Faults::from(faults));
    }
    unify::tables(tables, lenient).map(|table| (table, total, spans))
}

fn delimited(
    options: &Delimited,
    default: u8,
    name: &str,
    files: &[InputFile],
    reading: &Reading<'_>,
) -> Outcome<(Table, Option<u64>, Vec<Span>)> {
    let mut faults = Vec::new();
    let mut byte = |key: &str, text: &str| match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => *byte,
        _ => {
            let text = format!("`{key}` must be one ASCII character, not `{text}`");
            let help = "for example `delimiter: \";\"` or `quote: \"'\"`";
            faults.push(
                Fault::error(contract::code!("data::bad_character"), text).help(help).at(route!["from", name, key]),
            );
            0
        }
    };
    let delimiter = options.delimiter.as_deref().map_or(default, |text| byte("delimiter", text));
    let quote = byte("quote", &options.quote);
    if faults.is_empty() && delimiter == quote {
        let text = "`delimiter` and `quote` are the same character";
        faults.push(
            Fault::error(contract::code!("data::bad_character"), text)
                .help("choose two")
                .at(route!["from", name, "quote"]),
        );
    }
    if !faults.is_empty() {
        return Err(Faults::from(faults));
    }
    let options = delimited::options::Options {
        delimiter,
        quote,
        header: options.header,
        missing: options.missing.clone(),
        encoding: options.encoding.clone(),
    };
    let read = delimited::read(files, &options, reading)?;
    let rows = read.complete.then_some(read.table.rows() as u64);
    let counts = read.counts.iter().zip(read.gone);
    let spans = files.iter().zip(counts).map(|(file, (rows, gone))| Span { gone, ..Span::whole(&file.shown, *rows) });
    Ok((read.table, rows, spans.collect()))
}

pub(super) fn idx_files(files: &[InputFile]) -> Outcome<(&InputFile, Option<&InputFile>)> {
    let labels = files.iter().find(|file| file.role.contains("label"));
    let images = files.iter().find(|file| !file.role.contains("label"));
    Ok((images.map_or_else(|| one(files), Ok)?, labels))
}

/// The first file.
///
/// # Errors
/// `data::empty`: there is none.
pub(super) fn one(files: &[InputFile]) -> Outcome<&InputFile> {
    files.first().ok_or_else(|| Faults::from(empty("the source", "no file matches")))
}
