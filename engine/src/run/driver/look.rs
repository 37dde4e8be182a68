//! Whether a stage is a hit: its key, its record, and whether the record holds what it claims.

use std::path::Path;
use std::sync::PoisonError;

use cache::{Blob, Digest, Fold, StoreError};
use contract::fault::{Fault, Faults, Route, Severity};
use contract::kind::{FileInput, OutputPort, Question};
use contract::remote::{LOOK, Look};

use super::AttemptError;
use super::state::{Hit, Lookup, Run, StageOutputs};
use crate::event::Event;
use crate::key::digests::{self, Digested};
use crate::key::explain::{self, Reason};
use crate::key::remote;
use crate::key::{KeyedInput, Manifest, Resolved, describe};
use crate::plan::files;
use crate::plan::{PlannedStage, StageId};

/// Largest file, in bytes, that is hashed inside the loop of a run. A larger one goes to an offload
/// thread.
const MAX_INLINE_BYTES: u64 = 4 << 20;

/// Most look-ups that are kept until their stages begin. Each holds a manifest.
const MAX_KEPT_LOOKUPS: usize = 1000;

impl Run {
    /// Finds a stage's key and its record.
    pub(crate) fn look(&self, id: StageId) -> Result<Lookup, AttemptError> {
        let stage = self.stage(id);
        // Before the files are digested: a remote source is a file in the store that this brings up
        // to date.
        self.look_away(stage)?;
        let (manifest, files) = self.describe(stage)?;
        let key = manifest.key();
        let mut looked = Lookup { key, manifest, files, hit: None, lost: Vec::new() };
        if stage.cache && !self.forced(id) {
            self.look_up(stage, &mut looked, false)?;
        }
        Ok(looked)
    }

    /// Whether every file of a stage is exactly an output of another stage of the run. Then its key
    /// is final.
    pub(crate) fn settled_key(&self, stage: &PlannedStage) -> bool {
        let exact = |index: usize| stage.written.iter().any(|edge| edge.exact && edge.file as usize == index);
        (0..stage.files.len()).all(exact)
    }

