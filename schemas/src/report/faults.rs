//! PlacedFaults while they are collected: each with the exact span and with notes on other places.

use contract::fault::{Fault, Place};

use crate::yaml::source::{Source, Span};

/// A fault and where its caret goes.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The fault; its place is filled in at the end.
    pub fault: Fault,
    /// The caret.
    pub span: Option<Span>,
    /// A few words below the caret.
    pub caption: Option<String>,
    /// Other places, each with a few words.
    pub labels: Vec<(Span, String)>,
}

/// All faults found so far.
#[derive(Debug, Default)]
pub struct PlacedFaults {
    found: Vec<Placed>,
    errors: usize,
}

impl PlacedFaults {
    /// Adds a fault at a span.
    pub fn add(&mut self, fault: Fault, span: Span) -> &mut Placed {
        self.push(Placed { fault, span: Some(span), caption: None, labels: Vec::new() })
    }

    fn push(&mut self, placed: Placed) -> &mut Placed {
        let at = self.found.len();
        self.errors += usize::from(placed.fault.is_error());
        self.found.push(placed);
        &mut self.found[at]
    }

    /// Takes over what another pass found.
    pub fn extend(&mut self, other: PlacedFaults) {
        self.errors += other.errors;
        self.found.extend(other.found);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Whether an error is among them.
    pub fn any_error(&self) -> bool {
        self.errors > 0
    }

    /// All of them in the order of the text, with file, line and column filled in. The same fault at the same place
    /// (an anchored mistake used twice) is told once.
    pub fn finish(mut self, sources: &[Source]) -> Vec<Placed> {
        self.found.sort_by_key(|placed| placed.span);
        for placed in &mut self.found {
            let Some(span) = placed.span else { continue };
            let source = &sources[span.source.0 as usize];
            let position = source.position(span.start);
            placed.fault.place = Some(Place {
                file: source.name().to_owned(),
                line: Some(position.line as u64),
                column: Some(position.column as u64),
            });
        }
        let mut seen = std::collections::HashSet::new();
        self.found.retain(|placed| {
            placed.span.is_none() || seen.insert((placed.span, placed.fault.code.clone(), placed.fault.message.clone()))
        });
        self.found
    }
}

impl Placed {
    /// Adds a note on another place.
    pub fn label(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.labels.push((span, text.into()));
        self
    }
}
