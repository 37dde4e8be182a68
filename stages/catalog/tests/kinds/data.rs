//! `collect`, `preprocess`, `split`, `command`.

use catalog::kinds::split::sizes;
use catalog::question::ExpressionType;
use contract::artifact::{ArtifactKind, ArtifactType, Column, DType, DatasetType, Role, Types};
use contract::fault::{Fault, Faults};
use contract::route;
use serde_json::{Value, json};

use crate::scene::*;

fn collect(params: Value, source: DatasetType) -> contract::kind::Inference {
    let told = Told { source: Some(source), ..Told::default() };
    infer_with(&*stage("collect", params), no_inputs(), &told)
}

#[test]
fn collect_takes_columns_from_the_oracle_and_overrides_them() {
    let told = Told { source: Some(penguins()), ..Told::default() };
    let params = json!({
        "from": { "csv": "penguins.csv" },
        "columns": { "species": { "role": "target" }, "year": { "dtype": "string", "role": "id" } },
    });
    let found = infer_with(&*stage("collect", params), no_inputs(), &told);
    assert_eq!(found.faults, []);
    let dataset = found.outputs["data"].dataset().unwrap();
    assert_eq!(dataset.rows, Some(344));
    assert_eq!(dataset.sources, ["here"]);
    assert_eq!(dataset.column("species").unwrap().role, Role::Target);
    let year = dataset.column("year").unwrap();
    assert_eq!((year.dtype, year.role), (DType::String, Role::Id));
    assert_eq!(year.classes.as_ref().unwrap().values, ["2007", "2008", "2009"]);
    let asked = told.asked.lock().unwrap();
    assert_eq!(asked[0].files[0].path, "penguins.csv");
}

#[test]
fn collect_without_an_answer_knows_only_the_source() {
    let found = infer(&*stage("collect", json!({ "from": { "csv": "a.csv" } })), no_inputs());
    let expected = DatasetType { sources: vec!["here".into()], files: vec!["a.csv".into()], ..DatasetType::default() };
    assert_eq!(found.outputs["data"], ArtifactType::Dataset(expected.into()));
    assert_eq!(found.faults, []);
}

#[test]
fn collect_faults() {
    let csv = json!({ "csv": "penguins.csv" });
    let cases = [
        (
            json!({ "from": csv, "columns": { "specis": { "role": "target" } } }),
            "data::unknown_column",
            "columns.specis",
        ),
        (
            json!({ "from": csv, "columns": { "body_mass_g": { "dtype": "date" } } }),
            "data::cannot_cast",
            "columns.body_mass_g.dtype",
        ),
        (
            json!({ "from": csv, "columns": { "species": { "role": "target" }, "sex": { "role": "target" } } }),
            "collect::several_targets",
            "columns.sex.role",
        ),
        (json!({ "from": { "csv": "data.parquet" } }), "collect::format", "from.csv.path"),
        (json!({ "from": csv, "s3": { "region": "eu-west-1" } }), "collect::unused_s3", "s3"),
        (
            json!({ "from": csv, "annotators": { "columns": ["sex", "rater_*"] } }),
            "data::no_match",
            "annotators.columns[1]",
        ),
        (
            json!({ "from": csv, "annotators": { "columns": "sex", "item": "specie" } }),
            "data::unknown_column",
            "annotators.item",
        ),
        (json!({ "from": csv, "annotators": { "columns": "s*", "item": "sex" } }), "collect::item", "annotators.item"),
        (json!({ "from": csv, "annotators": { "columns": "*" } }), "collect::no_data", "annotators.columns"),
        (json!({ "from": { "jsonl": ["a.jsonl", "b.csv.gz"] } }), "collect::format", "from.jsonl.path[1]"),
    ];
    for (params, code, route) in cases {
        only(collect(params, penguins()).faults, code, route);
    }
    let empty = only(collect(json!({ "from": csv }), rows(vec![label()], 0)).faults, "data::empty", "from");
    assert!(empty.is_error());
}

