//! Sealing: every name a document uses is resolved, every port matched, every path edge drawn, and
//! the stages ordered.
//!
//! Nothing here stops at the first fault. What cannot be resolved is reported once and left out, so
//! that the rest of the pipeline is proved as if it were not there.

use std::collections::HashSet;

use contract::artifact::ArtifactKind;
use contract::fault::{Fault, Route, nearest, suggest};
use contract::kind::{FileInput, InputPort, Kind, Kinds, OutputPort, Stage};
use contract::name;
use contract::pattern::Pattern;

use crate::graph::dag::Dag;
use crate::graph::selector::{Names, Selected};
use crate::graph::{PipelineSpec, ReferenceSpec, StageSpec};
use crate::plan::paths::{self, Clash, Places, Writer, Writers, normalise};

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
    /// Files that may not be read (those it writes itself, the store): reported, and not looked at
    /// again.
    pub own: Vec<u32>,
}

impl Draft<'_> {
    /// The ports a document connects, in its order; a port that takes many once for each of them.
    pub fn ports(&self, spec: &StageSpec) -> Vec<String> {
        let slots = |port: &str| -> Vec<String> {
            let mine = self.connected.iter().filter(|(slot, ..)| name::family(slot) == Some(port));
            mine.map(|(slot, ..)| slot.clone()).collect()
        };
        let ports = spec.inputs.iter().flat_map(|(port, target)| match name::family(&target.reference.stage) {
            None => vec![port.clone()],
            Some(_) => Some(slots(port)).filter(|slots| !slots.is_empty()).unwrap_or_else(|| vec![port.clone()]),
        });
        ports.collect()
    }
}

/// A pipeline whose names are resolved.
pub(crate) struct Sealed<'a> {
    /// In document order.
    pub drafts: Vec<Draft<'a>>,
    /// Topological, without what lies on or behind a cycle.
    pub order: Vec<u32>,
    /// With the position of the stage each belongs to.
    pub faults: StageFaults,
}

/// StageFaults with the stage that each belongs to, so that they can be reported in document order.
#[derive(Default)]
pub(crate) struct StageFaults(Vec<(u32, Fault)>);

impl StageFaults {
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

/// Resolves everything that can be resolved without looking at a file.
pub(crate) fn seal<'a>(spec: &mut PipelineSpec, registry: &'a Kinds) -> Sealed<'a> {
    let mut faults = StageFaults::default();
    let mut drafts: Vec<Draft<'a>> = Vec::with_capacity(spec.stages.len());
    for (position, stage) in spec.stages.iter_mut().enumerate() {
        drafts.push(draft(position as u32, stage, registry, &mut faults));
    }
    let spec = &*spec;
    let mut names: HashSet<&str> = HashSet::with_capacity(spec.stages.len());
    for (position, stage) in spec.stages.iter().enumerate() {
        if !names.insert(&stage.name) {
            let message = format!("two stages are called `{}`", stage.name);
            faults.add(
                position as u32,
                Fault::error(contract::code!("graph::duplicate_stage"), message)
                    .help("give one of them another name")
                    .at_key(Route::stage(&stage.name)),
            );
        }
    }
    let mut resolver = Resolver { spec, names: Names::new(&spec.stages) };
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

fn draft<'a>(position: u32, spec: &mut StageSpec, registry: &'a Kinds, faults: &mut StageFaults) -> Draft<'a> {
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
        let mut fault =
            Fault::error(contract::code!("graph::unknown_kind"), format!("there is no kind `{}`", spec.kind));
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
            place(&spec.folder, &mut draft.outputs, &mut draft.files);
            draft.stage = Some(stage);
        }
        Err(mut found) => {
            let here = Route::stage(&spec.name);
            // Without an error the stage would be dropped unnoticed.
            if !found.iter().any(Fault::is_error) {
                let message =
                    format!("the parameters of `{}` are refused, and `{}` does not say why", spec.name, kind.name());
                let help = "this is a mistake in the kind, not in the pipeline; the warnings beside it say what it met";
                found.push(Fault::error(contract::code!("parameters::invalid"), message).help(help));
            }
            for fault in found {
                faults.add(position, fault.under(&here));
            }
        }
    }
    draft
}

