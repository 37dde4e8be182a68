//! One step of an expanding stage: its next round of children, or its outputs and record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use cache::{Blob, Store};
use contract::artifact::Types;
use contract::expansion::{Finished, Next, Output, Outputs, Proposal, Round, Source, child_port};
use contract::fault::{Fault, Faults, Route};
use contract::kind::{FileInput, InferContext, Inference, InputPort, MAIN, OutputPort, Silent, Stage};
use contract::worker::protocol;
use serde_json::Value;

use super::attempt::Done;
use super::state::{Hit, Lookup, Run};
use super::{AttemptError, Detail};
use crate::event::Event;
use crate::graph::matrix::{MOST, is_label};
use crate::plan::{Parent, PlannedInput, PlannedStage, StageId};

/// The progress of an expanding stage.
#[derive(Clone)]
pub(crate) struct Course {
    /// Its look-up, once it is known to be a miss.
    pub(crate) looked: Option<Arc<Lookup>>,
    pub(crate) begun: Instant,
    pub(crate) children: Vec<StageId>,
}

impl Course {
    pub(crate) fn new() -> Self {
        Self { looked: None, begun: Instant::now(), children: Vec::new() }
    }
}

/// The next step of an expanding stage.
pub(crate) enum Step {
    /// The stage itself is recorded; no child has to run.
    Hit(Box<Hit>),
    /// These children run before the stage is asked again.
    Run(Arc<Lookup>, Vec<Proposal>),
    /// The stage is done and recorded.
    Done(Box<Done>),
}

/// A round that reads its bytes from the store.
struct StoredRound<'a> {
    store: &'a Store,
    seed: u64,
    finished: &'a [Finished],
    /// For every finished child, the blob of each of its output ports.
    outputs: Vec<BTreeMap<String, Blob>>,
    inputs: BTreeMap<String, Blob>,
}

impl StoredRound<'_> {
    fn read(&self, blob: Option<&Blob>, of: &str, port: &str) -> Result<Vec<u8>, Fault> {
        let Some(blob) = blob else {
            let message = format!("`{of}` has no `{port}` to look into");
            return Err(Fault::error(contract::code!("expand::unknown_port"), message).help("please report this"));
        };
        self.store.read(&blob.digest).map_err(|error| crate::store_fault(&error))
    }
}

impl Round for StoredRound<'_> {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn finished(&self) -> &[Finished] {
        self.finished
    }

    fn bytes(&self, child: usize, port: &str) -> Result<Vec<u8>, Fault> {
        let of = self.finished.get(child).map_or("itself", |child| child.label.as_str());
        self.read(self.outputs.get(child).and_then(|outputs| outputs.get(port)), of, port)
    }

    fn input(&self, port: &str) -> Result<Vec<u8>, Fault> {
        self.read(self.inputs.get(port), "itself", port)
    }
}

/// The label of the child that finishes its parent's work in the parent's own worker program.
const FINISH: &str = "finish";

/// An expanding stage as the child that finishes it. It also takes outputs of other children, and
/// does not expand.
struct Finishing(Box<dyn Stage>);

/// Whether a port holds an output of a child for a finishing stage.
fn is_child_port(port: &str) -> bool {
    port.starts_with("child[")
}

impl Stage for Finishing {
    fn params(&self) -> Value {
        self.0.params()
    }

    fn keyed(&self) -> Value {
        let mut keyed = self.0.keyed();
        // Without this the child and its parent would have one key when no child's output is passed
        // on.
        if let Value::Object(keyed) = &mut keyed {
            keyed.insert(FINISH.to_owned(), true.into());
        }
        keyed
    }

    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        let (children, own): (Vec<&str>, Vec<&str>) = connected.iter().copied().partition(|port| is_child_port(port));
        let any = |port: &str| InputPort { name: port.to_owned(), accepts: Vec::new(), required: true };
        self.0.inputs(&own).into_iter().chain(children.into_iter().map(any)).collect()
    }

    fn outputs(&self) -> Vec<OutputPort> {
        // The parent puts the copies into the project. Two stages must not write one path.
        self.0.outputs().into_iter().map(|port| OutputPort { path: None, ..port }).collect()
    }

    fn files(&self) -> Vec<FileInput> {
        self.0.files()
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let connected: Vec<&str> = context.connected.iter().copied().filter(|port| !is_child_port(port)).collect();
        let own = context.inputs.iter().filter(|(port, _)| !is_child_port(port));
        let inputs: Types = own.map(|(port, known)| (port.clone(), known.clone())).collect();
        self.0.infer(&InferContext { connected: &connected, inputs: &inputs, ..*context })
    }
}

