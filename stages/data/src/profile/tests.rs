//! The whole profile: planted facts are found, nothing depends on threads, bad tables are described.

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, StringArray};
use catalog::kinds::profile::params::Expectation;
use catalog::steps::Step;
use contract::artifact::Column;
use serde_json::json;

use super::document::{Level, Measure};
use super::*;
use crate::table::dataset::batch;

fn table(columns: Vec<(Column, ArrayRef)>, cut: usize) -> Table {
    let (columns, arrays): (Vec<Column>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let whole = batch(&columns, arrays).unwrap();
    let cut = cut.min(whole.num_rows());
    Table { columns, batches: vec![whole.slice(0, cut), whole.slice(cut, whole.num_rows() - cut)] }
}

fn memory(limit: u64) -> Memory {
    Memory::new(Some(limit), std::env::temp_dir())
}

fn chance(row: u64) -> f64 {
    (hash::word(row) >> 11) as f64 / (1u64 << 53) as f64
}

fn planted(rows: u64) -> Table {
    let numbers = |f: &dyn Fn(u64) -> Option<f64>| -> ArrayRef { Arc::new((0..rows).map(f).collect::<Float64Array>()) };
    let texts = |f: &dyn Fn(u64) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..rows).map(f))) };
    table(
        vec![
            (Column::new("id", DType::Int64), Arc::new(Int64Array::from_iter_values(0..rows as i64))),
            (Column::new("x", DType::Float64), numbers(&|row| Some(chance(row)))),
            (Column::new("double x", DType::Float64), numbers(&|row| Some(2.0 * chance(row)))),
            (Column::new("gaps", DType::Float64), numbers(&|row| (row % 4 > 0).then(|| chance(row + rows)))),
            (Column::new("city", DType::String), texts(&|row| format!("c{}", hash::word(row) % 6))),
            (Column::new("country", DType::String), texts(&|row| format!("k{}", hash::word(row) % 6 / 2))),
            (Column::new("same", DType::String), texts(&|_| "it's".into())),
            (Column::new("plate", DType::String), texts(&|row| format!("AB-{:05}", hash::word(row) % 90_000))),
            (Column::new("label", DType::String), texts(&|row| if chance(row) < 0.5 { "a" } else { "b" }.into())),
        ],
        300,
    )
}

fn profiled(params: serde_json::Value, table: &Table, beside: &Beside<'_>, threads: usize) -> Document {
    let params: Profile = serde_json::from_value(params).unwrap();
    profile(&params, table, beside, &memory(1 << 30), threads, &Channel::to(std::io::sink())).unwrap().0
}

fn variable<'a>(document: &'a Document, name: &str) -> &'a Variable {
    document.variables.iter().find(|variable| variable.name == name).unwrap()
}

#[test]
fn planted_facts_are_found() {
    let document = profiled(json!({ "target": "label" }), &planted(2000), &Beside::default(), 2);
    for (name, sort) in [
        ("id", Sort::Identifier),
        ("x", Sort::Number),
        ("city", Sort::Category),
        ("same", Sort::Constant),
        ("label", Sort::Category),
    ] {
        assert_eq!(variable(&document, name).sort, sort, "{name}");
    }
    assert_eq!((document.rows, document.duplicate_rows, variable(&document, "gaps").missing), (2000, 0, 500));
    assert_eq!(document.missing_together, [(vec!["gaps".to_owned()], 500)]);
    assert!(document.keys.contains(&vec!["id".to_owned()]), "{:?}", document.keys);
    let follows = Dependency { from: vec!["city".into()], to: "country".into(), error: 0.0 };
    assert!(document.dependencies.contains(&follows), "{:?}", document.dependencies);
    let at = |name: &str| document.associations.columns.iter().position(|column| column == name).unwrap();
    let pair = document.associations.pairs.iter().find(|pair| pair.between == (at("x"), at("double x"))).unwrap();
    assert_eq!(pair.measure, Measure::Spearman);
    assert!((pair.value.unwrap() - 1.0).abs() < 1e-12 && pair.information > 2.0);
    let alert = |code: &str| document.alerts.iter().filter(|alert| alert.code == code).collect::<Vec<_>>();
    assert_eq!(alert("constant")[0].fix.as_ref().unwrap().yaml, "- drop: same");
    // Both tell the label and are dropped for that.
    assert_eq!(alert("redundant")[0].fix, None);
    let plain = profiled(json!({}), &planted(2000), &Beside::default(), 2);
    let redundant = plain.alerts.iter().find(|alert| alert.code == "redundant").unwrap();
    assert_eq!(redundant.fix.as_ref().unwrap().yaml, "- drop: 'double x'");
    assert_eq!(alert("leakage").len(), 2, "{:?}", document.leakage);
    assert_eq!(document.alerts[0].level, Level::Serious);
    let plate = document.proposals.iter().find(|one| one.yaml.contains("plate, regex")).unwrap();
    assert_eq!(plate.yaml, r"- { column: plate, regex: '^[A-Z]{2}\-[0-9]{5}$' }");
}

