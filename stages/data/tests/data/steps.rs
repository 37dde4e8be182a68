//! `preprocess`, step by step.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array,
    StringArray,
};
use catalog::kinds::preprocess::params::Preprocess;
use contract::artifact::{Column, DType, Role};
use contract::fault::Faults;
use contract::worker::Channel;
use serde_json::{Value, json};
use stages_data::kinds::preprocess::{Made, Scene, preprocess};
use stages_data::table::dataset::{Table, batch};
use stages_data::table::spill::Memory;

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

fn run(steps: Value) -> Result<Table, Faults> {
    let params: Preprocess = serde_json::from_value(json!({ "steps": steps })).unwrap();
    run_params(&params).map(|made| made.table)
}

/// All of what the steps make of the penguins.
pub fn run_params(params: &Preprocess) -> Result<Made, Faults> {
    over(params, penguins(), BTreeMap::new(), None)
}

/// The steps over any tables, under a bound of memory.
pub fn over(
    params: &Preprocess,
    table: Table,
    others: BTreeMap<String, Table>,
    memory: Option<u64>,
) -> Result<Made, Faults> {
    let scratch = tempfile::tempdir().unwrap();
    let memory = Memory::new(memory, scratch.path().to_owned());
    let scene = Scene { others, memory: &memory, threads: 2, channel: &Channel::silent() };
    preprocess(params, table, &scene)
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
        .flat_map(|piece| {
            (0..piece.len()).map(|row| stages_data::table::display::shown(piece, row)).collect::<Vec<_>>()
        })
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

fn params(steps: Value) -> Preprocess {
    serde_json::from_value(json!({ "steps": steps })).unwrap()
}

fn texts(name: &str, cells: &[Option<&str>]) -> Table {
    let columns = vec![Column::new(name, DType::String)];
    let batch = batch(&columns, vec![Arc::new(StringArray::from(cells.to_vec()))]).unwrap();
    Table { columns, batches: vec![batch] }
}

#[test]
fn every_dropped_row_is_kept_with_the_reason() {
    let steps = json!([{ "drop_duplicates": {} }, { "drop_missing": { "columns": "bill" } }, { "filter": "mass > 1" }]);
    let made = run_params(&params(steps)).unwrap();
    assert_eq!(cells(&made.table, "p10"), ["1"]);
    assert_eq!(cells(&made.rejected, "name"), ["drop_duplicates", "drop_missing", "drop_missing"]);
    assert_eq!(cells(&made.rejected, "row"), ["3", "2", "3"]);
    assert_eq!(cells(&made.rejected, "reason"), ["equal to row 1", "`bill` is missing", "`bill` is missing"]);
    let first: Value = serde_json::from_str(made.rejected.batches[0].column(4).as_string::<i32>().value(0)).unwrap();
    assert_eq!(first, json!({ "bill": 39.0, "mass": 3750, "sex": "male", "p10": 1, "p9": true }));
    let rows: Vec<(u64, u64)> = made.steps.iter().map(|step| (step.rows_in, step.rows_out)).collect();
    assert_eq!(rows, [(4, 3), (3, 1), (1, 1)]);
}

#[test]
fn near_duplicates_are_found_and_said() {
    let text = "the quick brown fox jumps over the lazy dog near the river bank every single morning of the year";
    let near = text.replace("river", "RIVER ").replace("quick", "quiet");
    let table =
        texts("text", &[Some(text), Some("something else altogether that has nothing in common"), Some(&near), None]);
    let made = over(
        &params(json!([{ "drop_near_duplicates": { "columns": "text", "similarity": 0.7 } }])),
        table,
        BTreeMap::new(),
        None,
    );
    let made = made.unwrap();
    assert_eq!(made.table.rows(), 3);
    let reasons = cells(&made.rejected, "reason");
    assert!(reasons.len() == 1 && reasons[0].starts_with("like row 1 (similarity 0."), "{reasons:?}");
}

#[test]
fn dates_in_five_formats() {
    let table = texts(
        "day",
        &[
            Some("2013-01-31"),
            Some("31.1.2013"),
            Some("01/31/13"),
            Some("Jan 31, 2013"),
            Some("nonsense"),
            Some(""),
            None,
        ],
    );
    let formats = json!(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%y", "%b %d, %Y"]);
    let run = |on_error: &str| {
        let steps = json!([{ "parse_dates": { "columns": "day", "formats": formats, "on_error": on_error } }]);
        over(&params(steps), table.clone(), BTreeMap::new(), None)
    };
    assert_eq!(
        cells(&run("fill").unwrap().table, "day")[..5],
        ["2013-01-31", "2013-01-31", "2013-01-31", "2013-01-31", "missing"]
    );
    let rejected = run("reject").unwrap();
    assert_eq!((rejected.table.rows(), rejected.rejected.rows()), (6, 1));
    assert_eq!(cells(&rejected.rejected, "reason"), ["`nonsense` in column `day` fits no forma…"]);
    let faults = run("fail").unwrap_err();
    assert_eq!((faults[0].code.as_str(), faults[0].message.contains("row 5")), ("data::cell", true));
}

#[test]
fn columns_out_of_columns() {
    let made = done(json!([
        { "derive": { "double": "p10 * 2", "who": "coalesce(sex, '?')" } },
        { "join_columns": { "columns": ["p10", "who"], "into": "both", "between": "-", "keep": true } },
        { "split_column": { "column": "both", "by": "-", "into": ["left", "right"] } },
        { "one_hot": { "column": "who", "categories": ["male", "?"], "on_error": "fill", "keep": true } },
        { "bin": { "column": "p10", "edges": [2], "labels": ["few", "many"], "into": "size" } },
        { "clip": { "columns": "double", "min": 3, "max": 5 } },
        { "replace": { "columns": "who", "values": { "male": "m", "": null } } },
    ]));
    assert_eq!(cells(&made, "double"), ["3", "4", "3", "5"]);
    assert_eq!(cells(&made, "left"), ["1", "2", "1", "4"]);
    assert_eq!(cells(&made, "who_male"), ["1", "0", "1", "0"]);
    assert_eq!(cells(&made, "size"), ["few", "many", "few", "many"]);
    assert_eq!(cells(&made, "who"), ["m", "?", "m", "missing"]);
    let text = done(
        json!([{ "clean_text": { "columns": "sex", "case": "upper" } }, { "sort": { "by": "p10", "descending": true } }]),
    );
    assert_eq!(cells(&text, "sex"), ["", "missing", "MALE", "MALE"]);
}

#[test]
fn groups_windows_and_queries() {
    let grouped = done(json!([{ "group_by": { "by": "p9", "aggregates": {
        "n": "count", "mean": { "mean": "mass" }, "bills": { "distinct": "bill" }, "total": { "sum": "p10" } } } }]));
    assert_eq!(cells(&grouped, "p9"), ["false", "true"]);
    assert_eq!(cells(&grouped, "n"), ["1", "3"]);
    assert_eq!(cells(&grouped, "mean"), ["3800.0", "3750.0"]);
    assert_eq!(cells(&grouped, "bills"), ["0", "1"], "missing and NaN are no values");
    assert_eq!(cells(&grouped, "total"), ["2", "6"]);
    let window = done(json!([{ "window": { "by": "p9", "rows": 2, "columns": {
        "at": "number", "before": { "lag": "p10" }, "two": { "sum": "p10" }, "step": { "difference": "p10" } } } }]));
    assert_eq!(cells(&window, "at"), ["1", "1", "2", "3"]);
    assert_eq!(cells(&window, "before"), ["missing", "missing", "1", "1"]);
    assert_eq!(cells(&window, "two"), ["1", "2", "2", "5"]);
    assert_eq!(cells(&window, "step"), ["missing", "missing", "0", "3"]);
    let shares = done(
        json!([{ "group_by": { "by": "sex", "aggregates": { "share": { "mean": "p9" }, "true": { "sum": "p9" } } } }]),
    );
    assert_eq!(cells(&shares, "share"), ["1.0", "1.0", "0.0"], "blank, male, missing");
    assert_eq!(cells(&shares, "true"), ["1", "2", "0"]);
    let running = done(json!([{ "window": { "columns": { "true": { "sum": "p9" }, "share": { "mean": "p9" } } } }]));
    assert_eq!(cells(&running, "true"), ["1", "1", "2", "3"]);
    assert_eq!(cells(&running, "share"), ["1.0", "0.5", "0.6666666666666666", "0.75"]);
    let query = done(json!([{ "sql": "SELECT sex, count(*) AS n FROM data GROUP BY sex ORDER BY n DESC, sex" }]));
    assert_eq!(cells(&query, "n"), ["2", "1", "1"]);
    for (text, code) in [
        ("SELECT mas FROM data", "data::unknown_column"),
        ("SELECT * FROM dat", "data::unknown_table"),
        ("SELECT random() AS x FROM data", "data::not_row_wise"),
        ("DROP TABLE data", "data::expression"),
        ("SELECT lenght(sex) AS x FROM data", "data::unknown_function"),
    ] {
        assert!(faults(json!([{ "sql": text }]))[0].contains(code), "{text}: {:?}", faults(json!([{ "sql": text }])));
    }
}

#[test]
fn unions_keep_the_order_of_their_branches() {
    let sql = |text: &str| done(json!([{ "sql": text }]));
    let all = sql("select sex from data union all select cast(p10 as varchar) as sex from data");
    assert_eq!(cells(&all, "sex"), ["male", "missing", "male", "", "1", "2", "1", "4"]);
    let some = sql("select p10 from data union all select mass from data limit 6");
    assert_eq!(cells(&some, "p10"), ["1", "2", "1", "4", "3750", "3800"]);
    let sorted = sql("select p10 from data union all select mass from data order by p10 desc nulls last limit 3");
    assert_eq!(cells(&sorted, "p10"), ["3800", "3750", "3750"]);
    let numbers: Vec<String> = (0..20_000).map(|row| (row * 7919 % 20_011).to_string()).collect();
    let columns = vec![Column::new("n", DType::Int64)];
    let array: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers.iter().map(|n| n.parse::<i64>().unwrap())));
    let table = Table { batches: vec![batch(&columns, vec![array]).unwrap()], columns };
    let text = "select n from data union select n + 1 from data union select n + 2 from data";
    let steps = params(json!([{ "sql": text }]));
    let once = || cells(&over(&steps, table.clone(), BTreeMap::new(), None).unwrap().table, "n");
    let first = once();
    assert_eq!(first[..20_000], numbers, "the first branch comes first");
    for _ in 0..3 {
        assert_eq!(once(), first);
    }
}

