//! Texts that must fit, and that must not break a picture.

/// At most `most` characters; a longer text ends with `…`.
pub fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The text without control characters: XML allows them in no spelling. `maud` escapes the rest.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// About how wide a text is, in units of its font size: sans-serif, as browsers have it. Rather too wide than too narrow.
pub fn width(text: &str) -> f64 {
    let each = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | '.' | ',' | ' ' | '\'' | '|' | '(' | ')' => 0.4,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 1.0,
        'A'..='Z' => 0.75,
        c if c < '\u{1100}' => 0.64,
        _ => 1.05,
    };
    text.chars().map(each).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_measured_by_characters() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("äöüßé", 4), "äöü…");
        assert_eq!(printable("a\u{1}b\n"), "a\u{fffd}b\u{fffd}");
        assert!(width("WWW") > width("www".to_uppercase().replace('W', "n").as_str()) && width("一二") > 2.0);
    }
}