#[test]
fn threads_change_nothing_and_the_profile_can_be_read_again() {
    let table = planted(3000);
    let one = profiled(json!({ "target": "label" }), &table, &Beside::default(), 1);
    let many = profiled(json!({ "target": "label" }), &table, &Beside::default(), 7);
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(text, serde_json::to_string(&many).unwrap());
    let again: Document = serde_json::from_str(&text).unwrap();
    assert_eq!(again, one);
    assert_eq!(report::page("facts", &one), report::page("facts", &many));
}

/// The text between `{` and `}` of a fix or proposal, through a reader of the little YAML they are made of.
fn steps_of(document: &Document) -> Vec<String> {
    let fixes = document.alerts.iter().filter_map(|alert| alert.fix.as_ref());
    fixes.filter(|fix| fix.place.starts_with("`steps`")).map(|fix| fix.yaml.clone()).collect()
}

#[test]
fn a_fix_mends_what_it_is_for() {
    let document = profiled(json!({ "target": "label" }), &planted(2000), &Beside::default(), 2);
    let drops: Vec<String> = steps_of(&document)
        .iter()
        .filter_map(|yaml| Some(yaml.strip_prefix("- drop: ")?.trim_matches('\'').to_owned()))
        .collect();
    assert!(drops.len() >= 3, "{drops:?}");
    let step: Step = serde_json::from_value(json!({ "drop": drops })).unwrap();
    let params = serde_json::from_value(json!({ "steps": [step] })).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let memory = crate::table::spill::Memory::new(None, scratch.path().to_owned());
    let scene = crate::kinds::preprocess::Scene {
        others: Default::default(),
        memory: &memory,
        threads: 2,
        channel: &Channel::silent(),
    };
    let mended = crate::kinds::preprocess::preprocess(&params, planted(2000), &scene).unwrap();
    let after = profiled(json!({ "target": "label" }), &mended.table, &Beside::default(), 2);
    for code in ["constant", "redundant", "leakage", "identifier"] {
        assert!(after.alerts.iter().all(|alert| alert.code != code), "{code}: {:?}", after.alerts);
    }
}

#[test]
fn drift_is_seen_and_its_absence_too() {
    let columns = |shift: f64, kinds: u64, salt: u64| {
        let x: ArrayRef = Arc::new((0..4000).map(|row| Some(chance(row + salt) + shift)).collect::<Float64Array>());
        let kind = (0..4000u64).map(|row| format!("k{}", hash::word(row + salt) % kinds));
        let kind: ArrayRef = Arc::new(StringArray::from_iter_values(kind));
        table(vec![(Column::new("x", DType::Float64), x), (Column::new("kind", DType::String), kind)], 1000)
    };
    let reference = describe(None, &columns(0.0, 4, 0), &memory(1 << 30), 2).unwrap();
    let beside = Beside { related: Vec::new(), reference: Some(&reference) };
    let same = profiled(json!({}), &columns(0.0, 4, 9_999), &beside, 2);
    assert!(same.drift.iter().all(|one| one.psi < 0.02 && one.p.unwrap() > 0.001), "{:?}", same.drift);
    let other = profiled(json!({}), &columns(0.3, 5, 9_999), &beside, 2);
    assert!((other.drift[0].ks.unwrap() - 0.3).abs() < 0.04 && other.drift[0].psi > 0.2, "{:?}", other.drift);
    assert_eq!(other.drift[1].new, ["k4"]);
    assert!(other.drift[1].p.unwrap() < 1e-6);
    let told: Vec<&str> =
        other.alerts.iter().filter(|alert| alert.code == "drift").map(|alert| alert.text.as_str()).collect();
    assert!(told.len() == 2 && told[0].contains("the mean was 0."), "{told:?}");
    assert!(told[1].contains("`k4` was 0.0 %, is ") && told[1].ends_with("; new: k4"), "{told:?}");
}

