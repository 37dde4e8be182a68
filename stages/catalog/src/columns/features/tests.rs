use contract::artifact::Classes;
use serde_json::{Value, json};

use super::*;
use crate::params::encoder::Embedding;

fn column(name: &str, dtype: DType) -> Column {
    Column::new(name, dtype)
}

fn text(name: &str, count: u64, nullable: bool) -> Column {
    Column { classes: Some(Classes { count, values: Vec::new() }), nullable, ..column(name, DType::String) }
}

/// Penguins, more or less.
fn penguins() -> Vec<Column> {
    vec![
        text("species", 3, false),
        text("island", 3, false),
        Column { nullable: true, ..column("bill_10", DType::Float64) },
        Column { nullable: true, ..column("bill_9", DType::Float64) },
        text("sex", 2, true),
        Column { role: Role::Id, ..column("tag", DType::String) },
        column("seen", DType::Binary),
        column("alive", DType::Bool),
    ]
}

fn features(value: Value) -> Vec<Feature> {
    serde_json::from_value(value).unwrap()
}

fn seen(features: &Features) -> Vec<(&str, Encoder, Option<u64>)> {
    features.columns.iter().map(|d| (d.column.name.as_str(), d.encoder.clone(), d.width())).collect()
}

#[test]
fn by_default_every_other_column_is_seen_and_encoded_by_its_type() {
    let columns: Vec<Column> = penguins().into_iter().filter(|column| column.name != "seen").collect();
    let decided = decide(None, &columns, "species").unwrap();
    assert_eq!(
        seen(&decided),
        [
            ("island", Encoder::OneHot, Some(3)),
            ("bill_10", Encoder::Standard, Some(2)),
            ("bill_9", Encoder::Standard, Some(2)),
            ("sex", Encoder::OneHot, Some(3)),
            ("alive", Encoder::OneHot, Some(2)),
        ]
    );
    assert_eq!(decided.input(), Some(vec![12]));
    assert!(!decided.exact());
    let unknown = vec![column("island", DType::String), column("label", DType::Int64)];
    assert_eq!(decide(None, &unknown, "label").unwrap().input(), None);
}

#[test]
fn patterns_are_in_natural_order_and_later_entries_change_the_encoder() {
    let asked = features(json!(["bill_*", "island", { "columns": ["bill_10"], "encode": "identity" }]));
    let decided = decide(Some(&asked), &penguins(), "species").unwrap();
    assert_eq!(
        seen(&decided),
        [
            ("bill_9", Encoder::Standard, Some(2)),
            ("bill_10", Encoder::Identity, Some(1)),
            ("island", Encoder::OneHot, Some(3)),
        ]
    );
    assert_eq!(decided.input(), Some(vec![6]));
    let exact: Vec<bool> = decided.columns.iter().map(Decision::exact).collect();
    assert_eq!(exact, [false, true, false], "whether the fit meets missing cells or all values is not known before");
}

#[test]
fn a_pattern_takes_neither_the_target_nor_other_roles() {
    let columns: Vec<Column> = penguins().into_iter().filter(|column| column.name != "seen").collect();
    let decided = decide(Some(&features(json!(["*"]))), &columns, "sex").unwrap();
    let names: Vec<&str> = decided.columns.iter().map(|d| d.column.name.as_str()).collect();
    assert_eq!(names, ["alive", "bill_9", "bill_10", "island", "species"]);
}

#[test]
fn one_tensor_of_rank_three_is_an_image() {
    let image = Column { shape: vec![1, 8, 8], ..column("image", DType::Float32) };
    let columns = vec![image.clone(), column("label", DType::Int64)];
    let decided = decide(None, &columns, "label").unwrap();
    assert_eq!(decided.image(), Some([1, 8, 8].as_slice()));
    assert_eq!(decided.input(), Some(vec![1, 8, 8]));
    assert!(decided.exact());
    let beside = vec![image, column("age", DType::Int64), column("label", DType::Int64)];
    assert_eq!(decide(None, &beside, "label").unwrap().input(), Some(vec![65]));
}

#[test]
fn every_fault_has_its_code_and_place() {
    let cases = [
        (json!(["islnd"]), "data::unknown_column", "features[0]"),
        (json!(["bil_*"]), "data::no_match", "features[0]"),
        (json!([{ "columns": ["island", "sx"] }]), "data::unknown_column", "features[0].columns[1]"),
        (json!(["island", "species"]), "leakage::target_among_features", "features[1]"),
        (json!(["tag"]), "features::role", "features[0]"),
        (json!(["seen"]), "features::unencodable", "features[0]"),
        (json!([{ "columns": "island", "encode": "standard" }]), "features::encoder", "features[0].columns"),
        (json!([{ "columns": "island", "encode": "identity" }]), "features::encoder", "features[0].columns"),
        (json!([{ "columns": "bill_9", "encode": "one_hot" }]), "features::encoder", "features[0].columns"),
        (json!([{ "columns": "bill_9", "encode": { "hashed": {} } }]), "features::encoder", "features[0].columns"),
        (json!([{ "columns": "bill_9", "encode": { "embedding": {} } }]), "features::encoder", "features[0].columns"),
        (json!([{ "columns": "bill_9", "encode": "cyclic" }]), "features::encoder", "features[0].columns"),
        (json!([{ "columns": "island", "encode": "robust" }]), "features::encoder", "features[0].columns"),
        (json!([{ "columns": "bill_9", "encode": { "tf_idf": {} } }]), "features::encoder", "features[0].columns"),
        (json!([]), "features::none", "features"),
    ];
    for (asked, code, route) in cases {
        let faults = decide(Some(&features(asked.clone())), &penguins(), "species").unwrap_err();
        assert_eq!(faults.len(), 1, "{asked}");
        assert_eq!(faults[0].code, code, "{asked}");
        assert_eq!(faults[0].route.as_ref().unwrap().to_string(), route, "{asked}");
        assert!(faults[0].help.is_some(), "{asked}");
    }
}

