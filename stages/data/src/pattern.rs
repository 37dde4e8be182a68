//! Column names and patterns with `*`, resolved against a table.

use engine::artifact::Column;
use engine::error::{Fault, Route, suggest};

use crate::natural;

/// The positions of the columns that `patterns` name, without repeats, in the order of the patterns; inside one pattern in
/// the order of the data, or in natural order when `sorted`.
///
/// A text that is exactly a column's name means that column, whatever characters it holds.
///
/// # Errors
/// Every pattern that names no column.
pub fn resolve(columns: &[Column], patterns: &[String], sorted: bool, route: &Route) -> Result<Vec<usize>, Vec<Fault>> {
    let mut found = Vec::new();
    let mut faults = Vec::new();
    for pattern in patterns {
        let mut hits: Vec<usize> = match columns.iter().position(|column| column.name == *pattern) {
            Some(index) => vec![index],
            None if pattern.contains('*') => {
                (0..columns.len()).filter(|index| matches(pattern, &columns[*index].name)).collect()
            }
            None => Vec::new(),
        };
        if hits.is_empty() {
            faults.push(unknown(columns, pattern, route));
        }
        if sorted {
            hits.sort_by(|a, b| natural::compare(&columns[*a].name, &columns[*b].name));
        }
        for hit in hits {
            if !found.contains(&hit) {
                found.push(hit);
            }
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// The fault of a name that no column has.
pub fn unknown(columns: &[Column], name: &str, route: &Route) -> Fault {
    let fault = if name.contains('*') {
        Fault::error("data::unknown_column", format!("no column matches `{name}`"))
    } else {
        Fault::error("data::unknown_column", format!("there is no column `{name}`"))
    };
    let fault = fault.at(route.clone());
    match suggest(name, columns.iter().map(|column| column.name.as_str())) {
        Some(help) => fault.help(help),
        None => fault,
    }
}

/// Whether `name` fits a pattern in which `*` stands for any characters.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(position) => rest = &rest[position + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use engine::artifact::DType;

    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, expected) in [
            ("p*", "p10", true),
            ("p*", "q", false),
            ("*", "", true),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*.x", "über.x", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_name_with_a_star_means_itself_first() {
        let columns: Vec<Column> =
            ["a*", "ab", "a10", "a9"].iter().map(|name| Column::new(*name, DType::Int64)).collect();
        let all = |patterns: &[&str], sorted| {
            let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            resolve(&columns, &patterns, sorted, &Route::root())
        };
        assert_eq!(all(&["a*"], false), Ok(vec![0]));
        assert_eq!(all(&["ab", "*"], false), Ok(vec![1, 0, 2, 3]));
        assert_eq!(all(&["a??", "a*9", "a1*"], true).unwrap_err().len(), 1);
        assert_eq!(all(&["*"], true), Ok(vec![0, 3, 2, 1]));
        let faults = all(&["ac"], false).unwrap_err();
        assert_eq!(faults[0].help.as_deref(), Some("did you mean `ab`?"));
    }
}
