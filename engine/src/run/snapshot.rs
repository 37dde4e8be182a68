//! The shortcut for a run that has nothing to do.
//!
//! A successful run keeps a [snapshot](cache::Snapshot) of everything that its outcome depended on.
//! The next run of the same program, with the same options and environment, checks that all of it
//! is unmoved. If it is, every stage is a hit, and nothing is parsed, planned or looked up.
//!
//! A snapshot does not trust the run that it follows. [`take`] goes through the plan again, with
//! the files as they are now. It gives up wherever it does not find exactly what the run found. It
//! also gives up on what `stat` cannot prove: folders, patterns, remote sources, stages without
//! cache, chosen targets, and warnings that each run must repeat. Everything that is not a file
//! enters the [`name`] of the snapshot.

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

/// Most stage names that are shown for a run of hits. The rest is counted.
const MAX_SHOWN: usize = 12;

/// A run that had nothing to do. The pipeline was not read to find that out.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmoved {
    /// Number of stages.
    pub stages: usize,
    /// The names of the first stages.
    pub first: Vec<String>,
    /// Wall time.
    pub took: Duration,
}

#[derive(Serialize, Deserialize)]
struct Info {
    /// The run whose summary has the list of stages.
    run: String,
    pipeline: String,
    stages: usize,
    first: Vec<String>,
}

/// The name of a snapshot: a digest of what the outcome of a run depends on besides files.
/// `options` is whatever else the caller distinguishes. `None` when this program cannot identify
/// its own file.
///
/// All environment variables enter, also unused ones: which are used is known only after parsing.
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

/// Checks whether the snapshot of this name holds, and if so writes the run into the history.
/// `None` means that the run must read and plan the pipeline.
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
    // If the summary cannot be written, the long way reports why.
    store.run_put(&id, &summary).ok()?;
    Some(Unmoved { stages: info.stages, first: info.first, took })
}

/// Keeps a snapshot of a successful run. Returns whether it did. `texts` are the files that the
/// plan was made from, with the content that was read. `written` are other files that the next run
/// must find as they are now.
///
/// # Errors
/// When the store or a file cannot be read or written. The result of the run stays valid.
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
    // Before the snapshot begins: it holds the stat of the log of records, which a later flush
    // would change.
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
    let mut outputs_of: Vec<Vec<Blob>> = Vec::with_capacity(plan.stages.len());
    let (mut seen, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for (stage, ended) in plan.stages.iter().zip(&summary.stages) {
        // An unmet gate must be reported by every run.
        if !stage.cache || ended.stage != stage.name || !ended.open || !plain(stage) {
            return Ok(false);
        }
        let output = |id: StageId, output: usize| outputs_of[id.0 as usize].get(output).map(|blob| blob.digest);
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
        // A file that changed since the run gives another key.
        if key.to_string() != ended.key {
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
        outputs_of.push(blobs);
    }
    // A folder that is replaced by a link shows other files under the same paths, so the folders
    // count as well.
    folders.insert(root.to_path_buf());
    if !folders.iter().all(|folder| snapshot.folder(folder)) {
        return Ok(false);
    }
    let info = Info {
        run: summary.run.clone(),
        pipeline: summary.pipeline.clone(),
        stages: plan.stages.len(),
        first: plan.stages.iter().take(MAX_SHOWN).map(|stage| stage.name.clone()).collect(),
    };
    // A structure of texts and numbers always has JSON.
    store.snapshot_put(name, &snapshot, &serde_json::to_vec(&info).unwrap_or_default())?;
    Ok(true)
}

/// Whether `stat` alone can prove that the files of a stage are unchanged.
fn plain(stage: &PlannedStage) -> bool {
    let exact = |index: usize| stage.written.iter().filter(|edge| edge.file as usize == index).all(|edge| edge.exact);
    stage
        .files
        .iter()
        .enumerate()
        .all(|(index, file)| !file.glob && !files::elsewhere(stage.program, file) && exact(index))
}

/// The files of a stage as they enter its key, each with its path if its content was read. `None`
/// when one is a folder or cannot be read.
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
