//! `split`: rows into parts: at random under the seed, by groups, in time, into folds, or as a column says.
//!
//! Shares are as exact as whole rows allow: the method of largest remainders for the parts, and with `stratify` for every class in
//! turn, where what rounding has given or taken so far decides between remainders. Inside a part, rows keep their order.

mod adversary;
mod groups;
mod ordered;
mod rows;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;
use catalog::columns::pattern::unknown;
use catalog::kinds::split::params::{Predefined, Split};
use catalog::kinds::split::{divided, ports, sizes};
use contract::artifact::{Column, DType, Role};
use contract::fault::{Fault, Faults};
use contract::route;
use contract::worker::Channel;
use contract::worker::protocol::{Finished, RunRequest};

use super::handler::Handler;
use crate::chance::Chance;
use crate::fault::{FaultList, Outcome, kernel};
use crate::request::{finish, input, typed};
use crate::table::dataset::Table;
use crate::table::spill::{Memory, pieces};
use crate::table::writer::Rows;
pub use rows::Row;
use rows::position;

/// What the program does for `split`.
pub const HANDLER: Handler = Handler { kind: "split", run, answer: None };

fn run(request: &RunRequest, channel: &Channel) -> Outcome<Finished> {
    let params: Split = typed(&request.params)?;
    let (table, from) = input(request, "data")?;
    let memory = Memory::new(request.memory, request.scratch.clone());
    let table = pieces(table, &memory);
    let (parts, warnings) = split(&params, request.seed, &table, &memory, request.threads.max(1))?;
    let lineage = |name: &str| divided(&from, &request.stage, &params, name);
    let parts: Vec<_> = parts.into_iter().map(|(name, part)| (lineage(&name), name, part)).collect();
    for (_, name, part) in &parts {
        channel.info(format!("{name}: {} rows", part.rows()));
    }
    let outputs = parts.iter().map(|(from, name, part)| (name.as_str(), part as &dyn Rows, from));
    finish(request, outputs.collect(), warnings)
}

/// The rows of each part, by name, and what is worth a warning.
pub type Parts<'a> = (Vec<(String, Part<'a>)>, Vec<Fault>);

/// Some rows of a table, in its order. They are picked when they are asked for, so that no part is ever held in memory.
pub struct Part<'a> {
    table: &'a Table,
    assigned: Arc<[u32]>,
    /// Where each batch begins.
    starts: Vec<usize>,
    part: u32,
    /// All rows but those of `part`.
    others: bool,
}

impl Part<'_> {
    fn has(&self, row: usize) -> bool {
        (self.assigned[row] == self.part) != self.others
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        (0..self.assigned.len()).filter(|row| self.has(*row)).count()
    }
}

impl Rows for Part<'_> {
    fn columns(&self) -> &[Column] {
        &self.table.columns
    }

    fn lengths(&self) -> Vec<usize> {
        let here = |(start, batch): (&usize, &RecordBatch)| {
            (*start..*start + batch.num_rows()).filter(|row| self.has(*row)).count()
        };
        self.starts.iter().zip(&self.table.batches).map(here).collect()
    }

    fn cells(&self, piece: usize, column: usize) -> Outcome<ArrayRef> {
        let array = self.table.batches[piece].column(column);
        let start = self.starts[piece];
        let mask = BooleanBuffer::collect_bool(array.len(), |row| self.has(start + row));
        filter(array, &BooleanArray::new(mask, None)).map_err(|error| kernel("dividing rows", &error))
    }
}

