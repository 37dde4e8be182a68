//! `preprocess`: rows and columns, step by step. Every step is stateless: it would do the same to any other rows.
//!
//! A step works on pieces of at most 2^16 rows, and what it makes is held in memory or, beyond the stage's bound, in a mapped
//! scratch file ([`crate::table::spill`]). This file is long because it is the table of all steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{filter_record_batch, take_record_batch};
use catalog::columns::dates::Format;
use catalog::columns::pattern::{Matched, find, select, unknown};
use catalog::kinds::preprocess::PreprocessStage;
use catalog::kinds::preprocess::params::Preprocess;
use catalog::params::on_error::OnError;
use catalog::params::scalar::Scalar;
use catalog::params::shape::OneOrMany;
use catalog::question::ExpressionType;
use catalog::steps::Step;
use catalog::steps::cast::CastTo;
use catalog::steps::chosen::SomeColumns;
use catalog::steps::drop_near_duplicates::NearDuplicates;
use catalog::steps::fill_missing::FillMissing;
use catalog::steps::join::Join;
use catalog::steps::sample::Sample;
use contract::artifact::{ArtifactType, Column, DType, DatasetType, Types};
use contract::fault::{Fault, Route};
use contract::kind::{InferContext, Oracle, Program, Question, Stage as _};
use contract::route;
use contract::worker::Channel;
use contract::worker::protocol::{Finished, InputFile, Progress, RunRequest};
use serde::Serialize;
use serde_json::{Value, json};

use super::Handler;
use crate::chance::Chance;
use crate::fault::{Faults, Outcome, kernel};
use crate::request::{self, Output, finish, input};
use crate::step::duplicates::repeats;
use crate::step::expression::{Condition, Expression};
use crate::step::query::type_of;
use crate::step::rejected::Rejected;
use crate::step::{fill, join, near, pack, picture, prose, query, reshape};
use crate::table::convert::{convert, convert_some, misfit, no_such_cast};
use crate::table::dataset::{Table, batch};
use crate::table::display::shown;
use crate::table::spill::{Keeper, Memory, pieces};
use crate::threads;

/// What the program does for `preprocess`.
pub const HANDLER: Handler = Handler { kind: "preprocess", run, answer: Some(answer) };

fn run(request: &RunRequest, channel: &Channel) -> Outcome<Finished> {
    let params: Preprocess = request::typed(&request.params)?;
    let (table, from) = input(request, "data")?;
    let mut others = BTreeMap::new();
    for port in request.inputs.keys().filter(|port| *port != "data") {
        others.insert(port.clone(), input(request, port)?.0);
    }
    let memory = Memory::new(request.memory, request.scratch.clone());
    let scene = Scene { others, memory: &memory, threads: request.threads.max(1), channel };
    let made = preprocess(&params, table, &scene)?;
    let lineage = lineage(params, request);
    let outputs: Vec<Output<'_>> = vec![("data", &made.table, &lineage), ("rejected", &made.rejected, &from)];
    let mut finished = finish(request, outputs, made.warnings)?;
    finished.observations = json!({ "steps": made.steps });
    finished.summary.insert("rejected.rows".into(), made.counted as f64);
    let kept = made.rejected.rows() as u64;
    if kept < made.counted {
        let text = format!("{} rows were rejected, of which {kept} are kept", made.counted);
        let fault = Fault::warning("data::rejected_rows", text);
        let help = "`keep_rejected` says how many are kept of every step; without it all are";
        finished.warnings.push(fault.help(help).at(route!["keep_rejected"]));
    }
    Ok(finished)
}

/// What an expression of a step gives.
fn answer(question: &Question, _: &[InputFile]) -> Outcome<Value> {
    let asked: catalog::question::Expression = request::typed(&question.params)?;
    if let catalog::question::Expression::Query(text) = &asked {
        let tables = question
            .inputs
            .iter()
            .filter_map(|(port, artifact)| Some((port.clone(), artifact.dataset()?.columns.clone()?)));
        return request::answer(&type_of(text, &tables.collect())?);
    }
    let dataset = question.inputs.values().find_map(ArtifactType::dataset);
    let columns = dataset.and_then(|dataset| dataset.columns.clone()).unwrap_or_default();
    request::answer(&expression(&asked, &columns).map_err(|fault| vec![fault])?)
}

/// Asks this program itself.
struct Inside;

impl Oracle for Inside {
    fn ask(&self, _: Program, question: &Question) -> Outcome<Option<Value>> {
        answer(question, &[]).map(Some)
    }
}

/// The lineage of what comes out: the plan's, from the types of what came in.
fn lineage(params: Preprocess, request: &RunRequest) -> DatasetType {
    let inputs: Types = request.inputs.iter().map(|(port, input)| (port.clone(), input.artifact.clone())).collect();
    let connected: Vec<&str> = inputs.keys().map(String::as_str).collect();
    let context = InferContext { stage: &request.stage, connected: &connected, inputs: &inputs, oracle: &Inside };
    let mut made = PreprocessStage(params).infer(&context);
    made.outputs.remove("data").and_then(|made| made.dataset().cloned()).unwrap_or_default()
}

/// What stands around the rows that are worked on.
pub struct Scene<'a> {
    /// The tables at the other input ports.
    pub others: BTreeMap<String, Table>,
    /// How much memory there is.
    pub memory: &'a Memory,
    /// Threads that may be used.
    pub threads: usize,
    /// Where the log goes.
    pub channel: &'a Channel,
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// The step's name.
    pub step: &'static str,
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that went out.
    pub rows_out: u64,
    /// Rows that it rejected, whether they are kept in the output `rejected` or not. Rows that a query or a sample leaves out are
    /// not rejected: they were not asked for.
    pub rejected: u64,
    /// Cells of columns that stayed which have another value now; of new columns, those that are not missing. `None` where rows
    /// become other rows (`group_by`, `sql`), so that there is nothing to compare with.
    pub changed: Option<u64>,
    /// Columns that went out.
    pub columns: u64,
}

/// What came out of all steps.
#[derive(Debug)]
pub struct Made {
    /// The rows that are left.
    pub table: Table,
    /// The rows that were rejected, as far as they are kept.
    pub rejected: Table,
    /// How many rows were rejected.
    pub counted: u64,
    /// What each step did.
    pub steps: Vec<Done>,
    /// What is worth a look: joins that multiply rows, cells that became missing.
    pub warnings: Vec<Fault>,
}

