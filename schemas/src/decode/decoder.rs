//! The decoder: a tree and a schema in, a JSON value and *all* faults out.
//!
//! It is directed by the compiled schema ([`crate::decode::shape`]), not by serde: serde stops at the first fault and has no
//! places for what it buffers. The value is normalised on the way: the bare name of a choice becomes `{ name: {} }`, a
//! whole number in a number's place becomes a float, untyped text from the environment takes the type asked for.

use contract::fault::{Fault, Route, Segment};
use serde_json::{Map, Number, Value};

use crate::decode::expectation::{expected, range};
use crate::decode::shape::{Form, ListForm, MappingForm, NumberForm, Shape, Shapes, TextForm};
use crate::report::faults::{Placed, PlacedFaults};
use crate::report::phrases::{lower_first, owner_phrase, plural, shorten};
use crate::yaml::node::{self, Entry, Key, Kind, Link, Node};
use crate::yaml::source::Source;
use crate::yaml::syntax;

/// Walks trees.
pub(crate) struct Decoder<'a> {
    pub shapes: &'a Shapes,
    /// What other tools call the parameters of kinds: their word, the key here.
    pub synonyms: &'a [(&'static str, &'static str)],
    pub sources: &'a [Source],
    pub faults: &'a mut PlacedFaults,
    pub route: Vec<Segment>,
    /// The mappings around the present one, outermost first, each with its name.
    pub around: Vec<(&'a MappingForm, String)>,
    /// For every source, the folder its paths start from.
    pub folders: &'a [String],
}

impl<'a> Decoder<'a> {
    /// The route of where the decoder is.
    pub fn here(&self) -> Route {
        Route(self.route.clone())
    }

    /// Adds a fault at a value. A value of several lines is shown by its key, a missing one too.
    pub fn fault(&mut self, fault: Fault, node: &Node, key: Option<&Key>) -> &mut Placed {
        let source = &self.sources[node.span.source.0 as usize];
        let collection = matches!(node.kind, Kind::Sequence(_) | Kind::Mapping(_));
        let span = match key {
            Some(key) if node.span.is_empty() || (collection && source.is_multiline(node.span)) => key.span,
            _ => source.first_line(node.span),
        };
        let fault = if fault.route.is_some() { fault } else { fault.at(Route(self.route.clone())) };
        let placed = self.faults.add(fault, span);
        match node.link {
            Some(Link::UsedAt(at)) if at != span => placed.label(at, "used here"),
            Some(Link::SetAt(at)) if at != span => placed.label(at, "set here"),
            _ => placed,
        }
    }

    /// Adds a fault at a key.
    pub fn fault_at_key(&mut self, fault: Fault, entry: &Entry) -> &mut Placed {
        let fault = fault.at_key(self.here().join(entry.key.text.as_str()));
        let placed = self.faults.add(fault, entry.key.span);
        match entry.value.link {
            Some(Link::UsedAt(at)) => placed.label(at, "used here"),
            _ => placed,
        }
    }

    /// Decodes a value. What is returned after a fault is a best effort and not to be used.
    pub fn value(&mut self, shape: &'a Shape, node: &Node, key: Option<&Key>) -> Value {
        if matches!(node.kind, Kind::Unknown) {
            return Value::Null;
        }
        let forms = self.shapes.forms(shape);
        let fitting: Vec<&Form> = forms.iter().copied().filter(|form| fits(form, node)).collect();
        match fitting.as_slice() {
            [] => {
                self.wrong_type(shape, &forms, node, key);
                Value::Null
            }
            [Form::Null] if node.span.is_empty() => {
                let message = format!("`{}` has no value: it is as if it were not there", self.name());
                let fault = Fault::warning(contract::code!("document::no_value"), message)
                    .help("give it a value, or remove the key");
                self.fault(fault, node, key);
                Value::Null
            }
            [form] => self.form(form, shape, node, key),
            several => {
                let mut best: Option<(PlacedFaults, Value)> = None;
                for form in several {
                    let before = std::mem::take(self.faults);
                    let value = self.form(form, shape, node, key);
                    let found = std::mem::replace(self.faults, before);
                    let done = found.is_empty();
                    if best.as_ref().is_none_or(|(fewest, _)| found.len() < fewest.len()) {
                        best = Some((found, value));
                    }
                    if done {
                        break;
                    }
                }
                let (found, value) = best.unwrap_or_default();
                self.faults.extend(found);
                value
            }
        }
    }

    fn form(&mut self, form: &'a Form, shape: &'a Shape, node: &Node, key: Option<&Key>) -> Value {
        match form {
            Form::Any => self.any(node, key),
            Form::Null => Value::Null,
            Form::Bool => match &node.kind {
                Kind::Bool(value) => Value::Bool(*value),
                _ => Value::Bool(node.text() == Some("true")),
            },
            Form::Number(form) => self.number(form, shape, node, key),
            Form::Text(form) => self.text(form, shape, node, key),
            Form::List(form) => self.list(form, shape, node, key),
            Form::Mapping(form) => {
                let owner = self.name();
                self.mapping(form, node, key, &owner)
            }
            Form::Choice(variants) => self.choice(variants, node, key),
            Form::Defined(_) => Value::Null,
        }
    }

