//! Types of the steps that look beyond one row: join, group, window, SQL.

use std::collections::BTreeMap;

use contract::artifact::{ArtifactType, Column, DType, DatasetLineage, DatasetType, Mixed, Types};
use contract::fault::{Fault, Route, suggest};

use super::shaping::{add, is_number, one};
use super::{Ask, names};
use crate::columns::{lineage, pattern};
use crate::kinds::preprocess::params::{Aggregate, GroupBy, How, Join, Window, WindowFunction};
use crate::params::shape::OneOrMany;
use crate::question::{Expression, QueryType};

/// What a join does to names: the keys of both tables, and the columns that come in with their new names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Positions of equal columns, here and there.
    pub keys: Vec<(usize, usize)>,
    /// Position there and the name here.
    pub columns: Vec<(usize, String)>,
}

/// Resolves the columns of a join.
///
/// # Errors
/// Keys that are not there, that differ in type, or that are missing; names that would be there twice.
pub fn joined(options: &Join, here: &[Column], there: &[Column], at: &Route) -> Result<Joined, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut keys = Vec::new();
    let pairs = options
        .on
        .iter()
        .flat_map(|on| {
            on.iter()
                .enumerate()
                .map(move |(index, name)| (name, name, pattern::entry_route(on, index, &at.join("on"))))
        })
        .chain(options.keys.iter().map(|(left, right)| (left, right, at.join("keys").join(left.as_str()))));
    for (left, right, route) in pairs {
        match (one(left, here, &route), one(right, there, &route)) {
            (Ok(left), Ok(right)) => {
                let (a, b) = (&here[left], &there[right]);
                if a.dtype != b.dtype || !a.shape.is_empty() || !b.shape.is_empty() {
                    faults.push(
                        Fault::error(
                            "data::join_type",
                            format!(
                                "`{}` is {} here and `{}` is {} in `{}`: nothing would be equal",
                                a.name,
                                a.type_name(),
                                b.name,
                                b.type_name(),
                                options.with
                            ),
                        )
                        .help(format!("`cast: {{ {}: {} }}` before this step", a.name, b.dtype.name()))
                        .at(route),
                    );
                }
                keys.push((left, right));
            }
            (left, right) => {
                faults.extend(left.err());
                faults.extend(right.err().map(|mut fault| {
                    fault.message = format!("{} in `{}`", fault.message, options.with);
                    fault
                }));
            }
        }
    }
    if keys.is_empty() {
        if faults.is_empty() {
            faults.push(
                Fault::error("data::join_keys", "a join needs columns that are equal: `on` or `keys`")
                    .help("`on: tailnum`, or `keys: { origin: faa }` where the names differ")
                    .at(at.clone()),
            );
        }
        // Which columns are there twice is not known before the keys are.
        return Err(faults);
    }
    let is_key = |position: usize| keys.iter().any(|(_, right)| *right == position);
    let chosen = match &options.columns {
        Some(entries) => match pattern::select(entries, &names(there), &at.join("columns")) {
            Ok(positions) => positions,
            Err(more) => {
                faults.extend(more);
                Vec::new()
            }
        },
        None => (0..there.len()).filter(|position| !is_key(*position)).collect(),
    };
    let mut taken: Vec<String> = here.iter().map(|column| column.name.clone()).collect();
    let mut columns = Vec::new();
    for position in chosen {
        let mut name = there[position].name.clone();
        if taken.contains(&name)
            && let Some(suffix) = &options.suffix
        {
            name.push_str(suffix);
        }
        if taken.contains(&name) {
            faults.push(
                Fault::error("data::duplicate_column", format!("`{name}` is in both tables"))
                    .help("give a `suffix` for such columns, such as `suffix: _plane`, or name the `columns` to take")
                    .at(at.clone()),
            );
        }
        if options.how == How::Left && !there[position].shape.is_empty() {
            faults.push(
                Fault::error(
                    "data::join_tensor",
                    format!("`{name}` is a tensor, which cannot be missing in rows without a partner"),
                )
                .help("write `how: inner`, or leave the column out")
                .at(at.clone()),
            );
        }
        taken.push(name.clone());
        columns.push((position, name));
    }
    if faults.is_empty() { Ok(Joined { keys, columns }) } else { Err(faults) }
}