/// Carries all steps out, and says in the log what each did to the rows.
///
/// # Errors
/// What is wrong with the first step that fails, with the route to it.
pub fn preprocess(params: &Preprocess, table: Table, scene: &Scene<'_>) -> Outcome<Made> {
    let total = params.steps.len() as u64;
    let mut rejected = Rejected::new(params.keep_rejected, scene.memory, params.steps.len() + 1);
    let mut table = pieces(table, scene.memory);
    let mut steps: Vec<Done> = Vec::with_capacity(params.steps.len());
    let mut width = table.columns.len() as u64;
    let mut warnings = Vec::new();
    while let Some(step) = params.steps.get(steps.len()) {
        let (chain, first) = (chain(params, steps.len(), &table, scene)?, steps.len());
        let done = if chain.is_empty() {
            let (name, rows, before) = (step.name(), table.rows() as u64, table.columns.clone());
            rejected.step(first, name);
            let made = apply(step, table, scene, &mut rejected, &mut warnings, &route!["steps", first, name])?;
            table = pieces(made, scene.memory);
            let (rows_out, columns) = (table.rows() as u64, table.columns.len() as u64);
            let changed = changed(step, &before, &table);
            vec![Done { step: name, rows_in: rows, rows_out, rejected: rejected.count(), changed, columns }]
        } else {
            let (made, done) = carry_out(table, &chain, params.keep_rejected, scene, &mut rejected)?;
            table = pieces(made, scene.memory);
            warnings.extend(chain.iter().filter_map(|link| link.lost.warning(link.index, link.name)));
            done
        };
        for done in done {
            tell(&done, std::mem::replace(&mut width, done.columns), steps.len() as u64, total, scene.channel);
            if done.rows_out == 0 {
                return Err(vec![nothing_left(&done, steps.len())]);
            }
            steps.push(done);
        }
    }
    let counted = rejected.counted();
    Ok(Made { table, rejected: rejected.finish()?, counted, steps, warnings })
}

/// The cells a step that needs all rows has made: those of its new columns that are not missing.
fn changed(step: &Step, before: &[Column], table: &Table) -> Option<u64> {
    if matches!(step, Step::GroupBy(_) | Step::Sql(_)) {
        return None;
    }
    let new = (0..table.columns.len()).filter(|at| before.iter().all(|old| old.name != table.columns[*at].name));
    let there = new.flat_map(|at| table.batches.iter().map(move |rows| rows.column(at)));
    Some(there.map(|cells| (cells.len() - cells.null_count()) as u64).sum())
}

fn nothing_left(done: &Done, index: usize) -> Fault {
    let text = format!("no row is left after step {} (`{}`), {} came in", index + 1, done.step, done.rows_in);
    Fault::error("data::empty", text)
        .help("loosen the step, or look at the data above it: `pipeline show`")
        .at(route!["steps", index, done.step])
}

/// Rows that a join has given several partners are there more than once.
fn multiplied(options: &Join, repeated: u64, table: &Table, joined: &Table, route: &Route) -> Fault {
    let with = &options.with;
    let keys: Vec<String> = (options.on.iter().flat_map(|on| on.iter().map(String::as_str)))
        .chain(options.keys.values().map(String::as_str))
        .map(|key| format!("`{key}`"))
        .collect();
    let text = format!(
        "{repeated} rows have several partners in `{with}` and are now there once for each: {} rows became {}",
        table.rows(),
        joined.rows()
    );
    Fault::warning("data::join_multiplies", text)
        .help(format!(
            "if one partner is meant: {} is not enough to tell the rows of `{with}` apart; add a key, or keep one row of each before, with `group_by` or `drop_duplicates: {{ columns: … }}`",
            keys.join(" + ")
        ))
        .at(route.clone())
}

/// Says in the log what a step did.
fn tell(done: &Done, columns: u64, index: u64, total: u64, channel: &Channel) {
    let Done { step, rows_in, rows_out, changed, .. } = done;
    let dropped = if rows_out < rows_in { format!(" ({} dropped)", rows_in - rows_out) } else { String::new() };
    let now = done.columns;
    let width = if now == columns { String::new() } else { format!(", {columns} → {now} columns") };
    let cells = changed.filter(|cells| *cells > 0).map_or_else(String::new, |cells| format!(", {cells} cells changed"));
    channel.info(format!("{step}: {rows_in} → {rows_out} rows{dropped}{width}{cells}"));
    channel.progress(Progress {
        done: index + 1,
        total: Some(total),
        unit: "step".into(),
        message: (*step).to_owned(),
        rate: None,
    });
}

/// The columns a step gives, as the catalog types them.
fn typed(step: &Step, table: &Table, scene: &Scene<'_>, route: &Route) -> Outcome<Vec<Column>> {
    let mut dataset = DatasetType { columns: Some(table.columns.clone()), ..DatasetType::default() };
    let others: Types = scene
        .others
        .iter()
        .map(|(port, table)| {
            let dataset = DatasetType { columns: Some(table.columns.clone()), ..DatasetType::default() };
            (port.clone(), ArtifactType::Dataset(dataset.into()))
        })
        .collect();
    let at = Route(route.0[..route.0.len() - 1].to_vec());
    let faults: Vec<Fault> = catalog::steps::apply(step, &mut dataset, &others, &at, &|_, _| Ok(None))
        .into_iter()
        .filter(Fault::is_error)
        .collect();
    if faults.is_empty() { Ok(dataset.columns.unwrap_or_default()) } else { Err(faults) }
}

/// The arrays of a piece, and the rows that are to be rejected with the reason (none twice, ascending).
type Piece = (Vec<ArrayRef>, Vec<(usize, String)>);

/// What a step does to a piece of rows, of which so many came into it before.
type Work<'a> = Box<dyn Fn(&RecordBatch, usize) -> Outcome<Piece> + Sync + 'a>;

/// Cells that became missing because they could not be read. Pieces may be told of in any order.
#[derive(Debug, Default)]
struct Lost(Mutex<Losses>);

#[derive(Debug, Default)]
struct Losses {
    cells: u64,
    /// Rows, each once: a piece tells of its rows together.
    rows: u64,
    first: Option<(usize, String)>,
}

impl Lost {
    /// Cells of a piece by their rows (from 0 in the piece), so many rows before it, each with the reason.
    fn add(&self, before: usize, cells: &[(usize, String)]) {
        let Some((row, reason)) = cells.iter().min_by_key(|(row, _)| *row) else { return };
        let rows: BTreeSet<usize> = cells.iter().map(|(row, _)| *row).collect();
        let mut losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        losses.cells += cells.len() as u64;
        losses.rows += rows.len() as u64;
        if losses.first.as_ref().is_none_or(|(first, _)| *first > before + row) {
            losses.first = Some((before + row, reason.clone()));
        }
    }

    fn warning(&self, index: usize, name: &str) -> Option<Fault> {
        let losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (row, reason) = losses.first.as_ref()?;
        let cells = if losses.cells == 1 { "1 cell".to_owned() } else { format!("{} cells", losses.cells) };
        let rows = if losses.rows == 1 { "1 row".to_owned() } else { format!("{} rows", losses.rows) };
        let text =
            format!("{cells} of {rows} could not be read and became missing; the first: row {}: {reason}", row + 1);
        let help = "`on_error: reject` leaves such rows out and keeps them with the reason";
        Some(Fault::warning("data::filled", text).help(help).at(route!["steps", index, name]))
    }
}

