//! Whether two data sets may hold the same rows: what leakage checks ask.

use engine::artifact::{DatasetLineage, ModelType};

/// Whether two data sets are known to hold rows in common.
///
/// They do not when they come from different sources, or went through one split into different parts. Where a source is
/// not known (rows made by a `command`), nothing is claimed.
pub fn overlap(left: &DatasetLineage, right: &DatasetLineage) -> bool {
    let common_source = left.sources.iter().any(|source| right.sources.contains(source));
    let set_apart = left
        .parts
        .iter()
        .any(|part| right.parts.iter().any(|other| other.split == part.split && other.part != part.part));
    common_source && !set_apart
}

/// The rows that shaped a model and may be among these.
pub fn seen<'a>(model: &'a ModelType, data: &DatasetLineage) -> Option<&'a DatasetLineage> {
    std::iter::once(&model.fitted_on).chain(&model.tuned_on).find(|fitted| overlap(fitted, data))
}

/// How a message names rows: `parts.train`, or the source where nothing was split.
pub fn shown(lineage: &DatasetLineage) -> String {
    match lineage.parts.last() {
        Some(part) => format!("`{}.{}`", part.split, part.part),
        None => {
            let sources: Vec<String> = lineage.sources.iter().map(|source| format!("`{source}`")).collect();
            format!("all of {}", sources.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::artifact::Part;

    use super::*;

    fn rows(sources: &[&str], parts: &[(&str, &str)]) -> DatasetLineage {
        DatasetLineage {
            sources: sources.iter().map(ToString::to_string).collect(),
            parts: parts.iter().map(|(split, part)| Part { split: (*split).into(), part: (*part).into() }).collect(),
        }
    }

    #[test]
    fn rows_overlap_unless_set_apart() {
        let cases = [
            (rows(&["raw"], &[("p", "train")]), rows(&["raw"], &[("p", "test")]), false),
            (rows(&["raw"], &[("p", "train")]), rows(&["raw"], &[("p", "train")]), true),
            (rows(&["raw"], &[("p", "train")]), rows(&["raw"], &[]), true),
            (rows(&["raw"], &[("p", "train")]), rows(&["raw"], &[("q", "test")]), true),
            (rows(&["raw"], &[("p", "train")]), rows(&["other"], &[("p", "train")]), false),
            (rows(&["raw"], &[("p", "a"), ("q", "x")]), rows(&["raw"], &[("p", "a"), ("q", "y")]), false),
            (rows(&["raw"], &[("p", "a")]), rows(&["raw"], &[("p", "a"), ("q", "y")]), true),
            (rows(&["raw"], &[("p", "b")]), rows(&["raw"], &[("p", "a"), ("q", "y")]), false),
            (rows(&[], &[]), rows(&["raw"], &[]), false),
        ];
        for (left, right, expected) in cases {
            assert_eq!(overlap(&left, &right), expected, "{left:?} {right:?}");
            assert_eq!(overlap(&right, &left), expected, "{right:?} {left:?}");
        }
    }

    #[test]
    fn rows_are_named_by_their_last_part() {
        assert_eq!(shown(&rows(&["raw"], &[("p", "train")])), "`p.train`");
        assert_eq!(shown(&rows(&["raw"], &[])), "all of `raw`");
    }
}
