//! One attempt of one stage that is not a hit: lock, stage, run, check, adopt, commit.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cache::{Blob, Committed, Digest, KeyLock, Record, Staging, Store, StoreError, fault};
use contract::artifact::{ArtifactType, Types};
use contract::fault::{Fault, Route};
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

/// What an attempt gave.
pub(crate) enum AttemptResult {
    /// It ran, and is recorded.
    Done(Box<Done>),
    /// Somebody else had made it meanwhile.
    Hit(Box<Hit>),
}

/// A stage that ran.
pub(crate) struct Done {
    pub(crate) made: StageOutputs,
    pub(crate) took: Duration,
    pub(crate) summary: BTreeMap<String, f64>,
    pub(crate) unmet: Vec<Fault>,
    pub(crate) warnings: Vec<Fault>,
    pub(crate) unchanged: bool,
    /// What to say when the record this key had before says other bytes.
    pub(crate) differs: Option<Fault>,
}

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) run: Arc<Run>,
    pub(crate) id: StageId,
    pub(crate) attempt: u32,
    pub(crate) threads: usize,
    pub(crate) stop: CancellationToken,
    /// What a primed stage waits for before it begins.
    pub(crate) gate: Option<oneshot::Receiver<()>>,
    /// Told when the work is over and only its result has to be recorded, and whether the work was short.
    pub(crate) worked: Box<dyn Fn(bool) + Send + Sync>,
}

/// Shorter work is made ready beforehand: to look at a stage, take its locks and start a shell takes about a millisecond.
const BRIEF: Duration = Duration::from_millis(50);
/// How long a primed stage holds its locks while it waits for slots. Those who have slots may need what it holds, and all of them may.
const HELD: Duration = Duration::from_millis(50);
/// How long a stage waits at most before it looks again whether what it needs is free.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The name of each input of a program, and where it lies.
type InputPaths = Vec<(String, PathBuf)>;

impl Attempt {
    fn stage(&self) -> &PlannedStage {
        self.run.stage(self.id)
    }