#[test]
fn collect_parameters_that_no_schema_refuses() {
    let cases = [
        (json!({ "csv": { "path": "a.csv", "delimiter": "é" } }), "collect::separator", "from.csv.delimiter"),
        (json!({ "csv": { "path": "a.csv", "quote": "\n" } }), "collect::separator", "from.csv.quote"),
        (json!({ "csv": { "path": "a.csv", "quote": "," } }), "collect::separator", "from.csv.quote"),
        (json!({ "parquet": { "path": [] } }), "collect::no_path", "from.parquet.path"),
        (json!({ "csv": ["a.csv", " "] }), "collect::no_path", "from.csv.path[1]"),
        (
            json!({ "csv": { "path": ["https://host/a.csv", "https://host/b.csv"], "digest": format!("sha256:{}", "0".repeat(64)) } }),
            "collect::digest",
            "from.csv.digest",
        ),
        (json!({ "csv": "s3://*/a.csv" }), "collect::url", "from.csv.path"),
        (json!({ "csv": "s3://bucket" }), "collect::url", "from.csv.path"),
        (
            json!({ "postgres": { "database": "d", "user": "u", "query": " " } }),
            "collect::no_query",
            "from.postgres.query",
        ),
        (
            json!({ "postgres": { "database": "d", "user": " ", "query": "select 1" } }),
            "collect::database",
            "from.postgres.user",
        ),
        (
            json!({ "postgres": { "database": "d", "user": "u", "query": "select 1", "password_env": "s3cr3t!" } }),
            "collect::password",
            "from.postgres.password_env",
        ),
        (
            json!({ "csv": { "path": "https://host/a.csv", "digest": "sha256:12" } }),
            "collect::digest",
            "from.csv.digest[0]",
        ),
        (
            json!({ "csv": { "path": "https://u:p@host/a.csv", "digest": format!("sha256:{}", "0".repeat(64)) } }),
            "collect::url",
            "from.csv.path",
        ),
        (json!({ "csv": { "path": "a.csv", "encoding": "" } }), "collect::encoding", "from.csv.encoding"),
        (json!({ "sqlite": { "path": "a.db", "query": " " } }), "collect::no_query", "from.sqlite.query"),
        (json!({ "concat": [{ "csv": "a.csv" }] }), "collect::one_source", "from.concat"),
        (
            json!({ "join": { "sources": [{ "csv": "a.csv" }, { "csv": "b.csv" }], "on": [] } }),
            "collect::no_key",
            "from.join.on",
        ),
    ];
    for (from, code, route) in cases {
        only(faults("collect", json!({ "from": from }), no_inputs()), code, route);
    }
    let whole = [
        (
            json!({ "from": { "csv": "a.csv" }, "annotators": { "columns": [] } }),
            "collect::no_annotator",
            "annotators.columns",
        ),
        (
            json!({ "from": { "csv": "s3://b/a.csv" }, "s3": { "endpoint": "https://key:secret@host" } }),
            "collect::url",
            "s3.endpoint",
        ),
        (json!({ "from": { "images": "i" }, "on_error": "fill" }), "collect::fill_images", "on_error"),
        (json!({ "from": { "csv": "a.csv" }, "columns": { "x": { "unit": " " } } }), "collect::unit", "columns.x.unit"),
        (json!({ "from": { "images": "s3://bucket/folder/" } }), "collect::url", "from.images.path"),
    ];
    for (params, code, route) in whole {
        only(faults("collect", params, no_inputs()), code, route);
    }
    let wrong = faults("collect", json!({ "from": 3 }), no_inputs());
    only(wrong, "parameters::invalid", "");
}

#[test]
fn collect_keys_content_not_paths() {
    let key = |params: Value| stage("collect", params).keyed();
    assert_eq!(
        key(json!({ "from": { "csv": "a.csv" } })),
        key(json!({ "from": { "csv": { "path": "elsewhere/b.csv", "delimiter": "," } } }))
    );
    assert_ne!(key(json!({ "from": { "csv": "a.csv" } })), key(json!({ "from": { "tsv": "a.csv" } })));
    assert_ne!(
        key(json!({ "from": { "csv": "a.csv" } })),
        key(json!({ "from": { "csv": { "path": "a.csv", "header": false } } }))
    );
    assert_eq!(
        key(json!({ "from": { "idx": { "images": "a", "labels": "b" } } })),
        key(json!({ "from": { "idx": { "images": "c", "labels": "d" } } }))
    );
    assert!(!key(json!({ "from": { "images": "folder" } })).to_string().contains("folder"));
    let files = stage("collect", json!({ "from": { "csv": ["b.csv", "part-*.csv"] } })).files();
    let roles: Vec<(&str, bool)> = files.iter().map(|file| (file.role.as_str(), file.glob)).collect();
    assert_eq!(roles, [("data.000000", false), ("data.000001", true)]);
    assert_eq!(stage("collect", json!({ "from": { "idx": { "images": "a" } } })).files().len(), 1);
}

#[test]
fn collect_keys_what_lies_elsewhere_by_its_state() {
    let file = |params: Value| {
        let mut files = stage("collect", params).files();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    };
    let url = "https://host/a.csv?token=x";
    let found = file(json!({ "from": { "csv": url } }));
    assert_eq!((found.role.as_str(), found.path.as_str(), found.glob), ("data", url, false));
    let digest = format!("sha256:{}", "0".repeat(64));
    let declared = stage("collect", json!({ "from": { "csv": { "path": url, "digest": digest } } }));
    assert!(declared.files().is_empty() && declared.keyed().to_string().contains(&digest), "the content is declared");
    let objects =
        |endpoint: &str| file(json!({ "from": { "csv": "s3://b/*.csv" }, "s3": { "endpoint": endpoint } })).path;
    assert_ne!(objects("https://one"), objects("https://two"), "the same name in two stores");
    let asking = |user: &str, variable: &str, tls: &str| {
        let source =
            json!({ "database": "d", "user": user, "query": "select 1", "password_env": variable, "tls": tls });
        let stage = stage("collect", json!({ "from": { "postgres": source } }));
        (stage.keyed(), stage.files().remove(0).path)
    };
    assert_eq!(asking("u", "PGPASSWORD", "auto"), asking("u", "OTHER", "off"), "how one gets in is not what one gets");
    assert_ne!(asking("u", "PGPASSWORD", "auto"), asking("v", "PGPASSWORD", "auto"), "users may see different rows");
}

