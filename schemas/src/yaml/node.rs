//! The tree a text becomes: every key and every value knows where it stands.

use contract::fault::{Aspect, Route, Segment};
use serde_json::{Map, Number, Value};

use crate::yaml::source::Span;

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it is written. Empty for the missing value after `key:`.
    pub span: Span,
    /// The other place that has to do with it, when it came through an alias or a variable.
    pub link: Option<Link>,
    /// What it is.
    pub kind: Kind,
}

/// A second place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The value stands below an anchor; this alias (or merge key, or `${...}`) brings it here.
    UsedAt(Span),
    /// The value is a `${...}`; what it stands for is set there.
    SetAt(Span),
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A fault stands here and has been reported: nothing more is said about the value.
    Unknown,
    /// Nothing: `null`, `~`, or no value at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a point or an exponent; infinities and NaN are possible.
    Float(f64),
    /// Text, quoted or not.
    Text(String),
    /// Text from outside (an environment variable): it has no type of its own and takes the one that is asked for.
    Untyped(String),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in document order, keys unique, merge keys resolved.
    Mapping(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// A key and its place.
#[derive(Debug, Clone)]
pub struct Key {
    /// As text; a key that looks like a number is the text it is written as.
    pub text: String,
    /// Where.
    pub span: Span,
}

impl Node {
    /// A node of a kind, at a place.
    pub fn new(span: Span, kind: Kind) -> Self {
        Self { span, link: None, kind }
    }

    /// The entries, when this is a mapping.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of a key, when this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key.text == key)
    }

    /// The entry of a key, to change it.
    pub fn entry_mut(&mut self, key: &str) -> Option<&mut Entry> {
        match &mut self.kind {
            Kind::Mapping(entries) => entries.iter_mut().find(|entry| entry.key.text == key),
            _ => None,
        }
    }

    /// The value of a key, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The text, when this is text.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) | Kind::Untyped(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a fault has been reported in this tree.
    pub fn has_fault(&self) -> bool {
        match &self.kind {
            Kind::Unknown => true,
            Kind::Sequence(items) => items.iter().any(Node::has_fault),
            Kind::Mapping(entries) => entries.iter().any(|entry| entry.value.has_fault()),
            _ => false,
        }
    }

    /// Nodes in this tree, and its height. Recursion is bounded by the parser's limit of depth.
    pub fn size(&self) -> (usize, usize) {
        fn below<'a>(children: impl Iterator<Item = &'a Node>) -> (usize, usize) {
            let sum = |(count, height): (usize, usize), child: &Node| {
                let (more, high) = child.size();
                (count + more, height.max(high))
            };
            let (count, height) = children.fold((0, 0), sum);
            (count + 1, height + 1)
        }
        match &self.kind {
            Kind::Sequence(items) => below(items.iter()),
            Kind::Mapping(entries) => below(entries.iter().map(|entry| &entry.value)),
            _ => (1, 1),
        }
    }

    /// Bytes of all texts and keys in this tree.
    pub fn bytes(&self) -> usize {
        match &self.kind {
            Kind::Text(text) | Kind::Untyped(text) => text.len(),
            Kind::Sequence(items) => items.iter().map(Node::bytes).sum(),
            Kind::Mapping(entries) => entries.iter().map(|entry| entry.key.text.len() + entry.value.bytes()).sum(),
            _ => 0,
        }
    }

    /// Notes on every node of the tree that it is used at `span`. An outer use replaces an inner one: it is the one
    /// nearest to where the value matters.
    pub fn used_at(&mut self, span: Span) {
        self.link = Some(Link::UsedAt(span));
        match &mut self.kind {
            Kind::Sequence(items) => items.iter_mut().for_each(|item| item.used_at(span)),
            Kind::Mapping(entries) => entries.iter_mut().for_each(|entry| entry.value.used_at(span)),
            _ => {}
        }
    }

    /// The value as JSON. Numbers that JSON does not have become `null`; the decoder has reported them.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null | Kind::Unknown => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Int(value) => number(*value),
            Kind::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
            Kind::Text(text) | Kind::Untyped(text) => Value::String(text.clone()),
            Kind::Sequence(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Mapping(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.text.clone(), entry.value.to_json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// Follows a route as far as it goes.
    ///
    /// The decoder fills in what a document may leave out (`adam` for `{ adam: {} }`, a path for `{ path: … }`, one value
    /// for a list of one), so a step that a scalar cannot take is allowed to stay where it is.
    pub fn locate(&self, route: &Route, aspect: Aspect) -> Located<'_> {
        let mut found = Located { key: None, node: self, exact: true, aspect };
        for segment in &route.0 {
            let next = match (&found.node.kind, segment) {
                (Kind::Mapping(entries), Segment::Key(name)) => {
                    entries.iter().find(|entry| entry.key.text == *name).map(|entry| (Some(&entry.key), &entry.value))
                }
                (Kind::Sequence(items), Segment::Index(index)) => items.get(*index).map(|item| (None, item)),
                (Kind::Text(text), Segment::Key(name)) if text == name || name == "path" => continue,
                (Kind::Text(_) | Kind::Int(_) | Kind::Float(_) | Kind::Bool(_), Segment::Index(0)) => continue,
                _ => None,
            };
            match next {
                Some((key, node)) => (found.key, found.node) = (key, node),
                None => {
                    found.exact = false;
                    break;
                }
            }
        }
        found
    }
}

/// Where a route leads.
#[derive(Debug, Clone, Copy)]
pub struct Located<'a> {
    /// The key of the last step, when it was a key.
    pub key: Option<&'a Key>,
    /// The value.
    pub node: &'a Node,
    /// Whether the whole route exists; otherwise this is its deepest part that does.
    pub exact: bool,
    /// What of the entry is meant.
    pub aspect: Aspect,
}

/// A whole number as JSON: an integer where it fits 64 bits.
pub fn number(value: i128) -> Value {
    if let Ok(value) = i64::try_from(value) {
        value.into()
    } else if let Ok(value) = u64::try_from(value) {
        value.into()
    } else {
        Number::from_f64(value as f64).map_or(Value::Null, Value::Number)
    }
}

/// The place of a value in messages of other passes: its text, or its key when it has none.
pub(crate) fn place(node: &Node, key: Option<&Key>) -> Span {
    match key {
        Some(key) if node.span.is_empty() => key.span,
        _ => node.span,
    }
}