#[test]
fn whole_numbers_do_not_wrap() {
    let columns = vec![Column::new("y", DType::Int32), Column::new("a", DType::Int8), Column::new("b", DType::Int64)];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![2009, 2])),
        Arc::new(Int8Array::from(vec![100, -128])),
        Arc::new(Int64Array::from(vec![1, i64::MAX])),
    ];
    let table = Table { batches: vec![batch(&columns, arrays).unwrap()], columns };
    let made = |step: Value| over(&params(json!([step])), table.clone(), BTreeMap::new(), None);
    for (text, expected) in [
        ("y * y * y", ["8108486729", "8"]),
        ("a + a", ["200", "-256"]),
        ("-a", ["-100", "128"]),
        ("a - y", ["-1909", "-130"]),
        ("a / cast(-1 as tinyint)", ["-100", "128"]),
        ("CASE WHEN y > 2008 THEN b + 1 ELSE 0 END", ["2", "0"]),
        ("TRY_CAST(y AS BIGINT) + 1", ["2010", "3"]),
    ] {
        let steps = [json!({ "derive": { "c": text } }), json!({ "sql": format!("select *, {text} as c from data") })];
        for step in steps {
            let made = made(step).unwrap_or_else(|faults| panic!("{text}: {faults:?}")).table;
            assert_eq!(cells(&made, "c"), expected, "{text}");
            assert_eq!(made.columns.last().unwrap().dtype, DType::Int64, "{text}");
        }
    }
    for text in ["b + 1", "b * 2", "-b - 2", "b - a", "b + b"] {
        for step in [json!({ "derive": { "c": text } }), json!({ "filter": format!("{text} > 0") })] {
            let faults = made(step).map(|_| ()).unwrap_err();
            assert!(faults[0].message.contains("no value for row 2 (there ") && faults[0].help.is_some(), "{faults:?}");
        }
        let faults = made(json!({ "sql": format!("select {text} as c from data") })).map(|_| ()).unwrap_err();
        assert!(faults[0].code == "data::expression_value" && faults[0].message.contains("verflow"), "{faults:?}");
    }
    let summed = made(json!({ "sql": "select y * y as k, sum(a * y) as s from data group by y * y order by y * y" }));
    assert_eq!(cells(&summed.unwrap().table, "s"), ["-256", "200900"]);
    // Sums, too.
    let group = |of: &str| json!({ "group_by": { "by": "one", "aggregates": { "s": { "sum": of } } } });
    let window = |of: &str| json!({ "window": { "columns": { "s": { "sum": of } } } });
    let one = json!({ "derive": { "one": "1" } });
    let steps = |step: Value| over(&params(json!([one, step])), table.clone(), BTreeMap::new(), None);
    assert_eq!(cells(&steps(group("y")).unwrap().table, "s"), ["2011"]);
    for step in [group("b"), window("b")] {
        let faults = steps(step).map(|_| ()).unwrap_err();
        assert!(faults[0].code == "data::expression_value" && faults[0].help.is_some(), "{faults:?}");
        assert!(faults[0].message.contains("`s`"), "{faults:?}");
    }
    let half = json!({ "derive": { "b": "b - 1" } });
    let last = |step: Value| over(&params(json!([one, half, step])), table.clone(), BTreeMap::new(), None).unwrap();
    assert_eq!(cells(&last(group("b")).table, "s"), ["9223372036854775806"]);
    assert_eq!(cells(&last(window("b")).table, "s"), ["0", "9223372036854775806"]);
}

