//! `sample`: some rows, chosen at random.

use arrow::array::UInt64Array;
use arrow::compute::take_record_batch;
use catalog::steps::sample::Sample;

use super::{Transform, Whole};
use crate::chance::Chance;
use crate::fault::{Outcome, kernel};
use crate::table::dataset::Table;
use crate::table::spill::Keeper;

impl Transform for Sample {
    fn needs_all_rows(&self) -> bool {
        true
    }

    /// Rows chosen without replacement, in their order (selection sampling: D. Knuth, The Art of Computer Programming 2, 3.4.2,
    /// algorithm S).
    fn whole(&self, table: Table, input: &mut Whole<'_, '_>) -> Outcome<Table> {
        let (mut left, mut wanted) = (table.rows() as u64, self.of(table.rows() as u64));
        let mut chance = Chance::new(*b"pipeline sample ", self.seed);
        let mut keeper = Keeper::new(table.columns.clone(), input.scene.memory);
        for rows in &table.batches {
            let mut chosen: Vec<u64> = Vec::new();
            for row in 0..rows.num_rows() as u64 {
                if chance.below(left) < wanted {
                    chosen.push(row);
                    wanted -= 1;
                }
                left -= 1;
            }
            let kept = take_record_batch(rows, &UInt64Array::from(chosen));
            keeper.push(kept.map_err(|error| kernel("choosing rows", &error))?)?;
        }
        keeper.finish()
    }
}