/// Paths of a stage, which start at its file's folder, as the pipeline's folder sees them.
pub(crate) fn place(folder: &str, outputs: &mut [OutputPort], files: &mut [FileInput]) {
    let written = outputs.iter_mut().filter_map(|port| port.path.as_mut()).map(|(path, _)| path);
    for path in written.chain(files.iter_mut().map(|file| &mut file.path)) {
        *path = paths::inside(folder, path);
    }
}

struct Resolver<'a> {
    spec: &'a PipelineSpec,
    names: Names<'a>,
}

impl Resolver<'_> {
    fn connect(&mut self, position: u32, drafts: &mut [Draft<'_>], faults: &mut StageFaults) {
        let spec = &self.spec.stages[position as usize];
        let mut mistaken: Vec<String> = Vec::new();
        for (port, target) in &spec.inputs {
            let draft = &drafts[position as usize];
            let known_port = draft.inputs.iter().any(|input| input.name == *port);
            if draft.stage.is_some() && !known_port {
                let fault = unknown_input(spec, port, &draft.inputs);
                mistaken.extend(nearest(port, draft.inputs.iter().map(|input| input.name.as_str())).map(str::to_owned));
                faults.add(position, fault.at_key(target.route.clone()));
            }
            let Some(found) = self.resolve(spec, &target.reference.stage, &target.route, position, faults) else {
                continue;
            };
            let takes_many =
                drafts[position as usize].stage.as_ref().is_some_and(|stage| known_port && stage.takes_many(port));
            match found {
                Selected::One(from) => self.connect_one(position, port, port.clone(), target, from, drafts, faults),
                Selected::Many(all) => {
                    if known_port && !takes_many {
                        let fault =
                            one_port(spec, port, &target.reference.stage, &self.spec.stages[all[0] as usize].name);
                        faults.add(position, fault.at(target.route.clone()));
                        drafts[position as usize].after.extend(all);
                        continue;
                    }
                    for (at, from) in all.into_iter().enumerate() {
                        self.connect_one(position, port, format!("{port}[{at}]"), target, from, drafts, faults);
                    }
                }
            }
        }
        for input in &drafts[position as usize].inputs {
            let given = spec.inputs.iter().any(|(port, _)| *port == input.name);
            if input.required && !given && !mistaken.contains(&input.name) {
                faults.add(position, missing_input(spec, input));
            }
        }
        // By port; what lies at one port stays in order.
        drafts[position as usize].connected.sort_by(|a, b| plain_port(&a.0).cmp(plain_port(&b.0)));
    }

    /// The stages that a reference means. Reports faults, but none about a stage that has reported
    /// its own.
    fn resolve(
        &mut self,
        spec: &StageSpec,
        text: &str,
        route: &Route,
        position: u32,
        faults: &mut StageFaults,
    ) -> Option<Selected> {
        match self.names.resolve(Some(&spec.name), text) {
            Ok(found) => Some(found),
            Err(fault) => {
                let of = name::family(text).and_then(|of| self.names.exact(of));
                let silent = of.is_some_and(|of| self.spec.stages[of as usize].faulty);
                if !silent {
                    faults.add(position, fault.at(route.clone()));
                }
                None
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one step of `connect`, which has them all at hand")]
    fn connect_one(
        &self,
        position: u32,
        port: &str,
        slot: String,
        target: &ReferenceSpec,
        from: u32,
        drafts: &mut [Draft<'_>],
        faults: &mut StageFaults,
    ) {
        let spec = &self.spec.stages[position as usize];
        let name = &self.spec.stages[from as usize].name;
        let known_port = drafts[position as usize].inputs.iter().find(|input| input.name == port);
        let known = known_port.is_some();
        let source = &drafts[from as usize];
        let mut connected = None;
        // Where the ports of the other stage are not known, the order still is, so that cycles are
        // found.
        if source.stage.is_some() {
            let output = match &target.reference.port {
                None => (!source.outputs.is_empty()).then_some(contract::kind::MAIN),
                Some(port) => source.outputs.iter().position(|output| output.name == *port),
            };
            let fault = match (output, known_port) {
                (None, _) => Some(unknown_output(name, target.reference.port.as_deref(), &source.outputs)),
                (Some(output), Some(input))
                    if !input.accepts.is_empty() && !input.accepts.contains(&source.outputs[output].kind) =>
                {
                    Some(wrong_artifact(spec, input, name, &source.outputs, output))
                }
                (output, _) => {
                    connected = output;
                    None
                }
            };
            if let Some(fault) = fault {
                faults.add(position, fault.at(target.route.clone()));
            }
        }
        let draft = &mut drafts[position as usize];
        draft.after.push(from);
        if let Some(output) = connected.filter(|_| known) {
            draft.connected.push((slot, from, output));
        }
    }

    fn needs(&mut self, position: u32, drafts: &mut [Draft<'_>], faults: &mut StageFaults) {
        let spec = &self.spec.stages[position as usize];
        for (index, need) in spec.needs.iter().enumerate() {
            let route = Route::stage(&spec.name).join("needs").join(index);
            match self.resolve(spec, need, &route, position, faults) {
                Some(Selected::One(before)) => drafts[position as usize].after.push(before),
                Some(Selected::Many(all)) => drafts[position as usize].after.extend(all),
                None => {}
            }
        }
    }
}

/// `models` of `models[0]`.
fn plain_port(slot: &str) -> &str {
    name::family(slot).unwrap_or(slot)
}

fn one_port(spec: &StageSpec, port: &str, text: &str, first: &str) -> Fault {
    let message = format!("the input `{port}` of `{}` takes one artifact, and `{text}` is a list of them", spec.name);
    Fault::error(contract::code!("matrix::takes_one"), message)
        .help(format!("name one of them, as in `{first}`; a `command` can take all and join them"))
}

fn unknown_input(spec: &StageSpec, port: &str, ports: &[InputPort]) -> Fault {
    let mut fault =
        Fault::error(contract::code!("graph::unknown_port"), format!("`{}` has no input `{port}`", spec.name));
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
    let mut fault = Fault::error(contract::code!("graph::unknown_port"), message);
    fault.help = match (port, outputs) {
        (_, []) => Some(format!("to only wait for it, write `needs: [{stage}]`")),
        (_, [only]) => Some(format!("its one output is `{}`: write `{stage}`", only.name)),
        (Some(port), _) => suggest(port, outputs.iter().map(|output| output.name.as_str())),
        (None, _) => None,
    };
    fault
}

fn wrong_artifact(spec: &StageSpec, input: &InputPort, from: &str, outputs: &[OutputPort], output: usize) -> Fault {
    let port =
        if output == contract::kind::MAIN { from.to_owned() } else { format!("{from}.{}", outputs[output].name) };
    let takes = one_of(&input.accepts);
    let message = format!("the input `{}` of `{}` takes {takes}, but `{port}` is {}", input.name, spec.name, {
        article(outputs[output].kind)
    });
    let fault = Fault::error(contract::code!("graph::wrong_artifact"), message);
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
    let fault = Fault::error(
        contract::code!("graph::missing_input"),
        format!("`{}` needs an input `{}`", spec.name, input.name),
    )
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

/// For a path with a character that the system ends paths with.
fn no_path(path: &str) -> Fault {
    let shown = path.replace('\0', "\\0");
    Fault::error(contract::code!("path::nul"), format!("`{shown}` has a character that no path can have (NUL)"))
        .help("take it away")
}

/// Draws the edges that paths make, and finds outputs that get in each other's way.
fn path_edges(spec: &PipelineSpec, drafts: &mut [Draft<'_>], faults: &mut StageFaults) {
    let mut writers = Writers::default();
    let mut places = Places::new(&spec.root);
    let documents = documents(spec, &mut places);
    for (position, draft) in drafts.iter().enumerate() {
        let name = &spec.stages[position].name;
        for (output, port) in draft.outputs.iter().enumerate() {
            let Some((path, route)) = &port.path else { continue };
            let place = paths::output(path).map(|normal| places.of(&normal)).and_then(|place| {
                paths::reserved(&place, path, &documents)?;
                Ok(place)
            });
            let fault = match place {
                _ if path.contains('\0') => no_path(path),
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
            if draft.kind.is_some_and(|kind| crate::plan::files::elsewhere(kind.program(), file)) {
                continue;
            }
            if file.path.contains('\0') {
                let here = Route::stage(&spec.stages[position].name).concat(&file.route);
                faults.add(position as u32, no_path(&file.path).at(here));
                draft.own.push(index as u32);
                continue;
            }
            let mut normal = normalise(&file.path, &spec.root);
            if !file.glob {
                normal = places.of(&normal);
            }
            if !file.glob && paths::meets_store(&normal, &spec.root) {
                let name = &spec.stages[position].name;
                let message = format!("`{name}` reads `{}`, and with it the store, which every run changes", file.path);
                let fault = Fault::error(contract::code!("path::reserved"), message)
                    .help("name the files and folders it needs");
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

/// The files of the pipeline inside the project, as [`Places`] has them.
fn documents(spec: &PipelineSpec, places: &mut Places<'_>) -> Vec<String> {
    let lock = spec.documents.first().map(|main| main.with_extension("lock"));
    let absolute = spec.documents.iter().chain(&lock).filter_map(|path| std::path::absolute(path).ok());
    absolute.filter_map(|path| Some(places.of(&normalise(path.to_str()?, &spec.root)))).collect()
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
    let (Clash::Same(other) | Clash::Inside(_, other) | Clash::Around(_, other)) = clash;
    let siblings =
        name::family(name).is_some() && name::family(name) == name::family(&spec.stages[other.stage as usize].name);
    let help = match siblings.then(|| spec.stages[position as usize].child.as_ref()?.values.first()).flatten() {
        Some((axis, _)) => {
            format!("children of one `matrix` need paths of their own: put `${{matrix.{axis}}}` into it")
        }
        None => "every output has a path of its own; change one of the two".to_owned(),
    };
    Fault::error(contract::code!("graph::two_writers"), message).help(help)
}

fn reads_own(spec: &PipelineSpec, position: usize, file: &str, output: &OutputPort) -> Fault {
    let name = &spec.stages[position].name;
    let written = output.path.as_ref().map_or("", |(path, _)| path);
    let message = if file == written {
        format!("`{name}` reads `{file}`, which it writes itself")
    } else {
        format!("`{name}` reads `{file}`, and with it `{written}`, which it writes itself")
    };
    Fault::error(contract::code!("graph::reads_own_output"), message)
        .help("it would have to run again after every run; read something else, or split the stage in two")
}

/// The fault of a cycle, in the direction of `needs`, at the reference that begins it.
fn cycle_fault(spec: &PipelineSpec, drafts: &[Draft<'_>], cycle: &[u32]) -> Fault {
    let name = |position: u32| spec.stages[position as usize].name.as_str();
    // The cycle runs from each stage to the one that waits for it. The other direction reads as
    // "needs".
    let mut needs: Vec<u32> = cycle.to_vec();
    needs[1..].reverse();
    let first = needs[0];
    let needed = *needs.get(1).unwrap_or(&first);
    let fault = if needs.len() == 1 {
        Fault::error(contract::code!("graph::cycle"), format!("`{}` needs itself", name(first)))
    } else {
        let mut shown: Vec<String> =
            needs.iter().chain([&first]).map(|position| format!("`{}`", name(*position))).collect();
        if shown.len() > 10 {
            let hidden = shown.len() - 8;
            shown.splice(5..5 + hidden, [format!("({hidden} more)")]);
        }
        Fault::error(
            contract::code!("graph::cycle"),
            format!("these stages need each other in a circle: {}", shown.join(" → ")),
        )
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
    let family = name::family(before_name);
    let says = |text: &str| text == before_name || family.is_some() && name::family(text) == family;
    if let Some((_, target)) = stage.inputs.iter().find(|(_, target)| says(&target.reference.stage)) {
        return target.route.clone();
    }
    let here = Route::stage(&stage.name);
    if let Some(index) = stage.needs.iter().position(|need| says(need)) {
        return here.join("needs").join(index);
    }
    match draft.written.iter().find(|(_, writer, _)| writer.stage == before) {
        Some((file, _, _)) => here.concat(&draft.files[*file as usize].route),
        None => here,
    }
}
