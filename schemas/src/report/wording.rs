//! What the YAML parser complains about, in words that say what to do.

use contract::fault::Code;
use granit_parser::ErrorKind;

use crate::report::phrases::shorten;
use crate::yaml::source::{Source, Span};

/// A syntax error as it is shown.
pub(crate) struct Worded {
    pub code: Code,
    pub message: String,
    pub help: Option<String>,
    /// The bytes under the caret.
    pub start: usize,
    pub end: usize,
    /// A second place with a note.
    pub also: Option<(usize, usize, String)>,
}

/// Words an error at byte `at`. `open` is the innermost list or mapping that was being read.
pub(crate) fn syntax(kind: &ErrorKind, source: &Source, at: usize, open: Option<Span>) -> Worded {
    use ErrorKind as E;
    let text = source.text();
    let at = floor(text, at);
    let (start, end) = token(source, at);
    let worded = |code, message: &str, help: &str| Worded {
        code,
        message: message.to_owned(),
        help: Some(help.to_owned()),
        start,
        end,
        also: None,
    };
    match kind {
        E::UnclosedQuotedScalar | E::DocumentIndicatorInQuotedScalar => {
            let quote = text[..at].rfind(['"', '\'']).filter(|_| !text[at..].starts_with(['"', '\''])).unwrap_or(at);
            Worded {
                start: quote,
                end: source.line_range(source.line_of(quote)).1.max(quote),
                ..worded(
                    contract::code!("yaml::unclosed_quote"),
                    "this quote is never closed",
                    "close it with the same quote",
                )
            }
        }
        E::UnclosedFlowCollection { .. }
        | E::UnexpectedEofFlowSequence
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEofImplicitFlowMapping
        | E::ExpectedFlowMappingSeparator
        | E::ExpectedFlowSequenceSeparator
        | E::InvalidFlowScalarIndent => flow(source, at, open, worded),
        E::MismatchedFlowCollectionEnd { open: left, close } => {
            let wanted = if *left == '[' { ']' } else { '}' };
            let mut worded = worded(
                contract::code!("yaml::wrong_bracket"),
                &format!("`{left}` is closed with `{close}`"),
                &format!("write `{wanted}`"),
            );
            if text[at..].starts_with(*left)
                && let Some(found) = text[at..].find(*close)
            {
                worded.also = Some((at, at + 1, "opened here".to_owned()));
                (worded.start, worded.end) = (at + found, at + found + 1);
            }
            worded
        }
        E::MisplacedFlowCollectionEnd => worded(
            contract::code!("yaml::wrong_bracket"),
            "this bracket closes nothing",
            "remove it, or quote the text it belongs to",
        ),
        E::TabNotAllowed
        | E::TabInBlockIndentation
        | E::TabInIndentation
        | E::TabAtBlockScalarStart
        | E::TabInPlainScalar => {
            let tab = text[..at].rfind('\t').filter(|tab| source.line_of(*tab) == source.line_of(at)).unwrap_or(at);
            let tab = if text[at..].starts_with('\t') { at } else { tab };
            Worded {
                start: tab,
                end: (tab + 1).min(text.len()),
                ..worded(
                    contract::code!("yaml::tab"),
                    "a tab stands where spaces are wanted",
                    "indent with spaces: two for each level",
                )
            }
        }
        E::UnexpectedCharacter { character } => {
            let line_end = source.line_range(source.line_of(at)).1;
            let rest = text[at..line_end].split(" #").next().unwrap_or("").trim_end().trim_end_matches([',', '}', ']']);
            Worded {
                end: at + rest.len().max(character.len_utf8()),
                ..worded(
                    contract::code!("yaml::quote_needed"),
                    &format!("a text cannot start with `{character}`"),
                    &format!("put it in quotes: `\"{}\"`", crate::report::phrases::shorten(rest)),
                )
            }
        }
        E::MappingValueNotAllowed
        | E::InvalidColonPlacement
        | E::FlowMappingValueAdjacentCollection
        | E::InvalidMappingValueWhitespace => colon(source, at, worded),
        E::SimpleKeyExpected | E::InvalidSimpleKey => missing_colon(source, at, worded),
        E::ExpectedBlockMappingKey
        | E::ExpectedBlockSequenceEntry
        | E::BlockSequenceEntryNotAllowed
        | E::MappingKeyNotAllowed
        | E::InvalidIndentation => indentation(source, at, worded),
        E::BlockEntryInFlowCollection => worded(
            contract::code!("yaml::dash_in_brackets"),
            "a list with `-` cannot stand inside brackets",
            "write `[a, b]` with commas, or leave the brackets out",
        ),
        E::UnknownQuotedScalarEscape | E::InvalidQuotedScalarHexEscape => {
            let start = unknown_escape(&text[at..]).map_or(at, |found| at + found);
            Worded {
                end: ceil(text, start + 2),
                start,
                ..worded(
                    contract::code!("yaml::escape"),
                    "this escape means nothing in double quotes",
                    "use single quotes for a text with backslashes: `'C:\\data'`",
                )
            }
        }
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => worded(
            contract::code!("yaml::after_quote"),
            "text goes on after the closing quote",
            "quote the whole text, and double a `'` inside single quotes",
        ),
        E::CommentNotSeparated | E::CommentInterceptedScalar => worded(
            contract::code!("yaml::comment"),
            "a comment is in the way of this text",
            "put a space before `#`, or quote the text",
        ),
        E::RecursionLimitExceeded => worded(
            contract::code!("yaml::too_deep"),
            &format!("lists and mappings are nested deeper than {}", crate::yaml::limits::MAX_DEPTH),
            "look for brackets that are opened and never closed",
        ),
        E::BomInsideDocument => worded(
            contract::code!("yaml::character"),
            "an invisible byte-order mark stands here",
            "delete it, or save the file as plain UTF-8",
        ),
        E::MissingAnchorOrAliasName => worded(
            contract::code!("yaml::quote_needed"),
            "`*` and `&` begin an alias or an anchor, and its name is missing",
            "a text that starts with `*` or `&` must be quoted: `\"*\"`",
        ),
        E::ZeroBlockScalarIndent | E::InvalidBlockScalarHeader | E::InvalidBlockScalarIndent => worded(
            contract::code!("yaml::block_text"),
            "this block of text does not start as it should",
            "write `|` or `>` alone on the line, and indent the text below it",
        ),
        E::DirectiveDisallowed
        | E::MissingDocumentEndBeforeDirective
        | E::InvalidDirectiveName
        | E::MissingDirectiveName
        | E::UnsupportedYamlMajorVersion
        | E::ExpectedDocumentStart => worded(
            contract::code!("yaml::directive"),
            "this is not the start of a pipeline",
            "a text that starts with `%` must be quoted; keys stand at the start of a line",
        ),
        E::InvalidDocumentEnd => worded(
            contract::code!("yaml::second_document"),
            "something follows the end of the document",
            "keep one pipeline in a file",
        ),
        E::UndeclaredTagHandle
        | E::ExpectedTagBang
        | E::InvalidTagTerminator
        | E::UnclosedVerbatimTag
        | E::InvalidTagEscape
        | E::MissingTagUri => worded(
            contract::code!("yaml::tag"),
            "tags mean nothing here",
            "a text that starts with `!` must be quoted: `\"!…\"`",
        ),
        other => {
            let message = format!("this is not well-formed: {other}");
            worded(
                contract::code!("yaml::syntax"),
                &message,
                "look at the indentation, the colons and the quotes around here",
            )
        }
    }
}

