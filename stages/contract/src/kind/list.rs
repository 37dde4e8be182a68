//! The known kinds by name.

use std::collections::BTreeMap;

use super::Kind;

/// The known kinds by name.
#[derive(Default)]
pub struct Kinds {
    kinds: BTreeMap<&'static str, Box<dyn Kind>>,
}

impl std::fmt::Debug for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Kinds {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind.
    ///
    /// # Panics
    /// When two kinds have one name: a mistake in the program, not of a user.
    pub fn add(&mut self, kind: impl Kind + 'static) {
        let name = kind.name();
        assert!(self.kinds.insert(name, Box::new(kind)).is_none(), "two kinds are called `{name}`");
    }

    /// The kind of a name.
    pub fn get(&self, name: &str) -> Option<&dyn Kind> {
        self.kinds.get(name).map(Box::as_ref)
    }

    /// All kinds, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Kind> {
        self.kinds.values().map(Box::as_ref)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.keys().copied()
    }
}
