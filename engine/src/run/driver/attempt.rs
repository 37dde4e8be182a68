//! One attempt of one stage that is not a hit: lock, set up, run, check, adopt, commit.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cache::{Blob, Committed, Digest, KeyLock, Record, Staging, Store, StoreError, fault};
use contract::artifact::{ArtifactType, Types};
use contract::fault::{Fault, Faults, Route};
use contract::worker::protocol::{Finished, InputArtifact, InputFile, Level, RunRequest};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::detail::{absolute, with_lineage};
use super::look::workspace;
use super::state::{Hit, Lookup, Run, StageOutputs};
use super::{AttemptError, Compared, Detail, Scratch, StageLog};
use crate::event::Event;
use crate::execute::{Job, Order, Setup};
use crate::key::digests::Digested;
use crate::key::explain::Reason;
use crate::plan::{PlannedInput, PlannedStage, StageId};
use crate::run::{difference, inside};

/// The result of an attempt.
pub(crate) enum AttemptResult {
    /// It ran, and is recorded.
    Done(Box<Done>),
    /// Another process recorded the same work while this attempt waited.
    Hit(Box<Hit>),
}

/// A stage that ran.
pub(crate) struct Done {
    pub(crate) result: StageOutputs,
    /// Wall time of the work, without the time for recording it.
    pub(crate) took: Duration,
    pub(crate) summary: BTreeMap<String, f64>,
    pub(crate) unmet: Vec<Fault>,
    pub(crate) warnings: Vec<Fault>,
    /// Whether the outputs are those of the stage's last record.
    pub(crate) unchanged: bool,
    /// The warning when an earlier record of the same key has other outputs.
    pub(crate) differs: Option<Fault>,
}

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) run: Arc<Run>,
    pub(crate) id: StageId,
    pub(crate) attempt: u32,
    pub(crate) threads: usize,
    pub(crate) stop: CancellationToken,
    /// The gate that a primed stage waits at; a message means that it has its slots.
    pub(crate) gate: Option<oneshot::Receiver<()>>,
    /// Called when the work is over and only its result has to be recorded, with whether the work
    /// was short.
    pub(crate) worked: Box<dyn Fn(bool) + Send + Sync>,
}

/// Longest work that counts as short. After short work the next stages are primed: a look-up, locks
/// and the start of a shell take about a millisecond together.
const MAX_BRIEF: Duration = Duration::from_millis(50);
/// Longest time a primed stage keeps its locks while it waits for slots. Without a limit, the
/// stages that hold all slots could wait for those locks forever.
const PRIMED_LOCK_TIMEOUT: Duration = Duration::from_millis(50);
/// First pause before a stage tries again to take its locks. It doubles with every try.
const FIRST_LOCK_PAUSE: Duration = Duration::from_millis(5);
/// Longest such pause.
const MAX_LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The name of each input of a program, and where it lies.
type InputPaths = Vec<(String, PathBuf)>;

impl Attempt {
    fn stage(&self) -> &PlannedStage {
        self.run.stage(self.id)
    }