/// A step that needs no more than a piece of the rows at a time.
struct Link<'a> {
    index: usize,
    name: &'static str,
    /// The columns it gives.
    columns: Vec<Column>,
    /// Whether cells that differ from those before are counted.
    counts: bool,
    /// The cells it could not read.
    lost: Arc<Lost>,
    work: Work<'a>,
}

impl<'a> Link<'a> {
    fn new(columns: Vec<Column>, work: impl Fn(&RecordBatch, usize) -> Outcome<Piece> + Sync + 'a) -> Self {
        Self { index: 0, name: "", columns, counts: true, lost: Arc::default(), work: Box::new(work) }
    }

    /// Other names or fewer columns, the same cells.
    fn picked(columns: Vec<Column>, kept: Vec<usize>) -> Self {
        let work = move |rows: &RecordBatch, _: usize| {
            Ok((kept.iter().map(|index| rows.column(*index).clone()).collect(), Vec::new()))
        };
        Self { counts: false, ..Self::new(columns, work) }
    }
}

/// The steps from `first` on that can be carried out together, piece by piece, so that nothing between them is ever held or written.
/// What is wrong with a later one than the first is left to be found when those before it have run.
fn chain<'a>(params: &'a Preprocess, first: usize, table: &Table, scene: &Scene<'_>) -> Outcome<Vec<Link<'a>>> {
    let mut chain: Vec<Link<'a>> = Vec::new();
    let mut columns = Table { columns: table.columns.clone(), batches: Vec::new() };
    for (index, step) in params.steps.iter().enumerate().skip(first) {
        let name = step.name();
        let rows = chain.is_empty().then_some(table);
        match link(step, rows, &columns, scene, &route!["steps", index, name]) {
            Ok(Some(link)) => {
                columns.columns.clone_from(&link.columns);
                chain.push(Link { index, name, ..link });
            }
            Ok(None) => break,
            Err(faults) if chain.is_empty() => return Err(faults),
            Err(_) => break,
        }
    }
    Ok(chain)
}

/// What one step of a chain has come to.
struct Tally<'a> {
    done: Done,
    faults: Faults,
    rejected: Rejected<'a>,
}

/// Carries steps out together: a few pieces through all of them, then the next few.
fn carry_out<'a>(
    table: Table,
    chain: &[Link<'_>],
    keep: Option<u64>,
    scene: &Scene<'a>,
    rejected: &mut Rejected<'a>,
) -> Outcome<(Table, Vec<Done>)> {
    let last = chain.last().map_or_else(|| table.columns.clone(), |link| link.columns.clone());
    let mut keeper = Keeper::new(last, scene.memory);
    let mut tallies: Vec<Tally<'a>> = chain
        .iter()
        .map(|link| {
            let mut rejected = Rejected::new(keep, scene.memory, chain.len() + 1);
            rejected.step(link.index, link.name);
            let columns = link.columns.len() as u64;
            let done = Done { step: link.name, rows_in: 0, rows_out: 0, rejected: 0, changed: Some(0), columns };
            Tally { done, faults: Faults::default(), rejected }
        })
        .collect();
    // Steps beyond one that has failed are not carried out; those before it are, for they may fail, too.
    let mut reach = chain.len();
    for group in table.batches.chunks(scene.threads.max(1)) {
        let mut pieces = group.to_vec();
        let mut columns = &table.columns;
        for (link, tally) in chain.iter().zip(&mut tallies).take(reach) {
            pieces = link.carry_out(&pieces, columns, tally, scene)?;
            columns = &link.columns;
        }
        if let Some(failed) = tallies.iter().position(|tally| !tally.faults.is_empty()) {
            reach = failed + 1;
            continue;
        }
        for piece in pieces {
            keeper.push(piece)?;
        }
    }
    let mut done = Vec::with_capacity(tallies.len());
    for mut tally in tallies {
        if !tally.faults.is_empty() {
            return Err(tally.faults.into_vec());
        }
        tally.done.rejected = tally.rejected.count();
        let empty = tally.done.rows_out == 0;
        rejected.take(tally.rejected)?;
        done.push(tally.done);
        if empty {
            break;
        }
    }
    Ok((keeper.finish()?, done))
}

impl Link<'_> {
    /// Some pieces through the step; rejected rows are left out.
    fn carry_out(
        &self,
        pieces: &[RecordBatch],
        columns: &[Column],
        tally: &mut Tally<'_>,
        scene: &Scene<'_>,
    ) -> Outcome<Vec<RecordBatch>> {
        let starts: Vec<usize> = pieces
            .iter()
            .scan(tally.done.rows_in as usize, |before, rows| {
                *before += rows.num_rows();
                Some(*before - rows.num_rows())
            })
            .collect();
        tally.done.rows_in += pieces.iter().map(|rows| rows.num_rows() as u64).sum::<u64>();
        let stays: Vec<Option<usize>> = self
            .columns
            .iter()
            .map(|column| columns.iter().position(|old| old.name == column.name && old.shape == column.shape))
            .collect();
        let made = threads::map(pieces.len(), scene.threads, |index| {
            let rows = &pieces[index];
            let (arrays, gone) = (self.work)(rows, starts[index])?;
            let cells = arrays.iter().zip(&stays).filter(|_| self.counts).map(|(array, stays)| match stays {
                Some(old) => reshape::changed(rows.column(*old), array),
                None => (array.len() - array.null_count()) as u64,
            });
            let changed: u64 = cells.sum();
            let made = batch(&self.columns, arrays).and_then(|made| {
                if gone.is_empty() {
                    return Ok(made);
                }
                let mut kept = vec![true; made.num_rows()];
                gone.iter().for_each(|(row, _)| kept[*row] = false);
                let kept = filter_record_batch(&made, &BooleanArray::from(kept));
                kept.map_err(|error| kernel("dropping rows", &error))
            });
            // A piece behind one with a fault may be half done: what it gives is looked at only when there was none.
            Ok::<_, Vec<Fault>>((made, gone, changed))
        });
        let mut kept = Vec::with_capacity(pieces.len());
        for ((rows, before), outcome) in pieces.iter().zip(starts).zip(made) {
            match outcome {
                Err(more) => more.into_iter().for_each(|fault| tally.faults.add(|| fault)),
                Ok((made, gone, changed)) if tally.faults.is_empty() => {
                    let made = made?;
                    for (row, reason) in &gone {
                        tally.rejected.add(rows, columns, *row, before, reason)?;
                    }
                    tally.done.changed = tally.done.changed.map(|sum| sum + changed);
                    tally.done.rows_out += made.num_rows() as u64;
                    kept.push(made);
                }
                Ok(_) => {}
            }
        }
        kept.retain(|rows| rows.num_rows() > 0);
        Ok(if tally.faults.is_empty() { kept } else { Vec::new() })
    }
}

