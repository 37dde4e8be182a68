//! The shortcut of a run that has nothing to do.
//!
//! After a run in which everything went well a [snapshot](cache::Snapshot) is kept of all its outcome depended on. When
//! the next run of the same program with the same options in the same environment finds all of it unmoved, it is a run of hits:
//! nothing is parsed, planned or looked up.
//!
//! A snapshot is not a memory of the run but a second look: [`take`] goes through the plan again, with the files as they are
//! now, and gives up wherever it does not find exactly what the run has found. What it cannot vouch for with `stat` alone
//! has no snapshot: folders, patterns and sources that lie elsewhere, stages that are not cached, chosen targets, warnings that would have to be
//! said again. What depends on other things than files is in its [`name`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cache::{Blob, Digest, Fold, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::event::Outcome;
use crate::execute::{self, Programs};
use crate::key::Environment;
use crate::key::digests::{self, Digested};
use crate::key::{KeyedFile, KeyedInput, Resolved, describe};
use crate::plan::files;
use crate::plan::{Plan, PlannedStage, StageId};
use crate::run::driver::{Summary, run_name};
use contract::kind::Program;

/// Names that are shown of a run of hits; the rest is counted.
const SHOWN: usize = 12;

/// A run that had nothing to do, found without looking at the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmoved {
    /// How many stages there are.
    pub stages: usize,
    /// The names of the first of them.
    pub first: Vec<String>,
    /// Wall time.
    pub took: Duration,
}

#[derive(Serialize, Deserialize)]
struct Info {
    /// The run that is the base: it has the list of stages.
    run: String,
    pipeline: String,
    stages: usize,
    first: Vec<String>,
}

/// The name of a snapshot: what the outcome of a run depends on besides the files its pipeline names. `options` is
/// whatever else the caller distinguishes. `None` when this program cannot tell what it is.
///
/// All variables of the environment enter, not only those that are used: which these are is known only after parsing.
pub fn name(file: &Path, options: &[(&str, &str)], programs: &Programs) -> Option<Digest> {
    use std::os::unix::ffi::OsStrExt;
    let mut fold = Fold::new("pipeline snapshot v1");
    fold.text("version", env!("CARGO_PKG_VERSION"));
    fold.digest("program", &execute::identity(&std::env::current_exe().ok()?)?);
    for (name, program) in Program::WORKERS.iter().map(|one| (one.id(), programs.of(*one))) {
        match program {
            Some(program) => fold.digest(name, &execute::identity(program)?),
            None => fold.none(name),
        };
    }
    fold.bytes("folder", std::env::current_dir().ok()?.as_os_str().as_bytes());
    fold.bytes("file", file.as_os_str().as_bytes());
    fold.list("options", options.len());
    for (name, value) in options {
        fold.text("option", name).text("value", value);
    }
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables.sort();
    fold.list("variables", variables.len());
    for (name, value) in &variables {
        fold.bytes("variable", name.as_bytes()).bytes("value", value.as_bytes());
    }
    Some(fold.finish())
}

/// Whether the snapshot of this name holds. The run is then written into the history, as any run is; `None` means that the
/// run has to go the long way.
pub fn unmoved(store: &Store, name: &Digest, root: &Path) -> Option<Unmoved> {
    let begun = Instant::now();
    let info: Info = serde_json::from_slice(&store.snapshot_holds(name, root)?).ok()?;
    let started = crate::run::driver::now();
    let id = run_name(started);
    let took = begun.elapsed();
    let summary = json!({
        "run": id,
        "pipeline": info.pipeline,
        "outcome": Outcome::Success,
        "started": started,
        "took": took.as_secs_f64(),
        "hit": info.stages,
        "ran": 0,
        "failed": 0,
        "skipped": 0,
        "stages_of": info.run,
    });
    // What cannot be written down is for the long way to tell.
    store.run_put(&id, &summary).ok()?;
    Some(Unmoved { stages: info.stages, first: info.first, took })
}