    /// Runs blocking `work` on an offload thread. A panic in it fails the stage.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Run) -> Result<T, AttemptError> + Send + 'static,
    ) -> Result<T, AttemptError> {
        let run = Arc::clone(&self.run);
        self.run.offload.run(move || work(&run)).await.unwrap_or_else(|| {
            let fault =
                Fault::error(contract::code!("run::panic"), "the engine made a mistake while it handled the stage");
            Err(AttemptError::final_fault(fault.help("please report this")))
        })
    }

    /// Carries the attempt out, and keeps its log lines in the store.
    pub(crate) async fn carry_out(mut self) -> Result<AttemptResult, AttemptError> {
        let name = &self.stage().name;
        let log = self.run.store.log_writer(&self.run.name, name, self.attempt);
        let log = StageLog::new(name, &self.run.events).kept(log);
        let result = self.attempt(&log).await;
        match &result {
            Ok(AttemptResult::Done(done)) => {
                let keep = |fault: &Fault, level| log.keep(level, &fault.message);
                done.warnings.iter().for_each(|fault| keep(fault, Level::Warn));
                done.unmet.iter().for_each(|fault| keep(fault, Level::Error));
            }
            Err(AttemptError::Failed { faults, .. }) => {
                // Only the first line: the last lines of a program are in the log already.
                let first = |fault: &Fault| {
                    let line = fault.message.lines().next().unwrap_or_default();
                    line.trim_end_matches("; its last lines:").to_owned()
                };
                faults.iter().for_each(|fault| log.keep(Level::Error, &first(fault)));
            }
            Err(AttemptError::Stopped) => log.keep(Level::Warn, "it was told to stop"),
            Err(AttemptError::Changed(what)) => {
                log.keep(Level::Warn, &format!("{} changed meanwhile; the result is not kept", what.join(", ")));
            }
            Ok(AttemptResult::Hit(_)) | Err(AttemptError::Engine(_)) => {}
        }
        result
    }

    /// Prepares the stage up to the point where its work begins, with all its locks; or finds that
    /// another process has recorded the same work. A primed stage waits for its slots here, and
    /// keeps its locks only for a short time.
    async fn ready(
        &mut self,
        log: &StageLog,
    ) -> Result<ControlFlow<Box<Hit>, (Box<Ready>, Vec<KeyLock>)>, AttemptError> {
        let id = self.id;
        let mut pause = FIRST_LOCK_PAUSE;
        let mut reported = false;
        let mut gate = self.gate.take();
        loop {
            let begin = AttemptId { id, attempt: self.attempt, primed: gate.is_some() };
            let (begin_log, runtime) = (log.clone(), Handle::current());
            // One call for the whole set-up: each change of threads costs as much as all the rest
            // of it.
            let (ready, locks) = match self.aside(move |run| run.begin(begin, &begin_log, &runtime)).await? {
                Start::Hit(hit) => return Ok(ControlFlow::Break(hit)),
                Start::Ready(ready, locks) => (ready, locks),
                // `begin` has released its locks. Polling, because a wait for a kernel lock cannot
                // be cancelled.
                Start::Busy(lock) => {
                    // A primed stage would wait for its slots anyway, so its wait is not reported.
                    if !begin.primed && !std::mem::replace(&mut reported, true) {
                        let (level, text) = self.waits_for(&lock);
                        log.log(level, text);
                    }
                    tokio::select! {
                        () = self.stop.cancelled() => return Err(AttemptError::Stopped),
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_LOCK_PAUSE),
                    }
                    continue;
                }
            };
            let Some(waiting) = &mut gate else { return Ok(ControlFlow::Continue((ready, locks))) };
            let open = tokio::select! {
                biased;
                () = self.stop.cancelled() => Some(false),
                // The sender may have been dropped; treat that as a stop.
                open = &mut *waiting => Some(open.is_ok()),
                () = tokio::time::sleep(PRIMED_LOCK_TIMEOUT) => None,
            };
            if open == Some(true) {
                // Removing old outputs may take long. Without any, a change of threads is not worth
                // its cost.
                let ready = if self.run.outputs_absent(id) {
                    self.run.go(begin, false, ready, log)?
                } else {
                    let go_log = log.clone();
                    self.aside(move |run| run.go(begin, true, ready, &go_log)).await?
                };
                return Ok(ControlFlow::Continue((ready, locks)));
            }
            ready.job.abandon().await;
            drop(locks);
            let go = open.is_none()
                && tokio::select! {
                    biased;
                    () = self.stop.cancelled() => false,
                    open = waiting => open.is_ok(),
                };
            if !go {
                return Err(AttemptError::Stopped);
            }
            // It has its slots now, so the next round of the loop takes its locks like any other
            // stage.
            gate = None;
        }
    }

    async fn attempt(&mut self, log: &StageLog) -> Result<AttemptResult, AttemptError> {
        let id = self.id;
        // The locks are held until the result is recorded, or the failed outputs are noted.
        let (ready, _locks) = match self.ready(log).await? {
            ControlFlow::Continue(ready) => ready,
            ControlFlow::Break(hit) => return Ok(AttemptResult::Hit(hit)),
        };
        let Ready { looked, begun, job, staging, .. } = *ready;
        let key = looked.key;
        let worked = if self.stage().program.is_worker() {
            match self.request(&looked).await {
                Ok((staging, request)) => self.finish(job, Some(request), log).await.map(|done| (Some(staging), done)),
                Err(ended) => Err(ended),
            }
        } else {
            self.finish(job, None, log).await.map(|finished| (staging, finished))
        };
        let took = begun.elapsed();
        let settled = match worked {
            Ok((staging, finished)) => {
                // Before settling: the slots are free for other stages while this one is recorded.
                (self.worked)(took < MAX_BRIEF);
                self.aside(move |run| run.settle(id, &looked, staging, finished, took)).await
            }
            Err(ended) => Err(ended),
        };
        // What a failed command left is noted as its own, so that the next attempt may remove it.
        // Anything else at these paths counts as the user's work and is moved aside.
        if settled.is_err() && !self.stage().program.is_worker() {
            self.aside(move |run| {
                for (path, _) in run.stage(id).outputs.iter().filter_map(|port| port.path.as_ref()) {
                    run.store.leave(&run.options.root.join(path));
                }
                Ok(())
            })
            .await?;
        }
        if settled.is_err() && self.run.options.scratch.is_some() {
            // The comparison cleared the recorded outputs away. They come back although it failed.
            self.aside(move |run| run.put_back_recorded(id, &key)).await?;
        }
        settled.map(|done| AttemptResult::Done(Box::new(done)))
    }

    /// The message that names the holder of a lock. A wait for another process is a warning: it may
    /// take long, and this run shows nothing of that process.
    fn waits_for(&self, lock: &Digest) -> (Level, String) {
        let (level, holder) = match self.run.store.lock_holder(lock) {
            Some(process) if process == std::process::id() => (Level::Info, "another stage of this run".to_owned()),
            Some(process) => (Level::Warn, format!("process {process}")),
            None => (Level::Warn, "another process".to_owned()),
        };
        (level, format!("waits for {holder}, which works on the same"))
    }

    /// Carries a job to its end.
    async fn finish(
        &self,
        job: Box<dyn Job>,
        request: Option<RunRequest>,
        log: &StageLog,
    ) -> Result<Finished, AttemptError> {
        job.finish(Order { request, log: log.clone(), stop: self.stop.clone() }).await
    }

    /// The request to a worker program, and the staging folder that its outputs go to.
    async fn request(&self, looked: &Lookup) -> Result<(Staging, RunRequest), AttemptError> {
        let stage = self.stage();
        let device = if stage.program.uses_device() {
            self.run.options.environment.device(&stage.device).map_err(|fault| {
                let at = Route::root().join("device");
                AttemptError::final_fault(if fault.route.is_none() { fault.at(at) } else { fault })
            })?
        } else {
            "cpu".to_owned()
        };
        let id = self.id;
        let (staging, prepared) = self
            .aside(move |run| {
                let staging = run.store.staging()?;
                let prepared = run.prepare(id, staging.path())?;
                Ok((staging, prepared))
            })
            .await?;
        let request = RunRequest {
            id: 0,
            stage: stage.name.clone(),
            kind: stage.kind.clone(),
            version: stage.version,
            params: stage.params(),
            seed: stage.seed,
            device,
            inputs: prepared.inputs,
            files: looked.files.iter().map(input_file).collect(),
            outputs: prepared.outputs,
            scratch: prepared.scratch,
            root: self.run.options.root.clone(),
            threads: self.threads,
            memory: stage.resources.memory,
        };
        Ok((staging, request))
    }
}

