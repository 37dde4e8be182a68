//! What a run would do: every stage is a hit, a miss with its reasons, or depends on stages above
//! it that would run.
//!
//! A preview only reads the store and the project. It starts nothing and restores nothing. It
//! writes nothing but the memo of file digests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use cache::{Blob, Digest, Entry, Node, Record, Store, StoreError, Tree};
use contract::fault::Faults;
use contract::kind::Program;
use contract::natural::natural;
use contract::pattern::Pattern;

use crate::key::Environment;
use crate::key::digests::{self, Digested};
use crate::key::explain::{self, Reason};
use crate::key::{KeyedInput, Manifest, Resolved, describe};
use crate::plan::files::{self, Found};
use crate::plan::paths::normalise;
use crate::plan::{Plan, PlannedStage, StageId};
use crate::run::driver::Detail;

/// The prediction for one stage.
#[derive(Debug, Clone)]
pub struct StagePreview {
    /// The stage.
    pub id: StageId,
    /// The predicted state.
    pub state: State,
    /// The key, if every stage above is a hit.
    pub key: Option<Digest>,
    /// Known changes that the state does not hold. For `Unknown`: the reasons that hold whatever
    /// the stages above give. For a `Hit` whose output is new to a stage below: why it last ran.
    /// For a `Hit` whose runs gave different bytes: that it is unstable.
    pub changed: Vec<Reason>,
    /// The record that would be used, or else the stage's last one. Its manifest is left out.
    pub record: Option<Record>,
    /// Wall time of the work behind that record.
    pub took: Option<Duration>,
    /// Bytes of all outputs of that record.
    pub bytes: Option<u64>,
    /// For a hit: output paths where the project lacks the output or holds a changed copy. A run
    /// puts them back.
    pub restores: Vec<String>,
    /// Whether the stages below cannot run as things are: this stage, or one above it, does not
    /// meet its gate.
    pub shut: bool,
}

/// The predicted state of a stage.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Its outputs are in the store.
    Hit,
    /// It would run.
    Miss {
        /// At least one.
        reasons: Vec<Reason>,
    },
    /// Its state depends on what the stages above will give. The same bytes as before would make it
    /// a hit.
    Unknown {
        /// The stages directly above that would run or are unknown.
        because: Vec<StageId>,
    },
}

/// Predicts a run of the whole plan. In the order of the plan's stages.
pub fn preview(plan: &Plan, store: &Store, environment: &Environment, root: &Path) -> Vec<StagePreview> {
    let mut previews: Vec<StagePreview> = Vec::with_capacity(plan.stages.len());
    for stage in &plan.stages {
        let next = look(plan, stage, store, environment, root, &previews);
        previews.push(next);
    }
    explain_hits(plan, store, &mut previews);
    previews
}

/// The expected key and outputs of a stage, given the expected outputs of the stages above it.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its key.
    pub key: Digest,
    /// The description whose digest is the key.
    pub manifest: Manifest,
    /// Digests of the outputs recorded under that key, by port; `None` without a record.
    pub outputs: Option<BTreeMap<String, Digest>>,
}

/// The outputs, by port, of a stage with this name and key that has no record.
pub type Given<'a> = dyn Fn(&str, &Digest) -> Option<BTreeMap<String, Digest>> + 'a;

/// The expected keys of all stages, in the order of the plan. `given` supplies the outputs of
/// stages without a record. `None` for a stage whose key depends on outputs that are not known yet.
pub fn expect(
    plan: &Plan,
    store: &Store,
    environment: &Environment,
    root: &Path,
    given: &Given<'_>,
) -> Vec<Option<Expected>> {
    let mut known: Vec<Option<BTreeMap<String, Digest>>> = Vec::with_capacity(plan.stages.len());
    let mut all: Vec<Option<Expected>> = Vec::with_capacity(plan.stages.len());
    for stage in &plan.stages {
        let expected = expect_one(plan, stage, store, environment, root, &known, &all);
        let outputs = expected.as_ref().filter(|_| stage.cache);
        known.push(outputs.and_then(|expected| expected.outputs.clone().or_else(|| given(&stage.name, &expected.key))));
        all.push(expected);
    }
    all
}

