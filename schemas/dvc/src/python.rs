//! Values as DVC's reader (YAML 1.2 in Python, with `_` in numbers) takes them, and as Python prints them.

use std::path::Path;

use schemas::yaml::node::{Entry, Kind, Node};
use schemas::yaml::source::Source;

/// Makes of every plain scalar of a tree what DVC makes of it: `010` is ten, `1_000` a thousand. A key that is a number
/// becomes the text that DVC calls it by.
pub(super) fn settle(node: &mut Node, source: &Source) {
    match &mut node.kind {
        Kind::Sequence(items) => items.iter_mut().for_each(|item| settle(item, source)),
        Kind::Mapping(entries) => {
            for Entry { key, value } in entries {
                if source.slice(key.span).trim() == key.text
                    && let Some(number) = number(&key.text)
                {
                    key.text = printed(&number).unwrap_or_default();
                }
                settle(value, source);
            }
        }
        Kind::Text(_) | Kind::Int(_) | Kind::Float(_) => {
            // What is quoted is written with its quotes.
            if let Some(number) = number(source.slice(node.span).trim()) {
                node.kind = number;
            }
        }
        _ => {}
    }
}

/// The number that a plain scalar is.
fn number(text: &str) -> Option<Kind> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let bare = |digits: &str| digits.replace('_', "");
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return Some(Kind::Int(sign * i128::from_str_radix(&bare(rest), radix).ok()?));
        }
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        let digits = bare(digits);
        return Some(match digits.parse::<i128>() {
            Ok(value) => Kind::Int(sign * value),
            // Python's whole numbers have no end.
            Err(_) => Kind::Text(format!("{}{}", if sign < 0 { "-" } else { "" }, digits.trim_start_matches('0'))),
        });
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let whole = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let sound = mantissa.bytes().any(|byte| byte.is_ascii_digit())
        && mantissa.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_' || byte == b'.')
        && mantissa.matches('.').count() <= 1
        && exponent.is_none_or(|exponent| whole(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    let value = sound.then(|| bare(digits).parse::<f64>().ok()).flatten()?;
    Some(Kind::Float(f64::from(sign as i8) * value))
}

/// A scalar inside a text, as DVC writes it there.
pub(super) fn scalar(node: &Node) -> Option<String> {
    printed(&node.kind)
}

fn printed(kind: &Kind) -> Option<String> {
    Some(match kind {
        Kind::Text(text) | Kind::Untyped(text) => text.clone(),
        Kind::Int(value) => value.to_string(),
        Kind::Float(value) => float(*value),
        Kind::Bool(value) => value.to_string(),
        Kind::Null => "None".to_owned(),
        Kind::Sequence(_) | Kind::Mapping(_) | Kind::Unknown => return None,
    })
}

/// `repr` of a float: the shortest digits that give it back, an exponent of two digits below 1e-4 and from 1e16 on.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// How a mapping becomes arguments: `[parsing]` of the project's `.dvc/config`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    /// False is `--no-flag`, not nothing.
    no: bool,
    /// Every item of a list has its key before it.
    append: bool,
}

impl Style {
    /// Of the project a folder belongs to: the nearest folder above that has a `.dvc/config`; `config.local` comes after it.
    pub(super) fn of(folder: &Path) -> Self {
        let mut style = Self::default();
        let Some(dvc) = folder.ancestors().map(|above| above.join(".dvc")).find(|dvc| dvc.is_dir()) else {
            return style;
        };
        for name in ["config", "config.local"] {
            style.read(&std::fs::read_to_string(dvc.join(name)).unwrap_or_default());
        }
        style
    }

    fn read(&mut self, text: &str) {
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').trim();
            }
            let Some((key, value)) = line.split_once('=').filter(|_| section == "parsing") else { continue };
            match (key.trim(), value.trim()) {
                ("bool", value) => self.no = value == "boolean_optional",
                ("list", value) => self.append = value == "append",
                _ => {}
            }
        }
    }
}

/// A mapping as arguments of a command: `--a.b value`, `--flag` for true, nothing (or `--no-flag`) for false, a list's items behind its key.
///
/// # Errors
/// The key of a list that holds lists or mappings, which DVC refuses.
pub(super) fn arguments(node: &Node, style: Style) -> Result<String, String> {
    let mut words = Vec::new();
    flatten(node, "", style, &mut words)?;
    Ok(words.join(" "))
}

fn flatten(node: &Node, above: &str, style: Style, words: &mut Vec<String>) -> Result<(), String> {
    for Entry { key, value } in node.entries() {
        let key = if above.is_empty() { key.text.clone() } else { format!("{above}.{}", key.text) };
        match &value.kind {
            Kind::Bool(true) => words.push(format!("--{key}")),
            Kind::Bool(false) if style.no => words.push(format!("--no-{key}")),
            Kind::Bool(false) => {}
            Kind::Mapping(_) => flatten(value, &key, style, words)?,
            Kind::Sequence(items) => {
                words.extend((!items.is_empty() && !style.append).then(|| format!("--{key}")));
                for item in items {
                    words.extend(style.append.then(|| format!("--{key}")));
                    words.push(match &item.kind {
                        // A list's truth values are printed as Python has them.
                        Kind::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
                        _ => argument(item).ok_or_else(|| key.clone())?,
                    });
                }
            }
            _ => words.push(format!("--{key} {}", argument(value).ok_or_else(|| key.clone())?)),
        }
    }
    Ok(())
}

fn argument(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Text(text) | Kind::Untyped(text) => Some(super::shell::word(text)),
        _ => scalar(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_of_arguments_is_that_of_the_projects_configuration() {
        let told = |text: &str| {
            let mut style = Style::default();
            style.read(text);
            (style.no, style.append)
        };
        assert_eq!(told(""), (false, false));
        assert_eq!(told("[core]\n  bool = boolean_optional\n"), (false, false));
        assert_eq!(told("[core]\n[parsing]\n    bool = boolean_optional\n    list = append\n"), (true, true));
        assert_eq!(told("[parsing]\nbool=store_true\nlist = nargs\n['remote \"x\"']\nlist = append\n"), (false, false));
    }

    /// What DVC 3.67.1 prints for each.
    #[test]
    fn numbers_are_printed_as_python_prints_them() {
        for (written, printed) in [
            ("1.0", "1.0"),
            ("1e-05", "1e-05"),
            ("1e16", "1e+16"),
            ("1e3", "1000.0"),
            ("010", "10"),
            ("1_000", "1000"),
            ("1.5e-7", "1.5e-07"),
            ("123456789012345678.0", "1.2345678901234568e+17"),
            ("0.1", "0.1"),
            ("1E5", "100000.0"),
            (".5", "0.5"),
            ("1.e+3", "1000.0"),
            ("0x1f", "31"),
            ("0o17", "15"),
            ("0b11", "3"),
            ("-0.0", "-0.0"),
            ("08", "8"),
            ("1_0.5_0", "10.5"),
            ("1e22", "1e+22"),
            ("1e400", "inf"),
            ("0.0001", "0.0001"),
            ("1_", "1"),
            ("+5", "5"),
            ("123456789012345678901234567890123456789012345", "123456789012345678901234567890123456789012345"),
        ] {
            let number = number(written).unwrap_or_else(|| panic!("{written} is a number"));
            assert_eq!(super::printed(&number).as_deref(), Some(printed), "{written}");
        }
        for text in ["1e1_0", "0o9", "0b2", "1.5e", "1:30", "_1", "e1", ".e1", "1e", "+", ".", "1.2.3", "y", "0x"] {
            assert!(number(text).is_none(), "{text}");
        }
    }
}
