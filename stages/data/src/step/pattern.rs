//! Regular expressions of steps.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use contract::fault::Fault;
use regex::Regex;

/// A regular expression with so many groups.
///
/// # Errors
/// `data::pattern`, without a place: a text that is none, another number of groups.
pub fn pattern(text: &str, groups: Option<usize>) -> Result<Regex, Fault> {
    let pattern = Regex::new(text).map_err(|error| {
        let why = error.to_string();
        let line =
            why.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or("it is too large").to_owned();
        Fault::error(contract::code!("data::pattern"), format!("`{text}` is no regular expression: {line}"))
            .help("`\\.` is a dot, `\\(` a parenthesis; in YAML, put patterns in single quotes")
    })?;
    let found = pattern.captures_len() - 1;
    match groups.filter(|wanted| *wanted != found) {
        None => Ok(pattern),
        Some(wanted) => Err(Fault::error(
            contract::code!("data::pattern"),
            format!("the pattern has {found} groups for {wanted} new columns"),
        )
        .help("every new column is one group in parentheses")),
    }
}

/// Whether the groups that a replacement names are groups of its pattern: others would be replaced by nothing, without a word.
///
/// # Errors
/// `data::pattern`, without a place.
pub fn replacement(pattern: &Regex, with: &str) -> Result<(), Fault> {
    let groups = pattern.captures_len() - 1;
    let known = |name: &str| match name.parse::<usize>() {
        Ok(number) => number <= groups,
        Err(_) => pattern.capture_names().flatten().any(|known| known == name),
    };
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = with;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        let (name, after) = if let Some(after) = rest.strip_prefix('$') {
            ("", after)
        } else if let Some(braced) = rest.strip_prefix('{') {
            braced.split_once('}').unwrap_or(("", braced))
        } else {
            rest.split_at(rest.find(|c| !part(c)).unwrap_or(rest.len()))
        };
        rest = after;
        if name.is_empty() || known(name) {
            continue;
        }
        let has = match groups {
            0 => "has no groups".to_owned(),
            1 => "has 1 group".to_owned(),
            _ => format!("has {groups} groups"),
        };
        let digits = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
        let help = match name.split_at(digits) {
            (number, text) if !number.is_empty() && !text.is_empty() && known(number) => {
                format!("where `{text}` follows the group, write `$${{{number}}}{text}`")
            }
            _ => "groups are the pattern's parentheses, numbered from 1; `$0` is the whole match, `$$` a dollar sign"
                .to_owned(),
        };
        return Err(Fault::error(
            contract::code!("data::pattern"),
            format!("`${name}` is no group of the pattern, which {has}"),
        )
        .help(help));
    }
    Ok(())
}

/// Every text through a function.
pub fn texts<'a>(array: &'a ArrayRef, f: impl Fn(&'a str) -> Cow<'a, str>) -> ArrayRef {
    Arc::new(array.as_string::<i32>().iter().map(|text| text.map(&f)).collect::<StringArray>())
}
