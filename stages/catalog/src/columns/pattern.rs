//! Column patterns: which columns a list of names and patterns means, and in what order.
//!
//! `*` stands for any run of characters, an empty one included; everything else is literal. An entry that is exactly
//! a column's name means that column, even where the name holds a `*`. Entries keep the order in which they are listed, and
//! no column is taken twice. What one pattern matches is in the order of the data or, where the order has a meaning of its
//! own (`pack`, `features`), in natural order: `p2` before `p10`.

use contract::fault::{Fault, Faults, Route, nearest, suggest};
use contract::natural::natural;

use crate::params::shape::OneOrMany;

/// Whether a pattern matches a whole name.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What one entry means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matched {
    /// The entry is a column's name: its position.
    Name(usize),
    /// The entry is a pattern: the positions of what it matches, in natural order; at least one.
    Pattern(Vec<usize>),
}

impl Matched {
    /// The positions in order.
    pub fn positions(&self) -> &[usize] {
        match self {
            Self::Name(position) => std::slice::from_ref(position),
            Self::Pattern(positions) => positions,
        }
    }
}

/// What one entry means among `names`; `None` when it means nothing.
pub fn find(entry: &str, names: &[&str]) -> Option<Matched> {
    if let Some(position) = names.iter().position(|name| *name == entry) {
        return Some(Matched::Name(position));
    }
    if !entry.contains('*') {
        return None;
    }
    let mut positions: Vec<usize> = (0..names.len()).filter(|at| matches(entry, names[*at])).collect();
    positions.sort_by(|a, b| natural(names[*a], names[*b]));
    if positions.is_empty() { None } else { Some(Matched::Pattern(positions)) }
}

/// The positions of all columns a list of entries means, without repeats; those of one pattern in the order of the data.
///
/// # Errors
/// `data::unknown_column` for a name, `data::no_match` for a pattern that no column has; placed at `route` or, in a
/// list of several, at the entry.
pub fn select(entries: &OneOrMany<String>, names: &[&str], route: &Route) -> Result<Vec<usize>, Faults> {
    gather(entries, names, route, false)
}

/// As [`select`], those of one pattern in natural order.
///
/// # Errors
/// As [`select`].
pub fn select_sorted(entries: &OneOrMany<String>, names: &[&str], route: &Route) -> Result<Vec<usize>, Faults> {
    gather(entries, names, route, true)
}

fn gather(entries: &OneOrMany<String>, names: &[&str], route: &Route, sorted: bool) -> Result<Vec<usize>, Faults> {
    let mut positions = Vec::new();
    let mut faults = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(matched) = find(entry, names) else {
            faults.push(unknown(entry, names).at(entry_route(entries, index, route)));
            continue;
        };
        let mut found = matched.positions().to_vec();
        if !sorted {
            found.sort_unstable();
        }
        for position in found {
            if !positions.contains(&position) {
                positions.push(position);
            }
        }
    }
    if faults.is_empty() { Ok(positions) } else { Err(Faults::from(faults)) }
}

/// The route of one entry: its index is only there when more than one is listed, since one may stand without a list.
pub fn entry_route(entries: &OneOrMany<String>, index: usize, route: &Route) -> Route {
    if entries.0.len() > 1 { route.join(index) } else { route.clone() }
}

/// The fault of an entry that means no column.
pub fn unknown(entry: &str, names: &[&str]) -> Fault {
    if entry.contains('*') {
        let literal = entry.replace('*', "");
        let near = names.iter().copied().find(|name| !literal.is_empty() && name.contains(literal.trim_matches('_')));
        let help = match near.or_else(|| nearest(entry, names.iter().copied())) {
            Some(near) => Some(format!("the nearest column is `{near}`")),
            None => suggest(entry, names.iter().copied()),
        };
        let fault = Fault::error(contract::code!("data::no_match"), format!("no column matches `{entry}`"));
        return match help {
            Some(help) => fault.help(help),
            None => fault.help("the data has no columns"),
        };
    }
    let fault = Fault::error(contract::code!("data::unknown_column"), format!("there is no column `{entry}`"));
    match suggest(entry, names.iter().copied()) {
        Some(help) => fault.help(help),
        None => fault.help("the data has no columns"),
    }
}

#[cfg(test)]
mod tests {
    use contract::route;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_match_any_run() {
        for (pattern, name, expected) in [
            ("p*", "p", true),
            ("p*", "p12", true),
            ("p*", "q1", false),
            ("*_mm", "bill_mm", true),
            ("*_mm", "bill_mm_", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("**", "x y", true),
            ("é*", "école", true),
            ("plain", "plain", true),
            ("plain", "plain2", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn selection_keeps_the_listed_order_without_repeats() {
        let names = ["b", "p10", "p2", "a*", "ab"];
        let entries = OneOrMany(vec!["a*".to_owned(), "p*".to_owned(), "*".to_owned()]);
        assert_eq!(select_sorted(&entries, &names, &route![]).unwrap(), [3, 2, 1, 4, 0]);
        assert_eq!(select(&entries, &names, &route![]).unwrap(), [3, 1, 2, 0, 4]);
    }

    #[test]
    fn unknown_names_are_all_reported_in_place() {
        let names = ["label", "pixel_0", "pixel_1"];
        let entries = OneOrMany(vec!["labl".to_owned(), "label".to_owned(), "pixl_*".to_owned()]);
        let faults = select(&entries, &names, &route!["columns"]).unwrap_err();
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[0].code, "data::unknown_column");
        assert_eq!(faults[0].help.as_deref(), Some("did you mean `label`?"));
        assert_eq!(faults[0].route, Some(route!["columns", 0]));
        assert_eq!(faults[1].code, "data::no_match");
        assert_eq!(faults[1].route, Some(route!["columns", 2]));
        let one = OneOrMany(vec!["x".to_owned()]);
        assert_eq!(select(&one, &names, &route!["columns"]).unwrap_err()[0].route, Some(route!["columns"]));
    }

    proptest! {
        #[test]
        fn a_name_cut_into_a_pattern_matches(a in "[a-z]{0,4}", b in "[a-z]{0,4}", c in "[a-z]{0,4}") {
            let pattern = format!("{a}*{c}");
            let name = format!("{a}{b}{c}");
            prop_assert!(matches(&pattern, &name));
        }
    }
}