#[test]
fn collect_takes_annotators_out_of_the_data() {
    let params = json!({ "from": { "csv": "a.csv" }, "annotators": { "columns": "s*", "item": "year" } });
    let found = collect(params, penguins());
    assert_eq!(found.faults, []);
    let all = penguins().columns.unwrap();
    let left: Vec<&str> = all.iter().map(|column| column.name.as_str()).filter(|name| !name.starts_with('s')).collect();
    let dataset = found.outputs["data"].dataset().unwrap();
    let names: Vec<&str> = dataset.columns.as_ref().unwrap().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, left);
    assert_eq!(found.outputs["labels"].kind(), ArtifactKind::Labels);
}

fn preprocess(steps: Value, data: DatasetType) -> contract::kind::Inference {
    let told = Told { expression: Some(Ok(ExpressionType { dtype: DType::Bool, missing: false })), ..Told::default() };
    infer_with(&*stage("preprocess", json!({ "steps": steps })), dataset("data", data), &told)
}

#[test]
fn preprocess_packs_digits() {
    let steps = json!([
        { "drop_duplicates": {} },
        { "drop_missing": { "columns": ["label"] } },
        { "pack": { "columns": "p*", "into": "image", "shape": [1, 8, 8], "divide_by": 16 } },
    ]);
    let found = preprocess(steps, pixels());
    assert_eq!(found.faults, []);
    assert_eq!(columns(&found, "data"), ["image: float32[1, 8, 8]", "label: int64"]);
    let dataset = found.outputs["data"].dataset().unwrap();
    assert_eq!(dataset.rows, None);
    assert_eq!(dataset.sources, ["raw"]);
    assert_eq!(dataset.column("label").unwrap().classes.as_ref().unwrap().count, 10);
}

#[test]
fn preprocess_carries_every_step() {
    let steps = json!([
        { "rename": { "body_mass_g": "mass", "year": "body_mass_g" } },
        { "fill_missing": { "columns": "sex", "with": "unknown" } },
        { "fill_missing": { "with": 0 } },
        { "cast": { "body_mass_g": "string", "mass": "float32", "b*": "float64" } },
        { "filter": "mass > 3000" },
        { "drop": ["island"] },
        { "select": ["mass", "*"] },
    ]);
    let found = preprocess(steps, penguins());
    assert_eq!(found.faults, []);
    assert_eq!(
        columns(&found, "data"),
        ["mass: float32", "species: string", "bill_length_mm: float64", "sex: string", "body_mass_g: string"]
    );
    let dataset = found.outputs["data"].dataset().unwrap();
    assert_eq!(dataset.column("sex").unwrap().classes.as_ref().unwrap().values, ["female", "male", "unknown"]);
    assert_eq!(dataset.column("body_mass_g").unwrap().classes.as_ref().unwrap().count, 3);
}

#[test]
fn a_tensor_is_packed_with_all_its_elements() {
    let scaled = json!([{ "pack": { "columns": "image", "into": "image", "divide_by": 255 } }]);
    assert_eq!(columns(&preprocess(scaled, images()), "data"), ["image: float32[1, 8, 8]", "label: int64"]);
    let flat = json!([{ "pack": { "columns": ["image", "label"], "into": "all" } }]);
    assert_eq!(columns(&preprocess(flat, images()), "data"), ["all: float32[65]"]);
}

#[test]
fn columns_may_change_places_by_renaming() {
    let found = preprocess(json!([{ "rename": { "species": "island", "island": "species" } }]), penguins());
    assert_eq!(found.faults, []);
    assert_eq!(columns(&found, "data")[..2], ["island: string", "species: string"]);
}

#[test]
fn rows_stay_known_where_no_step_drops_any() {
    let found = preprocess(json!([{ "drop": "year" }, { "cast": { "body_mass_g": "float32" } }]), penguins());
    assert_eq!(found.outputs["data"].dataset().unwrap().rows, Some(344));
}

