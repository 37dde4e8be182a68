//! YAML text -> [`Node`] tree. The only file that names the YAML parser.
//!
//! granit-parser (the parser below serde-saphyr) gives events with byte ranges; this module builds the tree from them
//! without recursion, resolves anchors and merge keys under a budget, and words every error itself. Scalars follow the
//! core schema of YAML 1.2 with one exception: a whole number with a leading zero (`007`) is text, because a postal
//! code is meant more often than a seven.

use std::collections::HashMap;

use contract::fault::{Fault, Route, nearest};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, StructureStyle};

use crate::report::faults::PlacedFaults;
use crate::yaml::limits::{FREE_COPIES, MAX_DEPTH, MAX_NODES, MAX_TEXT};
use crate::yaml::node::{Entry, Key, Kind, Node};
use crate::yaml::source::{Source, SourceId, Span};

/// Parses the text of a source from byte `offset` on. `None` when no tree could be made; faults say why.
pub fn parse(id: SourceId, source: &Source, offset: usize, faults: &mut PlacedFaults) -> Option<Node> {
    let text = source.text().get(offset..).unwrap_or("");
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder {
        id,
        source,
        offset,
        faults,
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        nodes: 0,
        copies: 0,
        copied: 0,
    };
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match event {
            Ok(next) => next,
            Err(error) => {
                builder.syntax_error(&error);
                return None;
            }
        };
        let range = span.byte_range().unwrap_or(0..0);
        let span = builder.span(range.start, range.end);
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > 1 {
                let fault = Fault::error(contract::code!("yaml::second_document"), "a second document starts here")
                    .help("keep one pipeline in a file: move this part to a file of its own, or remove the `---`");
                builder.faults.add(fault, builder.source.first_line(span));
                break;
            }
        }
        if !builder.event(event, span) {
            return None;
        }
    }
    builder.root
}

struct Builder<'a> {
    id: SourceId,
    source: &'a Source,
    offset: usize,
    faults: &'a mut PlacedFaults,
    stack: Vec<Frame>,
    /// Finished anchored values with their number of nodes and their height; `None` while one is being read.
    anchors: HashMap<usize, Option<(Node, usize, usize)>>,
    root: Option<Node>,
    nodes: usize,
    copies: usize,
    /// Bytes of text that aliases have added.
    copied: usize,
}

/// A list or a mapping that is being read.
struct Frame {
    start: Span,
    flow: bool,
    anchor: usize,
    /// End of the last thing inside, in the text.
    end: u32,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    /// `broken` when something stood there that is no key.
    Mapping {
        entries: Vec<Entry>,
        key: Option<Option<Key>>,
        broken: bool,
    },
}

