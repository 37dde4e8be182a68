//! The decoder: a tree and a schema in, a JSON value and *all* faults out.
//!
//! It is directed by the compiled schema ([`crate::shape`]), not by serde: serde stops at the first fault and has no
//! places for what it buffers. The value is normalised on the way: the bare name of a choice becomes `{ name: {} }`, a
//! whole number in a number's place becomes a float, untyped text from the environment takes the type asked for.

use engine::error::{Fault, Route, Segment, nearest, suggest};
use serde_json::{Map, Number, Value};

use crate::faults::{Faults, Placed};
use crate::language::LATER;
use crate::node::{self, Entry, Key, Kind, Link, Node};
use crate::shape::{Form, ListForm, MappingForm, NumberForm, Shape, Shapes, TextForm, Variant};
use crate::source::{Source, Span};
use crate::syntax;

/// Walks trees.
pub(crate) struct Decoder<'a> {
    pub shapes: &'a Shapes,
    pub sources: &'a [Source],
    pub faults: &'a mut Faults,
    pub route: Vec<Segment>,
    /// The mappings around the present one, outermost first, each with its name.
    pub around: Vec<(&'a MappingForm, String)>,
}

/// What other tools call things.
const SYNONYMS: &[(&str, &str)] = &[
    ("learning_rate", "lr"),
    ("learning-rate", "lr"),
    ("learningrate", "lr"),
    ("rate", "lr"),
    ("l2", "weight_decay"),
    ("decay", "weight_decay"),
    ("epsilon", "eps"),
    ("dropout_rate", "dropout"),
    ("batchsize", "batch_size"),
    ("batch", "batch_size"),
    ("n_epochs", "epochs"),
    ("num_epochs", "epochs"),
    ("max_epochs", "epochs"),
    ("iterations", "epochs"),
    ("optimiser", "optimizer"),
    ("scheduler", "schedule"),
    ("lr_scheduler", "schedule"),
    ("criterion", "loss"),
    ("clip", "gradient_clip"),
    ("grad_clip", "gradient_clip"),
    ("label", "target"),
    ("y", "target"),
    ("output", "target"),
    ("hidden_sizes", "hidden"),
    ("hidden_layers", "hidden"),
    ("hidden_size", "hidden"),
    ("filters", "channels"),
    ("kernel_size", "kernel"),
    ("out_features", "units"),
    ("out_channels", "channels"),
    ("type", "kind"),
    ("uses", "kind"),
    ("depends_on", "needs"),
    ("after", "needs"),
    ("requires", "needs"),
    ("input", "inputs"),
    ("in", "inputs"),
    ("with", "inputs"),
    ("cmd", "run"),
    ("script", "run"),
    ("command", "run"),
    ("dependencies", "deps"),
    ("outputs", "outs"),
    ("file", "path"),
    ("files", "path"),
    ("sep", "delimiter"),
    ("separator", "delimiter"),
    ("na_values", "missing"),
    ("source", "from"),
    ("cols", "columns"),
    ("column", "columns"),
    ("as", "into"),
    ("name", "pipeline"),
    ("variables", "vars"),
    ("jobs", "stages"),
    ("tasks", "stages"),
    ("steps", "stages"),
    ("random_state", "seed"),
    ("random_seed", "seed"),
    ("test_size", "ratios"),
    ("sizes", "ratios"),
    ("proportions", "ratios"),
    ("output_path", "to"),
    ("path", "to"),
];

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
    fn fault_at_key(&mut self, fault: Fault, entry: &Entry) -> &mut Placed {
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
            [form] => self.form(form, shape, node, key),
            several => {
                let mut best: Option<(Faults, Value)> = None;
                for form in several {
                    let before = std::mem::take(self.faults);
                    let value = self.form(form, shape, node, key);
                    let found = std::mem::replace(self.faults, before);
                    let done = found.len() == 0;
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
            Form::List(form) => self.list(form, node, key),
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
        self.fault(Fault::error("document::out_of_range", message).help("write an ordinary number"), node, key);
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
            let fault = Fault::error("document::wrong_type", message).help(format!(
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
            let message = format!("`{}` is {}, but must be {}", self.name(), self.written(node), range(form));
            let mut fault = Fault::error("document::out_of_range", message);
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
                let fault = if text.contains('[') && matches!(format, crate::document::Format::Reference) {
                    Fault::error(
                        "document::not_yet",
                        format!("`{text}` refers to one of many, and `matrix` is not supported yet"),
                    )
                    .help("refer to a stage by its name")
                } else {
                    Fault::error("document::wrong_format", format!("`{name}`: `{}` is not {what}", shorten(text)))
                        .help(how)
                };
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
            let mut fault = Fault::error("document::wrong_length", message);
            fault.help = self.doc_help(shape);
            self.fault(fault, node, key);
        }
        Value::String(text.to_owned())
    }

    fn list(&mut self, form: &'a ListForm, node: &Node, key: Option<&Key>) -> Value {
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
            let help = if few { "add what is missing" } else { "remove what is too much" };
            self.fault(Fault::error("document::wrong_length", message).help(help), node, key);
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
                let fault =
                    Fault::error("document::repeated_item", format!("{} stands twice in `{name}`", self.written(item)));
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
            self.fault(Fault::error("document::wrong_length", message).help("add what is missing"), node, key);
        }
        Value::Object(object)
    }

    fn unknown_key(&mut self, form: &'a MappingForm, node: &Node, entry: &Entry, owner: &str) {
        let name = entry.key.text.as_str();
        if let Some((later, instead)) = LATER.iter().find(|(later, _)| *later == name && self.around.len() <= 2) {
            let fault = Fault::error("document::not_yet", format!("`{later}` is not supported yet")).help(*instead);
            self.fault_at_key(fault, entry);
            return;
        }
        let mut fault =
            Fault::error("document::unknown_key", format!("{} has no key `{}`", owner_phrase(owner), shorten(name)));
        fault.help = self.where_key_belongs(form, node, entry);
        self.fault_at_key(fault, entry);
    }

    /// The help for an unknown key: the nearest one, the one other tools call so, or the place where it is known.
    fn where_key_belongs(&self, form: &'a MappingForm, node: &Node, entry: &Entry) -> Option<String> {
        let name = entry.key.text.as_str();
        let known = || form.properties.keys().map(String::as_str);
        if let Some(near) = nearest(name, known()) {
            let twice = if node.entry(near).is_some() { ", which is already there" } else { "" };
            return Some(format!("did you mean `{near}`{twice}?"));
        }
        let lower = name.to_lowercase();
        let meant = SYNONYMS.iter().filter(|(other, _)| *other == lower).map(|(_, ours)| *ours);
        for ours in meant.clone() {
            if form.properties.contains_key(ours) {
                return Some(format!("it is called `{ours}` here"));
            }
        }
        // Written too deep: a mapping around this one knows it.
        for (around, owner) in self.around.iter().rev().skip(1) {
            if around.properties.contains_key(name) {
                return Some(format!("`{name}` is a key of {}: move it out, to the left", owner_phrase(owner)));
            }
        }
        // Written too high: something below this mapping knows it.
        for wanted in std::iter::once(name).chain(meant) {
            if let Some(path) = self.below(form, node, wanted) {
                let place = path.iter().map(String::as_str).collect::<Vec<_>>().join(": { ");
                let open = path.len();
                return Some(format!(
                    "it belongs further in: `{place}: {{ {wanted}: … {}`",
                    "}".repeat(open).replace("}}", "} }")
                ));
            }
        }
        suggest(name, known())
    }

    /// The way down to a mapping that knows a key, through what the document says or the defaults.
    fn below(&self, form: &'a MappingForm, node: &Node, wanted: &str) -> Option<Vec<String>> {
        for (property, shape) in &form.properties {
            for inner in self.shapes.forms(shape) {
                match inner {
                    Form::Mapping(inner) if inner.properties.contains_key(wanted) => {
                        return Some(vec![property.clone()]);
                    }
                    Form::Choice(variants) => {
                        let written = node.get(property);
                        let chosen = written.and_then(|value| {
                            value.text().map(str::to_owned).or_else(|| Some(value.entries().first()?.key.text.clone()))
                        });
                        let default =
                            shape.default.as_ref().and_then(Value::as_object).and_then(|one| one.keys().next());
                        let chosen = chosen.as_ref().or(default);
                        let variant =
                            variants.iter().find(|variant| chosen.is_none_or(|chosen| *chosen == variant.name));
                        let payload = variant.and_then(|variant| variant.payload.as_ref());
                        let mapping = payload.and_then(|payload| self.shapes.mapping_of(payload));
                        if let (Some(variant), Some(mapping)) = (variant, mapping)
                            && mapping.properties.contains_key(wanted)
                        {
                            return Some(vec![property.clone(), variant.name.clone()]);
                        }
                    }
                    _ => {}
                }
            }
        }
        None
    }

    fn missing_key(&mut self, form: &'a MappingForm, required: &str, node: &Node, key: Option<&Key>, owner: &str) {
        let message = format!("{} needs `{required}`", owner_phrase(owner));
        let mut fault = Fault::error("document::missing_key", message);
        let doc = form.properties.get(required).and_then(|shape| shape.doc.clone());
        fault.help = doc.map(|doc| format!("add `{required}`: {}", lower_first(&doc)));
        let span_node = node;
        self.fault(fault, span_node, key);
    }

    fn choice(&mut self, variants: &'a [Variant], node: &Node, key: Option<&Key>) -> Value {
        let names = || variants.iter().map(|variant| variant.name.as_str());
        if let Some(text) = node.text() {
            let Some(variant) = variants.iter().find(|variant| variant.name == text) else {
                self.unknown_choice(text, names(), node, key);
                return Value::Null;
            };
            return match &variant.payload {
                None => Value::String(text.to_owned()),
                Some(payload) if self.shapes.takes_empty(payload) => single(text, Value::Object(Map::new())),
                Some(payload) => {
                    let message = format!("`{text}` says not enough by itself");
                    let help = format!("write `{}`", self.example(text, payload));
                    self.fault(Fault::error("document::choice_needs_value", message).help(help), node, key);
                    Value::Null
                }
            };
        }
        let entries = node.entries();
        let name = self.name();
        match entries {
            [] => {
                let mut fault = Fault::error(
                    "document::no_value",
                    format!("`{name}` is an empty mapping, but one choice is wanted"),
                );
                fault.help = Some(format!("choose one of {}", list(names())));
                self.fault(fault, node, key);
                Value::Null
            }
            [entry] => self.chosen(variants, entry),
            several => {
                self.too_many(variants, several, node, key);
                Value::Null
            }
        }
    }

    fn chosen(&mut self, variants: &'a [Variant], entry: &Entry) -> Value {
        let text = entry.key.text.as_str();
        let Some(variant) = variants.iter().find(|variant| variant.name == text) else {
            let message = format!("`{}` is not a choice of `{}`", shorten(text), self.list_name());
            let mut fault = Fault::error("document::unknown_choice", message);
            fault.help = choices(text, variants.iter().map(|variant| variant.name.as_str()));
            self.fault_at_key(fault, entry);
            return Value::Null;
        };
        let Some(payload) = &variant.payload else {
            let fault = Fault::error("document::no_options", format!("`{text}` has no options"))
                .help(format!("write `{text}` alone, without the colon"));
            self.fault_at_key(fault, entry);
            return Value::Null;
        };
        self.route.push(text.into());
        let value = if matches!(entry.value.kind, Kind::Null)
            && !self.shapes.forms(payload).iter().any(|form| fits(form, &entry.value))
        {
            let help = if self.shapes.takes_empty(payload) {
                format!("remove the colon to take all defaults, or write `{}`", self.example(text, payload))
            } else {
                format!("write `{}`", self.example(text, payload))
            };
            self.fault(
                Fault::error("document::no_value", format!("nothing stands after `{text}:`")).help(help),
                &entry.value,
                Some(&entry.key),
            );
            Value::Null
        } else {
            self.value(payload, &entry.value, Some(&entry.key))
        };
        self.route.pop();
        single(text, value)
    }

    /// More than one key where one choice is wanted. As a rule the options stand beside the choice instead of below.
    fn too_many(&mut self, variants: &'a [Variant], entries: &[Entry], node: &Node, key: Option<&Key>) {
        let name = self.name();
        let known = |entry: &&Entry| variants.iter().any(|variant| variant.name == entry.key.text);
        let chosen: Vec<&Entry> = entries.iter().filter(known).collect();
        let beside: Vec<&Entry> = entries.iter().filter(|entry| !known(entry)).collect();
        if let ([choice], [first, ..]) = (chosen.as_slice(), beside.as_slice()) {
            let options = list(beside.iter().map(|entry| entry.key.text.as_str()));
            let choice = &choice.key.text;
            let message =
                format!("{options} stand{} beside `{choice}`, not below it", if beside.len() == 1 { "s" } else { "" });
            let fault = Fault::error("document::beside_choice", message).help(format!(
                "indent {options} further, so that `{choice}` holds {}",
                if beside.len() == 1 { "it" } else { "them" }
            ));
            self.fault_at_key(fault, first);
            return;
        }
        if let [first, second, ..] = chosen.as_slice() {
            let message = format!(
                "`{name}` has {} choices, {}, but only one can be made",
                chosen.len(),
                list(chosen.iter().map(|entry| entry.key.text.as_str()))
            );
            let mut fault = Fault::error("document::two_choices", message).help("keep one of them");
            if matches!(self.route.last(), Some(Segment::Index(_))) {
                fault = fault.help("start each with its own `-`");
            }
            let first = first.key.span;
            self.fault_at_key(fault, second).label(first, "first here");
            return;
        }
        // `{ name: adam, lr: 0.1 }`, as other tools have it.
        let tag = entries
            .iter()
            .find(|entry| entry.value.text().is_some_and(|text| variants.iter().any(|variant| variant.name == text)));
        if let Some(tag) = tag {
            let choice = tag.value.text().unwrap_or_default();
            let options = entries
                .iter()
                .filter(|entry| entry.key.text != tag.key.text)
                .map(|entry| format!("{}: …", entry.key.text));
            let message = format!("`{name}` wants the choice as the key, not under `{}`", tag.key.text);
            let help = format!("write `{{ {choice}: {{ {} }} }}`", options.collect::<Vec<_>>().join(", "));
            self.fault_at_key(Fault::error("document::unknown_choice", message).help(help), tag);
            return;
        }
        let message = format!("`{name}` wants one choice as its key");
        let help = format!("choose one of {}", list(variants.iter().map(|variant| variant.name.as_str())));
        self.fault(Fault::error("document::unknown_choice", message).help(help), node, key);
    }

    fn unknown_choice<'n>(&mut self, text: &str, names: impl Iterator<Item = &'n str>, node: &Node, key: Option<&Key>) {
        let message = format!("`{}` is not a choice of `{}`", shorten(text), self.list_name());
        let mut fault = Fault::error("document::unknown_choice", message);
        fault.help = choices(text, names);
        self.fault(fault, node, key);
    }

    /// How to write a choice with what belongs to it.
    fn example(&self, name: &str, payload: &Shape) -> String {
        let forms = self.shapes.forms(payload);
        let inside = forms.iter().find_map(|form| match form {
            Form::Mapping(form) if !form.properties.is_empty() => {
                let mut keys: Vec<&str> = form.required.iter().map(String::as_str).collect();
                if keys.is_empty() {
                    keys.extend(form.properties.keys().next().map(String::as_str));
                }
                Some(format!("{{ {} }}", keys.iter().map(|key| format!("{key}: …")).collect::<Vec<_>>().join(", ")))
            }
            Form::List(_) => Some("[…]".to_owned()),
            Form::Mapping(_) => Some("{ … }".to_owned()),
            _ => None,
        });
        let simple = forms.iter().any(|form| matches!(form, Form::Text(_) | Form::Number(_)));
        let inside = if simple { "…".to_owned() } else { inside.unwrap_or_else(|| "…".to_owned()) };
        format!("{name}: {inside}")
    }

    fn wrong_type(&mut self, shape: &Shape, forms: &[&Form], node: &Node, key: Option<&Key>) {
        let name = self.name();
        let wanted = expected(forms);
        if matches!(node.kind, Kind::Null) {
            let mut fault = Fault::error("document::no_value", format!("`{name}` has no value; {wanted} is wanted"));
            fault.help = self.doc_help(shape).or_else(|| Some("give it a value, or remove the key".to_owned()));
            self.fault(fault, node, key);
            return;
        }
        let message = format!("`{name}`: expected {wanted}, found {}", self.found(node));
        let mut fault = Fault::error("document::wrong_type", message);
        fault.help = self.type_help(forms, node).or_else(|| self.doc_help(shape));
        self.fault(fault, node, key);
    }

    /// What to write instead of a value of the wrong type.
    fn type_help(&self, forms: &[&Form], node: &Node) -> Option<String> {
        let has = |wanted: fn(&Form) -> bool| forms.iter().any(|form| wanted(form));
        let written = self.written(node);
        let bare = written.trim_matches('`').to_owned();
        match &node.kind {
            Kind::Int(_) | Kind::Float(_) | Kind::Bool(_)
                if has(|form| matches!(form, Form::Text(form) if form.format.is_none() && form.allowed.is_empty())) =>
            {
                Some(format!("put it in quotes: `\"{bare}\"`"))
            }
            Kind::Int(_) | Kind::Float(_)
                if has(
                    |form| matches!(form, Form::Text(form) if form.format == Some(crate::document::Format::Duration)),
                ) =>
            {
                Some(format!("add a unit: `{bare}s`, `{bare}m`, `{bare}h`"))
            }
            Kind::Int(_) | Kind::Float(_)
                if has(
                    |form| matches!(form, Form::Text(form) if form.format == Some(crate::document::Format::Memory)),
                ) =>
            {
                Some(format!("add a unit: `{bare}MiB`, `{bare}GiB`"))
            }
            Kind::Text(text) | Kind::Untyped(text) => {
                let text = text.trim();
                if has(|form| matches!(form, Form::Number(_))) {
                    let cleaned: String = text.chars().filter(|char| !"_, '".contains(*char)).collect();
                    if matches!(syntax::resolve(text), Kind::Int(_) | Kind::Float(_)) {
                        return Some(format!("remove the quotes: `{text}`"));
                    }
                    let cleaned = cleaned.trim_start_matches('0');
                    if matches!(syntax::resolve(cleaned), Kind::Int(_) | Kind::Float(_)) {
                        return Some(format!("write `{cleaned}`"));
                    }
                    if let Some(percent) = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok()) {
                        return Some(format!("write `{}`", percent / 100.0));
                    }
                }
                if has(|form| matches!(form, Form::Bool)) {
                    return match text.to_lowercase().as_str() {
                        "yes" | "on" | "y" | "1" | "true" => Some("write `true`".to_owned()),
                        "no" | "off" | "n" | "0" | "false" => Some("write `false`".to_owned()),
                        _ => None,
                    };
                }
                if has(|form| matches!(form, Form::List(_))) {
                    return Some(format!("write a list: `[{}]`", shorten(text)));
                }
                None
            }
            Kind::Int(_) | Kind::Float(_) if has(|form| matches!(form, Form::List(_))) => {
                Some(format!("write a list: `[{bare}]`"))
            }
            Kind::Sequence(items) if items.len() == 1 => {
                let item = self.written(&items[0]);
                has(|form| matches!(form, Form::Text(_) | Form::Number(_) | Form::Bool))
                    .then(|| format!("write {item} without the brackets or the dash"))
            }
            Kind::Mapping(entries) => {
                let [entry] = entries.as_slice() else { return None };
                let names = |form: &&Form| match form {
                    Form::Text(form) => form.allowed.contains(&entry.key.text),
                    Form::Choice(variants) => variants.iter().any(|variant| variant.name == entry.key.text),
                    _ => false,
                };
                forms.iter().any(names).then(|| format!("it has no options: write `{}` alone", entry.key.text))
            }
            Kind::Sequence(_) if has(|form| matches!(form, Form::Choice(_))) => {
                Some("one choice is wanted, not several: remove the dashes".to_owned())
            }
            Kind::Sequence(_) if has(|form| matches!(form, Form::Mapping(_))) => {
                Some("write `name: value` lines, without dashes".to_owned())
            }
            _ => None,
        }
    }

    /// What the documentation says of a value, and its default.
    fn doc_help(&self, shape: &Shape) -> Option<String> {
        let doc = shape.doc.as_ref().map(|doc| format!("`{}`: {}", self.list_name(), lower_first(doc)));
        let default = match &shape.default {
            Some(Value::String(text)) => Some(format!("`{text}`")),
            Some(plain @ (Value::Number(_) | Value::Bool(_))) => Some(format!("`{plain}`")),
            _ => None,
        };
        match (doc, default) {
            (Some(doc), Some(default)) => Some(format!("{doc}; the default is {default}")),
            (None, Some(default)) => Some(format!("the default is {default}")),
            (doc, None) => doc,
        }
    }

    /// The key of the present value, without positions in lists.
    fn list_name(&self) -> String {
        let key = self.route.iter().rev().find(|segment| matches!(segment, Segment::Key(_)));
        Route(key.cloned().into_iter().collect()).to_string()
    }

    /// What messages call the present value: its key, with the positions in lists behind it.
    pub fn name(&self) -> String {
        let from = self.route.iter().rposition(|segment| matches!(segment, Segment::Key(_))).unwrap_or(0);
        Route(self.route[from..].to_vec()).to_string()
    }

    /// A value in a message.
    fn found(&self, node: &Node) -> String {
        match &node.kind {
            Kind::Null | Kind::Unknown => "nothing".to_owned(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Int(_) | Kind::Float(_) => format!("the number {}", self.written(node)),
            Kind::Text(text) | Kind::Untyped(text) if text.is_empty() => "an empty text".to_owned(),
            Kind::Text(text) | Kind::Untyped(text) => format!("the text `{}`", shorten(text)),
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// A value as it is written, in backticks.
    fn written(&self, node: &Node) -> String {
        let text = match &node.kind {
            Kind::Text(text) | Kind::Untyped(text) => shorten(text),
            Kind::Int(value) => value.to_string(),
            _ => {
                let written = self.sources[node.span.source.0 as usize].slice(node.span);
                match &node.kind {
                    Kind::Float(value) if written.starts_with("${") => value.to_string(),
                    Kind::Bool(value) => value.to_string(),
                    _ => shorten(written),
                }
            }
        };
        format!("`{text}`")
    }
}

/// Whether a value has the type of a form, limits aside.
fn fits(form: &Form, node: &Node) -> bool {
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

/// What is wanted, in words.
fn expected(forms: &[&Form]) -> String {
    let mut words: Vec<String> = Vec::new();
    for form in forms {
        let word = match form {
            Form::Any | Form::Null | Form::Defined(_) => continue,
            Form::Bool => "`true` or `false`".to_owned(),
            Form::Number(form) if form.integer => "a whole number".to_owned(),
            Form::Number(_) => "a number".to_owned(),
            Form::Text(form) => match form.format {
                Some(format) => format.wanted().0.to_owned(),
                None if form.allowed.is_empty() => "text".to_owned(),
                None => format!("one of {}", list(form.allowed.iter().map(String::as_str))),
            },
            Form::List(_) => "a list".to_owned(),
            Form::Mapping(_) => "a mapping".to_owned(),
            Form::Choice(variants) => format!("one of {}", list(variants.iter().map(|variant| variant.name.as_str()))),
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if words.is_empty() { "nothing".to_owned() } else { words.join(" or ") }
}

/// The limits of a number, in words.
fn range(form: &NumberForm) -> String {
    match (form.min, form.above, form.max, form.below) {
        (Some(min), _, Some(max), _) => format!("between {} and {}", plain(min), plain(max)),
        (_, Some(above), Some(max), _) => format!("greater than {} and at most {}", plain(above), plain(max)),
        (_, Some(above), _, Some(below)) => format!("greater than {} and less than {}", plain(above), plain(below)),
        (Some(min), _, _, Some(below)) => format!("at least {} and less than {}", plain(min), plain(below)),
        (Some(min), ..) => format!("at least {}", plain(min)),
        (_, Some(above), ..) => format!("greater than {}", plain(above)),
        (_, _, Some(max), _) => format!("at most {}", plain(max)),
        (_, _, _, Some(below)) => format!("less than {}", plain(below)),
        _ => "a number".to_owned(),
    }
}

fn plain(value: f64) -> String {
    if value >= 1.8e19 { u64::MAX.to_string() } else { value.to_string() }
}

fn single(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

/// `a` and `b`; at most ten of them.
pub(crate) fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        many if many.len() > 10 => format!("{} and {} more", many[..9].join(", "), many.len() - 9),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn choices<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    match nearest(text, names.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => Some(format!("the choices are {}", list(names.into_iter()))),
    }
}

/// At most 40 characters of one line.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let short: String = line.chars().take(40).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// `a train stage` stays as it is, the name of a key gets backticks.
fn owner_phrase(owner: &str) -> String {
    if owner.contains(' ') { owner.to_owned() } else { format!("`{owner}`") }
}

fn lower_first(text: &str) -> String {
    let second_is_upper = text.chars().nth(1).is_some_and(char::is_uppercase);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !second_is_upper => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// The place of a value in messages of other passes: its text, or its key when it has none.
pub(crate) fn place(node: &Node, key: Option<&Key>) -> Span {
    match key {
        Some(key) if node.span.is_empty() => key.span,
        _ => node.span,
    }
}
