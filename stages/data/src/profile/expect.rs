//! `expect`: what must hold of the rows, checked on all of them.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use catalog::columns::pattern::select;
use catalog::kinds::profile::params::{Direction, Expectation};
use catalog::kinds::profile::{ambiguous, pointed, text};
use catalog::params::scalar::Scalar;
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults, Route};
use contract::route;
use regex::Regex;

use super::column::{numbers, shown};
use super::document::Checked;
use crate::fault::{Outcome, kernel};
use crate::step::duplicates::{Folded, digest, digests, repeats};
use crate::table::convert::convert;
use crate::table::dataset::Table;
use crate::table::missing::missing;
use crate::table::spill::{Memory, pieces, too_little};

/// So many rows are shown of what does not hold.
const EXAMPLES: usize = 5;

/// Fewer rows are in some order by chance.
const TELLING: usize = 20;

/// What one check of one column (or combination) found.
#[derive(Debug, Default)]
struct Tally {
    rows: u64,
    broken: u64,
    examples: Vec<(u64, String)>,
}

impl Tally {
    fn row(&mut self, row: usize, holds: bool, value: impl FnOnce() -> String) {
        self.rows += 1;
        if !holds {
            self.broken += 1;
            if self.examples.len() < EXAMPLES {
                self.examples.push((row as u64 + 1, value()));
            }
        }
    }
}

/// A regular expression, or what is wrong with it.
///
/// # Errors
/// `profile::regex` in its place.
pub fn expression(text: &str, at: Route) -> Result<Regex, Fault> {
    Regex::new(text).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Fault::error(contract::code!("profile::regex"), format!("`{text}` is not a regular expression: {why}"))
            .help("write it in single quotes, so that YAML leaves its `\\` alone; look-around and back-references do not exist here")
            .at(at)
    })
}

/// Checks all expectations: what was found, and the faults of the gate.
///
/// # Errors
/// Columns that are not there, expressions that are none, types that do not fit.
pub fn check(
    expect: &[Expectation],
    table: &Table,
    related: &[(&str, &Table)],
    memory: &Memory,
    threads: usize,
) -> Outcome<(Vec<Checked>, Vec<Fault>)> {
    let table = &pieces(table.clone(), memory);
    let mut checked = Vec::new();
    let mut unmet = Vec::new();
    for (index, one) in expect.iter().enumerate() {
        let at = route!["expect", index];
        for (key, text, tally) in tallies(one, table, related, memory, threads, &at)? {
            let enough = tally.broken as f64 <= (1.0 - one.mostly) * tally.rows as f64 + 1e-9;
            if !enough {
                let rows = table.rows();
                let examples: Vec<String> =
                    tally.examples.iter().map(|(row, value)| format!("row {row}: {value}")).collect();
                let message = match key {
                    "rows" => format!("{text}: there are {rows}"),
                    _ => format!("{text}: {} of {} rows break it ({})", tally.broken, tally.rows, examples.join("; ")),
                };
                unmet.push(
                    Fault::error(contract::code!("gate::not_met"), message)
                        .help("look at such rows in the report, clean them in a `preprocess` before, or change what is expected")
                        .at(at.join(key)),
                );
            }
            checked.push(Checked {
                index,
                text,
                holds: enough,
                rows: tally.rows,
                broken: tally.broken,
                examples: tally.examples,
            });
        }
    }
    Ok((checked, unmet))
}