    /// Runs `work` beside the loop; a panic in it is a failure of the stage.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Run) -> Result<T, AttemptError> + Send + 'static,
    ) -> Result<T, AttemptError> {
        let run = Arc::clone(&self.run);
        self.run.offload.run(move || work(&run)).await.unwrap_or_else(|| {
            let fault = Fault::error("run::panic", "the engine made a mistake while it handled the stage");
            Err(AttemptError::final_fault(fault.help("please report this")))
        })
    }

    /// Carries the attempt out; what it says is kept in the store.
    pub(crate) async fn carry_out(mut self) -> Result<AttemptResult, AttemptError> {
        let name = &self.stage().name;
        let log = self.run.store.log_writer(&self.run.name, name, self.attempt);
        let voice = StageLog::new(name, &self.run.events).kept(log);
        let result = self.attempt(&voice).await;
        match &result {
            Ok(AttemptResult::Done(done)) => {
                let told = |fault: &Fault, level| voice.keep(level, &fault.message);
                done.warnings.iter().for_each(|fault| told(fault, Level::Warn));
                done.unmet.iter().for_each(|fault| told(fault, Level::Error));
            }
            Err(AttemptError::Failed { faults, .. }) => {
                // The first line: its last lines are in the log already.
                let first = |fault: &Fault| {
                    let line = fault.message.lines().next().unwrap_or_default();
                    line.trim_end_matches("; its last lines:").to_owned()
                };
                faults.iter().for_each(|fault| voice.keep(Level::Error, &first(fault)));
            }
            Err(AttemptError::Stopped) => voice.keep(Level::Warn, "it was told to stop"),
            Err(AttemptError::Changed(what)) => {
                voice.keep(Level::Warn, &format!("{} changed meanwhile; the result is not kept", what.join(", ")));
            }
            Ok(AttemptResult::Hit(_)) | Err(AttemptError::Engine(_)) => {}
        }
        result
    }

    /// Gets a stage to where its work begins, with its locks, unless somebody has made it meanwhile. A primed one waits for its
    /// slots on the way; what others may want it does not hold for long.
    async fn ready(
        &mut self,
        voice: &StageLog,
    ) -> Result<ControlFlow<Box<Hit>, (Box<Ready>, Vec<KeyLock>)>, AttemptError> {
        let id = self.id;
        let mut pause = Duration::from_millis(5);
        let mut said = false;
        let mut gate = self.gate.take();
        loop {
            let begin = AttemptId { id, attempt: self.attempt, primed: gate.is_some() };
            let (told, runtime) = (voice.clone(), Handle::current());
            // In one go where nobody else works on the same: a change of threads costs as much as all of it.
            let (ready, working) = match self.aside(move |run| run.begin(begin, &told, &runtime)).await? {
                Start::Hit(hit) => return Ok(ControlFlow::Break(hit)),
                Start::Ready(ready, working) => (ready, working),
                Start::Busy(lock) => {
                    if !begin.primed && !std::mem::replace(&mut said, true) {
                        let (level, text) = self.waits_for(&lock);
                        voice.log(level, text);
                    }
                    tokio::select! {
                        () = self.stop.cancelled() => return Err(AttemptError::Stopped),
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    }
                    continue;
                }
            };
            let Some(waiting) = &mut gate else { return Ok(ControlFlow::Continue((ready, working))) };
            let word = tokio::select! {
                biased;
                () = self.stop.cancelled() => Some(false),
                // Who would give the word may be gone.
                word = &mut *waiting => Some(word.is_ok()),
                () = tokio::time::sleep(HELD) => None,
            };
            if word == Some(true) {
                let ready = if self.run.nothing_there(id) {
                    self.run.go(begin, false, ready, voice)?
                } else {
                    let told = voice.clone();
                    self.aside(move |run| run.go(begin, true, ready, &told)).await?
                };
                return Ok(ControlFlow::Continue((ready, working)));
            }
            ready.job.abandon().await;
            drop(working);
            let go = word.is_none()
                && tokio::select! {
                    biased;
                    () = self.stop.cancelled() => false,
                    word = waiting => word.is_ok(),
                };
            if !go {
                return Err(AttemptError::Stopped);
            }
            gate = None;
        }
    }

    async fn attempt(&mut self, voice: &StageLog) -> Result<AttemptResult, AttemptError> {
        let id = self.id;
        let (ready, _working) = match self.ready(voice).await? {
            ControlFlow::Continue(ready) => ready,
            ControlFlow::Break(hit) => return Ok(AttemptResult::Hit(hit)),
        };
        let Ready { looked, begun, job, staging, .. } = *ready;
        let key = looked.key;
        let worked = if self.stage().program.is_worker() {
            match self.request(&looked).await {
                Ok((staging, request)) => {
                    self.finish(job, Some(request), voice).await.map(|done| (Some(staging), done))
                }
                Err(ended) => Err(ended),
            }
        } else {
            self.finish(job, None, voice).await.map(|finished| (staging, finished))
        };
        let took = begun.elapsed();
        let settled = match worked {
            Ok((staging, finished)) => {
                (self.worked)(took < BRIEF);
                self.aside(move |run| run.settle(id, &looked, staging, finished, took)).await
            }
            Err(ended) => Err(ended),
        };
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
            // What a comparison cleared away comes back although it came to nothing.
            self.aside(move |run| run.put_back_recorded(id, &key)).await?;
        }
        settled.map(|done| AttemptResult::Done(Box::new(done)))
    }

    /// For whom a stage waits. Of another process everybody is told: it may take long, and nothing is seen of it here.
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

/// What a stage needs to itself while it works, or shares with others who leave it as it is.
struct LockRequest {
    lock: Digest,
    of: LockPurpose,
}

enum LockPurpose {
    /// The work: nobody else does the same meanwhile.
    Work,
    /// A path of the project that is written.
    Write,
    /// A path of the project that another stage has written, and which of its outputs that is.
    Read(StageId, u32),
}

/// How an attempt begins.
enum Start {
    /// Somebody has made it meanwhile.
    Hit(Box<Hit>),
    /// Somebody else works on what it needs; by the name of the lock.
    Busy(Digest),
    /// It has its locks.
    Ready(Box<Ready>, Vec<KeyLock>),
}