#[test]
fn what_a_query_cannot_do_is_refused_with_a_way_out() {
    for (text, code, help) in [
        ("select * from data tablesample (10)", "data::expression", "`sample`"),
        ("select * from data tablesample bernoulli (10 percent) where p10 > 1", "data::expression", "`sample`"),
        ("explain select * from data", "data::expression", "SELECT"),
        ("insert into data select * from data", "data::expression", "SELECT"),
        ("delete from data", "data::expression", "SELECT"),
        ("create table x as select * from data", "data::expression", "SELECT"),
        ("select * from read_csv('x.csv')", "data::unknown_table", "`collect`"),
        ("select * from 'x.csv'", "data::unknown_table", "known here"),
    ] {
        let faults = run(json!([{ "sql": text }])).map(|_| ()).unwrap_err();
        assert_eq!(faults[0].code, code, "{text}: {faults:?}");
        assert!(faults[0].help.as_deref().unwrap_or_default().contains(help), "{text}: {faults:?}");
    }
    let named = done(json!([{ "sql": "select p10 as \"tablesample\", 'tablesample' as x from data" }]));
    assert_eq!(named.rows(), 4);
}

#[test]
fn dates_are_truncated() {
    let columns = vec![Column::new("d", DType::Date), Column::new("t", DType::Datetime)];
    let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(16_000), None, Some(-1)]));
    let times = stages_data::table::convert::convert(&days, DType::Datetime).unwrap();
    let table = Table { batches: vec![batch(&columns, vec![days, times]).unwrap()], columns };
    for step in [
        json!({ "derive": { "m": "date_trunc('month', d)", "n": "date_trunc('year', t)" } }),
        json!({ "sql": "select date_trunc('month', d) as m, date_trunc('year', t) as n from data" }),
    ] {
        let made = over(&params(json!([step])), table.clone(), BTreeMap::new(), None);
        let made = made.unwrap_or_else(|faults| panic!("{faults:?}")).table;
        assert_eq!(cells(&made, "m"), ["2013-10-01T00:00:00", "missing", "1969-12-01T00:00:00"]);
        assert_eq!(cells(&made, "n"), ["2013-01-01T00:00:00", "missing", "1969-01-01T00:00:00"]);
    }
}

