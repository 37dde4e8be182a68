//! Data larger than the memory it is worked on with: the real program under a limit of the kernel's.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use engine::protocol::InputFile;
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
