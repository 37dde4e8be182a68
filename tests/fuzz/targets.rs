//! What is fuzzed: each function takes any bytes and must come back. Used by the fuzzer and, over the kept corpus, by an
//! ordinary test.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cache::{Blob, Digest, Record, Store};
use contract::kind::Silent;
use engine::run::lockfile::Lock;
use schemas::LoadOptions;
use serde_json::{Value, json};

/// A folder of this process, in memory where the system has one.
fn scratch() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        tempfile::Builder::new().prefix("pipeline-fuzz-").tempdir_in(base).expect("a folder").keep()
    })
}

/// A text as a pipeline: read, decoded, planned and every fault drawn. A file that is planned has no error, and every fault
/// has a code, a message and lies inside the text.
pub fn language(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Others' files are not the matter here.
    if text.contains("include") {
        return;
    }
    let options = LoadOptions { environment: Some([("HOME".into(), "/h".into())].into()), ..LoadOptions::default() };
    let registry = catalog::kinds();
    let mut loaded = schemas::load_text("pipeline.yaml", text, &options, &registry);
    let mut faults = std::mem::take(&mut loaded.faults);
    if let Some(mut spec) = loaded.spec.take() {
        spec.root = scratch().to_owned();
        let planned = engine::plan::plan(spec, &registry, &Silent);
        assert!(planned.plan.is_none() || !planned.faults.iter().any(contract::fault::Fault::is_error));
        faults.extend(planned.faults);
    }
    draw(&loaded.sources, &faults);
}

/// Every fault has a code and a message, and can be shown in every form.
fn draw(sources: &schemas::Sources, faults: &[contract::fault::Fault]) {
    for fault in faults {
        assert!(fault.code.contains("::") && !fault.message.is_empty(), "{fault:?}");
        let diagnostic = sources.diagnostic(fault);
        let _ = (diagnostic.line(), diagnostic.json());
        let mut drawn = String::new();
        let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
            .with_width(120)
            .with_context_lines(1)
            .with_links(false);
        handler.render_report(&mut drawn, &diagnostic).expect("a drawing");
    }
}

/// Records written, and a log that is damaged between: what is found is what was written, never anything else.
pub fn store(data: &[u8]) {
    let folder = tempfile::tempdir_in(scratch()).expect("a folder");
    let log = folder.path().join("records-v1/log");
    let mut store = Some(Store::open(folder.path()).expect("a store"));
    let mut written: HashMap<Digest, Vec<Record>> = HashMap::new();
    let mut bytes = data.iter().copied();
    let mut next = || bytes.next();
    for _ in 0..64 {
        let Some(operation) = next() else { break };
        let (a, b) = (next().unwrap_or(0), next().unwrap_or(0));
        let open = store.take().unwrap_or_else(|| Store::open(folder.path()).expect("a store"));
        match operation % 8 {
            0 | 1 => {
                let key = Digest::of(&[a % 8]);
                let output = open.put_bytes(&[b]).expect("content");
                let record = Record {
                    key,
                    label: format!("stage{}", a % 4),
                    outputs: (0..b % 3).map(|at| (format!("port{at}"), output)).collect(),
                    manifest: json!({ "number": b }),
                    observations: json!([a, null]),
                    detail: json!({}),
                    created: u64::from(b),
                };
                open.commit(&record).expect("a commit");
                written.entry(key).or_default().push(record);
                store = Some(open);
            }
            2 => {
                open.touch(&format!("stage{}", a % 4), &Digest::of(&[b % 8]));
                store = Some(open);
            }
            3 => drop(open),
            4 => {
                // Where it is closed, bytes are turned: what a bad disk does.
                drop(open);
                if let Ok(file) = OpenOptions::new().read(true).write(true).open(&log)
                    && let Ok(length) = file.metadata().map(|about| about.len())
                    && length > 0
                {
                    let at = (u64::from(a) * 256 + u64::from(b)) % length;
                    let mut byte = [0];
                    file.read_exact_at(&mut byte, at).expect("a byte");
                    byte[0] ^= (operation / 8) | 1;
                    file.write_all_at(&byte, at).expect("a byte");
                }
            }
            5 => {
                drop(open);
                if let Ok(file) = OpenOptions::new().write(true).open(&log) {
                    let length = file.metadata().map_or(0, |about| about.len());
                    file.set_len(length.saturating_sub(u64::from(a))).expect("shorter");
                }
            }
            6 => {
                // Another writes beside it while it is open.
                if let Ok(mut file) = OpenOptions::new().append(true).open(&log) {
                    file.write_all(&vec![b; usize::from(a)]).expect("longer");
                }
                store = Some(open);
            }
            _ => {
                for key in (0..8).map(|key| Digest::of(&[key])) {
                    if let Ok(Some(found)) = open.lookup(&key) {
                        let known = written.get(&key).is_some_and(|all| all.contains(&found));
                        assert!(known, "{found:?} was never written");
                    }
                    for label in (0..4).map(|label| format!("stage{label}")) {
                        for found in open.history(&label, 10).unwrap_or_default() {
                            let known = written.get(&found.key).is_some_and(|all| all.contains(&found));
                            assert!(known, "{found:?} was never written");
                        }
                    }
                }
                store = Some(open);
            }
        }
    }
}