/// Keeps a snapshot of a run that went well; whether there is one now. `texts` are the files the plan was made from, with their
/// content as it was read; `written` are other files that the next run must find as they are now.
///
/// # Errors
/// When the store or a file cannot be read or written. The run is what it was.
pub fn take(
    plan: &Plan,
    store: &Store,
    environment: &Environment,
    summary: &Summary,
    texts: &[(PathBuf, &str)],
    written: &[PathBuf],
    name: &Digest,
) -> Result<bool, StoreError> {
    if summary.outcome != Outcome::Success || summary.stages.len() != plan.stages.len() {
        return Ok(false);
    }
    store.flush()?;
    let root = plan.root();
    let Some(mut snapshot) = store.snapshot(root) else { return Ok(false) };
    for (path, text) in texts {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if !store.snapshot_file(&mut snapshot, &path, &Digest::of(text.as_bytes()), true)? {
            return Ok(false);
        }
    }
    for path in written {
        let digest = store.file_digest(path)?.digest;
        if !store.snapshot_file(&mut snapshot, path, &digest, true)? {
            return Ok(false);
        }
    }
    let mut made: Vec<Vec<Blob>> = Vec::with_capacity(plan.stages.len());
    let (mut seen, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for (stage, came) in plan.stages.iter().zip(&summary.stages) {
        if !stage.cache || came.stage != stage.name || !came.open || !plain(stage) {
            return Ok(false);
        }
        let output = |id: StageId, output: usize| made[id.0 as usize].get(output).map(|blob| blob.digest);
        let Some(read) = read(store, root, stage, &output)? else { return Ok(false) };
        let inputs = stage.inputs.iter().filter_map(|input| {
            let artifact = plan.stage(input.from).outputs.get(input.output)?.kind;
            Some(KeyedInput { port: input.port.clone(), artifact, digest: output(input.from, input.output)? })
        });
        let resolved = Resolved {
            inputs: inputs.collect(),
            files: read.iter().map(|(keyed, _)| keyed.clone()).collect(),
            environment: environment.of(stage),
        };
        let key = describe(stage, &resolved).key();
        if key.to_string() != came.key {
            return Ok(false);
        }
        for (keyed, path) in &read {
            let Some(path) = path.as_ref().filter(|path| seen.insert((*path).clone())) else { continue };
            if !store.snapshot_file(&mut snapshot, path, &keyed.digest, true)? {
                return Ok(false);
            }
            folders.extend(above(root, path));
        }
        let Some(outputs) = store.lookup_outputs(&key)? else { return Ok(false) };
        let mut blobs = Vec::with_capacity(stage.outputs.len());
        for port in &stage.outputs {
            let Some((_, blob)) = outputs.iter().find(|(name, _)| *name == port.name) else { return Ok(false) };
            if blob.tree || !store.check(blob)? {
                return Ok(false);
            }
            snapshot.blob(blob);
            if let Some((path, _)) = &port.path {
                let path = root.join(path);
                if !store.snapshot_file(&mut snapshot, &path, &blob.digest, false)? {
                    return Ok(false);
                }
                folders.extend(above(root, &path));
            }
            blobs.push(*blob);
        }
        made.push(blobs);
    }
    folders.insert(root.to_path_buf());
    if !folders.iter().all(|folder| snapshot.folder(folder)) {
        return Ok(false);
    }
    let info = Info {
        run: summary.run.clone(),
        pipeline: summary.pipeline.clone(),
        stages: plan.stages.len(),
        first: plan.stages.iter().take(SHOWN).map(|stage| stage.name.clone()).collect(),
    };
    // A structure of texts and numbers always has JSON.
    store.snapshot_put(name, &snapshot, &serde_json::to_vec(&info).unwrap_or_default())?;
    Ok(true)
}

/// Whether `stat` can say of all the files of a stage that they are what they were.
fn plain(stage: &PlannedStage) -> bool {
    let exact = |index: usize| stage.written.iter().filter(|edge| edge.file as usize == index).all(|edge| edge.exact);
    stage
        .files
        .iter()
        .enumerate()
        .all(|(index, file)| !file.glob && !files::elsewhere(stage.program, file) && exact(index))
}

/// The files of a stage as they enter its key, with the path of those that are looked at; `None` when one is not a plain file.
#[expect(clippy::type_complexity, reason = "a pair that lives for ten lines")]
fn read(
    store: &Store,
    root: &Path,
    stage: &PlannedStage,
    output: &impl Fn(StageId, usize) -> Option<Digest>,
) -> Result<Option<Vec<(KeyedFile, Option<PathBuf>)>>, StoreError> {
    let known = |id: StageId, port: u32| output(id, port as usize);
    let Ok(digested) = digests::digest_all(store, root, stage, known) else { return Ok(None) };
    let looked_at = |file: &Digested| file.seen.map(|_| file.found.path.clone());
    if digested.iter().any(|file| file.seen.is_some_and(|seen| seen.tree)) {
        return Ok(None);
    }
    Ok(Some(digested.iter().map(|file| (file.keyed(), looked_at(file))).collect()))
}

/// The folders between the root and a file inside it; for a file outside, all above it.
fn above<'a>(root: &'a Path, path: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
    path.ancestors().skip(1).take_while(move |folder| *folder != root).map(Path::to_path_buf)
}