/// Divides a table. No row is lost, none is in two parts (of one fold).
///
/// # Errors
/// Ratios that are no shares, a part without rows, a column to stratify by that has too many values, rows that belong to no part.
pub fn split<'a>(params: &Split, seed: u64, table: &'a Table, memory: &Memory, threads: usize) -> Outcome<Parts<'a>> {
    let rows = table.rows();
    if rows > Row::MAX as usize {
        return Err(Faults::from(
            Fault::error(
                contract::code!("data::too_large"),
                format!("a table of {rows} rows cannot be split: no more than {}", Row::MAX),
            )
            .help("sample it, or split it into several tables before"),
        ));
    }
    let mut warnings = Vec::new();
    let ports = ports(params);
    // Which of the ports' rows a row belongs to; with folds, the fold that tests it.
    let (names, assigned) = if let Some(folds) = params.folds {
        let names: Vec<String> = (1..=folds).map(|fold| format!("test_{fold}")).collect();
        let shares = vec![1.0 / f64::from(folds); folds as usize];
        let assigned = by_shares(params, &names, &shares, seed, (table, memory, threads), &mut warnings)?;
        (names, assigned)
    } else {
        let names: Vec<String> = ports.iter().map(|(name, _)| name.clone()).collect();
        let assigned = if let Some(by) = &params.by {
            predefined(by, &names, table)?
        } else if !params.cuts.is_empty() {
            ordered::at_cuts(params, &names, table)?
        } else {
            let shares: Vec<f64> = ports.iter().filter_map(|(_, share)| *share).collect();
            let sum: f64 = shares.iter().sum();
            if shares.iter().any(|share| !share.is_finite() || *share <= 0.0) || (sum - 1.0).abs() > 1e-6 {
                let text = format!("the shares sum to {sum}, not to 1, or one of them is not above 0");
                let help = "for example `{ train: 0.7, validation: 0.15, test: 0.15 }`";
                return Err(Faults::from(
                    Fault::error(contract::code!("split::ratios"), text).help(help).at(route!["ratios"]),
                ));
            }
            match &params.time {
                Some(_) => ordered::by_shares(params, &shares, table)?,
                None => by_shares(params, &names, &shares, seed, (table, memory, threads), &mut warnings)?,
            }
        };
        (names, assigned)
    };
    let mut counts = vec![0usize; names.len()];
    for part in &assigned {
        counts[*part as usize] += 1;
    }
    let empty: Vec<Fault> = (0..names.len())
        .filter(|part| counts[*part] == 0)
        .map(|part| {
            let route = if params.ratios.is_empty() { route![] } else { route!["ratios", names[part].as_str()] };
            Fault::error(
                contract::code!("split::empty_part"),
                format!("part `{}` gets none of the {rows} rows", names[part]),
            )
            .help("give it a larger share (or fewer folds), or collect more rows")
            .at(route)
        })
        .collect();
    if !empty.is_empty() {
        return Err(Faults::from(empty));
    }
    warnings.extend(in_time(params, table));
    let assigned: Arc<[u32]> = assigned.into();
    let starts: Vec<usize> = table
        .batches
        .iter()
        .scan(0, |before, batch| {
            *before += batch.num_rows();
            Some(*before - batch.num_rows())
        })
        .collect();
    let pick = |part: usize, others: bool| Part {
        table,
        assigned: assigned.clone(),
        starts: starts.clone(),
        part: part as u32,
        others,
    };
    let mut parts = Vec::with_capacity(ports.len());
    for (part, name) in names.iter().enumerate() {
        if params.folds.is_some() {
            parts.push((format!("train_{}", part + 1), pick(part, true)));
        }
        parts.push((name.clone(), pick(part, false)));
    }
    if params.adversarial && params.folds.is_none() {
        let side = |wanted: &str| names.iter().position(|name| name == wanted);
        if let (Some(train), Some(test)) = (side("train"), side("test")) {
            let hidden: Vec<&str> = params
                .time
                .as_deref()
                .into_iter()
                .chain(params.by.iter().map(|by| by.column.as_str()))
                .chain(params.group.iter().flat_map(|group| group.iter().map(String::as_str)))
                .collect();
            warnings.extend(adversary::judge(table, &assigned, train, test, &hidden, params.time.as_deref()));
        }
    }
    Ok((parts, warnings))
}

/// Rows dealt by shares: at random, by class, or by groups that stay together.
fn by_shares(
    params: &Split,
    names: &[String],
    shares: &[f64],
    seed: u64,
    (table, memory, threads): (&Table, &Memory, usize),
    warnings: &mut Vec<Fault>,
) -> Outcome<Vec<u32>> {
    let rows = table.rows();
    if params.group.is_some() || params.together.is_some() {
        let groups = groups::groups(params, table, memory, threads)?;
        let Some(column) = &params.stratify else { return Ok(groups::deal(&groups, shares, seed)) };
        let classes = classes(table, column)?;
        let mut class_of = vec![0; rows];
        for (class, (_, members)) in classes.iter().enumerate() {
            members.iter().for_each(|row| class_of[*row as usize] = class as u32);
        }
        let assigned = groups::deal_stratified(&groups, &class_of, classes.len(), shares, seed);
        rare(column, &classes, names, &assigned, warnings);
        return Ok(assigned);
    }
    let Some(column) = &params.stratify else { return Ok(random(rows, shares, seed)) };
    let classes = classes(table, column)?;
    let assigned = stratified(rows, &classes, shares, seed);
    rare(column, &classes, names, &assigned, warnings);
    Ok(assigned)
}