type Named = (&'static str, String, Tally);

fn tallies(
    one: &Expectation,
    table: &Table,
    related: &[(&str, &Table)],
    memory: &Memory,
    threads: usize,
    at: &Route,
) -> Outcome<Vec<Named>> {
    let mut found: Vec<Named> = Vec::new();
    if let Some(rows) = &one.rows {
        let there = table.rows() as u64;
        let text = match (rows.min, rows.max) {
            (Some(min), Some(max)) => format!("between {min} and {max} rows"),
            (Some(min), None) => format!("at least {min} rows"),
            (_, max) => format!("at most {} rows", max.unwrap_or(u64::MAX)),
        };
        let holds = rows.min.is_none_or(|min| there >= min) && rows.max.is_none_or(|max| there <= max);
        found.push(("rows", text, Tally { rows: 1, broken: u64::from(!holds), examples: Vec::new() }));
    }
    let Some(entries) = &one.column else { return Ok(found) };
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let chosen = select(entries, &names, &at.join("column"))?;
    let listed = chosen.iter().map(|index| format!("`{}`", names[*index])).collect::<Vec<_>>().join(" + ");
    if one.unique {
        found.push(("unique", format!("{listed} is unique"), unique(table, &chosen, memory, threads)?));
    }
    if let Some(name) = &one.determines {
        let Some(to) = names.iter().position(|known| known == name) else {
            return Err(Faults::from(catalog::columns::pattern::unknown(name, &names).at(at.join("determines"))));
        };
        // The digest of every value, and of each key with the value it has.
        let needed = table.rows() as u64 * 80;
        if needed > memory.limit / 2 {
            return Err(Faults::from(too_little("`determines`", 2 * needed, memory, "").at(at.join("determines"))));
        }
        found.push(("determines", format!("{listed} determines `{name}`"), determined(table, &chosen, to, threads)?));
    }
    if let Some(sum) = &one.sum {
        let mut tally = Tally::default();
        let mut before = 0;
        for batch in &table.batches {
            let arrays: Vec<ArrayRef> = chosen.iter().filter_map(|index| numbers(batch.column(*index))).collect();
            for row in 0..batch.num_rows() {
                if arrays.iter().all(|array| array.is_valid(row)) {
                    let total: f64 = arrays.iter().map(|array| array.as_primitive::<Float64Type>().value(row)).sum();
                    tally.row(before + row, (total - sum.equals).abs() <= sum.tolerance, || total.to_string());
                }
            }
            before += batch.num_rows();
        }
        found.push(("sum", format!("{listed} = {}", sum.equals), tally));
    }
    let expression = one.regex.as_ref().map(|text| expression(text, at.join("regex")));
    let expression = expression.transpose()?;
    for index in chosen {
        let column = &table.columns[index];
        let pieces = table.pieces(index);
        let name = &column.name;
        if one.not_null {
            let mut tally = Tally::default();
            let mut before = 0;
            for piece in &pieces {
                let gone = missing(piece);
                for row in 0..piece.len() {
                    tally.row(before + row, !gone.value(row), || "missing".into());
                }
                before += piece.len();
            }
            found.push(("not_null", format!("`{name}` is never missing"), tally));
        }
        if let Some(values) = &one.one_of {
            let shown: Vec<String> = values.iter().take(8).map(text).collect();
            let more = if values.len() > 8 { ", …" } else { "" };
            found.push((
                "in",
                format!("`{name}` is one of {}{more}", shown.join(", ")),
                among(column, &pieces, values)?,
            ));
        }
        if let Some(range) = &one.range {
            let bound = |bound: &Option<Scalar>| bound.as_ref().map(text);
            let what = match (bound(&range.min), bound(&range.max)) {
                (Some(min), Some(max)) => format!("`{name}` lies between {min} and {max}"),
                (Some(min), None) => format!("`{name}` is at least {min}"),
                (_, max) => format!("`{name}` is at most {}", max.unwrap_or_default()),
            };
            let tally = within(column, &pieces, range.min.as_ref(), range.max.as_ref(), &at.join("range"))?;
            found.push(("range", what, tally));
        }
        if let Some(expression) = &expression {
            let mut tally = Tally::default();
            for_texts(&pieces, |row, value| tally.row(row, expression.is_match(value), || format!("`{value}`")))?;
            found.push(("regex", format!("`{name}` matches `{expression}`"), tally));
        }
        if let Some(direction) = one.monotone {
            found.push((
                "monotone",
                format!("`{name}` is {}", direction.name()),
                monotone(column, &pieces, direction)?,
            ));
        }
        if let Some(key) = &one.foreign_key {
            let tables: Vec<(&str, Vec<&str>)> = related
                .iter()
                .map(|(name, table)| (*name, table.columns.iter().map(|column| column.name.as_str()).collect()))
                .collect();
            let there =
                pointed(key, &tables).map_err(|several| vec![ambiguous(key, &several).at(at.join("foreign_key"))])?;
            let Some((other, at_key)) = there.map(|(table, column)| (related[table].1, column)) else {
                return Err(Faults::from(
                    Fault::error(
                        contract::code!("data::unknown_column"),
                        format!("no related table has a column `{key}`"),
                    )
                    .help("connect the table that has it: `inputs: { related: … }`")
                    .at(at.join("foreign_key")),
                ));
            };
            // By 128 bits of their hashes.
            let needed = other.rows() as u64 * 40;
            if needed > memory.limit / 2 {
                return Err(Faults::from(
                    too_little("`foreign_key`", 2 * needed, memory, "").at(at.join("foreign_key")),
                ));
            }
            let mut known: HashSet<[u64; 2], Folded> = HashSet::default();
            let hashed = |value: &str| {
                let digest = digest(value.as_bytes());
                [digest as u64, (digest >> 64) as u64]
            };
            let column = Table { columns: vec![other.columns[at_key].clone()], batches: one_column(other, at_key)? };
            for_texts(&crate::table::spill::pieces(column, memory).pieces(0), |_, value| {
                known.insert(hashed(value));
            })?;
            let mut tally = Tally::default();
            for_texts(&pieces, |row, value| tally.row(row, known.contains(&hashed(value)), || format!("`{value}`")))?;
            found.push(("foreign_key", format!("`{name}` is found in `{key}` of the related table"), tally));
        }
    }
    Ok(found)
}

/// What these columns of numbers add up to in every row that has them all, where it is the same in more than a few. It differs by no more than
/// what `sum` lets pass.
///
/// # Errors
/// Never for columns of numbers.
pub fn constant_sum(table: &Table, columns: &[usize]) -> Outcome<Option<f64>> {
    let mut equals: Option<f64> = None;
    let mut rows = 0;
    for batch in &table.batches {
        let arrays: Vec<ArrayRef> = columns.iter().filter_map(|index| numbers(batch.column(*index))).collect();
        if arrays.len() < columns.len() {
            return Ok(None);
        }
        for row in (0..batch.num_rows()).filter(|row| arrays.iter().all(|array| array.is_valid(*row))) {
            let total: f64 = arrays.iter().map(|array| array.as_primitive::<Float64Type>().value(row)).sum();
            let wanted = *equals.get_or_insert((total * 1e6).round() / 1e6);
            if total.is_nan() || (total - wanted).abs() > 1e-6 {
                return Ok(None);
            }
            rows += 1;
        }
    }
    Ok(equals.filter(|equals| rows >= TELLING && equals.is_finite()))
}

/// Every cell that is there, as text.
fn for_texts(pieces: &[ArrayRef], mut f: impl FnMut(usize, &str)) -> Outcome<()> {
    let mut before = 0;
    for piece in pieces {
        let gone = missing(piece);
        let texts = convert(piece, DType::String).map_err(|_| unreadable())?;
        let texts = texts.as_string::<i32>();
        for row in (0..piece.len()).filter(|row| !gone.value(*row)) {
            f(before + row, texts.value(row));
        }
        before += piece.len();
    }
    Ok(())
}

/// One column's batches.
fn one_column(table: &Table, at: usize) -> Outcome<Vec<RecordBatch>> {
    let picked =
        table.batches.iter().map(|rows| rows.project(&[at]).map_err(|error| kernel("taking a column", &error)));
    picked.collect()
}

/// A value that has an order: whole numbers (dates in days, times in microseconds) are compared as such, to the last digit.
#[derive(Debug, Clone, Copy)]
enum Number {
    Whole(i128),
    Broken(f64),
}

impl Number {
    fn of(value: &Scalar) -> Option<Self> {
        match value {
            Scalar::Int(value) => Some(Self::Whole(i128::from(*value))),
            Scalar::Float(value) => Some(Self::Broken(*value)),
            Scalar::Bool(_) | Scalar::Text(_) => None,
        }
    }

    /// The exact order; NaN is not among them.
    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (Self::Broken(a), Self::Broken(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Self::Whole(_), Self::Broken(_)) => other.order(self).reverse(),
            // The nearest double decides; where it is equal, the number is whole and its digits do.
            (Self::Broken(a), Self::Whole(b)) => match a.partial_cmp(&(b as f64)) {
                Some(Ordering::Equal) => (a as i128).cmp(&b),
                order => order.unwrap_or(Ordering::Equal),
            },
        }
    }

    fn shown(self, dtype: DType) -> String {
        match self {
            Self::Whole(value) if !matches!(dtype, DType::Date | DType::Datetime) => value.to_string(),
            Self::Whole(value) => shown(value as f64, dtype),
            Self::Broken(value) => shown(value, dtype),
        }
    }
}

