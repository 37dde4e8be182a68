//! `drop_missing`: rows with a missing cell go.

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use catalog::steps::drop_missing::DropMissing;

use super::chain::{Link, filter};
use super::{Input, Transform};
use crate::fault::Outcome;
use crate::table::missing::missing;

impl Transform for DropMissing {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let columns = input.columns().to_vec();
        let chosen = input.some(&self.0)?;
        let (named, looked_at) = (columns.clone(), chosen.clone());
        Ok(filter(
            columns,
            move |rows, _| {
                let gone: Vec<_> = chosen.iter().map(|index| missing(rows.column(*index))).collect();
                let kept = BooleanBuffer::collect_bool(rows.num_rows(), |row| !gone.iter().any(|gone| gone.value(row)));
                Ok(BooleanArray::new(kept, None))
            },
            move |rows, row| {
                let first = looked_at.iter().find(|index| missing(&rows.column(**index).slice(row, 1)).value(0));
                first.map_or_else(String::new, |index| format!("`{}` is missing", named[*index].name))
            },
        ))
    }
}
