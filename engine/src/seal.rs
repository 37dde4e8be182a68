//! Sealing: every name a document uses is resolved, every port matched, every path edge drawn, and the stages ordered.
//!
//! Nothing here stops at the first fault. What cannot be resolved is reported once and left out, so that
//! the rest of the pipeline is proved as if it were not there.

use std::collections::HashMap;

use crate::artifact::ArtifactKind;
use crate::dag::Dag;
use crate::error::{Fault, Route, nearest, suggest};
use crate::graph::{PipelineSpec, StageSpec};
use crate::kind::{FileInput, InputPort, Kind, OutputPort, Registry, Stage};
use crate::paths::{self, Clash, Writer, Writers, normalise};
use crate::pattern::Pattern;

/// One stage on its way into a plan. Positions are those of the document.
pub(crate) struct Draft<'a> {
    /// `None` when the kind is unknown.
    pub kind: Option<&'a dyn Kind>,
    /// `None` when the parameters are not valid.
    pub stage: Option<Box<dyn Stage>>,
    pub inputs: Vec<InputPort>,
    pub outputs: Vec<OutputPort>,
    pub files: Vec<FileInput>,
    /// Resolved inputs: (port, stage, output).
    pub connected: Vec<(String, u32, usize)>,
    /// Path edges: (file, writer, exact).
    pub written: Vec<(u32, Writer, bool)>,
    /// What must be done first; may repeat.
    pub after: Vec<u32>,
    /// Files that may not be read (those it writes itself, the store): reported, and not looked at again.
    pub own: Vec<u32>,
}

/// A pipeline whose names are resolved.
pub(crate) struct Sealed<'a> {
    /// In document order.
    pub drafts: Vec<Draft<'a>>,
    /// Topological, without what lies on or behind a cycle.
    pub order: Vec<u32>,
    /// With the position of the stage each belongs to.
    pub faults: Faults,
}

/// Faults with the stage each belongs to, so that they can be told in document order.
#[derive(Default)]
pub(crate) struct Faults(Vec<(u32, Fault)>);

impl Faults {
    pub fn add(&mut self, stage: u32, fault: Fault) {
        self.0.push((stage, fault));
    }

    pub fn any_error(&self) -> bool {
        self.0.iter().any(|(_, fault)| fault.is_error())
    }

    pub fn in_document_order(mut self) -> Vec<Fault> {
        self.0.sort_by_key(|(stage, _)| *stage);
        self.0.into_iter().map(|(_, fault)| fault).collect()
    }
}

/// How many names are searched for a nearest one before that is given up: a document with thousands of
/// wrong references among thousands of stages has another problem than spelling.
const NEAREST_EFFORT: usize = 2_000_000;

/// Resolves everything that can be resolved without looking at a file.
pub(crate) fn seal<'a>(spec: &mut PipelineSpec, registry: &'a Registry) -> Sealed<'a> {
    let mut faults = Faults::default();
    let mut drafts: Vec<Draft<'a>> = Vec::with_capacity(spec.stages.len());
    for (position, stage) in spec.stages.iter_mut().enumerate() {
        drafts.push(draft(position as u32, stage, registry, &mut faults));
    }
    let spec = &*spec;
    let mut names: HashMap<&str, u32> = HashMap::with_capacity(spec.stages.len());
    for (position, stage) in spec.stages.iter().enumerate() {
        if names.insert(&stage.name, position as u32).is_some() {
            let message = format!("two stages are called `{}`", stage.name);
            faults.add(
                position as u32,
                Fault::error("graph::duplicate_stage", message)
                    .help("give one of them another name")
                    .at_key(Route::stage(&stage.name)),
            );
        }
    }
    let mut resolver = Resolver { spec, names, effort: NEAREST_EFFORT };
    for position in 0..spec.stages.len() as u32 {
        resolver.connect(position, &mut drafts, &mut faults);
        resolver.needs(position, &mut drafts, &mut faults);
    }
    path_edges(spec, &mut drafts, &mut faults);
    let mut dag = Dag::new(drafts.len());
    for (position, draft) in drafts.iter_mut().enumerate() {
        draft.after.sort_unstable();
        draft.after.dedup();
        for before in &draft.after {
            dag.edge(*before, position as u32);
        }
    }
    let order = dag.order().unwrap_or_else(|cyclic| {
        for cycle in &cyclic.cycles {
            faults.add(cycle[0], cycle_fault(spec, &drafts, cycle));
        }
        cyclic.ordered
    });
    Sealed { drafts, order, faults }
}