/// Which attempt of which stage begins.
#[derive(Debug, Clone, Copy)]
struct AttemptId {
    id: StageId,
    attempt: u32,
    /// Whether it has to wait for its slots.
    primed: bool,
}

/// A stage that has its locks and is set up at its executor.
struct Ready {
    looked: Lookup,
    reasons: Vec<Reason>,
    /// When its work began.
    begun: Instant,
    job: Box<dyn Job>,
    /// The copies of inputs that a program of the user's reads.
    staging: Option<Staging>,
}

/// What a request needs beyond the plan.
struct Prepared {
    inputs: BTreeMap<String, InputArtifact>,
    outputs: BTreeMap<String, PathBuf>,
    scratch: PathBuf,
}

impl Run {
    /// Looks at a stage again (it may have waited for its slots for an hour), takes its locks and begins it.
    ///
    /// All locks or none are held: who waits for one holds no other, so that nobody waits in a circle.
    fn begin(&self, begin: AttemptId, voice: &StageLog, runtime: &Handle) -> Result<Start, AttemptError> {
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
        let mut working = Vec::new();
        for want in self.wants(stage, looked.key) {
            match self.take(&want)? {
                Some(lock) => working.push(lock),
                None => return Ok(Start::Busy(want.lock)),
            }
        }
        // What was looked at before the locks were held may have been another run's.
        if stage.written.iter().any(|edge| !edge.exact) {
            let (manifest, files) = self.describe(stage)?;
            let key = manifest.key();
            if key != looked.key {
                let lock = key;
                (looked.key, looked.manifest, looked.files) = (key, manifest, files);
                if stage.program.is_worker() {
                    match self.take(&LockRequest { lock, of: LockPurpose::Work })? {
                        Some(lock) => working.push(lock),
                        None => return Ok(Start::Busy(lock)),
                    }
                }
            }
        }
        // Just before, another process may have finished the same work.
        if !self.forced(id) && stage.cache {
            self.look_up(stage, &mut looked, true)?;
            if let Some(hit) = looked.hit.take() {
                return Ok(Start::Hit(Box::new(hit)));
            }
        }
        let reasons = self.reasons(stage, &looked);
        let (staging, inputs) =
            if stage.program.is_worker() { (None, Vec::new()) } else { self.prepare_command(stage)? };
        let setup = Setup { stage, inputs, root: &self.options.root, log: voice };
        let job = {
            let _entered = runtime.enter();
            self.executors.of(stage).set_up(setup)?
        };
        let mut ready = Box::new(Ready { looked, reasons, begun: Instant::now(), job, staging });
        if !begin.primed {
            ready = self.go(begin, true, ready, voice)?;
        }
        Ok(Start::Ready(ready, working))
    }