impl Builder<'_> {
    fn span(&self, start: usize, end: usize) -> Span {
        Span { source: self.id, start: (start + self.offset) as u32, end: (end + self.offset) as u32 }
    }

    /// Takes one event. False stops the parse: a limit was met.
    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| (tag.core_suffix().map(str::to_owned), tag.original()));
                let kind = self.scalar(&text, style, tag, span);
                let mut span = span;
                if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                    span.end = span.start + self.source.slice(span).trim_end().len() as u32;
                }
                return self.finish(Node::new(span, kind), anchor, span.end);
            }
            Event::SequenceStart(style, anchor, tag) => {
                if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema_tag("seq")) {
                    self.unknown_tag(&tag.original(), span);
                }
                return self.open(Content::Sequence(Vec::new()), style, anchor, span);
            }
            Event::MappingStart(style, anchor, tag) => {
                if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema_tag("map")) {
                    self.unknown_tag(&tag.original(), span);
                }
                return self.open(
                    Content::Mapping { entries: Vec::new(), key: None, broken: false },
                    style,
                    anchor,
                    span,
                );
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(span),
            Event::Alias(id) => return self.alias(id, span),
            Event::UnresolvedAlias(name) => {
                let known: Vec<String> = self.anchor_names();
                let mut fault =
                    Fault::error(contract::code!("yaml::unknown_anchor"), format!("no anchor is called `{name}`"))
                        .at(self.route());
                fault.help = Some(match nearest(&name, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `*{near}`?"),
                    None => format!("a text that starts with `*` must be quoted: `\"*{name}\"`"),
                });
                self.faults.add(fault, span);
                return self.finish(Node::new(span, Kind::Unknown), 0, span.end);
            }
            _ => {}
        }
        true
    }

    fn open(&mut self, content: Content, style: StructureStyle, anchor: usize, span: Span) -> bool {
        if self.stack.len() >= MAX_DEPTH {
            self.too_deep(span);
            return false;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, None);
        }
        let flow = style == StructureStyle::Flow;
        self.stack.push(Frame { start: span, flow, anchor, end: span.end.max(span.start), content });
        true
    }

    fn close(&mut self, span: Span) -> bool {
        let Some(frame) = self.stack.pop() else { return true };
        let end = if frame.flow { span.end } else { frame.end };
        let place = Span { end: end.max(frame.start.start), ..frame.start };
        let kind = match frame.content {
            Content::Sequence(mut items) => {
                items.shrink_to_fit();
                Kind::Sequence(items)
            }
            Content::Mapping { broken: true, .. } => Kind::Unknown,
            Content::Mapping { entries, .. } => Kind::Mapping(self.entries(entries)),
        };
        self.finish(Node::new(place, kind), frame.anchor, end)
    }

    /// Puts a finished value where it belongs. `end` is where it ends in the text.
    fn finish(&mut self, node: Node, anchor: usize, end: u32) -> bool {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.too_large(node.span);
            return false;
        }
        if anchor != 0 {
            let (count, height) = node.size();
            self.anchors.insert(anchor, Some((node.clone(), count, height)));
        }
        self.attach(node, end);
        true
    }

    fn attach(&mut self, node: Node, end: u32) {
        let source = self.source;
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        frame.end = frame.end.max(end);
        match &mut frame.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping { entries, key, broken } => match key.take() {
                Some(Some(key)) => entries.push(Entry { key, value: node }),
                Some(None) => {}
                None => {
                    let text = match node.kind {
                        Kind::Text(text) | Kind::Untyped(text) => Some(text),
                        Kind::Sequence(_) | Kind::Mapping(_) => None,
                        _ => Some(source.slice(node.span).trim().to_owned()),
                    };
                    if text.is_none() {
                        *broken = true;
                        let written = source.slice(node.span);
                        let help = if written.starts_with('{') {
                            "quote what starts with `{`: `\"{{ x }}\"`; variables are `${vars.x}`"
                        } else {
                            "keys are plain text"
                        };
                        let fault = Fault::error(
                            contract::code!("yaml::complex_key"),
                            "a list or a mapping stands where a key is wanted",
                        );
                        self.faults.add(fault.help(help), source.first_line(node.span));
                    }
                    *key = Some(text.map(|text| Key { text, span: node.span }));
                }
            },
        }
    }

    fn alias(&mut self, id: usize, span: Span) -> bool {
        let Some(Some((node, count, height))) = self.anchors.get(&id) else {
            let name = self.source.slice(span).to_owned();
            let fault = Fault::error(
                contract::code!("yaml::recursive_alias"),
                format!("`{name}` is inside the value it stands for"),
            )
            .help("an alias can only repeat what is finished before it");
            self.faults.add(fault, span);
            return self.finish(Node::new(span, Kind::Unknown), 0, span.end);
        };
        if self.stack.len() + height > MAX_DEPTH {
            self.too_deep(span);
            return false;
        }
        self.copies += count;
        self.copied += node.bytes();
        if self.copies > FREE_COPIES + 16 * self.nodes || self.copied > MAX_TEXT {
            let fault =
                Fault::error(contract::code!("yaml::alias_bomb"), "the aliases of this file unfold into too much")
                    .help("aliases of aliases multiply: write the values out, or repeat smaller parts");
            self.faults.add(fault, span);
            return false;
        }
        let mut node = node.clone();
        node.used_at(span);
        self.attach(node, span.end);
        true
    }

    /// Resolves merge keys and duplicate keys.
    fn entries(&mut self, read: Vec<Entry>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(read.len());
        let mut merges = Vec::new();
        let mut known: HashMap<String, Span> = HashMap::new();
        let large = read.len() > 16;
        for entry in read {
            if entry.key.text == "<<" && self.source.slice(entry.key.span) == "<<" {
                merges.push(entry);
                continue;
            }
            let first = if large {
                known.get(&entry.key.text).copied()
            } else {
                entries.iter().find(|other| other.key.text == entry.key.text).map(|other| other.key.span)
            };
            if let Some(first) = first {
                let name = &entry.key.text;
                let fault = Fault::error(
                    contract::code!("yaml::duplicate_key"),
                    format!("`{name}` stands twice in one mapping"),
                )
                .help("keep one of the two")
                .at_key(self.route().join(name.as_str()));
                self.faults.add(fault, entry.key.span).label(first, "first here").caption =
                    Some("again here".to_owned());
                continue;
            }
            if large {
                known.insert(entry.key.text.clone(), entry.key.span);
            }
            entries.push(entry);
        }
        if merges.is_empty() {
            return entries;
        }
        let mut known: std::collections::HashSet<String> = entries.iter().map(|entry| entry.key.text.clone()).collect();
        for merge in merges {
            let sources = match merge.value.kind {
                Kind::Sequence(items) => items,
                _ => vec![merge.value],
            };
            for source in sources {
                let Kind::Mapping(more) = source.kind else {
                    let fault = Fault::error(
                        contract::code!("yaml::merge"),
                        "`<<` can only take in a mapping, or a list of mappings",
                    )
                    .help("write `<<: *name` where `&name` stands before a mapping")
                    .at(self.route());
                    let span = if source.span.is_empty() { merge.key.span } else { source.span };
                    self.faults.add(fault, self.source.first_line(span));
                    continue;
                };
                entries.extend(more.into_iter().filter(|entry| known.insert(entry.key.text.clone())));
            }
        }
        entries
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<(Option<String>, String)>, span: Span) -> Kind {
        let plain = style == ScalarStyle::Plain;
        let Some((core, written)) = tag else {
            return if plain { resolve(text) } else { Kind::Text(text.to_owned()) };
        };
        let resolved = resolve(text);
        let (wanted, fits) = match core.as_deref() {
            Some("str") => return Kind::Text(text.to_owned()),
            _ if written == "!" => return Kind::Text(text.to_owned()),
            Some("int") => ("a whole number", matches!(resolved, Kind::Int(_))),
            Some("float") => ("a number", matches!(resolved, Kind::Int(_) | Kind::Float(_))),
            Some("bool") => ("`true` or `false`", matches!(resolved, Kind::Bool(_))),
            Some("null") => ("nothing", matches!(resolved, Kind::Null)),
            _ => {
                self.unknown_tag(&written, span);
                return resolved;
            }
        };
        if !fits {
            let fault =
                Fault::error(contract::code!("yaml::tag"), format!("`{written}` wants {wanted}, and `{text}` is not"))
                    .help("remove the tag, or correct the value")
                    .at(self.route());
            self.faults.add(fault, span);
            return Kind::Unknown;
        }
        match (core.as_deref(), resolved) {
            (Some("float"), Kind::Int(value)) => Kind::Float(value as f64),
            (_, resolved) => resolved,
        }
    }

    fn unknown_tag(&mut self, written: &str, span: Span) {
        let fault = Fault::error(contract::code!("yaml::tag"), format!("the tag `{written}` means nothing here"))
            .help("remove it; a text that starts with `!` must be quoted")
            .at(self.route());
        // The tag stands before the value, on the same line as a rule.
        let before = &self.source.text()[..span.start as usize];
        let start = before.rfind(written).filter(|at| span.start as usize - at < written.len() + 80);
        let at = start.map_or(span, |at| Span { start: at as u32, end: (at + written.len()) as u32, ..span });
        self.faults.add(fault, self.source.first_line(at));
    }

    fn too_deep(&mut self, span: Span) {
        let fault = Fault::error(
            contract::code!("yaml::too_deep"),
            format!("lists and mappings are nested deeper than {MAX_DEPTH}"),
        )
        .help("look for brackets that are opened and never closed");
        self.faults.add(fault, self.source.first_line(span));
    }

    fn too_large(&mut self, span: Span) {
        let fault =
            Fault::error(contract::code!("yaml::too_large"), format!("the file has more than {MAX_NODES} values"))
                .help("put data into data files and let `collect` read them");
        self.faults.add(fault, self.source.first_line(span));
    }

    /// Where the parser stands, as far as keys are known.
    fn route(&self) -> Route {
        let mut route = Route::root();
        for frame in &self.stack {
            match &frame.content {
                Content::Sequence(items) => route.0.push(items.len().into()),
                Content::Mapping { key: Some(Some(key)), .. } => route.0.push(key.text.clone().into()),
                Content::Mapping { .. } => {}
            }
        }
        route
    }

    /// Names behind `&` in the text, for suggestions.
    fn anchor_names(&self) -> Vec<String> {
        let words = self.source.text().split(|char: char| char.is_whitespace() || ",[]{}".contains(char));
        words.filter_map(|word| word.strip_prefix('&')).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let text = self.source.text();
        let mark = error.marker();
        let at =
            mark.byte_offset().map_or_else(|| self.source.byte(mark.line(), mark.col() + 1), |at| at + self.offset);
        let at = at.min(text.len());
        let worded =
            crate::report::wording::syntax(error.kind(), self.source, at, self.stack.last().map(|frame| frame.start));
        let mut fault = Fault::error(worded.code, worded.message).at(self.route());
        fault.help = worded.help;
        let span = Span { source: self.id, start: worded.start as u32, end: worded.end as u32 };
        let placed = self.faults.add(fault, span);
        if let Some((start, end, note)) = worded.also {
            placed.label(Span { source: self.id, start: start as u32, end: end as u32 }, note);
        }
    }
}

