//! The JSON Schema is fresh, accepts every good file, and agrees with the decoder on everything in between.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use schemas::LoadOptions;
use serde_json::{Map, Value, json};

fn validator() -> jsonschema::Validator {
    let schema = schemas::json_schema(&catalog::kinds());
    jsonschema::draft7::options().build(&schema).expect("a schema")
}

/// A file as JSON, by the other YAML library, merge keys applied.
fn as_json(text: &str) -> Value {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text).expect("YAML");
    value.apply_merge().expect("merge keys");
    serde_json::to_value(value).expect("JSON")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

#[test]
fn the_schema_file_is_fresh() {
    let now = schemas::json_schema_text(&catalog::kinds());
    let kept = std::fs::read_to_string("pipeline.schema.json").unwrap_or_default();
    assert!(kept == now, "schemas/pipeline.schema.json is not what the kinds are now: run `cargo xtask fresh`");
}

#[test]
fn every_good_file_fits_the_schema() {
    let validator = validator();
    let mut paths = Vec::new();
    files(Path::new("samples/valid"), &mut paths);
    assert!(paths.len() >= 8);
    files(Path::new("../pipelines"), &mut paths);
    for path in paths {
        let value = as_json(&std::fs::read_to_string(&path).expect("a file"));
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn every_pipeline_loads() {
    let mut paths = Vec::new();
    files(Path::new("../pipelines"), &mut paths);
    for path in paths {
        let loaded = schemas::load(&path, &LoadOptions::default(), &catalog::kinds());
        let lines: Vec<String> = loaded.faults.iter().map(|fault| loaded.sources.diagnostic(fault).line()).collect();
        assert!(loaded.spec.is_some(), "{}: {lines:#?}", path.display());
    }
}

#[test]
fn the_examples_of_kinds_load_and_fit() {
    let validator = validator();
    let registry = catalog::kinds();
    for kind in registry.iter() {
        let example = kind.about().example;
        let indented: String = example.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!("pipeline: example\nstages:\n{indented}");
        let loaded = schemas::load_text("example.yaml", &text, &LoadOptions::default(), &registry);
        let lines: Vec<String> = loaded.faults.iter().map(|fault| loaded.sources.diagnostic(fault).line()).collect();
        assert!(loaded.spec.is_some(), "{}\n{text}\n{lines:#?}", kind.name());
        assert!(validator.is_valid(&as_json(&text)), "{}", kind.name());
    }
}

/// Editors complete from `properties`, `const`, `enum` and `oneOf`, and show `description`.
#[test]
fn editors_find_kinds_keys_choices_and_their_documentation() {
    let schema = schemas::json_schema(&catalog::kinds());
    let kinds = schema["definitions"]["stage"]["properties"]["kind"]["oneOf"].as_array().expect("kinds");
    assert!(kinds.iter().any(|kind| kind["const"] == "train"));
    assert!(kinds.iter().all(|kind| kind["description"].as_str().is_some_and(|text| text.len() > 10)));
    let train = &schema["definitions"]["stage.train"];
    assert_eq!(train["additionalProperties"], false);
    for key in ["optimizer", "epochs", "inputs", "timeout"] {
        assert!(train["properties"][key]["description"].is_string(), "{key}");
    }
    assert!(train["properties"]["inputs"]["properties"]["validation"]["description"].is_string());
    let optimizers = schema["definitions"]["Optimizer"]["oneOf"].as_array().expect("optimizers");
    let bare = |branch: &&Value| branch["const"] == "adam" && branch["description"].is_string();
    assert_eq!(optimizers.iter().filter(bare).count(), 1);
    assert!(optimizers.iter().any(|branch| branch["properties"]["adam"].is_object()));
    let text = schema.to_string();
    assert!(!text.contains("\"x-"), "decoder's marks are left in the schema");
    for target in text.split("\"$ref\":\"#/definitions/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(schema["definitions"].get(target).is_some(), "`{target}` is not defined");
    }
}

/// A change of a document: where (a number that picks a node), and what happens there.
#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    Remove,
    Add(String, Value),
    Rename(String),
    Wrap,
    Only,
}

fn values() -> impl Strategy<Value = Value> {
    let words = [
        "adam",
        "relu",
        "static",
        "csv",
        "train",
        "x",
        "",
        "auto",
        "cuda:0",
        "5m",
        "2GiB",
        "raw.data",
        "a.b.c",
        "no",
        "float32",
        "onnx",
        "drop_duplicates",
        "cnn",
        "accuracy",
        "1",
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3i64..70_000).prop_map(|number| json!(number)),
        prop_oneof![Just(5_000_000_000_i64), Just(-1), Just(0), Just(1), Just(2)].prop_map(|number| json!(number)),
        prop_oneof![Just(0.5), Just(-0.25), Just(2.0), Just(1e-9), Just(0.95), Just(0.97)]
            .prop_map(|number| json!(number)),
        proptest::sample::select(words.to_vec()).prop_map(|word| json!(word)),
        Just(json!([])),
        Just(json!({})),
        Just(json!([1, 2])),
        Just(json!(["a", "b"])),
        Just(json!({ "adam": { "lr": 1 } })),
        Just(json!({ "path": "x" })),
        Just(json!({ "a": 1, "b": 2 })),
    ]
}