/// Any bytes as the manifest of a folder, as a record, as remembered answers and as a run: each is taken or refused.
pub fn formats(data: &[u8]) {
    let folder = scratch().join("formats");
    let store = Store::open(&folder).expect("a store");
    drop(Record::decode(&Digest::of(b"key"), data));
    if let Ok(blob) = store.put_bytes(data) {
        if let Ok(tree) = store.tree(&blob.digest) {
            let target = folder.join("target");
            let _ = fs::remove_dir_all(&target);
            // No content is there: nothing may be made outside, and what is missing is said.
            let whole = Blob { tree: true, ..blob };
            let _ = store.materialise(&whole, &target);
            assert!(tree.size() == tree.files().map(|(_, size)| size).fold(0_u64, u64::saturating_add));
        }
        let _ = fs::remove_dir_all(folder.join("blobs-v1"));
    }
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        drop(engine::run::driver::Detail::of(&value));
    }
}

/// Any bytes as a lock file.
pub fn lock(data: &[u8]) {
    let path = scratch().join("pipeline.lock");
    fs::write(&path, data).expect("a file");
    match Lock::read(&path) {
        Ok(lock) => assert!(lock.is_some()),
        Err(fault) => assert!(fault.code.starts_with("lock::") && fault.help.is_some(), "{fault:?}"),
    }
}

/// A text as `dvc.yaml`, what stands behind a line `===` as `params.yaml` beside it: it is refused with a reason, or what comes
/// out is a pipeline that says no more than that files are missing, or that its stages run in a circle.
pub fn dvc(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let folder = scratch().join("dvc");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("sub")).expect("a folder");
    let (dvc, params) = text.split_once("\n===\n").unwrap_or((text, ""));
    let path = folder.join("dvc.yaml");
    fs::write(&path, dvc).expect("a file");
    fs::write(folder.join("params.yaml"), params).expect("a file");
    let imported = match dvc::import(&[path], "fuzzed", &folder) {
        Ok(imported) => imported,
        Err(faults) => {
            assert!(!faults.is_empty());
            return draw(&schemas::Sources::default(), &faults);
        }
    };
    let options = LoadOptions { environment: Some([].into()), ..LoadOptions::default() };
    let registry = catalog::kinds();
    let mut loaded = schemas::load_text("pipeline.yaml", &imported.text, &options, &registry);
    let mut faults = std::mem::take(&mut loaded.faults);
    if let Some(mut spec) = loaded.spec.take() {
        spec.root = folder;
        assert_eq!(spec.stages.len(), imported.stages, "{}", imported.text);
        faults.extend(engine::plan::plan(spec, &registry, &Silent).faults);
    }
    for fault in &faults {
        let known = fault.code.starts_with("file::") || fault.code == "graph::cycle" || !fault.is_error();
        assert!(known, "{fault:?}\n{}", imported.text);
    }
}

/// Files that include each other, divided by lines `===`.
pub fn include(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let folder = scratch().join("include");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("sub")).expect("a folder");
    for (name, text) in ["pipeline.yaml", "a.yaml", "sub/b.yaml", "sub/c.yaml"].iter().zip(text.split("\n===\n")) {
        fs::write(folder.join(name), text).expect("a file");
    }
    let options = LoadOptions { environment: Some([].into()), ..LoadOptions::default() };
    let registry = catalog::kinds();
    let mut loaded = schemas::load(&folder.join("pipeline.yaml"), &options, &registry);
    let mut faults = std::mem::take(&mut loaded.faults);
    if let Some(spec) = loaded.spec.take() {
        faults.extend(engine::plan::plan(spec, &registry, &Silent).faults);
    }
    draw(&loaded.sources, &faults);
}

/// Turns a byte of one of the logs in a store.
fn turn(folder: &Path, a: u8, b: u8, by: u8) {
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a store")
        .flatten()
        .map(|bucket| bucket.path().join("log"))
        .filter(|log| log.is_file())
        .collect();
    logs.sort();
    let Some(log) = logs.get(usize::from(a) % logs.len().max(1)) else { return };
    let mut bytes = fs::read(log).expect("a log");
    if bytes.is_empty() {
        return;
    }
    let at = (usize::from(a) * 256 + usize::from(b)) % bytes.len();
    bytes[at] ^= by | 1;
    fs::write(log, bytes).expect("a log");
}

