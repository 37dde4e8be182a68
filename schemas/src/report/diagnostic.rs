//! PlacedFaults with their places, as miette, one line or JSON shows them.

use std::collections::HashMap;
use std::fmt;

use contract::fault::{Fault, Route, Severity};
use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use serde_json::{Value, json};

use crate::report::faults::Placed;
use crate::yaml::node::{Kind, Link, Node};
use crate::yaml::source::{Position, Source, SourceId, Span};

/// The name of a text that is an override and not a file.
pub(crate) const SET: &str = "--set";
/// The name of a text that is a profile's name.
pub(crate) const PROFILE: &str = "--profile";

/// The texts of a pipeline and the tree they became: turns the route of any fault into a line and a caret.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub(crate) sources: Vec<Source>,
    pub(crate) root: Option<Node>,
    /// Spans and labels of what the front end itself found, by fault.
    placed: HashMap<String, Placed>,
}

/// A fault with everything a person or a program wants to know about it.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// The fault itself.
    pub fault: Fault,
    /// File, line and column, as far as they are known: `pipeline.yaml:7:11`.
    pub location: Option<String>,
    /// Where the value stands.
    pub position: Option<Position>,
    source: Option<Source>,
    labels: Vec<(Span, Option<String>)>,
    /// Places in other texts, in words.
    notes: Vec<String>,
}

impl Sources {
    /// Takes over the texts and what was found in them.
    pub(crate) fn new(sources: Vec<Source>, root: Option<Node>, found: &[Placed]) -> Self {
        let placed = found.iter().map(|placed| (identity(&placed.fault), placed.clone())).collect();
        Self { sources, root, placed }
    }

    /// The pipeline's own text.
    pub fn text(&self) -> &str {
        self.sources.first().map_or("", Source::text)
    }

    /// The files the pipeline was read from, by the name they were given, with what stood in them. (What came from the
    /// command line is not a file.)
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sources
            .iter()
            .map(|source| (source.name(), source.text()))
            .filter(|(name, _)| ![SET, PROFILE].contains(name))
    }

    /// The document with variables and overrides put in, as YAML.
    pub fn resolved(&self) -> Option<String> {
        crate::yaml::write::node(self.root.as_ref()?)
    }

    /// The place of a route: its value, or its key. When the route goes beyond what is written, the deepest part that
    /// is.
    pub fn span_of(&self, route: &Route, aspect: contract::fault::Aspect) -> Option<Span> {
        self.place_of(route, aspect).map(|(span, _)| span)
    }

    /// Line and column of a route in its text.
    pub fn position_of(&self, route: &Route, aspect: contract::fault::Aspect) -> Option<Position> {
        let span = self.span_of(route, aspect)?;
        Some(self.source(span).position(span.start))
    }

    fn place_of(&self, route: &Route, aspect: contract::fault::Aspect) -> Option<(Span, Option<Link>)> {
        let root = self.root.as_ref()?;
        if route.0.is_empty() {
            return None;
        }
        let found = root.locate(route, aspect);
        let source = self.source(found.node.span);
        let collection = matches!(found.node.kind, Kind::Mapping(_) | Kind::Sequence(_));
        let by_key = found.aspect == contract::fault::Aspect::Key && found.exact
            || found.node.span.is_empty()
            || collection && (!found.exact || source.is_multiline(found.node.span));
        let span = match found.key {
            Some(key) if by_key => key.span,
            None if std::ptr::eq(found.node, root) => return None,
            _ => source.first_line(found.node.span),
        };
        Some((span, found.node.link))
    }

    fn source(&self, span: Span) -> &Source {
        &self.sources[span.source.0 as usize]
    }

    fn location(&self, span: Span) -> String {
        let source = self.source(span);
        let position = source.position(span.start);
        format!("{}:{}:{}", source.name(), position.line, position.column)
    }

    /// A fault with its place.
    pub fn diagnostic(&self, fault: &Fault) -> Diagnostic {
        let mut labels: Vec<(Span, String)> = Vec::new();
        let mut span = None;
        let mut caption = None;
        if let Some(placed) = self.placed.get(&identity(fault)) {
            span = placed.span;
            caption.clone_from(&placed.caption);
            labels.extend(placed.labels.iter().cloned());
        } else if let Some((found, link)) = fault.route.as_ref().and_then(|route| self.place_of(route, fault.aspect)) {
            span = Some(found);
            match link {
                Some(Link::UsedAt(at)) if at != found => labels.push((at, "used here".to_owned())),
                Some(Link::SetAt(at)) if at != found => labels.push((at, "set here".to_owned())),
                _ => {}
            }
        }
        let own = |file: &str| self.sources.iter().any(|source| source.name() == file);
        let elsewhere = fault.place.as_ref().filter(|place| !own(&place.file));
        let mut diagnostic = Diagnostic {
            fault: fault.clone(),
            location: elsewhere.map(ToString::to_string).or_else(|| span.map(|span| self.location(span))),
            position: span.map(|span| self.source(span).position(span.start)),
            source: span.map(|span| self.source(span).clone()),
            labels: span.into_iter().map(|span| (span, caption.clone())).collect(),
            notes: Vec::new(),
        };
        if diagnostic.location.is_none() {
            diagnostic.location = fault.place.as_ref().map(ToString::to_string);
        }
        if let Some(place) = elsewhere.filter(|place| !fault.message.contains(&place.to_string())) {
            diagnostic.notes.push(format!("in {place}"));
        }
        for (at, text) in labels {
            if span.is_some_and(|span| span.source == at.source) {
                diagnostic.labels.push((at, Some(text)));
            } else {
                diagnostic.notes.push(format!("{text}: {}", self.location(at)));
            }
        }
        diagnostic
    }
}

