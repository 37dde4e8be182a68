//! `sort`: rows in order.

use catalog::steps::sort::Sort;

use super::order::{Key, ordered};
use super::{Transform, Whole, resolve};
use crate::fault::Outcome;
use crate::table::dataset::Table;

impl Transform for Sort {
    fn needs_all_rows(&self) -> bool {
        true
    }

    fn whole(&self, table: Table, input: &mut Whole<'_, '_>) -> Outcome<Table> {
        // Equal rows keep their order; missing cells (NaN is one) come last.
        let by = resolve(&table, &self.by, &input.route.join("by"))?;
        let keys: Vec<Key> =
            by.iter().map(|column| Key { column: *column, descending: self.descending, nan_missing: true }).collect();
        ordered(&table, &keys, input.scene.memory)
    }
}