fn changes() -> impl Strategy<Value = (usize, Change)> {
    let keys = [
        "seed",
        "device",
        "kind",
        "lr",
        "epochs",
        "path",
        "columns",
        "adam",
        "sgd",
        "needs",
        "tags",
        "cache",
        "timeout",
        "resources",
        "retries",
        "memory",
        "cpus",
        "x",
        "inputs",
        "steps",
        "stages",
        "model",
        "dropout",
        "description",
    ];
    let key = || proptest::sample::select(keys.to_vec()).prop_map(str::to_owned);
    let change = prop_oneof![
        4 => values().prop_map(Change::Replace),
        1 => Just(Change::Remove),
        3 => (key(), values()).prop_map(|(key, value)| Change::Add(key, value)),
        1 => key().prop_map(Change::Rename),
        1 => Just(Change::Wrap),
        1 => Just(Change::Only),
    ];
    (any::<usize>(), change)
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(object) => object.values().map(count).sum(),
        _ => 0,
    }
}

/// Carries a change out at the `at`-th node; below `vars` everything is allowed, so nothing is changed there.
fn apply(value: &mut Value, at: &mut usize, change: &Change) {
    if *at == 0 {
        *at = usize::MAX;
        match (change, &mut *value) {
            (Change::Replace(new), place) => *place = new.clone(),
            (Change::Remove, Value::Array(items)) => drop(items.pop()),
            (Change::Remove, Value::Object(object)) => {
                if let Some(key) = object.keys().next().cloned() {
                    object.remove(&key);
                }
            }
            (Change::Add(_, new), Value::Array(items)) => items.push(new.clone()),
            (Change::Add(key, new), Value::Object(object)) => drop(object.insert(key.clone(), new.clone())),
            (Change::Rename(to), Value::Object(object)) => {
                if let Some((_, value)) = object.keys().next_back().cloned().and_then(|key| object.remove_entry(&key)) {
                    object.insert(to.clone(), value);
                }
            }
            (Change::Wrap, place) => *place = Value::Array(vec![place.take()]),
            (Change::Only, Value::Array(items)) if items.len() == 1 => *value = items.remove(0),
            (Change::Only, Value::Object(object)) if object.len() == 1 => {
                let only = object.keys().next().cloned().unwrap_or_default();
                *value = Value::String(only);
            }
            _ => {}
        }
        return;
    }
    let mut next = |inner: &mut Value| {
        if *at != usize::MAX {
            *at -= 1;
            apply(inner, at, change);
        }
    };
    match value {
        Value::Array(items) => items.iter_mut().for_each(&mut next),
        Value::Object(object) => object.iter_mut().filter(|(key, _)| *key != "vars").for_each(|(_, inner)| next(inner)),
        _ => {}
    }
}

fn documents() -> Vec<Value> {
    let mut paths = Vec::new();
    files(Path::new("samples/valid"), &mut paths);
    let plain = paths.iter().map(|path| std::fs::read_to_string(path).expect("a sample"));
    plain.filter(|text| !text.contains("${") && !text.contains("# set:")).map(|text| as_json(&text)).collect()
}

