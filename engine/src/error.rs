//! Faults: everything a user can get wrong, with a code, a place and a help line.
//!
//! A [`Fault`] is plain data. It crosses the worker protocol as JSON, is collected (never first-only) by
//! every pass, and only the language front end turns its [`Route`] into a line, a column and a caret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the pipeline still runs.
    Warning,
    /// The pipeline cannot run, or the stage has failed.
    Error,
}

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
        $crate::error::Route(vec![$($crate::error::Segment::from($segment)),*])
    };
}

/// A place in a file that is not the pipeline's own text: a row of a CSV, a byte of a Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Place {
    /// The file, relative to the pipeline's folder where it lies inside.
    pub file: String,
    /// Line, from 1, where the file has lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Column (characters for text, field for tables), from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        Ok(())
    }
}

/// What part of a mapping entry a fault points at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// The value (the default).
    #[default]
    Value,
    /// The key itself: unknown, duplicate or misplaced keys.
    Key,
}

/// One thing that is wrong.
///
/// `code` is `area::name` in snake case (`graph::cycle`, `data::malformed_row`); `message` is a lowercase
/// fragment with names in backticks; `help` says what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Stable identifier, `area::name`.
    pub code: String,
    /// Error or warning.
    #[serde(default = "Severity::error")]
    pub severity: Severity,
    /// What is wrong: a lowercase fragment, names in backticks.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where in the pipeline's document. Inside a kind, routes are relative to the stage's mapping; the
    /// planner makes them absolute with [`Fault::under`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Key or value of that route.
    #[serde(default)]
    pub aspect: Aspect,
    /// Where in another file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

impl Severity {
    fn error() -> Self {
        Self::Error
    }
}

impl Fault {
    /// An error with a code and a message.
    pub fn error(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            severity: Severity::Error,
            message: message.into(),
            help: None,
            route: None,
            aspect: Aspect::Value,
            place: None,
        }
    }

    /// A warning with a code and a message.
    pub fn warning(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// What the store ran into.
    pub fn from_store(error: &cache::StoreError) -> Self {
        Self::error(error.code(), error.to_string()).help(error.help())
    }

    /// Adds the help line.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says where in the document: the value at a route.
    #[must_use]
    pub fn at(mut self, route: Route) -> Self {
        self.route = Some(route);
        self
    }

    /// Says where in the document: the key at a route.
    #[must_use]
    pub fn at_key(mut self, route: Route) -> Self {
        self.route = Some(route);
        self.aspect = Aspect::Key;
        self
    }

    /// Says where in another file.
    #[must_use]
    pub fn place(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Puts a relative route below `prefix`; a fault without a route is placed at `prefix` itself.
    #[must_use]
    pub fn under(mut self, prefix: &Route) -> Self {
        self.route = Some(match &self.route {
            Some(route) => prefix.concat(route),
            None => prefix.clone(),
        });
        self
    }

    /// Whether this is an error (and not a warning).
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The nearest of `known` to `name`, if one is near enough to be what was meant.
///
/// Damerau-Levenshtein distance, at most a third of the longer name (at least 1), case ignored.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (name.chars().count().max(candidate.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The help line for an unknown name: the nearest known one, or the list when it is short.
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(name, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    if known.is_empty() {
        return None;
    }
    let shown: Vec<String> = known.iter().take(12).map(|name| format!("`{name}`")).collect();
    let rest = known.len().saturating_sub(12);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    Some(format!("known here: {}{more}", shown.join(", ")))
}
