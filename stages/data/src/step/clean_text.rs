//! `clean_text`: HTML, Unicode forms, case and white space.

use std::borrow::Cow;

use catalog::steps::clean_text::{Case, CleanText, UnicodeForm};
use contract::artifact::DType;
use unicode_normalization::UnicodeNormalization;

use super::chain::{Link, cells};
use super::pattern::texts;
use super::{Input, Transform};
use crate::fault::Outcome;

impl Transform for CleanText {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let before = input.columns().to_vec();
        let chosen = match &self.columns {
            Some(patterns) => input.chosen(patterns)?,
            None => {
                let text = |index: &usize| before[*index].dtype == DType::String && before[*index].shape.is_empty();
                (0..before.len()).filter(text).collect()
            }
        };
        Ok(cells(after, chosen, move |array, _| Ok(texts(array, |text| clean(text, self)))))
    }
}

/// A text cleaned as the options say: HTML, Unicode form, case, white space.
pub fn clean<'a>(text: &'a str, options: &CleanText) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    if options.strip_html && text.contains(['<', '&']) {
        text = Cow::Owned(strip_html(&text));
    }
    match options.unicode {
        Some(UnicodeForm::Nfc) if !text.is_ascii() => text = Cow::Owned(text.nfc().collect()),
        Some(UnicodeForm::Nfkc) if !text.is_ascii() => text = Cow::Owned(text.nfkc().collect()),
        _ => {}
    }
    match options.case {
        Some(Case::Lower) => text = Cow::Owned(text.to_lowercase()),
        Some(Case::Upper) => text = Cow::Owned(text.to_uppercase()),
        None => {}
    }
    if options.whitespace {
        text = Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    text
}

/// Tags that separate words when they are gone.
const BLOCKS: &[&str] = &[
    "p",
    "br",
    "div",
    "li",
    "ul",
    "ol",
    "tr",
    "td",
    "th",
    "table",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "section",
    "article",
    "header",
    "footer",
    "blockquote",
    "pre",
    "title",
    "option",
];

/// The text of a piece of HTML: tags, comments, scripts and styles are gone, entities are read. A `<` that opens no tag stays.
pub fn strip_html(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('&') {
            let (character, length) = entity(rest);
            text.push_str(&character);
            rest = &rest[length..];
        } else if rest.starts_with("<!--") {
            rest = rest.find("-->").map_or("", |end| &rest[end + 3..]);
        } else if rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            let end = tag_end(rest);
            let name: String = rest[1..end]
                .trim_start_matches('/')
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect::<String>()
                .to_ascii_lowercase();
            let closing = rest[1..].starts_with('/');
            rest = rest.get(end..).unwrap_or_default();
            if BLOCKS.contains(&name.as_str()) && !text.is_empty() && !text.ends_with(char::is_whitespace) {
                text.push('\n');
            }
            if !closing && matches!(name.as_str(), "script" | "style") {
                let close = format!("</{name}");
                // ASCII letters keep their length in either case.
                let end = rest.to_ascii_lowercase().find(&close);
                rest = end.map_or("", |end| &rest[end..]);
            }
        } else {
            text.push('<');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    text
}

/// Behind the `>` of a tag; one inside quotes is part of an attribute.
fn tag_end(tag: &str) -> usize {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') if tag.as_bytes()[at - 1] == b'=' => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// The character of an entity and its length in bytes; a `&` that begins none is itself.
fn entity(text: &str) -> (String, usize) {
    let none = ("&".to_owned(), 1);
    let Some(end) = text.bytes().take(12).position(|byte| byte == b';') else { return none };
    let name = &text[1..end];
    let character = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        "ndash" => Some('–'),
        "mdash" => Some('—'),
        "hellip" => Some('…'),
        "lsquo" => Some('‘'),
        "rsquo" => Some('’'),
        "ldquo" => Some('“'),
        "rdquo" => Some('”'),
        "laquo" => Some('«'),
        "raquo" => Some('»'),
        "bull" => Some('•'),
        "copy" => Some('©'),
        "reg" => Some('®'),
        "trade" => Some('™'),
        "euro" => Some('€'),
        "auml" => Some('ä'),
        "ouml" => Some('ö'),
        "uuml" => Some('ü'),
        "Auml" => Some('Ä'),
        "Ouml" => Some('Ö'),
        "Uuml" => Some('Ü'),
        "szlig" => Some('ß'),
        "eacute" => Some('é'),
        "egrave" => Some('è'),
        "agrave" => Some('à'),
        "ccedil" => Some('ç'),
        "ntilde" => Some('ñ'),
        _ => {
            let number = name.strip_prefix('#');
            let hex = number.and_then(|number| number.strip_prefix(['x', 'X']));
            let code = match (hex, number) {
                (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
                (None, Some(number)) => number.parse().ok(),
                _ => None,
            };
            code.filter(|code| *code != 0).and_then(char::from_u32)
        }
    };
    character.map_or(none, |character| (character.to_string(), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_text() {
        for (html, expected) in [
            ("a <b>bold</b> word", "a bold word"),
            ("<p>one</p><p>two</p>", "one\ntwo\n"),
            ("x < 3 & y > 2", "x < 3 & y > 2"),
            ("&lt;b&gt; &#65;&#x42; &amp;amp; &nope;", "<b> AB &amp; &nope;"),
            ("a<!-- no <b> -->b<script>if (a < b) {}</script>c<style>x</style>", "abc"),
            ("<a title=\"1 > 0\" href='x'>link</a>", "link"),
            ("open <b", "open "),
            ("it's <i>it's</i>", "it's it's"),
            ("5 <", "5 <"),
        ] {
            assert_eq!(strip_html(html), expected, "{html}");
        }
    }

    #[test]
    fn options_work_in_order() {
        let all = CleanText {
            strip_html: true,
            unicode: Some(UnicodeForm::Nfkc),
            case: Some(Case::Lower),
            whitespace: true,
            ..CleanText::default()
        };
        assert_eq!(clean(" <b>\u{fb01}rst</b>\u{a0}\n E\u{301}T\u{c9} x² ", &all), "first été x2");
        assert_eq!(clean(" A ", &CleanText::default()), " A ");
    }
}
