//! Where two data sets that should be equal first differ: the column, then the row.

use arrow::array::{Array, ArrayRef};
use contract::artifact::Column;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fault::Outcome;
use crate::table::dataset::{Table, open};
use crate::table::display::cell;

/// Rows compared at a time; only where they differ are they looked at one by one.
const PIECE: usize = 4096;
/// Elements of a tensor and characters of a text that are shown.
const SHOWN: (usize, usize) = (6, 60);

/// Two data sets in the store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// What was recorded.
    pub path: std::path::PathBuf,
    /// What came out this time.
    pub other: std::path::PathBuf,
}

/// `{"difference": "column `x`, row 3: `1.5` was, `2` is now; 12 rows differ, in 2 columns"}`; null when cells, names
/// and types are the same. Rows count from 1. Cells are compared by their bits: a NaN is itself, and -0 is not 0.
///
/// # Errors
/// A file that is no data set.
pub fn difference(ask: &Difference) -> Outcome<Value> {
    let (old, new) = (open(&ask.path)?, open(&ask.other)?);
    Ok(json!({ "difference": of_columns(&old.columns, &new.columns).or_else(|| of_cells(&old, &new)) }))
}

/// A column that only one of them has, or that is of another type.
fn of_columns(old: &[Column], new: &[Column]) -> Option<String> {
    let named = |columns: &[Column], name: &str| columns.iter().any(|column| column.name == name);
    for (before, now) in old.iter().zip(new) {
        if before.name == now.name {
            // Whether cells are missing is seen in the cells.
            if (before.dtype, &before.shape) != (now.dtype, &now.shape) {
                let (was, is) = (before.type_name(), now.type_name());
                return Some(format!("column `{}`: {was} was, {is} is now", now.name));
            }
            if before.role != now.role {
                return Some(format!("column `{}` has another role now", now.name));
            }
        } else if !named(new, &before.name) {
            return Some(format!("column `{}` is not there any more", before.name));
        } else if !named(old, &now.name) {
            return Some(format!("column `{}` was not there before", now.name));
        } else {
            return Some(format!(
                "the columns are in another order: `{}` was where `{}` is now",
                before.name, now.name
            ));
        }
    }
    if let Some(gone) = old.get(new.len()) {
        return Some(format!("column `{}` is not there any more", gone.name));
    }
    new.get(old.len()).map(|more| format!("column `{}` was not there before", more.name))
}

fn of_cells(old: &Table, new: &Table) -> Option<String> {
    let common = old.rows().min(new.rows());
    // For each row of the present piece, whether any column differs.
    let mut first: Option<(usize, usize, String)> = None;
    let mut columns = vec![false; old.columns.len()];
    let (mut rows, mut from) = (0u64, 0);
    let (mut before, mut now) = (Cursor::new(old), Cursor::new(new));
    while from < common {
        let count = before.left().min(now.left()).min(PIECE);
        let mut differs = vec![false; count];
        for (index, touched) in columns.iter_mut().enumerate() {
            let (a, b) = (before.piece(index, count), now.piece(index, count));
            if a.as_ref() == b.as_ref() {
                continue;
            }
            for (row, differs) in differs.iter_mut().enumerate() {
                if a.slice(row, 1).as_ref() == b.slice(row, 1).as_ref() {
                    continue;
                }
                (*differs, *touched) = (true, true);
                if first.as_ref().is_none_or(|(column, ..)| index < *column) {
                    let told = format!("{} was, {} is now", shown(&a, row), shown(&b, row));
                    first = Some((index, from + row, told));
                }
            }
        }
        rows += differs.iter().filter(|differs| **differs).count() as u64;
        from += count;
        before.skip(count);
        now.skip(count);
    }
    let lengths = (old.rows() != new.rows()).then(|| format!("{} rows were, {} are now", old.rows(), new.rows()));
    let Some((index, row, told)) = first else { return lengths };
    let name = &old.columns[index].name;
    let mut text = format!("column `{name}`, row {}: {told}", row + 1);
    let touched = columns.iter().filter(|touched| **touched).count();
    if rows > 1 || touched > 1 {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let (r, c) = (plural(rows), plural(touched as u64));
        let verb = if rows == 1 { "differs" } else { "differ" };
        text.push_str(&format!("; {rows} row{r} {verb}, in {touched} column{c}"));
    }
    if let Some(lengths) = lengths {
        text.push_str("; ");
        text.push_str(&lengths);
    }
    Some(text)
}

fn shown(array: &ArrayRef, row: usize) -> String {
    match cell(array, row, SHOWN.0) {
        None => "a missing cell".to_owned(),
        Some(text) if text.chars().count() > SHOWN.1 => {
            format!("`{}…`", text.chars().take(SHOWN.1).collect::<String>())
        }
        Some(text) => format!("`{text}`"),
    }
}

/// A place in a table whose batches are cut anywhere.
struct Cursor<'a> {
    table: &'a Table,
    batch: usize,
    row: usize,
}

impl<'a> Cursor<'a> {
    fn new(table: &'a Table) -> Self {
        let mut cursor = Self { table, batch: 0, row: 0 };
        cursor.skip(0);
        cursor
    }