/// A lock that a stage needs while it works.
struct LockRequest {
    lock: Digest,
    of: LockPurpose,
}

enum LockPurpose {
    /// The work itself, exclusive: no other process does the same work at the same time.
    Work,
    /// A path of the project that the stage writes, exclusive.
    Write,
    /// A path of the project that another stage has written, shared; with the output that belongs
    /// there.
    Read(StageId, u32),
}

/// The result of an attempt to begin.
enum Start {
    /// The stage is recorded by now.
    Hit(Box<Hit>),
    /// Another stage or process holds this lock. No lock is held.
    Busy(Digest),
    /// The stage is set up and holds these locks.
    Ready(Box<Ready>, Vec<KeyLock>),
}

/// An attempt that begins.
#[derive(Debug, Clone, Copy)]
struct AttemptId {
    id: StageId,
    attempt: u32,
    /// Whether it still waits for its slots.
    primed: bool,
}

/// A stage that has its locks and is set up at its executor.
struct Ready {
    looked: Lookup,
    reasons: Vec<Reason>,
    /// When its work began: the start of a command, the set-up of a worker's stage.
    begun: Instant,
    job: Box<dyn Job>,
    /// The folder with copies of inputs for a command.
    staging: Option<Staging>,
}

/// What a request needs beyond the plan.
struct Prepared {
    inputs: BTreeMap<String, InputArtifact>,
    outputs: BTreeMap<String, PathBuf>,
    scratch: PathBuf,
}