pub(super) fn join(options: &Join, dataset: &mut DatasetType, others: &Types, at: &Route) -> Vec<Fault> {
    dataset.rows = None;
    let unknown = DatasetType::default();
    let other = others.get(&options.with).and_then(ArtifactType::dataset).unwrap_or(&unknown);
    let within: Vec<String> = options.on.iter().flat_map(OneOrMany::iter).chain(options.keys.keys()).cloned().collect();
    let rows = DatasetLineage::from(other).strands();
    let brought = Mixed { step: "join".to_owned(), rows, within, ..Mixed::default() };
    let (Some(here), Some(there)) = (&mut dataset.columns, &other.columns) else {
        dataset.columns = None;
        let beside = other.mixed.iter().cloned().map(|mixed| Mixed { columns: Vec::new(), ..mixed });
        lineage::mix(dataset, beside.chain([brought]));
        return Vec::new();
    };
    let joined = match joined(options, here, there, at) {
        Ok(joined) => joined,
        Err(faults) => return faults,
    };
    for (position, name) in &joined.columns {
        let mut column = Column { name: name.clone(), ..there[*position].clone() };
        column.nullable |= options.how == How::Left;
        here.push(column);
    }
    let new = |old: &String| {
        let position = there.iter().position(|column| column.name == *old)?;
        joined.columns.iter().find(|(from, _)| *from == position).map(|(_, name)| name.clone())
    };
    let beside = other.mixed.iter().filter_map(|mixed| {
        let columns: Vec<String> = mixed.columns.iter().filter_map(new).collect();
        (mixed.columns.is_empty() || !columns.is_empty()).then(|| Mixed { columns, ..mixed.clone() })
    });
    let columns: Vec<String> = joined.columns.iter().map(|(_, name)| name.clone()).collect();
    let brought = (!columns.is_empty()).then_some(Mixed { columns, ..brought });
    lineage::mix(dataset, beside.chain(brought).collect::<Vec<_>>());
    Vec::new()
}

/// The column an aggregate reads, with its name in a document.
pub fn read(aggregate: &Aggregate) -> Option<(&'static str, &str)> {
    Some(match aggregate {
        Aggregate::Count => return None,
        Aggregate::Distinct(name) => ("distinct", name),
        Aggregate::Sum(name) => ("sum", name),
        Aggregate::Mean(name) => ("mean", name),
        Aggregate::Median(name) => ("median", name),
        Aggregate::Std(name) => ("std", name),
        Aggregate::Min(name) => ("min", name),
        Aggregate::Max(name) => ("max", name),
        Aggregate::First(name) => ("first", name),
        Aggregate::Last(name) => ("last", name),
    })
}

fn sum_type(dtype: DType) -> DType {
    match dtype {
        dtype if dtype.is_float() => DType::Float64,
        DType::UInt8 | DType::UInt16 | DType::UInt32 | DType::UInt64 => DType::UInt64,
        _ => DType::Int64,
    }
}