/// Brackets: not closed, or a comma is missing.
fn flow(source: &Source, at: usize, open: Option<Span>, worded: impl Fn(Code, &str, &str) -> Worded) -> Worded {
    let text = source.text();
    let rest = text[at..].trim_start();
    let bracket = open.and_then(|open| text[open.start as usize..].chars().next()).filter(|char| "[{".contains(*char));
    let (Some(bracket), Some(open)) = (bracket, open) else {
        return worded(
            contract::code!("yaml::unclosed_bracket"),
            "a bracket is not closed",
            "close it with `]` or `}`",
        );
    };
    let wanted = if bracket == '[' { ']' } else { '}' };
    let same_line = source.line_of(open.start as usize) == source.line_of(at);
    if rest.is_empty() || !same_line {
        let start = open.start as usize;
        return Worded {
            start,
            end: start + 1,
            ..worded(
                contract::code!("yaml::unclosed_bracket"),
                &format!("this `{bracket}` is never closed"),
                &format!("close it with `{wanted}`; a text with brackets in it must be quoted"),
            )
        };
    }
    // What is wrong may stand before the bracket that the parser is in by then.
    let before = text.get(open.start as usize..at).unwrap_or_default().trim_end();
    let help = match before.rfind("${").filter(|from| before.ends_with('}') && !before[*from..].contains(',')) {
        Some(from) => format!(
            "between brackets a text with `{}` in it ends at its `}}`: put the whole text in quotes",
            shorten(&before[from..])
        ),
        None => "items between brackets are separated by commas".to_owned(),
    };
    let mut worded =
        worded(contract::code!("yaml::missing_comma"), &format!("a `,` or `{wanted}` is wanted before this"), &help);
    worded.also = Some((open.start as usize, open.start as usize + 1, "opened here".into()));
    worded
}

/// The first backslash of a double-quoted text that begins no escape.
fn unknown_escape(quoted: &str) -> Option<usize> {
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        if char == '\\' {
            let (_, next) = chars.next()?;
            if !"0abt\tnvfre \"/\\N_LPxuU\n".contains(next) {
                return Some(at);
            }
        }
    }
    None
}

/// `: ` inside a text, or a value below a value.
fn colon(source: &Source, at: usize, worded: impl Fn(Code, &str, &str) -> Worded) -> Worded {
    let (from, to) = source.line_range(source.line_of(at));
    if source.text()[from..at.clamp(from, to)].contains(": ") {
        return worded(
            contract::code!("yaml::colon_in_text"),
            "a second `:` on this line",
            "a text with `: ` in it must be quoted: `key: \"this: that\"`",
        );
    }
    indentation(source, at, worded)
}