/// Drops rows by a mask of those that stay.
fn filter<'a>(
    columns: Vec<Column>,
    mask: impl Fn(&RecordBatch, usize) -> Outcome<BooleanArray> + Sync + 'a,
    reason: impl Fn(&RecordBatch, usize) -> String + Sync + 'a,
) -> Link<'a> {
    Link::new(columns, move |rows, before| {
        let mask = mask(rows, before)?;
        let gone = (0..rows.num_rows()).filter(|row| !mask.value(*row)).map(|row| (row, reason(rows, row))).collect();
        Ok((rows.columns().to_vec(), gone))
    })
}

/// Cells that could not be read: faults, rejections, or nothing.
fn policy(
    on_error: OnError,
    wrong: Vec<(usize, String)>,
    fault: impl Fn(usize, &str) -> Fault,
) -> Outcome<Vec<(usize, String)>> {
    match on_error {
        OnError::Fill => Ok(Vec::new()),
        OnError::Reject => Ok(wrong),
        OnError::Fail if wrong.is_empty() => Ok(wrong),
        OnError::Fail => {
            let mut faults = Faults::default();
            for (row, reason) in &wrong {
                faults.add(|| fault(*row, reason));
            }
            Err(faults.into_vec())
        }
    }
}

fn at(columns: &[Column], name: &str, route: &Route) -> Outcome<usize> {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.iter().position(|known| *known == name).ok_or_else(|| vec![unknown(name, &names).at(route.clone())])
}

/// A step as a link of a chain; `None` when it needs all rows. `rows` are there only for the first of a chain.
fn link<'a>(
    step: &'a Step,
    rows: Option<&Table>,
    table: &Table,
    scene: &Scene<'_>,
    route: &Route,
) -> Outcome<Option<Link<'a>>> {
    let columns = table.columns.clone();
    let made = match step {
        Step::DropDuplicates(options) => {
            let Some(rows) = rows else { return Ok(None) };
            let chosen = some(table, &options.0, route)?;
            let repeats = repeats(rows, &chosen, scene.memory, scene.threads)?;
            Link::new(columns, move |rows, before| {
                let from = repeats.partition_point(|(row, _)| *row < before);
                let to = repeats.partition_point(|(row, _)| *row < before + rows.num_rows());
                let gone = repeats[from..to].iter();
                let gone = gone.map(|(row, first)| (row - before, format!("equal to row {}", first + 1)));
                Ok((rows.columns().to_vec(), gone.collect()))
            })
        }
        Step::DropMissing(options) => {
            let chosen = some(table, &options.0, route)?;
            let (named, looked_at) = (columns.clone(), chosen.clone());
            filter(
                columns,
                move |rows, _| {
                    let gone: Vec<_> = chosen.iter().map(|index| fill::missing(rows.column(*index))).collect();
                    let kept =
                        BooleanBuffer::collect_bool(rows.num_rows(), |row| !gone.iter().any(|gone| gone.value(row)));
                    Ok(BooleanArray::new(kept, None))
                },
                move |rows, row| {
                    let first =
                        looked_at.iter().find(|index| fill::missing(&rows.column(**index).slice(row, 1)).value(0));
                    first.map_or_else(String::new, |index| format!("`{}` is missing", named[*index].name))
                },
            )
        }
        Step::FillMissing(options) => fill_missing(table, options, route)?,
        Step::Rename(names) => rename(table, &names.0, route)?,
        Step::Select(patterns) => project(table, resolve(table, &patterns.0, route)?),
        Step::Drop(patterns) => {
            let gone = resolve(table, &patterns.0, route)?;
            let kept: Vec<usize> = (0..table.columns.len()).filter(|index| !gone.contains(index)).collect();
            if kept.is_empty() {
                return Err(vec![
                    Fault::error("data::no_columns", "no column is left")
                        .help("keep at least one column")
                        .at(route.clone()),
                ]);
            }
            project(table, kept)
        }
        Step::Cast(types) => cast(table, &types.0, route)?,
        Step::Filter(text) => {
            let text = text.0.as_str();
            let condition = Condition::new(text, &table.columns).map_err(|fault| vec![fault.at(route.clone())])?;
            let (route, named) = (route.clone(), columns.clone());
            filter(
                columns,
                move |rows, before| {
                    condition.evaluate(rows).map_err(|error| {
                        let one = |row: &RecordBatch| condition.evaluate(row).err();
                        vec![no_value(text, &error, rows, before, &named, one, &route)]
                    })
                },
                move |_, _| format!("not `{text}`"),
            )
        }
        Step::Pack(options) => {
            let packing = pack::Packing::new(table, options, route)?;
            let route = route.clone();
            Link::new(packing.columns.clone(), move |rows, before| {
                Ok((packing.piece(rows, before, &route)?, Vec::new()))
            })
        }
        Step::DropNearDuplicates(_)
        | Step::Sample(_)
        | Step::Sort(_)
        | Step::Join(_)
        | Step::GroupBy(_)
        | Step::Window(_)
        | Step::Sql(_)
        | Step::DropDuplicateImages(_) => return Ok(None),
        _ => reshaped(step, table, scene, route)?,
    };
    Ok(Some(made))
}

