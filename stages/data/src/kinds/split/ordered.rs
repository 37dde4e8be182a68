//! Parts that follow each other in time. Rows of one time are never divided.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use catalog::kinds::split::params::Split;
use catalog::kinds::split::sizes;
use catalog::params::scalar::Scalar;
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults};
use contract::route;

use super::rows::{Row, position};
use crate::fault::{FaultList, Outcome, kernel};
use crate::table::convert::convert;
use crate::table::dataset::Table;

/// The times of all rows as numbers that have their order.
fn times(params: &Split, table: &Table) -> Outcome<(Vec<f64>, Column)> {
    let name = params.time.as_deref().unwrap_or_default();
    let index = position(table, name, &route!["time"])?;
    let mut faults = FaultList::default();
    let mut all = Vec::with_capacity(table.rows());
    for piece in table.pieces(index) {
        for time in numbers(&piece)? {
            if time.is_none() {
                let row = all.len() + 1;
                faults.add(|| {
                    Fault::error(contract::code!("split::no_time"), format!("row {row} has no time in column `{name}`"))
                        .help("`drop_missing` such rows before")
                        .at(route!["time"])
                });
            }
            all.push(time.unwrap_or_default());
        }
    }
    faults.or((all, table.columns[index].clone()))
}

/// Numbers, days or microseconds; `None` for missing and NaN. (Microseconds of this era are exact in 53 bits.)
fn numbers(array: &ArrayRef) -> Outcome<Vec<Option<f64>>> {
    let fail = |error: arrow::error::ArrowError| kernel("reading times", &error);
    Ok(match array.data_type() {
        DataType::Date32 => {
            let days = cast(&cast(array, &DataType::Int32).map_err(fail)?, &DataType::Int64).map_err(fail)?;
            days.as_primitive::<Int64Type>().iter().map(|day| day.map(|day| day as f64)).collect()
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            let micros = cast(array, &DataType::Int64).map_err(fail)?;
            micros.as_primitive::<Int64Type>().iter().map(|micros| micros.map(|micros| micros as f64)).collect()
        }
        _ => {
            let floats = cast(array, &DataType::Float64).map_err(fail)?;
            floats.as_primitive::<Float64Type>().iter().map(|value| value.filter(|value| !value.is_nan())).collect()
        }
    })
}

/// Parts by shares of the rows, in the order of time; the border moves on to the next time where it would divide one.
pub fn by_shares(params: &Split, shares: &[f64], table: &Table) -> Outcome<Vec<u32>> {
    let (times, _) = times(params, table)?;
    let mut order: Vec<Row> = (0..times.len() as Row).collect();
    let time = |row: Row| times[row as usize];
    order.sort_unstable_by(|a, b| time(*a).total_cmp(&time(*b)).then(a.cmp(b)));
    let mut assigned = vec![0; times.len()];
    let (mut part, mut left) = (0, sizes(times.len() as u64, shares));
    for (at, row) in order.iter().enumerate() {
        let same = at > 0 && time(order[at - 1]) == time(*row);
        while !same && left[part] == 0 && part + 1 < left.len() {
            part += 1;
        }
        assigned[*row as usize] = part as u32;
        if left[part] > 0 {
            left[part] -= 1;
        } else if let Some(next) = left.get_mut(part + 1) {
            // What this part takes beyond its share is the next one's loss.
            *next = next.saturating_sub(1);
        }
    }
    Ok(assigned)
}

/// Parts that begin at stated times; earlier rows are `train`.
pub fn at_cuts(params: &Split, names: &[String], table: &Table) -> Outcome<Vec<u32>> {
    let (times, column) = times(params, table)?;
    let mut cuts = Vec::new();
    for (part, cut) in &params.cuts {
        let fault = || {
            vec![
                Fault::error(
                    contract::code!("split::cut_type"),
                    format!("the cut does not fit `{}`, which is {}", column.name, column.type_name()),
                )
                .help("write a date as `2013-11-01`, a datetime as `2013-11-01 12:00:00`, or a number")
                .at(route!["cuts", part.as_str()]),
            ]
        };
        let at = match cut {
            Scalar::Int(value) => *value as f64,
            Scalar::Float(value) => *value,
            Scalar::Bool(_) => return Err(Faults::from(fault())),
            Scalar::Text(text) => {
                let text: ArrayRef = std::sync::Arc::new(StringArray::from(vec![text.as_str()]));
                let dtype =
                    if matches!(column.dtype, DType::Date | DType::Datetime) { column.dtype } else { DType::Float64 };
                let cell = convert(&text, dtype).map_err(|_| fault())?;
                numbers(&cell)?.first().copied().flatten().ok_or_else(fault)?
            }
        };
        cuts.push((at, names.iter().position(|name| name == part).unwrap_or_default()));
    }
    cuts.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(times
        .into_iter()
        .map(|time| cuts.iter().rev().find(|(at, _)| time >= *at).map_or(0, |(_, part)| *part as u32))
        .collect())
}
