//! `preprocess`, step by step.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, StringArray};
use catalog::params::preprocess::Preprocess;
use engine::artifact::{Column, DType, Role};
use engine::error::Fault;
use engine::worker::Channel;
use serde_json::{Value, json};
use stages_data::dataset::{Table, batch};
use stages_data::preprocess::preprocess;

/// Four rows in two batches, as a long table would be.
pub fn penguins() -> Table {
    let mut sex = Column::new("sex", DType::String);
    sex.role = Role::Target;
    let columns = vec![
        Column::new("bill", DType::Float64),
        Column::new("mass", DType::Int64),
        sex,
        Column::new("p10", DType::Int64),
        Column::new("p9", DType::Bool),
    ];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![Some(39.0), None, Some(39.0), Some(f64::NAN)])),
        Arc::new(Int64Array::from(vec![Some(3750), Some(3800), Some(3750), None])),
        Arc::new(StringArray::from(vec![Some("male"), None, Some("male"), Some("")])),
        Arc::new(Int64Array::from(vec![1, 2, 1, 4])),
        Arc::new(BooleanArray::from(vec![true, false, true, true])),
    ];
    let whole = batch(&columns, arrays).unwrap();
    Table { columns, batches: vec![whole.slice(0, 1), whole.slice(1, 3)] }
}

fn run(steps: Value) -> Result<Table, Vec<Fault>> {
    let params: Preprocess = serde_json::from_value(json!({ "steps": steps })).unwrap();
    preprocess(&params, penguins(), &Channel::silent())
}

