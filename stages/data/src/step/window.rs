//! `window`: columns computed over the rows around each row.

use catalog::columns::pattern::select;
use catalog::steps::window::{Window, WindowFunction};
use contract::artifact::{Column, DType};
use contract::fault::Route;

use super::order::{numbered, ordered};
use super::query::{House, Narrow, ROW, Way, ascending, long, named, names, not_fitting, present, quoted, sum};
use super::{Transform, Whole};
use crate::fault::Outcome;
use crate::table::dataset::Table;
use crate::table::spill::{Memory, beside};

impl Transform for Window {
    fn needs_all_rows(&self) -> bool {
        true
    }

    fn whole(&self, table: Table, input: &mut Whole<'_, '_>) -> Outcome<Table> {
        let made = input.typed(&table)?;
        window(self, &table, made, input.scene.memory, input.route)
    }
}

/// `window`: the columns so far and the computed ones, rows in their order.
///
/// The columns that matter are sorted by group and order, the functions go through them once, and what they give is sorted back: no
/// group is ever held as a whole.
///
/// # Errors
/// As the catalog's.
fn window(options: &Window, table: &Table, made: Vec<Column>, memory: &Memory, at: &Route) -> Outcome<Table> {
    let known = names(&table.columns);
    let list = |entries: &Option<_>, key: &str| match entries {
        Some(entries) => select(entries, &known, &at.join(key)),
        None => Ok(Vec::new()),
    };
    let (by, order) = (list(&options.by, "by")?, list(&options.order, "order")?);
    let mut narrow = Narrow::default();
    by.iter().chain(&order).for_each(|position| narrow.take(*position));
    let name = |position: &usize| quoted(known[*position]);
    let keys: Vec<String> = order.iter().map(name).chain([quoted(ROW)]).collect();
    let keys = keys.iter().map(|key| format!("{key} ASC NULLS LAST")).collect::<Vec<_>>().join(", ");
    let groups = by.iter().map(name).collect::<Vec<_>>().join(", ");
    let groups = if by.is_empty() { String::new() } else { format!("PARTITION BY {groups} ") };
    let plain = format!("OVER ({groups}ORDER BY {keys})");
    let from = options.rows.map_or_else(|| "UNBOUNDED".to_owned(), |rows| (rows - 1).to_string());
    let framed = format!("OVER ({groups}ORDER BY {keys} ROWS BETWEEN {from} PRECEDING AND CURRENT ROW)");
    let mut selected: Vec<String> = Vec::with_capacity(options.columns.len() + 1);
    for (name, function) in &options.columns {
        let column = function.reads().and_then(|(_, name)| named(&table.columns, name));
        if let Some(column) = column {
            narrow.take(known.iter().position(|name| *name == column.name).unwrap_or_default());
        }
        let cell = column.map(present).unwrap_or_default();
        let wide = if column.is_some_and(|column| column.dtype.is_float()) { "DOUBLE" } else { "BIGINT" };
        let call = match function {
            WindowFunction::Number => format!("CAST(row_number() {plain} AS BIGINT)"),
            WindowFunction::Lag(_) => format!("lag({cell}) {plain}"),
            WindowFunction::Lead(_) => format!("lead({cell}) {plain}"),
            WindowFunction::Difference(_) => format!("CAST({cell} AS {wide}) - CAST(lag({cell}) {plain} AS {wide})"),
            WindowFunction::Count(_) => format!("count({cell}) {framed}"),
            WindowFunction::Sum(_) => column.map(|column| sum(column, &framed)).unwrap_or_default(),
            WindowFunction::Mean(_) => format!("avg(CAST({cell} AS DOUBLE)) {framed}"),
            WindowFunction::Min(_) => format!("min({cell}) {framed}"),
            WindowFunction::Max(_) => format!("max({cell}) {framed}"),
        };
        selected.push(format!("{call} AS {}", quoted(name)));
    }
    selected.push(quoted(ROW));
    let text = format!("SELECT {} FROM data", selected.join(", "));
    let rows = numbered(table, &narrow.0, ROW, memory)?;
    let sorted = ordered(&rows, &ascending(by.iter().chain(&order).map(|at| narrow.place(*at))), memory)?;
    drop(rows);
    let mut way: Vec<String> = Vec::new();
    for position in by.iter().chain(&order) {
        if !way.iter().any(|name| name == known[*position]) {
            way.push(known[*position].to_owned());
        }
    }
    way.push(ROW.to_owned());
    let summed = options.columns.iter().filter(|(_, function)| matches!(function, WindowFunction::Sum(_)));
    let sums: Vec<&str> = summed.clone().map(|(name, _)| name.as_str()).collect();
    let added: Vec<&Column> = summed.filter_map(|(_, function)| named(&table.columns, function.reads()?.1)).collect();
    let mut house = House::new(&[("data".to_owned(), &sorted)].into(), Some(memory), Way::Sorted(&way))?;
    house.long_sums = long(table, &added);
    let frame = house.plan(&text, at)?;
    let mut computed: Vec<Column> = made.get(known.len()..).unwrap_or_default().to_vec();
    computed.push(Column::new(ROW, DType::Int64));
    let found = house.run(frame, Some(computed), memory, at).map_err(|faults| not_fitting(faults, &sums, at))?;
    drop((house, sorted));
    let row = options.columns.len();
    let found = if way.len() > 1 { ordered(&found, &ascending([row]), memory)? } else { found };
    let mut narrow = Narrow::default();
    (0..row).for_each(|at| narrow.take(at));
    beside(table, &narrow.of(&found)?, &made, memory)
}
