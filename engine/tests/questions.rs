//! Questions to worker programs while planning, with a shell script for a worker.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cache::Store;
use contract::artifact::Types;
use contract::fault::{Faults, Severity};
use contract::kind::{FileInput, Oracle, Program, Question};
use contract::route;
use contract::worker::protocol::PROTOCOL;
use engine::execute::WorkerOracle;
use engine::execute::{Programs, discover};
use serde_json::{Value, json};

struct House {
    folder: tempfile::TempDir,
    store: Arc<Store>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.csv"), "a,b\n").unwrap();
        let store = Arc::new(Store::open(&folder.path().join(".pipeline")).unwrap());
        Self { folder, store }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A worker that notes its start in `starts`, says hello, and then carries out `answer` for each request, with its
    /// number in `$id`.
    fn worker(&self, answer: &str) -> PathBuf {
        let hello = json!({"hello": {
            "protocol": PROTOCOL, "program": "pipeline-data", "version": env!("CARGO_PKG_VERSION"),
            "toolchain": {"libtorch": "2.13.0"}, "cuda_devices": ["A100"],
        }});
        let starts = self.root().join("starts");
        let script = format!(
            "#!/bin/sh\necho started >> '{}'\necho '{hello}'\nid=0\nwhile read -r line; do\nid=$((id+1))\n{answer}\ndone\n",
            starts.display()
        );
        let path = self.root().join("worker");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn starts(&self) -> usize {
        fs::read_to_string(self.root().join("starts")).unwrap_or_default().lines().count()
    }

    fn oracle(&self, program: Option<PathBuf>) -> WorkerOracle {
        let programs = Programs::find(|worker| program.clone().filter(|_| worker.name == "pipeline-data"));
        WorkerOracle::new(Arc::clone(&self.store), &programs, self.root())
    }
}

fn question(number: u64) -> Question {
    let file = FileInput { role: "csv".into(), path: "a.csv".into(), glob: false, route: route!["from", "csv"] };
    Question {
        kind: "collect".into(),
        version: 1,
        params: json!({"number": number}),
        inputs: Types::new(),
        files: vec![file],
    }
}

fn ask(oracle: &WorkerOracle, number: u64) -> Result<Option<Value>, Faults> {
    oracle.ask(Program::Data, &question(number))
}

const ANSWER: &str = r#"echo '{"log":{"id":'$id',"level":"info","text":"thinking"}}'; echo '{"answer":{"id":'$id',"value":["a",'$id']}}'"#;

#[test]
fn one_process_answers_all_and_answers_are_remembered() {
    let house = House::new();
    let worker = house.worker(ANSWER);
    let oracle = house.oracle(Some(worker.clone()));
    assert_eq!(ask(&oracle, 1), Ok(Some(json!(["a", 1]))));
    assert_eq!(ask(&oracle, 2), Ok(Some(json!(["a", 2]))));
    assert_eq!(ask(&oracle, 1), Ok(Some(json!(["a", 1]))));
    assert_eq!(house.starts(), 1);
    let again = house.oracle(Some(worker.clone()));
    assert_eq!(ask(&again, 2), Ok(Some(json!(["a", 2]))));
    assert_eq!(house.starts(), 1, "a remembered answer starts nothing");
    // Other content is another question.
    fs::write(house.root().join("a.csv"), "a,b,c\n").unwrap();
    assert_eq!(ask(&again, 2), Ok(Some(json!(["a", 1]))));
    assert_eq!(house.starts(), 2);
    assert!(oracle.faults().is_empty());
}

#[test]
fn a_missing_worker_leaves_types_unknown_and_is_told_once() {
    let house = House::new();
    let oracle = house.oracle(None);
    assert_eq!(ask(&oracle, 1), Ok(None));
    assert_eq!(ask(&oracle, 2), Ok(None));
    let faults = oracle.faults();
    assert_eq!((faults.len(), faults[0].code.as_str(), faults[0].severity), (1, "worker::missing", Severity::Warning));
}

#[test]
fn a_missing_file_is_told_where_it_is_named() {
    let house = House::new();
    let oracle = house.oracle(Some(house.worker(ANSWER)));
    fs::remove_file(house.root().join("a.csv")).unwrap();
    let faults = ask(&oracle, 1).unwrap_err();
    assert_eq!((faults[0].code.as_str(), &faults[0].route), ("file::missing", &Some(route!["from", "csv"])));
    assert_eq!(house.starts(), 0);
}

#[test]
fn what_the_worker_finds_wrong_is_handed_on_and_not_remembered() {
    let house = House::new();
    let worker = house.worker(
        r#"echo '{"failed":{"id":'$id',"faults":[{"code":"data::malformed_row","message":"row 3","route":["from"]}]}}'"#,
    );
    let oracle = house.oracle(Some(worker));
    for _ in 0..2 {
        let faults = ask(&oracle, 1).unwrap_err();
        assert_eq!((faults[0].code.as_str(), &faults[0].route), ("data::malformed_row", &Some(route!["from"])));
    }
    assert_eq!(house.starts(), 1);
}

#[test]
fn a_crash_is_a_fault_with_its_last_words_and_patience_ends() {
    let house = House::new();
    let oracle = house.oracle(Some(house.worker("echo 'double free or corruption' >&2; kill -SEGV $$")));
    for _ in 0..3 {
        let faults = ask(&oracle, 1).unwrap_err();
        assert_eq!(faults[0].code, "worker::died");
        let message = faults[0].message.as_str();
        assert!(
            message.starts_with("`worker` died with SIGSEGV while it answered a question; its last lines:"),
            "{message}"
        );
        assert!(message.ends_with("double free or corruption"), "{message}");
    }
    assert_eq!(ask(&oracle, 1), Ok(None));
    assert_eq!(house.starts(), 3);
}

#[test]
fn a_worker_that_is_silent_or_no_worker_is_a_fault() {
    let house = House::new();
    let oracle = house.oracle(Some(house.worker("sleep 600"))).with_limit(Duration::from_millis(300));
    assert_eq!(ask(&oracle, 1).unwrap_err()[0].code, "worker::silent");
    let oracle = house.oracle(Some(house.worker("echo hello world")));
    assert_eq!(ask(&oracle, 1).unwrap_err()[0].code, "worker::unreadable");
    let oracle = house.oracle(Some(house.root().join("nowhere")));
    assert_eq!(ask(&oracle, 1).unwrap_err()[0].code, "worker::missing");
    let oracle = house.oracle(Some("/bin/cat".into()));
    let oracle = oracle.with_limit(Duration::from_millis(300));
    assert_eq!(ask(&oracle, 1).unwrap_err()[0].code, "worker::no_hello");
}

#[test]
fn a_hello_is_remembered_until_the_program_changes() {
    let house = House::new();
    let programs = Programs::from([(Program::Torch, house.worker(""))]);
    let (environment, faults) = discover(&house.store, &programs);
    assert_eq!(
        (environment.tools.get(&Program::Torch).map(String::as_str), environment.cuda_devices.len()),
        (Some("2.13.0"), 1)
    );
    assert_eq!(faults.iter().map(|fault| fault.code.as_str()).collect::<Vec<_>>(), ["worker::missing"]);
    assert_eq!(discover(&house.store, &programs).0, environment);
    assert_eq!(house.starts(), 1);
    house.worker("# another program");
    assert_eq!(discover(&house.store, &programs).0, environment);
    assert_eq!(house.starts(), 2);
    fs::write(
        house.root().join("worker"),
        "#!/bin/sh\necho '{\"hello\":{\"protocol\":99,\"program\":\"x\",\"version\":\"9\",\"toolchain\":{}}}'\n",
    )
    .unwrap();
    let (environment, faults) = discover(&house.store, &programs);
    assert!(environment.tools.is_empty());
    assert_eq!(faults[1].code, "worker::wrong_protocol");
    assert!(!faults[1].is_error());
}
