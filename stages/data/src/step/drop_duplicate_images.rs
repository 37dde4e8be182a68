//! `drop_duplicate_images`: images that look like an earlier one go.

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use catalog::steps::drop_duplicate_images::DuplicateImages;

use super::{Transform, Whole, at, picture};
use crate::fault::{Outcome, kernel};
use crate::table::dataset::Table;
use crate::table::spill::Keeper;
use crate::threads;

impl Transform for DuplicateImages {
    fn needs_all_rows(&self) -> bool {
        true
    }

    fn whole(&self, table: Table, input: &mut Whole<'_, '_>) -> Outcome<Table> {
        let index = at(&table.columns, &self.column, &input.route.join("column"))?;
        let shape = picture::shape(&table.columns[index].shape);
        let mut kept: Vec<(usize, u64)> = Vec::new();
        let mut keeper = Keeper::new(table.columns.clone(), input.scene.memory);
        let mut before = 0;
        input.typed(&table)?;
        for rows in &table.batches {
            let list = rows.column(index).as_fixed_size_list();
            let hashes = threads::map(rows.num_rows(), input.scene.threads, |row| {
                let pixels = list.value(row);
                picture::dhash(pixels.as_primitive::<arrow::datatypes::UInt8Type>().values(), shape)
            });
            let mut mask = vec![true; rows.num_rows()];
            for (row, hash) in hashes.into_iter().enumerate() {
                let like = kept.iter().find(|(_, other)| (other ^ hash).count_ones() <= self.distance);
                match like {
                    Some((first, other)) => {
                        let bits = (other ^ hash).count_ones();
                        let reason = format!("looks like row {} ({bits} of 64 bits differ)", first + 1);
                        input.rejected.add(rows, &table.columns, row, before, &reason)?;
                        mask[row] = false;
                    }
                    None => kept.push((before + row, hash)),
                }
            }
            let rows_kept = filter_record_batch(rows, &BooleanArray::from(mask));
            keeper.push(rows_kept.map_err(|error| kernel("dropping rows", &error))?)?;
            before += rows.num_rows();
        }
        keeper.finish()
    }
}