fn expect_one(
    plan: &Plan,
    stage: &PlannedStage,
    store: &Store,
    environment: &Environment,
    root: &Path,
    known: &[Option<BTreeMap<String, Digest>>],
    above: &[Option<Expected>],
) -> Option<Expected> {
    let output = |id: StageId, output: usize| -> Option<Digest> {
        known[id.0 as usize].as_ref()?.get(&plan.stage(id).outputs.get(output)?.name).copied()
    };
    if stage.written.iter().any(|written| output(written.from, written.output as usize).is_none()) {
        return None;
    }
    // A stage may read only a part of an output. The digest is not enough then: the store must hold
    // the bytes.
    let blob = |id: StageId, output: usize| -> Option<Blob> {
        let name = &plan.stage(id).outputs.get(output)?.name;
        let outputs = store.lookup_outputs(&above[id.0 as usize].as_ref()?.key).ok()??;
        outputs.into_iter().find(|(port, _)| port == name).map(|(_, blob)| blob)
    };
    let mut inexact = stage.written.iter().filter(|written| !written.exact);
    if inexact.any(|written| blob(written.from, written.output as usize).is_none()) {
        return None;
    }
    let parts = parts(plan, stage, store, root, &blob);
    if !parts.unsure.is_empty() {
        return None;
    }
    let mut inputs = Vec::with_capacity(stage.inputs.len());
    for input in &stage.inputs {
        let digest = output(input.from, input.output)?;
        let artifact = plan.stage(input.from).outputs[input.output].kind;
        inputs.push(KeyedInput { port: input.port.clone(), artifact, digest });
    }
    let found = digest(store, root, stage, |id, port| output(id, port as usize), parts.known, |_| true).ok()?;
    let resolved =
        Resolved { inputs, files: found.iter().map(Digested::keyed).collect(), environment: environment.of(stage) };
    let manifest = describe(stage, &resolved);
    let key = manifest.key();
    let outputs = store.lookup_outputs(&key).ok().flatten();
    let outputs = outputs.map(|outputs| outputs.into_iter().map(|(port, blob)| (port, blob.digest)).collect());
    Some(Expected { key, manifest, outputs })
}

fn look(
    plan: &Plan,
    stage: &PlannedStage,
    store: &Store,
    environment: &Environment,
    root: &Path,
    above: &[StagePreview],
) -> StagePreview {
    // Nothing runs below an unmet gate. Whether a new run of that stage would meet it is unknown.
    let shut = |id: &StageId| above[id.0 as usize].shut;
    let hit = |id: StageId| above[id.0 as usize].state == State::Hit && !shut(&id);
    let output = |id: StageId, output: usize| -> Option<Blob> {
        let at = &above[id.0 as usize];
        let name = &plan.stage(id).outputs.get(output)?.name;
        let record = at.record.as_ref().filter(|_| hit(id))?;
        record.outputs.iter().find(|(port, _)| port == name).map(|(_, blob)| *blob)
    };
    let sources = stage.inputs.iter().map(|input| input.from).chain(stage.written.iter().map(|written| written.from));
    let mut because: Vec<StageId> =
        sources.filter(|from| !hit(*from)).chain(stage.after.iter().copied().filter(shut)).collect();
    because.sort_unstable();
    because.dedup();
    let inputs = stage.inputs.iter().filter_map(|input| {
        let digest = output(input.from, input.output)?.digest;
        let artifact = plan.stage(input.from).outputs[input.output].kind;
        Some(KeyedInput { port: input.port.clone(), artifact, digest })
    });
    let inputs: Vec<KeyedInput> = inputs.collect();
    // If a stage above would run, the files that it writes will be other files.
    let settled = because.is_empty();
    let parts = if settled { parts(plan, stage, store, root, &output) } else { Parts::default() };
    let found = digest(
        store,
        root,
        stage,
        |id, port| output(id, port as usize).map(|blob| blob.digest),
        parts.known,
        |file| settled || !stage.written.iter().any(|written| written.file == file),
    );
    let resolved = Resolved {
        inputs,
        files: found.iter().flatten().map(Digested::keyed).collect(),
        environment: environment.of(stage),
    };
    let manifest = describe(stage, &resolved);
    let last = store.last(&stage.name).ok().flatten();
    if found.is_err() && settled {
        // The run puts a file that cannot be read back, or reports it.
        because = stage.written.iter().map(|written| written.from).collect();
    }
    because.extend(parts.unsure);
    because.sort_unstable();
    because.dedup();
    let preview = |state, key, changed, record: Option<Record>| StagePreview {
        id: stage.id,
        state,
        key,
        changed,
        took: record.as_ref().and_then(took),
        bytes: record.as_ref().map(|record| record.outputs.iter().map(|(_, blob)| blob.size).sum()),
        restores: Vec::new(),
        shut: false,
        // The manifest has been compared by now. Those of 100,000 stages would take half of the
        // memory.
        record: record.map(|record| Record { manifest: serde_json::Value::Null, ..record }),
    };
    if !stage.cache {
        let mut reasons = vec![Reason::Uncached];
        if because.is_empty() && differed(store, &manifest.key()) {
            reasons.push(Reason::Unstable);
        }
        return preview(State::Miss { reasons }, None, Vec::new(), last);
    }
    if !because.is_empty() {
        let changed = certain(plan, stage, last.as_ref(), &manifest, found.is_ok());
        let shut = because.iter().any(shut);
        return StagePreview { shut, ..preview(State::Unknown { because }, None, changed, last) };
    }
    let key = manifest.key();
    // A record with other ports is from another version of the kind.
    let whole =
        |record: &Record| stage.outputs.iter().all(|port| record.outputs.iter().any(|(name, _)| *name == port.name));
    match store.lookup(&key).ok().flatten().filter(whole) {
        None => {
            let reasons = explain::miss(plan, stage, last.as_ref(), &manifest);
            preview(State::Miss { reasons }, Some(key), Vec::new(), last)
        }
        Some(record) => {
            let lost = |(port, blob): &(String, Blob)| {
                let whole = store.check(blob).unwrap_or(false);
                (!whole).then(|| Reason::OutputLost { port: port.clone(), digest: blob.digest.to_string() })
            };
            let mut reasons: Vec<Reason> = record.outputs.iter().filter_map(lost).collect();
            let unstable = if differed(store, &key) { vec![Reason::Unstable] } else { Vec::new() };
            if reasons.is_empty() {
                let restores = restores(stage, &record, store, root);
                let shut = !Detail::of(&record.detail).unmet.is_empty();
                return StagePreview { restores, shut, ..preview(State::Hit, Some(key), unstable, Some(record)) };
            }
            reasons.extend(unstable);
            preview(State::Miss { reasons }, Some(key), Vec::new(), Some(record))
        }
    }
}

