//! `${vars.x}`, `${env.X}` and, in a stage with a `matrix`, `${matrix.axis}`.
//!
//! A value that is nothing but one `${vars.x}` becomes what the variable is, type and all; inside a longer text it
//! becomes text. Variables may use other variables. `$${` writes `${`.
//!
//! A stage with a `matrix` is replaced by its children here, each with its own values put in.

use std::collections::BTreeMap;

use contract::fault::{Fault, Route, Segment, suggest};
use engine::graph::Child;

use crate::document::matrix;
use crate::document::when::Scalar;
use crate::report::faults::PlacedFaults;
use crate::report::phrases::shorten;
use crate::yaml::limits::{FREE_COPIES, MAX_DEPTH, MAX_SCALAR, MAX_TEXT};
use crate::yaml::node::{Entry, Key, Kind, Link, Node, place};
use crate::yaml::source::{Source, Span};

/// Which stages of a document a `matrix` made, by name.
pub(crate) type Children = BTreeMap<String, Child>;

/// Replaces all `${...}` of a document, and every stage with a `matrix` by its children.
pub(crate) fn interpolate(
    root: &mut Node,
    sources: &[Source],
    environment: &dyn Fn(&str) -> Option<String>,
    faults: &mut PlacedFaults,
) -> Children {
    let vars = match &mut root.kind {
        Kind::Mapping(entries) => entries
            .iter_mut()
            .find(|entry| entry.key.text == "vars")
            .map(|entry| std::mem::replace(&mut entry.value.kind, Kind::Null)),
        _ => None,
    };
    let mut variables = BTreeMap::new();
    let mut order = Vec::new();
    let mut other = None;
    match vars {
        Some(Kind::Mapping(entries)) => {
            for entry in entries {
                order.push(entry.key.clone());
                variables
                    .insert(entry.key.text.clone(), Variable { key: entry.key, node: entry.value, state: State::Raw });
            }
        }
        kind => other = kind,
    }
    let written = sources.iter().map(|source| source.text().len()).sum::<usize>();
    let mut pass = Pass {
        sources,
        environment,
        faults,
        variables,
        path: Vec::new(),
        copies: 0,
        allowed: FREE_COPIES + written,
        burst: false,
        matrix: None,
        budget: matrix::Budget::default(),
        children: Children::new(),
    };
    for key in &order {
        pass.resolve(&key.text);
    }
    let mut route = Vec::new();
    if let Kind::Mapping(entries) = &mut root.kind {
        for entry in entries.iter_mut().filter(|entry| entry.key.text != "vars") {
            if entry.key.text == "stages" {
                pass.expand(&mut entry.value);
            } else {
                pass.entry(entry, &mut route);
            }
        }
    }
    // The variables go back to where they were.
    let children = std::mem::take(&mut pass.children);
    let mut variables = pass.variables;
    if let Some(entry) = root_entry(root, "vars") {
        entry.value.kind = match other {
            Some(kind) => kind,
            None => Kind::Mapping(
                order
                    .into_iter()
                    .filter_map(|key| variables.remove(&key.text).map(|variable| Entry { key, value: variable.node }))
                    .collect(),
            ),
        };
    }
    children
}

fn root_entry<'n>(root: &'n mut Node, key: &str) -> Option<&'n mut Entry> {
    match &mut root.kind {
        Kind::Mapping(entries) => entries.iter_mut().find(|entry| entry.key.text == key),
        _ => None,
    }
}

struct Variable {
    key: Key,
    node: Node,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Raw,
    Resolving,
    Done,
}

struct Pass<'a> {
    sources: &'a [Source],
    environment: &'a dyn Fn(&str) -> Option<String>,
    faults: &'a mut PlacedFaults,
    variables: BTreeMap<String, Variable>,
    /// The variables that are being resolved, outermost first.
    path: Vec<String>,
    copies: usize,
    allowed: usize,
    /// Whether that was exceeded: then one fault has been told, and nothing more is copied.
    burst: bool,
    /// What `${matrix.…}` stand for in the child at hand.
    matrix: Option<matrix::Values>,
    budget: matrix::Budget,
    children: Children,
}