/// The document with its stages as YAML writes them.
fn accepted(document: &Value) -> (bool, String) {
    let text = schemas::yaml::write::yaml(document).expect("YAML");
    let loaded = schemas::load_text("samples/valid/x.yaml", &text, &LoadOptions::default(), &catalog::kinds());
    let lines: Vec<String> = loaded.faults.iter().map(|fault| loaded.sources.diagnostic(fault).line()).collect();
    (loaded.spec.is_some(), lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_decoder_and_the_schema_agree(which in any::<usize>(), changes in proptest::collection::vec(changes(), 1..4)) {
        thread_local!(static VALIDATOR: (jsonschema::Validator, Vec<Value>) = (validator(), documents()));
        VALIDATOR.with(|(validator, documents)| {
            let mut document = documents[which % documents.len()].clone();
            for (at, change) in &changes {
                let mut at = at % count(&document);
                apply(&mut document, &mut at, change);
            }
            let (ours, lines) = accepted(&document);
            let theirs: Vec<String> =
                validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
            prop_assert_eq!(ours, theirs.is_empty(), "{:#}\nours: {}\nschema: {:#?}", document, lines, theirs);
            Ok(())
        })?;
    }

    #[test]
    fn no_text_makes_a_panic(text in "[a-z:{}\\[\\],&*!|>'\"#%@`\\-? \n\t$<~.0-9\u{e9}\u{1f980}]{0,120}") {
        let loaded = schemas::load_text("x.yaml", &text, &LoadOptions::default(), &catalog::kinds());
        for fault in &loaded.faults {
            let diagnostic = loaded.sources.diagnostic(fault);
            prop_assert!(!diagnostic.line().is_empty());
            let mut out = String::new();
            let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
            prop_assert!(handler.render_report(&mut out, &diagnostic).is_ok());
        }
    }

    #[test]
    fn no_damage_to_a_good_file_makes_a_panic(at in any::<prop::sample::Index>(), cut in 0usize..30, put in "[:{}\\[\\],&*!|>'\"#%@` \n\t$\u{e9}]{0,4}") {
        let text = std::fs::read_to_string("samples/valid/digits.yaml").expect("a sample");
        let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let from = *at.get(&boundaries);
        let until = boundaries[(boundaries.partition_point(|at| *at < from) + cut).min(boundaries.len() - 1)].max(from);
        let damaged = format!("{}{put}{}", &text[..from], &text[until..]);
        let loaded = schemas::load_text("samples/valid/x.yaml", &damaged, &LoadOptions::default(), &catalog::kinds());
        for fault in &loaded.faults {
            prop_assert!(loaded.sources.diagnostic(fault).location.is_some() || fault.place.is_some(), "{:?}", fault);
        }
    }
}

#[test]
fn bombs_and_towers_are_refused() {
    let code = |text: &str| {
        let loaded = schemas::load_text("x.yaml", text, &LoadOptions::default(), &catalog::kinds());
        assert!(loaded.spec.is_none());
        let bad = loaded.faults.iter().find(|fault| !fault.code.starts_with("document"));
        bad.map(|fault| fault.code.clone()).unwrap_or_default()
    };
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = level - 1;
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", format!("*a{below},").repeat(10)));
    }
    assert_eq!(code(&laughs), "yaml::alias_bomb");
    assert_eq!(code(&"[".repeat(1_000_000)), "yaml::too_deep");
    assert_eq!(code(&"{a: ".repeat(100_000)), "yaml::too_deep");
    assert_eq!(code(&"- ".repeat(100_000)), "yaml::too_deep");
    let tower: String = (0..20_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).take(3_000).collect();
    assert_eq!(code(&tower), "yaml::too_deep");
    let mut vars = String::from("vars:\n  a0: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n");
    for level in 1..12 {
        let item = format!("\"${{vars.a{}}}\"", level - 1);
        vars.push_str(&format!("  a{level}: [{}]\n", vec![item; 10].join(", ")));
    }
    assert_eq!(code(&vars), "vars::bomb");
}