/// What a function over many cells of a column gives, or the fault of a column it cannot be computed over.
fn over(function: &str, column: &Column, at: &Route) -> Result<DType, Fault> {
    let refuse = |wanted: &str| {
        Fault::error(
            "data::aggregate_type",
            format!("`{function}` is not defined for `{}`, which is {}", column.name, column.type_name()),
        )
        .help(format!("it wants {wanted}; `count`, `distinct`, `first` and `last` work on every column"))
        .at(at.clone())
    };
    if !column.shape.is_empty() {
        return Err(refuse("plain cells, not tensors"));
    }
    match function {
        "count" | "distinct" => Ok(DType::Int64),
        // Of true/false: how many are true, and their share.
        "sum" if column.dtype == DType::Bool => Ok(DType::Int64),
        "mean" if column.dtype == DType::Bool => Ok(DType::Float64),
        "sum" if is_number(column) => Ok(sum_type(column.dtype)),
        "mean" | "median" | "std" if is_number(column) => Ok(DType::Float64),
        "difference" if is_number(column) => Ok(if column.dtype.is_float() { DType::Float64 } else { DType::Int64 }),
        "sum" | "mean" => Err(refuse("numbers or true/false")),
        "median" | "std" | "difference" => Err(refuse("numbers")),
        "min" | "max" if matches!(column.dtype, DType::Binary | DType::Bool) => Err(refuse("numbers, texts or dates")),
        _ => Ok(column.dtype),
    }
}

fn keys(entries: &OneOrMany<String>, columns: &[Column], at: &Route) -> Result<Vec<usize>, Vec<Fault>> {
    let positions = pattern::select(entries, &names(columns), at)?;
    let tensors: Vec<Fault> = positions
        .iter()
        .map(|position| &columns[*position])
        .filter(|column| !column.shape.is_empty())
        .map(|column| {
            Fault::error("data::key_type", format!("`{}` is {}, which is no key", column.name, column.type_name()))
                .help("keys are numbers, texts, dates or true/false")
                .at(at.clone())
        })
        .collect();
    if tensors.is_empty() { Ok(positions) } else { Err(tensors) }
}

pub(super) fn group_by(options: &GroupBy, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    dataset.rows = None;
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let mut faults = Vec::new();
    let mut made: Vec<Column> = Vec::new();
    match keys(&options.by, columns, &at.join("by")) {
        Ok(positions) => made.extend(positions.into_iter().map(|position| columns[position].clone())),
        Err(more) => faults.extend(more),
    }
    for (name, aggregate) in &options.aggregates {
        let route = at.join("aggregates").join(name.as_str());
        let (dtype, nullable) = match read(aggregate) {
            None => (DType::Int64, false),
            Some((function, column)) => {
                let inside = route.join(function);
                let typed = one(column, columns, &inside)
                    .and_then(|position| over(function, &columns[position], &inside).map(|dtype| (dtype, position)));
                match typed {
                    // The deviation of one row, and the sum of none, are missing.
                    Ok((dtype, position)) => {
                        let missing = columns[position].nullable || columns[position].dtype.is_float();
                        (dtype, function == "std" || (missing && function != "distinct"))
                    }
                    Err(fault) => {
                        faults.push(fault);
                        (DType::Float64, true)
                    }
                }
            }
        };
        let route_key = at.join("aggregates").join(name.as_str());
        faults.extend(add(&mut made, Column { nullable, ..Column::new(name, dtype) }, &route_key));
    }
    *columns = made;
    faults
}

/// The column a window function reads, with its name in a document.
pub fn windowed(function: &WindowFunction) -> Option<(&'static str, &str)> {
    Some(match function {
        WindowFunction::Number => return None,
        WindowFunction::Lag(name) => ("lag", name),
        WindowFunction::Lead(name) => ("lead", name),
        WindowFunction::Difference(name) => ("difference", name),
        WindowFunction::Count(name) => ("count", name),
        WindowFunction::Sum(name) => ("sum", name),
        WindowFunction::Mean(name) => ("mean", name),
        WindowFunction::Min(name) => ("min", name),
        WindowFunction::Max(name) => ("max", name),
    })
}