/// One piece of a text.
enum Piece<'t> {
    Text(&'t str),
    /// What stands between `${` and `}`, and its place in the text (with the braces).
    Hole {
        inside: &'t str,
        start: usize,
        end: usize,
    },
    /// `${` that is never closed.
    Open {
        start: usize,
    },
}

impl Pass<'_> {
    /// The stages: those with a `matrix` make room for their children.
    fn expand(&mut self, stages: &mut Node) {
        let mut route = vec![Segment::from("stages")];
        let Kind::Mapping(entries) = &mut stages.kind else { return self.node(stages, None, &mut route) };
        let mut all = Vec::with_capacity(entries.len());
        for mut stage in std::mem::take(entries) {
            let Kind::Mapping(keys) = &mut stage.value.kind else {
                self.entry(&mut stage, &mut route);
                all.push(stage);
                continue;
            };
            let Some(at) = keys.iter().position(|entry| entry.key.text == "matrix") else {
                self.entry(&mut stage, &mut route);
                all.push(stage);
                continue;
            };
            let mut lines = keys.remove(at);
            route.push(stage.key.text.clone().into());
            self.entry(&mut lines, &mut route);
            route.pop();
            let of = stage.key.text.clone();
            let made = matrix::children(&of, &lines, &stage.value, self.sources, &mut self.budget, self.faults);
            let Some(made) = made else {
                // What is wrong has been said; whatever refers to it is not to blame.
                stage.value.kind = Kind::Unknown;
                all.push(stage);
                continue;
            };
            self.allowed += stage.value.size().0.saturating_mul(made.len());
            for made in made {
                let mut child = stage.clone();
                child.key.text.clone_from(&made.name);
                self.matrix = Some(made.values);
                self.entry(&mut child, &mut route);
                self.matrix = None;
                self.children.insert(made.name, made.child);
                all.push(child);
            }
        }
        *entries = all;
    }

    fn entry(&mut self, entry: &mut Entry, route: &mut Vec<Segment>) {
        if let Some(at) = entry.key.text.find("${") {
            let fault = Fault::error(
                contract::code!("vars::in_key"),
                format!("`{}` is a key, and keys are not interpolated", shorten(&entry.key.text)),
            )
            .help("write the key out, or put the whole mapping into a variable");
            let start = entry.key.span.start + at as u32;
            let span = Span { start: start.min(entry.key.span.end), ..entry.key.span };
            self.faults.add(fault, span);
        }
        route.push(entry.key.text.clone().into());
        let key = entry.key.clone();
        self.node(&mut entry.value, Some(&key), route);
        route.pop();
    }

    fn node(&mut self, node: &mut Node, key: Option<&Key>, route: &mut Vec<Segment>) {
        match &mut node.kind {
            Kind::Sequence(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    route.push(at.into());
                    self.node(item, None, route);
                    route.pop();
                }
            }
            Kind::Mapping(entries) => entries.iter_mut().for_each(|entry| self.entry(entry, route)),
            Kind::Text(text) if is_when(route) && !is_one_hole(text) => {
                let text = std::mem::take(text);
                self.condition(&text, node, route);
            }
            Kind::Text(text) if text.contains("${") => {
                let text = std::mem::take(text);
                let stage_kind = matches!(route.as_slice(), [Segment::Key(stages), _, Segment::Key(kind)] if stages == "stages" && kind == "kind");
                if stage_kind {
                    let fault = Fault::error(contract::code!("vars::in_kind"), "`kind` must be written out")
                        .help("what a stage does cannot depend on a variable; its parameters can")
                        .at(Route(route.clone()));
                    self.faults.add(fault, place(node, key));
                    node.kind = Kind::Unknown;
                } else {
                    self.text(&text, node, route);
                }
            }
            _ => {}
        }
    }

    /// `when`: a comparison becomes whether it holds.
    fn condition(&mut self, text: &str, node: &mut Node, route: &[Segment]) {
        let place = self.sources[node.span.source.0 as usize].first_line(node.span);
        let parsed = crate::document::when::parse(text);
        let held = match &parsed {
            Err(wrong) => Some(Err(wrong.clone())),
            Ok(condition) => {
                let places = Places::new(self.sources[node.span.source.0 as usize].slice(node.span), text, node.span);
                condition.holds(&mut |start, end| {
                    let span = places.of(start, end);
                    let value = self.look_up(&text[start + 2..end - 1], span, route)?;
                    Some(match value.kind {
                        Kind::Null => Scalar::Null,
                        Kind::Bool(value) => Scalar::Bool(value),
                        Kind::Int(value) => Scalar::Number(value as f64),
                        Kind::Float(value) => Scalar::Number(value),
                        Kind::Text(text) => Scalar::Text(text),
                        Kind::Untyped(text) => Scalar::Untyped(text),
                        Kind::Unknown => return None,
                        Kind::Sequence(_) | Kind::Mapping(_) => {
                            let message = format!("`{}` cannot be compared: it has parts", &text[start..end]);
                            let fault =
                                Fault::error(contract::code!("when::form"), message).help("name one of its parts");
                            self.faults.add(fault.at(Route(route.to_vec())), span).label(value.span, "set here");
                            return None;
                        }
                    })
                })
            }
        };
        node.kind = match held {
            Some(Ok(holds)) => Kind::Bool(holds),
            Some(Err(wrong)) => {
                let fault = Fault::error(contract::code!("when::form"), wrong.message)
                    .help(wrong.help)
                    .at(Route(route.to_vec()));
                self.faults.add(fault, place);
                Kind::Unknown
            }
            None => Kind::Unknown,
        };
    }

    fn text(&mut self, text: &str, node: &mut Node, route: &[Segment]) {
        if self.burst {
            node.kind = Kind::Unknown;
            return;
        }
        let pieces = pieces(text);
        let places = Places::new(self.sources[node.span.source.0 as usize].slice(node.span), text, node.span);
        if let [Piece::Hole { inside, start, end }] = pieces.as_slice() {
            let span = places.of(*start, *end);
            match self.look_up(inside, span, route) {
                Some(mut value) => {
                    let (count, height) = value.size();
                    self.copies += count;
                    if !self.afford(value.bytes(), 0, span, route) {
                        node.kind = Kind::Unknown;
                        return;
                    }
                    if route.len() + height > MAX_DEPTH || self.copies > self.allowed {
                        self.burst = true;
                        let fault = Fault::error(
                            contract::code!("vars::bomb"),
                            format!("`${{{inside}}}` unfolds into too much"),
                        )
                        .help("variables that hold variables multiply: use smaller ones");
                        self.faults.add(fault.at(Route(route.to_vec())), span);
                        node.kind = Kind::Unknown;
                        return;
                    }
                    match value.kind {
                        Kind::Sequence(_) | Kind::Mapping(_) => {
                            value.used_at(node.span);
                            value.span = node.span;
                        }
                        _ => {
                            value.link = (value.span != node.span).then_some(Link::SetAt(value.span));
                            value.span = node.span;
                        }
                    }
                    *node = value;
                }
                None => node.kind = Kind::Unknown,
            }
            return;
        }
        let mut whole = String::with_capacity(text.len());
        let mut failed = false;
        for piece in pieces {
            match piece {
                Piece::Text(text) => whole.push_str(text),
                Piece::Hole { inside, start, end } => {
                    let span = places.of(start, end);
                    let Some(value) = self.look_up(inside, span, route) else {
                        failed = true;
                        continue;
                    };
                    let number;
                    let piece: &str = match &value.kind {
                        Kind::Text(text) | Kind::Untyped(text) => text,
                        Kind::Bool(value) => {
                            if *value {
                                "true"
                            } else {
                                "false"
                            }
                        }
                        Kind::Int(value) => {
                            number = value.to_string();
                            &number
                        }
                        Kind::Float(value_of) => {
                            // As it is written: `0.10` stays `0.10`.
                            let written = self.sources[value.span.source.0 as usize].slice(value.span);
                            match written.parse::<f64>() {
                                Ok(same) if same == *value_of => written,
                                _ => {
                                    number = value_of.to_string();
                                    &number
                                }
                            }
                        }
                        Kind::Null => "",
                        Kind::Unknown => {
                            failed = true;
                            continue;
                        }
                        Kind::Sequence(_) | Kind::Mapping(_) => {
                            let what = if matches!(value.kind, Kind::Sequence(_)) { "a list" } else { "a mapping" };
                            let fault = Fault::error(
                                contract::code!("vars::in_text"),
                                format!("`${{{inside}}}` is {what} and cannot stand inside a text"),
                            )
                            .help("let it be the whole value, or name one of its parts");
                            self.faults.add(fault.at(Route(route.to_vec())), span).label(value.span, "set here");
                            failed = true;
                            continue;
                        }
                    };
                    if !self.afford(piece.len(), whole.len(), span, route) {
                        failed = true;
                        break;
                    }
                    whole.push_str(piece);
                }
                Piece::Open { start } => {
                    let span = places.of(start, text.len());
                    let fault = Fault::error(contract::code!("vars::unclosed"), "`${` is never closed")
                        .help("close it with `}`, or write `$${` for the two characters themselves");
                    self.faults.add(fault.at(Route(route.to_vec())), span);
                    failed = true;
                }
            }
        }
        // After a fault the value must not cause others.
        node.kind = if failed { Kind::Unknown } else { Kind::Text(whole) };
    }

    /// Counts text before it is put in, into a text of so many bytes. False when it is too much: that is told once.
    fn afford(&mut self, bytes: usize, into: usize, span: Span, route: &[Segment]) -> bool {
        if self.burst {
            return false;
        }
        self.budget.text = self.budget.text.saturating_add(bytes);
        let message = if into > 0 && into + bytes > MAX_SCALAR {
            format!("with this the text is longer than {} MiB", MAX_SCALAR >> 20)
        } else if self.budget.text > MAX_TEXT {
            format!("with this the variables have unfolded into more than {} MiB of text", MAX_TEXT >> 20)
        } else {
            return true;
        };
        self.burst = true;
        let fault = Fault::error(contract::code!("vars::too_long"), message)
            .help("texts of texts multiply: use shorter ones, or put the data into a file");
        self.faults.add(fault.at(Route(route.to_vec())), span);
        false
    }

    /// What a `${...}` stands for. `None` after a fault.
    fn look_up(&mut self, inside: &str, span: Span, route: &[Segment]) -> Option<Node> {
        let name = inside.trim();
        let at = || Route(route.to_vec());
        if let Some(name) = name.strip_prefix("env.") {
            if let Some(value) = (self.environment)(name) {
                return Some(Node::new(span, Kind::Untyped(value)));
            }
            let fault = Fault::error(
                contract::code!("vars::unset_environment"),
                format!("the environment variable `{name}` is not set"),
            )
            .help(format!("set it: `export {name}=…`"))
            .at(at());
            self.faults.add(fault, span);
            return None;
        }
        if let Some(path) = name.strip_prefix("matrix.") {
            return self.look_up_matrix(path, span, route);
        }
        let Some(path) = name.strip_prefix("vars.") else {
            let mut fault = Fault::error(
                contract::code!("vars::unknown"),
                format!("`${{{name}}}` is neither a variable nor from the environment"),
            )
            .at(at());
            fault.help = Some(if self.variables.contains_key(name) {
                format!("write `${{vars.{name}}}`")
            } else {
                format!("write `${{vars.…}}` or `${{env.…}}`; for the shell or another program, write `$${{{name}}}`")
            });
            self.faults.add(fault, span);
            return None;
        };
        let mut parts = path.split('.');
        let first = parts.next().unwrap_or_default();
        let Some(variable) = self.variables.get(first) else {
            let mut fault =
                Fault::error(contract::code!("vars::undefined"), format!("no variable is called `{first}`")).at(at());
            fault.help = suggest(first, self.variables.keys().map(String::as_str))
                .or_else(|| Some(format!("add it: `vars: {{ {first}: … }}`")));
            self.faults.add(fault, span);
            return None;
        };
        if variable.state == State::Resolving {
            let from = self.path.iter().position(|name| name == first).unwrap_or(0);
            let mut circle: Vec<&str> = self.path[from..].iter().map(String::as_str).collect();
            circle.push(first);
            let message = format!("variables stand for each other in a circle: {}", circle.join(" → "));
            let key = variable.key.span;
            let fault = Fault::error(contract::code!("vars::circle"), message)
                .help("give one of them a value of its own")
                .at(at());
            self.faults.add(fault, span).label(key, "the circle closes here");
            return None;
        }
        self.resolve(first);
        let variable = &self.variables[first];
        match part_of(&variable.node, first, parts, "variable") {
            Ok(node) => Some(node.clone()),
            Err((fault, place)) => {
                self.faults.add(fault.at(at()), span).label(place, "it is set here");
                None
            }
        }
    }

    /// The value of an axis, or a part of it.
    fn look_up_matrix(&mut self, path: &str, span: Span, route: &[Segment]) -> Option<Node> {
        let at = Route(route.to_vec());
        let mut parts = path.split('.');
        let first = parts.next().unwrap_or_default();
        let Some(values) = &self.matrix else {
            let fault = Fault::error(
                contract::code!("matrix::outside"),
                format!("`${{matrix.{path}}}` stands where no `matrix` is"),
            )
            .help("it is for the values of a stage that has a `matrix`; elsewhere use `${vars.…}`");
            self.faults.add(fault.at(at), span);
            return None;
        };
        let Some((_, node)) = values.iter().find(|(axis, _)| axis == first) else {
            let mut fault =
                Fault::error(contract::code!("matrix::unknown_axis"), format!("the `matrix` has no axis `{first}`"))
                    .at(at);
            fault.help = suggest(first, values.iter().map(|(axis, _)| axis.as_str()));
            self.faults.add(fault, span);
            return None;
        };
        match part_of(node, first, parts, "axis") {
            Ok(node) => Some(node.clone()),
            Err((fault, place)) => {
                self.faults.add(fault.at(at), span).label(place, "it is set here");
                None
            }
        }
    }

    /// Makes sure that a variable has its value.
    fn resolve(&mut self, name: &str) {
        let Some(variable) = self.variables.get_mut(name) else { return };
        if variable.state != State::Raw {
            return;
        }
        variable.state = State::Resolving;
        let mut node = std::mem::replace(&mut variable.node, Node::new(variable.key.span, Kind::Null));
        let key = variable.key.clone();
        if self.path.len() >= MAX_DEPTH {
            let fault = Fault::error(
                contract::code!("vars::bomb"),
                format!("`vars.{name}` is {MAX_DEPTH} variables away from a value"),
            )
            .help("give one of them a value of its own");
            self.faults.add(fault, key.span);
        } else {
            self.path.push(name.to_owned());
            self.node(&mut node, Some(&key), &mut vec!["vars".into(), name.into()]);
            self.path.pop();
        }
        if let Some(variable) = self.variables.get_mut(name) {
            variable.node = node;
            variable.state = State::Done;
        }
    }
}