#[test]
fn a_join_keeps_the_order_of_the_left() {
    let columns = vec![Column::new("p10", DType::Int64), Column::new("seats", DType::Int64)];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(4), Some(1), Some(1), None])),
        Arc::new(Int64Array::from(vec![40, 10, 11, 0])),
    ];
    let planes = Table { batches: vec![batch(&columns, arrays).unwrap()], columns };
    let run = |how: &str| {
        let steps = json!([{ "join": { "with": "planes", "on": "p10", "how": how } }]);
        over(&params(steps), penguins(), [("planes".to_owned(), planes.clone())].into(), None).unwrap()
    };
    let left = run("left");
    assert_eq!(cells(&left.table, "seats"), ["10", "11", "missing", "10", "11", "40"]);
    let [warning] = left.warnings.as_slice() else { panic!("{:?}", left.warnings) };
    assert_eq!(
        (warning.code.as_str(), warning.route.clone().unwrap().to_string().as_str()),
        ("data::join_multiplies", "steps[0].join")
    );
    assert!(
        warning.message.contains("2 rows have several partners") && warning.message.contains("4 rows became 6"),
        "{warning:?}"
    );
    let inner = run("inner");
    assert_eq!(cells(&inner.table, "seats"), ["10", "11", "10", "11", "40"]);
    assert_eq!(cells(&inner.rejected, "reason"), ["no row of `planes` has its key"]);
}