/// The steps that need all rows.
fn apply(
    step: &Step,
    table: Table,
    scene: &Scene<'_>,
    rejected: &mut Rejected<'_>,
    warnings: &mut Vec<Fault>,
    route: &Route,
) -> Outcome<Table> {
    match step {
        Step::DropNearDuplicates(options) => near_duplicates(&table, options, scene, rejected, route),
        Step::Sample(options) => sample(&table, options, scene),
        Step::Sort(options) => {
            let by = resolve(&table, &options.by, &route.join("by"))?;
            query::sort(&by, options.descending, &table, scene.memory)
        }
        Step::Join(options) => {
            let Some(other) = scene.others.get(&options.with) else {
                let text = format!("no input of the stage is called `{}`", options.with);
                let fault = Fault::error("data::unknown_table", text).help("connect the other table under `inputs`");
                return Err(vec![fault.at(route.join("with"))]);
            };
            let (joined, repeated) =
                join::join(options, &table, other, (scene.memory, scene.threads), rejected, route)?;
            warnings.extend((repeated > 0).then(|| multiplied(options, repeated, &table, &joined, route)));
            Ok(joined)
        }
        Step::GroupBy(options) => {
            let made = typed(step, &table, scene, route)?;
            query::group_by(options, &table, made, scene.memory, route)
        }
        Step::Window(options) => {
            let made = typed(step, &table, scene, route)?;
            query::window(options, &table, made, scene.memory, route)
        }
        Step::Sql(text) => {
            let tables: BTreeMap<String, &Table> = scene
                .others
                .iter()
                .map(|(port, table)| (port.clone(), table))
                .chain([("data".to_owned(), &table)])
                .collect();
            query::sql(&text.0, &tables, scene.memory, route)
        }
        Step::DropDuplicateImages(options) => {
            let index = at(&table.columns, &options.column, &route.join("column"))?;
            let shape = picture::shape(&table.columns[index].shape);
            let mut kept: Vec<(usize, u64)> = Vec::new();
            let mut keeper = Keeper::new(table.columns.clone(), scene.memory);
            let mut before = 0;
            typed(step, &table, scene, route)?;
            for rows in &table.batches {
                let list = rows.column(index).as_fixed_size_list();
                let hashes = threads::map(rows.num_rows(), scene.threads, |row| {
                    let pixels = list.value(row);
                    picture::dhash(pixels.as_primitive::<arrow::datatypes::UInt8Type>().values(), shape)
                });
                let mut mask = vec![true; rows.num_rows()];
                for (row, hash) in hashes.into_iter().enumerate() {
                    let like = kept.iter().find(|(_, other)| (other ^ hash).count_ones() <= options.distance);
                    match like {
                        Some((first, other)) => {
                            let bits = (other ^ hash).count_ones();
                            let reason = format!("looks like row {} ({bits} of 64 bits differ)", first + 1);
                            rejected.add(rows, &table.columns, row, before, &reason)?;
                            mask[row] = false;
                        }
                        None => kept.push((before + row, hash)),
                    }
                }
                let rows_kept = filter_record_batch(rows, &BooleanArray::from(mask));
                keeper.push(rows_kept.map_err(|error| kernel("dropping rows", &error))?)?;
                before += rows.num_rows();
            }
            keeper.finish()
        }
        _ => Ok(table),
    }
}

/// An expression without a value for some of these rows: the first of them (found by `one`, which tries a single row), with its cells
/// in the columns that the expression names.
fn no_value(
    text: &str,
    error: &str,
    rows: &RecordBatch,
    before: usize,
    columns: &[Column],
    one: impl Fn(&RecordBatch) -> Option<String>,
    route: &Route,
) -> Fault {
    // All rows before `low` have a value.
    let (mut low, mut high) = (0, rows.num_rows());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if one(&rows.slice(low, middle - low)).is_some() { high = middle } else { low = middle }
    }
    let first = (low < rows.num_rows()).then(|| one(&rows.slice(low, 1))).flatten();
    let (row, error) = match &first {
        Some(error) => (format!("row {}", before + low + 1), error.as_str()),
        None => ("some row".to_owned(), error),
    };
    let words: Vec<&str> = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let used =
        |column: &Column| words.contains(&column.name.as_str()) || text.contains(&format!("\"{}\"", column.name));
    let cells: Vec<String> = columns
        .iter()
        .zip(rows.columns())
        .filter(|(column, _)| first.is_some() && used(column))
        .map(|(column, array)| format!("`{}` is {}", column.name, shown(array, low)))
        .collect();
    let cells = if cells.is_empty() { String::new() } else { format!(" (there {})", cells.join(", ")) };
    let help = if error.contains("verflow") {
        "what is computed has more digits than int64: `CAST(x AS DOUBLE)` in it has no such end"
    } else {
        "exclude such rows first: `CASE WHEN x <> 0 THEN y / x > 1 ELSE false END`, `TRY_CAST(x AS DOUBLE)`"
    };
    Fault::error("data::expression_value", format!("`{text}` has no value for {row}{cells}: {error}"))
        .help(help)
        .at(route.clone())
}