#[test]
fn rows_of_another_time_have_other_dates_and_other_gaps() {
    let rows = |from: i32, every: i64| {
        let day: ArrayRef = Arc::new(arrow::array::Date32Array::from_iter_values(from..from + 400));
        let x: ArrayRef =
            Arc::new((0..400i64).map(|row| (row % every != 0).then_some(row % 7)).collect::<Int64Array>());
        table(vec![(Column::new("day", DType::Date), day), (Column::new("x", DType::Int64), x)], 100)
    };
    let reference = describe(None, &rows(15_000, 1000), &memory(1 << 30), 1).unwrap();
    let beside = Beside { related: Vec::new(), reference: Some(&reference) };
    let now = profiled(json!({}), &rows(15_400, 4), &beside, 1);
    let drift =
        |column: &str| now.alerts.iter().find(|alert| alert.code == "drift" && alert.columns == [column]).unwrap();
    let (day, x) = (drift("day"), drift("x"));
    assert_eq!(day.level, super::document::Level::Note, "that is what they are");
    assert!(day.text.contains("2012-03-01 to 2013-04-04, the reference 2011-01-26 to 2012-02-29"), "{}", day.text);
    assert_eq!(x.level, super::document::Level::Warning);
    assert!(x.text.contains("missing were 0.2 %, are 25.0 %"), "{}", x.text);
    let fix = now.alerts.iter().find(|alert| alert.code == "date").and_then(|alert| alert.fix.clone()).unwrap();
    assert_eq!(
        (fix.place.as_str(), fix.yaml.as_str()),
        ("`time` of a `split` stage", "time: day"),
        "no row is thrown away"
    );
}

#[test]
fn values_are_looked_up_in_the_related_table() {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values((0..8).map(|key| format!("c{key}"))));
    let related = table(vec![(Column::new("code", DType::String), keys)], 3);
    let beside = Beside { related: vec![("related", &related)], reference: None };
    let document = profiled(json!({}), &planted(600), &beside, 1);
    let found: Vec<(&str, &str, f64)> =
        document.inclusions.iter().map(|one| (one.column.as_str(), one.found_in.as_str(), one.share)).collect();
    assert_eq!(found, [("city", "code", 1.0)]);
    assert!(document.proposals.iter().any(|one| one.yaml == "- { column: city, foreign_key: code }"));
}

#[test]
fn what_is_proposed_holds() {
    let table = planted(1000);
    let document = profiled(json!({}), &table, &Beside::default(), 2);
    let mut tried = 0;
    for one in &document.proposals {
        // The forms whose YAML is JSON once names are quoted.
        let Some(rest) = one.yaml.strip_prefix("- { column: ").and_then(|rest| rest.strip_suffix(" }")) else {
            continue;
        };
        if rest.starts_with('[') {
            continue;
        }
        let (name, what) = rest.split_once(", ").unwrap();
        let name = name.trim_matches('\'');
        let expect: Expectation = match what.split_once(": ").unwrap() {
            ("regex", text) => {
                serde_json::from_value(json!({ "column": name, "regex": text.trim_matches('\'').replace("''", "'") }))
            }
            ("in", list) => {
                let values: Vec<&str> = list.trim_matches(['[', ']']).split(", ").collect();
                serde_json::from_value(json!({ "column": name, "in": values }))
            }
            ("range", text) => {
                let bound = |key: &str| {
                    let at = text.find(key).unwrap() + key.len();
                    text[at..].split([',', '}']).next().unwrap().trim().parse::<f64>().unwrap()
                };
                serde_json::from_value(
                    json!({ "column": name, "range": { "min": bound("min: "), "max": bound("max: ") } }),
                )
            }
            ("determines", to) => {
                serde_json::from_value(json!({ "column": name, "determines": to.trim_matches('\'') }))
            }
            ("monotone", order) => serde_json::from_value(json!({ "column": name, "monotone": order })),
            (flag, _) => serde_json::from_value(json!({ "column": name, flag: true })),
        }
        .unwrap();
        let (checked, unmet) = expect::check(&[expect], &table, &[], &memory(1 << 30), 2).unwrap();
        assert!(unmet.is_empty() && checked[0].rows > 0, "{} : {unmet:?}", one.yaml);
        tried += 1;
    }
    assert!(tried > 12, "{tried}");
    let fact = "- { column: city, determines: country }";
    assert!(document.proposals.iter().any(|one| one.yaml == fact), "{:?}", document.proposals);
}