#[test]
fn preprocess_faults() {
    let pack = |columns: Value, into: &str, shape: Value| {
        let mut pack = json!({ "columns": columns, "into": into });
        if !shape.is_null() {
            pack["shape"] = shape;
        }
        json!([{ "pack": pack }])
    };
    let cases: Vec<(Value, &str, &str)> = vec![
        (
            json!([{ "drop_duplicates": { "columns": "islnd" } }]),
            "data::unknown_column",
            "steps[0].drop_duplicates.columns",
        ),
        (
            json!([{ "drop_missing": { "columns": ["sex", "x*y"] } }]),
            "data::no_match",
            "steps[0].drop_missing.columns[1]",
        ),
        (
            json!([{ "fill_missing": { "columns": ["body_mass_g"], "with": "heavy" } }]),
            "data::fill_type",
            "steps[0].fill_missing.with",
        ),
        (
            json!([{ "fill_missing": { "columns": ["body_mass_g"], "with": 1.5 } }]),
            "data::fill_type",
            "steps[0].fill_missing.with",
        ),
        (json!([{ "fill_missing": { "with": true } }]), "data::nothing_to_fill", "steps[0].fill_missing.with"),
        (json!([{ "rename": { "yaer": "y" } }]), "data::unknown_column", "steps[0].rename.yaer"),
        (json!([{ "rename": { "year": "sex" } }]), "data::duplicate_column", "steps[0].rename.year"),
        (json!([{ "rename": { "year": "" } }]), "data::empty_name", "steps[0].rename.year"),
        (json!([{ "select": ["sex", "yaer"] }]), "data::unknown_column", "steps[0].select[1]"),
        (json!([{ "drop": "*" }]), "data::no_columns", "steps[0].drop"),
        (json!([{ "cast": { "body_mass_g": "date" } }]), "data::cannot_cast", "steps[0].cast.body_mass_g"),
        (json!([{ "cast": { "specie": "string" } }]), "data::unknown_column", "steps[0].cast.specie"),
        (json!([{ "cast": { "b*": "float32", "*_g": "int8" } }]), "data::cast_twice", "steps[0].cast.b*"),
        (json!([{ "filter": "  " }]), "data::expression", "steps[0].filter"),
        (pack(json!(["island", "year"]), "x", Value::Null), "data::pack_type", "steps[0].pack.columns"),
        (pack(json!(["body_mass_g", "year"]), "x", Value::Null), "data::pack_missing", "steps[0].pack.columns"),
        (pack(json!(["year"]), "x", json!([2, 2])), "data::pack_shape", "steps[0].pack.shape"),
        (pack(json!(["year"]), "x", json!([1, 0])), "data::pack_shape", "steps[0].pack.shape"),
        (pack(json!(["year"]), "sex", Value::Null), "data::duplicate_column", "steps[0].pack.into"),
        (pack(json!(["year"]), "", Value::Null), "data::empty_name", "steps[0].pack.into"),
        (pack(json!("yaer"), "x", Value::Null), "data::unknown_column", "steps[0].pack.columns"),
    ];
    for (steps, code, route) in cases {
        only(faults("preprocess", json!({ "steps": steps }), dataset("data", penguins())), code, route);
    }
}

/// Every fault of the steps that shape columns and tables, with its place.
#[test]
fn shaping_faults() {
    let cases: Vec<(Value, &str, &str)> = vec![
        (
            json!({ "drop_near_duplicates": { "columns": "speces" } }),
            "data::unknown_column",
            "drop_near_duplicates.columns",
        ),
        (json!({ "sample": {} }), "data::sample_size", "sample"),
        (json!({ "sample": { "rows": 5, "share": 0.5 } }), "data::sample_size", "sample"),
        (json!({ "sort": { "by": "yaer" } }), "data::unknown_column", "sort.by"),
        (json!({ "parse_dates": { "columns": "sex", "formats": "%Q" } }), "data::date_format", "parse_dates.formats"),
        (
            json!({ "parse_dates": { "columns": "year", "formats": "%Y-%m-%d" } }),
            "data::date_type",
            "parse_dates.columns",
        ),
        (json!({ "split_column": { "column": "sex", "into": ["a"] } }), "data::split_by", "split_column"),
        (
            json!({ "split_column": { "column": "year", "by": "-", "into": ["a"] } }),
            "data::text_type",
            "split_column.column",
        ),
        (
            json!({ "split_column": { "column": "sex", "by": "-", "into": ["year"] } }),
            "data::duplicate_column",
            "split_column.into[0]",
        ),
        (
            json!({ "join_columns": { "columns": ["sex", "yaer"], "into": "x" } }),
            "data::unknown_column",
            "join_columns.columns[1]",
        ),
        (json!({ "one_hot": { "column": "sex", "categories": ["male"] } }), "data::category", "one_hot.categories"),
        (
            json!({ "one_hot": { "column": "sex", "categories": [1], "on_error": "fill" } }),
            "data::fill_type",
            "one_hot.categories[0]",
        ),
        (json!({ "bin": { "column": "year", "edges": [3, 1] } }), "data::bin_edges", "bin.edges"),
        (json!({ "bin": { "column": "year", "edges": [1, 3], "labels": ["a"] } }), "data::bin_labels", "bin.labels"),
        (json!({ "bin": { "column": "sex", "edges": [1] } }), "data::number_type", "bin.column"),
        (json!({ "clip": { "columns": "year" } }), "data::clip_range", "clip"),
        (json!({ "clip": { "columns": "year", "min": 0.5 } }), "data::clip_range", "clip.min"),
        (json!({ "replace": { "columns": "sex" } }), "data::replace_what", "replace"),
        (
            json!({ "replace": { "columns": "year", "values": { "2007": "new" } } }),
            "data::fill_type",
            "replace.values.2007",
        ),
        (json!({ "clean_text": {} }), "data::nothing_to_clean", "clean_text"),
        (json!({ "language": { "column": "sex" } }), "data::language_what", "language"),
        (json!({ "language": { "column": "sex", "keep": ["english"] } }), "data::unknown_language", "language.keep"),
        (json!({ "resize": { "columns": "year", "size": [8, 8] } }), "data::image_type", "resize.columns"),
        (json!({ "resize": { "columns": "year", "size": [0, 8] } }), "data::image_size", "resize.size"),
        (json!({ "decode_images": { "column": "sex", "size": [8, 8] } }), "data::image_type", "decode_images.column"),
        (
            json!({ "group_by": { "by": "sex", "aggregates": { "x": { "mean": "island" } } } }),
            "data::aggregate_type",
            "group_by.aggregates.x.mean",
        ),
        (
            json!({ "group_by": { "by": "sex", "aggregates": { "x": { "mean": "yaer" } } } }),
            "data::unknown_column",
            "group_by.aggregates.x.mean",
        ),
        (
            json!({ "window": { "columns": { "x": { "difference": "sex" } } } }),
            "data::aggregate_type",
            "window.columns.x.difference",
        ),
        (json!({ "join": { "with": "planes", "on": "year" } }), "data::unknown_table", "join.with"),
        (json!({ "sql": " " }), "data::expression", "sql"),
        (json!({ "fill_missing": { "columns": "sex", "with": "mean" } }), "data::fitted_step", "fill_missing.with"),
    ];
    for (step, code, route) in cases {
        let params = json!({ "steps": [step] });
        let found = match catalog::kinds().get("preprocess").unwrap().stage(params.clone()) {
            Ok(stage) => infer(&*stage, dataset("data", penguins())).faults,
            Err(faults) => faults.into_vec(),
        };
        let error = code != "data::nothing_to_clean";
        let found: Vec<(String, String, bool)> = found
            .iter()
            .map(|fault| (fault.code.clone(), fault.route.as_ref().unwrap().to_string(), fault.is_error()))
            .collect();
        assert_eq!(found, [(code.to_owned(), format!("steps[0].{route}"), error)], "{params}");
    }
}