/// Where the parts of a text stand in the source. Where the text is written with escapes or folds that move it, the whole
/// text is the place.
struct Places<'t> {
    text: &'t str,
    written: &'t str,
    whole: Span,
    /// Where `${` stands in the text, and where in what is written.
    holes: [Vec<usize>; 2],
}

impl<'t> Places<'t> {
    fn new(written: &'t str, text: &'t str, whole: Span) -> Self {
        let holes = [text, written].map(|text| text.match_indices("${").map(|(at, _)| at).collect());
        Self { text, written, whole, holes }
    }

    fn of(&self, start: usize, end: usize) -> Span {
        let [own, written] = &self.holes;
        let part = &self.text[start..end];
        let before = own.partition_point(|at| *at < start);
        match written.get(before).filter(|at| self.written[**at..].starts_with(part)) {
            Some(at) => {
                let start = self.whole.start + *at as u32;
                Span { start, end: start + part.len() as u32, ..self.whole }
            }
            None => self.whole,
        }
    }
}

/// Follows a path into a value.
fn part_of<'n, 'p>(
    node: &'n Node,
    name: &str,
    parts: impl Iterator<Item = &'p str>,
    what: &str,
) -> Result<&'n Node, (Fault, Span)> {
    let mut node = node;
    let mut so_far = name.to_owned();
    for part in parts {
        let next = match &node.kind {
            Kind::Sequence(items) => part.parse::<usize>().ok().and_then(|at| items.get(at)),
            _ => node.get(part),
        };
        let Some(next) = next else {
            let mut fault =
                Fault::error(contract::code!("vars::undefined"), format!("the {what} `{so_far}` has no part `{part}`"));
            fault.help = suggest(part, node.entries().iter().map(|entry| entry.key.text.as_str()))
                .or_else(|| Some("it is neither a mapping nor a list".to_owned()).filter(|_| what == "axis"));
            return Err((fault, node.span));
        };
        so_far = format!("{so_far}.{part}");
        node = next;
    }
    Ok(node)
}