#[test]
fn poor_tables_are_described() {
    let empty = table(vec![(Column::new("x", DType::Float64), Arc::new(Float64Array::from(Vec::<f64>::new())))], 0);
    let nothing = Table { columns: empty.columns.clone(), batches: Vec::new() };
    let gone: ArrayRef = Arc::new(Float64Array::from(vec![None; 5]));
    let words: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 5]));
    let missing = table(vec![(Column::new("x", DType::Float64), gone), (Column::new("t", DType::String), words)], 2);
    let odd: ArrayRef = Arc::new(Float64Array::from(vec![f64::INFINITY]));
    let one = table(vec![(Column::new("<b>&'\"", DType::Float64), odd)], 1);
    for (table, rows) in [(&empty, 0), (&nothing, 0), (&missing, 5), (&one, 1)] {
        let document = profiled(json!({}), table, &Beside::default(), 2);
        assert_eq!(document.rows, rows);
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
        let page = report::page("facts", &document);
        assert!(page.ends_with("</html>\n") && !page.contains("NaN") && !page.contains("<b>&'"), "{page}");
    }
    let document = profiled(json!({}), &missing, &Beside::default(), 2);
    assert_eq!(document.alerts.iter().filter(|alert| alert.code == "empty").count(), 2);
    let unknown: Profile = serde_json::from_value(json!({ "target": "y" })).unwrap();
    let faults = profile(&unknown, &missing, &Beside::default(), &memory(1 << 30), 1, &Channel::to(std::io::sink()))
        .unwrap_err();
    assert_eq!(faults[0].code, "data::unknown_column");
}

#[test]
fn the_page_is_bounded_and_asks_the_network_for_nothing() {
    let wide = |columns: usize| {
        let numbers: ArrayRef = Arc::new((0..40).map(|row| Some(chance(row))).collect::<Float64Array>());
        table((0..columns).map(|at| (Column::new(format!("c{at}"), DType::Float64), numbers.clone())).collect(), 20)
    };
    let size = |columns: usize| {
        let document = profiled(json!({}), &wide(columns), &Beside::default(), 2);
        assert_eq!(document.variables.len(), columns);
        report::page("facts", &document)
    };
    let page = size(1000);
    assert!(page.len() < 4 << 20, "{} bytes", page.len());
    for foreign in ["http:", "https:", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(size(10_000).len() < 5 << 20);
}

#[test]
fn little_memory_changes_nothing() {
    let table = planted(4000);
    let other = planted(1500);
    let describe = |limit: u64, threads| {
        let params: Profile = serde_json::from_value(json!({
            "target": "label",
            "expect": [{ "column": ["city", "country"], "unique": true }, { "column": "city", "foreign_key": "city" }],
        }))
        .unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let mut memory = Memory::new(None, scratch.path().to_owned());
        memory.limit = limit;
        let beside = Beside { related: vec![("related", &other)], reference: None };
        let made = profile(&params, &table, &beside, &memory, threads, &Channel::to(std::io::sink())).unwrap();
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "scratch files are removed");
        made
    };
    let (whole, unmet) = describe(1 << 30, 2);
    assert_eq!(unmet.len(), 1, "{unmet:?}");
    for threads in [1, 3] {
        let (small, faults) = describe(200_000, threads);
        assert_eq!(serde_json::to_string(&small).unwrap(), serde_json::to_string(&whole).unwrap());
        assert_eq!(faults.len(), 1);
    }
    let params = Profile::default();
    let mut memory = memory(1 << 30);
    memory.limit = 50_000;
    let beside = Beside { related: vec![("related", &other)], reference: None };
    let faults = profile(&params, &table, &beside, &memory, 1, &Channel::to(std::io::sink())).unwrap_err();
    assert_eq!(faults[0].code, "data::memory");
    assert!(faults[0].message.contains("`profile` with `related`"), "{faults:?}");
}