pub(super) fn window(options: &Window, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let mut faults = Vec::new();
    for (key, entries) in [("by", &options.by), ("order", &options.order)] {
        if let Some(entries) = entries
            && let Err(more) = keys(entries, columns, &at.join(key))
        {
            faults.extend(more);
        }
    }
    let before = columns.clone();
    for (name, function) in &options.columns {
        let route = at.join("columns").join(name.as_str());
        let (dtype, nullable) = match windowed(function) {
            None => (DType::Int64, false),
            Some((function, column)) => {
                let inside = route.join(function);
                let typed =
                    one(column, &before, &inside).and_then(|position| over(function, &before[position], &inside));
                match typed {
                    Ok(dtype) => (dtype, function != "count"),
                    Err(fault) => {
                        faults.push(fault);
                        (DType::Float64, true)
                    }
                }
            }
        };
        faults.extend(add(columns, Column { nullable, ..Column::new(name, dtype) }, &route));
    }
    mix_window(options, dataset);
    faults
}

/// What a window computes is made from the rows around. The number of a row says nothing of their cells.
fn mix_window(options: &Window, dataset: &mut DatasetType) {
    let ahead = |function: &WindowFunction| matches!(function, WindowFunction::Lead(_));
    let numbers = |function: &WindowFunction| matches!(function, WindowFunction::Number);
    let rows = DatasetLineage::from(&*dataset).strands();
    // What looks back is judged otherwise than what looks ahead.
    for past in [true, false] {
        let functions = options.columns.iter().filter(|(_, function)| !numbers(function) && ahead(function) != past);
        let columns: Vec<String> = functions.map(|(name, _)| name.clone()).collect();
        if columns.is_empty() {
            continue;
        }
        let mixed = Mixed {
            columns,
            step: "window".to_owned(),
            rows: rows.clone(),
            within: options.by.iter().flat_map(OneOrMany::iter).cloned().collect(),
            past,
            ..Mixed::default()
        };
        lineage::mix(dataset, [mixed]);
    }
}

pub(super) fn sql(text: &str, dataset: &mut DatasetType, others: &Types, at: &Route, ask: &Ask<'_>) -> Vec<Fault> {
    dataset.rows = None;
    let mut tables: BTreeMap<&str, DatasetType> =
        others.iter().filter_map(|(port, other)| Some((port.as_str(), other.dataset()?.clone()))).collect();
    tables.insert("data", std::mem::take(dataset));
    let known = tables.len() == others.len() + 1 && tables.values().all(|table| table.columns.is_some());
    let mut faults = Vec::new();
    let mut answer: Option<QueryType> = None;
    if known {
        let only_columns =
            |table: &DatasetType| DatasetType { columns: table.columns.clone(), ..DatasetType::default() };
        let inputs: Types = tables
            .iter()
            .map(|(port, table)| ((*port).to_owned(), ArtifactType::Dataset(only_columns(table).into())))
            .collect();
        match ask(&Expression::Query(text.to_owned()), &inputs) {
            Ok(found) => answer = found.and_then(|value| serde_json::from_value(value).ok()),
            Err(found) => faults.extend(super::placed(found, at)),
        }
    }
    trace(answer.as_ref(), &tables, dataset);
    dataset.columns = answer.map(|answer| answer.columns);
    faults
}

