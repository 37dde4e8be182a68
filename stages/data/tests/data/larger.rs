//! Data larger than the memory it is worked on with: the real program under a limit of the kernel's.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use contract::worker::protocol::InputFile;
use serde_json::{Value, json};

use super::program::{Worker, artifact, collect_params};

const MIB: u64 = 1 << 20;
const ROWS: u64 = 980_000;
const COLUMNS: u64 = 10;

/// Ten columns of whole numbers and a class, 84 MiB as a data set. One row in 70 repeats an earlier one, one cell in 90 is
/// missing, and only the very last row tells that the column `late` is text.
fn source(path: &Path) {
    let mut out = BufWriter::new(fs::File::create(path).unwrap());
    let names: Vec<String> = (0..COLUMNS).map(|column| format!("n{column}")).collect();
    writeln!(out, "{},late,class", names.join(",")).unwrap();
    let mut line = String::new();
    for row in 0..ROWS {
        let same = if row % 70 == 69 { row - 50 } else { row };
        line.clear();
        for column in 0..COLUMNS {
            let cell = (same + 1) * (2 * column + 3) % 1_500_007;
            if (same + column) % 90 != 0 {
                line.push_str(&cell.to_string());
            }
            line.push(',');
        }
        let late = if row + 1 == ROWS { "seven" } else { "7" };
        writeln!(out, "{line}{late},{}", ["red", "green", "blue"][(same % 3) as usize]).unwrap();
    }
    out.into_inner().unwrap();
}

/// Collects, cleans and splits; the files that came out, in order.
fn life(worker: &mut Worker, csv: &Path, memory: Option<u64>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut request = worker.request("collect", collect_params(json!({ "csv": "large.csv" })), &["data"]);
    request.memory = memory;
    request.files = vec![InputFile { role: "data".into(), path: csv.to_owned(), shown: "large.csv".into() }];
    let (collected, _) = worker.run(&request).unwrap();
    assert_eq!(collected.summary["rows"], ROWS as f64);
    let mut data = artifact(&request.outputs["data"], &collected.types["data"]);
    files.push(data.path.clone());
    let steps = json!([
        { "drop_duplicates": {} },
        { "fill_missing": { "columns": ["n*"], "with": 5 } },
        { "filter": "n0 < 1200000" },
        { "derive": { "sum": "n1 + n2" } },
    ]);
    let mut request =
        worker.request("preprocess", json!({ "steps": steps, "keep_rejected": 100 }), &["data", "rejected"]);
    request.memory = memory;
    request.inputs.insert("data".into(), data);
    let (cleaned, _) = worker.run(&request).unwrap();
    let [ref distinct, ..] = cleaned.observations["steps"].as_array().unwrap()[..] else { panic!("no steps") };
    // The last row would be a repeat, were it not for its column `late`.
    assert_eq!((&distinct["rows_in"], &distinct["rejected"]), (&json!(ROWS), &json!(ROWS / 70 - 1)));
    data = artifact(&request.outputs["data"], &cleaned.types["data"]);
    files.extend(request.outputs.values().cloned());
    let params: Value = json!({ "ratios": { "train": 0.7, "test": 0.3 }, "stratify": "class" });
    let mut request = worker.request("split", params, &["train", "test"]);
    request.memory = memory;
    request.inputs.insert("data".into(), data);
    worker.run(&request).unwrap();
    files.extend(request.outputs.values().cloned());
    files
}

#[test]
fn a_table_larger_than_the_memory_there_is_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("large.csv");
    source(&csv);
    let limit = 64 * MIB;
    let mut small = Worker::limited(limit);
    let inside = life(&mut small, &csv, Some(32 * MIB));
    assert!(fs::metadata(&inside[0]).unwrap().len() > limit + 16 * MIB, "the data is larger than the memory");
    let mut large = Worker::limited(1 << 40);
    let outside = life(&mut large, &csv, Some(1 << 40));
    for (one, other) in inside.iter().zip(&outside) {
        assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{} differs", one.display());
    }
}

/// Objects of the same columns, 72 MB of text.
fn objects(path: &Path, rows: u64) {
    let mut out = BufWriter::new(fs::File::create(path).unwrap());
    for row in 0..rows {
        let cells: Vec<String> = (0..COLUMNS)
            .filter(|column| (row + column) % 90 != 0)
            .map(|column| format!("\"n{column}\":{}", (row + 1) * (2 * column + 3) % 1_500_007))
            .collect();
        let late = if row + 1 == rows { "\"seven\"" } else { "7" };
        let class = ["red", "green"][row as usize % 2];
        writeln!(out, "{{{},\"late\":{late},\"class\":\"{class}\"}}", cells.join(",")).unwrap();
    }
    out.into_inner().unwrap();
}