#[test]
fn of_more_rows_evenly_spread_ones_are_compared_and_keys_are_looked_for_in_all() {
    let rows = 600_000i64;
    let ids = (0..rows).map(|row| row * 7919 % 1_000_003);
    let repeated = ids.clone().map(|id| if id == 7919 { 0 } else { id });
    let shuffled: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    let almost: ArrayRef = Arc::new(Int64Array::from_iter_values(repeated));
    let table = table(
        vec![
            (Column::new("id", DType::Int64), shuffled.clone()),
            (Column::new("almost", DType::Int64), almost),
            (Column::new("copy", DType::Int64), shuffled),
        ],
        500_000,
    );
    let document = profiled(json!({}), &table, &Beside::default(), 2);
    assert_eq!(document.associations.rows, 200_000);
    assert_eq!(document.keys, [["id"], ["copy"]], "one value of `almost` is there twice");
    assert_eq!(document.identical, [("copy".to_owned(), "id".to_owned())]);
    assert_eq!(document.alerts.iter().filter(|alert| alert.code == "identical").count(), 1);
}

#[test]
fn the_page_has_colours_for_light_and_for_dark() {
    let page = report::page("facts", &profiled(json!({}), &planted(100), &Beside::default(), 1));
    let (light, dark) = page.split_once("@media (prefers-color-scheme: dark)").unwrap();
    let inside = dark.lines().next().unwrap();
    let named = |text: &str| -> Vec<String> {
        let parts = text.split(['{', ';', '\n']).map(str::trim);
        let names = parts.filter_map(|part| part.strip_prefix("--")?.split_once(':').map(|(name, _)| name.to_owned()));
        names.collect()
    };
    let (of_light, of_dark) = (named(light), named(inside));
    assert!(!of_dark.is_empty(), "{inside}");
    for name in &of_dark {
        assert!(of_light.contains(name), "`{name}` has no colour in the light");
    }
    assert!(page.contains("color-scheme"), "form elements follow");
}

#[test]
fn of_two_columns_that_say_the_same_the_coarser_goes() {
    let whole: ArrayRef = Arc::new((0..800).map(|row| Some((chance(row) * 400.0).floor())).collect::<Float64Array>());
    let fine: ArrayRef = Arc::new((0..800).map(|row| Some(chance(row) * 400.0)).collect::<Float64Array>());
    let columns = [("rounded", whole), ("exact", fine)];
    for order in [[0, 1], [1, 0]] {
        let columns = order.map(|at| (Column::new(columns[at].0, DType::Float64), columns[at].1.clone()));
        let document = profiled(json!({}), &table(columns.to_vec(), 300), &Beside::default(), 1);
        let alert = document.alerts.iter().find(|alert| alert.code == "redundant").unwrap();
        assert_eq!(alert.columns, ["exact", "rounded"], "{order:?}");
        assert_eq!(alert.fix.as_ref().unwrap().yaml, "- drop: rounded");
    }
    // As many values, but not in every row.
    let gaps = (0..800).map(|row| (row % 5 > 0).then(|| (chance(row) * 20.0).floor()));
    let gaps: ArrayRef = Arc::new(gaps.collect::<Float64Array>());
    let all: ArrayRef =
        Arc::new((0..800).map(|row| Some((chance(row) * 20.0).floor() * 2.0)).collect::<Float64Array>());
    let columns = vec![(Column::new("gaps", DType::Float64), gaps), (Column::new("all", DType::Float64), all)];
    let document = profiled(json!({}), &table(columns, 300), &Beside::default(), 1);
    let alert = document.alerts.iter().find(|alert| alert.code == "redundant").unwrap();
    assert_eq!(alert.columns, ["all", "gaps"]);
}

