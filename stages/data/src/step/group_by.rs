//! `group_by`: one row for each group.

use catalog::columns::pattern::select;
use catalog::steps::group_by::{Aggregate, GroupBy};
use contract::artifact::Column;
use contract::fault::Route;

use super::order::ordered;
use super::query::{House, Narrow, Way, ascending, long, named, names, not_fitting, present, quoted, sum};
use super::{Transform, Whole};
use crate::fault::Outcome;
use crate::table::dataset::Table;
use crate::table::spill::Memory;

impl Transform for GroupBy {
    fn needs_all_rows(&self) -> bool {
        true
    }

    fn whole(&self, table: Table, input: &mut Whole<'_, '_>) -> Outcome<Table> {
        let made = input.typed(&table)?;
        group_by(self, &table, made, input.scene.memory, input.route)
    }
}

/// `group_by`: the keys and the aggregates, sorted by the keys (missing ones last). `made` are the columns as the catalog types them.
///
/// Groups are kept in a table of hashes; where they are too many for that, the rows are sorted first, and a group is kept at a time.
///
/// # Errors
/// As the catalog's, and groups that do not fit one by one.
fn group_by(options: &GroupBy, table: &Table, made: Vec<Column>, memory: &Memory, at: &Route) -> Outcome<Table> {
    let positions = select(&options.by, &names(&table.columns), &at.join("by"))?;
    let mut narrow = Narrow::default();
    positions.iter().for_each(|position| narrow.take(*position));
    let keys: Vec<String> = positions.iter().map(|index| quoted(&table.columns[*index].name)).collect();
    let mut selected = keys.clone();
    for (name, aggregate) in &options.aggregates {
        let column = aggregate.reads().and_then(|(_, name)| named(&table.columns, name));
        if let Some(column) = column {
            narrow.take(table.columns.iter().position(|known| known.name == column.name).unwrap_or_default());
        }
        let cell = column.map(present).unwrap_or_default();
        let call = match aggregate {
            Aggregate::Count => "count(*)".to_owned(),
            Aggregate::Distinct(_) => format!("count(DISTINCT {cell})"),
            Aggregate::Sum(_) => column.map(|column| sum(column, "")).unwrap_or_default(),
            Aggregate::Mean(_) => format!("avg(CAST({cell} AS DOUBLE))"),
            Aggregate::Median(_) => format!("median(CAST({cell} AS DOUBLE))"),
            Aggregate::Std(_) => format!("stddev_samp(CAST({cell} AS DOUBLE))"),
            Aggregate::Min(_) => format!("min({cell})"),
            Aggregate::Max(_) => format!("max({cell})"),
            Aggregate::First(_) => format!("first_value({cell})"),
            Aggregate::Last(_) => format!("last_value({cell})"),
        };
        selected.push(format!("{call} AS {}", quoted(name)));
    }
    let text = format!("SELECT {} FROM data GROUP BY {}", selected.join(", "), keys.join(", "));
    let narrow = narrow.of(table)?;
    let summed = options.aggregates.iter().filter(|(_, aggregate)| matches!(aggregate, Aggregate::Sum(_)));
    let sums: Vec<&str> = summed.clone().map(|(name, _)| name.as_str()).collect();
    let added: Vec<&Column> = summed.filter_map(|(_, aggregate)| named(&table.columns, aggregate.reads()?.1)).collect();
    let long_sums = long(table, &added);
    let order = ascending(0..keys.len());
    let mut house = House::new(&[("data".to_owned(), &narrow)].into(), Some(memory), Way::Try)?;
    house.long_sums = long_sums;
    // First without sorting: most tables have few groups. Only memory is a reason to try again; any other fault would come again.
    match house.plan(&text, at).and_then(|frame| house.run(frame, Some(made.clone()), memory, at)) {
        Ok(groups) => return ordered(&groups, &order, memory),
        Err(faults) if faults.iter().all(|fault| fault.code != contract::code!("data::memory")) => {
            return Err(not_fitting(faults, &sums, at));
        }
        Err(_) => drop(house),
    }
    let sorted = ordered(&narrow, &order, memory)?;
    let by: Vec<String> = positions.iter().map(|index| table.columns[*index].name.clone()).collect();
    let mut house = House::new(&[("data".to_owned(), &sorted)].into(), Some(memory), Way::Sorted(&by))?;
    house.long_sums = long_sums;
    let frame = house.plan(&text, at)?;
    house.run(frame, Some(made), memory, at).map_err(|faults| not_fitting(faults, &sums, at))
}
