//! The rows and columns that a split speaks of.

use catalog::columns::pattern::unknown;
use contract::fault::Faults;

use crate::fault::Outcome;
use crate::table::dataset::Table;

/// The number of a row. A table of more rows (4 billion) is refused: what is known of every row is held in memory.
pub type Row = u32;

/// Where a column stands.
pub(super) fn position(table: &Table, name: &str, at: &contract::fault::Route) -> Outcome<usize> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    names.iter().position(|known| *known == name).ok_or_else(|| Faults::from(unknown(name, &names).at(at.clone())))
}