/// Every number that is there.
fn for_numbers(pieces: &[ArrayRef], mut f: impl FnMut(usize, Number)) -> Outcome<()> {
    let mut before = 0;
    for piece in pieces {
        match piece.data_type() {
            DataType::Float32 | DataType::Float64 => {
                let numbers = numbers(piece).ok_or_else(unreadable)?;
                let numbers = numbers.as_primitive::<Float64Type>();
                for row in (0..piece.len()).filter(|row| numbers.is_valid(*row) && !numbers.value(*row).is_nan()) {
                    f(before + row, Number::Broken(numbers.value(row)));
                }
            }
            DataType::UInt64 => {
                let numbers = piece.as_primitive::<UInt64Type>();
                for row in (0..piece.len()).filter(|row| numbers.is_valid(*row)) {
                    f(before + row, Number::Whole(i128::from(numbers.value(row))));
                }
            }
            _ => {
                let numbers = whole(piece).ok_or_else(unreadable)?;
                let numbers = numbers.as_primitive::<Int64Type>();
                for row in (0..piece.len()).filter(|row| numbers.is_valid(*row)) {
                    f(before + row, Number::Whole(i128::from(numbers.value(row))));
                }
            }
        }
        before += piece.len();
    }
    Ok(())
}

/// Whole numbers of up to 64 bits; days of dates, microseconds of times. `None` for types without.
fn whole(array: &ArrayRef) -> Option<ArrayRef> {
    let plain = match array.data_type() {
        DataType::Date32 => cast(array, &DataType::Int32).ok()?,
        DataType::Timestamp(..) => array.clone(),
        other if other.is_integer() => array.clone(),
        _ => return None,
    };
    cast(&plain, &DataType::Int64).ok()
}

