//! `collect`: rows from files, archives, databases, and several of these together.

pub mod annotators;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use arrow::array::{Array, ArrayRef, RecordBatch};
use catalog::columns::pattern::{natural, unknown};
use catalog::kinds::collect::params::{Collect, ColumnOptions, Delimited, S3, Source};
use catalog::kinds::collect::{Place, is_url, nested_role};
use catalog::kinds::preprocess::params::OnError;
use catalog::params::shape::OneOrMany;
use contract::artifact::{Column, DType, DatasetType};
use contract::fault::{Fault, Route};
use contract::remote::{Freshness, Look, Seen, is_remote};
use contract::route;
use contract::worker::Channel;
use contract::worker::protocol::InputFile;

use crate::fault::{Faults, Outcome, empty, kernel, place, unwritable};
use crate::fetch::archive::Wanted;
use crate::fetch::downloads::Shelf;
use crate::fetch::http::Remote;
use crate::fetch::s3::Bucket;
use crate::fetch::{archive, http};
use crate::read::bytes::Limits;
use crate::read::origin::Span;
use crate::read::reading::{Counts, Reading, Refusals, Sieved, left_out};
use crate::read::{
    delimited, idx, images, ipc, join, jsonl, listing, normal, npy, origin, parquet, postgres, sqlite, texts, unify,
};
use crate::table::classes::classes;
use crate::table::convert::{self, Refusal, convert, convert_some};
use crate::table::dataset::{Table, batch};
use crate::table::spill::{Keeper, Memory};
use crate::threads;

/// Sources up to this size are read whole to infer types; of larger ones, [`HEAD`] bytes.
pub const WHOLE: u64 = 64 << 20;
/// How much of a large source is read to infer types.
pub const HEAD: u64 = 4 << 20;

/// What was collected.
pub struct Collected {
    /// The rows.
    pub table: Table,
    /// What annotators said of them, where there are any.
    pub labels: Option<Table>,
    /// The rows that could not be read and are left out (as many as are kept).
    pub rejected: Table,
    /// How much could not be read.
    pub counts: Counts,
    /// What is worth knowing: columns that some source lacks, files and rows that are left out.
    pub warnings: Vec<Fault>,
}

/// Where things may be put while reading.
#[derive(Debug, Clone, Copy)]
pub struct Rooms<'a> {
    /// A folder that is empty at first and removed afterwards: archives are unpacked here.
    pub scratch: &'a Path,
}

/// The rows alone, with a scratch folder of their own.
///
/// # Errors
/// As [`gather`].
pub fn collect(params: &Collect, files: &[InputFile], limits: &Limits, channel: &Channel) -> Outcome<Table> {
    let scratch = scratch()?;
    gather(params, files, limits, &Rooms { scratch: scratch.path() }, channel).map(|collected| collected.table)
}

fn scratch() -> Outcome<tempfile::TempDir> {
    tempfile::tempdir().map_err(|error| vec![unwritable(&error)])
}

/// Reads everything.
///
/// # Errors
/// Everything that is wrong with the files and with `columns:`.
pub fn gather(
    params: &Collect,
    files: &[InputFile],
    limits: &Limits,
    rooms: &Rooms<'_>,
    channel: &Channel,
) -> Outcome<Collected> {
    let memory = Memory::new(limits.memory, rooms.scratch.to_owned());
    let refusals = Refusals::new(params.on_error, params.keep_rejected, &memory);
    let (types, warnings) = (types(params), Mutex::default());
    let reading = Reading { limits, memory: &memory, channel, types: &types, refusals: &refusals, warnings: &warnings };
    let (table, _) = Reader { params, rooms, reading }.read(files)?;
    if table.rows() == 0 {
        let shown = files.first().map_or("the source", |file| file.shown.as_str());
        return Err(vec![empty(shown, "it holds columns and no rows")]);
    }
    let table = stated(table, &params.columns, files)?;
    let (table, labels) = match &params.annotators {
        Some(annotators) => annotators::apart(table, annotators).map(|(table, labels)| (table, Some(labels)))?,
        None => (table, None),
    };
    let (rejected, counts, more) = refusals.finish()?;
    let mut warnings: Vec<Fault> = warnings.into_inner().unwrap_or_default();
    warnings.extend(more);
    if counts.rejected > 0 {
        channel.info(format!("{} rows rejected, {} read", counts.rejected, table.rows()));
    }
    if counts.filled > 0 {
        channel.info(format!("{} cells of {} rows could not be read and are missing", counts.filled, counts.touched));
    }
    Ok(Collected { table, labels, rejected, counts, warnings })
}