/// Whether a route is that of a stage's (or a default's) `when`.
fn is_when(route: &[Segment]) -> bool {
    let key = |segment: &Segment, name: &str| matches!(segment, Segment::Key(key) if key == name);
    matches!(route, [area, _, last] if (key(area, "stages") || key(area, "defaults")) && key(last, "when"))
}

fn is_one_hole(text: &str) -> bool {
    matches!(pieces(text).as_slice(), [Piece::Hole { .. }])
}

/// Cuts a text at its `${...}`.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find("${").map(|found| at + found) {
        if text[from..found].ends_with('$') {
            // `$${`: everything up to the first dollar, then `${`.
            pieces.push(Piece::Text(&text[from..found - 1]));
            pieces.push(Piece::Text("${"));
            from = found + 2;
            at = from;
            continue;
        }
        pieces.push(Piece::Text(&text[from..found]));
        let Some(end) = text[found..].find('}').map(|end| found + end + 1) else {
            pieces.push(Piece::Open { start: found });
            from = text.len();
            break;
        };
        pieces.push(Piece::Hole { inside: &text[found + 2..end - 1], start: found, end });
        from = end;
        at = end;
    }
    pieces.push(Piece::Text(&text[from..]));
    pieces.retain(|piece| !matches!(piece, Piece::Text("")));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |piece: &Piece<'_>| match piece {
            Piece::Text(text) => format!("text {text}"),
            Piece::Hole { inside, .. } => format!("hole {inside}"),
            Piece::Open { start } => format!("open {start}"),
        };
        pieces(text).iter().map(show).collect()
    }

    #[test]
    fn texts_are_cut() {
        assert_eq!(shown("a ${vars.x} b"), ["text a ", "hole vars.x", "text  b"]);
        assert_eq!(shown("${a}${b}"), ["hole a", "hole b"]);
        assert_eq!(shown("$${HOME} $x"), ["text ${", "text HOME} $x"]);
        assert_eq!(shown("ü ${x"), ["text ü ", "open 3"]);
        assert_eq!(shown("$"), ["text $"]);
    }
}