#[test]
fn a_split_is_told_one_thing_and_one_it_can_do() {
    let floats =
        |f: fn(u64) -> f64| -> ArrayRef { Arc::new((0..400).map(|row| Some(f(row))).collect::<Float64Array>()) };
    let rare = |row: u64| f64::from(u8::from(row.is_multiple_of(40)));
    let words = (0..400u64).map(|row| if row.is_multiple_of(40) { "b" } else { "a" });
    let words: ArrayRef = Arc::new(StringArray::from_iter_values(words));
    let days: ArrayRef = Arc::new(arrow::array::Date32Array::from_iter_values(15_000..15_400));
    let flag = || (Column::new("flag", DType::Float64), floats(rare));
    let word = || (Column::new("word", DType::String), words.clone());
    let day = || (Column::new("day", DType::Date), days.clone());
    let split = |columns| {
        let document = profiled(json!({ "target": "word" }), &table(columns, 100), &Beside::default(), 1);
        let fixes = document.alerts.into_iter().filter_map(|alert| alert.fix).filter(|fix| fix.stage == "split");
        fixes.map(|fix| fix.yaml).collect::<Vec<_>>()
    };
    assert_eq!(split(vec![flag(), word()]), ["stratify: word"], "numbers with a point are no classes");
    assert_eq!(split(vec![word(), flag(), day()]), ["time: day"], "whatever comes first");
}

#[test]
fn sums_and_units_are_told_and_what_is_proposed_of_them_holds() {
    let floats =
        |f: &dyn Fn(u64) -> f64| -> ArrayRef { Arc::new((0..300).map(|row| Some(f(row))).collect::<Float64Array>()) };
    let part = |row: u64, n: u64| (chance(row + 1000 * n) * 30.0).floor();
    let mut weight = Column::new("weight", DType::Float64);
    weight.unit = Some("kg".to_owned());
    let column = |name: &str| Column::new(name, DType::Float64);
    let columns = vec![
        (weight, floats(&|row| chance(row + 77) * 9.0)),
        (column("share_a"), floats(&|row| part(row, 1))),
        (column("share_b"), floats(&|row| part(row, 2))),
        (column("share_c"), floats(&|row| 100.0 - part(row, 1) - part(row, 2))),
        (column("up"), floats(&|row| chance(row + 5))),
        (column("down"), floats(&|row| 1.0 - chance(row + 5))),
    ];
    let table = table(columns, 100);
    let document = profiled(json!({}), &table, &Beside::default(), 2);
    assert_eq!(variable(&document, "weight").unit.as_deref(), Some("kg"));
    assert!(report::page("facts", &document).contains("float64, in kg"));
    let sums: Vec<(String, f64)> = document.sums.iter().map(|sum| (sum.columns.join("+"), sum.equals)).collect();
    assert_eq!(sums, [("share_a+share_b+share_c".to_owned(), 100.0), ("up+down".to_owned(), 1.0)]);
    let yaml = "- { column: [share_a, share_b, share_c], sum: { equals: 100 } }";
    assert!(document.proposals.iter().any(|one| one.yaml == yaml), "{:?}", document.proposals);
    let expect: Expectation =
        serde_json::from_value(json!({ "column": ["up", "down"], "sum": { "equals": 1 } })).unwrap();
    let (checked, _) = expect::check(&[expect], &table, &[], &memory(1 << 30), 1).unwrap();
    assert!(checked[0].holds);
}

#[test]
fn values_are_looked_up_in_every_related_table() {
    let codes =
        |count: u64| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..count).map(|key| format!("c{key}")))) };
    let states: ArrayRef = Arc::new(StringArray::from_iter_values((0..4).map(|key| format!("k{key}"))));
    let cities = table(vec![(Column::new("code", DType::String), codes(8))], 3);
    let lands = table(vec![(Column::new("land", DType::String), states)], 2);
    let beside = Beside { related: vec![("related", &cities), ("lands", &lands)], reference: None };
    let expect =
        json!([{ "column": "country", "foreign_key": "lands.land" }, { "column": "city", "foreign_key": "code" }]);
    let document = profiled(json!({ "expect": expect }), &planted(600), &beside, 1);
    let found: Vec<String> =
        document.inclusions.iter().map(|one| format!("{} in {}", one.column, one.pointed())).collect();
    assert_eq!(found, ["city in code", "country in lands.land"]);
    assert!(document.proposals.iter().any(|one| one.yaml == "- { column: country, foreign_key: lands.land }"));
    assert!(document.expectations.iter().all(|one| one.holds), "{:?}", document.expectations);
}