/// The types that are stated.
fn types(params: &Collect) -> BTreeMap<String, DType> {
    params.columns.iter().filter_map(|(name, options)| Some((name.clone(), options.dtype?))).collect()
}

/// In which state the sources are that lie elsewhere. Nothing is fetched.
///
/// # Errors
/// Servers that are down or refuse, all of them.
pub fn look(params: &Collect) -> Outcome<Vec<Look>> {
    let store = params.s3.clone().unwrap_or_default();
    let (mut looks, mut faults) = (Vec::new(), Vec::new());
    look_at(&params.from, &store, "", &route!["from"], &mut looks, &mut faults);
    if faults.is_empty() { Ok(looks) } else { Err(faults) }
}

fn look_at(source: &Source, store: &S3, prefix: &str, at: &Route, looks: &mut Vec<Look>, faults: &mut Vec<Fault>) {
    let several = match source {
        Source::Concat(sources) => Some((sources, at.join("concat"))),
        Source::Join(join) => Some((&join.sources, at.join("join").join("sources"))),
        _ => None,
    };
    if let Some((sources, at)) = several {
        for (index, source) in sources.iter().enumerate() {
            look_at(source, store, &nested_role(prefix, index), &at.join(index), looks, faults);
        }
        return;
    }
    if matches!(source, Source::Postgres(_)) {
        // A database does not tell whether the answer would be another one.
        let state = serde_json::json!({});
        looks.push(Look { role: format!("{prefix}answer"), state, freshness: Freshness::Pinned });
    }
    let declared = !source.digests().is_empty();
    for place in source.places(&at.join(source.name())).into_iter().filter(|place| is_remote(place.path)) {
        if declared && place.listed && is_url(place.path) {
            continue;
        }
        let role = format!("{prefix}{}", place.role);
        match seen_now(place.path, store, &place.at) {
            Ok((state, freshness)) => looks.push(Look { role, state, freshness }),
            Err(more) => faults.extend(more),
        }
    }
}

fn seen_now(path: &str, store: &S3, at: &Route) -> Outcome<(serde_json::Value, Freshness)> {
    if is_url(path) {
        let remote = Remote { url: path, role: String::new(), at: at.clone(), limit: 0 };
        let state = http::look(&remote)?;
        return Ok((serde_json::to_value(&state).unwrap_or_default(), state.freshness()));
    }
    let objects = Bucket::of(path, store, at.clone())?.look()?;
    Ok((serde_json::json!({ "objects": objects }), Freshness::Tells))
}

