//! `matrix`: from what a stage says about its axes to its children.
//!
//! An axis is a list of values, or a mapping that names them. What a child is called follows from the values: scalars
//! are printed as they are written, the values of a mapping by their names, anything else by its position (`#1`).

use std::collections::HashSet;

use contract::fault::{Fault, Route, nearest, suggest};
use engine::graph::Child;
use engine::graph::matrix::{self, Axis, MOST, is_label, position};

use crate::report::faults::PlacedFaults;
use crate::report::phrases::shorten;
use crate::yaml::limits::MAX_TEXT;
use crate::yaml::node::{Entry, Kind, Node};
use crate::yaml::source::{Source, Span};

/// Nodes all children of a document may have together: a stage of a thousand lines may still have a thousand children.
const MOST_NODES: usize = 4_000_000;
/// Stages that all `matrix` of a document may make together.
const MOST_STAGES: usize = 1_000_000;

/// What a document has made so far of what it may make.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Nodes made by `matrix`.
    pub nodes: usize,
    /// Stages made by `matrix`.
    pub stages: usize,
    /// Bytes of text made by `matrix` and by putting values into texts.
    pub text: usize,
}

/// What one child's `${matrix.…}` stand for, by axis.
pub(crate) type Values = Vec<(String, Node)>;

/// One child.
pub(crate) struct Made {
    /// As `model[seed=1]`.
    pub name: String,
    /// Whose child, and its values' names.
    pub child: Child,
    /// Its values.
    pub values: Values,
}

/// An axis with its values.
struct Line {
    axis: Axis,
    values: Vec<Node>,
}

/// Reads the `matrix` of a stage. `None` after a fault.
pub(crate) fn children(
    of: &str,
    entry: &Entry,
    stage: &Node,
    sources: &[Source],
    budget: &mut Budget,
    faults: &mut PlacedFaults,
) -> Option<Vec<Made>> {
    let before = faults.errors();
    let mut reader = Reader { route: Route::stage(of).join("matrix"), sources, budget, faults };
    let made = reader.read(of, entry, stage);
    if faults.errors() > before { None } else { made }
}

struct Reader<'a> {
    route: Route,
    sources: &'a [Source],
    budget: &'a mut Budget,
    faults: &'a mut PlacedFaults,
}