/// The steps that change cells and columns, each row by itself.
fn reshaped<'a>(step: &'a Step, table: &Table, scene: &Scene<'_>, route: &Route) -> Outcome<Link<'a>> {
    let route = route.clone();
    let before = table.columns.clone();
    // Expressions are typed here; every other step gives the columns the catalog says.
    let (after, expressions) = match step {
        Step::Derive(texts) => {
            let mut after = before.clone();
            let mut expressions = Vec::new();
            for (name, text) in &texts.0 {
                let at = route.join(name.as_str());
                let expression = Expression::new(text, &before).map_err(|fault| vec![fault.at(at.clone())])?;
                let dtype = expression.dtype(text).map_err(|fault| vec![fault.at(at.clone())])?;
                let new = Column::new(name, dtype);
                let position = after.iter().position(|column| column.name == *name).unwrap_or(after.len());
                match after.get_mut(position) {
                    Some(column) => *column = Column { role: column.role, ..new },
                    None => after.push(new),
                }
                expressions.push((position, dtype, text, expression, at));
            }
            (after, expressions)
        }
        _ => (typed(step, table, scene, &route)?, Vec::new()),
    };
    let columns = |patterns: &OneOrMany<String>| resolve(table, patterns, &route.join("columns"));
    let one = |name: &str| at(&before, name, &route.join("column"));
    match step {
        Step::Derive(_) => Ok(Link::new(after, move |rows, start| {
            let mut arrays = rows.columns().to_vec();
            for (position, dtype, text, expression, at) in &expressions {
                let value = |rows: &RecordBatch| {
                    let array = expression.values(rows)?;
                    convert(&array, *dtype).map_err(|_| "a value does not fit its type".to_owned())
                };
                let array = value(rows)
                    .map_err(|error| vec![no_value(text, &error, rows, start, &before, |row| value(row).err(), at)])?;
                if *position < arrays.len() { arrays[*position] = array } else { arrays.push(array) }
            }
            Ok((arrays, Vec::new()))
        })),
        Step::ParseDates(options) => {
            let chosen = columns(&options.columns)?;
            let formats: Vec<Format> = options.formats.iter().filter_map(|text| Format::new(text).ok()).collect();
            let into = options.instant();
            let lost = Arc::new(Lost::default());
            let told = Arc::clone(&lost);
            let link = Link::new(after, move |rows, start| {
                let mut arrays = rows.columns().to_vec();
                let mut wrong: BTreeMap<usize, String> = BTreeMap::new();
                let mut missing: Vec<(usize, String)> = Vec::new();
                for index in &chosen {
                    let (array, rows_wrong) = reshape::dates(&arrays[*index], &formats, into)?;
                    for row in rows_wrong {
                        let text = shown(&arrays[*index], row);
                        let reason = format!("`{text}` in column `{}` fits no format", before[*index].name);
                        if options.on_error == OnError::Fill {
                            missing.push((row, reason));
                        } else {
                            wrong.entry(row).or_insert(reason);
                        }
                    }
                    arrays[*index] = array;
                }
                told.add(start, &missing);
                let gone = policy(options.on_error, wrong.into_iter().collect(), |row, reason| {
                    Fault::error("data::cell", format!("row {}: {reason}", start + row + 1))
                        .help("add its format to `formats`, or write `on_error: reject` or `on_error: fill`")
                        .at(route.join("formats"))
                })?;
                Ok((arrays, gone))
            });
            Ok(Link { lost, ..link })
        }
        Step::SplitColumn(options) => {
            let index = one(&options.column)?;
            let groups = Some(options.into.len());
            let pattern = options.pattern.as_deref().map(|text| pattern(text, groups));
            let pattern = pattern.transpose().map_err(|fault| vec![fault.at(route.join("pattern"))])?;
            Ok(Link::new(after, move |rows, _| {
                let mut arrays = rows.columns().to_vec();
                let parts = reshape::parts(&arrays[index], options.into.len(), options.by.as_deref(), pattern.as_ref());
                if !options.keep {
                    arrays.remove(index);
                }
                arrays.extend(parts);
                Ok((arrays, Vec::new()))
            }))
        }
        Step::JoinColumns(options) => {
            let chosen = columns(&options.columns)?;
            Ok(Link::new(after, move |rows, _| {
                let sources: Vec<ArrayRef> = chosen.iter().map(|index| rows.column(*index).clone()).collect();
                let joined = reshape::joined(&sources, &options.between, rows.num_rows())?;
                let kept = |index: &usize| options.keep || !chosen.contains(index);
                let mut arrays: Vec<ArrayRef> =
                    (0..rows.num_columns()).filter(kept).map(|index| rows.column(index).clone()).collect();
                arrays.push(joined);
                Ok((arrays, Vec::new()))
            }))
        }
        Step::OneHot(options) => {
            let index = one(&options.column)?;
            Ok(Link::new(after, move |rows, start| {
                let mut arrays = rows.columns().to_vec();
                let (made, strangers) = reshape::one_hot(&arrays[index], &before[index], &options.categories)?;
                let wrong = strangers
                    .into_iter()
                    .map(|row| {
                        (row, format!("`{}` in column `{}` is no category", shown(&arrays[index], row), options.column))
                    })
                    .collect();
                let gone = policy(options.on_error, wrong, |row, reason| {
                    Fault::error("data::category", format!("row {}: {reason}", start + row + 1))
                        .help("state it under `categories`, or write `on_error: fill` (all columns 0) or `on_error: reject`")
                        .at(route.join("categories"))
                })?;
                if !options.keep {
                    arrays.remove(index);
                }
                arrays.extend(made);
                Ok((arrays, gone))
            }))
        }
        Step::Bin(options) => {
            let index = one(&options.column)?;
            let names = options.names();
            Ok(Link::new(after, move |rows, _| {
                let mut arrays = rows.columns().to_vec();
                let binned = reshape::bin(&arrays[index], &options.edges, &names)?;
                if options.into.is_some() {
                    arrays.push(binned)
                } else {
                    arrays[index] = binned
                }
                Ok((arrays, Vec::new()))
            }))
        }
        Step::Clip(options) => {
            let chosen = columns(&options.columns)?;
            Ok(cells(after, chosen, move |array, _| reshape::clip(array, options)))
        }
        Step::Replace(options) => {
            let chosen = columns(&options.columns)?;
            let values: Vec<(String, Option<Scalar>)> =
                options.values.iter().map(|(old, new)| (old.clone(), new.clone())).collect();
            let pattern = options.pattern.as_deref().map(|text| pattern(text, None));
            let pattern = pattern.transpose().map_err(|fault| vec![fault.at(route.join("pattern"))])?;
            let with = options.with.as_deref().unwrap_or_default();
            Ok(cells(after, chosen, move |array, index| match &pattern {
                Some(pattern) => Ok(reshape::texts(array, |text| pattern.replace_all(text, with))),
                None => reshape::replace(array, &before[index], &values),
            }))
        }
        Step::CleanText(options) => {
            let chosen = match &options.columns {
                Some(patterns) => columns(patterns)?,
                None => {
                    let text = |index: &usize| before[*index].dtype == DType::String && before[*index].shape.is_empty();
                    (0..before.len()).filter(text).collect()
                }
            };
            Ok(cells(after, chosen, move |array, _| Ok(reshape::texts(array, |text| prose::clean(text, options)))))
        }
        Step::Language(options) => {
            let index = one(&options.column)?;
            Ok(Link::new(after, move |rows, _| {
                let mut arrays = rows.columns().to_vec();
                let texts = arrays[index].as_string::<i32>().clone();
                let told: Vec<Option<&'static str>> =
                    texts.iter().map(|text| text.and_then(|text| prose::language(text, options.confidence))).collect();
                let mut gone = Vec::new();
                if let Some(keep) = &options.keep {
                    for (row, code) in told.iter().enumerate() {
                        match code {
                            None => gone.push((row, "its language cannot be told".to_owned())),
                            Some(code) if !keep.iter().any(|kept| kept == code) => {
                                gone.push((row, format!("its language is `{code}`")))
                            }
                            Some(_) => {}
                        }
                    }
                }
                if options.into.is_some() {
                    arrays.push(std::sync::Arc::new(told.into_iter().collect::<arrow::array::StringArray>()));
                }
                Ok((arrays, gone))
            }))
        }
        Step::Resize(options) => {
            let chosen = columns(&options.columns)?;
            let [height, width] = options.size.map(|side| side as usize);
            Ok(cells(after, chosen, move |array, index| {
                let from = picture::shape(&before[index].shape);
                Ok(picture::each(array, [from[0], height, width], |pixels| {
                    picture::resize(pixels, from, height, width)
                }))
            }))
        }
        Step::Crop(options) => {
            let chosen = columns(&options.columns)?;
            let [height, width] = options.size.map(|side| side as usize);
            Ok(cells(after, chosen, move |array, index| {
                let from = picture::shape(&before[index].shape);
                let middle = [(from[1] - height) / 2, (from[2] - width) / 2];
                let corner = options.from.map_or(middle, |from| from.map(|side| side as usize));
                Ok(picture::each(array, [from[0], height, width], |pixels| {
                    picture::crop(pixels, from, corner, height, width)
                }))
            }))
        }
        Step::Greyscale(options) => {
            let chosen = match &options.0.columns {
                Some(patterns) => columns(patterns)?,
                None => (0..before.len()).filter(|index| before[*index].shape != after[*index].shape).collect(),
            };
            Ok(cells(after, chosen, move |array, index| {
                let from = picture::shape(&before[index].shape);
                Ok(picture::each(array, [1, from[1], from[2]], |pixels| picture::grey(pixels, from)))
            }))
        }
        Step::DecodeImages(options) => {
            let index = one(&options.column)?;
            let shape = picture::shape(&after[index].shape);
            Ok(Link::new(after, move |rows, start| {
                let mut arrays = rows.columns().to_vec();
                let bytes = arrays[index].as_binary::<i32>().clone();
                let mut wrong = Vec::new();
                let mut pixels = Vec::with_capacity(bytes.len() * shape.iter().product::<usize>());
                for (row, cell) in bytes.iter().enumerate() {
                    let read = cell.ok_or_else(|| "it is missing".to_owned());
                    let read =
                        read.and_then(|cell| picture::decode(cell, options.size[0], options.size[1], options.grey));
                    match read {
                        Ok(image) => pixels.extend(image),
                        Err(why) => {
                            wrong.push((row, format!("the image in column `{}` is broken: {why}", options.column)));
                            pixels.resize(pixels.len() + shape.iter().product::<usize>(), 0);
                        }
                    }
                }
                let gone = policy(options.on_error, wrong, |row, reason| {
                    Fault::error("data::broken_image", format!("row {}: {reason}", start + row + 1))
                        .help("write `on_error: reject` to drop such rows")
                        .at(route.join("column"))
                })?;
                arrays[index] = picture::tensor(pixels, shape);
                Ok((arrays, gone))
            }))
        }
        _ => Err(kernel("cleaning", &"the step is not known")),
    }
}