#[test]
fn a_table_larger_than_its_memory_gives_the_same_rows() {
    let columns = vec![Column::new("key", DType::Int64), Column::new("text", DType::String)];
    let count = 200_000i64;
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values((0..count).map(|row| row * 7919 % count))),
        Arc::new(StringArray::from_iter_values(
            (0..count).map(|row| format!("row number {row} of many with some text")),
        )),
    ];
    let table = Table { batches: vec![batch(&columns, arrays).unwrap()], columns };
    let steps = json!([{ "derive": { "x": "key * 2" } }, { "filter": "key > 10" }, { "sort": { "by": "key" } }]);
    let run = |memory| over(&params(steps.clone()), table.clone(), BTreeMap::new(), memory).unwrap();
    let (small, large) = (run(Some(8 << 20)), run(Some(1 << 30)));
    assert_eq!(small.table.rows() as i64, count - 11);
    assert_eq!(cells(&small.table, "key"), cells(&large.table, "key"));
    assert_eq!(cells(&small.table, "text"), cells(&large.table, "text"));
}

#[test]
fn a_cast_leaves_rows_out_or_cells_missing() {
    let columns = vec![Column::new("id", DType::Int64), Column::new("n", DType::String)];
    let arrays: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![1, 2, 3])), Arc::new(StringArray::from(vec!["1", "two", "3"]))];
    let table = Table { batches: vec![batch(&columns, arrays).unwrap()], columns };
    let cast = |cast: Value| {
        let params: Preprocess = serde_json::from_value(json!({ "steps": [{ "cast": { "n": cast } }] })).unwrap();
        over(&params, table.clone(), BTreeMap::new(), None)
    };
    let faults = cast(json!("int64")).map(|_| ()).unwrap_err();
    assert!(faults[0].message.starts_with("`two` in row 2 of column `n`"), "{faults:?}");
    let made = cast(json!({ "to": "int64", "on_error": "reject" })).unwrap();
    assert_eq!((made.table.rows(), made.rejected.rows()), (2, 1));
    let made = cast(json!({ "to": "int64", "on_error": "fill" })).unwrap();
    assert_eq!(made.table.batches[0].column(1).as_ref(), &Int64Array::from(vec![Some(1), None, Some(3)]));
}

#[test]
fn cells_that_become_missing_are_counted_and_said() {
    let columns = vec![Column::new("x", DType::Int64), Column::new("day", DType::String)];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(1), Some(300), None, Some(-300)])),
        Arc::new(StringArray::from(vec![Some("2013-01-01"), Some("soon"), None, Some("2013-01-02")])),
    ];
    let table = Table { batches: vec![batch(&columns, arrays).unwrap()], columns };
    let made = |step: Value| {
        let params: Preprocess = serde_json::from_value(json!({ "steps": [step] })).unwrap();
        let made = over(&params, table.clone(), BTreeMap::new(), None).unwrap();
        let [warning] = made.warnings.as_slice() else { panic!("{:?}", made.warnings) };
        assert!(warning.code == "data::filled" && warning.help.is_some(), "{warning:?}");
        (made.steps[0].changed, format!("{}: {}", warning.route.as_ref().unwrap(), warning.message))
    };
    let (changed, told) = made(json!({ "cast": { "x": { "to": "int8", "on_error": "fill" } } }));
    assert_eq!(changed, Some(3), "two that are gone, and one of another type");
    assert_eq!(
        told,
        "steps[0].cast: 2 cells of 2 rows could not be read and became missing; the first: row 2: `300` in column `x` is not int8"
    );
    let dates = json!({ "columns": "day", "formats": ["%Y-%m-%d"], "on_error": "fill" });
    let (changed, told) = made(json!({ "parse_dates": dates }));
    assert_eq!(changed, Some(3));
    assert!(told.ends_with("1 cell of 1 row could not be read and became missing; the first: row 2: `soon` in column `day` fits no format"), "{told}");
}

#[test]
fn an_expression_without_a_value_names_the_row_and_its_cells() {
    let columns = vec![Column::new("id", DType::Int64), Column::new("other", DType::Int64)];
    let count = 70_000;
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values((0..count).map(|row| if row == 66_001 { 1 } else { row + 2 }))),
        Arc::new(Int64Array::from_iter_values(0..count)),
    ];
    let table = Table { batches: vec![batch(&columns, arrays).unwrap()], columns };
    for step in [json!({ "derive": { "y": "id / (id - 1)" } }), json!({ "filter": "id / (id - 1) > 0" })] {
        let params: Preprocess = serde_json::from_value(json!({ "steps": [step] })).unwrap();
        let faults = over(&params, table.clone(), BTreeMap::new(), None).map(|_| ()).unwrap_err();
        assert!(faults[0].message.contains("no value for row 66002 (there `id` is 1)"), "{}", faults[0].message);
    }
}