/// Collects both sources, and carries out the steps that need every row; the files that came out.
fn whole(worker: &mut Worker, jsonl: &Path, arrow: &Path, memory: Option<u64>) -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    let mut collect = |worker: &mut Worker, kind: &str, path: &Path| {
        let mut request = worker.request("collect", collect_params(json!({ kind: "large" })), &["data"]);
        request.memory = memory;
        request.files = vec![InputFile { role: "data".into(), path: path.to_owned(), shown: "large".into() }];
        let (collected, _) = worker.run(&request).unwrap();
        files.push((kind.to_owned(), request.outputs["data"].clone()));
        artifact(&request.outputs["data"], &collected.types["data"])
    };
    collect(worker, "jsonl", jsonl);
    let data = collect(worker, "arrow", arrow);
    for step in [
        json!({ "sort": { "by": ["class", "n1"], "descending": true } }),
        json!({ "window": {
            "by": "class", "order": "n1", "columns": { "sum": { "sum": "n2" }, "last": { "lag": "n3" } }
        } }),
        json!({ "join": { "with": "other", "on": "n0", "columns": ["n1"], "suffix": "_other" } }),
        json!({ "group_by": { "by": "n0", "aggregates": { "mean": { "mean": "n1" }, "rows": "count" } } }),
        json!({ "group_by": { "by": "class", "aggregates": { "mean": { "mean": "n1" }, "rows": "count" } } }),
        json!({ "filter": "n0 < 50000" }),
    ] {
        let mut request = worker.request("preprocess", json!({ "steps": [step] }), &["data", "rejected"]);
        request.memory = memory;
        request.inputs.insert("data".into(), data.clone());
        if step.get("join").is_some() {
            request.inputs.insert("other".into(), data.clone());
        }
        let (done, _) = worker.run(&request).unwrap_or_else(|faults| panic!("{step}: {faults:?}"));
        if step.get("filter").is_some() {
            let kept = done.types["rejected"].dataset().unwrap().rows.unwrap();
            assert!(kept > ROWS * 9 / 10 && done.summary["rejected.rows"] == kept as f64, "every one is kept: {kept}");
        }
        files.extend(request.outputs.into_iter().map(|(port, path)| (format!("{step} {port}"), path)));
    }
    let params = json!({ "expect": [{ "column": ["n1", "n2"], "unique": true, "mostly": 0.5 }] });
    let mut request = worker.request("profile", params, &["profile", "report"]);
    request.memory = memory;
    request.inputs.insert("data".into(), data);
    worker.run(&request).unwrap();
    files.extend(request.outputs.into_iter().map(|(port, path)| (format!("profile {port}"), path)));
    files
}

#[test]
fn what_needs_every_row_gives_the_same_bytes_in_less_memory_than_the_rows_take() {
    let folder = tempfile::tempdir().unwrap();
    let (csv, jsonl) = (folder.path().join("large.csv"), folder.path().join("large.jsonl"));
    source(&csv);
    objects(&jsonl, 480_000);
    let limit = 64 * MIB;
    assert!(fs::metadata(&jsonl).unwrap().len() > limit, "the text is larger than the memory");
    let mut large = Worker::limited(1 << 40);
    let mut request = large.request("collect", collect_params(json!({ "csv": "large.csv" })), &["data"]);
    request.files = vec![InputFile { role: "data".into(), path: csv, shown: "large.csv".into() }];
    let (collected, _) = large.run(&request).unwrap();
    let arrow = request.outputs["data"].clone();
    assert!(fs::metadata(&arrow).unwrap().len() > limit + 16 * MIB, "the rows are larger than the memory");
    let outside = whole(&mut large, &jsonl, &arrow, Some(1 << 40));
    let mut small = Worker::limited(limit);
    let inside = whole(&mut small, &jsonl, &arrow, Some(32 * MIB));
    for ((what, one), (_, other)) in inside.iter().zip(&outside) {
        assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{what} differs");
    }
    // Of a join that is too much to be held both sides are sorted.
    let joined = |worker: &mut Worker, query: &str, memory: u64| {
        let steps = json!([{ "sql": query }]);
        let mut request = worker.request("preprocess", json!({ "steps": steps }), &["data", "rejected"]);
        request.memory = Some(memory);
        request.inputs.insert("data".into(), artifact(&arrow, &collected.types["data"]));
        worker.run(&request).map(|_| fs::read(&request.outputs["data"]).unwrap())
    };
    for query in [
        "SELECT a.n0, b.n1, a.late FROM data a JOIN data b ON a.n0 = b.n0 AND a.n1 = b.n1 ORDER BY a.n0, b.n1, a.late",
        "SELECT a.n0, a.n2, b.n1 FROM data a LEFT JOIN data b ON a.n0 = b.n2 ORDER BY a.n0, a.n2, b.n1",
        "SELECT class, n3 FROM data WHERE n3 IN (SELECT n4 FROM data) ORDER BY n3, class",
    ] {
        let outside = joined(&mut large, query, 1 << 40).unwrap();
        let inside =
            joined(&mut Worker::limited(limit), query, 32 * MIB).unwrap_or_else(|faults| panic!("{query}: {faults:?}"));
        assert!(inside == outside, "{query}");
    }
    // What cannot be done says so, with the memory that would do.
    let query = "SELECT median(n0) AS a, median(n1) AS b, median(n2) AS c FROM data";
    let faults = joined(&mut Worker::limited(limit), query, 24 * MIB).unwrap_err();
    assert_eq!(faults[0].code, "data::memory");
    assert!(faults[0].message.starts_with("`sql` needs about "), "{faults:?}");
    assert!(faults[0].help.as_ref().unwrap().contains("resources: { memory: "), "{faults:?}");
}

#[test]
fn the_limit_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("large.csv");
    source(&csv);
    let mut worker = Worker::limited(64 * MIB);
    let mut request = worker.request("collect", collect_params(json!({ "csv": "large.csv" })), &["data"]);
    // It believes there is more than there is, and holds everything.
    request.memory = Some(1 << 40);
    request.files = vec![InputFile { role: "data".into(), path: csv, shown: "large.csv".into() }];
    assert!(!worker.survives(&request));
}