    /// Rows left in the present batch.
    fn left(&self) -> usize {
        self.table.batches.get(self.batch).map_or(0, |batch| batch.num_rows() - self.row)
    }

    fn piece(&self, column: usize, count: usize) -> ArrayRef {
        self.table.batches[self.batch].column(column).slice(self.row, count)
    }

    fn skip(&mut self, count: usize) {
        self.row += count;
        while self.table.batches.get(self.batch).is_some_and(|batch| self.row >= batch.num_rows()) {
            (self.batch, self.row) = (self.batch + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray};
    use contract::artifact::DType;

    use super::*;
    use crate::table::dataset::batch;

    /// Two columns, cut into batches of these lengths.
    fn table(numbers: &[f64], names: &[Option<&str>], cuts: &[usize]) -> Table {
        let columns = vec![Column::new("x", DType::Float64), Column::new("name", DType::String)];
        let (mut batches, mut from) = (Vec::new(), 0);
        for cut in cuts {
            let arrays: Vec<ArrayRef> = vec![
                Arc::new(Float64Array::from(numbers[from..from + cut].to_vec())),
                Arc::new(StringArray::from(names[from..from + cut].to_vec())),
            ];
            batches.push(batch(&columns, arrays).unwrap());
            from += cut;
        }
        Table { columns, batches }
    }

    #[test]
    fn the_first_differing_column_is_named_with_its_row() {
        let names = [Some("a"), None, Some("c"), Some("d")];
        let old = table(&[1.0, f64::NAN, 3.0, 4.0], &names, &[4]);
        assert_eq!(of_cells(&old, &table(&[1.0, f64::NAN, 3.0, 4.0], &names, &[1, 0, 2, 1])), None);
        let other = [Some("a"), Some("b"), Some("c"), Some("e")];
        assert_eq!(
            of_cells(&old, &table(&[1.0, f64::NAN, 3.0, 4.0], &other, &[2, 2])).unwrap(),
            "column `name`, row 2: a missing cell was, `b` is now; 2 rows differ, in 1 column"
        );
        // The first column counts, also where another one differs in an earlier row.
        assert_eq!(
            of_cells(&old, &table(&[1.0, f64::NAN, 3.5, 4.0], &other, &[3, 1])).unwrap(),
            "column `x`, row 3: `3.0` was, `3.5` is now; 3 rows differ, in 2 columns"
        );
        assert_eq!(of_cells(&old, &table(&[1.0, f64::NAN], &names[..2], &[2])).unwrap(), "4 rows were, 2 are now");
        assert_eq!(
            of_cells(&old, &table(&[-1.0, f64::NAN], &names[..2], &[2])).unwrap(),
            "column `x`, row 1: `1.0` was, `-1.0` is now; 4 rows were, 2 are now"
        );
        assert!(of_cells(&table(&[0.0], &[None], &[1]), &table(&[-0.0], &[None], &[1])).is_some());
    }

    #[test]
    fn columns_come_before_cells() {
        let column = |name: &str, dtype: DType| Column::new(name, dtype);
        let old = [column("a", DType::Int64), column("b", DType::String)];
        let told = |new: &[Column]| of_columns(&old, new);
        assert_eq!(told(&old), None);
        assert_eq!(told(&old[..1]).unwrap(), "column `b` is not there any more");
        assert_eq!(told(&old[1..]).unwrap(), "column `a` is not there any more");
        let more = [old.to_vec(), vec![column("c", DType::Bool)]].concat();
        assert_eq!(told(&more).unwrap(), "column `c` was not there before");
        assert_eq!(
            told(&[column("z", DType::Bool), old[0].clone(), old[1].clone()]).unwrap(),
            "column `z` was not there before"
        );
        assert_eq!(
            told(&[old[1].clone(), old[0].clone()]).unwrap(),
            "the columns are in another order: `a` was where `b` is now"
        );
        let other = [column("a", DType::Float64), column("b", DType::String)];
        assert_eq!(told(&other).unwrap(), "column `a`: int64 was, float64 is now");
        let nullable = Column { nullable: true, ..old[0].clone() };
        assert_eq!(told(&[nullable, old[1].clone()]), None, "seen in the cells");
    }

    #[test]
    fn long_tables_are_compared_in_pieces() {
        let columns = vec![Column::new("n", DType::Int64)];
        let of = |skip: usize, cut: usize| {
            let numbers: Vec<i64> = (0..20_000).map(|row| if row == skip { -1 } else { row as i64 }).collect();
            let batches = numbers
                .chunks(cut)
                .map(|piece| batch(&columns, vec![Arc::new(Int64Array::from(piece.to_vec()))]).unwrap());
            Table { columns: columns.clone(), batches: batches.collect() }
        };
        for (row, cut) in [(0, 7), (4095, 4096), (4096, 5000), (19_999, 20_000)] {
            let told = of_cells(&of(usize::MAX, 3000), &of(row, cut)).unwrap();
            assert_eq!(told, format!("column `n`, row {}: `{row}` was, `-1` is now", row + 1));
        }
    }
}