    /// Lets a stage begin to work; what is at the places of its outputs is cleared away first, if anything is.
    fn go(
        &self,
        begin: AttemptId,
        clear: bool,
        mut ready: Box<Ready>,
        voice: &StageLog,
    ) -> Result<Box<Ready>, AttemptError> {
        let AttemptId { id, attempt, .. } = begin;
        let stage = self.stage(id);
        let key = ready.looked.key;
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).insert(id, key);
        let reasons = std::mem::take(&mut ready.reasons);
        voice.send(Event::StageStarted { stage: stage.name.clone(), key: key.to_string(), reasons, attempt });
        if !stage.program.is_worker() && clear {
            self.clear_outputs(id, attempt, voice)?;
        }
        if !stage.program.is_worker() {
            ready.begun = Instant::now();
        }
        ready.job.begin();
        Ok(ready)
    }

    /// What a stage needs to itself: the paths of the project it writes, those it reads and other stages write (shared with who
    /// reads them, too), and the work itself. So a run with other parameters in the same project never mixes with this one.
    fn wants(&self, stage: &PlannedStage, key: Digest) -> Vec<LockRequest> {
        let mut wants: Vec<LockRequest> = Vec::with_capacity(stage.outputs.len() + stage.written.len() + 1);
        for (path, _) in stage.outputs.iter().filter_map(|port| port.path.as_ref()) {
            wants.push(LockRequest { lock: self.path_lock(path), of: LockPurpose::Write });
        }
        // What a program writes is guarded by the paths; a worker writes into a folder of its own.
        if wants.is_empty() || stage.program.is_worker() {
            wants.push(LockRequest { lock: key, of: LockPurpose::Work });
        }
        for edge in &stage.written {
            let port = self.stage(edge.from).outputs.get(edge.output as usize);
            if let Some((path, _)) = port.and_then(|port| port.path.as_ref()) {
                wants.push(LockRequest { lock: self.path_lock(path), of: LockPurpose::Read(edge.from, edge.output) });
            }
        }
        wants.sort_by_key(|want| want.lock);
        wants.dedup_by_key(|want| want.lock);
        wants
    }

    /// Takes a lock if nobody else holds it. What is read is what its stage gave then, whatever happened to it since.
    fn take(&self, want: &LockRequest) -> Result<Option<KeyLock>, AttemptError> {
        let store = &self.store;
        let (from, output) = match want.of {
            LockPurpose::Work => return Ok(store.try_lock_key(&want.lock)?),
            LockPurpose::Write => return Ok(store.try_lock_name(&want.lock)?),
            LockPurpose::Read(from, output) => (from, output as usize),
        };
        let Some(shared) = store.try_share_name(&want.lock)? else { return Ok(None) };
        let (Some(port), Some(blob)) = (self.stage(from).outputs.get(output), self.output(from, output)) else {
            return Ok(Some(shared));
        };
        if self.in_place(port, &blob) {
            return Ok(Some(shared));
        }
        drop(shared);
        let Some(own) = store.try_lock_name(&want.lock)? else { return Ok(None) };
        self.put_back(port, &blob).map_err(|error| workspace(&error, &port.name))?;
        Ok((own.share() && self.in_place(port, &blob)).then_some(own))
    }

    /// Makes the inputs of a program ready, and says where they lie.
    fn prepare_command(&self, stage: &PlannedStage) -> Result<(Option<Staging>, InputPaths), AttemptError> {
        let id = stage.id;
        self.stay_inside(id)?;
        let copied = |input: &PlannedInput| self.output(input.from, input.output).is_some_and(|blob| needs_copy(&blob));
        let needed = stage.inputs.iter().any(copied);
        let staging = if needed { Some(self.store.staging()?) } else { None };
        let inputs = self.input_paths(id, staging.as_ref().map(Staging::path))?;
        Ok((staging, inputs))
    }

    /// Makes the folders of a request and looks up its inputs.
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
            let Some(made) = self.made(input.from).get() else { continue };
            let types = match self.store.lookup(&made.key)? {
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
            let digest = made.outputs[input.output].digest.to_string();
            inputs.insert(port, InputArtifact { path, artifact, digest });
        }
        let outputs = stage.outputs.iter().map(|port| (port.name.clone(), outputs_folder.join(&port.name))).collect();
        Ok(Prepared { inputs, outputs, scratch })
    }

    /// Where the inputs lie: a file in the store itself, what [`needs_copy`] as a copy in the staging folder.
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
        if faults.is_empty() { Ok(()) } else { Err(AttemptError::Failed { faults, again: false }) }
    }

    /// Whether no output of a stage is there, and their folders are: there is nothing to clear away, which may take its time.
    fn nothing_there(&self, id: StageId) -> bool {
        let paths = self.stage(id).outputs.iter().filter_map(|port| port.path.as_ref());
        paths.map(|(path, _)| self.options.root.join(path)).all(|path| {
            let missing =
                std::fs::symlink_metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
            missing && path.parent().is_none_or(Path::is_dir)
        })
    }

    /// Old outputs must not pass for new ones. Their folders are made. What is at their places and in no result is somebody's work:
    /// it is set aside, unless an attempt of this run has written it.
    fn clear_outputs(&self, id: StageId, attempt: u32, voice: &StageLog) -> Result<(), AttemptError> {
        for path in self.stage(id).outputs.iter().filter_map(|port| port.path.as_ref()) {
            let full = self.options.root.join(&path.0);
            let _ = fault::point("run.clear_output");
            let cleared = match attempt {
                0 | 1 => self.store.clear(&full),
                _ => cache::remove_all(&full).map(|()| None),
            };
            let made = cleared.and_then(|aside| {
                if let Some(aside) = aside {
                    voice.log(Level::Warn, self.set_aside(&path.0, &aside));
                }
                full.parent().filter(|parent| !parent.is_dir()).map_or(Ok(()), std::fs::create_dir_all)
            });
            if let Err(error) = made {
                let message = format!("the old output `{}` cannot be removed: {error}", path.0);
                let fault = Fault::error("command::old_output", message).at(path.1.clone());
                return Err(AttemptError::final_fault(fault.help("look at its permissions and those of its folder")));
            }
        }
        Ok(())
    }

    /// What a stage wrote becomes outputs and a record, if what it read is still what it was.
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

    /// Puts the copies of outputs back and commits the record; with a scratch store, compares with the record that is there.
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
            // A program's output has just been moved away from its place.
            let place = port.path.as_ref().filter(|_| !stage.program.is_worker());
            if !place.is_some_and(|(path, _)| self.store.put_back(blob, &self.options.root.join(path))) {
                self.put_back(port, blob).map_err(|error| workspace(&error, &port.name))?;
            }
        }
        let _ = fault::point("run.record");
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
            made: StageOutputs { key: looked.key, outputs: blobs },
            took,
            summary: finished.summary,
            unmet: absolute(&stage.name, finished.unmet),
            warnings: absolute(&stage.name, finished.warnings),
            unchanged,
            differs,
        })
    }

    /// The recorded outputs of a key are put into the project.
    fn put_back_recorded(&self, id: StageId, key: &Digest) -> Result<(), AttemptError> {
        let Some(record) = self.store.lookup(key)? else { return Ok(()) };
        for port in &self.stage(id).outputs {
            if let Some((_, blob)) = record.outputs.iter().find(|(name, _)| *name == port.name) {
                self.put_back(port, blob).map_err(|error| workspace(&error, &port.name))?;
            }
        }
        Ok(())
    }

    /// What a stage gave this time, beside what is recorded; the recorded outputs are what counts.
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
                let fault = Fault::error("verify::no_record", message).help("it changed meanwhile; run it first");
                return Err(AttemptError::final_fault(fault));
            };
            self.put_back(port, &recorded).map_err(|error| workspace(&error, &port.name))?;
            let compared = Compared { stage: stage.name.clone(), port: port.name.clone(), recorded, again: *again };
            scratch.compared.lock().unwrap_or_else(PoisonError::into_inner).push(compared);
            outputs.push(recorded);
        }
        let unchanged = outputs == again;
        Ok(Done {
            made: StageOutputs { key: looked.key, outputs },
            took,
            summary: finished.summary,
            unmet: absolute(&stage.name, finished.unmet),
            warnings: absolute(&stage.name, finished.warnings),
            unchanged,
            differs: None,
        })
    }

    /// An input edited while the stage ran was perhaps read before, perhaps after: the result belongs to neither.
    ///
    /// A file that is what it was and yet was written to may have been something else in between. Once that makes the stage run
    /// again; when it happens every time, it is the program itself that writes what is there already.
    pub(crate) fn unchanged_inputs(&self, stage: &PlannedStage, looked: &Lookup) -> Result<(), AttemptError> {
        let mut changed = Vec::new();
        // Where other stages of the run give everything, only the copies in the project can have changed.
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
                let told = crate::key::explain::compare(&looked.manifest, &now, &|port| port.to_owned());
                changed.extend(told.into_iter().map(|reason| match reason {
                    crate::key::explain::Reason::FileChanged { path, .. } => path,
                    crate::key::explain::Reason::EnvironmentChanged { what, .. } => what,
                    other => format!("{other:?}"),
                }));
            }
            // A file that has gone meanwhile is a change; the next look says what is missing.
            Err(AttemptError::Failed { faults, .. }) => changed.extend(faults.into_iter().map(|fault| fault.message)),
            Err(ended) => return Err(ended),
        }
        for file in looked.files.iter().filter(|file| file.seen.is_none()) {
            let there = self.store.file_digest(&file.found.path).is_ok_and(|now| now.digest == file.digest);
            if !there {
                changed.push(file.found.shown.clone());
            }
        }
        // A program that is bent on it can write into the store.
        for input in stage.inputs.iter().filter(|_| !stage.program.is_worker()) {
            if let Some(blob) = self.output(input.from, input.output)
                && !self.store.check(&blob)?
            {
                changed.push(input.port.clone());
            }
        }
        if changed.is_empty() { Ok(()) } else { Err(AttemptError::Changed(changed)) }
    }

    /// The outputs of a program move from the project into the store; their copies are put back afterwards.
    fn adopt_command(&self, into: &Store, stage: &PlannedStage) -> Result<Vec<Blob>, AttemptError> {
        let mut missing = Vec::new();
        let mut places = Vec::new();
        for port in &stage.outputs {
            let Some((path, route)) = &port.path else { continue };
            let full = self.options.root.join(path);
            // The program may have made links meanwhile: nothing behind them is moved into the store.
            if let Err(fault) = inside::all_of(&self.options.root, path) {
                missing.push(fault.at(route.clone()));
            } else if std::fs::metadata(&full).is_err() {
                let message = format!("the command of `{}` did not write `{path}`", stage.name);
                missing.push(
                    Fault::error("command::missing_output", message)
                        .help("it ended well, so either the program or the path under `outs` is not what it should be")
                        .at(route.clone()),
                );
            }
            places.push(full);
        }
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
            missing.push(Fault::error("worker::missing_output", message).help("please report this"));
        }
    }
    if !missing.is_empty() {
        return Err(AttemptError::Failed { faults: missing, again: false });
    }
    stage.outputs.iter().map(|port| Ok(into.adopt(&folder.join(&port.name))?)).collect()
}