fn mistake(message: String) -> Fault {
    Fault::error(contract::code!("expand::proposal"), message).help("please report this")
}

impl Run {
    /// Finds out the next step of an expanding stage all of whose children so far have outputs.
    pub(crate) fn step(&self, id: StageId, course: &Course) -> Result<Step, AttemptError> {
        let stage = self.stage(id);
        // The first round looks the key up. Later rounds keep that look-up, so that a change of an
        // input in between is noticed at the end.
        let looked = match &course.looked {
            Some(looked) => Arc::clone(looked),
            None => {
                let mut looked = self.look(id)?;
                if let Some(hit) = looked.hit.take() {
                    return Ok(Step::Hit(Box::new(hit)));
                }
                let reasons = self.reasons(stage, &looked);
                let key = looked.key.to_string();
                let started = Event::StageStarted { stage: stage.name.clone(), key, reasons, attempt: 1 };
                let _ = self.events.send(started);
                Arc::new(looked)
            }
        };
        let Some(expansion) = stage.stage.expansion() else {
            return Err(AttemptError::final_fault(mistake(format!("`{}` does not expand", stage.name))));
        };
        let finished = course.children.iter().map(|child| self.finished(*child)).collect::<Result<Vec<_>, _>>()?;
        let inputs: BTreeMap<String, Blob> = stage
            .inputs
            .iter()
            .filter_map(|input| Some((input.port.clone(), self.output(input.from, input.output)?)))
            .collect();
        let ports = |child: &StageId| self.ports(*child);
        let outputs = course.children.iter().map(ports).collect::<Result<Vec<_>, _>>()?;
        let round = StoredRound { store: &self.store, seed: stage.seed, finished: &finished, outputs, inputs };
        // The finishing child has run: the expansion is not asked again.
        if finished.last().is_some_and(|child| child.label == FINISH) {
            let outputs = self.finished_outputs(stage, course)?;
            return self.conclude(id, &looked, course, &finished, &round.outputs, outputs).map(Step::Done);
        }
        let next = expansion.next(&round).map_err(|faults| AttemptError::Failed { faults, again: false })?;
        match next {
            // The scheduler panics at a round without children.
            Next::Run(children) if children.is_empty() => {
                Err(AttemptError::final_fault(mistake(format!("`{}` asks for a round without children", stage.name))))
            }
            // A limit on all rounds together: a faulty expansion could otherwise go on forever.
            Next::Run(children) if finished.len() + children.len() > MOST => {
                let message = format!("`{}` asks for more than {MOST} children", stage.name);
                Err(AttemptError::final_fault(
                    Fault::error(contract::code!("expand::too_many"), message)
                        .help("give it a smaller number of trials or rounds"),
                ))
            }
            Next::Run(children) => Ok(Step::Run(looked, children)),
            Next::Finish { inputs } => {
                let child = |(position, (child, port)): (usize, (usize, String))| {
                    let label = finished.get(child).map(|child| child.label.clone());
                    let label = label.ok_or_else(|| mistake(format!("`{}` has no child {child}", stage.name)))?;
                    Ok((child_port(position, &port), Source::Child { label, port: Some(port) }))
                };
                let own = stage.inputs.iter().map(|input| Ok((input.port.clone(), Source::Parent(input.port.clone()))));
                let inputs: Result<Vec<_>, Fault> = own.chain(inputs.into_iter().enumerate().map(child)).collect();
                let finish = Proposal {
                    label: FINISH.to_owned(),
                    kind: stage.kind.clone(),
                    params: stage.params(),
                    inputs: inputs.map_err(AttemptError::final_fault)?,
                    seed: Some(stage.seed),
                    resources: stage.resources.clone(),
                    timeout: stage.timeout,
                    retries: stage.retries,
                };
                Ok(Step::Run(looked, vec![finish]))
            }
            Next::Done(outputs) => {
                self.conclude(id, &looked, course, &finished, &round.outputs, outputs).map(Step::Done)
            }
        }
    }

    /// A finished child as its parent's expansion sees it.
    fn finished(&self, child: StageId) -> Result<Finished, AttemptError> {
        let stage = self.stage(child);
        let lost = || AttemptError::final_fault(mistake(format!("`{}` has no outputs", stage.name)));
        let given = self.outputs_of(child).get().ok_or_else(lost)?;
        let record = self.store.lookup(&given.key)?;
        let (summary, unmet) = record.map(|record| Detail::headline(&record.detail)).unwrap_or_default();
        Ok(Finished {
            label: stage.parent.as_ref().map(|parent| parent.label.clone()).unwrap_or_default(),
            summary,
            open: unmet.is_empty(),
        })
    }