/// The output paths of a stage where the project does not hold what the record names.
fn restores(stage: &PlannedStage, record: &Record, store: &Store, root: &Path) -> Vec<String> {
    let changed = stage.outputs.iter().filter_map(|port| {
        let (path, _) = port.path.as_ref()?;
        let (_, blob) = record.outputs.iter().find(|(name, _)| *name == port.name)?;
        (!store.holds(blob, &root.join(path))).then(|| path.clone())
    });
    changed.collect()
}

fn differed(store: &Store, key: &Digest) -> bool {
    store.differed(key).unwrap_or(false)
}

/// The files of a stage with their content, in order. `known` ones are taken as they are, without a
/// look at the project.
fn digest(
    store: &Store,
    root: &Path,
    stage: &PlannedStage,
    output: impl Fn(StageId, u32) -> Option<Digest>,
    known: BTreeMap<u32, Vec<Digested>>,
    wanted: impl Fn(u32) -> bool,
) -> Result<Vec<Digested>, Faults> {
    let mut found =
        digests::digest_some(store, root, stage, output, |file| wanted(file) && !known.contains_key(&file))?;
    found.extend(known.into_values().flatten());
    found.sort_by_key(|digested| digested.found.file);
    Ok(found)
}

/// The inexact files of a stage: parts of outputs, folders around outputs, and patterns that match
/// outputs.
#[derive(Default)]
struct Parts {
    /// By the position of the file: its content as it will be when the run reaches the stage.
    known: BTreeMap<u32, Vec<Digested>>,
    /// Stages whose copies in the project were changed, where only the run can tell the result.
    unsure: BTreeSet<StageId>,
}

