//! What `${…}` may name: variables of a file, those of a stage before them, `item` and `key` before all.

use schemas::yaml::node::{Entry, Kind, Node};

/// Names and their values; what an inner scope does not have, the outer one is asked for.
#[derive(Debug, Default)]
pub(super) struct Scope<'o> {
    outer: Option<&'o Scope<'o>>,
    own: Vec<(String, Node)>,
}

impl<'o> Scope<'o> {
    /// An empty scope before this one.
    pub(super) fn inner(&'o self) -> Self {
        Self { outer: Some(self), own: Vec::new() }
    }

    /// The keys of a mapping as a scope.
    pub(super) fn of(node: &Node) -> Self {
        let own = node.entries().iter().map(|entry| (entry.key.text.clone(), entry.value.clone())).collect();
        Self { outer: None, own }
    }

    /// Sets a name, whatever it was.
    pub(super) fn set(&mut self, name: &str, value: Node) {
        match self.own.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.own.push((name.to_owned(), value)),
        }
    }

    /// Sets a name; a mapping goes into a mapping that is there.
    pub(super) fn merge(&mut self, name: &str, value: Node) {
        let value = match self.named(name) {
            Some(known) if matches!(known.kind, Kind::Mapping(_)) => merged(known.clone(), value),
            _ => value,
        };
        self.set(name, value);
    }

    fn named(&self, name: &str) -> Option<&Node> {
        let own = self.own.iter().find(|(known, _)| known == name).map(|(_, node)| node);
        own.or_else(|| self.outer?.named(name))
    }

    /// `a.b[0]`.
    pub(super) fn look(&self, name: &str) -> Option<&Node> {
        let name = name.trim().replace('[', ".").replace(']', "");
        let mut parts = name.split('.');
        let mut node = self.named(parts.next()?)?;
        for part in parts {
            node = match &node.kind {
                Kind::Sequence(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => node.get(part)?,
            };
        }
        Some(node)
    }

    /// What the first part of a key that is not there should have been.
    pub(super) fn near(&self, key: &str) -> Option<String> {
        let (mut route, mut last) = (String::new(), key);
        for part in key.split('.') {
            let longer = if route.is_empty() { part.to_owned() } else { format!("{route}.{part}") };
            if self.look(&longer).is_none() {
                last = part;
                break;
            }
            route = longer;
        }
        let there: Vec<&str> = match self.look(&route) {
            Some(node) => node.entries().iter().map(|entry| entry.key.text.as_str()).collect(),
            None => self.own.iter().map(|(name, _)| name.as_str()).collect(),
        };
        contract::fault::suggest(last, there)
    }
}

fn merged(mut known: Node, value: Node) -> Node {
    match (&mut known.kind, value.kind) {
        (Kind::Mapping(entries), Kind::Mapping(more)) => {
            for Entry { key, value } in more {
                match entries.iter_mut().find(|entry| entry.key.text == key.text) {
                    Some(entry) => entry.value = merged(entry.value.clone(), value),
                    None => entries.push(Entry { key, value }),
                }
            }
            known
        }
        (_, kind) => Node { kind, ..known },
    }
}
