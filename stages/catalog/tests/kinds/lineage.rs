//! No row of a fit is ever judged on: what is found before anything runs.

use catalog::question::QueryType;
use contract::artifact::{ArtifactType, DatasetLineage, DatasetType, ModelType};
use contract::fault::Fault;
use serde_json::json;

use crate::scene::*;

fn evaluated(model: ModelType, data: DatasetType) -> Vec<String> {
    faults("evaluate", json!({}), with_model(model, dataset("data", data)))
        .into_iter()
        .map(|fault| fault.code)
        .collect()
}

#[test]
fn a_model_is_not_judged_on_the_rows_of_its_fit() {
    const LEAK: &str = "leakage::evaluated_on_training_rows";
    assert_eq!(evaluated(digits_model(), part(images(), "test")), [""; 0]);
    assert_eq!(evaluated(digits_model(), part(images(), "train")), [LEAK]);
    assert_eq!(evaluated(digits_model(), images()), [LEAK], "the unsplit source holds the training rows");
    let whole = ModelType { fitted_on: (&images()).into(), ..digits_model() };
    assert_eq!(evaluated(whole, part(images(), "test")), [LEAK], "fitted before the split");
    let elsewhere = DatasetType { sources: vec!["other".into()], ..images() };
    assert_eq!(evaluated(digits_model(), elsewhere), [""; 0]);
    let tuned = ModelType { tuned_on: vec![(&part(images(), "validation")).into()], ..digits_model() };
    assert_eq!(evaluated(tuned, part(images(), "validation")), [LEAK]);
}

#[test]
fn validation_is_not_training() {
    let judge = |validation: &str| {
        let inputs = datasets([("train", part(images(), "train")), ("validation", part(images(), validation))]);
        faults("train", json!({ "target": "label" }), inputs)
    };
    assert_eq!(judge("validation"), []);
    only(judge("train"), "leakage::validation_is_training", "inputs.validation");
}

#[test]
fn a_loss_measured_on_training_rows_is_a_warning() {
    let judge = |check: &str| {
        let parts = datasets([("calibrate", part(images(), "train")), ("check", part(images(), check))]);
        faults("compress", json!({ "quantize": { "int8": "static" } }), with_model(digits_model(), parts))
    };
    assert_eq!(judge("validation"), []);
    let found = only(judge("train"), "leakage::checked_on_training_rows", "inputs.check");
    assert!(!found.is_error());
}

/// What `steps` over two tables give, where a query is said to be as `query` says.
fn made(steps: serde_json::Value, data: DatasetType, more: DatasetType, query: Option<QueryType>) -> DatasetType {
    let told = Told { query, ..Told::default() };
    let stage = stage("preprocess", json!({ "steps": steps }));
    let found = infer_with(&*stage, datasets([("data", data), ("more", more)]), &told);
    assert_eq!(found.faults, []);
    found.outputs["data"].dataset().unwrap().clone()
}

/// The faults of a model trained on one data set and judged on another.
fn judged(train: &DatasetType, test: &DatasetType) -> Vec<Fault> {
    let made = infer(&*stage("train", json!({ "target": "species" })), dataset("train", train.clone()));
    let mut faults = made.faults;
    let Some(ArtifactType::Model(model)) = made.outputs.get("model").cloned() else { panic!("{faults:?}") };
    faults.extend(self::faults("evaluate", json!({}), with_model(*model, dataset("data", test.clone()))));
    faults.retain(|fault| fault.code.starts_with("leakage::"));
    faults
}

fn codes(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| fault.code.as_str()).collect()
}

const ROWS: &str = "leakage::evaluated_on_training_rows";

fn query(rows: &[&str], beside: &[&str], mixed: &[&str], more: &[&str]) -> Option<QueryType> {
    let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let mut columns = penguins().columns.unwrap();
    columns.extend(more.iter().map(|name| contract::artifact::Column::new(*name, contract::artifact::DType::Float64)));
    Some(QueryType { columns, rows: list(rows), beside: list(beside), mixed: list(mixed) })
}

