//! One attempt of one stage that is not a hit: lock, stage, run, check, adopt, commit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cache::{Blob, Committed, Digest, Fold, KeyLock, Record, Staging, Store, StoreError, fault};
use serde_json::{Value, json};

use super::detail::{absolute, with_lineage};
use super::look::{Hit, Looked, Made, Run, workspace};
use super::{Compared, Detail, Ended, Scratch, Voice};
use crate::artifact::{ArtifactType, Types};
use crate::cancel::CancelToken;
use crate::command;
use crate::error::{Fault, Route};
use crate::event::Event;
use crate::inside;
use crate::kind::Executor;
use crate::plan::{PlannedInput, PlannedStage, StageId};
use crate::pool::Limits;
use crate::protocol::{Finished, InputArtifact, InputFile, Level, RunRequest};

/// What an attempt gave.
pub(crate) enum Gave {
    /// It ran, and is recorded.
    Done(Box<Done>),
    /// Somebody else had made it meanwhile.
    Hit(Box<Hit>),
}

/// A stage that ran.
pub(crate) struct Done {
    pub(crate) made: Made,
    pub(crate) took: Duration,
    pub(crate) summary: BTreeMap<String, f64>,
    pub(crate) unmet: Vec<Fault>,
    pub(crate) warnings: Vec<Fault>,
    pub(crate) unchanged: bool,
    /// The record this key had before, when it says other bytes.
    pub(crate) differs: Option<Record>,
}

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) run: Arc<Run>,
    pub(crate) id: StageId,
    pub(crate) attempt: u32,
    pub(crate) threads: usize,
    pub(crate) stop: CancelToken,
}

/// The name of each input of a program, and where it lies.
type InputPaths = Vec<(String, PathBuf)>;

impl Attempt {
    fn stage(&self) -> &PlannedStage {
        self.run.stage(self.id)
    }