fn draft<'a>(position: u32, spec: &mut StageSpec, registry: &'a Registry, faults: &mut Faults) -> Draft<'a> {
    let mut draft = Draft {
        kind: registry.get(&spec.kind),
        stage: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        files: Vec::new(),
        connected: Vec::new(),
        written: Vec::new(),
        after: Vec::new(),
        own: Vec::new(),
    };
    if spec.faulty {
        return draft;
    }
    let Some(kind) = draft.kind else {
        let mut fault = Fault::error("graph::unknown_kind", format!("there is no kind `{}`", spec.kind));
        fault.help = suggest(&spec.kind, registry.names());
        faults.add(position, fault.at(Route::stage(&spec.name).join("kind")));
        return draft;
    };
    match kind.stage(std::mem::take(&mut spec.params)) {
        Ok(stage) => {
            let ports: Vec<&str> = spec.inputs.iter().map(|(port, _)| port.as_str()).collect();
            draft.inputs = stage.inputs(&ports);
            draft.outputs = stage.outputs();
            draft.files = stage.files();
            draft.stage = Some(stage);
        }
        Err(found) => {
            let here = Route::stage(&spec.name);
            for fault in found {
                faults.add(position, fault.under(&here));
            }
        }
    }
    draft
}

struct Resolver<'a> {
    spec: &'a PipelineSpec,
    names: HashMap<&'a str, u32>,
    effort: usize,
}