/// Texts multiply as lists do: what they may come to is counted before it is made.
#[test]
fn texts_of_texts_are_refused_before_they_are_made() {
    let codes = |text: &str| {
        let loaded = schemas::load_text("x.yaml", text, &LoadOptions::default(), &catalog::kinds());
        let place = loaded.faults.iter().all(|fault| loaded.sources.diagnostic(fault).position.is_some());
        assert!(loaded.spec.is_none() && place, "{:?}", loaded.faults);
        assert!(loaded.faults.iter().all(|fault| fault.help.is_some()), "{:?}", loaded.faults);
        loaded.faults.iter().map(|fault| fault.code.clone()).collect::<Vec<_>>()
    };
    let mut vars = String::from("pipeline: x\nvars:\n  a0: xxxxxxxxxx\n");
    for level in 1..12 {
        vars.push_str(&format!("  a{level}: \"{}\"\n", format!("${{vars.a{}}}", level - 1).repeat(10)));
    }
    // Seven levels are as much as a whole document may have; eleven are ten thousand times that.
    for level in [7, 11] {
        let text = format!("{vars}stages: {{ a: {{ kind: command, run: 'echo ${{vars.a{level}}}' }} }}\n");
        assert_eq!(codes(&text), ["vars::too_long"], "{level}");
    }
    let long = "x".repeat(100_000);
    let axis: Vec<String> = (0..100).map(|at| at.to_string()).collect();
    let axis = axis.join(", ");
    let matrix = format!("matrix: {{ a: [{axis}], b: [{axis}] }}");
    let five = "${vars.long} ".repeat(5);
    for stage in [
        format!("{{ kind: command, {matrix}, run: 'echo {five}' }}"),
        format!("{{ kind: command, {matrix}, run: '${{vars.long}}' }}"),
    ] {
        assert_eq!(
            codes(&format!("pipeline: x\nvars: {{ long: {long} }}\nstages: {{ a: {stage} }}\n")),
            ["vars::too_long"]
        );
    }
    // Of one text, written once: in the stage, among the values of an axis, as a default, behind an alias.
    let text = format!("pipeline: x\nstages: {{ a: {{ kind: command, {matrix}, run: '{long}' }} }}\n");
    assert_eq!(codes(&text), ["matrix::too_large"]);
    let text = format!(
        "pipeline: x\nstages: {{ a: {{ kind: command, matrix: {{ a: [{axis}], b: [{axis}], c: ['{long}'] }}, run: 'true' }} }}\n"
    );
    assert_eq!(codes(&text), ["matrix::too_large"]);
    let text = format!(
        "pipeline: x\ndefaults: {{ command: {{ run: '{long}' }} }}\nstages: {{ a: {{ kind: command, {matrix} }} }}\n"
    );
    assert_eq!(codes(&text), ["defaults::too_long"]);
    let text = format!("pipeline: x\nvars: {{ a: &a '{long}', b: [{}] }}\nstages: {{}}\n", "*a, ".repeat(1_000));
    assert_eq!(codes(&text), ["yaml::alias_bomb"]);
    // A million stages of no size are too many, too.
    let many: String = (0..101).map(|at| format!("  s{at}: {{ matrix: {{ a: [{axis}], b: [{axis}] }} }}\n")).collect();
    assert!(codes(&format!("pipeline: x\nstages:\n{many}")).contains(&"matrix::too_large".to_owned()));
}

/// What `load` does with a large file is linear: no clone of the whole, no search through all stages for each.
#[test]
fn large_files_load() {
    let mut stages = Map::new();
    for at in 0..5_000 {
        let before = if at == 0 { json!([]) } else { json!([format!("s{}", at - 1)]) };
        stages.insert(
            format!("s{at}"),
            json!({ "kind": "command", "run": format!("echo {at}"), "outs": [format!("out/{at}.txt")], "needs": before }),
        );
    }
    let text = schemas::yaml::write::yaml(&json!({ "pipeline": "large", "stages": stages })).expect("YAML");
    let loaded = schemas::load_text("x.yaml", &text, &LoadOptions::default(), &catalog::kinds());
    let lines: Vec<String> = loaded.faults.iter().map(|fault| loaded.sources.diagnostic(fault).line()).collect();
    assert_eq!(loaded.spec.map(|spec| spec.stages.len()), Some(5_000), "{lines:?}");
}