#[test]
fn ways_to_split_are_checked() {
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!({}), "split::one_part", ""),
        (json!({ "ratios": { "train": 0.5, "test": 0.5 }, "folds": 5 }), "split::two_ways", "folds"),
        (json!({ "folds": 5, "stratify": "sex", "group": "iland" }), "data::unknown_column", "group"),
        (
            json!({ "ratios": { "train": 0.5, "test": 0.5 }, "time": "year", "together": {} }),
            "split::two_ways",
            "together",
        ),
        (json!({ "folds": 5, "group": "iland" }), "data::unknown_column", "group"),
        (json!({ "cuts": { "test": 2009 } }), "split::cuts_of_what", "cuts"),
        (json!({ "time": "year", "cuts": { "train": 2009 } }), "split::part_name", "cuts.train"),
        (json!({ "time": "year", "cuts": { "test": "soon" } }), "split::cut_type", "cuts.test"),
        (json!({ "time": "sex", "cuts": { "test": "soon" } }), "split::time_type", "time"),
        (
            json!({ "by": { "column": "sex", "parts": { "train": "male", "test": "femal" } } }),
            "split::unknown_value",
            "by.parts.test",
        ),
    ];
    for (params, code, route) in cases {
        let found = match catalog::kinds().get("split").unwrap().stage(params.clone()) {
            Ok(stage) => infer(&*stage, dataset("data", penguins())).faults,
            Err(faults) => faults.into_vec(),
        };
        let found: Vec<(String, String)> =
            found.iter().map(|fault| (fault.code.clone(), fault.route.as_ref().unwrap().to_string())).collect();
        assert_eq!(found, [(code.to_owned(), route.to_owned())], "{params}");
    }
    let late = stage("split", json!({ "time": "year", "cuts": { "test": "2008-01-01" } }));
    let found = infer(&*late, dataset("data", penguins()));
    assert!(
        found.faults[0].message.starts_with("the cut the text `2008-01-01` does not fit `year`"),
        "{:?}",
        found.faults
    );
    let pixels = rows(vec![shaped(Column::new("image", DType::UInt8), &[1, 4, 4])], 50);
    let found = infer(&*stage("split", json!({ "folds": 2, "group": "image" })), dataset("data", pixels));
    assert_eq!(found.faults[0].code, "split::group_type");
}

