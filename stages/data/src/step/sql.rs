//! `sql`: the rows of an SQL query.

use std::collections::BTreeMap;

use catalog::steps::sql::Sql;
use contract::fault::Route;

use super::query::{House, Way};
use super::{Transform, Whole};
use crate::fault::Outcome;
use crate::table::dataset::Table;
use crate::table::spill::Memory;

impl Transform for Sql {
    fn needs_all_rows(&self) -> bool {
        true
    }

    fn whole(&self, table: Table, input: &mut Whole<'_, '_>) -> Outcome<Table> {
        let tables: BTreeMap<String, &Table> = input
            .scene
            .others
            .iter()
            .map(|(port, table)| (port.clone(), table))
            .chain([("data".to_owned(), &table)])
            .collect();
        sql(&self.0, &tables, input.scene.memory, input.route)
    }
}

/// Carries a query out. A join is of hashes, or of sorted sides where one side is too much to be held: then the rows of a query that
/// does not say in which order they are to come, come in the order of the keys.
///
/// # Errors
/// As [`type_of`], and what only values tell.
fn sql(text: &str, tables: &BTreeMap<String, &Table>, memory: &Memory, at: &Route) -> Outcome<Table> {
    let house = House::new(tables, Some(memory), Way::Spill)?;
    let frame = house.plan(text, at)?;
    let joins = house.joins(&frame);
    // The hash join is tried first: it is faster and keeps the order of the rows. A merge holds neither side.
    match house.run(frame, None, memory, at) {
        Err(faults) if joins && faults.iter().any(|fault| fault.code == contract::code!("data::memory")) => drop(house),
        done => return done,
    }
    let house = House::new(tables, Some(memory), Way::Merge)?;
    let frame = house.plan(text, at)?;
    house.run(frame, None, memory, at)
}
