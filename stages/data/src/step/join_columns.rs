//! `join_columns`: the cells of several columns as one text.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use catalog::steps::join_columns::JoinColumns;

use super::chain::Link;
use super::{Input, Transform};
use crate::fault::{Outcome, kernel};

impl Transform for JoinColumns {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let chosen = input.chosen(&self.columns)?;
        Ok(Link::new(after, move |rows, _| {
            let sources: Vec<ArrayRef> = chosen.iter().map(|index| rows.column(*index).clone()).collect();
            let joined = joined(&sources, &self.between, rows.num_rows())?;
            let kept = |index: &usize| self.keep || !chosen.contains(index);
            let mut arrays: Vec<ArrayRef> =
                (0..rows.num_columns()).filter(kept).map(|index| rows.column(index).clone()).collect();
            arrays.push(joined);
            Ok((arrays, Vec::new()))
        }))
    }
}

/// The cells of several columns one behind the other; missing when all of them are.
fn joined(arrays: &[ArrayRef], between: &str, rows: usize) -> Outcome<ArrayRef> {
    let options = FormatOptions::default();
    let formatters = arrays
        .iter()
        .map(|array| ArrayFormatter::try_new(array, &options))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| kernel("writing cells as text", &error))?;
    let cells = (0..rows).map(|row| {
        let there: Vec<String> = arrays
            .iter()
            .zip(&formatters)
            .filter(|(array, _)| array.is_valid(row))
            .map(|(_, formatter)| formatter.value(row).to_string())
            .collect();
        (!there.is_empty()).then(|| there.join(between))
    });
    Ok(Arc::new(cells.collect::<StringArray>()))
}