    /// The outputs of a stage whose last child finished it: those of that child.
    fn finished_outputs(&self, stage: &PlannedStage, course: &Course) -> Result<Outputs, AttemptError> {
        let lost = || AttemptError::final_fault(mistake(format!("`{}` has lost what it finished with", stage.name)));
        let child = course.children.last().ok_or_else(lost)?;
        let given = self.outputs_of(*child).get().ok_or_else(lost)?;
        let detail = Detail::of(&self.store.lookup(&given.key)?.ok_or_else(lost)?.detail);
        let output = |port: &OutputPort| {
            (port.name.clone(), Output::Child { label: FINISH.to_owned(), port: port.name.clone() })
        };
        Ok(Outputs {
            outputs: stage.outputs.iter().map(output).collect(),
            summary: detail.summary,
            unmet: detail.unmet,
            warnings: detail.warnings,
        })
    }

    /// The blob at each output port of a finished child.
    fn ports(&self, child: StageId) -> Result<BTreeMap<String, Blob>, AttemptError> {
        let stage = self.stage(child);
        let lost = || AttemptError::final_fault(mistake(format!("`{}` has no outputs", stage.name)));
        let given = self.outputs_of(child).get().ok_or_else(lost)?;
        let ports = stage.outputs.iter().map(|port| port.name.clone());
        Ok(ports.zip(given.outputs.iter().copied()).collect())
    }

    /// Records the outputs, if the inputs of the stage are unchanged since its first step.
    fn conclude(
        &self,
        id: StageId,
        looked: &Lookup,
        course: &Course,
        finished: &[Finished],
        outputs: &[BTreeMap<String, Blob>],
        done: Outputs,
    ) -> Result<Box<Done>, AttemptError> {
        let stage = self.stage(id);
        self.unchanged_inputs(stage, looked)?;
        let into = self.options.scratch.as_ref().map_or(&self.store, |scratch| &scratch.store);
        let mut blobs = Vec::with_capacity(stage.outputs.len());
        let mut types = Types::new();
        for port in &stage.outputs {
            let given = done.outputs.iter().find(|(name, _)| *name == port.name);
            let blob = match given.map(|(_, output)| output) {
                Some(Output::Bytes(bytes)) => Some(into.put_bytes(bytes)?),
                Some(Output::Child { label, port: of }) => {
                    let at = finished.iter().position(|child| child.label == *label);
                    if let Some(at) = at
                        && let Some(child) = self.outputs_of(course.children[at]).get()
                        && let Some(record) = self.store.lookup(&child.key)?
                        && let Some(known) = Detail::of(&record.detail).types.remove(of)
                    {
                        types.insert(port.name.clone(), known);
                    }
                    at.and_then(|at| outputs[at].get(of).copied())
                }
                None => None,
            };
            let blob = blob.ok_or_else(|| {
                AttemptError::final_fault(mistake(format!(
                    "`{}` is done without its output `{}`",
                    stage.name, port.name
                )))
            })?;
            blobs.push(blob);
        }
        let Outputs { summary, unmet, warnings, .. } = done;
        let found = protocol::Finished { types, summary, unmet, warnings, ..protocol::Finished::default() };
        self.record(id, looked, blobs, found, course.begun.elapsed()).map(Box::new)
    }

    /// Makes stages of a round's proposals, with ids from `first` on.
    pub(crate) fn children(
        &self,
        parent: StageId,
        course: &Course,
        proposals: Vec<Proposal>,
        first: u32,
    ) -> Result<Vec<PlannedStage>, Faults> {
        let mut children: Vec<PlannedStage> = Vec::with_capacity(proposals.len());
        let mut faults = Vec::new();
        for (at, proposal) in proposals.into_iter().enumerate() {
            match self.child(parent, course, &children, proposal, StageId(first + at as u32)) {
                Ok(child) => children.push(child),
                Err(found) => {
                    faults.extend(found);
                    // A later child may need this one, so its faults would mislead.
                    break;
                }
            }
        }
        if faults.is_empty() { Ok(children) } else { Err(Faults::from(faults)) }
    }