/// The type of a plain scalar under YAML 1.2's core schema.
pub fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Kind::Float(f64::NAN),
        _ => {}
    }
    let (sign, digits) = match text.as_bytes()[0] {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Kind::Float(f64::from(sign) * f64::INFINITY);
    }
    let Some(first) = digits.bytes().next() else { return Kind::Text(text.to_owned()) };
    if !first.is_ascii_digit() && first != b'.' {
        return Kind::Text(text.to_owned());
    }
    if sign == 1 && digits.len() == text.len() {
        let radix =
            [("0x", 16), ("0o", 8)].iter().find_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, *radix)));
        if let Some((rest, radix)) = radix {
            let clean = !rest.is_empty() && rest.chars().all(|char| char.is_digit(radix));
            let value = clean.then(|| i128::from_str_radix(rest, radix).ok()).flatten();
            return value.map_or_else(|| Kind::Text(text.to_owned()), Kind::Int);
        }
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if digits.len() > 1 && first == b'0' {
            return Kind::Text(text.to_owned());
        }
        return match digits.parse::<i128>() {
            Ok(value) => Kind::Int(i128::from(sign) * value),
            Err(_) => Kind::Float(text.parse().unwrap_or(f64::INFINITY)),
        };
    }
    let float = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        && digits.bytes().any(|byte| byte.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(value) if float => Kind::Float(value),
        _ => Kind::Text(text.to_owned()),
    }
}