/// The warning of a stage that gave other bytes than an earlier run of the same key.
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
    Fault::warning("run::unstable", format!("`{name}` gave other bytes for the same inputs and parameters: {differing}"))
        .help("something it does not declare has an influence (a clock, an unseeded generator, an undeclared file); both results are kept")
        .at(contract::fault::Route::stage(name))
}

fn input_file(file: &crate::key::digests::Digested) -> InputFile {
    let found = &file.found;
    InputFile { role: found.role.clone(), path: found.path.clone(), shown: found.shown.clone() }
}

/// The files of a stage that no other stage writes and that were written to, whatever is in them now.
fn written_to<'a>(
    stage: &'a PlannedStage,
    before: &'a [Digested],
    now: &'a [Digested],
) -> impl Iterator<Item = String> + 'a {
    let stamp = |file: &Digested| file.seen.map(|seen| seen.writing);
    // The copy of an output may be one file with the blob, which others copy meanwhile: that moves its times, too.
    let own = |file: &Digested| stage.written.iter().all(|edge| edge.file != file.found.file);
    let pairs = before.iter().zip(now).filter(move |(before, _)| own(before));
    pairs.filter(move |(before, now)| stamp(before) != stamp(now)).map(|(before, _)| before.found.shown.clone())
}

/// A file in the store can be read where it is; a folder needs a place, and what is to be executed needs the permission.
fn needs_copy(blob: &Blob) -> bool {
    blob.tree || blob.executable
}

fn make_folder(path: &Path) -> Result<(), AttemptError> {
    let made = fault::point("run.staging_folder").and_then(|()| std::fs::create_dir_all(path));
    made.map_err(|source| StoreError::io(path, "create folder", source).into())
}

fn to_value(value: &impl serde::Serialize) -> Result<Value, AttemptError> {
    serde_json::to_value(value).map_err(|error| {
        AttemptError::final_fault(Fault::error("run::record", format!("the record has no JSON: {error}")))
    })
}

/// What was measured, with the wall time.
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
