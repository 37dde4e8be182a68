//! `preprocess`: rows and columns, step by step. Every step is stateless: it would do the same to any other rows.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use catalog::params::preprocess::{FillMissing, Preprocess, SomeColumns, Step};
use catalog::params::shape::OneOrMany;
use catalog::pattern::{Matched, find, select, unknown};
use engine::artifact::{Column, DType};
use engine::error::{Fault, Route};
use engine::protocol::Progress;
use engine::route;
use engine::worker::Channel;

use crate::collect::refused;
use crate::convert::convert;
use crate::dataset::{Table, batch, schema};
use crate::fault::{Faults, Outcome, kernel};
use crate::step::duplicates::drop_duplicates;
use crate::step::expression::Condition;
use crate::step::{fill, pack};

/// Carries all steps out, and says in the log what each did to the rows.
///
/// # Errors
/// What is wrong with the first step that fails, with the route to it.
pub fn preprocess(params: &Preprocess, mut table: Table, channel: &Channel) -> Outcome<Table> {
    let total = params.steps.len() as u64;
    for (index, step) in params.steps.iter().enumerate() {
        let name = name(step);
        let route = route!["steps", index, name];
        let (rows, columns) = (table.rows(), table.columns.len());
        table = apply(step, table, &route)?;
        let (left, now) = (table.rows(), table.columns.len());
        let dropped = if left < rows { format!(" ({} dropped)", rows - left) } else { String::new() };
        let width = if now == columns { String::new() } else { format!(", {columns} → {now} columns") };
        channel.info(format!("{name}: {rows} → {left} rows{dropped}{width}"));
        channel.progress(Progress {
            done: index as u64 + 1,
            total: Some(total),
            unit: "step".into(),
            message: name.to_owned(),
            rate: None,
        });
        if left == 0 {
            return Err(vec![
                Fault::error(
                    "data::empty",
                    format!("no row is left after step {} (`{name}`), {rows} came in", index + 1),
                )
                .help("loosen the step, or look at the data above it: `pipeline show`")
                .at(route),
            ]);
        }
    }
    Ok(table)
}

/// The step's name in a document.
fn name(step: &Step) -> &'static str {
    match step {
        Step::DropDuplicates(_) => "drop_duplicates",
        Step::DropMissing(_) => "drop_missing",
        Step::FillMissing(_) => "fill_missing",
        Step::Rename(_) => "rename",
        Step::Select(_) => "select",
        Step::Drop(_) => "drop",
        Step::Cast(_) => "cast",
        Step::Filter(_) => "filter",
        Step::Pack(_) => "pack",
    }
}