/// Finds the content of a stage's inexact files. A run puts the outputs of hits back before it
/// looks at the stages below. Those parts are therefore taken from the store, whatever the project
/// holds now.
fn parts(
    plan: &Plan,
    stage: &PlannedStage,
    store: &Store,
    root: &Path,
    output: &dyn Fn(StageId, usize) -> Option<Blob>,
) -> Parts {
    let mut parts = Parts::default();
    let indices: BTreeSet<u32> = stage.written.iter().filter(|edge| !edge.exact).map(|edge| edge.file).collect();
    for index in indices {
        let file = &stage.files[index as usize];
        let shown = normalise(&file.path, root);
        // The outputs that this file overlaps, each with its path and blob.
        let edges = stage.written.iter().filter(|edge| edge.file == index);
        let met: Vec<(StageId, &str, Blob)> = edges
            .filter_map(|edge| {
                let port = plan.stage(edge.from).outputs.get(edge.output as usize)?;
                let (path, _) = port.path.as_ref()?;
                Some((edge.from, path.as_str(), output(edge.from, edge.output as usize)?))
            })
            .collect();
        let found = |name: String, shown: String| {
            let name = if stage.program == Program::Command { shown.clone() } else { name };
            let path = root.join(&shown);
            Found { file: index, role: file.role.clone(), name, shown, path }
        };
        if file.glob {
            let pattern = Pattern::new(&shown);
            let mut all: BTreeMap<String, Option<Digest>> = BTreeMap::new();
            let inside = |path: &str| met.iter().any(|(_, output, _)| below(output, path).is_some());
            for matched in pattern.expand(root).unwrap_or_default() {
                let path = matched.path.to_string_lossy().into_owned();
                if !inside(&path) {
                    all.insert(path, None);
                }
            }
            // Files of the project outside the outputs first, then those of the outputs from the
            // store.
            let mut plain = true;
            for (_, path, blob) in &met {
                if !blob.tree {
                    all.extend(pattern.is_match(path).then(|| ((*path).to_owned(), Some(blob.digest))));
                    continue;
                }
                let Ok(tree) = store.tree(&blob.digest) else { continue };
                for (name, entry) in tree.entries {
                    let full = format!("{path}/{name}");
                    match entry {
                        Entry::File(node) if pattern.is_match(&full) => drop(all.insert(full, Some(node.digest))),
                        Entry::Link(_) => plain = false,
                        _ => {}
                    }
                }
            }
            let mut listed = Vec::with_capacity(all.len());
            for (path, digest) in all {
                let seen = if digest.is_none() { store.file_digest(&root.join(&path)).ok() } else { None };
                let Some(digest) = digest.or(seen.as_ref().map(|seen| seen.digest)) else {
                    plain = false;
                    continue;
                };
                let name = if pattern.fixed() == "." { Some(path.as_str()) } else { below(pattern.fixed(), &path) };
                listed.push(Digested { found: found(name.unwrap_or_default().to_owned(), path), digest, seen });
            }
            listed.sort_by(|a, b| natural(&a.found.shown, &b.found.shown));
            // A link can match files anywhere, so only the project itself can tell.
            if plain && !listed.is_empty() {
                parts.known.insert(index, listed);
                continue;
            }
        } else if let Some((_, path, blob)) = met.iter().find(|(_, path, _)| below(path, &shown).is_some()) {
            let tree = if blob.tree { store.tree(&blob.digest).ok() } else { None };
            if let (Some(tree), Some(name)) = (tree, below(path, &shown))
                && let Some((digest, folder)) = part(&tree, name)
            {
                let name = if folder { String::new() } else { files::suffix(&shown) };
                parts.known.insert(index, vec![Digested { found: found(name, shown), digest, seen: None }]);
                continue;
            }
        }
        // Only the project can tell. That is right as long as it holds the copies that the stages
        // gave.
        let whole =
            |path: &str, blob: &Blob| store.file_digest(&root.join(path)).is_ok_and(|at| at.digest == blob.digest);
        let edited: Vec<&(StageId, &str, Blob)> = met.iter().filter(|(_, path, blob)| !whole(path, blob)).collect();
        if !edited.is_empty()
            && !file.glob
            && let Some(tree) = restored(store, &root.join(&shown), &shown, &edited)
        {
            let digest = tree.blob().digest;
            parts.known.insert(index, vec![Digested { found: found(String::new(), shown), digest, seen: None }]);
            continue;
        }
        parts.unsure.extend(edited.into_iter().map(|(from, ..)| *from));
    }
    parts
}

