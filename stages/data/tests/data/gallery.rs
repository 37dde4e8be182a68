//! Small files of text, each beside what is expected of it.
//!
//! `fixtures/<format>/<name>.<format>` is read with the parameters in `<name>.params.json` (when there is one: options of the
//! source, and `columns`), and must give `<name>.expected.json`: the columns and rows, or the faults. With
//! `UPDATE_GALLERY=1` the expectations are written anew; read the difference before you believe it.

use std::fs;
use std::path::{Path, PathBuf};

use catalog::kinds::collect::params::Collect;
use contract::fault::Fault;
use contract::worker::Channel;
use contract::worker::protocol::InputFile;
use serde_json::{Value, json};
use stages_data::answers::show::{Show, show};
use stages_data::kinds::collect::{collect, infer};
use stages_data::read::bytes::Limits;
use stages_data::table::writer::write;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fixtures")
}

fn faults(faults: &[Fault]) -> Value {
    let shown = faults.iter().map(|fault| {
        assert!(fault.help.is_some(), "a fault without help: {fault:?}");
        let place = fault.place.as_ref().map(ToString::to_string);
        let route = fault.route.as_ref().map(ToString::to_string);
        let where_ = place.or(route).unwrap_or_else(|| panic!("a fault without a place: {fault:?}"));
        json!(format!("{where_}: error[{}]: {}", fault.code, fault.message))
    });
    json!({ "faults": shown.collect::<Vec<_>>() })
}

fn read(path: &Path, format: &str, threads: usize) -> Value {
    let name = path.file_name().unwrap().to_str().unwrap();
    let extra: Value = fs::read_to_string(path.with_extension("params.json"))
        .map_or_else(|_| json!({}), |text| serde_json::from_str(&text).unwrap());
    let mut source = extra.get("from").cloned().unwrap_or_else(|| json!({}));
    source["path"] = json!([name]);
    let params: Collect = serde_json::from_value(json!({
        "from": { format: source },
        "columns": extra.get("columns").cloned().unwrap_or_else(|| json!({})),
    }))
    .unwrap();
    let files = [InputFile { role: "data".into(), path: path.to_owned(), shown: name.to_owned() }];
    let limits = Limits { threads, ..Limits::default() };
    let table = match collect(&params, &files, &limits, &Channel::silent()) {
        Ok(table) => table,
        Err(found) => return faults(&found),
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("data");
    let made = write(&table, &out, threads).unwrap();
    assert_eq!(infer(&params, &files, &limits).unwrap(), made, "what is inferred is what is made: {name}");
    let shown = show(&Show { path: out, head: 100, describe: false, sample: None, filter: None, to: None }).unwrap();
    let columns = made.columns.unwrap();
    let columns: Vec<Value> = columns
        .iter()
        .map(|column| {
            let classes =
                column.classes.as_ref().map_or_else(String::new, |classes| format!(", {} classes", classes.count));
            json!(format!("{}: {}{classes}", column.name, column.type_name()))
        })
        .collect();
    json!({ "columns": columns, "rows": shown["head"] })
}

/// One row a line, so that differences can be read.
fn pretty(value: &Value) -> String {
    let Value::Object(map) = value else { panic!("not an object") };
    let mut text = String::from("{");
    for (index, (key, list)) in map.iter().enumerate() {
        let items: Vec<String> = list.as_array().unwrap().iter().map(|item| format!("    {item}")).collect();
        let comma = if index == 0 { "" } else { "," };
        text.push_str(&format!("{comma}\n  \"{key}\": [\n{}\n  ]", items.join(",\n")));
    }
    text.push_str("\n}\n");
    text
}

#[test]
fn every_file_gives_what_is_expected_of_it() {
    let update = std::env::var_os("UPDATE_GALLERY").is_some();
    let mut wrong = Vec::new();
    let mut count = 0;
    for format in ["csv", "tsv", "jsonl"] {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(fixtures().join(format)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == format));
        paths.sort();
        for path in paths {
            count += 1;
            let found = pretty(&read(&path, format, 1));
            assert_eq!(pretty(&read(&path, format, 3)), found, "threads change nothing: {}", path.display());
            let expected = path.with_extension("expected.json");
            if update {
                fs::write(&expected, &found).unwrap();
            } else if fs::read_to_string(&expected).unwrap_or_default() != found {
                wrong.push(format!("{}\n{found}", path.display()));
            }
        }
    }
    assert!(count >= 40, "the gallery has {count} files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