impl Resolver<'_> {
    fn connect(&mut self, position: u32, drafts: &mut [Draft<'_>], faults: &mut Faults) {
        let spec = &self.spec.stages[position as usize];
        let mut mistaken: Vec<String> = Vec::new();
        for (port, target) in &spec.inputs {
            let draft = &drafts[position as usize];
            let known_port = draft.inputs.iter().find(|input| input.name == *port);
            if draft.stage.is_some() && known_port.is_none() {
                let fault = unknown_input(spec, port, &draft.inputs);
                mistaken.extend(nearest(port, draft.inputs.iter().map(|input| input.name.as_str())).map(str::to_owned));
                faults.add(position, fault.at_key(target.route.clone()));
            }
            let Some(&from) = self.names.get(target.reference.stage.as_str()) else {
                let fault = self.unknown_stage(&spec.name, &target.reference.stage).at(target.route.clone());
                faults.add(position, fault);
                continue;
            };
            let source = &drafts[from as usize];
            if source.stage.is_none() {
                // Its ports are not known; the order still is, so that cycles are found.
                drafts[position as usize].after.push(from);
                continue;
            }
            let output = match &target.reference.port {
                None => (!source.outputs.is_empty()).then_some(crate::kind::MAIN),
                Some(port) => source.outputs.iter().position(|output| output.name == *port),
            };
            let Some(output) = output else {
                let fault = unknown_output(&target.reference.stage, target.reference.port.as_deref(), &source.outputs);
                faults.add(position, fault.at(target.route.clone()));
                drafts[position as usize].after.push(from);
                continue;
            };
            if let Some(input) = known_port
                && !input.accepts.is_empty()
                && !input.accepts.contains(&source.outputs[output].kind)
            {
                let fault = wrong_artifact(spec, input, &target.reference.stage, &source.outputs, output);
                faults.add(position, fault.at(target.route.clone()));
                drafts[position as usize].after.push(from);
                continue;
            }
            let known = known_port.is_some();
            let draft = &mut drafts[position as usize];
            draft.after.push(from);
            if known {
                draft.connected.push((port.clone(), from, output));
            }
        }
        for input in &drafts[position as usize].inputs {
            let given = spec.inputs.iter().any(|(port, _)| *port == input.name);
            if input.required && !given && !mistaken.contains(&input.name) {
                faults.add(position, missing_input(spec, input));
            }
        }
        drafts[position as usize].connected.sort();
    }

    fn needs(&mut self, position: u32, drafts: &mut [Draft<'_>], faults: &mut Faults) {
        let spec = &self.spec.stages[position as usize];
        for (index, need) in spec.needs.iter().enumerate() {
            match self.names.get(need.as_str()) {
                Some(before) => drafts[position as usize].after.push(*before),
                None => {
                    let route = Route::stage(&spec.name).join("needs").join(index);
                    faults.add(position, self.unknown_stage(&spec.name, need).at(route));
                }
            }
        }
    }

    fn unknown_stage(&mut self, stage: &str, unknown: &str) -> Fault {
        let mut fault =
            Fault::error("graph::unknown_stage", format!("`{stage}` needs `{unknown}`, which no stage is called"));
        if self.effort >= self.spec.stages.len() {
            self.effort -= self.spec.stages.len();
            let others = self.spec.stages.iter().map(|other| other.name.as_str()).filter(|other| *other != stage);
            fault.help = suggest(unknown, others);
        }
        fault
    }
}

fn unknown_input(spec: &StageSpec, port: &str, ports: &[InputPort]) -> Fault {
    let mut fault = Fault::error("graph::unknown_port", format!("`{}` has no input `{port}`", spec.name));
    fault.help = if ports.is_empty() {
        Some(format!("`{}` takes no inputs", spec.kind))
    } else {
        suggest(port, ports.iter().map(|input| input.name.as_str()))
    };
    fault
}

fn unknown_output(stage: &str, port: Option<&str>, outputs: &[OutputPort]) -> Fault {
    let message = match port {
        Some(port) => format!("`{stage}` has no output `{port}`"),
        None => format!("`{stage}` has no outputs"),
    };
    let mut fault = Fault::error("graph::unknown_port", message);
    fault.help = match (port, outputs) {
        (_, []) => Some(format!("to only wait for it, write `needs: [{stage}]`")),
        (_, [only]) => Some(format!("its one output is `{}`: write `{stage}`", only.name)),
        (Some(port), _) => suggest(port, outputs.iter().map(|output| output.name.as_str())),
        (None, _) => None,
    };
    fault
}

fn wrong_artifact(spec: &StageSpec, input: &InputPort, from: &str, outputs: &[OutputPort], output: usize) -> Fault {
    let port = if output == crate::kind::MAIN { from.to_owned() } else { format!("{from}.{}", outputs[output].name) };
    let takes = one_of(&input.accepts);
    let message = format!("the input `{}` of `{}` takes {takes}, but `{port}` is {}", input.name, spec.name, {
        article(outputs[output].kind)
    });
    let fault = Fault::error("graph::wrong_artifact", message);
    let fitting: Vec<String> = outputs
        .iter()
        .filter(|output| input.accepts.contains(&output.kind))
        .map(|output| format!("`{from}.{}`", output.name))
        .collect();
    match fitting.len() {
        0 => fault.help(format!("connect a stage that gives {takes}")),
        1 => fault.help(format!("did you mean {}?", fitting[0])),
        _ => fault.help(format!("of `{from}`, these would fit: {}", fitting.join(", "))),
    }
}

fn missing_input(spec: &StageSpec, input: &InputPort) -> Fault {
    let takes = if input.accepts.is_empty() { "any output".into() } else { one_of(&input.accepts) };
    let fault = Fault::error("graph::missing_input", format!("`{}` needs an input `{}`", spec.name, input.name))
        .help(format!("add `{}: <stage>` under `inputs`; it takes {takes}", input.name));
    let here = Route::stage(&spec.name);
    if spec.inputs.is_empty() { fault.at_key(here) } else { fault.at_key(here.join("inputs")) }
}

fn one_of(kinds: &[ArtifactKind]) -> String {
    kinds.iter().map(|kind| article(*kind)).collect::<Vec<_>>().join(" or ")
}

/// `a dataset`, `a model`, `metrics`.
fn article(kind: ArtifactKind) -> String {
    match kind {
        ArtifactKind::Metrics | ArtifactKind::Labels | ArtifactKind::Trials => format!("`{}`", kind.name()),
        _ => format!("a `{}`", kind.name()),
    }
}

/// Draws the edges that paths make, and finds outputs that get in each other's way.
fn path_edges(spec: &PipelineSpec, drafts: &mut [Draft<'_>], faults: &mut Faults) {
    let mut writers = Writers::default();
    for (position, draft) in drafts.iter().enumerate() {
        let name = &spec.stages[position].name;
        for (output, port) in draft.outputs.iter().enumerate() {
            let Some((path, route)) = &port.path else { continue };
            let fault = match paths::output(path) {
                Err(fault) => fault,
                Ok(normal) => {
                    let writer = Writer { stage: position as u32, output: output as u32 };
                    match writers.add(&normal, writer) {
                        Ok(()) => continue,
                        Err(clash) => clash_fault(spec, name, position as u32, path, &clash),
                    }
                }
            };
            faults.add(position as u32, fault.at(Route::stage(name).concat(route)));
        }
    }
    for (position, draft) in drafts.iter_mut().enumerate() {
        for (index, file) in draft.files.iter().enumerate() {
            let normal = normalise(&file.path, &spec.root);
            if !file.glob && paths::meets_store(&normal, &spec.root) {
                let name = &spec.stages[position].name;
                let message = format!("`{name}` reads `{}`, and with it the store, which every run changes", file.path);
                let fault = Fault::error("path::reserved", message).help("name the files and folders it needs");
                faults.add(position as u32, fault.at(Route::stage(name).concat(&file.route)));
                draft.own.push(index as u32);
                continue;
            }
            let found: Vec<(Writer, bool)> = if file.glob {
                writers.matching(&Pattern::new(&normal)).into_iter().map(|writer| (writer, false)).collect()
            } else {
                writers.of(&normal)
            };
            for (writer, exact) in found {
                if writer.stage as usize == position {
                    draft.own.push(index as u32);
                    faults.add(
                        position as u32,
                        reads_own(spec, position, &file.path, &draft.outputs[writer.output as usize])
                            .at(Route::stage(&spec.stages[position].name).concat(&file.route)),
                    );
                    continue;
                }
                draft.written.push((index as u32, writer, exact));
                draft.after.push(writer.stage);
            }
        }
    }
}

fn clash_fault(spec: &PipelineSpec, name: &str, position: u32, path: &str, clash: &Clash) -> Fault {
    let who = |writer: &Writer| {
        if writer.stage == position {
            "itself".into()
        } else {
            format!("`{}`", spec.stages[writer.stage as usize].name)
        }
    };
    let message = match clash {
        Clash::Same(other) if other.stage == position => format!("`{name}` writes `{path}` twice"),
        Clash::Same(other) => format!("`{name}` writes `{path}`, which {} writes, too", who(other)),
        Clash::Inside(folder, other) => {
            format!("`{name}` writes `{path}` inside `{folder}`, which {} writes", who(other))
        }
        Clash::Around(inner, other) => {
            format!("`{name}` writes `{path}`, which holds `{inner}`, written by {}", who(other))
        }
    };
    Fault::error("graph::two_writers", message).help("every output has a path of its own; change one of the two")
}

fn reads_own(spec: &PipelineSpec, position: usize, file: &str, output: &OutputPort) -> Fault {
    let name = &spec.stages[position].name;
    let written = output.path.as_ref().map_or("", |(path, _)| path);
    let message = if file == written {
        format!("`{name}` reads `{file}`, which it writes itself")
    } else {
        format!("`{name}` reads `{file}`, and with it `{written}`, which it writes itself")
    };
    Fault::error("graph::reads_own_output", message)
        .help("it would have to run again after every run; read something else, or split the stage in two")
}

/// A cycle, told along the direction of need, at the reference that begins it.
fn cycle_fault(spec: &PipelineSpec, drafts: &[Draft<'_>], cycle: &[u32]) -> Fault {
    let name = |position: u32| spec.stages[position as usize].name.as_str();
    // The cycle runs from what is first to what waits; told the other way round it reads as "needs".
    let mut told: Vec<u32> = cycle.to_vec();
    told[1..].reverse();
    let first = told[0];
    let needed = *told.get(1).unwrap_or(&first);
    let fault = if told.len() == 1 {
        Fault::error("graph::cycle", format!("`{}` needs itself", name(first)))
    } else {
        let mut shown: Vec<String> =
            told.iter().chain([&first]).map(|position| format!("`{}`", name(*position))).collect();
        if shown.len() > 10 {
            let hidden = shown.len() - 8;
            shown.splice(5..5 + hidden, [format!("({hidden} more)")]);
        }
        Fault::error("graph::cycle", format!("these stages need each other in a circle: {}", shown.join(" → ")))
    };
    fault.help("every arrow is a need; take one of them away").at(edge_route(
        spec,
        &drafts[first as usize],
        first,
        needed,
    ))
}

/// Where in the document `stage` says that it needs `before`.
fn edge_route(spec: &PipelineSpec, draft: &Draft<'_>, stage: u32, before: u32) -> Route {
    let (stage, before_name) = (&spec.stages[stage as usize], spec.stages[before as usize].name.as_str());
    if let Some((_, target)) = stage.inputs.iter().find(|(_, target)| target.reference.stage == before_name) {
        return target.route.clone();
    }
    let here = Route::stage(&stage.name);
    if let Some(index) = stage.needs.iter().position(|need| need == before_name) {
        return here.join("needs").join(index);
    }
    match draft.written.iter().find(|(_, writer, _)| writer.stage == before) {
        Some((file, _, _)) => here.concat(&draft.files[*file as usize].route),
        None => here,
    }
}