    /// Makes a stage of one proposal. It is checked like a stage of the document, without questions
    /// to workers.
    fn child(
        &self,
        parent: StageId,
        course: &Course,
        round: &[PlannedStage],
        proposal: Proposal,
        id: StageId,
    ) -> Result<PlannedStage, Faults> {
        let owner = self.stage(parent);
        let name = format!("{}[{}]", owner.name, proposal.label);
        let wrong = |message: String| vec![mistake(message)];
        let known = |label: &str| {
            let is_it = |stage: &&PlannedStage| stage.parent.as_ref().is_some_and(|parent| parent.label == label);
            let before = course.children.iter().map(|child| self.stage(*child));
            before.chain(round).find(is_it)
        };
        if !is_label(&proposal.label.replace(['=', ','], "-")) || known(&proposal.label).is_some() {
            return Err(Faults::from(wrong(format!("`{name}` cannot be the name of another child"))));
        }
        let Some(kind) = self.options.registry.get(&proposal.kind) else {
            return Err(Faults::from(wrong(format!(
                "`{name}` is of the kind `{}`, which does not exist",
                proposal.kind
            ))));
        };
        // The document does not hold the child, so its faults are reported at the parent.
        let at_parent = |fault: Fault| {
            let Fault { message, route, .. } = &fault;
            let at = route.as_ref().map(|route| format!(" (at `{route}`)")).unwrap_or_default();
            Fault { message: format!("`{name}`: {message}{at}"), route: Some(Route::root()), ..fault }
        };
        let mut stage =
            kind.stage(proposal.params).map_err(|faults| faults.into_iter().map(at_parent).collect::<Vec<_>>())?;
        // A stage of the parent's kind would expand in turn. The wrapper prevents that.
        if proposal.label == FINISH {
            stage = Box::new(Finishing(stage));
        }
        let ports: Vec<&str> = proposal.inputs.iter().map(|(port, _)| port.as_str()).collect();
        let accepted = stage.inputs(&ports);
        let mut inputs = Vec::new();
        let mut types = Types::new();
        for (port, source) in &proposal.inputs {
            let (from, output) = match source {
                Source::Parent(of) => {
                    let input = owner.inputs.iter().find(|input| input.port == *of);
                    let input = input.ok_or_else(|| wrong(format!("`{}` has no input `{of}`", owner.name)))?;
                    (self.stage(input.from), input.output)
                }
                Source::Child { label, port: of } => {
                    let sibling = known(label).ok_or_else(|| wrong(format!("`{name}` needs an unknown `{label}`")))?;
                    let output = match of {
                        None => Some(MAIN),
                        Some(of) => sibling.outputs.iter().position(|output| output.name == *of),
                    };
                    (sibling, output.ok_or_else(|| wrong(format!("`{}` has no such output", sibling.name)))?)
                }
            };
            let given = &from.outputs[output];
            let fits = accepted.iter().find(|input| input.name == *port);
            if fits.is_none_or(|input| !input.accepts.is_empty() && !input.accepts.contains(&given.kind)) {
                return Err(Faults::from(wrong(format!(
                    "`{name}` does not take `{}` of `{}` at `{port}`",
                    given.name, from.name
                ))));
            }
            if let Some(known) = from.types.get(&given.name) {
                types.insert(port.clone(), known.clone());
            }
            inputs.push(PlannedInput { port: port.clone(), label: None, from: from.id, output });
        }
        inputs.sort_by(|a, b| a.port.cmp(&b.port));
        let inference = stage.infer(&InferContext { stage: &name, connected: &ports, inputs: &types, oracle: &Silent });
        if inference.faults.iter().any(Fault::is_error) {
            return Err(inference.faults.into_iter().filter(Fault::is_error).map(at_parent).collect());
        }
        let mut after: Vec<StageId> = inputs.iter().map(|input| input.from).collect();
        after.sort_unstable();
        after.dedup();
        let (mut outputs, mut files) = (stage.outputs(), stage.files());
        crate::plan::seal::place(&owner.folder, &mut outputs, &mut files);
        Ok(PlannedStage {
            id,
            document: owner.document,
            kind: proposal.kind,
            version: kind.version(),
            program: kind.program(),
            seeded: kind.seeded(),
            folder: owner.folder.clone(),
            inputs,
            after,
            outputs,
            types: inference.outputs,
            files,
            written: Vec::new(),
            command: stage.command(),
            stage,
            seed: proposal.seed.unwrap_or(owner.seed),
            device: owner.device.clone(),
            resources: proposal.resources,
            timeout: proposal.timeout,
            retries: proposal.retries,
            cache: true,
            parent: Some(Parent { name: owner.name.clone(), label: proposal.label }),
            name,
        })
    }
}
