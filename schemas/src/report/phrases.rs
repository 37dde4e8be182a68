//! Words for lists, limits and names in messages.

use contract::fault::nearest;

pub(crate) fn plain(value: f64) -> String {
    if value >= 1.8e19 { u64::MAX.to_string() } else { value.to_string() }
}

/// `a` and `b`; at most ten of them.
pub(crate) fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        many if many.len() > 10 => format!("{} and {} more", many[..9].join(", "), many.len() - 9),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

pub(crate) fn choices<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    match nearest(text, names.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => Some(format!("the choices are {}", list(names.into_iter()))),
    }
}

/// At most 40 characters of one line.
pub fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let short: String = line.chars().take(40).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

pub(crate) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// `a train stage` stays as it is, the name of a key gets backticks.
pub(crate) fn owner_phrase(owner: &str) -> String {
    if owner.contains(' ') { owner.to_owned() } else { format!("`{owner}`") }
}

pub(crate) fn lower_first(text: &str) -> String {
    let second_is_upper = text.chars().nth(1).is_some_and(char::is_uppercase);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !second_is_upper => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}
