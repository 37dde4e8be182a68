//! `drop_near_duplicates`: rows that are nearly like an earlier one go.

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use catalog::steps::drop_near_duplicates::NearDuplicates;
use contract::fault::Faults;

use super::{Transform, Whole, near, resolve};
use crate::fault::{Outcome, kernel};
use crate::table::dataset::Table;
use crate::table::spill::Keeper;
use crate::threads;

impl Transform for NearDuplicates {
    fn needs_all_rows(&self) -> bool {
        true
    }

    fn whole(&self, table: Table, input: &mut Whole<'_, '_>) -> Outcome<Table> {
        let chosen = match &self.columns {
            Some(patterns) => resolve(&table, patterns, &input.route.join("columns"))?,
            None => (0..table.columns.len()).filter(|index| table.columns[*index].shape.is_empty()).collect(),
        };
        let mut index = near::Index::new(input.scene.memory);
        let mut keeper = Keeper::new(table.columns.clone(), input.scene.memory);
        let mut before = 0;
        for rows in &table.batches {
            let signed = threads::map(rows.num_rows(), input.scene.threads, |row| {
                let shingles = near::shingles(rows, &chosen, row)?;
                let signature = near::signature(&shingles);
                Ok::<_, Faults>((shingles, signature))
            });
            let mut mask = vec![true; rows.num_rows()];
            for (row, signed) in signed.into_iter().enumerate() {
                let (shingles, signature) = signed?;
                match index.similar(&shingles, &signature, self.similarity)? {
                    Some((first, similarity)) => {
                        let reason = format!("like row {} (similarity {similarity:.2})", first + 1);
                        input.rejected.add(rows, &table.columns, row, before, &reason)?;
                        mask[row] = false;
                    }
                    None => index.add(before + row, &shingles, &signature)?,
                }
            }
            let kept = filter_record_batch(rows, &BooleanArray::from(mask));
            keeper.push(kept.map_err(|error| kernel("dropping rows", &error))?)?;
            before += rows.num_rows();
        }
        keeper.finish()
    }
}