/// What [`collect`] would give. Sources up to [`WHOLE`] are read (packed ones count unpacked); of larger ones the head tells
/// the columns, while rows, classes and missing cells stay unknown.
///
/// # Errors
/// As [`collect`], as far as was read.
pub fn infer(params: &Collect, files: &[InputFile], limits: &Limits) -> Outcome<DatasetType> {
    // Names that are not there are for the caller to report: it knows them, too.
    let stated = |table: Table| {
        let there = |name: &String| table.columns.iter().any(|column| column.name == *name);
        let options = params.columns.iter().filter(|(name, _)| there(name));
        let options = options.map(|(name, options)| (name.clone(), options.clone())).collect();
        stated(table, &options, files)
    };
    let lenient = params.on_error == OnError::Reject;
    let known = match &params.from {
        _ if params.provenance => None,
        Source::Idx(_) => {
            let (images, labels) = idx_files(files)?;
            Some(idx::peek(images, labels, limits)?)
        }
        Source::Images(options) if options.0.labels.is_none() && one(files)?.path.is_dir() => {
            Some(images::peek(one(files)?, &options.0, lenient)?)
        }
        _ => None,
    };
    if let Some((columns, rows)) = known {
        let none = Table { columns, batches: Vec::new() };
        let columns = stated(none)?.columns;
        // Which images are broken is known when all were read.
        let rows = Some(rows).filter(|_| !lenient || matches!(params.from, Source::Idx(_)));
        return Ok(DatasetType { columns: Some(columns), rows, ..DatasetType::default() });
    }
    let size: u64 = files.iter().map(|file| weight(&file.path)).sum();
    let packed = files.iter().any(|file| PACKED.iter().any(|suffix| file.shown.ends_with(suffix)));
    let large = size > if packed { WHOLE / 8 } else { WHOLE };
    let limits = Limits { head: large.then_some(HEAD), ..*limits };
    let scratch = scratch()?;
    let rooms = Rooms { scratch: scratch.path() };
    let channel = Channel::silent();
    let memory = Memory::new(limits.memory, scratch.path().to_owned());
    let refusals = Refusals::new(params.on_error, 0, &memory);
    let (types, warnings) = (types(params), Mutex::default());
    let (limits, channel) = (&limits, &channel);
    let reading = Reading { limits, memory: &memory, channel, types: &types, refusals: &refusals, warnings: &warnings };
    let (table, total) = Reader { params, rooms: &rooms, reading }.read(files)?;
    let table = stated(table)?;
    let whole = total == Some(table.rows() as u64);
    if whole && table.rows() == 0 {
        return Err(vec![empty(&one(files)?.shown, "it holds columns and no rows")]);
    }
    let columns = threads::map(table.columns.len(), limits.threads, |index| {
        let mut column = table.columns[index].clone();
        let pieces = table.pieces(index);
        column.nullable = column.shape.is_empty() && (!whole || pieces.iter().any(|piece| piece.null_count() > 0));
        column.classes = if whole && column.shape.is_empty() { classes(&pieces) } else { None };
        column
    });
    Ok(DatasetType { columns: Some(columns), rows: total, ..DatasetType::default() })
}

/// Bytes of a file, or of all files below a folder.
fn weight(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| weight(&entry.path())).sum()
}

/// Names of files that hold more than they weigh.
const PACKED: [&str; 5] = [".gz", ".zst", ".zip", ".tgz", ".npz"];

fn one(files: &[InputFile]) -> Outcome<&InputFile> {
    files.first().ok_or_else(|| vec![empty("the source", "no file matches")])
}

/// Rows, and how many the source has where that is known.
type Counted = (Table, Option<u64>);

struct Reader<'a> {
    params: &'a Collect,
    rooms: &'a Rooms<'a>,
    reading: Reading<'a>,
}