impl Run {
    /// Looks a stage up again, takes its locks, and sets it up. The stage may have waited for its
    /// slots for an hour.
    ///
    /// It takes all locks or none. A stage that waits for a lock holds no other, so no circle of
    /// waiting stages forms.
    fn begin(&self, begin: AttemptId, log: &StageLog, runtime: &Handle) -> Result<Start, AttemptError> {
        let id = begin.id;
        let stage = self.stage(id);
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let mut looked = match found {
            Some(found) => found,
            None => self.look(id)?,
        };
        if let Some(hit) = looked.hit.take() {
            return Ok(Start::Hit(Box::new(hit)));
        }
        let mut locks = Vec::new();
        for request in self.lock_requests(stage, looked.key) {
            match self.take(&request)? {
                Some(lock) => locks.push(lock),
                // Returning drops the locks taken so far.
                None => return Ok(Start::Busy(request.lock)),
            }
        }
        // The look-up above held no locks, so it may have seen the files of another run.
        if stage.written.iter().any(|edge| !edge.exact) {
            let (manifest, files) = self.describe(stage)?;
            let key = manifest.key();
            if key != looked.key {
                let lock = key;
                (looked.key, looked.manifest, looked.files) = (key, manifest, files);
                if stage.program.is_worker() {
                    match self.take(&LockRequest { lock, of: LockPurpose::Work })? {
                        Some(lock) => locks.push(lock),
                        None => return Ok(Start::Busy(lock)),
                    }
                }
            }
        }
        // Another process may have finished the same work before it released these locks.
        if !self.forced(id) && stage.cache {
            self.look_up(stage, &mut looked, true)?;
            if let Some(hit) = looked.hit.take() {
                return Ok(Start::Hit(Box::new(hit)));
            }
        }
        let reasons = self.reasons(stage, &looked);
        let (staging, inputs) =
            if stage.program.is_worker() { (None, Vec::new()) } else { self.prepare_command(stage)? };
        let setup = Setup { stage, inputs, root: &self.options.root, log };
        let job = {
            // This is an offload thread. Starting a process needs the runtime's reactor.
            let _entered = runtime.enter();
            self.executors.of(stage).set_up(setup)?
        };
        let mut ready = Box::new(Ready { looked, reasons, begun: Instant::now(), job, staging });
        if !begin.primed {
            ready = self.go(begin, true, ready, log)?;
        }
        Ok(Start::Ready(ready, locks))
    }

