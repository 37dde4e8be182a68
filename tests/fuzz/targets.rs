//! What is fuzzed: each function takes any bytes and must come back. Used by the fuzzer and, over the kept corpus, by an
//! ordinary test.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cache::{Blob, Digest, Record, Store};
use engine::kind::Silent;
use engine::lockfile::Lock;
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
    let registry = catalog::registry();
    let mut loaded = schemas::load_text("pipeline.yaml", text, &options, &registry);
    let mut faults = std::mem::take(&mut loaded.faults);
    if let Some(mut spec) = loaded.spec.take() {
        spec.root = scratch().to_owned();
        let planned = engine::plan::plan(spec, &registry, &Silent);
        assert!(planned.plan.is_none() || !planned.faults.iter().any(engine::error::Fault::is_error));
        faults.extend(planned.faults);
    }
    for fault in faults {
        assert!(fault.code.contains("::") && !fault.message.is_empty(), "{fault:?}");
        let diagnostic = loaded.sources.diagnostic(&fault);
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
        drop(engine::driver::Detail::of(&value));
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
