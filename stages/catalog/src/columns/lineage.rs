//! Whether two data sets may hold the same rows, and whether cells say something of rows elsewhere: what leakage checks ask.
//!
//! A lineage has *strands*: rows of one origin that went through the same splits. Most data sets have one; what a `union` of `sql`
//! gives has several. Beside its strands it may have *mixed* columns, whose cells were computed from other rows than their own
//! ([`Mixed`]); a later split divides the rows, but not what went into these cells.

use contract::artifact::{Column, DatasetLineage, DatasetType, Mixed, ModelType, Part};
use contract::fault::{Code, Fault, Route};
use contract::pattern::Pattern;

/// How two strands share rows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shared {
    /// They come from one source and no split set them apart.
    Rows,
    /// They come from different sources that read this file: which of its rows both hold is not known.
    File(String),
}

/// What strands of one origin share. They share nothing when they come from different sources and files, or went through
/// one split into different parts. Where a source is not known (rows made by a `command`), nothing is claimed.
fn shared(left: &DatasetLineage, right: &DatasetLineage) -> Option<Shared> {
    let set_apart = left
        .parts
        .iter()
        .any(|part| right.parts.iter().any(|other| other.split == part.split && other.part != part.part));
    if set_apart {
        return None;
    }
    if left.sources.iter().any(|source| right.sources.contains(source)) {
        return Some(Shared::Rows);
    }
    let one = |left: &str, right: &str| left == right || matches(left, right) || matches(right, left);
    let common = left.files.iter().find(|file| right.files.iter().any(|other| one(file, other)));
    common.map(|file| Shared::File(file.clone()))
}

/// Whether a pattern of files holds another file.
fn matches(pattern: &str, file: &str) -> bool {
    pattern.contains(['*', '?']) && Pattern::new(pattern).is_match(file)
}

/// Whether two data sets are known to hold rows in common: one of the strands of each does.
pub fn overlap(left: &DatasetLineage, right: &DatasetLineage) -> bool {
    let others = right.strands();
    left.strands().iter().any(|strand| others.iter().any(|other| shared(strand, other) == Some(Shared::Rows)))
}

/// Whether two data sets have an origin in common, however they were split.
pub fn related(left: &DatasetLineage, right: &DatasetLineage) -> bool {
    let whole = |strand: DatasetLineage| DatasetLineage { parts: Vec::new(), ..strand };
    let others: Vec<DatasetLineage> = right.strands().into_iter().map(whole).collect();
    left.strands().into_iter().map(whole).any(|strand| others.iter().any(|other| shared(&strand, other).is_some()))
}

/// The rows that shaped a model and may be among these.
pub fn seen<'a>(model: &'a ModelType, data: &DatasetLineage) -> Option<&'a DatasetLineage> {
    fits(model).find(|fitted| overlap(fitted, data))
}

fn fits(model: &ModelType) -> impl Iterator<Item = &DatasetLineage> {
    std::iter::once(&model.fitted_on).chain(&model.tuned_on)
}

/// How a model has met the rows it is judged on, from what is certain to what may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met<'a> {
    /// It was fitted on them.
    Rows(&'a DatasetLineage),
    /// Cells of the rows it was fitted on were computed from them.
    Mixed(&'a Mixed),
    /// It was fitted on rows of the same file, collected by another stage.
    File(&'a DatasetLineage, String),
}

/// How a model has met these rows; `None` when it has not, as far as is known.
///
/// Cells that were computed from *all* rows before a split are not told here but where the model is fitted ([`mixed`]).
pub fn met<'a>(model: &'a ModelType, data: &DatasetLineage) -> Option<Met<'a>> {
    if let Some(fitted) = seen(model, data) {
        return Some(Met::Rows(fitted));
    }
    let strands = data.strands();
    let part = |from: &DatasetLineage| {
        strands.iter().any(|strand| {
            shared(from, strand) == Some(Shared::Rows) && from.parts.iter().any(|part| strand.parts.contains(part))
        })
    };
    let of_a_part = |mixed: &&Mixed| reads(model, mixed) && mixed.rows.iter().any(part);
    if let Some(mixed) = fits(model).flat_map(|fitted| &fitted.mixed).find(of_a_part) {
        return Some(Met::Mixed(mixed));
    }
    fits(model).find_map(|fitted| {
        let own = fitted.strands();
        let mut pairs = own.iter().flat_map(|strand| strands.iter().map(move |other| shared(strand, other)));
        pairs.find_map(|shared| match shared {
            Some(Shared::File(file)) => Some(Met::File(fitted, file)),
            _ => None,
        })
    })
}