fn unreadable() -> Faults {
    Faults::from(
        Fault::error(contract::code!("profile::column_type"), "this cannot be demanded of a column of this type")
            .help("tensors and bytes can only be demanded to be there: `not_null: true`"),
    )
}

fn among(column: &Column, pieces: &[ArrayRef], values: &[Scalar]) -> Outcome<Tally> {
    let mut tally = Tally::default();
    if column.dtype.is_numeric() {
        let known: Vec<Number> = values.iter().filter_map(Number::of).collect();
        for_numbers(pieces, |row, value| {
            let holds = known.iter().any(|known| value.order(*known) == Ordering::Equal);
            tally.row(row, holds, || value.shown(column.dtype));
        })?;
    } else {
        let known: HashSet<String> = values.iter().map(text).collect();
        for_texts(pieces, |row, value| tally.row(row, known.contains(value), || format!("`{value}`")))?;
    }
    Ok(tally)
}

fn within(
    column: &Column,
    pieces: &[ArrayRef],
    min: Option<&Scalar>,
    max: Option<&Scalar>,
    at: &Route,
) -> Outcome<Tally> {
    let mut tally = Tally::default();
    if column.dtype == DType::String {
        let (min, max) = (min.map(text), max.map(text));
        for_texts(pieces, |row, value| {
            let holds = min.as_deref().is_none_or(|min| value >= min) && max.as_deref().is_none_or(|max| value <= max);
            tally.row(row, holds, || format!("`{value}`"));
        })?;
        return Ok(tally);
    }
    let bound = |value: Option<&Scalar>| -> Outcome<Option<Number>> {
        let Some(value) = value else { return Ok(None) };
        if let Some(number) = Number::of(value) {
            return Ok(Some(number));
        }
        let one: ArrayRef = std::sync::Arc::new(StringArray::from(vec![text(value)]));
        let read = convert(&one, column.dtype).ok().filter(|array| array.null_count() == 0);
        let mut found = None;
        if let Some(read) = read {
            for_numbers(&[read], |_, number| found = Some(number))?;
        }
        found.map(Some).ok_or_else(|| {
            Faults::from(
                Fault::error(
                    contract::code!("profile::bounds"),
                    format!("`{}` is no {}", text(value), column.dtype.name()),
                )
                .help(format!("give {}", crate::table::cell::expected(column.dtype)))
                .at(at.clone()),
            )
        })
    };
    let (min, max) = (bound(min)?, bound(max)?);
    for_numbers(pieces, |row, value| {
        let holds = min.is_none_or(|min| value.order(min) != Ordering::Less)
            && max.is_none_or(|max| value.order(max) != Ordering::Greater);
        tally.row(row, holds, || value.shown(column.dtype));
    })?;
    Ok(tally)
}

