//! Tables of several files as one.

use arrow::array::{Array, new_null_array};
use contract::artifact::DType;
use contract::fault::{Fault, suggest};

use crate::fault::{FaultList, Outcome, place};
use crate::table::convert::{convert, wider};
use crate::table::dataset::{Table, arrow_type, batch};

/// Puts tables below each other. Columns are matched by name, in the order of the first table; types are widened where no value
/// changes. With `lenient`, a column that a file lacks is missing there.
///
/// # Errors
/// Columns that one file has and another has not, and types that do not fit together: each with file and column.
pub fn tables(tables: Vec<(String, Table)>, lenient: bool) -> Outcome<Table> {
    let tables = match <[(String, Table); 1]>::try_from(tables) {
        Ok([(_, table)]) => return Ok(table),
        Err(several) => several,
    };
    let mut faults = FaultList::default();
    let mut columns = Vec::new();
    let mut owner = Vec::new();
    let mut empty = Vec::new();
    let first = tables.first().map(|(shown, _)| shown.clone()).unwrap_or_default();
    for (shown, table) in &tables {
        for (index, column) in table.columns.iter().enumerate() {
            let all_missing = column.dtype == DType::String
                && table.batches.iter().all(|batch| batch.column(index).null_count() == batch.num_rows());
            let Some(known) = columns.iter().position(|known: &contract::artifact::Column| known.name == column.name)
            else {
                if lenient || *shown == first {
                    columns.push(column.clone());
                    owner.push(shown.clone());
                    empty.push(all_missing);
                } else {
                    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                    let help = suggest(&column.name, names)
                        .unwrap_or_else(|| "files that are collected together need the same columns".into());
                    let text = format!("`{shown}` has a column `{}` that `{first}` has not", column.name);
                    faults.add(|| {
                        Fault::error(contract::code!("data::columns_differ"), text).help(help).place(place(
                            shown,
                            None,
                            Some(index as u64 + 1),
                        ))
                    });
                }
                continue;
            };
            let wide = if empty[known] {
                Some(column.dtype)
            } else if all_missing {
                Some(columns[known].dtype)
            } else {
                wider(columns[known].dtype, column.dtype)
            };
            match wide.filter(|_| columns[known].shape == column.shape || empty[known] || all_missing) {
                Some(dtype) => {
                    if empty[known] {
                        columns[known].shape.clone_from(&column.shape);
                    }
                    columns[known].dtype = dtype;
                    empty[known] &= all_missing;
                }
                None => {
                    let text = format!(
                        "column `{}` is {} in `{shown}` and {} in `{}`",
                        column.name,
                        column.type_name(),
                        columns[known].type_name(),
                        owner[known]
                    );
                    faults.add(|| {
                        Fault::error(contract::code!("data::types_differ"), text)
                            .help("write both files alike, or state one type: `columns: { NAME: { dtype: string } }`")
                            .place(place(shown, None, Some(index as u64 + 1)))
                    });
                }
            }
        }
        for column in
            columns.iter().filter(|column| !lenient && table.columns.iter().all(|own| own.name != column.name))
        {
            let text = format!("`{shown}` has no column `{}`, which `{first}` has", column.name);
            faults.add(|| {
                Fault::error(contract::code!("data::columns_differ"), text)
                    .help("files that are collected together need the same columns")
                    .place(place(shown, None, None))
            });
        }
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    let mut batches = Vec::new();
    for (_, table) in tables {
        for rows in &table.batches {
            let mut arrays = Vec::with_capacity(columns.len());
            for column in &columns {
                let own = table
                    .columns
                    .iter()
                    .position(|own| own.name == column.name)
                    .map(|index| rows.column(index).clone());
                let array = match own {
                    Some(array) if array.data_type() == &arrow_type(column) => array,
                    Some(array) if array.null_count() < array.len() => convert(&array, column.dtype)
                        .map_err(|_| vec![crate::table::convert::too_long(&column.name, column.dtype)])?,
                    _ => new_null_array(&arrow_type(column), rows.num_rows()),
                };
                arrays.push(array);
            }
            batches.push(batch(&columns, arrays)?);
        }
    }
    Ok(Table { columns, batches })
}