fn done(steps: Value) -> Table {
    run(steps).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn faults(steps: Value) -> Vec<String> {
    let faults = run(steps).map(|table| table.columns).unwrap_err();
    faults
        .iter()
        .map(|fault| {
            assert!(fault.help.is_some(), "{fault:?}");
            format!("{}: {}: {}", fault.route.as_ref().unwrap(), fault.code, fault.message)
        })
        .collect()
}

fn names(table: &Table) -> Vec<&str> {
    table.columns.iter().map(|column| column.name.as_str()).collect()
}

/// One column's cells as text.
fn cells(table: &Table, name: &str) -> Vec<String> {
    let index = table.columns.iter().position(|column| column.name == name).unwrap();
    table
        .pieces(index)
        .iter()
        .flat_map(|piece| (0..piece.len()).map(|row| stages_data::convert::shown(piece, row)).collect::<Vec<_>>())
        .collect()
}

#[test]
fn duplicates_keep_their_first() {
    assert_eq!(cells(&done(json!([{ "drop_duplicates": {} }])), "p10"), ["1", "2", "4"]);
    let some = done(json!([{ "drop_duplicates": { "columns": "p9" } }]));
    assert_eq!(cells(&some, "p10"), ["1", "2"]);
}

#[test]
fn missing_cells_are_dropped_or_filled_and_nan_is_one() {
    assert_eq!(cells(&done(json!([{ "drop_missing": {} }])), "p10"), ["1", "1"]);
    assert_eq!(cells(&done(json!([{ "drop_missing": { "columns": "sex" } }])), "p10"), ["1", "1", "4"]);
    let filled = done(json!([{ "fill_missing": { "with": 0 } }]));
    assert_eq!(cells(&filled, "bill"), ["39.0", "0.0", "39.0", "0.0"]);
    assert_eq!(cells(&filled, "mass"), ["3750", "3800", "3750", "0"]);
    assert_eq!(cells(&filled, "sex")[1], "missing");
    let filled = done(json!([{ "fill_missing": { "columns": ["s*"], "with": "unknown" } }]));
    assert_eq!(cells(&filled, "sex"), ["male", "unknown", "male", ""]);
    assert_eq!(
        faults(json!([{ "fill_missing": { "columns": "mass", "with": 0.5 } }])),
        ["steps[0].fill_missing.with: data::fill_type: the value does not fit column `mass`, which is int64"]
    );
}

#[test]
fn columns_are_renamed_selected_dropped() {
    let swapped = done(json!([{ "rename": { "bill": "mass", "mass": "bill" } }]));
    assert_eq!(names(&swapped), ["mass", "bill", "sex", "p10", "p9"]);
    assert_eq!(cells(&swapped, "bill")[0], "3750");
    let selected = done(json!([{ "select": ["sex", "p*", "sex"] }]));
    assert_eq!(names(&selected), ["sex", "p10", "p9"]);
    assert_eq!(selected.columns[0].role, Role::Target, "roles stay");
    assert_eq!(names(&done(json!([{ "drop": ["p*", "bill"] }]))), ["mass", "sex"]);
    assert_eq!(
        faults(json!([{ "rename": { "bil": "x", "mass": "sex" } }])),
        [
            "steps[0].rename.bil: data::unknown_column: there is no column `bil`",
            "steps[0].rename: data::duplicate_column: two columns would be called `sex`",
        ]
    );
    assert_eq!(faults(json!([{ "drop": "*" }])), ["steps[0].drop: data::no_columns: no column is left"]);
    assert_eq!(
        faults(json!([{ "select": ["sax", "q*"] }])),
        [
            "steps[0].select[0]: data::unknown_column: there is no column `sax`",
            "steps[0].select[1]: data::no_match: no column matches `q*`",
        ]
    );
}

#[test]
fn casts_name_the_cells_they_refuse() {
    let table = done(json!([{ "cast": { "p*": "float32", "p9": "int8", "mass": "string" } }]));
    assert_eq!(cells(&table, "p10"), ["1.0", "2.0", "1.0", "4.0"]);
    assert_eq!(cells(&table, "p9"), ["1", "0", "1", "1"]);
    assert_eq!(cells(&table, "mass"), ["3750", "3800", "3750", "missing"]);
    assert_eq!(
        faults(json!([{ "cast": { "sex": "int64", "p10": "bool" } }])),
        [
            "steps[0].cast.sex: data::cell: `male` in row 1 of column `sex` is not int64: expected a whole number of 64 bits",
            "steps[0].cast.p10: data::cell: `2` in row 2 of column `p10` is not bool: expected `true` or `false` (also 1, 0, yes, no)",
            "steps[0].cast.p10: data::cell: `4` in row 4 of column `p10` is not bool: expected `true` or `false` (also 1, 0, yes, no)",
            "steps[0].cast.sex: data::cell: `male` in row 3 of column `sex` is not int64: expected a whole number of 64 bits",
        ]
    );
    assert_eq!(
        faults(json!([{ "cast": { "bill": "date" } }])),
        ["steps[0].cast.bill: data::cannot_cast: column `bill` is float64, which cannot become date",]
    );
}

#[test]
fn filters_keep_rows_that_are_certain() {
    assert_eq!(cells(&done(json!([{ "filter": "mass >= 3750 AND p10 < 2" }])), "p10"), ["1", "1"]);
    assert_eq!(cells(&done(json!([{ "filter": "sex IS NULL OR sex = ''" }])), "p10"), ["2", "4"]);
    assert_eq!(
        faults(json!([{ "drop_duplicates": {} }, { "filter": "mas > 1" }])),
        ["steps[1].filter: data::unknown_column: there is no column `mas`, at character 1"]
    );
    let found = faults(json!([{ "filter": "1 / (p10 - 2) > 0" }]));
    assert!(found[0].starts_with("steps[0].filter: data::expression_value: "), "{found:?}");
}

#[test]
fn packing_is_row_after_row_in_natural_order() {
    let table = done(json!([{ "pack": { "columns": "p*", "into": "x", "shape": [2, 1], "divide_by": 2.0 } }]));
    assert_eq!(names(&table), ["bill", "mass", "sex", "x"]);
    assert_eq!(table.columns[3].type_name(), "float32[2, 1]");
    let values = table.batches[1].column(3).as_fixed_size_list().value(0);
    assert_eq!(values.as_ref(), &Float32Array::from(vec![0.0, 1.0]), "p9 before p10");
    let again = done(json!([
        { "pack": { "columns": ["p10", "p9"], "into": "p9" } },
        { "pack": { "columns": "p9", "into": "p9", "divide_by": 4.0 } },
    ]));
    assert_eq!(names(&again), ["bill", "mass", "sex", "p9"]);
    let values = again.batches[1].column(3).as_fixed_size_list().value(2);
    assert_eq!(values.as_ref(), &Float32Array::from(vec![1.0, 0.25]));
    assert_eq!(
        faults(json!([{ "pack": { "columns": ["mass", "bill"], "into": "x" } }])),
        [
            "steps[0].pack.columns: data::pack_missing: row 4 of column `mass` is missing",
            "steps[0].pack.columns: data::pack_missing: row 2 of column `bill` is missing",
            "steps[0].pack.columns: data::pack_missing: row 4 of column `bill` is missing",
        ]
    );
    assert_eq!(
        faults(json!([{ "pack": { "columns": ["sex", "p9"], "into": "mass", "shape": [3] } }])),
        [
            "steps[0].pack.columns: data::pack_type: column `sex` is string, not a number",
            "steps[0].pack.shape: data::pack_shape: 2 values do not fill the shape [3], which holds 3",
            "steps[0].pack.into: data::duplicate_column: there is a column `mass` already",
        ]
    );
}

#[test]
fn a_step_that_leaves_no_row_is_named() {
    assert_eq!(
        faults(json!([{ "drop_duplicates": {} }, { "filter": "p10 > 100" }, { "drop_missing": {} }])),
        ["steps[1].filter: data::empty: no row is left after step 2 (`filter`), 3 came in"]
    );
}