/// Some columns of every piece through a function.
fn cells<'a>(
    after: Vec<Column>,
    chosen: Vec<usize>,
    f: impl Fn(&ArrayRef, usize) -> Outcome<ArrayRef> + Sync + 'a,
) -> Link<'a> {
    Link::new(after, move |rows, _| {
        let mut arrays = rows.columns().to_vec();
        for index in &chosen {
            arrays[*index] = f(&arrays[*index], *index)?;
        }
        Ok((arrays, Vec::new()))
    })
}

/// A regular expression with so many groups.
///
/// # Errors
/// `data::pattern`, without a place: a text that is none, another number of groups.
pub fn pattern(text: &str, groups: Option<usize>) -> Result<regex::Regex, Fault> {
    let pattern = regex::Regex::new(text).map_err(|error| {
        let why = error.to_string();
        let line =
            why.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or("it is too large").to_owned();
        Fault::error("data::pattern", format!("`{text}` is no regular expression: {line}"))
            .help("`\\.` is a dot, `\\(` a parenthesis; in YAML, put patterns in single quotes")
    })?;
    let found = pattern.captures_len() - 1;
    match groups.filter(|wanted| *wanted != found) {
        None => Ok(pattern),
        Some(wanted) => {
            Err(Fault::error("data::pattern", format!("the pattern has {found} groups for {wanted} new columns"))
                .help("every new column is one group in parentheses"))
        }
    }
}

/// Whether the groups that a replacement names are groups of its pattern: others would be replaced by nothing, without a word.
///
/// # Errors
/// `data::pattern`, without a place.
fn replacement(pattern: &regex::Regex, with: &str) -> Result<(), Fault> {
    let groups = pattern.captures_len() - 1;
    let known = |name: &str| match name.parse::<usize>() {
        Ok(number) => number <= groups,
        Err(_) => pattern.capture_names().flatten().any(|known| known == name),
    };
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = with;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        let (name, after) = if let Some(after) = rest.strip_prefix('$') {
            ("", after)
        } else if let Some(braced) = rest.strip_prefix('{') {
            braced.split_once('}').unwrap_or(("", braced))
        } else {
            rest.split_at(rest.find(|c| !part(c)).unwrap_or(rest.len()))
        };
        rest = after;
        if name.is_empty() || known(name) {
            continue;
        }
        let has = match groups {
            0 => "has no groups".to_owned(),
            1 => "has 1 group".to_owned(),
            _ => format!("has {groups} groups"),
        };
        let digits = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
        let help = match name.split_at(digits) {
            (number, text) if !number.is_empty() && !text.is_empty() && known(number) => {
                format!("where `{text}` follows the group, write `$${{{number}}}{text}`")
            }
            _ => "groups are the pattern's parentheses, numbered from 1; `$0` is the whole match, `$$` a dollar sign"
                .to_owned(),
        };
        return Err(
            Fault::error("data::pattern", format!("`${name}` is no group of the pattern, which {has}")).help(help)
        );
    }
    Ok(())
}

fn near_duplicates(
    table: &Table,
    options: &NearDuplicates,
    scene: &Scene<'_>,
    rejected: &mut Rejected<'_>,
    route: &Route,
) -> Outcome<Table> {
    let chosen = match &options.columns {
        Some(patterns) => resolve(table, patterns, &route.join("columns"))?,
        None => (0..table.columns.len()).filter(|index| table.columns[*index].shape.is_empty()).collect(),
    };
    let mut index = near::Index::new(scene.memory);
    let mut keeper = Keeper::new(table.columns.clone(), scene.memory);
    let mut before = 0;
    for rows in &table.batches {
        let signed = threads::map(rows.num_rows(), scene.threads, |row| {
            let shingles = near::shingles(rows, &chosen, row)?;
            let signature = near::signature(&shingles);
            Ok::<_, Vec<Fault>>((shingles, signature))
        });
        let mut mask = vec![true; rows.num_rows()];
        for (row, signed) in signed.into_iter().enumerate() {
            let (shingles, signature) = signed?;
            match index.similar(&shingles, &signature, options.similarity)? {
                Some((first, similarity)) => {
                    let reason = format!("like row {} (similarity {similarity:.2})", first + 1);
                    rejected.add(rows, &table.columns, row, before, &reason)?;
                    mask[row] = false;
                }
                None => index.add(before + row, &shingles, &signature)?,
            }
        }
        let kept = filter_record_batch(rows, &BooleanArray::from(mask));
        keeper.push(kept.map_err(|error| kernel("dropping rows", &error))?)?;
        before += rows.num_rows();
    }
    keeper.finish()
}

/// Rows chosen without replacement, in their order (selection sampling: D. Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
fn sample(table: &Table, options: &Sample, scene: &Scene<'_>) -> Outcome<Table> {
    let (mut left, mut wanted) = (table.rows() as u64, options.of(table.rows() as u64));
    let mut chance = Chance::new(*b"pipeline sample ", options.seed);
    let mut keeper = Keeper::new(table.columns.clone(), scene.memory);
    for rows in &table.batches {
        let mut chosen: Vec<u64> = Vec::new();
        for row in 0..rows.num_rows() as u64 {
            if chance.below(left) < wanted {
                chosen.push(row);
                wanted -= 1;
            }
            left -= 1;
        }
        let kept = take_record_batch(rows, &UInt64Array::from(chosen));
        keeper.push(kept.map_err(|error| kernel("choosing rows", &error))?)?;
    }
    keeper.finish()
}

fn names(table: &Table) -> Vec<&str> {
    table.columns.iter().map(|column| column.name.as_str()).collect()
}