/// Answers and digests of files that are remembered, in a store that is damaged between: a memo is what was put or gone, the
/// digest of a file is that of its content.
pub fn digests(data: &[u8]) {
    let folder = tempfile::tempdir_in(scratch()).expect("a folder");
    let place = folder.path().join("store");
    let mut put: HashMap<u8, Vec<u8>> = HashMap::new();
    let mut store = Some(Store::open(&place).expect("a store"));
    for step in data.chunks(3).take(64) {
        let [operation, a, b] = [0, 1, 2].map(|at| step.get(at).copied().unwrap_or(0));
        let open = store.take().unwrap_or_else(|| Store::open(&place).expect("a store"));
        let file = folder.path().join(format!("file{}", a % 4));
        match operation % 6 {
            0 => {
                let value = vec![b; usize::from(b)];
                if open.memo_put(&Digest::of(&[a % 8]), &value).is_ok() {
                    put.insert(a % 8, value);
                }
            }
            1 => fs::write(&file, vec![b; usize::from(b)]).expect("a file"),
            2 => drop(open.flush()),
            3 => {
                drop(open);
                turn(&place, a, b, operation / 6);
                continue;
            }
            4 => {
                drop(open);
                continue;
            }
            _ => {
                for key in 0..8 {
                    if let Some(found) = open.memo_get(&Digest::of(&[key])) {
                        assert!(put.contains_key(&key), "{key} was never put");
                        assert!(found.iter().all(|byte| usize::from(*byte) == found.len()), "{found:?} was never put");
                    }
                }
                if let Ok(bytes) = fs::read(&file) {
                    let digest = open.file_digest(&file).expect("a digest");
                    assert_eq!((digest.digest, digest.size), (Digest::of(&bytes), bytes.len() as u64));
                }
            }
        }
        store = Some(open);
    }
}

/// A snapshot of three files: damaged, replaced by any bytes, or of files that changed since, it does not hold.
pub fn snapshot(data: &[u8]) {
    let folder = tempfile::tempdir_in(scratch()).expect("a folder");
    let place = folder.path().join(".pipeline");
    let store = Store::open(&place).expect("a store");
    let output = store.put_bytes(b"output").expect("content");
    let record = Record {
        key: Digest::of(b"key"),
        label: "stage".to_owned(),
        outputs: vec![("port".to_owned(), output)],
        manifest: json!({}),
        observations: json!([]),
        detail: json!({}),
        created: 1,
    };
    store.commit(&record).expect("a commit");
    let _ = store.flush();
    let Some(mut snapshot) = store.snapshot(folder.path()) else { return };
    for name in ["a", "b", "c"] {
        let path = folder.path().join(name);
        fs::write(&path, name).expect("a file");
        assert!(store.snapshot_file(&mut snapshot, &path, &Digest::of(name.as_bytes()), true).expect("a file"));
    }
    snapshot.blob(&output);
    assert!(snapshot.folder(folder.path()));
    let name = Digest::of(b"name");
    store.snapshot_put(&name, &snapshot, b"info").expect("a snapshot");
    let kept = place.join("snapshots-v1").join(name.to_string());
    let whole = fs::read(&kept).expect("a snapshot");
    let (operation, rest) = data.split_first().unwrap_or((&0, &[]));
    let bytes = match operation % 4 {
        0 => rest.to_vec(),
        // As if it were one: with its beginning, and a time that has not passed.
        1 => [&whole[..16], rest].concat(),
        2 => {
            let mut bytes = whole.clone();
            for pair in rest.chunks_exact(2) {
                let at = usize::from(pair[0]) % bytes.len();
                bytes[at] ^= pair[1];
            }
            bytes
        }
        _ => {
            let at = rest.first().map_or(0, |at| usize::from(*at));
            fs::write(folder.path().join(["a", "b", "c"][at % 3]), rest).expect("a file");
            whole.clone()
        }
    };
    fs::write(&kept, &bytes).expect("a snapshot");
    let holds = store.snapshot_holds(&name, folder.path());
    let same =
        ["a", "b", "c"].iter().all(|name| fs::read(folder.path().join(name)).is_ok_and(|is| is == name.as_bytes()));
    if let Some(info) = holds {
        // Of the time it was taken only that it has not passed is checked.
        let untouched = bytes.len() == whole.len() && bytes[16..24] == whole[16..24] && bytes[32..] == whole[32..];
        assert!(same && untouched && info == b"info", "{bytes:?}");
    }
}

/// Any JSON as the summaries of runs: what is kept comes back, and what stands for another never makes trouble.
pub fn runs(data: &[u8]) {
    let folder = tempfile::tempdir_in(scratch()).expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let parts: Vec<Value> =
        data.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    for (at, summary) in parts.iter().enumerate().take(16) {
        store.run_put(&format!("run{at}"), summary).expect("kept");
    }
    let runs = store.runs(16).expect("runs");
    assert_eq!(runs.len(), parts.len().min(16));
}

/// Any bytes as the log of a stage.
pub fn logs(data: &[u8]) {
    let folder = scratch().join("logs");
    let store = Store::open(&folder).expect("a store");
    let path = store.log_path("run", "stage");
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(&path, data).expect("a log");
    let log = store.log("run", "stage").expect("a log");
    let lines: usize = log.attempts.iter().map(|attempt| attempt.lines.len()).sum();
    assert!(lines + log.attempts.len() <= data.iter().filter(|byte| **byte == b'\n').count() + 1);
    if let Ok(text) = std::str::from_utf8(data) {
        let writer = store.log_writer("again", text, 1);
        writer.line('i', text);
        drop(writer);
        let again = store.log("again", text).map_or(0, |log| log.attempts.iter().map(|all| all.lines.len()).sum());
        assert_eq!(again, text.lines().count(), "{text:?}");
        store.prune_logs(0);
    }
}