#[test]
fn without_features_an_unencodable_column_is_a_fault_of_the_stage() {
    let faults = decide(None, &penguins(), "species").unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!((faults[0].code.as_str(), &faults[0].route), ("features::unencodable", &None));
    let faults = decide(None, &[column("label", DType::Int64)], "label").unwrap_err();
    assert_eq!(faults[0].code, "features::none");
}

#[test]
fn a_crowded_category_is_a_warning() {
    let columns = vec![text("name", 5000, false), column("label", DType::Int64)];
    let decided = decide(None, &columns, "label").unwrap();
    assert_eq!(decided.warnings.len(), 1);
    assert_eq!(decided.warnings[0].code, "features::many_values");
}

#[test]
fn every_encoder_says_how_wide_it_is() {
    let columns = vec![
        Column { nullable: true, ..column("weight", DType::Float64) },
        text("name", 5000, false),
        column("day", DType::Date),
        Column { nullable: true, ..column("seen", DType::Datetime) },
        column("label", DType::Int64),
    ];
    let width = |name: &str, encode: Value| {
        let asked = features(json!([{ "columns": name, "encode": encode }]));
        decide(Some(&asked), &columns, "label").unwrap().columns[0].width()
    };
    assert_eq!(width("weight", json!("robust")), Some(2));
    assert_eq!(width("weight", json!({ "quantile": {} })), Some(2));
    assert_eq!(width("weight", json!({ "piecewise": { "bins": 8 } })), Some(9));
    assert_eq!(width("weight", json!({ "periodic": { "frequencies": 4 } })), Some(6));
    assert_eq!(width("name", json!({ "hashed": { "buckets": 32 } })), Some(32));
    assert_eq!(width("name", json!({ "target": {} })), None);
    assert_eq!(width("name", json!({ "embedding": {} })), Some(1));
    assert_eq!(width("name", json!({ "tf_idf": { "buckets": 128 } })), Some(128));
    assert_eq!(width("day", json!("auto")), Some(9));
    assert_eq!(width("seen", json!("cyclic")), Some(12));
}

#[test]
fn embedded_columns_know_their_vectors_and_where_their_indices_stand() {
    let columns = vec![
        Column { nullable: true, ..column("weight", DType::Float64) },
        text("name", 5000, false),
        text("town", 40, true),
        column("seen", DType::Bool),
        column("ward", DType::String),
        column("label", DType::Int64),
    ];
    let decided = |names: Value, encode: Value| {
        let asked = features(json!(["weight", { "columns": names, "encode": encode }]));
        decide(Some(&asked), &columns, "label").unwrap()
    };
    let all = decided(json!(["name", "town", "seen"]), json!({ "embedding": {} }));
    let table = |position, values, dimensions| Table { position, values, dimensions };
    // fastai's rule: 189 dimensions for 5000 values, 13 for 40, 2 for 2.
    assert_eq!(all.tables(), Some(vec![table(2, 5001, 189), table(3, 42, 13), table(4, 3, 2)]));
    assert_eq!(all.input(), Some(vec![5]));
    assert!(!all.exact(), "the training part may have fewer values");
    assert!(all.warnings.is_empty(), "many values are what it is for");
    let few = decided(json!(["name"]), json!({ "embedding": { "dimensions": 8 } }));
    assert_eq!(few.tables(), Some(vec![table(2, 5001, 8)]));
    assert_eq!(decided(json!(["ward"]), json!({ "embedding": {} })).tables(), None, "its values are not known");
    let rule: Vec<u64> = [0, 1, 3, 1_000_000].map(|values| Embedding::default().dimensions(values)).to_vec();
    assert_eq!(rule, [1, 2, 3, 600]);
}

#[test]
fn more_values_than_float32_can_count_are_a_fault() {
    let encode = json!([{ "columns": "name", "encode": { "embedding": { "dimensions": 1 } } }]);
    let decided = |count| {
        let columns = vec![text("name", count, false), column("label", DType::Int64)];
        decide(Some(&features(encode.clone())), &columns, "label")
    };
    assert!(decided(MOST_EMBEDDED).is_ok());
    let faults = decided(MOST_EMBEDDED + 1).unwrap_err();
    assert_eq!(faults[0].code, "features::too_many_values");
    assert_eq!(faults[0].route.as_ref().unwrap().to_string(), "features[0].columns");
    // The largest index: a value for each but the one never seen, and missing cells behind them.
    assert_eq!((MOST_EMBEDDED + 1) as f32 as u64, MOST_EMBEDDED + 1);
}
