//! One thing that is wrong, as plain data.

use serde::{Deserialize, Serialize};

use super::{Code, Place, Route};

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
    pub fn error(code: Code, message: impl Into<String>) -> Self {
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
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
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

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the pipeline still runs.
    Warning,
    /// The pipeline cannot run, or the stage has failed.
    Error,
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