/// A line without its colon.
fn missing_colon(source: &Source, at: usize, worded: impl Fn(Code, &str, &str) -> Worded) -> Worded {
    let line = source.line_of(at);
    // The parser notices a line late: the one without a colon is this one or the one before.
    let candidates = (line.saturating_sub(2)..=line).rev().chain(std::iter::once(line + 1));
    let suspect = candidates.into_iter().find_map(|line| bare(source, line));
    let Some((start, body)) = suspect else {
        return worded(
            contract::code!("yaml::missing_colon"),
            "a `:` is missing here",
            "write `key: value`, with a space after the colon",
        );
    };
    let end = start + body.len();
    let help = match body.split_once(':') {
        Some((key, value)) if !key.is_empty() => format!("a space must follow the colon: `{key}: {value}`"),
        _ => match body.split_once(' ') {
            Some((key, value)) => format!("write `{key}: {value}`"),
            None => format!("write `{body}:`, then its value"),
        },
    };
    Worded {
        start,
        end,
        help: Some(help),
        ..worded(contract::code!("yaml::missing_colon"), "this line is not `key: value`", "")
    }
}

/// The content of a line that has no `key:`, and where it starts.
fn bare(source: &Source, line: usize) -> Option<(usize, &str)> {
    let (start, end) = source.line_range(line);
    let content = source.text().get(start..end)?;
    let trimmed = content.trim_start();
    let body = trimmed.split(" #").next().unwrap_or("").trim_end();
    let marks = ['#', '"', '\'', '[', '{', '|', '>', '-', ']', '}'];
    let bare = !body.is_empty() && !body.starts_with(marks) && !body.ends_with([':', ',']);
    (bare && !body.contains(": ")).then(|| (start + content.len() - trimmed.len(), body))
}

/// A line that stands too far left or right, or the line above it lacks its colon.
fn indentation(source: &Source, at: usize, worded: impl Fn(Code, &str, &str) -> Worded) -> Worded {
    let text = source.text();
    let line = source.line_of(at);
    let (from, to) = source.line_range(line);
    let content = &text[from..to];
    let indent = content.len() - content.trim_start().len();
    let trimmed = content.trim();
    let no_colon = !trimmed.contains(':') && !trimmed.starts_with('-') && !trimmed.is_empty();
    if no_colon || above(source, line).is_some_and(|above| bare(source, above).is_some()) {
        return missing_colon(source, at, &worded);
    }
    let mut result = worded(
        contract::code!("yaml::indentation"),
        &format!("this line is indented by {indent}, which fits no line above"),
        "keys of one mapping, and dashes of one list, start in the same column",
    );
    result.start = from + indent;
    result.end = to.max(from + indent);
    let levels = levels(source, line);
    let deeper = levels.iter().rev().find(|(level, _)| *level > indent);
    let shallower = levels.iter().find(|(level, _)| *level < indent);
    let like = |found: &(usize, String)| format!("by {}, like `{}`", found.0, found.1);
    let choices: Vec<String> = deeper.into_iter().chain(shallower).map(like).collect();
    if !choices.is_empty() {
        result.help = Some(format!("indent it {}", choices.join(", or ")));
    }
    result
}

/// The line above that is not blank and not a comment.
fn above(source: &Source, line: usize) -> Option<usize> {
    (0..line).rev().find(|line| {
        let (from, to) = source.line_range(*line);
        let content = source.text()[from..to].trim();
        !content.is_empty() && !content.starts_with('#')
    })
}

/// The columns in which something starts above a line, innermost first, each with its first word.
fn levels(source: &Source, line: usize) -> Vec<(usize, String)> {
    let mut levels: Vec<(usize, String)> = Vec::new();
    let mut smallest = usize::MAX;
    for line in (0..line).rev().take(10_000) {
        let (from, to) = source.line_range(line);
        let content = &source.text()[from..to];
        let trimmed = content.trim_start();
        let indent = content.len() - trimmed.len();
        if trimmed.is_empty() || trimmed.starts_with('#') || indent >= smallest {
            continue;
        }
        let word = |text: &str| text.split([' ', ':']).next().unwrap_or("").to_owned();
        match trimmed.strip_prefix("- ") {
            Some(item) => levels.extend([(indent + 2, word(item)), (indent, "-".to_owned())]),
            None => levels.push((indent, word(trimmed))),
        }
        smallest = indent;
        if indent == 0 {
            break;
        }
    }
    levels
}

/// The word at a byte, or the rest of the line when there is none.
fn token(source: &Source, at: usize) -> (usize, usize) {
    let text = source.text();
    let line_end = source.line_range(source.line_of(at)).1;
    let rest = text.get(at..line_end).unwrap_or("");
    let word = rest.find(|char: char| char.is_whitespace() || ",[]{}".contains(char)).unwrap_or(rest.len());
    let end = at + word.max(rest.chars().next().map_or(0, char::len_utf8));
    if at == end {
        // The end of a line: point at its last character.
        let start = floor(text, at.saturating_sub(1));
        return if text[start..at].contains('\n') { (at, at) } else { (start, at) };
    }
    (at, end)
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}