/// Warns of classes that are not in all parts.
fn rare(column: &str, classes: &[(String, Vec<Row>)], names: &[String], assigned: &[u32], warnings: &mut Vec<Fault>) {
    for (class, members) in classes {
        let short: Vec<String> = (0..names.len())
            .filter(|part| members.iter().all(|row| assigned[*row as usize] != *part as u32))
            .map(|part| format!("`{}`", names[part]))
            .collect();
        if !short.is_empty() {
            let text = format!(
                "`{class}` in column `{column}` has {} row{}, so {} in {}",
                members.len(),
                if members.len() == 1 { "" } else { "s" },
                if members.len() == 1 { "it is not" } else { "none of them are" },
                short.join(" and ")
            );
            warnings.push(
                Fault::warning(contract::code!("split::rare_class"), text)
                    .help("collect more of it, or merge or drop the class")
                    .at(route!["stratify"]),
            );
        }
    }
}

/// Rows this many at least, in the order of a date column, look like a series in time.
const SERIES: usize = 20;

/// Warns where rows that follow each other in time are divided at random: a date column that is a feature orders them from
/// the first to the last, and few share a time.
fn in_time(params: &Split, table: &Table) -> Option<Fault> {
    let at_random = params.time.is_none() && params.by.is_none() && params.cuts.is_empty() && params.group.is_none();
    if !at_random || table.rows() < SERIES {
        return None;
    }
    let dates = |column: &&Column| {
        let date = matches!(column.dtype, DType::Date | DType::Datetime) && column.shape.is_empty();
        date && column.role == Role::Feature
    };
    let ordered = |column: &&Column| {
        let index = table.columns.iter().position(|other| other.name == column.name)?;
        let (mut last, mut up, mut down, mut times): (Option<i64>, bool, bool, usize) = (None, true, true, 0);
        for piece in table.pieces(index) {
            let piece = match arrow::compute::cast(&piece, &arrow::datatypes::DataType::Int32) {
                Ok(days) if column.dtype == DType::Date => days,
                _ => piece,
            };
            let piece = arrow::compute::cast(&piece, &arrow::datatypes::DataType::Int64).ok()?;
            let piece = piece.as_primitive::<arrow::datatypes::Int64Type>();
            for time in piece {
                let time = time?;
                up &= last.is_none_or(|last| last <= time);
                down &= last.is_none_or(|last| last >= time);
                times += usize::from(last != Some(time));
                last = Some(time);
            }
            if !up && !down {
                return None;
            }
        }
        (times * 2 > table.rows()).then_some(())
    };
    let column = table.columns.iter().filter(dates).find(|column| ordered(column).is_some())?;
    let text = format!(
        "the rows follow each other in `{0}` and are divided at random: the model learns from the days around those it is judged on",
        column.name
    );
    let help = format!(
        "`time: {0}` puts what is later into `test`; when the order does not matter, give `{0}` the role `ignore`",
        column.name
    );
    let at = if params.folds.is_some() { route!["folds"] } else { route!["ratios"] };
    Some(Fault::warning(contract::code!("split::series"), text).help(help).at(at))
}

/// The part of each row by the value of a column.
fn predefined(by: &Predefined, names: &[String], table: &Table) -> Outcome<Vec<u32>> {
    let at = route!["by", "column"];
    let index = position(table, &by.column, &at)?;
    let parts: BTreeMap<&str, u32> = by
        .parts
        .iter()
        .filter_map(|(part, values)| Some((names.iter().position(|name| name == part)? as u32, values)))
        .flat_map(|(part, values)| values.iter().map(move |value| (value.as_str(), part)))
        .collect();
    let mut assigned = Vec::with_capacity(table.rows());
    let mut faults = FaultList::default();
    let mut strangers = std::collections::BTreeSet::new();
    for piece in table.pieces(index) {
        let text: ArrayRef = crate::table::convert::convert(&piece, contract::artifact::DType::String)
            .map_err(|_| kernel("reading parts", &"the column cannot be written as text"))?;
        for value in text.as_string::<i32>() {
            match value.and_then(|value| parts.get(value)) {
                Some(part) => assigned.push(*part),
                None => {
                    let shown = value.unwrap_or("missing").to_owned();
                    if strangers.insert(shown.clone()) {
                        let row = assigned.len() + 1;
                        faults.add(|| {
                            Fault::error(
                                contract::code!("split::no_part"),
                                format!("`{shown}` in row {row} of `{}` belongs to no part", by.column),
                            )
                            .help("name the value under a part, or `filter` such rows before")
                            .at(route!["by", "parts"])
                        });
                    }
                    assigned.push(0);
                }
            }
        }
    }
    faults.or(assigned)
}