impl Reader<'_> {
    fn read(&self, files: &[InputFile]) -> Outcome<Counted> {
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
            if faults.is_empty() { Ok(tables) } else { Err(faults) }
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
                    return Err(vec![empty("the source", "nothing is joined")]);
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
                let objects: Vec<crate::fetch::s3::Object> =
                    serde_json::from_value(seen.state["objects"].clone()).map_err(unreadable)?;
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
                    Fault::warning("data::lacking_column", text)
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
            Err(faults) if faults.iter().all(|fault| fault.code == "data::empty") => {
                return Err(refusals.too_many(before, 0).map_or(faults, |fault| vec![fault]));
            }
            read => read?,
        };
        if complete
            && total.is_some()
            && let Some(fault) = refusals.too_many(before, table.rows() as u64)
        {
            return Err(vec![fault]);
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
                        return Err(vec![
                            Fault::error("data::rows_differ", text)
                                .help("put the pairs below each other with `concat`")
                                .place(place(&labels[0].shown, None, None)),
                        ]);
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
                return Err(vec![empty("the source", "sources are nested in an unknown way")]);
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
                    return Err(vec![
                        Fault::error("data::damaged_npy", text)
                            .help("a single array is read with `npy:`; if it should be an `.npz`, copy or download it again")
                            .place(place(&file.shown, None, None)),
                    ]);
                }
                found.push(file.clone());
                continue;
            };
            let folder = self.rooms.scratch.join(format!("{}{index}", prefix.replace('/', "-")));
            std::fs::create_dir_all(&folder).map_err(|error| vec![unwritable(&error)])?;
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
        return Err(faults);
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
            faults.push(Fault::error("data::bad_character", text).help(help).at(route!["from", name, key]));
            0
        }
    };
    let delimiter = options.delimiter.as_deref().map_or(default, |text| byte("delimiter", text));
    let quote = byte("quote", &options.quote);
    if faults.is_empty() && delimiter == quote {
        let text = "`delimiter` and `quote` are the same character";
        faults.push(Fault::error("data::bad_character", text).help("choose two").at(route!["from", name, "quote"]));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let options = delimited::Options {
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

fn idx_files(files: &[InputFile]) -> Outcome<(&InputFile, Option<&InputFile>)> {
    let labels = files.iter().find(|file| file.role.contains("label"));
    let images = files.iter().find(|file| !file.role.contains("label"));
    Ok((images.map_or_else(|| one(files), Ok)?, labels))
}

/// One file's rows with the stated types, where the format has types of its own: cells that are not of them are faults, missing, or
/// their rows are left out.
fn fitted(rows: Sieved, shown: &str, reading: &Reading<'_>) -> Outcome<Sieved> {
    let Sieved { table: Table { columns: old, batches }, gone } = rows;
    let mut columns = old.clone();
    let mut wanted: Vec<(usize, DType)> = Vec::new();
    for (index, column) in columns.iter_mut().enumerate() {
        if let Some(dtype) = reading.types.get(&column.name).filter(|dtype| **dtype != column.dtype) {
            column.dtype = *dtype;
            wanted.push((index, *dtype));
        }
    }
    if wanted.is_empty() {
        return Ok(Sieved { table: Table { columns, batches }, gone });
    }
    let mut keeper = Keeper::new(columns.clone(), reading.memory);
    let mut faults = Faults::default();
    let mut left = Vec::new();
    let mut all = Sieved::numbers(&gone);
    for rows in &batches {
        let mut numbers: Vec<u64> = all.by_ref().take(rows.num_rows()).collect();
        let fit = Fit { old: &old, columns: &columns, wanted: &wanted, shown, reading };
        if let Some(rows) = fit.rows(rows, &mut numbers, &mut faults)? {
            keeper.push(rows)?;
        }
        left.extend(numbers);
    }
    let end = all.next().unwrap_or_default();
    let gone = left_out(0..end, &left);
    faults.or(Sieved { table: keeper.finish()?, gone })
}

/// Cells on their way to stated types.
struct Fit<'a> {
    old: &'a [Column],
    columns: &'a [Column],
    wanted: &'a [(usize, DType)],
    shown: &'a str,
    reading: &'a Reading<'a>,
}

impl Fit<'_> {
    /// The rows with their new types; `None` when something is wrong.
    fn rows(&self, rows: &RecordBatch, numbers: &mut Vec<u64>, faults: &mut Faults) -> Outcome<Option<RecordBatch>> {
        let refusals = self.reading.refusals;
        let mut arrays: Vec<ArrayRef> = rows.columns().to_vec();
        let mut bad: BTreeMap<usize, Fault> = BTreeMap::new();
        let mut filled: BTreeSet<usize> = BTreeSet::new();
        let sound = faults.is_empty();
        let mut failed = false;
        for (index, dtype) in self.wanted {
            let column = &self.old[*index];
            let route = route!["columns", column.name.as_str(), "dtype"];
            let (array, unfit) = match convert_some(&arrays[*index], *dtype) {
                Ok(found) => found,
                Err(_) => {
                    failed = true;
                    if sound {
                        faults.add(|| no_such_cast(column, *dtype, &route));
                    }
                    continue;
                }
            };
            let fault = |row: usize| {
                misfit(&arrays[*index], row, numbers[row], column, *dtype).at(route.clone()).place(place(
                    self.shown,
                    Some(numbers[row] + 1),
                    None,
                ))
            };
            if refusals.reject() {
                for row in unfit {
                    bad.entry(row).or_insert_with(|| fault(row));
                }
            } else if refusals.fill() && column.shape.is_empty() {
                if let Some(first) = unfit.first() {
                    let new = unfit.iter().filter(|row| filled.insert(**row)).count();
                    refusals.filled(unfit.len() as u64, new as u64, Some(fault(*first)));
                }
            } else {
                failed |= !unfit.is_empty();
                unfit.into_iter().for_each(|row| faults.add(|| fault(row)));
            }
            arrays[*index] = array;
        }
        if failed {
            return Ok(None);
        }
        if bad.is_empty() {
            return batch(self.columns, arrays).map(Some);
        }
        let left = normal::leave_out(rows, bad, self.shown, numbers, self.reading)?;
        self.rows(&left, numbers, faults)
    }
}