/// Where the rows of a query come from, and which of its columns are made from other rows. Of a query that nobody has read all
/// inputs may have gone into every column, and rows of those that have an origin in common with `data` may be among the rows.
fn trace(answer: Option<&QueryType>, tables: &BTreeMap<&str, DatasetType>, made: &mut DatasetType) {
    let from = |name: &str| tables.get(name).map(DatasetLineage::from).unwrap_or_default();
    let data = from("data");
    let (rows, beside, columns, mixed): (Vec<&str>, Vec<&str>, &[Column], &[String]) = match answer {
        Some(answer) => {
            let named = |names: &[String]| -> Vec<&str> {
                // `data` leads where it is among them.
                let first = tables.keys().filter(|name| **name == "data");
                let others = tables.keys().filter(|name| **name != "data");
                first.chain(others).copied().filter(|name| names.iter().any(|other| other == name)).collect()
            };
            (named(&answer.rows), named(&answer.beside), &answer.columns, &answer.mixed)
        }
        None => {
            let (rows, beside) =
                tables.keys().copied().partition(|name| *name == "data" || lineage::related(&data, &from(name)));
            (rows, beside, &[], &[])
        }
    };
    for (index, name) in rows.iter().enumerate() {
        let Some(table) = tables.get(name) else { continue };
        if index == 0 {
            made.follow(table);
        } else {
            lineage::unite(made, table);
        }
    }
    let all = || columns.iter().map(|column| column.name.clone());
    // Which columns of the result are those of before is not known: a name that is gone stands for any.
    for mixed in &mut made.mixed {
        let there = |name: &String| columns.iter().any(|column| column.name == *name);
        if !mixed.columns.iter().all(there) {
            mixed.columns = all().collect();
        }
    }
    let own: Vec<Column> = rows.first().and_then(|name| tables.get(name)?.columns.clone()).unwrap_or_default();
    for name in beside {
        let brought = all().filter(|name| !own.iter().any(|column| column.name == *name));
        let brought: Vec<String> = brought.collect();
        let columns = if brought.is_empty() { all().collect() } else { brought };
        let rows = from(name).strands();
        let carried = tables.get(name).into_iter().flat_map(|table| table.mixed.iter().cloned());
        let carried: Vec<Mixed> = carried.map(|mixed| Mixed { columns: columns.clone(), ..mixed }).collect();
        lineage::mix(made, carried);
        if !rows.is_empty() {
            lineage::mix(made, [Mixed { columns, step: "sql".to_owned(), rows, ..Mixed::default() }]);
        }
    }
    if !mixed.is_empty() {
        let rows = DatasetLineage::from(&*made).strands();
        lineage::mix(made, [Mixed { columns: mixed.to_vec(), step: "sql".to_owned(), rows, ..Mixed::default() }]);
    }
}

pub(super) fn derive(
    expressions: &BTreeMap<String, String>,
    dataset: &mut DatasetType,
    at: &Route,
    ask: &Ask<'_>,
) -> Vec<Fault> {
    let Some(columns) = dataset.columns.clone() else { return Vec::new() };
    let asked = DatasetType { columns: Some(columns), ..DatasetType::default() };
    let inputs: Types = [("data".to_owned(), ArtifactType::Dataset(asked.into()))].into();
    let mut faults = Vec::new();
    for (name, text) in expressions {
        let answer = match ask(&Expression::Value(text.clone()), &inputs) {
            Ok(answer) => {
                answer.and_then(|value| serde_json::from_value::<crate::question::ExpressionType>(value).ok())
            }
            Err(more) => {
                faults.extend(super::placed(more, &at.join(name.as_str())));
                None
            }
        };
        let Some(columns) = &mut dataset.columns else { continue };
        let Some(answer) = answer else {
            if faults.is_empty() {
                // Nobody answered: what the later steps meet is not known.
                dataset.columns = None;
            } else if !columns.iter().any(|column| column.name == *name) {
                columns.push(Column { nullable: true, ..Column::new(name, DType::Float64) });
            }
            continue;
        };
        let new = Column { nullable: answer.missing, ..Column::new(name, answer.dtype) };
        match columns.iter_mut().find(|column| column.name == *name) {
            Some(column) => *column = Column { role: column.role, ..new },
            None => columns.push(new),
        }
    }
    faults
}

/// The port a join reads, when nothing is connected to it.
pub fn not_connected(port: &str, connected: &[&str], at: &Route) -> Option<Fault> {
    if connected.contains(&port) && port != "data" {
        return None;
    }
    let fault = Fault::error("data::unknown_table", format!("no input of the stage is called `{port}`"));
    let others = connected.iter().copied().filter(|other| *other != "data");
    let help =
        suggest(port, others).unwrap_or_else(|| format!("connect the other table: `inputs: {{ data: …, {port}: … }}`"));
    Some(fault.help(help).at(at.clone()))
}