#[test]
fn rows_of_every_table_of_a_query_count() {
    let (train, test) = (part(penguins(), "train"), part(penguins(), "test"));
    let sql = |query: Option<QueryType>| made(json!([{ "sql": "…" }]), train.clone(), test.clone(), query);
    let other = sql(query(&["more"], &[], &[], &[]));
    assert_eq!(other.parts, test.parts, "`select * from more` has the rows of `more`");
    assert_eq!(codes(&judged(&other, &test)), [ROWS]);
    assert_eq!(judged(&other, &train), []);
    let both = sql(query(&["data", "more"], &[], &[], &[]));
    for part in [&train, &test] {
        let faults = judged(&both, part);
        assert_eq!(codes(&faults), [ROWS]);
        assert!(faults[0].message.contains("`parts.train` and `parts.test`"), "{}", faults[0].message);
        assert_eq!(codes(&judged(part, &both)), [ROWS], "and the other way round");
    }
    assert_eq!(judged(&both, &part(penguins(), "validation")), []);
    let one = sql(query(&["data"], &[], &[], &[]));
    assert_eq!(judged(&one, &test), []);
    // Nobody has read the query: rows of the same origin may be in it.
    assert_eq!(DatasetLineage::from(&sql(None)).strands().len(), 2);
    let planes = DatasetType { sources: vec!["planes".into()], ..penguins() };
    let looked_up = made(json!([{ "sql": "…" }]), train.clone(), planes.clone(), None);
    assert_eq!(
        DatasetLineage::from(&looked_up).strands().len(),
        1,
        "a table of another origin is taken to be looked up"
    );
    // The parts of a union stay what they were when it is split again.
    let again = infer(&*stage("split", json!({ "ratios": { "train": 0.5, "test": 0.5 } })), dataset("data", both));
    let half = again.outputs["train"].dataset().unwrap();
    assert_eq!(codes(&judged(half, &test)), [ROWS]);
    assert_eq!(judged(half, again.outputs["test"].dataset().unwrap()), []);
}

#[test]
fn cells_of_a_test_part_do_not_come_in_by_a_join() {
    let (train, test) = (part(penguins(), "train"), part(penguins(), "test"));
    let join = json!([{ "join": { "with": "more", "on": "year", "columns": "bill_length_mm", "suffix": "_there" } }]);
    let joined = made(join.clone(), train.clone(), test.clone(), None);
    let faults = judged(&joined, &test);
    assert_eq!(codes(&faults), ["leakage::joined_rows"]);
    assert!(faults[0].is_error() && faults[0].message.contains("`join` in `here`"), "{}", faults[0].message);
    let by_sql = made(json!([{ "sql": "…" }]), train.clone(), test.clone(), query(&["data"], &["more"], &[], &["z"]));
    assert_eq!(codes(&judged(&by_sql, &test)), ["leakage::joined_rows"]);
    // What the training part knows may be joined to every part, and so may another table.
    let learned = made(join.clone(), test.clone(), train.clone(), None);
    let own = made(join.clone(), train.clone(), train.clone(), None);
    assert_eq!(judged(&own, &learned), []);
    let planes = DatasetType { sources: vec!["planes".into()], ..penguins() };
    let left = made(join.clone(), train.clone(), planes.clone(), None);
    let right = made(join, test, planes, None);
    assert_eq!(judged(&left, &right), []);
}