impl Reader<'_> {
    fn fault(&mut self, fault: Fault, route: Route, node: &Node, key: Span) {
        let source = &self.sources[node.span.source.0 as usize];
        let collection = matches!(node.kind, Kind::Sequence(_) | Kind::Mapping(_));
        let span = if node.span.is_empty() || collection && source.is_multiline(node.span) {
            key
        } else {
            source.first_line(node.span)
        };
        self.faults.add(fault.at(route), span);
    }

    /// Counts so many children before they are made. `values` is the text of what stands for their axes.
    fn afford(&mut self, count: usize, values: usize, stage: &Node, key: Span) -> bool {
        let Budget { nodes, stages, text } = self.budget;
        *stages = stages.saturating_add(count);
        *nodes = nodes.saturating_add(stage.size().0.saturating_mul(count));
        *text = text.saturating_add(stage.bytes().saturating_mul(count)).saturating_add(values);
        let much = match () {
            () if *stages > MOST_STAGES => format!("are more than {MOST_STAGES}"),
            () if *nodes > MOST_NODES => format!("have more than {MOST_NODES} values together"),
            () if *text > MAX_TEXT => format!("have more than {} MiB of text together", MAX_TEXT >> 20),
            () => return true,
        };
        let fault = Fault::error(contract::code!("matrix::too_large"), format!("the stages made by `matrix` {much}"))
            .help("take values away, or write shorter stages");
        self.faults.add(fault.at_key(self.route.clone()), key);
        false
    }

    fn read(&mut self, of: &str, entry: &Entry, stage: &Node) -> Option<Vec<Made>> {
        let route = self.route.clone();
        let Kind::Mapping(entries) = &entry.value.kind else {
            if !matches!(entry.value.kind, Kind::Unknown) {
                let fault = Fault::error(
                    contract::code!("matrix::form"),
                    "`matrix` must be a mapping: name of an axis to its values",
                )
                .help("write `matrix: { seed: [1, 2, 3] }`");
                self.fault(fault, route, &entry.value, entry.key.span);
            }
            return None;
        };
        let before = self.faults.errors();
        let mut lines = Vec::new();
        for axis in entries.iter().filter(|entry| !matches!(entry.key.text.as_str(), "exclude" | "include")) {
            lines.extend(self.axis(axis));
        }
        let exclude = entry.value.entry("exclude");
        let include = entry.value.entry("include");
        if lines.is_empty() && self.faults.errors() == before && include.is_none() {
            let fault = Fault::error(contract::code!("matrix::empty"), format!("the `matrix` of `{of}` has no axis"))
                .help("write `matrix: { seed: [1, 2, 3] }`");
            self.fault(fault, route.clone(), &entry.value, entry.key.span);
            return None;
        }
        let axes: Vec<Axis> = lines.iter().map(|line| line.axis.clone()).collect();
        let size = matrix::size(&axes).filter(|size| *size <= MOST);
        if size.is_none() {
            let factors: Vec<String> = axes.iter().map(|axis| axis.labels.len().to_string()).collect();
            let message = format!("the `matrix` of `{of}` makes {} stages, more than {MOST}", factors.join(" × "));
            let fault = Fault::error(contract::code!("matrix::too_many"), message)
                .help("use fewer values, or a search over them");
            self.faults.add(fault.at_key(route), entry.key.span);
            return None;
        }
        if let Some(size) = size.filter(|_| !lines.is_empty()) {
            let share = |line: &Line| {
                let bytes = line.values.iter().map(Node::bytes).fold(0_usize, usize::saturating_add);
                bytes.saturating_mul(size / line.values.len())
            };
            let values = lines.iter().map(share).fold(0_usize, usize::saturating_add);
            if !self.afford(size, values, stage, entry.key.span) {
                return None;
            }
        }
        let mut all: Vec<Vec<(String, String, Node)>> = Vec::new();
        if !lines.is_empty() {
            let excluded = self.excluded(&lines, exclude);
            let fits = |combination: &Vec<usize>| {
                !excluded.iter().any(|wanted| wanted.iter().all(|(axis, value)| combination[*axis] == *value))
            };
            for combination in matrix::product(&axes).into_iter().filter(fits) {
                let values = combination.iter().zip(&lines).map(|(at, line)| {
                    (line.axis.name.clone(), line.axis.labels[*at].clone(), line.values[*at].clone())
                });
                all.push(values.collect());
            }
        }
        let crossed = all.len();
        self.included(include, &lines, &mut all);
        if !self.afford(all.len() - crossed, 0, stage, entry.key.span) {
            return None;
        }
        let mut names = HashSet::new();
        let mut made = Vec::with_capacity(all.len());
        for values in all {
            let name = matrix::name(of, values.iter().map(|(axis, label, _)| (axis.as_str(), label.as_str())));
            // What `include` adds may be there already.
            if names.insert(name.clone()) {
                let labels = values.iter().map(|(axis, label, _)| (axis.clone(), label.clone())).collect();
                let child = Child { of: of.to_owned(), values: labels };
                made.push(Made {
                    name,
                    child,
                    values: values.into_iter().map(|(axis, _, node)| (axis, node)).collect(),
                });
            }
        }
        if made.is_empty() && self.faults.errors() == before {
            let fault =
                Fault::error(contract::code!("matrix::empty"), format!("the `matrix` of `{of}` leaves no stage"))
                    .help("`exclude` takes every combination away; leave one, or remove the stage");
            self.fault(fault, self.route.clone(), &entry.value, entry.key.span);
            return None;
        }
        if made.len() > MOST {
            let message = format!("the `matrix` of `{of}` makes {} stages, more than {MOST}", made.len());
            let fault = Fault::error(contract::code!("matrix::too_many"), message)
                .help("use fewer values, or a search over them");
            self.faults.add(fault.at_key(self.route.clone()), entry.key.span);
            return None;
        }
        Some(made)
    }

    fn axis(&mut self, entry: &Entry) -> Option<Line> {
        let name = entry.key.text.as_str();
        let route = self.route.join(name);
        if !crate::decode::format::is_name(name) {
            let fault = Fault::error(
                contract::code!("matrix::axis_name"),
                format!("`{}` cannot be the name of an axis", shorten(name)),
            )
            .help("a name is a letter, then letters, digits, `_` and `-`");
            self.faults.add(fault.at_key(route), entry.key.span);
            return None;
        }
        let (labels, values): (Vec<Option<&str>>, Vec<&Node>) = match &entry.value.kind {
            Kind::Sequence(items) => items.iter().map(|item| (None, item)).unzip(),
            Kind::Mapping(entries) => entries.iter().map(|entry| (Some(entry.key.text.as_str()), &entry.value)).unzip(),
            Kind::Unknown => return None,
            _ => {
                let fault = Fault::error(
                    contract::code!("matrix::form"),
                    format!("the axis `{name}` must be a list of values"),
                )
                .help(format!("write `{name}: [{}]`", self.written(&entry.value).unwrap_or_else(|| "…".into())));
                self.fault(fault, route, &entry.value, entry.key.span);
                return None;
            }
        };
        if values.is_empty() {
            let fault = Fault::error(contract::code!("matrix::empty_axis"), format!("the axis `{name}` has no values"))
                .help("an axis without values makes no stage at all: give it one, or remove it");
            self.fault(fault, route, &entry.value, entry.key.span);
            return None;
        }
        let mut line = Line { axis: Axis { name: name.to_owned(), labels: Vec::new() }, values: Vec::new() };
        let mut seen: HashSet<String> = HashSet::new();
        for (at, (label, value)) in labels.into_iter().zip(values).enumerate() {
            if matches!(value.kind, Kind::Unknown) {
                continue;
            }
            let label = label.map(str::to_owned).or_else(|| self.written(value));
            let label = label.filter(|label| is_label(label)).unwrap_or_else(|| position(at));
            if !seen.insert(label.clone()) {
                let message = format!("two values of the axis `{name}` are both called `{label}`");
                let fault = Fault::error(contract::code!("matrix::repeated_value"), message)
                    .help("remove one, or name them: write the axis as a mapping of names to values");
                let here = route.join(at);
                self.fault(fault, here, value, entry.key.span);
                continue;
            }
            line.axis.labels.push(label);
            line.values.push(value.clone());
        }
        (!line.values.is_empty()).then_some(line)
    }

    /// A scalar as it is written.
    fn written(&self, node: &Node) -> Option<String> {
        Some(match &node.kind {
            Kind::Text(text) | Kind::Untyped(text) => text.clone(),
            Kind::Bool(value) => value.to_string(),
            Kind::Int(value) => value.to_string(),
            Kind::Null => "null".to_owned(),
            Kind::Float(value) => {
                let written = self.sources[node.span.source.0 as usize].slice(node.span);
                match written.parse::<f64>() {
                    Ok(same) if same == *value => written.to_owned(),
                    _ => value.to_string(),
                }
            }
            Kind::Sequence(_) | Kind::Mapping(_) | Kind::Unknown => return None,
        })
    }

    /// The entries of `exclude` or `include`.
    fn entries<'n>(&mut self, entry: Option<&'n Entry>) -> Vec<(Route, &'n Node)> {
        let Some(entry) = entry else { return Vec::new() };
        let route = self.route.join(entry.key.text.as_str());
        match &entry.value.kind {
            Kind::Sequence(items) => {
                let mut found = Vec::new();
                for (at, item) in items.iter().enumerate() {
                    match &item.kind {
                        Kind::Mapping(_) => found.push((route.join(at), item)),
                        Kind::Unknown => {}
                        _ => self.not_combinations(entry, item, route.join(at)),
                    }
                }
                found
            }
            Kind::Unknown => Vec::new(),
            _ => {
                self.not_combinations(entry, &entry.value, route);
                Vec::new()
            }
        }
    }

    fn not_combinations(&mut self, entry: &Entry, node: &Node, route: Route) {
        let key = &entry.key.text;
        let fault = Fault::error(contract::code!("matrix::form"), format!("`{key}` must be a list of combinations"))
            .help(format!("write `{key}: [{{ seed: 1, model: a }}]`"));
        self.fault(fault, route, node, entry.key.span);
    }

    /// What `exclude` takes away: (axis, value) pairs that a combination has all of.
    fn excluded(&mut self, lines: &[Line], exclude: Option<&Entry>) -> Vec<Vec<(usize, usize)>> {
        let mut excluded = Vec::new();
        for (route, node) in self.entries(exclude) {
            let mut wanted = Vec::new();
            for entry in node.entries() {
                let route = route.join(entry.key.text.as_str());
                let Some(axis) = lines.iter().position(|line| line.axis.name == entry.key.text) else {
                    self.unknown_axis(entry, route, lines);
                    continue;
                };
                let line = &lines[axis];
                let label = self.written(&entry.value);
                let json = entry.value.to_json();
                let value = line.values.iter().position(|value| value.to_json() == json);
                let value = value.or_else(|| line.axis.labels.iter().position(|known| Some(known) == label.as_ref()));
                match value {
                    Some(value) => wanted.push((axis, value)),
                    None if matches!(entry.value.kind, Kind::Unknown) => {}
                    None => {
                        let shown = label.clone().unwrap_or_else(|| "this".to_owned());
                        let message = format!("the axis `{}` has no value `{}`", line.axis.name, shorten(&shown));
                        let known = line.axis.labels.iter().map(String::as_str);
                        let mut fault = Fault::error(contract::code!("matrix::unknown_value"), message);
                        fault.help = suggest(&shown, known);
                        self.fault(fault, route, &entry.value, entry.key.span);
                    }
                }
            }
            if wanted.len() == node.entries().len() && !wanted.is_empty() {
                excluded.push(wanted);
            }
        }
        excluded
    }

    fn unknown_axis(&mut self, entry: &Entry, route: Route, lines: &[Line]) {
        let name = entry.key.text.as_str();
        let mut fault = Fault::error(
            contract::code!("matrix::unknown_axis"),
            format!("the `matrix` has no axis `{}`", shorten(name)),
        );
        fault.help = suggest(name, lines.iter().map(|line| line.axis.name.as_str()));
        self.faults.add(fault.at_key(route), entry.key.span);
    }

    /// What `include` adds: whole combinations, also of values the axes do not have.
    fn included(&mut self, include: Option<&Entry>, lines: &[Line], all: &mut Vec<Vec<(String, String, Node)>>) {
        let entries = self.entries(include);
        let mut axes: Vec<String> = lines.iter().map(|line| line.axis.name.clone()).collect();
        if axes.is_empty()
            && let Some((_, first)) = entries.first()
        {
            axes = first.entries().iter().map(|entry| entry.key.text.clone()).collect();
        }
        for (at, (route, node)) in entries.into_iter().enumerate() {
            let mut values = Vec::new();
            for axis in &axes {
                let Some(entry) = node.entry(axis) else {
                    let fault = Fault::error(
                        contract::code!("matrix::open_axis"),
                        format!("this combination does not say which `{axis}`"),
                    )
                    .help(format!("what `include` adds has a value for every axis: add `{axis}: …`"));
                    self.fault(fault, route.clone(), node, node.span);
                    continue;
                };
                let json = entry.value.to_json();
                let line = lines.iter().find(|line| line.axis.name == *axis);
                let known = line.and_then(|line| {
                    let value = line.values.iter().position(|value| value.to_json() == json)?;
                    Some(line.axis.labels[value].clone())
                });
                let label = known
                    .or_else(|| self.written(&entry.value).filter(|label| is_label(label)))
                    .unwrap_or_else(|| format!("#include-{}", at + 1));
                values.push((axis.clone(), label, entry.value.clone()));
            }
            for entry in node.entries().iter().filter(|entry| !axes.contains(&entry.key.text)) {
                let name = entry.key.text.as_str();
                let message = format!("the `matrix` has no axis `{}`", shorten(name));
                let mut fault = Fault::error(contract::code!("matrix::unknown_axis"), message);
                fault.help = nearest(name, axes.iter().map(String::as_str))
                    .map(|near| format!("did you mean `{near}`?"))
                    .or_else(|| Some("all combinations have the same axes".to_owned()));
                self.faults.add(fault.at_key(route.join(name)), entry.key.span);
            }
            if values.len() == axes.len() {
                all.push(values);
            }
        }
    }
}
