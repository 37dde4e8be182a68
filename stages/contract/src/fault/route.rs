//! The way from the root of a document to a value.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One step of a [`Route`]: a key of a mapping or an index of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Segment {
    /// A position in a sequence, from 0.
    Index(usize),
    /// A key of a mapping, exactly as written.
    Key(String),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}
impl From<String> for Segment {
    fn from(key: String) -> Self {
        Self::Key(key)
    }
}
impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The way from the root of a document to a value: `stages.model.optimizer.adam.lr`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Route(pub Vec<Segment>);

impl Route {
    /// The root of the document.
    pub fn root() -> Self {
        Self::default()
    }

    /// The mapping of one stage: `stages.<name>`.
    pub fn stage(name: &str) -> Self {
        Self(vec![Segment::Key("stages".to_owned()), Segment::Key(name.to_owned())])
    }

    /// This route, one step further.
    #[must_use]
    pub fn join(&self, segment: impl Into<Segment>) -> Self {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend_from_slice(&self.0);
        segments.push(segment.into());
        Self(segments)
    }

    /// This route, followed by another that starts where this one ends.
    #[must_use]
    pub fn concat(&self, rest: &Route) -> Self {
        let mut segments = self.0.clone();
        segments.extend(rest.0.iter().cloned());
        Self(segments)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// Builds a route from keys and indices: `route!["steps", 0, "cast"]`.
#[macro_export]
macro_rules! route {
    ($($segment:expr),* $(,)?) => {
        $crate::fault::Route(vec![$($crate::fault::Segment::from($segment)),*])
    };
}
