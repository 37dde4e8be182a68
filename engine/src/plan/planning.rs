//! Graph + registry -> plan: parameters typed, ports matched, types inferred through the graph.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use contract::artifact::{ArtifactType, Types};
use contract::fault::{Fault, Faults, Route};
use contract::kind::{InferContext, Kinds, Oracle, Program, Question, Silent};
use contract::name;
use serde_json::Value;

use super::device::{Device, unknown_device};
use super::sources::{Reading, reads};
use super::{Off, Parent, Plan, Planned, PlannedInput, PlannedStage, StageId, Written};
use crate::graph::once_per_family;
use crate::graph::{Child, PipelineSpec};
use crate::plan::files;
use crate::plan::paths::{inside, normalise};
use crate::plan::seal::{Draft, Sealed, StageFaults, seal};

/// Proves a pipeline as far as it can be proved before anything runs, and orders it.
///
/// Looks at the project (do the source files exist?) and asks `oracle` what only a worker can know;
/// changes nothing.
pub fn plan(mut spec: PipelineSpec, registry: &Kinds, oracle: &dyn Oracle) -> Planned {
    // Everything below sees one spelling of every path.
    let root = if spec.root.as_os_str().is_empty() { Path::new(".") } else { spec.root.as_path() };
    if let Ok(absolute) = std::path::absolute(root) {
        spec.root = absolute;
    }
    let Sealed { mut drafts, order, mut faults } = seal(&mut spec, registry);
    devices(&spec, &mut faults);
    let off = off(&spec, &drafts, &order);
    let reading = drafts.iter().zip(&off).filter(|(_, off)| off.is_none()).filter_map(|(draft, _)| {
        let exact = draft.written.iter().filter(|(.., exact)| *exact).map(|(file, ..)| *file).collect();
        Some(Reading { program: draft.kind?.program(), files: &draft.files, exact })
    });
    let reads = reads(&spec.root, reading);
    let sources_there = sources(&spec, &drafts, &off, &mut faults);
    let types = infer(&spec, &drafts, &order, &sources_there, oracle, &mut faults);
    // A stage whose faults the front end has reported has no draft either.
    if faults.any_error() || drafts.iter().any(|draft| draft.stage.is_none()) {
        return Planned { plan: None, faults: once_per_family(faults.in_document_order()), sources: reads };
    }
    let mut ids = vec![None; drafts.len()];
    let order: Vec<u32> = order.into_iter().filter(|position| off[*position as usize].is_none()).collect();
    for (id, position) in order.iter().enumerate() {
        ids[*position as usize] = Some(StageId(id as u32));
    }
    let mut types: Vec<Types> = types.into_iter().map(Option::unwrap_or_default).collect();
    let mut stages = Vec::with_capacity(order.len());
    for (id, position) in order.iter().enumerate() {
        let at = *position as usize;
        let types = std::mem::take(&mut types[at]);
        stages.extend(settle(&spec, *position, StageId(id as u32), &mut drafts[at], types, &ids));
    }
    let named = |position: u32| spec.stages[position as usize].name.clone();
    let told = |(position, off): (usize, Option<Option<u32>>)| {
        off.map(|because| Off { stage: named(position as u32), because: because.map(named) })
    };
    let off = off.into_iter().enumerate().filter_map(told).collect();
    let faults = once_per_family(faults.in_document_order());
    Planned { plan: Some(Plan { spec, stages, off }), faults, sources: reads }
}