#[test]
fn what_is_computed_over_all_rows_before_a_split_is_a_warning_where_a_model_meets_it() {
    const BEFORE: &str = "leakage::computed_before_split";
    let judge = |steps: serde_json::Value, split: serde_json::Value, query: Option<QueryType>| {
        let data = made(steps, penguins(), penguins(), query);
        let parts = infer(&*stage("split", split), dataset("data", data));
        let part = |name: &str| parts.outputs[name].dataset().unwrap().clone();
        let faults = judged(&part("train"), &part("test"));
        assert!(faults.iter().all(|fault| !fault.is_error()), "{faults:?}");
        codes(&faults).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let random = || json!({ "ratios": { "train": 0.5, "test": 0.5 } });
    let mean = json!([{ "window": { "by": "island", "columns": { "usual": { "mean": "body_mass_g" } } } }]);
    assert_eq!(judge(mean.clone(), random(), None), [BEFORE]);
    let ratios = json!({ "train": 0.5, "test": 0.5 });
    assert_eq!(judge(mean.clone(), json!({ "ratios": ratios, "group": "island" }), None), [""; 0]);
    assert_eq!(judge(mean.clone(), json!({ "ratios": ratios, "time": "year" }), None), [""; 0], "it looks back");
    let lead = json!([{ "window": { "columns": { "next": { "lead": "body_mass_g" } } } }]);
    assert_eq!(judge(lead, json!({ "ratios": ratios, "time": "year" }), None), [BEFORE]);
    let both =
        json!([{ "window": { "columns": { "last": { "lag": "body_mass_g" }, "next": { "lead": "body_mass_g" } } } }]);
    assert_eq!(judge(both.clone(), json!({ "ratios": ratios, "time": "year" }), None), [BEFORE], "one of the two");
    let parts = infer(
        &*stage("split", json!({ "ratios": ratios, "time": "year" })),
        dataset("data", made(both.clone(), penguins(), penguins(), None)),
    );
    let of = |port: &str| parts.outputs[port].dataset().unwrap().clone();
    let told = judged(&of("train"), &of("test"));
    assert!(told[0].message.starts_with("`next` (by"), "{told:?}");
    let only_back = json!([both[0], { "drop": "next" }]);
    assert_eq!(judge(only_back, json!({ "ratios": ratios, "time": "year" }), None), [""; 0], "`last` looks back");
    let number = json!([{ "window": { "columns": { "n": "number" } } }]);
    assert_eq!(judge(number, random(), None), [""; 0]);
    let dropped = json!([mean[0], { "rename": { "usual": "u" } }, { "drop": "u" }]);
    assert_eq!(judge(dropped, random(), None), [""; 0], "no model sees it");
    let renamed = json!([mean[0], { "rename": { "usual": "u" } }]);
    assert_eq!(judge(renamed, random(), None), [BEFORE]);
    let brought = json!([{ "join": { "with": "more", "on": "species", "columns": "year", "suffix": "_there" } }]);
    assert_eq!(judge(brought, random(), None), [BEFORE]);
    let sql = json!([{ "sql": "…" }]);
    assert_eq!(judge(sql.clone(), random(), query(&["data"], &[], &["z"], &["z"])), [BEFORE]);
    assert_eq!(judge(sql.clone(), random(), query(&["data"], &["data"], &[], &["z"])), [BEFORE]);
    assert_eq!(judge(sql, random(), query(&["data"], &[], &[], &["z"])), [""; 0]);
    let report =
        json!([{ "group_by": { "by": ["species", "island"], "aggregates": { "mass": { "mean": "body_mass_g" } } } }]);
    assert_eq!(judge(report, random(), None), [""; 0], "each row of a report is of its own rows");
}

#[test]
fn one_file_collected_twice_may_hold_the_same_rows() {
    let read =
        |source: &str, file: &str| DatasetType { sources: vec![source.into()], files: vec![file.into()], ..penguins() };
    let judge = |left: &str, right: &str| judged(&read("raw", left), &read("again", right));
    let faults = judge("data/a.csv", "data/a.csv");
    assert_eq!(codes(&faults), ["leakage::same_file"]);
    assert!(!faults[0].is_error(), "which rows both have is not known");
    assert_eq!(codes(&judge("data/*.csv", "data/a.csv")), ["leakage::same_file"]);
    assert_eq!(judge("data/a.csv", "data/b.csv"), []);
    assert_eq!(judge("data/*.csv", "other/a.csv"), []);
    let one = DatasetType { sources: vec!["again".into(), "raw".into()], ..read("raw", "data/a.csv") };
    let faults = judged(&part(read("raw", "data/a.csv"), "train"), &one);
    assert_eq!(codes(&faults), [ROWS], "what the plan found to be one source is one");
}

#[test]
fn a_derived_column_is_mixed_when_its_expression_names_one_that_is() {
    let steps = json!([
        { "window": { "columns": { "usual": { "mean": "body_mass_g" } } } },
        { "derive": { "body_mass_g": "body_mass_g / usual", "half": "year / 2", "text": "unusual" } },
        { "derive": { "usual": "1" } },
    ]);
    let steps: Vec<catalog::steps::Step> = serde_json::from_value(steps).unwrap();
    let mut data = penguins();
    let ask = |_: &catalog::question::Expression, _: &contract::artifact::Types| {
        Ok(Some(json!({ "dtype": "float64", "missing": false })))
    };
    for step in &steps {
        let faults = catalog::steps::apply(step, &mut data, &Default::default(), &contract::route!["steps"], &ask);
        assert_eq!(faults, []);
    }
    let mixed: Vec<&[String]> = data.mixed.iter().map(|mixed| mixed.columns.as_slice()).collect();
    assert_eq!(mixed, [["body_mass_g".to_owned()]], "it took the place of the old one; `usual` is something else now");
}