fn monotone(column: &Column, pieces: &[ArrayRef], direction: Direction) -> Outcome<Tally> {
    use Ordering::{Equal, Greater, Less};
    let allowed: &[Ordering] = match direction {
        Direction::Increasing => &[Less, Equal],
        Direction::StrictlyIncreasing => &[Less],
        Direction::Decreasing => &[Greater, Equal],
        Direction::StrictlyDecreasing => &[Greater],
    };
    let mut tally = Tally::default();
    if column.dtype == DType::String {
        let mut last: Option<String> = None;
        for_texts(pieces, |row, value| {
            let holds = last.as_deref().is_none_or(|last| allowed.contains(&last.cmp(value)));
            tally.row(row, holds, || format!("`{value}` after `{}`", last.as_deref().unwrap_or_default()));
            last = Some(value.to_owned());
        })?;
        return Ok(tally);
    }
    let mut last: Option<Number> = None;
    for_numbers(pieces, |row, value| {
        let holds = last.is_none_or(|last| allowed.contains(&last.order(value)));
        let after = |last: Option<Number>| last.map_or_else(String::new, |last| last.shown(column.dtype));
        tally.row(row, holds, || format!("{} after {}", value.shown(column.dtype), after(last)));
        last = Some(value);
    })?;
    Ok(tally)
}

/// The strict order in which the numbers, dates or times of a column without missing cells follow each other, where there is one.
///
/// # Errors
/// Never for a column of such a type.
pub fn strict(column: &Column, pieces: &[ArrayRef]) -> Outcome<Option<Direction>> {
    let rows: usize = pieces.iter().map(|piece| piece.len()).sum();
    let orders = column.dtype.is_numeric() || matches!(column.dtype, DType::Date | DType::Datetime);
    if !orders || !column.shape.is_empty() || rows < TELLING {
        return Ok(None);
    }
    let (mut last, mut direction): (Option<Number>, Option<Ordering>) = (None, None);
    for piece in pieces {
        let mut broken = missing(piece).count_set_bits() > 0;
        for_numbers(std::slice::from_ref(piece), |_, value| {
            if let Some(last) = last.replace(value) {
                let order = last.order(value);
                broken |= order == Ordering::Equal || *direction.get_or_insert(order) != order;
            }
        })?;
        if broken {
            return Ok(None);
        }
    }
    Ok(direction.map(|order| match order {
        Ordering::Less => Direction::StrictlyIncreasing,
        _ => Direction::StrictlyDecreasing,
    }))
}

/// Rows that have another value in a column than the first row that agrees with them in others.
fn determined(table: &Table, columns: &[usize], to: usize, threads: usize) -> Outcome<Tally> {
    let mut values: Vec<[u64; 2]> = Vec::with_capacity(table.rows());
    digests(table, &[to], threads, |digest, _| {
        values.push(digest);
        Ok(())
    })?;
    let mut all: Vec<usize> = columns.to_vec();
    all.push(to);
    // Rows with a missing cell are passed over.
    let gone: Vec<BooleanBuffer> = table
        .batches
        .iter()
        .filter_map(|batch| all.iter().map(|at| missing(batch.column(*at))).reduce(|one, other| &one | &other))
        .collect();
    let mut known: HashMap<[u64; 2], [u64; 2], Folded> = HashMap::default();
    let mut tally = Tally::default();
    let (mut batch, mut before) = (0, 0);
    digests(table, columns, threads, |key, row| {
        while row >= before + table.batches[batch].num_rows() {
            before += table.batches[batch].num_rows();
            batch += 1;
        }
        if !gone[batch].value(row - before) {
            let first = *known.entry(key).or_insert(values[row]);
            tally.row(row, first == values[row], || cells(&table.batches[batch], &all, row - before));
        }
        Ok(())
    })?;
    Ok(tally)
}

