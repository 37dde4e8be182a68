//! The oracle that asks worker programs, and remembers what they said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cache::Fold;
use cache::{Digest, Store};
use contract::fault::Fault;
use contract::kind::{Oracle, Program, Question};
use contract::worker::protocol::{InputFile, Request, Response};
use serde_json::Value;

use crate::conversation::Conversation;
use crate::files;
use crate::toolchain::{self, Programs};

/// How long a worker may take for one answer.
const LIMIT: Duration = Duration::from_secs(120);
/// After so many troubles with a worker its questions stay unanswered.
const PATIENCE: u32 = 3;

/// Answers questions by asking workers: each program is started at the first question for it, asked one question after
/// another, and killed when the oracle is dropped.
///
/// Answers are kept in the store under the digest of the question, of the content of the files it names and of the
/// program's identity, so that checking an unchanged pipeline starts no process. Failures are not kept.
pub struct WorkerOracle {
    store: Arc<Store>,
    programs: Programs,
    root: PathBuf,
    limit: Duration,
    workers: Mutex<BTreeMap<Program, Worker>>,
}

#[derive(Default)]
struct Worker {
    running: Option<Conversation>,
    asked: u64,
    troubles: u32,
    missed: bool,
}

impl WorkerOracle {
    /// An oracle for a pipeline in the folder `root`.
    pub fn new(store: Arc<Store>, programs: &Programs, root: &Path) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Self { store, programs: programs.clone(), root, limit: LIMIT, workers: Mutex::default() }
    }

    /// The same with another limit for one answer.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// One warning for every program that was asked for and is not installed: what depends on its answers is not proved.
    pub fn faults(&self) -> Vec<Fault> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().filter(|(_, worker)| worker.missed).map(|(executor, _)| toolchain::missing(*executor)).collect()
    }

    /// Asks a worker now, whatever it said before. `Ok(None)` means that the program is not installed.
    ///
    /// # Errors
    /// What the worker found wrong, and trouble with the worker.
    pub fn ask_now(&self, executor: Program, question: &Question) -> Result<Option<Value>, Vec<Fault>> {
        let Some(program) = self.programs.of(executor) else { return Ok(None) };
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = workers.entry(executor).or_default();
        self.consult(worker, program, question, Vec::new()).map_err(|fault| vec![fault])?.map(Some)
    }

    fn consult(
        &self,
        worker: &mut Worker,
        program: &Path,
        question: &Question,
        files: Vec<InputFile>,
    ) -> Result<Result<Value, Vec<Fault>>, Fault> {
        let deadline = Instant::now() + self.limit;
        let conversation = match worker.running.take() {
            Some(running) => running,
            None => {
                let started = Conversation::start(program, &[])?;
                toolchain::check(program, &started.hello(deadline)?)?;
                started
            }
        };
        worker.asked += 1;
        let asked = worker.asked;
        conversation.send(&Request::Infer {
            id: asked,
            root: self.root.clone(),
            question: Box::new(question.clone()),
            files,
        });
        let answer = loop {
            match conversation.receive(deadline)? {
                Response::Answer { id, value } if id == asked => break Ok(value),
                Response::Failed { id, faults } if id == asked => break Err(faults),
                // Progress, log lines, and answers nobody waits for any more.
                _ => {}
            }
        };
        // Only a worker that answered is asked again; any other is killed where it was taken.
        worker.running = Some(conversation);
        Ok(answer)
    }
}

impl Oracle for WorkerOracle {
    fn ask(&self, executor: Program, question: &Question) -> Result<Option<Value>, Vec<Fault>> {
        let mut found = Vec::new();
        let mut faults = Vec::new();
        for (index, file) in question.files.iter().enumerate() {
            match files::expand(&self.root, executor, index as u32, file) {
                Ok(all) => found.extend(all),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = workers.entry(executor).or_default();
        let Some(program) = self.programs.of(executor) else {
            worker.missed = true;
            return Ok(None);
        };
        let key = key(&self.store, program, question, &found)?;
        if let Some(answer) = self.store.memo_get(&key).and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(Some(answer));
        }
        if worker.troubles >= PATIENCE {
            return Ok(None);
        }
        let files = found
            .into_iter()
            .map(|found| InputFile { role: found.role, path: found.path, shown: found.shown })
            .collect();
        match self.consult(worker, program, question, files) {
            Ok(Ok(value)) => {
                if let Ok(bytes) = serde_json::to_vec(&value) {
                    // A memo that cannot be kept is asked for again.
                    let _ = self.store.memo_put(&key, &bytes);
                }
                Ok(Some(value))
            }
            Ok(Err(faults)) => Err(faults),
            Err(fault) => {
                worker.troubles += 1;
                Err(vec![fault])
            }
        }
    }
}

/// Under what an answer is remembered.
fn key(store: &Store, program: &Path, question: &Question, files: &[files::Found]) -> Result<Digest, Vec<Fault>> {
    let mut fold = Fold::new("pipeline answer v1");
    fold.digest("program", &toolchain::program_identity(program));
    fold.text("kind", &question.kind).uint("version", u64::from(question.version)).json("params", &question.params);
    // Types always serialise.
    fold.json("inputs", &serde_json::to_value(&question.inputs).unwrap_or_default());
    fold.list("files", files.len());
    for found in files {
        let seen = store.file_digest(&found.path).map_err(|error| {
            let route = question.files[found.file as usize].route.clone();
            vec![files::store_fault(&found.shown, &error).at(route)]
        })?;
        fold.group("file", |fold| {
            fold.text("role", &found.role).text("shown", &found.shown).digest("content", &seen.digest);
        });
    }
    Ok(fold.finish())
}