    /// Lets the work of a stage begin. With `clear`, old outputs of a command are cleared away
    /// first.
    fn go(
        &self,
        begin: AttemptId,
        clear: bool,
        mut ready: Box<Ready>,
        log: &StageLog,
    ) -> Result<Box<Ready>, AttemptError> {
        let AttemptId { id, attempt, .. } = begin;
        let stage = self.stage(id);
        let key = ready.looked.key;
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).insert(id, key);
        let reasons = std::mem::take(&mut ready.reasons);
        log.send(Event::StageStarted { stage: stage.name.clone(), key: key.to_string(), reasons, attempt });
        if !stage.program.is_worker() && clear {
            self.clear_outputs(id, attempt, log)?;
        }
        // A primed command has waited since its set-up. That wait is not part of its wall time.
        if !stage.program.is_worker() {
            ready.begun = Instant::now();
        }
        ready.job.begin();
        Ok(ready)
    }

    /// The locks of a stage, in the order in which they are taken: the project paths that it
    /// writes, those that it reads and other stages write, and the work itself. They keep runs with
    /// other parameters in one project apart.
    fn lock_requests(&self, stage: &PlannedStage, key: Digest) -> Vec<LockRequest> {
        let mut requests: Vec<LockRequest> = Vec::with_capacity(stage.outputs.len() + stage.written.len() + 1);
        for (path, _) in stage.outputs.iter().filter_map(|port| port.path.as_ref()) {
            requests.push(LockRequest { lock: self.path_lock(path), of: LockPurpose::Write });
        }
        // The path locks keep two runs of one command apart. A worker writes to a staging folder
        // and needs the key.
        if requests.is_empty() || stage.program.is_worker() {
            requests.push(LockRequest { lock: key, of: LockPurpose::Work });
        }
        for edge in &stage.written {
            let port = self.stage(edge.from).outputs.get(edge.output as usize);
            if let Some((path, _)) = port.and_then(|port| port.path.as_ref()) {
                requests
                    .push(LockRequest { lock: self.path_lock(path), of: LockPurpose::Read(edge.from, edge.output) });
            }
        }
        // The sort is stable: where a stage writes a path and reads it, too, the exclusive request
        // stays.
        requests.sort_by_key(|request| request.lock);
        requests.dedup_by_key(|request| request.lock);
        requests
    }

    /// Takes a lock if it is free. A path that the stage reads is also made to hold what its own
    /// stage gave, whatever happened to it since.
    fn take(&self, request: &LockRequest) -> Result<Option<KeyLock>, AttemptError> {
        let store = &self.store;
        let (from, output) = match request.of {
            LockPurpose::Work => return Ok(store.try_lock_key(&request.lock)?),
            LockPurpose::Write => return Ok(store.try_lock_name(&request.lock)?),
            LockPurpose::Read(from, output) => (from, output as usize),
        };
        let Some(shared) = store.try_share_name(&request.lock)? else { return Ok(None) };
        let (Some(port), Some(blob)) = (self.stage(from).outputs.get(output), self.output(from, output)) else {
            return Ok(Some(shared));
        };
        if self.in_place(port, &blob) {
            return Ok(Some(shared));
        }
        // Released first: the shared lock would conflict with the exclusive one, also within one
        // process.
        drop(shared);
        let Some(own) = store.try_lock_name(&request.lock)? else { return Ok(None) };
        self.put_back(port, &blob).map_err(|error| workspace(&error, &port.name))?;
        // Another process may take the lock while it changes from exclusive to shared, so the copy
        // is checked again.
        Ok((own.share() && self.in_place(port, &blob)).then_some(own))
    }

    /// Prepares the inputs of a command. Returns the staging folder, if one is needed, and the path
    /// of each input.
    fn prepare_command(&self, stage: &PlannedStage) -> Result<(Option<Staging>, InputPaths), AttemptError> {
        let id = stage.id;
        self.stay_inside(id)?;
        let copied = |input: &PlannedInput| self.output(input.from, input.output).is_some_and(|blob| needs_copy(&blob));
        let needed = stage.inputs.iter().any(copied);
        let staging = if needed { Some(self.store.staging()?) } else { None };
        let inputs = self.input_paths(id, staging.as_ref().map(Staging::path))?;
        Ok((staging, inputs))
    }

    /// Makes the folders of a worker's request, and finds the paths and types of its inputs.
    fn prepare(&self, id: StageId, staging: &Path) -> Result<Prepared, AttemptError> {
        let stage = self.stage(id);
        self.stay_inside(id)?;
        let outputs_folder = staging.join("outputs");
        let scratch = staging.join("scratch");
        for folder in [&outputs_folder, &scratch] {
            make_folder(folder)?;
        }
        let mut inputs = BTreeMap::new();
        let paths = self.input_paths(id, Some(staging))?;
        for (input, (port, path)) in stage.inputs.iter().zip(paths) {
            let above = self.stage(input.from);
            let name = &above.outputs[input.output].name;
            let Some(given) = self.outputs_of(input.from).get() else { continue };
            let types = match self.store.lookup(&given.key)? {
                Some(record) => Detail::of(&record.detail).types,
                None => Types::new(),
            };
            let planned = above.types.get(name);
            let artifact = match (types.get(name).cloned(), planned) {
                (Some(found), Some(planned)) => with_lineage(found, planned),
                (Some(found), None) => found,
                (None, Some(planned)) => planned.clone(),
                (None, None) => ArtifactType::Other(above.outputs[input.output].kind),
            };
            let digest = given.outputs[input.output].digest.to_string();
            inputs.insert(port, InputArtifact { path, artifact, digest });
        }
        let outputs = stage.outputs.iter().map(|port| (port.name.clone(), outputs_folder.join(&port.name))).collect();
        Ok(Prepared { inputs, outputs, scratch })
    }

    /// The path of each input: in the store, or for one that [`needs_copy`] a copy in the staging
    /// folder.
    fn input_paths(&self, id: StageId, staging: Option<&Path>) -> Result<InputPaths, AttemptError> {
        let mut paths = Vec::new();
        for input in &self.stage(id).inputs {
            let Some(blob) = self.output(input.from, input.output) else { continue };
            let path = match staging {
                Some(staging) if needs_copy(&blob) => {
                    let path = staging.join("inputs").join(&input.port);
                    self.store.materialise(&blob, &path)?;
                    path
                }
                _ => self.store.blob_path(&blob.digest),
            };
            paths.push((input.port.clone(), path));
        }
        Ok(paths)
    }

    /// No output may be written through a link that leads out of the project.
    fn stay_inside(&self, id: StageId) -> Result<(), AttemptError> {
        let paths = self.stage(id).outputs.iter().filter_map(|port| port.path.as_ref());
        let faults: Vec<Fault> = paths
            .filter_map(|(path, route)| Some(inside::way_to(&self.options.root, path).err()?.at(route.clone())))
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(AttemptError::Failed { faults: Faults::from(faults), again: false })
        }
    }

    /// Whether no output of a stage exists while their folders do. Then there is nothing to clear
    /// away.
    fn outputs_absent(&self, id: StageId) -> bool {
        let paths = self.stage(id).outputs.iter().filter_map(|port| port.path.as_ref());
        paths.map(|(path, _)| self.options.root.join(path)).all(|path| {
            let missing =
                std::fs::symlink_metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
            missing && path.parent().is_none_or(Path::is_dir)
        })
    }

    /// Clears the paths of outputs, so that old outputs do not pass for new ones, and makes their
    /// folders. A file that no result holds may be the user's work: it is set aside, unless an
    /// earlier attempt of this run wrote it.
    fn clear_outputs(&self, id: StageId, attempt: u32, log: &StageLog) -> Result<(), AttemptError> {
        for path in self.stage(id).outputs.iter().filter_map(|port| port.path.as_ref()) {
            let full = self.options.root.join(&path.0);
            let _ = fault::point("run.clear_output");
            let cleared = match attempt {
                // What a later attempt finds was written by the one before.
                0 | 1 => self.store.clear(&full),
                _ => cache::remove_all(&full).map(|()| None),
            };
            let ready = cleared.and_then(|aside| {
                if let Some(aside) = aside {
                    log.log(Level::Warn, self.set_aside(&path.0, &aside));
                }
                full.parent().filter(|parent| !parent.is_dir()).map_or(Ok(()), std::fs::create_dir_all)
            });
            if let Err(error) = ready {
                let message = format!("the old output `{}` cannot be removed: {error}", path.0);
                let fault = Fault::error(contract::code!("command::old_output"), message).at(path.1.clone());
                return Err(AttemptError::final_fault(fault.help("look at its permissions and those of its folder")));
            }
        }
        Ok(())
    }

    /// Turns what a stage wrote into outputs and a record, if its inputs are unchanged.
    fn settle(
        &self,
        id: StageId,
        looked: &Lookup,
        staging: Option<Staging>,
        finished: Finished,
        took: Duration,
    ) -> Result<Done, AttemptError> {
        let stage = self.stage(id);
        let _ = fault::point("run.ended");
        // Before the outputs move: a void attempt must leave the store as it was.
        self.unchanged_inputs(stage, looked)?;
        let into = self.options.scratch.as_ref().map_or(&self.store, |scratch| &scratch.store);
        let _ = fault::point("run.adopt");
        let blobs = match &staging {
            Some(staging) if stage.program.is_worker() => adopt_staged(into, stage, staging.path())?,
            _ => self.adopt_command(into, stage)?,
        };
        drop(staging);
        self.record(id, looked, blobs, finished, took)
    }

    /// Puts the copies of outputs back and commits the record. With a scratch store it compares
    /// with the old record.
    pub(crate) fn record(
        &self,
        id: StageId,
        looked: &Lookup,
        blobs: Vec<Blob>,
        mut finished: Finished,
        took: Duration,
    ) -> Result<Done, AttemptError> {
        let stage = self.stage(id);
        if let Some(scratch) = &self.options.scratch {
            return self.compare(stage, looked, scratch, &blobs, finished, took);
        }
        let _ = fault::point("run.adopted");
        for (port, blob) in stage.outputs.iter().zip(&blobs) {
            // A command's output has just moved from this path into the store. The short way
            // suffices unless something new is at the path.
            let place = port.path.as_ref().filter(|_| !stage.program.is_worker());
            if !place.is_some_and(|(path, _)| self.store.put_back(blob, &self.options.root.join(path))) {
                self.put_back(port, blob).map_err(|error| workspace(&error, &port.name))?;
            }
        }
        let _ = fault::point("run.record");
        // The record comes last: before it nothing counts, after it everything does.
        let outputs: Vec<(String, Blob)> =
            stage.outputs.iter().map(|port| port.name.clone()).zip(blobs.iter().copied()).collect();
        let last = self.store.last(&stage.name)?;
        let unchanged = last.is_some_and(|last| last.outputs == outputs);
        let worker = stage.program.is_worker();
        let detail = Detail {
            types: std::mem::take(&mut finished.types),
            summary: finished.summary.clone(),
            unmet: finished.unmet.clone(),
            warnings: finished.warnings.clone(),
            took,
            toolchain: if worker { self.options.environment.toolchain.clone() } else { BTreeMap::new() },
        };
        let record = Record {
            key: looked.key,
            label: stage.name.clone(),
            outputs,
            manifest: to_value(&looked.manifest)?,
            observations: observations(finished.observations, took),
            detail: to_value(&detail)?,
            created: now(),
        };
        let differs = match self.store.commit(&record)? {
            Committed::Differs(before) if stage.cache => Some(unstable(self, stage, &before, &blobs)),
            _ => None,
        };
        let _ = fault::point("run.recorded");
        Ok(Done {
            result: StageOutputs { key: looked.key, outputs: blobs },
            took,
            summary: finished.summary,
            unmet: absolute(&stage.name, finished.unmet),
            warnings: absolute(&stage.name, finished.warnings),
            unchanged,
            differs,
        })
    }

    /// Puts copies of the recorded outputs of a key into the project.
    fn put_back_recorded(&self, id: StageId, key: &Digest) -> Result<(), AttemptError> {
        let Some(record) = self.store.lookup(key)? else { return Ok(()) };
        for port in &self.stage(id).outputs {
            if let Some((_, blob)) = record.outputs.iter().find(|(name, _)| *name == port.name) {
                self.put_back(port, blob).map_err(|error| workspace(&error, &port.name))?;
            }
        }
        Ok(())
    }

    /// Compares the outputs of this time with the recorded ones. The stages below get the recorded
    /// ones.
    fn compare(
        &self,
        stage: &PlannedStage,
        looked: &Lookup,
        scratch: &Scratch,
        again: &[Blob],
        finished: Finished,
        took: Duration,
    ) -> Result<Done, AttemptError> {
        let record = self.store.lookup(&looked.key)?;
        let blob = |name: &str| {
            let outputs = record.iter().flat_map(|record| &record.outputs);
            outputs.into_iter().find(|(port, _)| port == name).map(|(_, blob)| *blob)
        };
        let mut outputs = Vec::with_capacity(again.len());
        for (port, again) in stage.outputs.iter().zip(again) {
            let Some(recorded) = blob(&port.name) else {
                let message = format!("`{}` has no record to compare with", stage.name);
                let fault = Fault::error(contract::code!("verify::no_record"), message)
                    .help("it changed meanwhile; run it first");
                return Err(AttemptError::final_fault(fault));
            };
            self.put_back(port, &recorded).map_err(|error| workspace(&error, &port.name))?;
            let compared = Compared { stage: stage.name.clone(), port: port.name.clone(), recorded, again: *again };
            scratch.compared.lock().unwrap_or_else(PoisonError::into_inner).push(compared);
            outputs.push(recorded);
        }
        let unchanged = outputs == again;
        Ok(Done {
            result: StageOutputs { key: looked.key, outputs },
            took,
            summary: finished.summary,
            unmet: absolute(&stage.name, finished.unmet),
            warnings: absolute(&stage.name, finished.warnings),
            unchanged,
            differs: None,
        })
    }

    /// Fails when an input changed while the stage ran. The stage may have read it before or after
    /// the edit, so the result belongs to neither.
    ///
    /// A file with the same content that was written to may have had other content in between. The
    /// first time that makes the stage run again. If it happens every time, the program itself
    /// writes what the file holds already.
    pub(crate) fn unchanged_inputs(&self, stage: &PlannedStage, looked: &Lookup) -> Result<(), AttemptError> {
        let mut changed = Vec::new();
        // If other stages of the run give every file, the key cannot have changed.
        let described = (!self.settled_key(stage)).then(|| self.describe(stage)).transpose();
        match described {
            Ok(None) => {}
            Ok(Some((now, files))) if now.key() == looked.key => {
                let touched: Vec<String> = written_to(stage, &looked.files, &files).collect();
                if !touched.is_empty() && self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(stage.id) {
                    changed.extend(touched);
                }
            }
            Ok(Some((now, _))) => {
                let reasons = crate::key::explain::compare(&looked.manifest, &now, &|port| port.to_owned());
                changed.extend(reasons.into_iter().map(|reason| match reason {
                    crate::key::explain::Reason::FileChanged { path, .. } => path,
                    crate::key::explain::Reason::EnvironmentChanged { what, .. } => what,
                    other => format!("{other:?}"),
                }));
            }
            // A file that was deleted is a change, too. The next look-up reports what is missing.
            Err(AttemptError::Failed { faults, .. }) => changed.extend(faults.into_iter().map(|fault| fault.message)),
            Err(ended) => return Err(ended),
        }
        // Files with the digest of another stage's output were not read for the key. Their copies
        // are checked here.
        for file in looked.files.iter().filter(|file| file.seen.is_none()) {
            let same = self.store.file_digest(&file.found.path).is_ok_and(|now| now.digest == file.digest);
            if !same {
                changed.push(file.found.shown.clone());
            }
        }
        // A command gets paths inside the store and could write to them.
        for input in stage.inputs.iter().filter(|_| !stage.program.is_worker()) {
            if let Some(blob) = self.output(input.from, input.output)
                && !self.store.check(&blob)?
            {
                changed.push(input.port.clone());
            }
        }
        if changed.is_empty() { Ok(()) } else { Err(AttemptError::Changed(changed)) }
    }

    /// Moves the outputs of a command from the project into the store. Copies are put back later.
    fn adopt_command(&self, into: &Store, stage: &PlannedStage) -> Result<Vec<Blob>, AttemptError> {
        let mut missing = Vec::new();
        let mut places = Vec::new();
        for port in &stage.outputs {
            let Some((path, route)) = &port.path else { continue };
            let full = self.options.root.join(path);
            // The program may have made links. Files behind them must not move into the store.
            if let Err(fault) = inside::all_of(&self.options.root, path) {
                missing.push(fault.at(route.clone()));
            } else if std::fs::metadata(&full).is_err() {
                let message = format!("the command of `{}` did not write `{path}`", stage.name);
                missing.push(
                    Fault::error(contract::code!("command::missing_output"), message)
                        .help("it ended well, so either the program or the path under `outs` is not what it should be")
                        .at(route.clone()),
                );
            }
            places.push(full);
        }
        // Nothing is adopted unless every output exists.
        if !missing.is_empty() {
            return Err(AttemptError::failed(missing));
        }
        places.iter().map(|full| Ok(into.adopt(full)?)).collect()
    }
}