/// Rows whose cells in these columns were there before.
fn unique(table: &Table, columns: &[usize], memory: &Memory, threads: usize) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let mut repeats = repeats(table, columns, memory, threads)?.into_iter().map(|(row, _)| row).peekable();
    let mut before = 0;
    for batch in &table.batches {
        let gone: Vec<_> = columns.iter().map(|index| missing(batch.column(*index))).collect();
        for at in 0..batch.num_rows() {
            let repeated = repeats.next_if_eq(&(before + at)).is_some();
            if !gone.iter().any(|gone| gone.value(at)) {
                tally.row(before + at, !repeated, || cells(batch, columns, at));
            }
        }
        before += batch.num_rows();
    }
    Ok(tally)
}

fn cells(batch: &RecordBatch, columns: &[usize], row: usize) -> String {
    let texts = columns.iter().map(|index| {
        let cell = batch.column(*index).slice(row, 1);
        let text = convert(&cell, DType::String).ok().map(|text| text.as_string::<i32>().value(0).to_owned());
        format!("`{}`", text.unwrap_or_default())
    });
    texts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Float64Array, Int64Array};
    use serde_json::json;

    use super::*;
    use crate::table::dataset::batch;

    fn table() -> Table {
        let mut columns =
            vec![Column::new("n", DType::Int64), Column::new("t", DType::String), Column::new("d", DType::Date)];
        columns.push(Column::new("x", DType::Float64));
        columns.push(Column::new("odd", DType::Bool));
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(2), Some(5)])),
            Arc::new(StringArray::from(vec!["a1", "a2", "b", "a2", "c3"])),
            Arc::new(Date32Array::from(vec![0, 1, 2, 1, 4])),
            Arc::new(Float64Array::from(vec![9.0, 8.0, f64::NAN, 8.0, 5.0])),
            Arc::new(arrow::array::BooleanArray::from(vec![true, false, true, true, false])),
        ];
        let whole = batch(&columns, arrays).unwrap();
        Table { columns, batches: vec![whole.slice(0, 2), whole.slice(2, 3)] }
    }

    fn memory() -> Memory {
        Memory::new(Some(1 << 30), std::env::temp_dir())
    }

    fn examples(expect: serde_json::Value) -> Vec<(u64, String)> {
        let expect: Expectation = serde_json::from_value(expect).unwrap();
        let other = vec![Column::new("key", DType::String)];
        let keys: ArrayRef = Arc::new(StringArray::from(vec!["a1", "a2", "c3"]));
        let related = Table { batches: vec![batch(&other, vec![keys]).unwrap()], columns: other };
        let (checked, unmet) = check(&[expect], &table(), &[("related", &related)], &memory(), 2).unwrap();
        assert_eq!(checked.iter().filter(|one| !one.holds).count(), unmet.len());
        assert!(unmet.iter().all(|fault| fault.code == "gate::not_met"));
        checked.into_iter().filter(|one| !one.holds).flat_map(|one| one.examples).collect()
    }

    #[test]
    fn what_holds_passes_and_what_does_not_names_its_rows() {
        for (expect, broken) in [
            (json!({ "column": "n", "in": [1, 2, 5] }), vec![]),
            (json!({ "column": "n", "in": [1, 2] }), vec![(5, "5")]),
            (json!({ "column": "t", "in": ["a1", "a2", "b"] }), vec![(5, "`c3`")]),
            (json!({ "column": "n", "range": { "min": 2 } }), vec![(1, "1")]),
            (json!({ "column": "d", "range": { "max": "1970-01-04" } }), vec![(5, "1970-01-05")]),
            (json!({ "column": "t", "range": { "min": "a2" } }), vec![(1, "`a1`")]),
            (json!({ "column": "t", "regex": "^[a-z][0-9]$" }), vec![(3, "`b`")]),
            (json!({ "column": "t", "regex": "^[a-z][0-9]$", "mostly": 0.8 }), vec![]),
            (json!({ "column": ["n", "t"], "unique": true }), vec![(4, "`2`, `a2`")]),
            (json!({ "column": ["n", "x"], "not_null": true }), vec![(3, "missing"), (3, "missing")]),
            (json!({ "column": ["n", "x"], "sum": { "equals": 10 } }), vec![]),
            (
                json!({ "column": ["n", "x"], "sum": { "equals": 9, "tolerance": 0.5 } }),
                vec![(1, "10"), (2, "10"), (4, "10"), (5, "10")],
            ),
            (json!({ "column": "t", "determines": "x" }), vec![]),
            (json!({ "column": ["t", "d"], "determines": "n" }), vec![]),
            (json!({ "column": "n", "determines": "t" }), vec![]),
            (json!({ "column": "odd", "determines": "n" }), vec![(4, "`true`, `2`"), (5, "`false`, `5`")]),
            (json!({ "column": "odd", "determines": "n", "mostly": 0.5 }), vec![]),
            (json!({ "column": "x", "monotone": "decreasing" }), vec![]),
            (json!({ "column": "x", "monotone": "strictly_decreasing" }), vec![(4, "8 after 8")]),
            (json!({ "column": "d", "monotone": "increasing" }), vec![(4, "1970-01-02 after 1970-01-03")]),
            (json!({ "column": "t", "foreign_key": "key" }), vec![(3, "`b`")]),
            (json!({ "rows": { "min": 5, "max": 5 } }), vec![]),
        ] {
            let expected: Vec<(u64, String)> = broken.into_iter().map(|(row, value)| (row, value.to_owned())).collect();
            assert_eq!(examples(expect.clone()), expected, "{expect}");
        }
        let (_, unmet) =
            check(&[serde_json::from_value(json!({ "rows": { "min": 6 } })).unwrap()], &table(), &[], &memory(), 1)
                .unwrap();
        assert_eq!(unmet[0].message, "at least 6 rows: there are 5");
        assert_eq!(unmet[0].route, Some(route!["expect", 0, "rows"]));
    }

    #[test]
    fn whole_numbers_are_compared_to_the_last_digit() {
        let columns = vec![
            Column::new("n", DType::Int64),
            Column::new("u", DType::UInt64),
            Column::new("x", DType::Float64),
            Column::new("t", DType::Datetime),
        ];
        // 2^53 + 1 is no double: it is rounded to 2^53.
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![9_007_199_254_740_993])),
            Arc::new(arrow::array::UInt64Array::from(vec![u64::MAX])),
            Arc::new(Float64Array::from(vec![9_007_199_254_740_992.0])),
            Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![9_007_199_254_740_993])),
        ];
        let table = Table { batches: vec![batch(&columns, arrays).unwrap()], columns };
        for (expect, holds) in [
            (json!({ "column": "n", "in": [9_007_199_254_740_992i64, 5] }), false),
            (json!({ "column": "n", "in": [9_007_199_254_740_993i64] }), true),
            (json!({ "column": "n", "range": { "max": 9_007_199_254_740_992i64 } }), false),
            (json!({ "column": "n", "range": { "max": 9_007_199_254_740_993i64 } }), true),
            (json!({ "column": "n", "range": { "min": 9_007_199_254_740_994i64 } }), false),
            (json!({ "column": "n", "range": { "max": 9_007_199_254_740_992.0 } }), false),
            (json!({ "column": "n", "range": { "min": 0.5, "max": 1e300 } }), true),
            (json!({ "column": "u", "range": { "min": 9_223_372_036_854_775_807i64 } }), true),
            (json!({ "column": "u", "range": { "max": 9_223_372_036_854_775_807i64 } }), false),
            (json!({ "column": "x", "in": [9_007_199_254_740_993i64] }), false),
            (json!({ "column": "x", "range": { "min": 9_007_199_254_740_993i64 } }), false),
            (json!({ "column": "x", "range": { "max": 9_007_199_254_740_993i64 } }), true),
            (json!({ "column": "t", "range": { "max": "2255-06-05 23:47:34.740992" } }), false),
            (json!({ "column": "t", "range": { "max": "2255-06-05 23:47:34.740993" } }), true),
        ] {
            let one: Expectation = serde_json::from_value(expect.clone()).unwrap();
            let (checked, _) = check(&[one], &table, &[], &memory(), 1).unwrap();
            assert_eq!(checked[0].holds, holds, "{expect}");
        }
    }

    #[test]
    fn an_expression_that_is_none_is_a_fault() {
        let fault = expression("a(", route!["expect", 0, "regex"]).unwrap_err();
        assert_eq!((fault.code.as_str(), fault.route), ("profile::regex", Some(route!["expect", 0, "regex"])));
    }
}