/// The rows of each value, sorted by value; missing cells are a class of their own.
fn classes(table: &Table, name: &str) -> Outcome<Vec<(String, Vec<Row>)>> {
    let at = route!["stratify"];
    let Some(index) = table.columns.iter().position(|column| column.name == name) else {
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        return Err(Faults::from(unknown(name, &names).at(at)));
    };
    let column = &table.columns[index];
    let help =
        "stratify by a column of classes: text, whole numbers or bools; without `stratify` rows are divided at random";
    if !column.shape.is_empty() || column.dtype.is_float() {
        let text = format!("column `{name}` is {}, which has no classes", column.type_name());
        return Err(Faults::from(Fault::error(contract::code!("split::stratify_type"), text).help(help).at(at)));
    }
    let mut members: BTreeMap<(bool, String), Vec<Row>> = BTreeMap::new();
    let rows = table.rows();
    let mut start = 0;
    for piece in table.pieces(index) {
        let text: ArrayRef =
            crate::table::convert::convert(&piece, contract::artifact::DType::String).map_err(|_| {
                vec![
                    Fault::error(contract::code!("split::stratify_type"), format!("column `{name}` has no classes"))
                        .help(help)
                        .at(at.clone()),
                ]
            })?;
        let mut here: HashMap<Option<&str>, Vec<Row>> = HashMap::new();
        for (row, value) in text.as_string::<i32>().iter().enumerate() {
            here.entry(value).or_default().push((start + row) as Row);
        }
        for (value, more) in here {
            members.entry((value.is_none(), value.unwrap_or("missing").to_owned())).or_default().extend(more);
        }
        start += piece.len();
    }
    if members.len() > 1 && members.len() * 2 > rows {
        let text =
            format!("column `{name}` has {} values in {rows} rows: too many to keep their shares", members.len());
        return Err(Faults::from(Fault::error(contract::code!("split::too_many_classes"), text).help(help).at(at)));
    }
    Ok(members.into_iter().map(|((_, value), rows)| (value, rows)).collect())
}

/// The part of each row.
fn random(rows: usize, shares: &[f64], seed: u64) -> Vec<u32> {
    let mut order: Vec<Row> = (0..rows as Row).collect();
    let mut chance = Chance::new(*b"pipeline split 1", seed);
    chance.shuffle(&mut order);
    let counts = sizes(rows as u64, shares).into_iter().map(|size| size as usize).collect();
    deal(rows, &[(order, counts)])
}

fn stratified(rows: usize, classes: &[(String, Vec<Row>)], shares: &[f64], seed: u64) -> Vec<u32> {
    let mut chance = Chance::new(*b"pipeline split 1", seed);
    let mut owed = vec![0.0; shares.len()];
    let mut dealt = Vec::with_capacity(classes.len());
    for (_, members) in classes {
        let mut order = members.clone();
        chance.shuffle(&mut order);
        let mut counts = seats(order.len(), shares, &mut owed);
        everywhere(&mut counts, &mut owed);
        dealt.push((order, counts));
    }
    deal(rows, &dealt)
}

fn deal(rows: usize, dealt: &[(Vec<Row>, Vec<usize>)]) -> Vec<u32> {
    let mut assigned = vec![0; rows];
    for (order, counts) in dealt {
        let mut rest = order.iter();
        for (part, count) in counts.iter().enumerate() {
            for row in rest.by_ref().take(*count) {
                assigned[*row as usize] = part as u32;
            }
        }
    }
    assigned
}

/// Whole numbers that sum to `rows`, near the shares: rounded down, then one more for the largest remainders, counting what
/// earlier roundings owe each part.
fn seats(rows: usize, shares: &[f64], owed: &mut [f64]) -> Vec<usize> {
    let quotas: Vec<f64> = shares.iter().map(|share| share * rows as f64).collect();
    // A share such as 0.7 of 10 rows is 7, not 6.999999999999999.
    let mut counts: Vec<usize> = quotas.iter().map(|quota| (quota + 1e-9).floor() as usize).collect();
    let left = rows.saturating_sub(counts.iter().sum());
    let mut ranked: Vec<usize> = (0..shares.len()).collect();
    let claim: Vec<f64> = (0..shares.len()).map(|part| quotas[part] - counts[part] as f64 + owed[part]).collect();
    ranked.sort_by(|a, b| claim[*b].total_cmp(&claim[*a]).then(a.cmp(b)));
    for part in ranked.iter().cycle().take(left) {
        counts[*part] += 1;
    }
    for part in 0..shares.len() {
        owed[part] += quotas[part] - counts[part] as f64;
    }
    counts
}