    /// Runs `work` beside the loop; a panic in it is a failure of the stage.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Run) -> Result<T, Ended> + Send + 'static,
    ) -> Result<T, Ended> {
        let run = Arc::clone(&self.run);
        self.run.offload.run(move || work(&run)).await.unwrap_or_else(|| {
            let fault = Fault::error("run::panic", "the engine made a mistake while it handled the stage");
            Err(Ended::final_fault(fault.help("please report this")))
        })
    }

    /// Carries the attempt out; what it says is kept in the store.
    pub(crate) async fn carry_out(self) -> Result<Gave, Ended> {
        let stage = self.stage();
        let log = self.run.store.log_writer(&self.run.name, &stage.name, self.attempt);
        let voice = Voice::new(&stage.name, &self.run.events).kept(log);
        let result = self.attempt(&voice).await;
        match &result {
            Ok(Gave::Done(done)) => {
                let told = |fault: &Fault, level| voice.keep(level, &fault.message);
                done.warnings.iter().for_each(|fault| told(fault, Level::Warn));
                done.unmet.iter().for_each(|fault| told(fault, Level::Error));
            }
            Err(Ended::Failed { faults, .. }) => {
                // The first line: its last lines are in the log already.
                let first = |fault: &Fault| {
                    let line = fault.message.lines().next().unwrap_or_default();
                    line.trim_end_matches("; its last lines:").to_owned()
                };
                faults.iter().for_each(|fault| voice.keep(Level::Error, &first(fault)));
            }
            Err(Ended::Stopped) => voice.keep(Level::Warn, "it was told to stop"),
            Err(Ended::Changed(what)) => {
                voice.keep(Level::Warn, &format!("{} changed meanwhile; the result is not kept", what.join(", ")));
            }
            Ok(Gave::Hit(_)) | Err(Ended::Engine(_)) => {}
        }
        result
    }

    async fn attempt(&self, voice: &Voice) -> Result<Gave, Ended> {
        let (id, stage) = (self.id, self.stage());
        let locks = self.locks();
        let (attempt, told) = (self.attempt, voice.clone());
        // In one go where nobody else works on the same: a change of threads costs as much as all of it.
        let began = self.aside(move |run| run.begin(id, locks, attempt, &told)).await?;
        let began = match began {
            Began::Busy(looked) => {
                let mut working = Vec::new();
                for lock in self.locks_or(looked.key) {
                    working.push(self.lock(lock, voice).await?);
                }
                let told = voice.clone();
                self.aside(move |run| run.under_lock(id, *looked, working, attempt, &told)).await?
            }
            began => began,
        };
        let (looked, _working, prepared) = match began {
            Began::Hit(hit) => return Ok(Gave::Hit(hit)),
            Began::Ready { looked, working, prepared } => (looked, working, prepared),
            Began::Busy(_) => {
                let fault = Fault::error("run::panic", "a stage was begun without its locks");
                return Err(Ended::final_fault(fault.help("please report this")));
            }
        };
        let begun = Instant::now();
        let (staging, finished) = match stage.executor {
            Executor::Command => self.command(prepared, voice).await?,
            Executor::Data | Executor::Torch => self.worker(&looked, voice).await?,
        };
        let took = begun.elapsed();
        self.aside(move |run| run.settle(id, &looked, staging, finished, took))
            .await
            .map(|done| Gave::Done(Box::new(done)))
    }

    /// Takes a lock that another stage or process may hold, saying for whom it waits.
    async fn lock(&self, lock: Lock, voice: &Voice) -> Result<KeyLock, Ended> {
        let mut pause = Duration::from_millis(5);
        let mut said = false;
        loop {
            // Taking a free lock is a system call or two: not worth a thread.
            if let Some(taken) = lock.take(&self.run.store)? {
                return Ok(taken);
            }
            if !said {
                said = true;
                let holder = match self.run.store.lock_holder(&lock.digest()) {
                    Some(process) if process == std::process::id() => "another stage of this run".to_owned(),
                    Some(process) => format!("process {process}"),
                    None => "another process".to_owned(),
                };
                voice.log(Level::Info, format!("waits for {holder}, which works on the same"));
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Ended::Stopped),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_millis(100)),
            }
        }
    }

    /// What nobody else may do meanwhile. For a worker: the same work. For a program, which writes into the project itself:
    /// anything that writes the same paths, so that a run with other parameters never mixes with this one; one lock per
    /// path, in an order all processes keep to.
    fn locks(&self) -> Vec<Lock> {
        let stage = self.stage();
        let paths = stage.outputs.iter().filter_map(|port| port.path.as_ref());
        let mut keys: Vec<Digest> = paths
            .filter(|_| stage.executor == Executor::Command)
            .map(|(path, _)| {
                let path = self.run.options.root.join(path);
                Fold::new("pipeline workspace path v1").text("path", &path.to_string_lossy()).finish()
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(Lock::Path).collect()
    }

    /// [`Attempt::locks`], or the key itself.
    fn locks_or(&self, key: Digest) -> Vec<Lock> {
        let locks = self.locks();
        if locks.is_empty() { vec![Lock::Key(key)] } else { locks }
    }

    async fn worker(&self, looked: &Looked, voice: &Voice) -> Result<(Option<Staging>, Finished), Ended> {
        let stage = self.stage();
        let device = match stage.executor {
            Executor::Torch => self.run.options.environment.device(&stage.device).map_err(|fault| {
                let at = Route::root().join("device");
                Ended::final_fault(if fault.route.is_none() { fault.at(at) } else { fault })
            })?,
            _ => "cpu".to_owned(),
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
            params: stage.params.clone(),
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
        let limits = Limits { timeout: stage.timeout, memory: stage.resources.memory };
        let finished = self.run.pool.run(stage.executor, request, limits, voice, &self.stop).await?;
        Ok((Some(staging), finished))
    }

    async fn command(
        &self,
        (staging, inputs): (Option<Staging>, InputPaths),
        voice: &Voice,
    ) -> Result<(Option<Staging>, Finished), Ended> {
        let stage = self.stage();
        let Some(line) = &stage.command else {
            let fault = Fault::error("run::no_command", format!("`{}` has no program to start", stage.name));
            return Err(Ended::final_fault(fault.help("please report this")));
        };
        let label = |port: &str| stage.inputs.iter().find(|input| input.port == port)?.label.clone();
        let mounted = |(port, path): (String, PathBuf)| command::Mounted { label: label(&port), port, path };
        let inputs: Vec<command::Mounted> = inputs.into_iter().map(mounted).collect();
        let environment = command::environment(std::env::vars_os(), &line.env, &inputs);
        if let Some(fault) = command::too_many(&stage.name, &environment) {
            return Err(Ended::final_fault(fault));
        }
        let folder = self.run.options.root.join(&stage.folder);
        let program = command::Program { line: &line.run, root: &folder, environment, timeout: stage.timeout };
        command::run(program, &self.run.guard, voice, &self.stop).await?;
        Ok((staging, Finished::default()))
    }
}

/// What an attempt has for itself while it works.
#[derive(Debug, Clone, Copy)]
enum Lock {
    /// The work.
    Key(Digest),
    /// A path of the project, by its digest.
    Path(Digest),
}

impl Lock {
    fn take(self, store: &Store) -> Result<Option<KeyLock>, StoreError> {
        match self {
            Self::Key(key) => store.try_lock_key(&key),
            Self::Path(name) => store.try_lock_name(&name),
        }
    }

    fn digest(self) -> Digest {
        match self {
            Self::Key(digest) | Self::Path(digest) => digest,
        }
    }
}

/// How an attempt begins.
enum Began {
    /// Somebody has made it meanwhile.
    Hit(Box<Hit>),
    /// Somebody else works on the same.
    Busy(Box<Looked>),
    /// It has its locks, has said that it starts, and of a program also what the project needs and where its inputs lie.
    Ready { looked: Box<Looked>, working: Vec<KeyLock>, prepared: (Option<Staging>, InputPaths) },
}

/// What a request needs beyond the plan.
struct Prepared {
    inputs: BTreeMap<String, InputArtifact>,
    outputs: BTreeMap<String, PathBuf>,
    scratch: PathBuf,
}

impl Run {
    /// Looks at a stage again (it may have waited for its slots for an hour), takes its locks (the key where there are
    /// none) and begins it.
    fn begin(&self, id: StageId, locks: Vec<Lock>, attempt: u32, voice: &Voice) -> Result<Began, Ended> {
        let mut looked = self.look(id)?;
        if let Some(hit) = looked.hit.take() {
            return Ok(Began::Hit(Box::new(hit)));
        }
        let locks = if locks.is_empty() { vec![Lock::Key(looked.key)] } else { locks };
        let mut working = Vec::with_capacity(locks.len());
        for lock in locks {
            match lock.take(&self.store)? {
                Some(lock) => working.push(lock),
                None => return Ok(Began::Busy(Box::new(looked))),
            }
        }
        self.under_lock(id, looked, working, attempt, voice)
    }

    /// Begins a stage that has its locks. While it waited for them, or just before, another process may have finished the same
    /// work.
    fn under_lock(
        &self,
        id: StageId,
        mut looked: Looked,
        working: Vec<KeyLock>,
        attempt: u32,
        voice: &Voice,
    ) -> Result<Began, Ended> {
        let stage = self.stage(id);
        if !self.forced(id) && stage.cache {
            self.look_up(stage, &mut looked)?;
            if let Some(hit) = looked.hit.take() {
                return Ok(Began::Hit(Box::new(hit)));
            }
        }
        let reasons = self.reasons(stage, &looked);
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).insert(id, looked.key);
        voice.send(Event::StageStarted { stage: stage.name.clone(), key: looked.key.to_string(), reasons, attempt });
        let prepared = match stage.executor {
            Executor::Command => self.prepare_command(id)?,
            Executor::Data | Executor::Torch => (None, Vec::new()),
        };
        Ok(Began::Ready { looked: Box::new(looked), working, prepared })
    }

    /// Makes the project ready for a program, and says where its inputs lie.
    fn prepare_command(&self, id: StageId) -> Result<(Option<Staging>, InputPaths), Ended> {
        self.stay_inside(id)?;
        self.restore(id)?;
        self.clear_outputs(id)?;
        // A file in the store can be read where it is; a folder needs a place.
        let folders = |input: &PlannedInput| self.output(input.from, input.output).is_some_and(|blob| blob.tree);
        let needed = self.stage(id).inputs.iter().any(folders);
        let staging = if needed { Some(self.store.staging()?) } else { None };
        let inputs = self.input_paths(id, staging.as_ref().map(Staging::path))?;
        Ok((staging, inputs))
    }

    /// Makes the folders of a request and looks up its inputs.
    fn prepare(&self, id: StageId, staging: &Path) -> Result<Prepared, Ended> {
        let stage = self.stage(id);
        self.stay_inside(id)?;
        self.restore(id)?;
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

    /// Where the inputs lie: a file in the store itself, a folder as a copy in the staging folder.
    fn input_paths(&self, id: StageId, staging: Option<&Path>) -> Result<InputPaths, Ended> {
        let mut paths = Vec::new();
        for input in &self.stage(id).inputs {
            let Some(blob) = self.output(input.from, input.output) else { continue };
            let path = match staging {
                Some(staging) if blob.tree => {
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

    /// Files of the project that stages above wrote must be what those stages gave, whatever happened to them since.
    fn restore(&self, id: StageId) -> Result<(), Ended> {
        for edge in self.stage(id).written.iter().filter(|edge| edge.exact) {
            let above = self.stage(edge.from);
            let (Some(port), Some(blob)) =
                (above.outputs.get(edge.output as usize), self.output(edge.from, edge.output as usize))
            else {
                continue;
            };
            self.put_back(port, &blob).map_err(|error| workspace(&error, &port.name))?;
        }
        Ok(())
    }

    /// No output may be written through a link that leads out of the project.
    fn stay_inside(&self, id: StageId) -> Result<(), Ended> {
        let paths = self.stage(id).outputs.iter().filter_map(|port| port.path.as_ref());
        let faults: Vec<Fault> = paths
            .filter_map(|(path, route)| Some(inside::way_to(&self.options.root, path).err()?.at(route.clone())))
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(Ended::Failed { faults, again: false }) }
    }

    /// Old outputs must not pass for new ones. Their folders are made.
    fn clear_outputs(&self, id: StageId) -> Result<(), Ended> {
        for path in self.stage(id).outputs.iter().filter_map(|port| port.path.as_ref()) {
            let full = self.options.root.join(&path.0);
            let _ = fault::point("run.clear_output");
            let removed = match std::fs::symlink_metadata(&full) {
                Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(&full),
                Ok(_) => std::fs::remove_file(&full),
                Err(_) => Ok(()),
            };
            let made = removed.and_then(|()| full.parent().map_or(Ok(()), std::fs::create_dir_all));
            if let Err(error) = made {
                let message = format!("the old output `{}` cannot be removed: {error}", path.0);
                let fault = Fault::error("command::old_output", message).at(path.1.clone());
                return Err(Ended::final_fault(fault.help("look at its permissions and those of its folder")));
            }
        }
        Ok(())
    }

    /// What a stage wrote becomes outputs and a record, if what it read is still what it was.
    fn settle(
        &self,
        id: StageId,
        looked: &Looked,
        staging: Option<Staging>,
        finished: Finished,
        took: Duration,
    ) -> Result<Done, Ended> {
        let stage = self.stage(id);
        let _ = fault::point("run.ended");
        self.unchanged_inputs(stage, looked)?;
        let into = self.options.scratch.as_ref().map_or(&self.store, |scratch| &scratch.store);
        let _ = fault::point("run.adopt");
        let blobs = match &staging {
            Some(staging) if stage.executor != Executor::Command => adopt_staged(into, stage, staging.path())?,
            _ => self.adopt_command(into, stage)?,
        };
        drop(staging);
        self.record(id, looked, blobs, finished, took)
    }

    /// Puts the copies of outputs back and commits the record; with a scratch store, compares with the record that is there.
    pub(crate) fn record(
        &self,
        id: StageId,
        looked: &Looked,
        blobs: Vec<Blob>,
        mut finished: Finished,
        took: Duration,
    ) -> Result<Done, Ended> {
        let stage = self.stage(id);
        if let Some(scratch) = &self.options.scratch {
            return self.compare(stage, looked, scratch, &blobs, finished, took);
        }
        let _ = fault::point("run.adopted");
        for (port, blob) in stage.outputs.iter().zip(&blobs) {
            self.put_back(port, blob).map_err(|error| workspace(&error, &port.name))?;
        }
        let _ = fault::point("run.record");
        let outputs: Vec<(String, Blob)> =
            stage.outputs.iter().map(|port| port.name.clone()).zip(blobs.iter().copied()).collect();
        let last = self.store.last(&stage.name)?;
        let unchanged = last.is_some_and(|last| last.outputs == outputs);
        let worker = stage.executor != Executor::Command;
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
            Committed::Differs(before) if stage.cache => Some(*before),
            _ => None,
        };
        let _ = fault::point("run.recorded");
        Ok(Done {
            made: Made { key: looked.key, outputs: blobs },
            took,
            summary: finished.summary,
            unmet: absolute(&stage.name, finished.unmet),
            warnings: absolute(&stage.name, finished.warnings),
            unchanged,
            differs,
        })
    }

    /// What a stage gave this time, beside what is recorded; the recorded outputs are what counts.
    fn compare(
        &self,
        stage: &PlannedStage,
        looked: &Looked,
        scratch: &Scratch,
        again: &[Blob],
        finished: Finished,
        took: Duration,
    ) -> Result<Done, Ended> {
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
                return Err(Ended::final_fault(fault));
            };
            self.put_back(port, &recorded).map_err(|error| workspace(&error, &port.name))?;
            let compared = Compared { stage: stage.name.clone(), port: port.name.clone(), recorded, again: *again };
            scratch.compared.lock().unwrap_or_else(PoisonError::into_inner).push(compared);
            outputs.push(recorded);
        }
        let unchanged = outputs == again;
        Ok(Done {
            made: Made { key: looked.key, outputs },
            took,
            summary: finished.summary,
            unmet: absolute(&stage.name, finished.unmet),
            warnings: absolute(&stage.name, finished.warnings),
            unchanged,
            differs: None,
        })
    }

    /// An input edited while the stage ran was perhaps read before, perhaps after: the result belongs to neither.
    pub(crate) fn unchanged_inputs(&self, stage: &PlannedStage, looked: &Looked) -> Result<(), Ended> {
        let mut changed = Vec::new();
        match self.describe(stage) {
            Ok((now, _)) if now.key() == looked.key => {}
            Ok((now, _)) => {
                let told = crate::explain::compare(&looked.manifest, &now, &|port| port.to_owned());
                changed.extend(told.into_iter().map(|reason| match reason {
                    crate::explain::Reason::FileChanged { path, .. } => path,
                    crate::explain::Reason::EnvironmentChanged { what, .. } => what,
                    other => format!("{other:?}"),
                }));
            }
            // A file that has gone meanwhile is a change; the next look says what is missing.
            Err(Ended::Failed { faults, .. }) => changed.extend(faults.into_iter().map(|fault| fault.message)),
            Err(ended) => return Err(ended),
        }
        for file in looked.files.iter().filter(|file| file.seen.is_none()) {
            let there = self.store.file_digest(&file.found.path).is_ok_and(|now| now.digest == file.digest);
            if !there {
                changed.push(file.found.shown.clone());
            }
        }
        if changed.is_empty() { Ok(()) } else { Err(Ended::Changed(changed)) }
    }

    /// The outputs of a program move from the project into the store; their copies are put back afterwards.
    fn adopt_command(&self, into: &Store, stage: &PlannedStage) -> Result<Vec<Blob>, Ended> {
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
            return Err(Ended::failed(missing));
        }
        places.iter().map(|full| Ok(into.adopt(full)?)).collect()
    }
}

fn adopt_staged(into: &Store, stage: &PlannedStage, staging: &Path) -> Result<Vec<Blob>, Ended> {
    let folder = staging.join("outputs");
    let mut missing = Vec::new();
    for port in &stage.outputs {
        if std::fs::symlink_metadata(folder.join(&port.name)).is_err() {
            let message = format!("`{}` is done without having written its output `{}`", stage.name, port.name);
            missing.push(Fault::error("worker::missing_output", message).help("please report this"));
        }
    }
    if !missing.is_empty() {
        return Err(Ended::Failed { faults: missing, again: false });
    }
    stage.outputs.iter().map(|port| Ok(into.adopt(&folder.join(&port.name))?)).collect()
}

fn input_file(file: &crate::files::Digested) -> InputFile {
    let found = &file.found;
    InputFile { role: found.role.clone(), path: found.path.clone(), shown: found.shown.clone() }
}

fn make_folder(path: &Path) -> Result<(), Ended> {
    let made = fault::point("run.staging_folder").and_then(|()| std::fs::create_dir_all(path));
    made.map_err(|source| StoreError::io(path, "create folder", source).into())
}

fn to_value(value: &impl serde::Serialize) -> Result<Value, Ended> {
    serde_json::to_value(value)
        .map_err(|error| Ended::final_fault(Fault::error("run::record", format!("the record has no JSON: {error}"))))
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
