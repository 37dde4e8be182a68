//! Texts with names: files and command-line arguments, with lines and columns.

use std::sync::Arc;

/// A text by its position in [`crate::Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A range of bytes of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which text.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// Whether it covers nothing (the missing value after `key:`).
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A line and a column, both from 1; columns count characters, as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A text with a name and an index of its lines.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: Arc<str>,
    /// The first byte of every line.
    lines: Arc<[u32]>,
}

impl Source {
    /// Indexes a text. `name` is what messages show: a path, or `--set`.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(at, _)| at as u32 + 1)).collect();
        Self { name: name.into(), text, lines }
    }

    /// What messages show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span; empty when it does not lie on character boundaries.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Line (from 0) of a byte.
    pub fn line_of(&self, byte: usize) -> usize {
        self.lines.partition_point(|start| *start as usize <= byte).saturating_sub(1)
    }

    /// First byte of a line (from 0), and the byte after its last one, without the line break.
    pub fn line_range(&self, line: usize) -> (usize, usize) {
        let start = self.lines.get(line).map_or(self.text.len(), |start| *start as usize);
        let end = self.lines.get(line + 1).map_or(self.text.len(), |next| *next as usize);
        (start, start + self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r']).len())
    }

    /// Line and column of a byte.
    pub fn position(&self, byte: u32) -> Position {
        let byte = (byte as usize).min(self.text.len());
        let line = self.line_of(byte);
        let start = self.lines[line] as usize;
        let column = self.text.get(start..byte).map_or(byte - start, |before| before.chars().count());
        Position { line: line + 1, column: column + 1 }
    }

    /// The byte of a line and a column, both from 1; the end of the line when it is shorter.
    pub fn byte(&self, line: usize, column: usize) -> usize {
        let (start, end) = self.line_range(line.saturating_sub(1));
        let text = self.text.get(start..end).unwrap_or("");
        text.char_indices().nth(column.saturating_sub(1)).map_or(end, |(at, _)| start + at)
    }

    /// The part of a span that is on its first line.
    pub fn first_line(&self, span: Span) -> Span {
        let (_, end) = self.line_range(self.line_of(span.start as usize));
        Span { end: span.end.min(end as u32).max(span.start), ..span }
    }

    /// Whether a span goes over more than one line.
    pub fn is_multiline(&self, span: Span) -> bool {
        self.slice(span).contains('\n')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source::new("x", "a: 1\nnäme: ü b\n");
        let at = source.text().find('b').map(|byte| source.position(byte as u32));
        assert_eq!(at, Some(Position { line: 2, column: 9 }));
        assert_eq!(source.byte(2, 9), source.text().find('b').unwrap_or(0));
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(9999), Position { line: 3, column: 1 });
    }

    #[test]
    fn line_breaks_of_windows_are_not_part_of_a_line() {
        let source = Source::new("x", "a: 1\r\nb: 2\r\n");
        assert_eq!(source.line_range(0), (0, 4));
        assert_eq!(source.position(6), Position { line: 2, column: 1 });
    }
}