fn resolve(table: &Table, patterns: &OneOrMany<String>, route: &Route) -> Outcome<Vec<usize>> {
    select(patterns, &names(table), route)
}

/// The columns named, or all.
fn some(table: &Table, options: &SomeColumns, route: &Route) -> Outcome<Vec<usize>> {
    match &options.columns {
        Some(patterns) => resolve(table, patterns, &route.join("columns")),
        None => Ok((0..table.columns.len()).collect()),
    }
}

/// The columns at these positions, in this order.
fn project<'a>(table: &Table, kept: Vec<usize>) -> Link<'a> {
    Link::picked(kept.iter().map(|index| table.columns[*index].clone()).collect(), kept)
}

fn fill_missing<'a>(table: &Table, options: &FillMissing, route: &Route) -> Outcome<Link<'a>> {
    let chosen = match &options.columns {
        Some(patterns) => Some(resolve(table, patterns, &route.join("columns"))?),
        None => None,
    };
    let mut faults = Faults::default();
    let mut cells = Vec::new();
    for index in chosen.clone().unwrap_or_else(|| (0..table.columns.len()).collect()) {
        let column = &table.columns[index];
        match fill::cell(&options.with, column) {
            Some(cell) => cells.push((index, cell)),
            None if chosen.is_some() => faults.add(|| {
                Fault::error(
                    "data::fill_type",
                    format!("the value does not fit column `{}`, which is {}", column.name, column.type_name()),
                )
                .help(format!("give {}", crate::table::cell::expected(column.dtype)))
                .at(route.join("with"))
            }),
            None => {}
        }
    }
    if faults.is_empty() && cells.is_empty() {
        faults.add(|| {
            Fault::error("data::fill_type", "there is no column that the value fits")
                .help("text fills text columns and dates, numbers fill numeric columns")
                .at(route.join("with"))
        });
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    Ok(Link::new(table.columns.clone(), move |rows, _| {
        let mut arrays = rows.columns().to_vec();
        for (index, cell) in &cells {
            arrays[*index] = fill::fill(&arrays[*index], cell.clone())?;
        }
        Ok((arrays, Vec::new()))
    }))
}

fn rename<'a>(table: &Table, new_names: &BTreeMap<String, String>, route: &Route) -> Outcome<Link<'a>> {
    let mut faults = Faults::default();
    let mut renamed = table.columns.clone();
    for (old, new) in new_names {
        let route = route.join(old.as_str());
        match table.columns.iter().position(|column| column.name == *old) {
            Some(_) if new.trim().is_empty() => {
                faults.add(|| {
                    Fault::error("data::empty_name", "a column needs a name").help("write the new name").at(route)
                });
            }
            Some(index) => renamed[index].name.clone_from(new),
            None => {
                faults.add(|| unknown(old, &names(table)).at_key(route));
            }
        }
    }
    for (index, column) in renamed.iter().enumerate() {
        if renamed[..index].iter().any(|other| other.name == column.name) {
            faults.add(|| {
                Fault::error("data::duplicate_column", format!("two columns would be called `{}`", column.name))
                    .help("choose another name, or drop one of them before")
                    .at(route.clone())
            });
        }
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    let all = (0..renamed.len()).collect();
    Ok(Link::picked(renamed, all))
}

fn cast<'a>(table: &Table, types: &BTreeMap<String, CastTo>, route: &Route) -> Outcome<Link<'a>> {
    let mut faults = Faults::default();
    let mut columns = table.columns.clone();
    let mut wanted: Vec<(usize, CastTo, Route)> = Vec::new();
    // Patterns first, so that a name goes before a pattern.
    let known = names(table);
    let found: Vec<_> = types.iter().map(|(entry, cast)| (entry, *cast, find(entry, &known))).collect();
    for (entry, dtype, matched) in found.iter().filter(|(_, _, matched)| !matches!(matched, Some(Matched::Name(_)))) {
        match matched {
            Some(matched) => {
                wanted.extend(matched.positions().iter().map(|index| (*index, *dtype, route.join(entry.as_str()))))
            }
            None => faults.add(|| unknown(entry, &known).at_key(route.join(entry.as_str()))),
        }
    }
    for (entry, dtype, matched) in &found {
        if let Some(Matched::Name(index)) = matched {
            wanted.retain(|(other, ..)| other != index);
            wanted.push((*index, *dtype, route.join(entry.as_str())));
        }
    }
    for (index, cast, _) in &wanted {
        columns[*index].dtype = cast.to;
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    let old = table.columns.clone();
    let lost = Arc::new(Lost::default());
    let told = Arc::clone(&lost);
    let link = Link::new(columns, move |rows, before| {
        let mut arrays = rows.columns().to_vec();
        let mut faults = Faults::default();
        let mut missing: Vec<(usize, String)> = Vec::new();
        let mut gone: BTreeMap<usize, String> = BTreeMap::new();
        for (index, cast, route) in &wanted {
            let column = &old[*index];
            let Ok((array, wrong)) = convert_some(&arrays[*index], cast.to) else {
                // It is the same for every piece: said with the first.
                if before == 0 {
                    faults.add(|| no_such_cast(column, cast.to, route));
                }
                continue;
            };
            for row in wrong {
                let fault = || misfit(&arrays[*index], row, (before + row) as u64, column, cast.to).at(route.clone());
                let reason = || {
                    let text = shown(&arrays[*index], row);
                    format!("`{text}` in column `{}` is not {}", column.name, cast.to.name())
                };
                match cast.on_error {
                    OnError::Fill => missing.push((row, reason())),
                    OnError::Fail => faults.add(fault),
                    OnError::Reject => {
                        gone.entry(row).or_insert_with(reason);
                    }
                }
            }
            arrays[*index] = array;
        }
        told.add(before, &missing);
        faults.or((arrays, gone.into_iter().collect()))
    });
    Ok(Link { lost, ..link })
}

/// The type of an expression over columns, for questions: `bool` for a condition, or what is wrong with it.
///
/// # Errors
/// As the steps `filter` and `derive`.
pub fn expression(asked: &catalog::question::Expression, columns: &[Column]) -> Result<ExpressionType, Fault> {
    match asked {
        catalog::question::Expression::Filter(text) => {
            Condition::new(text, columns).map(|_| ExpressionType { dtype: DType::Bool, missing: false })
        }
        catalog::question::Expression::Value(text) | catalog::question::Expression::Query(text) => {
            let expression = Expression::new(text, columns)?;
            Ok(ExpressionType { dtype: expression.dtype(text)?, missing: expression.missing })
        }
        catalog::question::Expression::Pattern(asked) => {
            let pattern = pattern(&asked.text, asked.groups)?;
            asked.with.iter().try_for_each(|with| replacement(&pattern, with))?;
            Ok(ExpressionType { dtype: DType::Bool, missing: false })
        }
    }
}
