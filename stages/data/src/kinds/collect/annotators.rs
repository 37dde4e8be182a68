//! Labels from several annotators: a wide table, as crowd-sourcing sites and surveys export it, into a long one.
//!
//! The long form has a row for each answer: `item`, `label` and `annotator` (the name of the column it came from). It keeps the order of
//! the rows, then that of the columns. An empty cell is no answer. That is what agreement and label models start from.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::DataType;
use catalog::kinds::collect::params::Annotators;
use contract::artifact::{Column, DType, Role};
use contract::fault::{Fault, Faults};
use contract::route;

use crate::fault::{FaultList, Outcome, kernel};
use crate::table::dataset::{Table, batch};
use crate::table::display;

/// The data without the annotators' columns, and the labels.
///
/// # Errors
/// Columns that are not there, labels that are fractions or tensors, items that are missing or there twice, and no label at all.
pub fn apart(table: Table, annotators: &Annotators) -> Outcome<(Table, Table)> {
    let taken = annotators.positions(&table.columns)?;
    let items = items(&table, annotators)?;
    let dtype = label_type(&table, &taken)?;
    let labels = labels(&table, &taken, &items, dtype)?;
    if labels.rows() == 0 {
        return Err(Faults::from(
            Fault::error(contract::code!("data::no_labels"), "no annotator said anything: all their cells are empty")
                .help("are these the right columns, and does `missing:` name a label?")
                .at(route!["annotators", "columns"]),
        ));
    }
    let kept: Vec<usize> = (0..table.columns.len()).filter(|index| !taken.contains(index)).collect();
    let mut columns: Vec<Column> = kept.iter().map(|index| table.columns[*index].clone()).collect();
    if let Some(column) = columns.iter_mut().find(|column| Some(&column.name) == annotators.item.as_ref()) {
        column.role = Role::Id;
    }
    let batches =
        table.batches.iter().map(|rows| rows.project(&kept).map_err(|error| kernel("taking columns apart", &error)));
    let batches: Vec<RecordBatch> = batches.collect::<Outcome<_>>()?;
    Ok((Table { columns, batches }, labels))
}

/// What identifies each row.
fn items(table: &Table, annotators: &Annotators) -> Outcome<(DType, ArrayRef)> {
    let at = annotators.item.as_ref().and_then(|item| table.columns.iter().position(|column| column.name == *item));
    let Some(at) = at else {
        let rows = table.rows() as i64;
        return Ok((DType::Int64, Arc::new(Int64Array::from_iter_values(1..=rows))));
    };
    let column = &table.columns[at];
    let pieces = table.pieces(at);
    let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
    let whole = concat(&pieces).map_err(|error| kernel("reading items", &error))?;
    let mut faults = FaultList::default();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for row in 0..whole.len() {
        let (code, text) = if whole.is_null(row) {
            (
                contract::code!("data::cell"),
                format!("row {} has no `{}`, by which its labels would be known", row + 1, column.name),
            )
        } else {
            let value = display::shown(&whole, row);
            match seen.insert(value.clone(), row) {
                None => continue,
                Some(first) => (
                    contract::code!("data::duplicate_item"),
                    format!("`{value}` is the `{}` of rows {} and {}", column.name, first + 1, row + 1),
                ),
            }
        };
        faults.add(|| {
            Fault::error(code, text)
                .help("correct the rows, or leave `item` out: then rows are known by their number")
                .at(route!["annotators", "item"])
        });
    }
    faults.or((column.dtype, whole))
}

/// The one type of all labels: that of the columns, or text where they differ.
fn label_type(table: &Table, taken: &[usize]) -> Outcome<DType> {
    let mut faults = FaultList::default();
    let mut found: Option<DType> = None;
    let mut missing = Vec::new();
    for index in taken {
        let column = &table.columns[*index];
        if table.pieces(*index).iter().all(|piece| piece.null_count() == piece.len()) {
            // It says nothing, not even of which type it is.
            missing.push(*index);
            continue;
        }
        if let Some(text) = no_label(table, *index) {
            faults.add(|| {
                Fault::error(contract::code!("data::not_a_label"), text)
                    .help("labels are words, whole numbers or yes and no; round scores first, or bin them: `columns: { NAME: { dtype: string } }` takes them as words")
                    .at(route!["annotators", "columns"])
            });
        }
        let dtype = if column.dtype.is_float() { DType::Int64 } else { column.dtype };
        found = Some(match found {
            None => dtype,
            Some(known) if known == dtype => known,
            Some(known) if known.is_integer() && dtype.is_integer() => DType::Int64,
            Some(_) => DType::String,
        });
    }
    faults.or(found.unwrap_or(DType::String))
}

/// Why a column holds no labels.
fn no_label(table: &Table, index: usize) -> Option<String> {
    let column = &table.columns[index];
    if !column.shape.is_empty() || column.dtype == DType::Binary {
        return Some(format!("column `{}` is {}, which is no label", column.name, column.type_name()));
    }
    if !column.dtype.is_float() {
        return None;
    }
    let mut before = 0;
    for piece in table.pieces(index) {
        let floats = cast(&piece, &DataType::Float64).ok()?;
        let floats = floats.as_any().downcast_ref::<arrow::array::Float64Array>()?;
        let fraction = |value: f64| value.fract() != 0.0 || !value.is_finite();
        if let Some(row) = floats.iter().position(|value| value.is_some_and(fraction)) {
            let value = floats.value(row);
            return Some(format!(
                "`{value}` in row {} of column `{}` is a fraction, not a label",
                before + row + 1,
                column.name
            ));
        }
        before += piece.len();
    }
    None
}

fn labels(table: &Table, taken: &[usize], items: &(DType, ArrayRef), dtype: DType) -> Outcome<Table> {
    let broken = |error: arrow::error::ArrowError| kernel("gathering labels", &error);
    let wanted = crate::table::dataset::arrow_type(&Column::new("label", dtype));
    let mut item = Column::new("item", items.0);
    item.role = Role::Id;
    let columns = vec![item, Column::new("label", dtype), Column::new("annotator", DType::String)];
    let mut batches = Vec::new();
    let mut before = 0_u64;
    for rows in &table.batches {
        let answers: Vec<ArrayRef> =
            taken.iter().map(|index| cast(rows.column(*index), &wanted).map_err(broken)).collect::<Outcome<_>>()?;
        // All answers one column below the other; then in the order of rows.
        let beside: Vec<&dyn Array> = answers.iter().map(AsRef::as_ref).collect();
        let below = concat(&beside).map_err(broken)?;
        let count = rows.num_rows();
        let (mut which, mut whose, mut who) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..count {
            for (annotator, answer) in answers.iter().enumerate() {
                if answer.is_valid(row) {
                    which.push((annotator * count + row) as u64);
                    whose.push(before + row as u64);
                    who.push(table.columns[taken[annotator]].name.as_str());
                }
            }
        }
        before += count as u64;
        if which.is_empty() {
            continue;
        }
        let label = take(&below, &UInt64Array::from(which), None).map_err(broken)?;
        let item = take(&items.1, &UInt64Array::from(whose), None).map_err(broken)?;
        batches.push(batch(&columns, vec![item, label, Arc::new(StringArray::from(who))])?);
    }
    Ok(Table { columns, batches })
}