/// Which stages do not take part, each with the stage it reads from that does not (`Some(None)`:
/// its own `when`). Order without data takes nothing with it.
fn off(spec: &PipelineSpec, drafts: &[Draft<'_>], order: &[u32]) -> Vec<Option<Option<u32>>> {
    let mut off: Vec<Option<Option<u32>>> = vec![None; drafts.len()];
    for position in order {
        let (at, draft) = (*position as usize, &drafts[*position as usize]);
        if spec.stages[at].off {
            off[at] = Some(None);
            continue;
        }
        let mut read =
            draft.connected.iter().map(|(_, from, _)| *from).chain(draft.written.iter().map(|(_, by, _)| by.stage));
        off[at] = read.find(|from| off[*from as usize].is_some()).map(Some);
    }
    off
}

/// Makes a faultless draft the stage of a plan; `None` is never met, for with a draft without kind
/// or stage there is no plan.
fn settle(
    spec: &PipelineSpec,
    position: u32,
    id: StageId,
    draft: &mut Draft<'_>,
    types: Types,
    ids: &[Option<StageId>],
) -> Option<PlannedStage> {
    let (kind, stage) = (draft.kind?, draft.stage.take()?);
    let wanted = &spec.stages[position as usize];
    let mut after: Vec<StageId> = draft.after.iter().filter_map(|before| ids[*before as usize]).collect();
    after.sort_unstable();
    let input = |(port, from, output): (String, u32, usize)| {
        let label = name::family(&port).and(spec.stages[from as usize].child.as_ref()).map(Child::label);
        ids[from as usize].map(|id| PlannedInput { label, port, from: id, output })
    };
    let mut written: Vec<Written> = draft
        .written
        .iter()
        .filter_map(|(file, writer, exact)| {
            let from = ids[writer.stage as usize]?;
            Some(Written { file: *file, from, output: writer.output, exact: *exact })
        })
        .collect();
    written.sort_unstable();
    Some(PlannedStage {
        id,
        document: position,
        name: wanted.name.clone(),
        parent: wanted.child.as_ref().map(|child| Parent { name: child.of.clone(), label: child.label() }),
        kind: wanted.kind.clone(),
        version: kind.version(),
        program: kind.program(),
        seeded: kind.seeded(),
        command: stage.command(),
        folder: wanted.folder.clone(),
        stage,
        inputs: std::mem::take(&mut draft.connected).into_iter().filter_map(input).collect(),
        after,
        outputs: std::mem::take(&mut draft.outputs),
        types,
        files: std::mem::take(&mut draft.files),
        written,
        seed: wanted.seed.unwrap_or(spec.seed),
        device: wanted.device.as_deref().unwrap_or(device_of(spec)).to_owned(),
        resources: wanted.resources.clone(),
        timeout: wanted.timeout,
        retries: wanted.retries,
        cache: wanted.cache.unwrap_or(true),
    })
}

/// The pipeline's device; a document that says nothing, and a specification made by hand, mean
/// `auto`.
fn device_of(spec: &PipelineSpec) -> &str {
    if spec.device.is_empty() { "auto" } else { &spec.device }
}

/// The syntax of devices. Whether one is there is a question to the machine:
/// [`Environment::check_devices`](crate::key::Environment::check_devices).
fn devices(spec: &PipelineSpec, faults: &mut StageFaults) {
    if Device::parse(device_of(spec)).is_none() {
        faults.add(0, unknown_device(&spec.device).at(Route::root().join("device")));
    }
    for (position, stage) in spec.stages.iter().enumerate() {
        if let Some(device) = stage.device.as_deref().filter(|device| Device::parse(device).is_none()) {
            faults.add(position as u32, unknown_device(device).at(Route::stage(&stage.name).join("device")));
        }
    }
}

/// Finds source files that do not exist. Says of each stage whether all its files can be read now:
/// none missing, none that another stage has yet to write. What is off is not looked for.
fn sources(
    spec: &PipelineSpec,
    drafts: &[Draft<'_>],
    off: &[Option<Option<u32>>],
    faults: &mut StageFaults,
) -> Vec<bool> {
    let mut there: HashSet<&str> = HashSet::new();
    let mut readable = Vec::with_capacity(drafts.len());
    for (position, draft) in drafts.iter().enumerate() {
        let mut all = draft.written.is_empty();
        let Some(kind) = draft.kind.filter(|_| off[position].is_none()) else {
            readable.push(false);
            continue;
        };
        for (index, file) in draft.files.iter().enumerate() {
            let written = draft.written.iter().any(|(written, ..)| *written as usize == index);
            if written || draft.own.contains(&(index as u32)) || there.contains(file.path.as_str()) {
                continue;
            }
            match files::expand(&spec.root, kind.program(), index as u32, file) {
                Ok(_) => drop(there.insert(&file.path)),
                Err(fault) => {
                    all = false;
                    faults.add(position as u32, fault.under(&Route::stage(&spec.stages[position].name)));
                }
            }
        }
        readable.push(all);
    }
    readable
}

/// Carries types along the edges. A stage with a fault of its own has no types. The stages below it
/// are not blamed for that: their input is absent.
fn infer(
    spec: &PipelineSpec,
    drafts: &[Draft<'_>],
    order: &[u32],
    sources_there: &[bool],
    oracle: &dyn Oracle,
    faults: &mut StageFaults,
) -> Vec<Option<Types>> {
    let mut types: Vec<Option<Types>> = vec![None; drafts.len()];
    let mut origins = Origins::new();
    for position in order {
        let at = *position as usize;
        let Some(stage) = &drafts[at].stage else { continue };
        let wanted = &spec.stages[at];
        let mut inputs = Types::new();
        for (port, from, output) in &drafts[at].connected {
            let source = &drafts[*from as usize].outputs[*output].name;
            if let Some(known) = types[*from as usize].as_ref().and_then(|types| types.get(source)) {
                inputs.insert(port.clone(), known.clone());
            }
        }
        let connected = drafts[at].ports(wanted);
        let connected: Vec<&str> = connected.iter().map(String::as_str).collect();
        // A file that is missing has been reported, one that is yet to be written cannot be looked
        // into.
        let placed = Placed { oracle, folder: &wanted.folder };
        let oracle: &dyn Oracle = match (sources_there[at], wanted.folder.is_empty()) {
            (false, _) => &Silent,
            (true, true) => oracle,
            (true, false) => &placed,
        };
        let context = InferContext { stage: &wanted.name, connected: &connected, inputs: &inputs, oracle };
        let mut inference = stage.infer(&context);
        originate(spec, *position, &drafts[at], &mut inference.outputs, &mut origins);
        let failed = inference.faults.iter().any(Fault::is_error);
        for fault in inference.faults {
            faults.add(*position, fault.under(&Route::stage(&wanted.name)));
        }
        if !failed {
            types[at] = Some(inference.outputs);
        }
    }
    types
}

/// The first stage that reads its files in this way, by what describes the reading.
type Origins = HashMap<String, String>;

/// What rows begin at a stage: their files as the pipeline's folder sees them, and beside the
/// stage's name that of the first stage that reads the same files in the same way, for these are
/// the same rows.
fn originate(spec: &PipelineSpec, position: u32, draft: &Draft<'_>, types: &mut Types, origins: &mut Origins) {
    let wanted = &spec.stages[position as usize];
    let (Some(kind), Some(stage)) = (draft.kind, &draft.stage) else { return };
    for artifact in types.values_mut() {
        let ArtifactType::Dataset(dataset) = artifact else { continue };
        if dataset.sources != [wanted.name.as_str()] || draft.files.is_empty() || !draft.connected.is_empty() {
            continue;
        }
        let files: Vec<(&str, String)> =
            draft.files.iter().map(|file| (file.role.as_str(), normalise(&file.path, &spec.root))).collect();
        let read = serde_json::json!([kind.name(), stage.keyed(), files]).to_string();
        let first = origins.entry(read).or_insert_with(|| wanted.name.clone());
        dataset.sources.push(first.clone());
        dataset.sources.sort();
        dataset.sources.dedup();
        let seen = |file: &String| normalise(&inside(&wanted.folder, file), &spec.root);
        dataset.files = dataset.files.iter().map(seen).collect();
        dataset.files.sort();
        dataset.files.dedup();
    }
}

/// Asks on behalf of a stage whose paths start at another folder than the pipeline's.
struct Placed<'a> {
    oracle: &'a dyn Oracle,
    folder: &'a str,
}

impl Oracle for Placed<'_> {
    fn ask(&self, program: Program, question: &Question) -> Result<Option<Value>, Faults> {
        let mut question = question.clone();
        question.files.iter_mut().for_each(|file| file.path = inside(self.folder, &file.path));
        self.oracle.ask(program, &question)
    }
}