    fn any(&mut self, node: &Node, key: Option<&Key>) -> Value {
        match &node.kind {
            Kind::Float(value) if !value.is_finite() => self.not_finite(node, key),
            Kind::Sequence(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.route.push(at.into());
                    self.any(item, None);
                    self.route.pop();
                }
            }
            Kind::Mapping(entries) => {
                for entry in entries {
                    self.route.push(entry.key.text.clone().into());
                    self.any(&entry.value, Some(&entry.key));
                    self.route.pop();
                }
            }
            _ => {}
        }
        node.to_json()
    }

    fn not_finite(&mut self, node: &Node, key: Option<&Key>) {
        let message = format!("`{}` must be a finite number", self.name());
        self.fault(
            Fault::error(contract::code!("document::out_of_range"), message).help("write an ordinary number"),
            node,
            key,
        );
    }

    fn number(&mut self, form: &NumberForm, shape: &Shape, node: &Node, key: Option<&Key>) -> Value {
        let resolved = match &node.kind {
            Kind::Untyped(text) => syntax::resolve(text.trim()),
            other => other.clone(),
        };
        let value = match resolved {
            Kind::Int(value) => value as f64,
            Kind::Float(value) => value,
            _ => return Value::Null,
        };
        if !value.is_finite() {
            self.not_finite(node, key);
            return Value::Null;
        }
        if form.integer && value.fract() != 0.0 {
            let message = format!("`{}`: expected a whole number, found {}", self.name(), self.found(node));
            let fault = Fault::error(contract::code!("document::wrong_type"), message).help(format!(
                "`{}` or `{}` would do",
                value.floor(),
                value.ceil()
            ));
            self.fault(fault, node, key);
            return Value::Null;
        }
        let low = form.min.is_some_and(|min| value < min) || form.above.is_some_and(|above| value <= above);
        // 2^64 as a float is one more than the largest u64.
        let exact = match resolved {
            Kind::Int(exact) => exact <= i128::from(u64::MAX) || form.max.is_none_or(|max| max < 1.8e19),
            _ => true,
        };
        let high = form.max.is_some_and(|max| value > max) || form.below.is_some_and(|below| value >= below) || !exact;
        if low || high {
            let message = format!("`{}` is {}, but must be {}", self.name(), self.written(node), range(form, low));
            let mut fault = Fault::error(contract::code!("document::out_of_range"), message);
            fault.help = self.doc_help(shape);
            self.fault(fault, node, key);
            return Value::Null;
        }
        match resolved {
            Kind::Int(exact) if form.integer => node::number(exact),
            _ if form.integer => node::number(value as i128),
            _ => Number::from_f64(value).map_or(Value::Null, Value::Number),
        }
    }

    fn text(&mut self, form: &TextForm, shape: &Shape, node: &Node, key: Option<&Key>) -> Value {
        let text = node.text().unwrap_or_default();
        let length = text.chars().count();
        let name = self.name();
        if !form.allowed.is_empty() {
            if !form.allowed.iter().any(|allowed| allowed == text) {
                self.unknown_choice(text, form.allowed.iter().map(String::as_str), node, key);
            }
        } else if let Some(format) = form.format {
            if !format.accepts(text) {
                let (what, how) = format.wanted();
                let fault = Fault::error(
                    contract::code!("document::wrong_format"),
                    format!("`{name}`: `{}` is not {what}", shorten(text)),
                )
                .help(how);
                self.fault(fault, node, key);
            }
        } else if form.min.is_some_and(|min| length < min) || form.max.is_some_and(|max| length > max) {
            let message = match (form.min, form.max) {
                _ if length == 0 => format!("`{name}` is empty"),
                (Some(min), Some(max)) if min == max => {
                    format!("`{name}` must be {min} character{}, not {length}", plural(min))
                }
                (_, Some(max)) if length > max => {
                    format!("`{name}` has {length} characters, but at most {max} are allowed")
                }
                (min, _) => format!("`{name}` has {length} characters, but at least {} are needed", min.unwrap_or(0)),
            };
            let mut fault = Fault::error(contract::code!("document::wrong_length"), message);
            fault.help = self.doc_help(shape);
            self.fault(fault, node, key);
        }
        Value::String(text.to_owned())
    }

    fn list(&mut self, form: &'a ListForm, shape: &Shape, node: &Node, key: Option<&Key>) -> Value {
        let Kind::Sequence(items) = &node.kind else { return Value::Null };
        let name = self.name();
        let few = form.min.is_some_and(|min| items.len() < min);
        let many = form.max.is_some_and(|max| items.len() > max);
        if few || many {
            let message = match (form.min, form.max) {
                (Some(1), _) if items.is_empty() => format!("`{name}` is an empty list"),
                (Some(min), Some(max)) if min == max => {
                    format!("`{name}` must have {min} item{}, not {}", plural(min), items.len())
                }
                (Some(min), _) if few => {
                    format!("`{name}` has {} item{}, but at least {min} are needed", items.len(), plural(items.len()))
                }
                (_, max) => format!("`{name}` has {} items, but at most {} are allowed", items.len(), max.unwrap_or(0)),
            };
            let plain = if few { "add what is missing" } else { "remove what is too much" };
            let help = self.doc_help(shape).unwrap_or_else(|| plain.to_owned());
            self.fault(Fault::error(contract::code!("document::wrong_length"), message).help(help), node, key);
        }
        let mut values: Vec<Value> = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            self.route.push(at.into());
            let shape = form.first.get(at).or(form.items.as_ref());
            let value = match shape {
                Some(shape) => self.value(shape, item, None),
                None => self.any(item, None),
            };
            if form.unique && values.contains(&value) {
                let fault = Fault::error(
                    contract::code!("document::repeated_item"),
                    format!("{} stands twice in `{name}`", self.written(item)),
                );
                self.fault(fault.help("keep one of the two"), item, None);
            }
            values.push(value);
            self.route.pop();
        }
        Value::Array(values)
    }

    /// Decodes a mapping. `owner` is what messages call it.
    pub fn mapping(&mut self, form: &'a MappingForm, node: &Node, key: Option<&Key>, owner: &str) -> Value {
        let mut object = Map::new();
        self.around.push((form, owner.to_owned()));
        for entry in node.entries() {
            let name = entry.key.text.as_str();
            let shape = form.properties.get(name).or(form.others.as_ref());
            let Some(shape) = shape else {
                self.unknown_key(form, node, entry, owner);
                continue;
            };
            self.route.push(name.into());
            let value = self.value(shape, &entry.value, Some(&entry.key));
            object.insert(name.to_owned(), value);
            self.route.pop();
        }
        self.around.pop();
        for required in &form.required {
            if !object.contains_key(required) && node.entry(required).is_none() {
                self.missing_key(form, required, node, key, owner);
            }
        }
        if let Some(min) = form.min.filter(|min| node.entries().len() < *min) {
            let message = format!(
                "`{}` is empty, but must have at least {min} entr{}",
                self.name(),
                if min == 1 { "y" } else { "ies" }
            );
            self.fault(
                Fault::error(contract::code!("document::wrong_length"), message).help("add what is missing"),
                node,
                key,
            );
        }
        Value::Object(object)
    }

    fn unknown_key(&mut self, form: &'a MappingForm, node: &Node, entry: &Entry, owner: &str) {
        let name = entry.key.text.as_str();
        let mut fault = Fault::error(
            contract::code!("document::unknown_key"),
            format!("{} has no key `{}`", owner_phrase(owner), shorten(name)),
        );
        fault.help = self.fitted_key(owner, name).or_else(|| self.where_key_belongs(form, node, entry));
        self.fault_at_key(fault, entry);
    }

    fn missing_key(&mut self, form: &'a MappingForm, required: &str, node: &Node, key: Option<&Key>, owner: &str) {
        let message = format!("{} needs `{required}`", owner_phrase(owner));
        let mut fault = Fault::error(contract::code!("document::missing_key"), message);
        let doc = form.properties.get(required).and_then(|shape| shape.doc.clone());
        fault.help = self
            .fitted_key(owner, required)
            .or_else(|| doc.map(|doc| format!("add `{required}`: {}", lower_first(&doc))));
        let span_node = node;
        self.fault(fault, span_node, key);
    }

    fn wrong_type(&mut self, shape: &Shape, forms: &[&Form], node: &Node, key: Option<&Key>) {
        let name = self.name();
        let wanted = expected(forms);
        if matches!(node.kind, Kind::Null) {
            let mut fault = Fault::error(
                contract::code!("document::no_value"),
                format!("`{name}` has no value; {wanted} is wanted"),
            );
            fault.help = self.doc_help(shape).or_else(|| Some("give it a value, or remove the key".to_owned()));
            self.fault(fault, node, key);
            return;
        }
        let message = format!("`{name}`: expected {wanted}, found {}", self.found(node));
        let mut fault = Fault::error(contract::code!("document::wrong_type"), message);
        fault.help = self.type_help(forms, node).or_else(|| self.doc_help(shape));
        self.fault(fault, node, key);
    }
}

/// Whether a value has the type of a form, limits aside.
pub(crate) fn fits(form: &Form, node: &Node) -> bool {
    match (form, &node.kind) {
        (Form::Any, _)
        | (Form::Null, Kind::Null)
        | (Form::Bool, Kind::Bool(_))
        | (Form::Number(_), Kind::Int(_) | Kind::Float(_))
        | (Form::Text(_), Kind::Text(_) | Kind::Untyped(_))
        | (Form::List(_), Kind::Sequence(_))
        | (Form::Mapping(_), Kind::Mapping(_))
        | (Form::Choice(_), Kind::Text(_) | Kind::Untyped(_)) => true,
        (Form::Choice(variants), Kind::Mapping(_)) => variants.iter().any(|variant| variant.payload.is_some()),
        (Form::Number(_), Kind::Untyped(text)) => matches!(syntax::resolve(text.trim()), Kind::Int(_) | Kind::Float(_)),
        (Form::Bool, Kind::Untyped(text)) => matches!(text.trim(), "true" | "false"),
        _ => false,
    }
}
