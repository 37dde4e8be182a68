//! `preprocess`: rows and columns, step by step. Every step is stateless: it would do the same to any other rows.
//!
//! Neighbouring steps that need no more than a piece of the rows at a time are carried out together.

use std::collections::BTreeMap;

use catalog::kinds::preprocess::PreprocessStage;
use catalog::kinds::preprocess::params::Preprocess;
use catalog::question::ExpressionType;
use catalog::steps::Step;
use contract::artifact::{ArtifactType, Column, DType, DatasetType, Types};
use contract::fault::{Fault, Faults};
use contract::kind::{InferContext, Oracle, Program, Question, Stage as _};
use contract::route;
use contract::worker::Channel;
use contract::worker::protocol::{Finished, InputFile, Progress, RunRequest};
use serde_json::{Value, json};

use super::handler::Handler;
use crate::fault::Outcome;
use crate::request::{self, Output, finish, input};
pub use crate::step::Scene;
pub use crate::step::chain::Done;
use crate::step::chain::{Link, carry_out};
use crate::step::expression::{Condition, Expression};
use crate::step::pattern::{pattern, replacement};
use crate::step::query::type_of;
use crate::step::rejected::Rejected;
use crate::step::{Input, Whole, transform};
use crate::table::dataset::Table;
use crate::table::spill::{Memory, pieces};

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
        let fault = Fault::warning(contract::code!("data::rejected_rows"), text);
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
    request::answer(&expression(&asked, &columns)?)
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
            let route = route!["steps", first, name];
            let (rejected, warnings) = (&mut rejected, &mut warnings);
            let mut whole = Whole { step, scene, rejected, warnings, route: &route };
            let made = transform(step).whole(table, &mut whole)?;
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
                return Err(Faults::from(nothing_left(&done, steps.len())));
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
    Fault::error(contract::code!("data::empty"), text)
        .help("loosen the step, or look at the data above it: `pipeline show`")
        .at(route!["steps", index, done.step])
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

/// The steps from `first` on that can be carried out together, piece by piece, so that nothing between them is ever held or written.
/// What is wrong with a later one than the first is left to be found when those before it have run.
fn chain<'a>(params: &'a Preprocess, first: usize, table: &Table, scene: &Scene<'_>) -> Outcome<Vec<Link<'a>>> {
    let mut chain: Vec<Link<'a>> = Vec::new();
    let mut columns = Table { columns: table.columns.clone(), batches: Vec::new() };
    for (index, step) in params.steps.iter().enumerate().skip(first) {
        let name = step.name();
        let transform = transform(step);
        if transform.needs_all_rows() || (transform.begins_chain() && !chain.is_empty()) {
            break;
        }
        let (rows, route) = (chain.is_empty().then_some(table), route!["steps", index, name]);
        match transform.link(&Input { step, rows, table: &columns, scene, route: &route }) {
            Ok(link) => {
                columns.columns.clone_from(&link.columns);
                chain.push(link.numbered(index, name));
            }
            Err(faults) if chain.is_empty() => return Err(faults),
            Err(_) => break,
        }
    }
    Ok(chain)
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