fn apply(step: &Step, table: Table, route: &Route) -> Outcome<Table> {
    match step {
        Step::DropDuplicates(options) => {
            let columns = some(&table, options, route)?;
            let batches = drop_duplicates(&table, &columns)?;
            Ok(Table { columns: table.columns, batches })
        }
        Step::DropMissing(options) => {
            let columns = some(&table, options, route)?;
            filter(table, |rows| {
                let gone: Vec<_> = columns.iter().map(|index| fill::missing(rows.column(*index))).collect();
                let kept = BooleanBuffer::collect_bool(rows.num_rows(), |row| !gone.iter().any(|gone| gone.value(row)));
                Ok(BooleanArray::new(kept, None))
            })
        }
        Step::FillMissing(options) => fill_missing(table, options, route),
        Step::Rename(names) => rename(table, names, route),
        Step::Select(patterns) => {
            let kept = resolve(&table, patterns, route)?;
            project(&table, &kept)
        }
        Step::Drop(patterns) => {
            let gone = resolve(&table, patterns, route)?;
            let kept: Vec<usize> = (0..table.columns.len()).filter(|index| !gone.contains(index)).collect();
            if kept.is_empty() {
                return Err(vec![
                    Fault::error("data::no_columns", "no column is left")
                        .help("keep at least one column")
                        .at(route.clone()),
                ]);
            }
            project(&table, &kept)
        }
        Step::Cast(types) => cast(table, types, route),
        Step::Filter(text) => {
            let condition = Condition::new(text, &table.columns).map_err(|fault| vec![fault.at(route.clone())])?;
            filter(table, |rows| {
                condition.evaluate(rows).map_err(|error| {
                    vec![
                        Fault::error("data::expression_value", format!("`{text}` has no value for some row: {error}"))
                            .help("exclude such rows first: `CASE WHEN x <> 0 THEN y / x > 1 ELSE false END`, `TRY_CAST(x AS DOUBLE)`")
                            .at(route.clone()),
                    ]
                })
            })
        }
        Step::Pack(options) => pack::pack(&table, options, route),
    }
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

fn filter(table: Table, mask: impl Fn(&RecordBatch) -> Outcome<BooleanArray>) -> Outcome<Table> {
    let mut batches = Vec::with_capacity(table.batches.len());
    for rows in &table.batches {
        let kept = filter_record_batch(rows, &mask(rows)?).map_err(|error| kernel("dropping rows", &error))?;
        batches.push(kept);
    }
    Ok(Table { columns: table.columns, batches })
}

/// The columns at these positions, in this order.
fn project(table: &Table, kept: &[usize]) -> Outcome<Table> {
    let columns: Vec<Column> = kept.iter().map(|index| table.columns[*index].clone()).collect();
    let batches = table
        .batches
        .iter()
        .map(|rows| batch(&columns, kept.iter().map(|index| rows.column(*index).clone()).collect()))
        .collect::<Outcome<Vec<_>>>()?;
    Ok(Table { columns, batches })
}

fn fill_missing(table: Table, options: &FillMissing, route: &Route) -> Outcome<Table> {
    let chosen = match &options.columns {
        Some(patterns) => Some(resolve(&table, patterns, &route.join("columns"))?),
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
                .help(format!("give {}", crate::cell::expected(column.dtype)))
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
    let mut batches = Vec::with_capacity(table.batches.len());
    for rows in &table.batches {
        let mut arrays = rows.columns().to_vec();
        for (index, cell) in &cells {
            arrays[*index] = fill::fill(&arrays[*index], cell.clone())?;
        }
        batches.push(batch(&table.columns, arrays)?);
    }
    Ok(Table { columns: table.columns, batches })
}

fn rename(mut table: Table, new_names: &std::collections::BTreeMap<String, String>, route: &Route) -> Outcome<Table> {
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
                faults.add(|| unknown(old, &names(&table)).at_key(route));
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
    let schema = schema(&renamed);
    table.batches = table
        .batches
        .into_iter()
        .map(|rows| RecordBatch::try_new(schema.clone(), rows.columns().to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|error| kernel("renaming", &error))?;
    table.columns = renamed;
    Ok(table)
}

fn cast(table: Table, types: &std::collections::BTreeMap<String, DType>, route: &Route) -> Outcome<Table> {
    let mut faults = Faults::default();
    let mut columns = table.columns.clone();
    let mut wanted: Vec<(usize, DType, Route)> = Vec::new();
    // Patterns first, so that a name goes before a pattern.
    let known = names(&table);
    let found: Vec<_> = types.iter().map(|(entry, dtype)| (entry, *dtype, find(entry, &known))).collect();
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
    for (index, dtype, _) in &wanted {
        columns[*index].dtype = *dtype;
    }
    let mut batches = Vec::with_capacity(table.batches.len());
    let mut before = 0;
    for rows in &table.batches {
        let mut arrays = rows.columns().to_vec();
        for (index, dtype, route) in &wanted {
            match convert(&arrays[*index], *dtype) {
                Ok(array) => arrays[*index] = array,
                Err(refusal) => {
                    refused(
                        &refusal,
                        &table.columns[*index],
                        *dtype,
                        &arrays[*index],
                        before,
                        &mut faults,
                        route,
                        None,
                    );
                }
            }
        }
        before += rows.num_rows();
        if faults.is_empty() {
            batches.push(batch(&columns, arrays)?);
        }
    }
    faults.or(Table { columns, batches })
}

/// The type of a filter's condition, for questions: `bool`, or what is wrong with it.
///
/// # Errors
/// As the step `filter`.
pub fn condition(text: &str, columns: &[Column]) -> Result<DType, Fault> {
    Condition::new(text, columns).map(|_| DType::Bool)
}