#[test]
fn folds_overlap_only_where_they_do() {
    use contract::artifact::DatasetLineage;
    let data = DatasetType { sources: vec!["raw".into()], ..penguins() };
    let found = infer(&*stage("split", json!({ "folds": 3 })), dataset("data", data));
    let lineage = |port: &str| DatasetLineage::from(found.outputs[port].dataset().unwrap());
    let overlap = |left: &str, right: &str| catalog::columns::lineage::overlap(&lineage(left), &lineage(right));
    assert!(!overlap("train_1", "test_1") && !overlap("train_3", "test_3"));
    assert!(!overlap("test_1", "test_2"));
    assert!(overlap("train_1", "test_2") && overlap("train_1", "train_2"));
    assert_eq!(catalog::columns::lineage::shown(&lineage("test_2")), "`here.fold_2.test`");
}

#[test]
fn images_are_checked_before_they_are_cut() {
    let image = |shape: &[u64]| {
        rows(vec![shaped(Column::new("image", DType::UInt8), shape), Column::new("raw", DType::Binary)], 10)
    };
    let judge = |step: Value, shape: &[u64]| {
        let found = infer(&*stage("preprocess", json!({ "steps": [step] })), dataset("data", image(shape)));
        (found.faults.iter().map(|fault| fault.code.clone()).collect::<Vec<_>>(), columns(&found, "data"))
    };
    let (faults, after) = judge(json!({ "crop": { "columns": "image", "size": [8, 8] } }), &[3, 10, 10]);
    assert_eq!((faults.len(), after[0].as_str()), (0, "image: uint8[3, 8, 8]"));
    assert_eq!(
        judge(json!({ "crop": { "columns": "image", "size": [8, 8], "from": [3, 0] } }), &[3, 10, 10]).0,
        ["data::image_size"]
    );
    assert_eq!(judge(json!({ "greyscale": {} }), &[3, 10, 10]).1[0], "image: uint8[1, 10, 10]");
    assert_eq!(judge(json!({ "greyscale": {} }), &[2, 10, 10]).0, ["data::image_type"]);
    assert_eq!(judge(json!({ "drop_near_duplicates": { "columns": "image" } }), &[1, 4, 4]).0, ["data::near_type"]);
    assert_eq!(judge(json!({ "sort": { "by": "image" } }), &[1, 4, 4]).0, ["data::sort_type"]);
    let grouped = json!({ "group_by": { "by": "image", "aggregates": { "n": "count" } } });
    assert_eq!(judge(grouped, &[1, 4, 4]).0, ["data::key_type"]);
    let decode = json!({ "decode_images": { "column": "raw", "size": [4, 4], "on_error": "fill" } });
    assert_eq!(judge(decode, &[1, 4, 4]).0, ["data::image_fill"]);
}

#[test]
fn a_join_is_typed_before_it_runs() {
    let planes =
        |names: &[(&str, DType)]| rows(names.iter().map(|(name, dtype)| Column::new(*name, *dtype)).collect(), 9);
    let judge = |join: Value, here: DatasetType, there: DatasetType| {
        let mut inputs = dataset("data", here);
        inputs.extend(dataset("planes", there));
        let found = infer(&*stage("preprocess", json!({ "steps": [{ "join": join }] })), inputs);
        (found.faults.iter().map(|fault| fault.code.clone()).collect::<Vec<_>>(), columns(&found, "data"))
    };
    let on_year = json!({ "with": "planes", "on": "year" });
    let (faults, after) =
        judge(on_year.clone(), penguins(), planes(&[("year", DType::Int64), ("seats", DType::Int64)]));
    assert_eq!((faults.len(), after.last().unwrap().as_str()), (0, "seats: int64?"));
    assert_eq!(judge(on_year.clone(), penguins(), planes(&[("year", DType::String)])).0, ["data::join_type"]);
    assert_eq!(
        judge(json!({ "with": "planes" }), penguins(), planes(&[("year", DType::Int64)])).0,
        ["data::join_keys"]
    );
    let twice = planes(&[("year", DType::Int64), ("sex", DType::String)]);
    assert_eq!(judge(on_year.clone(), penguins(), twice).0, ["data::duplicate_column"]);
    let mut tensor = planes(&[("year", DType::Int64), ("picture", DType::UInt8)]);
    tensor.columns.as_mut().unwrap()[1].shape = vec![1, 2, 2];
    assert_eq!(judge(on_year.clone(), penguins(), tensor).0, ["data::join_tensor"]);
}

#[test]
fn all_faults_of_a_chain_are_found_at_once() {
    let steps = json!([
        { "drop": ["yeer"] },
        { "rename": { "sex": "gender" } },
        { "drop_missing": { "columns": ["sex"] } },
        { "pack": { "columns": ["island"], "into": "x" } },
    ]);
    let codes: Vec<String> = preprocess(steps, penguins()).faults.into_iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["data::unknown_column", "data::unknown_column", "data::pack_type"]);
}