/// Whether a model sees a mixed column, as far as is known.
fn reads(model: &ModelType, mixed: &Mixed) -> bool {
    let is = |column: &Column| mixed.columns.contains(&column.name);
    mixed.columns.is_empty() || model.target.is_none() || model.inputs.iter().chain(&model.target).any(is)
}

/// The fault of a model judged on rows it has met, at the port they come in: an error where it is certain.
///
/// `code` is that of rows the model was fitted on; `judged` begins the message, as in ``judged on `parts.test` ``.
pub fn fault(met: &Met<'_>, code: Code, judged: &str, data: &DatasetLineage, at: Route) -> Fault {
    let apart = || match data.parts.last() {
        Some(part) => format!("connect a part of `{}` the model has not seen", part.split),
        None => "split the data, train on one part and judge on another".to_owned(),
    };
    match met {
        Met::Rows(fitted) => {
            let message = format!("{judged}, which has rows the model was fitted on ({})", shown(fitted));
            Fault::error(code, message).help(apart())
        }
        Met::Mixed(mixed) => {
            let message = format!(
                "{judged}, and cells the model was fitted on were made from these rows (by `{}` in `{}`)",
                mixed.step, mixed.stage
            );
            Fault::error(contract::code!("leakage::joined_rows"), message)
                .help("give that step a table made from the training part alone")
        }
        Met::File(fitted, file) => {
            let message = format!(
                "{judged}, and the model was fitted on {}: both are read from `{file}` and may share rows",
                shown(fitted)
            );
            Fault::warning(contract::code!("leakage::same_file"), message)
                .help("collect the file once, and take both from parts of one `split`")
        }
    }
    .at(at)
}

/// The mixed columns of rows that are fitted on, which were computed from rows beyond them: a mean of all rows, taken before
/// the split.
pub fn mixed(model: &ModelType) -> impl Iterator<Item = &Mixed> {
    let strands = model.fitted_on.strands();
    let beyond = move |from: &DatasetLineage| {
        strands.iter().any(|strand| {
            let of_split = |part: &Part| from.parts.iter().any(|other| other.split == part.split);
            shared(from, strand).is_some() && !strand.parts.iter().all(of_split)
        })
    };
    model.fitted_on.mixed.iter().filter(move |mixed| reads(model, mixed) && mixed.rows.iter().any(&beyond))
}

/// What a split adds to the lineage of a part: `parts` to every strand. Cells made only from rows that stay together
/// (`group`), or only from earlier rows where parts follow each other in time, no longer reach beyond a part.
pub fn divide(dataset: &mut DatasetType, parts: &[Part], together: &[String], in_time: bool) {
    dataset.parts.extend_from_slice(parts);
    for strand in &mut dataset.also {
        strand.parts.extend_from_slice(parts);
    }
    let stays = |mixed: &Mixed| {
        let within = !together.is_empty() && together.iter().all(|column| mixed.within.contains(column));
        within || (mixed.past && in_time)
    };
    dataset.mixed.retain(|mixed| !stays(mixed));
}

/// Takes rows of another data set among one's own.
pub fn unite(dataset: &mut DatasetType, other: &DatasetType) {
    let known = DatasetLineage::from(&*dataset).strands();
    let new: Vec<DatasetLineage> =
        DatasetLineage::from(other).strands().into_iter().filter(|strand| !known.contains(strand)).collect();
    dataset.also.extend(new);
    mix(dataset, other.mixed.iter().cloned());
}

/// Takes mixed columns over, those of one step once.
pub fn mix(dataset: &mut DatasetType, mixed: impl IntoIterator<Item = Mixed>) {
    for mixed in mixed {
        if !dataset.mixed.contains(&mixed) {
            dataset.mixed.push(mixed);
        }
    }
}

/// How a message names rows: `parts.train`, or the source where nothing was split.
pub fn shown(lineage: &DatasetLineage) -> String {
    let strand = |lineage: &DatasetLineage| match lineage.parts.last() {
        Some(part) => format!("`{}.{}`", part.split, part.part),
        None => {
            let sources: Vec<String> = lineage.sources.iter().map(|source| format!("`{source}`")).collect();
            format!("all of {}", sources.join(", "))
        }
    };
    let mut strands: Vec<String> = lineage.strands().iter().map(strand).collect();
    strands.dedup();
    strands.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(sources: &[&str], parts: &[(&str, &str)]) -> DatasetLineage {
        DatasetLineage {
            sources: sources.iter().map(ToString::to_string).collect(),
            parts: parts.iter().map(|(split, part)| Part { split: (*split).into(), part: (*part).into() }).collect(),
            ..DatasetLineage::default()
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