/// Longest line that is shown whole; of a longer one, a part around the caret.
const LONGEST: usize = 240;
/// What is shown on either side of the caret then.
const AROUND: usize = 80;

/// What makes a fault the same fault: all it says.
fn identity(fault: &Fault) -> String {
    let route = fault.route.as_ref().map(ToString::to_string).unwrap_or_default();
    let place = fault.place.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}\0{}\0{route}\0{place}", fault.code, fault.message)
}

impl Diagnostic {
    /// `pipeline.yaml:7:11: error[graph::unknown_stage]: message (help)`.
    pub fn line(&self) -> String {
        let location = self.location.as_ref().map(|location| format!("{location}: ")).unwrap_or_default();
        let help = self.fault.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{location}{}[{}]: {}{help}", severity(self.fault.severity), self.fault.code, self.fault.message)
    }

    /// The fault as programs read it: the fault's own fields, with `file`, `line` and `column` of its place.
    pub fn json(&self) -> Value {
        let route = self.fault.route.as_ref().map(ToString::to_string);
        let (file, line, column) = match (&self.fault.place, &self.source, self.position) {
            (Some(place), ..) => (Some(place.file.clone()), place.line, place.column),
            (None, Some(source), Some(position)) => {
                (Some(source.name().to_owned()), Some(position.line as u64), Some(position.column as u64))
            }
            _ => (None, None, None),
        };
        json!({
            "code": self.fault.code,
            "severity": severity(self.fault.severity),
            "message": self.fault.message,
            "help": self.fault.help,
            "route": route,
            "file": file,
            "line": line,
            "column": column,
        })
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fault.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.fault.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.fault.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let lines: Vec<&str> =
            self.fault.help.as_deref().into_iter().chain(self.notes.iter().map(String::as_str)).collect();
        (!lines.is_empty()).then(|| Box::new(lines.join("\n")) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = |(at, (span, text)): (usize, &(Span, Option<String>))| {
            let (start, mut end) = (span.start as usize, span.end as usize);
            if let Some(source) = self.source.as_ref().filter(|source| source.is_too_long(start, end)) {
                end = source.boundary(start + AROUND);
            }
            let range = SourceSpan::from((start, end - start));
            match at {
                0 => LabeledSpan::new_primary_with_span(text.clone(), range),
                _ => LabeledSpan::new_with_span(text.clone(), range),
            }
        };
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().enumerate().map(label)) as Box<_>)
    }
}

impl Source {
    fn is_long(&self, line: usize) -> bool {
        let (start, end) = self.line_range(line);
        end - start > LONGEST
    }

    /// Whether a range is more than can be shown of the long lines it lies on.
    fn is_too_long(&self, start: usize, end: usize) -> bool {
        end - start > AROUND && (self.line_of(start)..=self.line_of(end)).any(|line| self.is_long(line))
    }

    /// The character's boundary at a byte or before it.
    fn boundary(&self, byte: usize) -> usize {
        self.text().floor_char_boundary(byte)
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let length = self.text().len();
        let start = span.offset().min(length);
        let end = (span.offset() + span.len()).min(length);
        // No label is so long: several of one line would be drawn together, with all that stands between them.
        if self.is_too_long(start, end) {
            return Err(MietteError::OutOfBounds);
        }
        let first = self.line_of(start);
        let last = self.line_of(end);
        // Without context, the contents begin at the span itself: miette takes line and column from there.
        let (mut from, mut until) = (start, end);
        if before > 0 || after > 0 {
            from = if self.is_long(first) {
                self.line_range(first).0.max(self.boundary(start.saturating_sub(AROUND)))
            } else {
                let above = (first.saturating_sub(before)..first).rev().take_while(|line| !self.is_long(*line)).last();
                self.line_range(above.unwrap_or(first)).0
            };
            until = if self.is_long(last) {
                self.line_range(last).1.min(self.boundary(end + AROUND))
            } else {
                let below = (last + 1..=last + after).take_while(|line| !self.is_long(*line)).last();
                self.line_range(below.unwrap_or(last)).1
            }
            .max(end);
        }
        let position = self.position(from as u32);
        Ok(Box::new(MietteSpanContents::new_named(
            self.name().to_owned(),
            &self.text().as_bytes()[from..until],
            (from, until - from).into(),
            position.line - 1,
            position.column - 1,
            last - first + 1,
        )))
    }
}

/// The text every pipeline file is.
pub const FILE: SourceId = SourceId(0);