#[test]
fn an_expression_is_judged_by_the_oracle() {
    let judge = |answer: Result<ExpressionType, Faults>| {
        let told = Told { expression: Some(answer), ..Told::default() };
        let steps = json!({ "steps": [{ "drop": "year" }, { "filter": "bdy > 3" }] });
        let found = infer_with(&*stage("preprocess", steps), dataset("data", penguins()), &told);
        let asked = told.asked.lock().unwrap();
        assert_eq!(asked[0].params, json!({ "filter": "bdy > 3" }));
        let about = asked[0].inputs["data"].dataset().unwrap().clone();
        assert_eq!(about.columns.unwrap().len(), 5, "the question is about the columns at this step");
        assert!(about.sources.is_empty(), "lineage would make equal questions differ");
        found.faults
    };
    assert_eq!(judge(Ok(ExpressionType { dtype: DType::Bool, missing: true })), []);
    let number = judge(Ok(ExpressionType { dtype: DType::Int64, missing: false }));
    only(number, "data::filter_type", "steps[1].filter");
    let worker = Fault::error(contract::code!("data::unknown_column"), "there is no column `bdy`")
        .help("x")
        .at(route!["expression"]);
    only(judge(Err(Faults::from(worker))), "data::unknown_column", "steps[1].filter");
}

#[test]
fn patterns_are_compiled_by_the_oracle() {
    let refusal =
        Fault::error(contract::code!("data::pattern"), "`[` is no regular expression: unclosed character class")
            .help("x");
    for (step, route) in [
        (json!({ "replace": { "columns": "sex", "pattern": "[", "with": "x" } }), "steps[0].replace.pattern"),
        (
            json!({ "split_column": { "column": "sex", "pattern": "[", "into": ["a"] } }),
            "steps[0].split_column.pattern",
        ),
    ] {
        let told = Told { expression: Some(Err(Faults::from(refusal.clone()))), ..Told::default() };
        let stage = stage("preprocess", json!({ "steps": [step] }));
        only(infer_with(&*stage, dataset("data", penguins()), &told).faults, "data::pattern", route);
        let unknown = DatasetType { columns: None, ..penguins() };
        only(infer_with(&*stage, dataset("data", unknown), &told).faults, "data::pattern", route);
    }
}

#[test]
fn a_chain_over_unknown_columns_finds_nothing() {
    let steps = json!({ "steps": [{ "drop": "a" }, { "cast": { "b": "int8" } }, { "pack": { "columns": "c*", "into": "d" } },
        { "rename": { "e": "f" } }, { "select": "g" }, { "fill_missing": { "with": 1 } }, { "filter": "h" }] });
    let found = infer(&*stage("preprocess", steps), dataset("data", DatasetType::default()));
    assert_eq!(found.faults, []);
    assert_eq!(found.outputs["data"].dataset().unwrap().columns, None);
}

#[test]
fn split_makes_a_port_of_every_part() {
    let params = json!({ "ratios": { "extra": 0.1, "test": 0.2, "train": 0.6, "validation": 0.1 } });
    let stage = stage("split", params);
    let ports: Vec<String> = stage.outputs().into_iter().map(|port| port.name).collect();
    assert_eq!(ports, ["train", "validation", "test", "extra"]);
    let found = infer(&*stage, dataset("data", images()));
    assert_eq!(found.faults, []);
    let test = found.outputs["test"].dataset().unwrap();
    assert_eq!((test.parts[0].split.as_str(), test.parts[0].part.as_str()), ("here", "test"));
    let total: u64 = ports.iter().map(|port| found.outputs[port].dataset().unwrap().rows.unwrap()).sum();
    assert_eq!(total, 1797);
}

#[test]
fn split_sizes_sum_to_the_rows() {
    assert_eq!(sizes(10, &[0.7, 0.15, 0.15]), [7, 2, 1]);
    assert_eq!(sizes(1797, &[0.7, 0.15, 0.15]), [1258, 270, 269]);
    assert_eq!(sizes(3, &[0.7, 0.3]), [2, 1]);
    assert_eq!(sizes(10, &[0.1; 10]), [1; 10]);
    assert_eq!(sizes(0, &[0.5, 0.5]), [0, 0]);
    for rows in [1, 7, 99, 1_000_003, u64::from(u32::MAX)] {
        for shares in [vec![0.3, 0.3, 0.4], vec![0.01, 0.99], vec![1.0 / 3.0; 3]] {
            assert_eq!(sizes(rows, &shares).iter().sum::<u64>(), rows);
        }
    }
}

#[test]
fn split_faults() {
    let halves = json!({ "train": 0.5, "test": 0.5 });
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!({ "ratios": { "train": 0.7, "test": 0.2 } }), "split::ratios", "ratios"),
        (json!({ "ratios": { "train": 0.7, "test": 0.4 } }), "split::ratios", "ratios"),
        (json!({ "ratios": { "train": 1.0, "test": 0.0 } }), "split::ratio", "ratios.test"),
        (json!({ "ratios": { "train": 1.0 } }), "split::one_part", "ratios"),
        (json!({ "ratios": { "my part": 0.5, "test": 0.5 } }), "split::part_name", "ratios.my part"),
        (json!({ "ratios": halves, "stratify": "lable" }), "data::unknown_column", "stratify"),
        (json!({ "ratios": halves, "stratify": "image" }), "split::stratify_type", "stratify"),
        (json!({ "ratios": { "train": 0.9999, "test": 0.0001 } }), "split::empty_part", "ratios.test"),
    ];
    for (params, code, route) in cases {
        only(faults("split", params, dataset("data", images())), code, route);
    }
    let few = DatasetType { rows: Some(15), ..images() };
    let rare = faults("split", json!({ "ratios": halves, "stratify": "label" }), dataset("data", few));
    assert!(!only(rare, "split::rare_classes", "stratify").is_error());
}