/// Every part gets a row of a class that has enough of them; a class of fewer rows goes to the first parts (training first).
fn everywhere(counts: &mut [usize], owed: &mut [f64]) {
    let rows: usize = counts.iter().sum();
    for part in 0..counts.len().min(rows) {
        if counts[part] > 0 {
            continue;
        }
        // From the part that has most; from the last of them, so that training keeps its rows.
        let from = (0..counts.len()).max_by_key(|other| (counts[*other], *other)).unwrap_or(part);
        let from = if rows < counts.len() {
            (0..counts.len()).rev().find(|other| counts[*other] > 0).unwrap_or(from)
        } else {
            from
        };
        counts[from] -= 1;
        owed[from] += 1.0;
        counts[part] += 1;
        owed[part] -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use catalog::params::shape::OneOrMany;
    use contract::artifact::{Column, DType};
    use proptest::prelude::*;

    use super::*;
    use crate::table::dataset::batch;

    fn table(classes: &[usize]) -> Table {
        let columns = vec![Column::new("row", DType::Int64), Column::new("class", DType::String)];
        let labels: Vec<String> = classes
            .iter()
            .enumerate()
            .flat_map(|(class, count)| std::iter::repeat_n(format!("c{class}"), *count))
            .collect();
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..labels.len() as i64));
        let labels: ArrayRef = Arc::new(StringArray::from_iter_values(&labels));
        let whole = batch(&columns, vec![ids, labels]).unwrap();
        let cut = whole.num_rows() / 3;
        let batches = vec![whole.slice(0, cut), whole.slice(cut, whole.num_rows() - cut)];
        Table { columns, batches }
    }

    fn params(ratios: &[(&str, f64)], stratify: Option<&str>) -> Split {
        Split {
            ratios: ratios.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect(),
            stratify: stratify.map(str::to_owned),
            ..Split::default()
        }
    }

    const USUAL: &[(&str, f64)] = &[("test", 0.15), ("train", 0.7), ("validation", 0.15)];

    type Parts = (Vec<(String, Table)>, Vec<Fault>);

    /// The parts as tables, as they are written and read back.
    fn split(params: &Split, seed: u64, table: &Table) -> Outcome<Parts> {
        let (parts, warnings) = {
            let folder = tempfile::tempdir().unwrap();
            let memory = Memory::new(None, folder.path().to_owned());
            super::split(params, seed, table, &memory, 2)?
        };
        let folder = tempfile::tempdir().unwrap();
        let read = |(name, part): (String, Part<'_>)| {
            let path = folder.path().join(&name);
            crate::table::writer::write(&part, &path, 2).unwrap();
            let table = crate::table::dataset::open(&path).unwrap();
            assert_eq!(table.rows(), part.rows());
            (name, table)
        };
        Ok((parts.into_iter().map(read).collect(), warnings))
    }

    fn rows(table: &Table) -> Vec<i64> {
        table.pieces(0).iter().flat_map(|piece| piece.as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    fn count(table: &Table, class: &str) -> usize {
        table
            .pieces(1)
            .iter()
            .map(|piece| piece.as_string::<i32>().iter().flatten().filter(|c| *c == class).count())
            .sum()
    }

    #[test]
    fn parts_come_in_the_usual_order_with_exact_shares() {
        let (parts, _) = split(&params(USUAL, None), 7, &table(&[1000])).unwrap();
        let sizes: Vec<(&str, usize)> = parts.iter().map(|(name, table)| (name.as_str(), table.rows())).collect();
        assert_eq!(sizes, [("train", 700), ("validation", 150), ("test", 150)]);
    }

    #[test]
    fn the_stream_is_pinned() {
        let (parts, _) = split(&params(&[("train", 0.5), ("test", 0.5)], None), 7, &table(&[12])).unwrap();
        assert_eq!(rows(&parts[0].1), PINNED);
        let (other, _) = split(&params(&[("train", 0.5), ("test", 0.5)], None), 8, &table(&[12])).unwrap();
        assert_ne!(rows(&other[0].1), rows(&parts[0].1));
    }

    /// A change here changes every split ever made: bump the kind's version with it.
    const PINNED: [i64; 6] = [0, 1, 2, 5, 6, 7];

    #[test]
    fn classes_keep_their_shares_and_rare_ones_are_everywhere() {
        let (parts, warnings) = split(&params(USUAL, Some("class")), 3, &table(&[700, 200, 97, 3])).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let of = |class: &str| parts.iter().map(|(_, table)| count(table, class)).collect::<Vec<_>>();
        assert_eq!(of("c0"), [490, 105, 105]);
        assert_eq!(of("c1"), [140, 30, 30]);
        assert_eq!(of("c3"), [1, 1, 1]);
        assert_eq!(of("c2").iter().sum::<usize>(), 97);
        let (parts, warnings) = split(&params(USUAL, Some("class")), 3, &table(&[40, 40, 1])).unwrap();
        assert_eq!(count(&parts[0].1, "c2"), 1, "a class of one row is trained on");
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].message.contains("`validation` and `test`"), "{}", warnings[0].message);
    }

    #[test]
    fn what_cannot_be_split_is_said() {
        let code = |outcome: Outcome<Parts>| outcome.map(|_| ()).unwrap_err()[0].code.clone();
        assert_eq!(code(split(&params(USUAL, None), 1, &table(&[2]))), "split::empty_part");
        assert_eq!(code(split(&params(&[("train", 0.7), ("test", 0.7)], None), 1, &table(&[9]))), "split::ratios");
        assert_eq!(code(split(&params(&[("train", 1.5), ("test", -0.5)], None), 1, &table(&[9]))), "split::ratios");
        assert_eq!(code(split(&params(USUAL, Some("klass")), 1, &table(&[9]))), "data::unknown_column");
        assert_eq!(code(split(&params(USUAL, Some("row")), 1, &table(&[9]))), "split::too_many_classes");
    }

    #[test]
    fn folds_test_every_row_once() {
        let params = Split { folds: Some(3), stratify: Some("class".into()), ..Split::default() };
        let (parts, _) = split(&params, 5, &table(&[60, 30])).unwrap();
        let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["train_1", "test_1", "train_2", "test_2", "train_3", "test_3"]);
        let mut tested: Vec<i64> = parts.iter().skip(1).step_by(2).flat_map(|(_, part)| rows(part)).collect();
        tested.sort_unstable();
        assert_eq!(tested, (0..90).collect::<Vec<_>>());
        for pair in parts.chunks(2) {
            assert_eq!((pair[0].1.rows(), pair[1].1.rows()), (60, 30));
            assert_eq!(count(&pair[1].1, "c1"), 10);
            assert!(rows(&pair[0].1).iter().all(|row| !rows(&pair[1].1).contains(row)));
        }
    }

    #[test]
    fn groups_stay_on_one_side() {
        let params = Split { group: Some(OneOrMany(vec!["class".into()])), ..params(USUAL, None) };
        let (parts, _) = split(&params, 5, &table(&[10; 40])).unwrap();
        for class in 0..40 {
            let found = parts.iter().filter(|(_, part)| count(part, &format!("c{class}")) > 0).count();
            assert_eq!(found, 1, "class {class}");
        }
        assert_eq!(parts.iter().map(|(_, part)| part.rows()).collect::<Vec<_>>(), [280, 60, 60]);
        let together = Some(catalog::kinds::split::params::Together {
            columns: Some(OneOrMany(vec!["class".into()])),
            similarity: None,
        });
        let equal = Split { group: None, together, ..params };
        let (parts, _) = split(&equal, 5, &table(&[10; 40])).unwrap();
        assert_eq!(parts.iter().map(|(_, part)| part.rows()).sum::<usize>(), 400);
        assert_eq!(parts.iter().filter(|(_, part)| count(part, "c7") > 0).count(), 1);
    }

    #[test]
    fn whole_groups_keep_the_shares_of_the_classes() {
        // 60 groups of 5 to 9 rows; in a third of them every row is of the rare class.
        let groups: Vec<Row> = (0..60u32).flat_map(|group| vec![group; 5 + group as usize % 5]).collect();
        let classes: Vec<u32> = groups.iter().map(|group| u32::from(group % 3 == 0)).collect();
        let shares = [0.7, 0.15, 0.15];
        let assigned = groups::deal_stratified(&groups, &classes, 2, &shares, 3);
        assert_eq!(assigned, groups::deal_stratified(&groups, &classes, 2, &shares, 3), "the seed decides");
        assert_ne!(assigned, groups::deal_stratified(&groups, &classes, 2, &shares, 4));
        for group in 0..60 {
            let mut parts: Vec<u32> =
                groups.iter().zip(&assigned).filter(|(own, _)| **own == group).map(|(_, part)| *part).collect();
            parts.dedup();
            assert_eq!(parts.len(), 1, "group {group}");
        }
        let of = |wanted: &dyn Fn(usize) -> bool| (0..groups.len()).filter(|row| wanted(*row)).count() as f64;
        let rare = of(&|row| classes[row] == 1) / groups.len() as f64;
        for (part, share) in shares.iter().enumerate() {
            let rows = of(&|row| assigned[row] == part as u32);
            let here = of(&|row| assigned[row] == part as u32 && classes[row] == 1) / rows;
            assert!((rows / groups.len() as f64 - share).abs() < 0.04, "part {part} has {rows} rows");
            assert!((here - rare).abs() < 0.06, "part {part}: {here}, all: {rare}");
        }
        // The same through the stage, where the groups are a column's.
        let both = Split { group: Some(OneOrMany(vec!["row".into()])), ..params(USUAL, Some("class")) };
        let (parts, warnings) = split(&both, 5, &table(&[100, 20])).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(parts.iter().map(|(_, part)| count(part, "c1")).collect::<Vec<_>>(), [14, 3, 3]);
    }

    #[test]
    fn near_duplicates_stay_on_one_side() {
        // Every text is there twice, with one word changed.
        let text = |row: usize| {
            let words = ["red", "green", "blue", "amber", "violet", "teal", "grey", "ochre", "olive", "pink"];
            let mut body: Vec<String> =
                (0..40).map(|at| format!("{}{}", words[(row / 2 * 7 + at * 3) % 10], row / 2 * 31 + at)).collect();
            if row % 2 == 1 {
                body[20] = "changed".into();
            }
            body.join(" ")
        };
        let columns = vec![Column::new("row", DType::Int64), Column::new("text", DType::String)];
        let texts: Vec<String> = (0..120).map(text).collect();
        let batch = crate::table::dataset::batch(
            &columns,
            vec![
                Arc::new(arrow::array::Int64Array::from_iter_values(0..120)),
                Arc::new(arrow::array::StringArray::from_iter_values(&texts)),
            ],
        )
        .unwrap();
        let table = Table { columns, batches: vec![batch] };
        let together = |similarity| {
            let columns = Some(OneOrMany(vec!["text".into()]));
            Some(catalog::kinds::split::params::Together { columns, similarity })
        };
        let divided = |similarity| {
            let near = Split { together: together(similarity), ..params(USUAL, None) };
            let (parts, _) = split(&near, 5, &table).unwrap();
            let side = |row: i64| parts.iter().position(|(_, part)| rows(part).contains(&row));
            (0..60).filter(|pair| side(pair * 2) != side(pair * 2 + 1)).count()
        };
        assert_eq!(divided(Some(0.7)), 0);
        assert!(divided(None) > 0, "equal rows alone are not what keeps the pairs together");
    }

    #[test]
    fn a_series_that_is_divided_at_random_is_worth_a_warning() {
        let days = |days: Vec<i32>, role: Role| {
            let columns = vec![Column::new("row", DType::Int64), Column { role, ..Column::new("day", DType::Date) }];
            let count = days.len() as i64;
            let arrays: Vec<ArrayRef> = vec![
                Arc::new(arrow::array::Int64Array::from_iter_values(0..count)),
                Arc::new(arrow::array::Date32Array::from(days)),
            ];
            Table { batches: vec![crate::table::dataset::batch(&columns, arrays).unwrap()], columns }
        };
        let told = |params: &Split, table: &Table| -> Vec<String> {
            split(params, 1, table).unwrap().1.into_iter().map(|fault| fault.code).collect()
        };
        let random = params(&[("train", 0.5), ("test", 0.5)], None);
        let series = days((0..100).collect(), Role::Feature);
        assert_eq!(told(&random, &series), ["split::series"]);
        let fault = &split(&random, 1, &series).unwrap().1[0];
        assert!(fault.help.as_ref().unwrap().contains("`time: day`"), "{fault:?}");
        assert_eq!(told(&random, &days((0..100).rev().collect(), Role::Feature)), ["split::series"]);
        assert_eq!(told(&random, &days((0..100).collect(), Role::Ignore)), [""; 0]);
        assert_eq!(told(&random, &days((0..100).map(|day| day * 37 % 100).collect(), Role::Feature)), [""; 0]);
        assert_eq!(told(&random, &days((0..100).map(|day| day / 25).collect(), Role::Feature)), [""; 0], "few times");
        let in_time = Split { time: Some("day".into()), ..random };
        assert_eq!(told(&in_time, &series), [""; 0]);
    }

    #[test]
    fn time_goes_from_train_to_test() {
        let by_time = Split { time: Some("row".into()), ..params(USUAL, None) };
        let (parts, _) = split(&by_time, 5, &table(&[100])).unwrap();
        assert_eq!(rows(&parts[0].1), (0..70).collect::<Vec<_>>());
        assert_eq!(rows(&parts[2].1), (85..100).collect::<Vec<_>>());
        let cuts = [("test".to_owned(), catalog::params::scalar::Scalar::Int(90))].into();
        let cut = Split { ratios: BTreeMap::new(), cuts, ..by_time };
        let (parts, _) = split(&cut, 5, &table(&[100])).unwrap();
        assert_eq!(rows(&parts[1].1), (90..100).collect::<Vec<_>>());
    }

    #[test]
    fn of_parts_in_time_only_what_is_no_clock_is_told() {
        let columns: Vec<Column> =
            ["day", "month", "noise", "sensor"].map(|name| Column::new(name, DType::Int64)).into();
        let table = |sensor: fn(i64) -> i64| {
            let noise = |day: i64| day * 7919 % 1009;
            let values: [Box<dyn Fn(i64) -> i64>; 4] =
                [Box::new(|day| day), Box::new(|day| day / 30), Box::new(noise), Box::new(sensor)];
            let arrays =
                values.iter().map(|value| Arc::new(Int64Array::from_iter_values((0..2000).map(value))) as ArrayRef);
            Table { columns: columns.clone(), batches: vec![batch(&columns, arrays.collect()).unwrap()] }
        };
        let by_time = Split { time: Some("day".into()), adversarial: true, ..params(USUAL, None) };
        let (_, silent) = split(&by_time, 5, &table(|day| day * 104_729 % 1013)).unwrap();
        assert_eq!(silent, [], "that the months differ is no news");
        // One that was replaced in the middle of the time.
        let (_, told) = split(&by_time, 5, &table(|day| i64::from(day > 1000) * 5 + day % 7)).unwrap();
        let [warning] = told.as_slice() else { panic!("{told:?}") };
        assert!(warning.message.contains("`sensor`") && !warning.message.contains("`month`"), "{}", warning.message);
        // No model sees it.
        for role in [Role::Ignore, Role::Id] {
            let mut kept = table(|day| i64::from(day > 1000) * 5 + day % 7);
            kept.columns[3].role = role;
            assert_eq!(split(&by_time, 5, &kept).unwrap().1, [], "{role:?}");
        }
    }

    #[test]
    fn a_column_may_say_the_part_and_a_part_may_give_itself_away() {
        let list = |values: &[&str]| OneOrMany(values.iter().map(ToString::to_string).collect());
        let by = |parts: &[(&str, &[&str])]| Split {
            by: Some(Predefined {
                column: "class".into(),
                parts: parts.iter().map(|(part, values)| ((*part).to_owned(), list(values))).collect(),
            }),
            adversarial: true,
            ..Split::default()
        };
        let (parts, warnings) =
            split(&by(&[("train", &["c0", "c2"]), ("test", &["c1"])]), 1, &table(&[100, 100, 100])).unwrap();
        assert_eq!((parts[0].1.rows(), parts[1].1.rows()), (200, 100));
        assert_eq!(warnings.iter().map(|fault| fault.code.as_str()).collect::<Vec<_>>(), ["split::told_apart"]);
        assert!(warnings[0].message.contains("`row`"), "{}", warnings[0].message);
        let faults = split(&by(&[("train", &["c0"]), ("test", &["c1"])]), 1, &table(&[5, 5, 5])).unwrap_err();
        assert_eq!((faults.len(), faults[0].code.as_str()), (1, "split::no_part"));
        let random = Split { adversarial: true, ..params(&[("train", 0.5), ("test", 0.5)], None) };
        assert_eq!(split(&random, 1, &table(&[1000, 1000])).unwrap().1, []);
    }

    proptest! {
        #[test]
        fn no_row_is_lost_or_doubled(
            classes in proptest::collection::vec(1usize..40, 1..6),
            train in 0.2..0.8f64,
            seed in any::<u64>(),
            stratify in any::<bool>(),
        ) {
            let table = table(&classes);
            let ratios = [("train", train), ("test", (1.0 - train) / 2.0), ("other", 1.0 - train - (1.0 - train) / 2.0)];
            let stratified = stratify && classes.len() * 2 <= table.rows();
            let outcome = split(&params(&ratios, stratified.then_some("class")), seed, &table);
            let Ok((parts, _)) = outcome else {
                prop_assert!(table.rows() < 40, "only small tables have empty parts");
                return Ok(());
            };
            let mut all = Vec::new();
            for (_, part) in &parts {
                let rows = rows(part);
                prop_assert!(rows.is_sorted(), "order inside a part is the order of the table");
                all.extend(rows);
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..table.rows() as i64).collect::<Vec<_>>());
            for (part, (name, rows)) in parts.iter().enumerate() {
                let share = ratios.iter().find(|(other, _)| other == name).unwrap().1;
                let slack = if stratified { classes.len() as f64 + 1.0 } else { 1.0 };
                prop_assert!((rows.rows() as f64 - share * table.rows() as f64).abs() <= slack, "{name} {part}");
            }
            if stratified {
                for (class, size) in classes.iter().enumerate().filter(|(_, size)| **size >= 3) {
                    for (name, part) in &parts {
                        prop_assert!(count(part, &format!("c{class}")) > 0, "class {class} of {size} rows is not in {name}");
                    }
                }
            }
        }
    }
}