    /// Keeps the look-up of a miss until the stage begins, if it will still hold then.
    pub(crate) fn keep_found(&self, id: StageId, looked: Lookup) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() < MAX_KEPT_LOOKUPS && self.settled_key(self.stage(id)) {
            found.insert(id, looked);
        }
    }

    /// Asks a worker, once in a run, for the state of a stage's remote sources. If the server
    /// cannot be reached, what was fetched before is used with a warning. Without anything fetched
    /// before it is a fault.
    fn look_away(&self, stage: &PlannedStage) -> Result<(), AttemptError> {
        let sources: Vec<&FileInput> =
            stage.files.iter().filter(|file| files::elsewhere(stage.program, file)).collect();
        // A comparison uses what the compared run fetched.
        if sources.is_empty() || self.options.scratch.is_some() {
            return Ok(());
        }
        // Held while the worker answers: two looks at one stage would ask the server twice.
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if away.contains(&stage.id) {
            return Ok(());
        }
        let question = Question {
            kind: LOOK.into(),
            version: stage.version,
            params: stage.params(),
            inputs: Default::default(),
            files: Vec::new(),
        };
        let final_fault = |fault: Fault| AttemptError::Failed { faults: Faults::from(fault), again: false };
        let looks: Vec<Look> = match self.looker.ask_now(stage.program, &question) {
            Ok(Some(answer)) => serde_json::from_value(answer).map_err(|error| {
                let text = format!("the worker's look at the sources cannot be read: {error}");
                final_fault(
                    Fault::error(contract::code!("worker::bad_answer"), text)
                        .help("install the three programs together"),
                )
            })?,
            // The stage itself fails for want of the program.
            Ok(None) => return Ok(()),
            Err(faults) => {
                let known = sources.iter().all(|file| remote::stand_in(&self.store, &file.path).exists());
                if !known || self.options.refresh {
                    return Err(AttemptError::Failed { faults, again: false });
                }
                for mut fault in faults {
                    fault.severity = Severity::Warning;
                    fault.message = format!("{}; it is taken to be as it was last time", fault.message);
                    let _ = self.events.send(Event::Warning { fault: fault.under(&Route::stage(&stage.name)) });
                }
                away.insert(stage.id);
                return Ok(());
            }
        };
        for file in sources {
            let Some(look) = looks.iter().find(|look| look.role == file.role) else { continue };
            remote::remember(&self.store, &file.path, look, &self.name, self.options.refresh)
                .map_err(|fault| AttemptError::failed(vec![fault]))?;
        }
        away.insert(stage.id);
        Ok(())
    }

    /// The manifest of a stage and its digested files, as they are now.
    pub(crate) fn describe(&self, stage: &PlannedStage) -> Result<(Manifest, Vec<Digested>), AttemptError> {
        let output = |id: StageId, output: u32| self.output(id, output as usize).map(|blob| blob.digest);
        let files = digests::digest_all(&self.store, &self.options.root, stage, output).map_err(|faults| {
            // A retry cannot bring back a missing file.
            AttemptError::Failed { faults, again: false }
        })?;
        let inputs = stage.inputs.iter().filter_map(|input| {
            let digest = self.output(input.from, input.output)?.digest;
            let artifact = self.stage(input.from).outputs.get(input.output)?.kind;
            Some(KeyedInput { port: input.port.clone(), artifact, digest })
        });
        let resolved = Resolved {
            inputs: inputs.collect(),
            files: files.iter().map(Digested::keyed).collect(),
            environment: self.options.environment.of(stage),
        };
        Ok((describe(stage, &resolved), files))
    }

    /// Looks for a usable record of the key. It is called again under the locks, since another
    /// process may have committed one. `held` says that the caller holds the path locks. Otherwise
    /// a record is a miss while another run holds one of them: the stage then waits for its locks
    /// and looks again.
    pub(crate) fn look_up(&self, stage: &PlannedStage, looked: &mut Lookup, held: bool) -> Result<(), AttemptError> {
        looked.lost.clear();
        let Some(record) = self.store.lookup(&looked.key)? else { return Ok(()) };
        let mut outputs = Vec::with_capacity(stage.outputs.len());
        for port in &stage.outputs {
            // The record is from a version of the kind with other ports.
            let Some((_, blob)) = record.outputs.iter().find(|(name, _)| *name == port.name) else { return Ok(()) };
            if !self.store.check(blob)? {
                looked.lost.push(Reason::OutputLost { port: port.name.clone(), digest: blob.digest.to_string() });
            }
            outputs.push(*blob);
        }
        if !looked.lost.is_empty() {
            return Ok(());
        }
        // Only once all blobs are whole: a record that turns out unusable must not change the
        // project.
        for (port, blob) in stage.outputs.iter().zip(&outputs) {
            let Some((path, _)) = &port.path else { continue };
            if self.in_place(port, blob) {
                continue;
            }
            let _own = match held {
                true => None,
                false => match self.store.try_lock_name(&self.path_lock(path))? {
                    Some(own) => Some(own),
                    None => return Ok(()),
                },
            };
            if let Err(error) = self.put_back(port, blob) {
                match error {
                    // The blob was damaged or collected between the check and the copy.
                    StoreError::Damaged { digest } => {
                        let lost = Reason::OutputLost { port: port.name.clone(), digest: digest.to_string() };
                        looked.lost.push(lost);
                        return Ok(());
                    }
                    error => return Err(workspace(&error, &port.name)),
                }
            }
        }
        looked.hit = Some(Hit { result: StageOutputs { key: looked.key, outputs }, record });
        Ok(())
    }

    /// The name of the lock of a project path. It names the place without links, so that two ways
    /// to one project share the lock. A stage that writes the path holds it alone; stages that read
    /// the path share it.
    pub(crate) fn path_lock(&self, path: &str) -> Digest {
        Fold::new("pipeline workspace path v1").text("path", &self.place.join(path).to_string_lossy()).finish()
    }

    /// Whether the project holds the copy of an output. An output without a path needs none.
    pub(crate) fn in_place(&self, port: &OutputPort, blob: &Blob) -> bool {
        port.path.as_ref().is_none_or(|(path, _)| self.store.holds(blob, &self.options.root.join(path)))
    }

    /// Puts the copy of an output into the project, unless it is in place. The caller must hold
    /// [`Run::path_lock`].
    pub(crate) fn put_back(&self, port: &OutputPort, blob: &Blob) -> Result<(), StoreError> {
        match &port.path {
            Some((path, _)) => {
                // Checked every time: a link may have appeared since the last check.
                if let Err(fault) = crate::run::inside::way_to(&self.options.root, path) {
                    return Err(StoreError::Unstorable { path: path.into(), why: fault.message });
                }
                let full = self.options.root.join(path);
                if self.store.holds(blob, &full) {
                    return Ok(());
                }
                let aside = self.store.set_aside(&full).map_err(|source| StoreError::io(&full, "move", source))?;
                if let Some(aside) = aside {
                    let fault = Fault::warning(contract::code!("run::set_aside"), self.set_aside(path, &aside))
                        .help("outputs are what their stages give; keep files of your own elsewhere");
                    let _ = self.events.send(Event::Warning { fault });
                }
                self.store.materialise(blob, &full)
            }
            None => Ok(()),
        }
    }

    /// The message about a file that was in the way of an output.
    pub(crate) fn set_aside(&self, path: &str, aside: &Path) -> String {
        let aside = aside.strip_prefix(&self.options.root).unwrap_or(aside).display();
        format!("what was at `{path}` is in no result; it was moved to `{aside}`")
    }

    /// Why a stage is a miss. Never empty.
    pub(crate) fn reasons(&self, stage: &PlannedStage, looked: &Lookup) -> Vec<Reason> {
        let mut reasons = if !looked.lost.is_empty() {
            looked.lost.clone()
        } else if self.forced(stage.id) {
            vec![Reason::Forced]
        } else if !stage.cache {
            vec![Reason::Uncached]
        } else {
            let last = self.store.last(&stage.name).ok().flatten();
            return explain::miss(&self.plan, stage, last.as_ref(), &looked.manifest);
        };
        if self.store.differed(&looked.key).unwrap_or(false) {
            reasons.push(Reason::Unstable);
        }
        reasons
    }

    /// An output of a stage, once the stage has ended well.
    pub(crate) fn output(&self, id: StageId, output: usize) -> Option<Blob> {
        self.outputs_of(id).get()?.outputs.get(output).copied()
    }

    /// Whether a look-up may take long: large files, folders, patterns or remote sources.
    pub(crate) fn heavy(&self, stage: &PlannedStage) -> bool {
        let large = |path: &str| match std::fs::metadata(self.options.root.join(path)) {
            Ok(meta) => meta.is_dir() || meta.len() > MAX_INLINE_BYTES,
            Err(_) => false,
        };
        // An exact file of another stage takes the digest of that stage's output and is not read.
        let known = |index: usize| stage.written.iter().any(|edge| edge.exact && edge.file as usize == index);
        let elsewhere = |file: &FileInput| files::elsewhere(stage.program, file);
        stage
            .files
            .iter()
            .enumerate()
            .any(|(index, file)| file.glob || elsewhere(file) || !known(index) && large(&file.path))
            || stage.outputs.iter().any(|port| port.path.as_ref().is_some_and(|(path, _)| large(path)))
    }
}

/// The fault of a copy that cannot be put into the project.
pub(crate) fn workspace(error: &StoreError, port: &str) -> AttemptError {
    let mut fault: Fault = crate::store_fault(error);
    fault.severity = Severity::Error;
    fault.message = format!("the copy of output `{port}` cannot be put into the project: {}", fault.message);
    AttemptError::failed(vec![fault])
}