fn adopt_staged(into: &Store, stage: &PlannedStage, staging: &Path) -> Result<Vec<Blob>, AttemptError> {
    let folder = staging.join("outputs");
    let mut missing = Vec::new();
    for port in &stage.outputs {
        if std::fs::symlink_metadata(folder.join(&port.name)).is_err() {
            let message = format!("`{}` is done without having written its output `{}`", stage.name, port.name);
            missing.push(Fault::error(contract::code!("worker::missing_output"), message).help("please report this"));
        }
    }
    if !missing.is_empty() {
        return Err(AttemptError::Failed { faults: Faults::from(missing), again: false });
    }
    stage.outputs.iter().map(|port| Ok(into.adopt(&folder.join(&port.name))?)).collect()
}

/// The warning for a stage that gave other bytes than an earlier run of the same key.
fn unstable(run: &Run, stage: &PlannedStage, before: &Record, now: &[Blob]) -> Fault {
    let store = &run.store;
    let differing = stage.outputs.iter().zip(now).find_map(|(port, blob)| {
        let old = before.outputs.iter().find(|(name, _)| *name == port.name).map(|(_, blob)| blob);
        (old.map(|old| old.digest) != Some(blob.digest)).then(|| {
            let place = old.and_then(|old| difference::found(&run.looker, port.kind, (store, old), (store, blob)));
            let place = place.map_or_else(String::new, |place| format!("; first at {place}"));
            let old = old.map_or_else(|| "nothing".to_owned(), |old| old.digest.short());
            format!("`{}` was {old} and is {} now{place}", port.name, blob.digest.short())
        })
    });
    let differing = differing.unwrap_or_else(|| "it has other outputs now".to_owned());
    let name = &stage.name;
    Fault::warning(contract::code!("run::unstable"), format!("`{name}` gave other bytes for the same inputs and parameters: {differing}"))
        .help("something it does not declare has an influence (a clock, an unseeded generator, an undeclared file); both results are kept")
        .at(contract::fault::Route::stage(name))
}