/// A folder of the project as it will be once the outputs inside it are put back. `None` if that
/// cannot be told.
fn restored(store: &Store, folder: &Path, shown: &str, outputs: &[&(StageId, &str, Blob)]) -> Option<Tree> {
    let mut tree = match store.folder_now(folder) {
        Err(StoreError::Missing { .. }) => Tree::default(),
        tree => tree.ok()?,
    };
    for (_, path, blob) in outputs {
        let name = below(shown, path)?;
        tree.entries.retain(|other, entry| {
            // The output replaces what is at its path, and fills a folder that was empty.
            let replaced = other == name || below(name, other).is_some();
            let filled = below(other, name).is_some() && *entry == Entry::Empty;
            !replaced && !filled
        });
        // A file or link where a folder must be will be moved aside. What the folder then holds is
        // not known before.
        if tree.entries.keys().any(|other| below(other, name).is_some()) {
            return None;
        }
        if !blob.tree {
            let node = Node { digest: blob.digest, size: blob.size, executable: blob.executable };
            tree.entries.insert(name.to_owned(), Entry::File(node));
            continue;
        }
        let inside = store.tree(&blob.digest).ok()?;
        if inside.entries.is_empty() {
            tree.entries.insert(name.to_owned(), Entry::Empty);
        }
        tree.entries.extend(inside.entries.into_iter().map(|(path, entry)| (format!("{name}/{path}"), entry)));
    }
    Some(tree)
}

/// The path relative to a folder; `None` when it is not inside.
fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/').filter(|rest| !rest.is_empty())
}

/// The content of a file or folder inside a stored folder, and whether it is a folder.
fn part(tree: &Tree, name: &str) -> Option<(Digest, bool)> {
    match tree.entries.get(name) {
        Some(Entry::File(node)) => return Some((node.digest, false)),
        Some(Entry::Link(_)) => return None,
        Some(Entry::Empty) => return Some((Tree::default().blob().digest, true)),
        None => {}
    }
    let inside = tree.entries.iter().filter_map(|(path, entry)| Some((below(name, path)?.to_owned(), entry.clone())));
    let inside = Tree { entries: inside.collect() };
    // A link may lead to a file outside this part.
    let links = inside.entries.values().any(|entry| matches!(entry, Entry::Link(_)));
    (!inside.entries.is_empty() && !links).then(|| (inside.blob().digest, true))
}

/// The differences from the last record that hold whatever the stages above will give.
fn certain(plan: &Plan, stage: &PlannedStage, last: Option<&Record>, manifest: &Manifest, files: bool) -> Vec<Reason> {
    let mut reasons = explain::miss(plan, stage, last, manifest);
    // Files that the stages above write are as unknown as their outputs.
    let written = |path: &str| stage.written.iter().any(|written| stage.files[written.file as usize].path == path);
    reasons.retain(|reason| match reason {
        Reason::InputChanged { .. } => false,
        Reason::FileChanged { path, .. } => files && !written(path),
        Reason::NeverRan => last.is_none(),
        _ => true,
    });
    reasons
}

/// Explains hits whose outputs are new to a stage below. Such a hit has run since the stage below
/// did, and the reason is why it ran then.
fn explain_hits(plan: &Plan, store: &Store, previews: &mut [StagePreview]) {
    let mut asked: Vec<StageId> = Vec::new();
    for preview in previews.iter() {
        let State::Miss { reasons } = &preview.state else { continue };
        let stage = plan.stage(preview.id);
        asked.extend(reasons.iter().filter_map(|reason| match reason {
            Reason::InputChanged { port, .. } => {
                stage.inputs.iter().find(|input| input.port == *port).map(|input| input.from)
            }
            _ => None,
        }));
    }
    asked.sort_unstable();
    asked.dedup();
    // Then upwards: an input of a hit may have changed when that hit last ran. Each hit is
    // explained once, so this ends.
    while let Some(id) = asked.pop() {
        let at = id.0 as usize;
        if previews[at].state != State::Hit || !previews[at].changed.is_empty() {
            continue;
        }
        let stage = plan.stage(id);
        previews[at].changed = last_change(plan, stage, store);
        for reason in &previews[at].changed {
            if let Reason::InputChanged { port, .. } = reason {
                asked.extend(stage.inputs.iter().find(|input| input.port == *port).map(|input| input.from));
            }
        }
    }
}

/// Why a stage last ran: its newest record compared with the one before. Work that gave different
/// bytes for one key is reported as unstable instead. Empty without a record.
pub fn last_change(plan: &Plan, stage: &PlannedStage, store: &Store) -> Vec<Reason> {
    let history = store.history(&stage.name, 2).unwrap_or_default();
    let Some(newest) = history.first() else { return Vec::new() };
    if differed(store, &newest.key) {
        return vec![Reason::Unstable];
    }
    match serde_json::from_value::<Manifest>(newest.manifest.clone()) {
        Ok(manifest) => explain::miss(plan, stage, history.get(1), &manifest),
        Err(_) => Vec::new(),
    }
}

/// Wall time of the work behind a record.
fn took(record: &Record) -> Option<Duration> {
    let seconds = record.detail.get("took")?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok()
}