/// Applies `columns:`. Readers have read stated types already; what came from elsewhere (folders, joins) is converted here.
fn stated(mut table: Table, options: &BTreeMap<String, ColumnOptions>, files: &[InputFile]) -> Outcome<Table> {
    let mut faults = Faults::default();
    for (name, option) in options {
        let Some(index) = table.columns.iter().position(|column| column.name == *name) else {
            let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
            faults.add(|| unknown(name, &names).at_key(route!["columns", name.as_str()]));
            continue;
        };
        if let Some(role) = option.role {
            table.columns[index].role = role;
        }
        if option.unit.is_some() {
            table.columns[index].unit.clone_from(&option.unit);
        }
        if let Some(dtype) = option.dtype
            && table.columns[index].dtype != dtype
        {
            let shown = files.first().map_or("", |file| file.shown.as_str());
            retype(&mut table, index, dtype, &mut faults, &route!["columns", name.as_str(), "dtype"], shown);
        }
    }
    faults.or(table)
}

fn retype(table: &mut Table, index: usize, dtype: DType, faults: &mut Faults, route: &Route, shown: &str) {
    let old: Column = table.columns[index].clone();
    let mut columns = table.columns.clone();
    columns[index].dtype = dtype;
    let mut batches = Vec::with_capacity(table.batches.len());
    let mut before = 0;
    for rows in &table.batches {
        let mut arrays = rows.columns().to_vec();
        match convert(&arrays[index], dtype) {
            Ok(array) => {
                arrays[index] = array;
                match batch(&columns, arrays) {
                    Ok(batch) => batches.push(batch),
                    Err(more) => more.into_iter().for_each(|fault| faults.add(|| fault)),
                }
            }
            Err(refusal) => refused(&refusal, &old, dtype, &arrays[index], before, faults, route, shown),
        }
        before += rows.num_rows();
    }
    if faults.is_empty() {
        *table = Table { columns, batches };
    }
}

/// Names every cell that was refused: row (from 1), column and value.
#[expect(clippy::too_many_arguments, reason = "one sentence is made of all of them")]
fn refused(
    refusal: &Refusal,
    column: &Column,
    dtype: DType,
    array: &arrow::array::ArrayRef,
    before: usize,
    faults: &mut Faults,
    route: &Route,
    shown: &str,
) {
    match refusal {
        // It is the same for every batch: said with the first.
        Refusal::Types if before > 0 => {}
        Refusal::Types => {
            faults.add(|| no_such_cast(column, dtype, route));
        }
        Refusal::Cells(rows, _) => {
            for row in rows {
                faults.add(|| {
                    let number = (before + row) as u64;
                    let at = place(shown, Some(number + 1), None);
                    misfit(array, *row, number, column, dtype).at(route.clone()).place(at)
                });
            }
        }
    }
}

/// A type that no cell of the column has.
pub fn no_such_cast(column: &Column, dtype: DType, route: &Route) -> Fault {
    let text = format!("column `{}` is {}, which cannot become {}", column.name, column.type_name(), dtype.name());
    Fault::error("data::cannot_cast", text)
        .help("numbers, bools and text become each other, dates and datetimes too; go over `string` if you must")
        .at(route.clone())
}

/// A cell that is not of the type its column is to have; `number` is its row's, from 0.
pub fn misfit(array: &ArrayRef, row: usize, number: u64, column: &Column, dtype: DType) -> Fault {
    let text = format!(
        "`{}` in row {} of column `{}` is not {}: expected {}",
        convert::shown(array, row),
        number + 1,
        column.name,
        dtype.name(),
        crate::table::cell::expected(dtype)
    );
    Fault::error("data::cell", text).help(
        "correct or drop the row, choose another type, or say what happens: `on_error: reject` or `on_error: fill`",
    )
}