#[test]
fn split_within_rounding_is_sound() {
    let thirds = json!({ "ratios": { "a": 0.1, "b": 0.2, "c": 0.7 }, "stratify": "label" });
    assert_eq!(faults("split", thirds, dataset("data", images())), []);
}

#[test]
fn command_ports_are_named_after_files() {
    let params = json!({
        "run": "x",
        "outs": ["out/features.parquet", "a/features.csv", { "path": "plots/", "kind": "file" }, ".hidden.json",
                 { "path": "2024 é.tar.gz", "kind": "dataset" }, { "path": "m/scores.json", "kind": "metrics" }],
    });
    let stage = stage("command", params);
    let ports: Vec<(String, ArtifactKind, bool)> =
        stage.outputs().into_iter().map(|port| (port.name, port.kind, port.tree)).collect();
    assert_eq!(
        ports,
        [
            ("features".into(), ArtifactKind::File, false),
            ("features_2".into(), ArtifactKind::File, false),
            ("plots".into(), ArtifactKind::Directory, true),
            ("hidden".into(), ArtifactKind::File, false),
            ("_2024__".into(), ArtifactKind::Dataset, false),
            ("scores".into(), ArtifactKind::Metrics, false),
        ]
    );
    let found = infer(&*stage, no_inputs());
    assert_eq!(found.faults, []);
    assert_eq!(found.outputs["_2024__"], ArtifactType::unknown_dataset());
}

#[test]
fn command_roles_hold_the_names_a_program_opens() {
    let swapped = |deps: Value| -> Vec<String> {
        stage("command", json!({ "run": "x", "deps": deps })).files().into_iter().map(|file| file.role).collect()
    };
    assert_eq!(swapped(json!(["./a.csv", "b//c"])), ["dep:a.csv", "dep:b/c"]);
}

#[test]
fn command_faults() {
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!({ "run": " \n" }), "command::empty", "run"),
        (json!({ "run": "echo a\u{0}b" }), "command::nul", "run"),
        (json!({ "run": "x", "env": ["A", "B=1"] }), "command::env_name", "env[1]"),
        (json!({ "run": "x", "deps": [""] }), "command::path", "deps[0]"),
        (json!({ "run": "x", "outs": [""] }), "command::path", "outs[0]"),
        (json!({ "run": "x", "outs": ["a", "./a"] }), "command::outs_overlap", "outs[1]"),
        (
            json!({ "run": "x", "outs": ["a/b", { "path": "a", "kind": "directory" }] }),
            "command::outs_overlap",
            "outs[1].path",
        ),
        (json!({ "run": "x", "deps": ["a"], "outs": ["./a"] }), "command::reads_its_output", "outs[0]"),
        (json!({ "run": "cat $INPUT_DATA ${INPUT_DTAA}" }), "command::unknown_input", "run"),
    ];
    for (params, code, route) in cases {
        only(faults("command", params, dataset("data", images())), code, route);
    }
    let twice: Types = datasets([("a-b", images()), ("A_b", images())]);
    only(faults("command", json!({ "run": "x" }), twice), "command::input_name", "inputs.a-b");
}

#[test]
fn casts_follow_the_types_of_values() {
    use DType::{Binary, Bool, Date, Datetime, Float32, Int64, String, UInt8};
    let castable = |from: DType, to: DType| catalog::columns::cast::castable(&Column::new("x", from), to).is_ok();
    for (from, to, expected) in [
        (Int64, Float32, true),
        (Bool, UInt8, true),
        (String, Date, true),
        (Date, Datetime, true),
        (Date, Int64, false),
        (Int64, Date, false),
        (Binary, String, true),
        (Binary, Int64, false),
        (Int64, Binary, false),
        (Datetime, String, true),
    ] {
        assert_eq!(castable(from, to), expected, "{from:?} to {to:?}");
    }
    let date = Column::new("x", Date);
    let text = |text: &str| catalog::params::scalar::Scalar::Text(text.into());
    assert!(
        catalog::columns::cast::fits(&date, &text("2024-02-29"))
            && !catalog::columns::cast::fits(&date, &text("unknown"))
    );
    let tensor = shaped(Column::new("x", Float32), &[2]);
    assert!(catalog::columns::cast::castable(&tensor, UInt8).is_ok());
    assert!(catalog::columns::cast::castable(&tensor, String).is_err());
}

#[test]
fn a_tensor_is_no_target_of_a_profile() {
    only(faults("profile", json!({ "target": "image" }), dataset("data", images())), "profile::target_type", "target");
}
