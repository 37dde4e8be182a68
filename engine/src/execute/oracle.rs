//! The oracle that asks worker programs, and remembers their answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache::{Digest, Fold, Store};
use contract::fault::{Fault, Faults};
use contract::kind::{Oracle, Program, Question};
use contract::worker::protocol::{InputFile, Request};
use serde_json::Value;

use super::asker::Asker;
use super::client::HELLO_TIMEOUT;
use super::programs::{self, Programs};
use crate::key::digests;
use crate::plan::files;

/// Longest time a worker may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Most failures of one worker. After them its questions stay unanswered: each failure may take two
/// minutes.
const MAX_FAILURES: u32 = 3;

/// Answers questions by asking workers. Each program is started at its first question, answers one
/// question at a time, and is killed when the oracle is dropped.
///
/// Answers are kept in the store, so that checking an unchanged pipeline starts no process. The key
/// of an answer is the digest of the question, of the content of its files, and of the program's
/// identity. Failures are not kept.
pub struct WorkerOracle {
    store: Arc<Store>,
    programs: Programs,
    root: PathBuf,
    limit: Duration,
    workers: Mutex<BTreeMap<Program, Worker>>,
}

#[derive(Default)]
struct Worker {
    running: Option<Asker>,
    asked: u64,
    failures: u32,
    missed: bool,
}

impl WorkerOracle {
    /// An oracle for a pipeline in the folder `root`.
    pub fn new(store: Arc<Store>, programs: &Programs, root: &Path) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Self { store, programs: programs.clone(), root, limit: ANSWER_TIMEOUT, workers: Mutex::default() }
    }

    /// The same oracle with another timeout for one answer.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// One warning for every program that was needed and is not installed. Whatever depends on its
    /// answers is not proved.
    pub fn faults(&self) -> Vec<Fault> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers
            .iter()
            .filter(|(_, worker)| worker.missed)
            .map(|(program_id, _)| programs::missing(*program_id))
            .collect()
    }

    /// Asks a worker now, without looking at kept answers. `Ok(None)` means that the program is not
    /// installed.
    ///
    /// # Errors
    /// The faults that the worker found, and trouble with the worker.
    pub fn ask_now(&self, program_id: Program, question: &Question) -> Result<Option<Value>, Faults> {
        let Some(program) = self.programs.of(program_id) else { return Ok(None) };
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = workers.entry(program_id).or_default();
        self.consult(worker, program, question, Vec::new())?.map(Some)
    }

    fn consult(
        &self,
        worker: &mut Worker,
        program: &Path,
        question: &Question,
        files: Vec<InputFile>,
    ) -> Result<Result<Value, Faults>, Fault> {
        let running = match worker.running.take() {
            Some(running) => running,
            None => Asker::start(program, self.limit.min(HELLO_TIMEOUT))?,
        };
        worker.asked += 1;
        let request =
            Request::Infer { id: worker.asked, root: self.root.clone(), question: Box::new(question.clone()), files };
        let answer = running.ask(worker.asked, request, self.limit)?;
        // Only a worker that answered is asked again. After an error `running` is dropped here,
        // which kills it.
        worker.running = Some(running);
        Ok(answer)
    }
}

impl Oracle for WorkerOracle {
    fn ask(&self, program_id: Program, question: &Question) -> Result<Option<Value>, Faults> {
        let mut found = Vec::new();
        let mut faults = Vec::new();
        for (index, file) in question.files.iter().enumerate() {
            match files::expand(&self.root, program_id, index as u32, file) {
                Ok(all) => found.extend(all),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(Faults::from(faults));
        }
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = workers.entry(program_id).or_default();
        let Some(program) = self.programs.of(program_id) else {
            worker.missed = true;
            return Ok(None);
        };
        // The kept answer comes before the limit on failures: it needs no worker.
        let key = key(&self.store, program, question, &found)?;
        if let Some(answer) = self.store.memo_get(&key).and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(Some(answer));
        }
        if worker.failures >= MAX_FAILURES {
            return Ok(None);
        }
        let files = found
            .into_iter()
            .map(|found| InputFile { role: found.role, path: found.path, shown: found.shown })
            .collect();
        match self.consult(worker, program, question, files) {
            Ok(Ok(value)) => {
                if let Ok(bytes) = serde_json::to_vec(&value) {
                    // Without its memo the question is asked again next time, which is slower and
                    // not wrong.
                    let _ = self.store.memo_put(&key, &bytes);
                }
                Ok(Some(value))
            }
            Ok(Err(faults)) => Err(faults),
            Err(fault) => {
                worker.failures += 1;
                Err(Faults::from(fault))
            }
        }
    }
}

/// The key of the memo of an answer.
fn key(store: &Store, program: &Path, question: &Question, files: &[files::Found]) -> Result<Digest, Faults> {
    let mut fold = Fold::new("pipeline answer v1");
    fold.digest("program", &programs::program_identity(program));
    fold.text("kind", &question.kind).uint("version", u64::from(question.version)).json("params", &question.params);
    let inputs = serde_json::to_value(&question.inputs).expect("types have text keys and plain values");
    fold.json("inputs", &inputs);
    fold.list("files", files.len());
    for found in files {
        let seen = store.file_digest(&found.path).map_err(|error| {
            let route = question.files[found.file as usize].route.clone();
            vec![digests::store_fault(&found.shown, &error).at(route)]
        })?;
        fold.group("file", |fold| {
            fold.text("role", &found.role).text("shown", &found.shown).digest("content", &seen.digest);
        });
    }
    Ok(fold.finish())
}
