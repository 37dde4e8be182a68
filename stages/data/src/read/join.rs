//! Tables beside each other, matched by keys.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::{concat, concat_batches, take};
use arrow::row::{RowConverter, SortField};
use catalog::kinds::collect::params::How;
use contract::fault::{Fault, Faults, Route, suggest};

use crate::fault::{Outcome, kernel};
use crate::table::convert::{convert, wider};
use crate::table::dataset::{Table, batch, schema};

/// Joins `right` to `left` where all columns in `on` are equal; missing keys equal nothing. Rows keep the order of `left`, then
/// that of `right`; with [`How::Full`] the rows of `right` without a partner come last.
///
/// # Errors
/// Keys that are not there or have types that cannot be compared, and other columns with one name.
pub fn join(left: Table, right: Table, on: &[String], how: How, at: &Route) -> Outcome<Table> {
    let mut faults = Vec::new();
    let mut keys = Vec::new();
    for name in on {
        let side = |table: &Table, which: &str| {
            let found = table.columns.iter().position(|column| column.name == *name);
            found.ok_or_else(|| {
                let names = table.columns.iter().map(|column| column.name.as_str());
                let help = suggest(name, names).unwrap_or_else(|| "key columns must be in every source".into());
                Fault::error(
                    contract::code!("data::unknown_column"),
                    format!("the {which} of the joined sources has no column `{name}`"),
                )
                .help(help)
                .at(at.join("on"))
            })
        };
        match (side(&left, "leading one"), side(&right, "following one")) {
            (Ok(l), Ok(r)) => {
                let (a, b) = (&left.columns[l], &right.columns[r]);
                match wider(a.dtype, b.dtype).filter(|_| a.shape.is_empty() && b.shape.is_empty()) {
                    Some(dtype) => keys.push((l, r, dtype)),
                    None => faults.push(
                        Fault::error(
                            contract::code!("data::types_differ"),
                            format!(
                                "the key `{name}` is {} in one source and {} in another",
                                a.type_name(),
                                b.type_name()
                            ),
                        )
                        .help("state one type in both files, or read the key as text")
                        .at(at.join("on")),
                    ),
                }
            }
            (l, r) => faults.extend(l.err().into_iter().chain(r.err())),
        }
    }
    for column in right.columns.iter().filter(|column| !on.contains(&column.name)) {
        if left.columns.iter().any(|other| other.name == column.name) && !column.name.starts_with("source_") {
            faults.push(
                Fault::error(
                    contract::code!("data::duplicate_column"),
                    format!("two of the joined sources have a column `{}`", column.name),
                )
                .help("add it to `on:` if it must be equal, or rename it in one of the files")
                .at(at.clone()),
            );
        }
    }
    if !faults.is_empty() {
        return Err(Faults::from(faults));
    }
    let whole = |table: &Table| {
        concat_batches(&schema(&table.columns), &table.batches).map_err(|error| kernel("joining", &error))
    };
    let (mut left_columns, right_columns) = (left.columns.clone(), right.columns.clone());
    let (left, right) = (whole(&left)?, whole(&right)?);
    let mut left_keys = Vec::new();
    let mut right_keys = Vec::new();
    for (l, r, dtype) in &keys {
        left_columns[*l].dtype = *dtype;
        let too_long = |_| vec![crate::table::convert::too_long(&left_columns[*l].name, *dtype)];
        left_keys.push(convert(left.column(*l), *dtype).map_err(too_long)?);
        right_keys.push(convert(right.column(*r), *dtype).map_err(too_long)?);
    }
    let fields = left_keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(|error| kernel("joining", &error))?;
    let rows = |keys: &[ArrayRef]| converter.convert_columns(keys).map_err(|error| kernel("joining", &error));
    let present = |keys: &[ArrayRef], row: usize| keys.iter().all(|key| key.is_valid(row));
    let (left_rows, right_rows) = (rows(&left_keys)?, rows(&right_keys)?);
    let mut partners: HashMap<&[u8], Vec<u64>> = HashMap::new();
    let right_data: Vec<_> = right_rows.iter().collect();
    for (row, key) in right_data.iter().enumerate().filter(|(row, _)| present(&right_keys, *row)) {
        partners.entry(key.data()).or_default().push(row as u64);
    }
    let mut from_left: Vec<Option<u64>> = Vec::new();
    let mut from_right: Vec<Option<u64>> = Vec::new();
    let mut used = vec![false; right.num_rows()];
    for (row, key) in left_rows.iter().enumerate() {
        let found = if present(&left_keys, row) { partners.get(key.data()) } else { None };
        match found {
            Some(found) => {
                for partner in found {
                    from_left.push(Some(row as u64));
                    from_right.push(Some(*partner));
                    used[*partner as usize] = true;
                }
            }
            None if how == How::Inner => {}
            None => {
                from_left.push(Some(row as u64));
                from_right.push(None);
            }
        }
    }
    let matched = from_left.len();
    if how == How::Full {
        for row in (0..right.num_rows()).filter(|row| !used[*row]) {
            from_left.push(None);
            from_right.push(Some(row as u64));
        }
    }
    let (from_left, from_right) = (UInt64Array::from(from_left), UInt64Array::from(from_right));
    let pick =
        |array: &ArrayRef, rows: &UInt64Array| take(array, rows, None).map_err(|error| kernel("joining", &error));
    let mut columns = left_columns.clone();
    let mut arrays = Vec::new();
    for (index, column) in left_columns.iter().enumerate() {
        let key = keys.iter().position(|(l, ..)| *l == index);
        let array = match key {
            Some(key) => {
                let own = pick(&left_keys[key], &from_left)?.slice(0, matched);
                let other = pick(&right_keys[key], &from_right)?.slice(matched, from_right.len() - matched);
                concat(&[own.as_ref(), other.as_ref()]).map_err(|error| kernel("joining", &error))?
            }
            None => pick(left.column(index), &from_left)?,
        };
        arrays.push(whole_cells(array, column)?);
    }
    for (index, column) in right_columns.iter().enumerate().filter(|(_, column)| !on.contains(&column.name)) {
        let mut column = column.clone();
        let mut number = 2;
        let plain = column.name.clone();
        while columns.iter().any(|other| other.name == column.name) {
            column.name = format!("{plain}_{number}");
            number += 1;
        }
        arrays.push(whole_cells(pick(right.column(index), &from_right)?, &column)?);
        columns.push(column);
    }
    let batches = if from_left.is_empty() { Vec::new() } else { vec![batch(&columns, arrays)?] };
    Ok(Table { columns, batches })
}

/// Tensors have no missing cells.
fn whole_cells(array: ArrayRef, column: &contract::artifact::Column) -> Outcome<ArrayRef> {
    if column.shape.is_empty() || array.null_count() == 0 {
        return Ok(array);
    }
    let text = format!("`{}` is a tensor, and {} rows would be without one", column.name, array.null_count());
    Err(Faults::from(
        Fault::error(contract::code!("data::cell"), text)
            .help("join with `how: inner`, or let the source of tensors lead")
            .at(contract::route!["from", "join", "how"]),
    ))
}
