//! `drop_duplicates`: the first of equal rows stays.

use catalog::steps::drop_duplicates::DropDuplicates;

use super::chain::Link;
use super::duplicates::repeats;
use super::{Input, Transform};
use crate::fault::{Outcome, kernel};

impl Transform for DropDuplicates {
    fn begins_chain(&self) -> bool {
        true
    }

    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let columns = input.columns().to_vec();
        let Some(rows) = input.rows else {
            return Err(kernel("dropping duplicates", &"rows of an earlier step are not there yet"));
        };
        let chosen = input.some(&self.0)?;
        let repeats = repeats(rows, &chosen, input.scene.memory, input.scene.threads)?;
        Ok(Link::new(columns, move |rows, before| {
            let from = repeats.partition_point(|(row, _)| *row < before);
            let to = repeats.partition_point(|(row, _)| *row < before + rows.num_rows());
            let gone = repeats[from..to].iter();
            let gone = gone.map(|(row, first)| (row - before, format!("equal to row {}", first + 1)));
            Ok((rows.columns().to_vec(), gone.collect()))
        }))
    }
}