fn input_file(file: &crate::key::digests::Digested) -> InputFile {
    let found = &file.found;
    InputFile { role: found.role.clone(), path: found.path.clone(), shown: found.shown.clone() }
}

/// The files of a stage that were written to, whatever they hold now. Files that other stages write
/// are left out.
fn written_to<'a>(
    stage: &'a PlannedStage,
    before: &'a [Digested],
    now: &'a [Digested],
) -> impl Iterator<Item = String> + 'a {
    let stamp = |file: &Digested| file.seen.map(|seen| seen.writing);
    // The copy of an output may be a hard link to the blob, whose times move when another process
    // uses the blob.
    let own = |file: &Digested| stage.written.iter().all(|edge| edge.file != file.found.file);
    let pairs = before.iter().zip(now).filter(move |(before, _)| own(before));
    pairs.filter(move |(before, now)| stamp(before) != stamp(now)).map(|(before, _)| before.found.shown.clone())
}

/// Whether an input must be copied out of the store. A folder has no path there, and an executable
/// file lacks the permission.
fn needs_copy(blob: &Blob) -> bool {
    blob.tree || blob.executable
}

fn make_folder(path: &Path) -> Result<(), AttemptError> {
    let created = fault::point("run.staging_folder").and_then(|()| std::fs::create_dir_all(path));
    created.map_err(|source| StoreError::io(path, "create folder", source).into())
}

fn to_value(value: &impl serde::Serialize) -> Result<Value, AttemptError> {
    serde_json::to_value(value).map_err(|error| {
        AttemptError::final_fault(Fault::error(
            contract::code!("run::record"),
            format!("the record has no JSON: {error}"),
        ))
    })
}

/// The observations of a stage, with the wall time added.
fn observations(measured: Value, took: Duration) -> Value {
    match measured {
        Value::Object(mut map) => {
            map.insert("took".into(), took.as_secs_f64().into());
            Value::Object(map)
        }
        Value::Null => json!({"took": took.as_secs_f64()}),
        other => json!({"took": took.as_secs_f64(), "measured": other}),
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
