//! Expressions of a step, which a worker judges.

use contract::artifact::Types;
use contract::fault::{Fault, Route};

use super::Around;
use crate::question::{Expression, Pattern};

/// The worker knows an expression, not where it stands.
pub(super) fn placed(faults: Vec<Fault>, at: &Route) -> Vec<Fault> {
    faults.into_iter().map(|fault| Fault { route: Some(at.clone()), ..fault }).collect()
}

/// Whether the regular expression `pattern` of a step is one.
pub(super) fn compiles(text: Option<&str>, groups: Option<usize>, at: &Route, around: &Around<'_>) -> Vec<Fault> {
    let Some(text) = text else { return Vec::new() };
    let asked = Expression::Pattern(Pattern { text: text.to_owned(), groups, with: None });
    (around.ask)(&asked, &Types::new())
        .err()
        .map_or_else(Vec::new, |faults| placed(faults.into_vec(), &at.join("pattern")))
}
