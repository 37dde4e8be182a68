//! The real program, spoken to over its protocol.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use catalog::kinds::collect::params::Collect;
use contract::artifact::{ArtifactType, DatasetType};
use contract::kind::{FileInput, Question};
use contract::route;
use contract::worker::protocol::{Finished, InputArtifact, InputFile, PROTOCOL, Request, Response, RunRequest};
use serde_json::{Value, json};

pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
    next: u64,
}

impl Worker {
    pub fn start() -> Self {
        Self::of(Command::new(env!("CARGO_BIN_EXE_pipeline-data")))
    }

    /// A worker that the kernel gives so much memory of its own (mapped files do not count), and no more.
    pub fn limited(bytes: u64) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -d \"$1\" && exec \"$2\"", "sh", &(bytes >> 10).to_string()]);
        command.arg(env!("CARGO_BIN_EXE_pipeline-data"));
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut worker = Self { child, input, output, folder: tempfile::tempdir().unwrap(), next: 1 };
        let Response::Hello(hello) = worker.line() else { panic!("no hello") };
        assert_eq!((hello.protocol, hello.program.as_str()), (PROTOCOL, "pipeline-data"));
        worker
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn line(&mut self) -> Response {
        self.heard().unwrap_or_else(|| panic!("the worker is gone"))
    }

    /// `None` when the worker is gone.
    fn heard(&mut self) -> Option<Response> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        if line.is_empty() {
            return None;
        }
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// Whether the worker lives through a request.
    pub fn survives(&mut self, request: &RunRequest) -> bool {
        let mut line = serde_json::to_string(&Request::Run(Box::new(request.clone()))).unwrap();
        line.push('\n');
        self.input.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        loop {
            match self.heard() {
                None => return false,
                Some(Response::Done { .. } | Response::Failed { .. }) => return true,
                Some(_) => {}
            }
        }
    }

    fn ask(&mut self, request: &Request) -> (Response, Vec<Response>) {
        let mut line = serde_json::to_string(request).unwrap();
        line.push('\n');
        self.input.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        let mut before = Vec::new();
        loop {
            let response = self.line();
            match response {
                Response::Done { .. } | Response::Answer { .. } | Response::Failed { .. } => return (response, before),
                other => before.push(other),
            }
        }
    }

    pub fn request(&mut self, kind: &str, params: Value, outputs: &[&str]) -> RunRequest {
        self.next += 1;
        let id = self.next;
        let scratch = self.path(&format!("scratch-{id}"));
        std::fs::create_dir(&scratch).unwrap();
        RunRequest {
            id,
            stage: format!("the_{kind}"),
            kind: kind.into(),
            version: catalog::kinds().get(kind).map_or(1, |kind| kind.version()),
            params,
            seed: 7,
            device: "cpu".into(),
            inputs: BTreeMap::new(),
            files: Vec::new(),
            outputs: outputs.iter().map(|port| ((*port).to_owned(), self.path(&format!("{id}-{port}")))).collect(),
            scratch,
            root: self.folder.path().to_owned(),
            threads: 2,
            memory: None,
        }
    }

    pub fn run(&mut self, request: &RunRequest) -> Result<(Finished, Vec<Response>), contract::fault::Faults> {
        match self.ask(&Request::Run(Box::new(request.clone()))) {
            (Response::Done { id, finished }, before) => {
                assert_eq!(id, request.id);
                Ok((finished, before))
            }
            (Response::Failed { faults, .. }, _) => Err(faults),
            (other, _) => panic!("{other:?}"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

fn csv(worker: &Worker, name: &str, text: &str) -> InputFile {
    let path = worker.path(name);
    std::fs::write(&path, text).unwrap();
    InputFile { role: "data".into(), path, shown: name.into() }
}

pub fn collect_params(from: Value) -> Value {
    let params: Collect = serde_json::from_value(json!({ "from": from })).unwrap();
    serde_json::to_value(params).unwrap()
}

pub fn artifact(path: &Path, artifact: &ArtifactType) -> InputArtifact {
    InputArtifact { path: path.to_owned(), artifact: artifact.clone(), digest: "0".repeat(64) }
}

fn rows(finished: &Finished, port: &str) -> Option<u64> {
    finished.types[port].dataset().unwrap().rows
}

#[test]
fn from_a_file_to_parts() {
    let mut worker = Worker::start();
    let mut text = String::from("x1,x2,label\n");
    for row in 0..100 {
        text.push_str(&format!("{row},{},{}\n", row * 2, ["a", "b"][row % 2]));
    }
    text.push_str("0,0,a\n,1,b\n");
    let mut request = worker.request("collect", collect_params(json!({ "csv": "d.csv" })), &["data"]);
    request.files = vec![csv(&worker, "d.csv", &text)];
    let (collected, before) = worker.run(&request).unwrap();
    assert_eq!(rows(&collected, "data"), Some(102));
    assert_eq!(collected.summary["rows"], 102.0);
    assert!(before.iter().any(|line| matches!(line, Response::Progress { .. })), "progress is told: {before:?}");
    assert_eq!(collected.types["data"].dataset().unwrap().sources, ["the_collect"]);
    let data = artifact(&request.outputs["data"], &collected.types["data"]);

    let steps = json!({ "steps": [
        { "drop_duplicates": {} },
        { "drop_missing": { "columns": null } },
        { "pack": { "columns": ["x*"], "into": "x", "shape": null, "divide_by": 1.0 } },
    ], "keep_rejected": 10 });
    let mut request = worker.request("preprocess", steps, &["data", "rejected"]);
    request.inputs.insert("data".into(), data);
    let (cleaned, before) = worker.run(&request).unwrap();
    assert_eq!(rows(&cleaned, "data"), Some(100));
    let logged: Vec<&str> = before
        .iter()
        .filter_map(|line| match line {
            Response::Log { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        logged,
        [
            "drop_duplicates: 102 → 101 rows (1 dropped)",
            "drop_missing: 101 → 100 rows (1 dropped)",
            "pack: 100 → 100 rows, 3 → 2 columns, 100 cells changed",
        ]
    );
    assert_eq!(rows(&cleaned, "rejected"), Some(2));
    assert_eq!(cleaned.observations["steps"][0]["rows_out"], 101);
    let clean = artifact(&request.outputs["data"], &cleaned.types["data"]);

    let params = json!({ "ratios": { "train": 0.7, "validation": 0.15, "test": 0.15 }, "stratify": "label" });
    let mut request = worker.request("split", params, &["train", "validation", "test"]);
    request.inputs.insert("data".into(), clean);
    let (parts, _) = worker.run(&request).unwrap();
    assert_eq!(
        [rows(&parts, "train"), rows(&parts, "validation"), rows(&parts, "test")],
        [Some(70), Some(15), Some(15)]
    );
    let test = parts.types["test"].dataset().unwrap();
    assert_eq!((test.parts[0].split.as_str(), test.parts[0].part.as_str()), ("the_split", "test"));
    assert_eq!(test.sources, ["the_collect"]);
    let first = std::fs::read(&request.outputs["train"]).unwrap();
    let mut again = request.clone();
    again.outputs = again.outputs.keys().map(|port| (port.clone(), worker.path(&format!("again-{port}")))).collect();
    again.threads = 5;
    worker.run(&again).unwrap();
    assert!(std::fs::read(&again.outputs["train"]).unwrap() == first, "the same seed gives the same bytes");

    let question = |path: &Path| Question {
        kind: "show".into(),
        version: 1,
        params: json!({ "path": path, "head": 2, "describe": true }),
        inputs: BTreeMap::new(),
        files: Vec::new(),
    };
    let ask = Request::Infer {
        id: 99,
        root: worker.folder.path().into(),
        question: Box::new(question(&request.outputs["test"])),
        files: Vec::new(),
    };
    let (Response::Answer { id: 99, value }, _) = worker.ask(&ask) else { panic!("no answer") };
    assert_eq!(value["rows"], 15);
    assert_eq!(value["columns"][0]["type"], "float32[2]");
    assert_eq!(value["columns"][1]["distinct"], 2);
    assert_eq!(value["columns"][1]["min"], "a");
    assert_eq!(value["head"].as_array().unwrap().len(), 2);
}

#[test]
fn faults_come_back_and_the_worker_lives_on() {
    let mut worker = Worker::start();
    let mut request = worker.request("collect", collect_params(json!({ "csv": "d.csv" })), &["data"]);
    request.files = vec![csv(&worker, "d.csv", "a,b\n1,2\n3\n")];
    let faults = worker.run(&request).unwrap_err();
    assert_eq!(faults[0].code, "data::malformed_row");
    assert_eq!(faults[0].place.as_ref().unwrap().to_string(), "d.csv:3:1");
    request.version += 1;
    assert_eq!(worker.run(&request).unwrap_err()[0].code, "worker::version");
    request.kind = "train".into();
    request.version = catalog::kinds().get("train").unwrap().version();
    assert_eq!(worker.run(&request).unwrap_err()[0].code, "worker::unknown_kind");
    let mut request = worker.request("preprocess", json!({ "steps": [], "keep_rejected": 1 }), &["data", "rejected"]);
    let damaged = worker.path("damaged");
    std::fs::write(&damaged, "ARROW1 and then nothing").unwrap();
    request.inputs.insert("data".into(), artifact(&damaged, &ArtifactType::unknown_dataset()));
    assert_eq!(worker.run(&request).unwrap_err()[0].code, "data::damaged_dataset");
    let mut request = worker.request("collect", collect_params(json!({ "csv": "e.csv" })), &["data"]);
    request.files = vec![csv(&worker, "e.csv", "a\n1\n")];
    assert_eq!(rows(&worker.run(&request).unwrap().0, "data"), Some(1), "and goes on");
}

#[test]
fn a_full_disk_is_said() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let mut worker = Worker::start();
    let mut request = worker.request("collect", collect_params(json!({ "csv": "d.csv" })), &["data"]);
    request.files = vec![csv(&worker, "d.csv", "a,b\n1,2\n")];
    request.outputs.insert("data".into(), "/dev/full".into());
    assert_eq!(worker.run(&request).unwrap_err()[0].code, "data::disk_full");
}

#[test]
fn questions_are_answered() {
    let mut worker = Worker::start();
    let file = csv(&worker, "d.csv", "mass,sex\n1.5,m\n,f\n");
    let collect = Question {
        kind: "collect".into(),
        version: 1,
        params: collect_params(json!({ "csv": "d.csv" })),
        inputs: BTreeMap::new(),
        files: vec![FileInput { role: "data".into(), path: "d.csv".into(), glob: false, route: route!["from", "csv"] }],
    };
    let root = worker.folder.path().to_owned();
    let ask = Request::Infer { id: 5, root: root.clone(), question: Box::new(collect), files: vec![file] };
    let (Response::Answer { value, .. }, _) = worker.ask(&ask) else { panic!("no answer") };
    let dataset: DatasetType = serde_json::from_value(value).unwrap();
    assert_eq!(dataset.rows, Some(2));
    assert_eq!(dataset.column("mass").unwrap().type_name(), "float64?");
    assert_eq!(dataset.column("sex").unwrap().classes.as_ref().unwrap().values, ["f", "m"]);

    let filter = |text: &str| Question {
        kind: "preprocess".into(),
        version: 1,
        params: json!({ "filter": text }),
        inputs: [("data".to_owned(), ArtifactType::Dataset(dataset.clone().into()))].into(),
        files: Vec::new(),
    };
    let ask =
        |text: &str| Request::Infer { id: 6, root: root.clone(), question: Box::new(filter(text)), files: Vec::new() };
    let (answer, _) = worker.ask(&ask("mass > 1 AND sex = 'm'"));
    assert!(matches!(&answer, Response::Answer { value, .. } if value["dtype"] == "bool"), "{answer:?}");
    let (answer, _) = worker.ask(&ask("mas > 1"));
    let Response::Failed { faults, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(faults[0].help.as_deref(), Some("did you mean `mass`?"));
    for (pattern, with, wrong) in [
        ("(a)(b)", "$2-$1 $0 $$5", None),
        ("(?<first>a)", "$first $1", None),
        ("(a)", "${1}st", None),
        ("(a)", "$3", Some(("`$3` is no group of the pattern, which has 1 group", "numbered from 1"))),
        ("a", "${name}", Some(("`$name` is no group of the pattern, which has no groups", "parentheses"))),
        ("(a)", "$1st", Some(("`$1st` is no group of the pattern, which has 1 group", "write `$${1}st`"))),
    ] {
        let params = json!({ "pattern": { "text": pattern, "groups": null, "with": with } });
        let question = Question { params, ..filter("") };
        let request = Request::Infer { id: 7, root: root.clone(), question: Box::new(question), files: Vec::new() };
        match (worker.ask(&request).0, wrong) {
            (Response::Answer { .. }, None) => {}
            (Response::Failed { faults, .. }, Some((message, help))) => {
                assert_eq!(faults[0].message, message, "{with}");
                assert!(faults[0].help.as_ref().is_some_and(|text| text.contains(help)), "{with}: {faults:?}");
            }
            (answer, _) => panic!("{with}: {answer:?}"),
        }
    }
}

#[test]
fn a_data_set_is_given_back_as_csv() {
    let mut worker = Worker::start();
    let text = "n,s,d\n1,\"a, \"\"b\"\"\",2013-01-01\n,\"\",\n3,x,2013-01-02\n";
    let mut request = worker.request("collect", collect_params(json!({ "csv": "d.csv" })), &["data"]);
    request.files = vec![csv(&worker, "d.csv", text)];
    worker.run(&request).unwrap();
    let out = worker.path("out.csv");
    let question = Question {
        kind: "show".into(),
        version: 1,
        params: json!({ "path": request.outputs["data"], "to": out }),
        inputs: BTreeMap::new(),
        files: Vec::new(),
    };
    let root = worker.folder.path().to_owned();
    let ask = Request::Infer { id: 7, root, question: Box::new(question), files: Vec::new() };
    let (answer, _) = worker.ask(&ask);
    assert!(matches!(answer, Response::Answer { .. }), "{answer:?}");
    assert_eq!(std::fs::read_to_string(out).unwrap(), text);
}

#[test]
fn every_rejected_row_is_counted_and_all_are_kept_unless_that_is_bounded() {
    let mut worker = Worker::start();
    let text: String = (0..2000).map(|row| format!("{row},t{row}\n")).collect();
    let mut request = worker.request("collect", collect_params(json!({ "csv": "d.csv" })), &["data"]);
    request.files = vec![csv(&worker, "d.csv", &format!("n,t\n{text}"))];
    let (collected, _) = worker.run(&request).unwrap();
    let data = artifact(&request.outputs["data"], &collected.types["data"]);
    let steps = json!([
        { "filter": "n < 1500" },
        { "cast": { "t": "binary" } },
        { "sample": { "rows": 1000, "seed": 1 } },
        { "window": { "columns": { "number": "number" } } },
        { "filter": "n > 1600 OR number = 1" },
        { "group_by": { "by": "n", "aggregates": { "rows": "count" } } },
    ]);
    for (kept, there) in [(None, 1499), (Some(10), 20)] {
        let params = json!({ "steps": steps, "keep_rejected": kept });
        let mut request = worker.request("preprocess", params, &["data", "rejected"]);
        request.inputs.insert("data".into(), data.clone());
        let (cleaned, _) = worker.run(&request).unwrap();
        assert_eq!(cleaned.summary["rejected.rows"], 1499.0, "500 by the first filter, 999 by the second");
        assert_eq!(rows(&cleaned, "rejected"), Some(there));
        let warnings: Vec<&str> = cleaned.warnings.iter().map(|fault| fault.code.as_str()).collect();
        assert_eq!(warnings, if kept.is_some() { vec!["data::rejected_rows"] } else { vec![] });
        let told = |name: &str| -> Vec<Value> {
            cleaned.observations["steps"].as_array().unwrap().iter().map(|step| step[name].clone()).collect()
        };
        assert_eq!(told("rejected"), [500, 0, 0, 0, 999, 0], "a sample is a choice, not a rejection");
        assert_eq!((&told("rows_in")[2], &told("rows_out")[2]), (&json!(1500), &json!(1000)));
        assert_eq!(told("changed")[3], 1000, "a new column of a window");
        assert_eq!(told("changed")[5], Value::Null, "groups are not the rows they are made of");
        let table = stages_data::table::dataset::open(&request.outputs["rejected"]).unwrap();
        let last = table.batches.last().unwrap();
        let cells = arrow::array::AsArray::as_string::<i32>(last.column(4)).value(last.num_rows() - 1);
        let cells: Value = serde_json::from_str(cells).unwrap();
        // Base64 of `t` and a number.
        assert!(cells["t"].as_str().unwrap().starts_with("dD"), "{cells}");
    }
}
