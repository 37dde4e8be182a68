//! What each step of `preprocess` does to the columns, and what it cannot do.
//!
//! [`apply`] is the whole meaning of a step as far as types go: the program that carries the step out gives columns of the
//! same names, types and order. After a fault the columns stay as they most likely would be, so that later
//! steps are judged, too.

pub mod shaping;
pub mod tables;

use std::collections::BTreeMap;

use contract::artifact::{ArtifactType, Classes, Column, DType, DatasetType, Mixed, Role, Types};
use contract::fault::{Fault, Route, suggest};
use serde_json::Value;

use crate::columns::pattern::{self, Matched};
use crate::kinds::collect::retype;
use crate::kinds::preprocess::params::{CastTo, FillMissing, OnError, Pack, Replace, Scalar, SomeColumns, Step};
use crate::network::{product, shown};
use crate::params::shape::OneOrMany;
use crate::question::{Expression, ExpressionType, Pattern};

/// Asks what an expression gives over data sets by port; `None` when nobody answers.
pub type Ask<'a> = dyn Fn(&Expression, &Types) -> Result<Option<Value>, Vec<Fault>> + 'a;

/// What is wrong with a step whatever the data.
pub fn check(step: &Step, at: &Route) -> Vec<Fault> {
    let mut faults = Vec::new();
    match step {
        Step::Filter(text) if text.trim().is_empty() => faults.push(
            Fault::error("data::expression", "the expression is empty")
                .help("write a condition over columns: `filter: \"age >= 18\"`")
                .at(at.join("filter")),
        ),
        Step::Rename(names) => {
            for (old, new) in names.iter().filter(|(_, new)| new.is_empty()) {
                faults.push(
                    Fault::error("data::empty_name", format!("`{old}` would lose its name: `{new}` is empty"))
                        .help("to remove a column, use `drop`")
                        .at(at.join("rename").join(old.as_str())),
                );
            }
        }
        Step::Pack(pack) => {
            if pack.into.is_empty() {
                faults.push(
                    Fault::error("data::empty_name", "the packed column has no name")
                        .help("name it, for example `into: image`")
                        .at(at.join("pack").join("into")),
                );
            }
            if pack.shape.as_ref().is_some_and(|shape| shape.is_empty() || shape.contains(&0)) {
                faults.push(
                    Fault::error("data::pack_shape", "a shape has at least one side, and no side is 0")
                        .help("for a grey image of 8×8 pixels: `shape: [1, 8, 8]`")
                        .at(at.join("pack").join("shape")),
                );
            }
        }
        Step::FillMissing(fill) => faults.extend(fitted(fill, at)),
        Step::Sample(sample) => faults.extend(shaping::check_sample(sample, &at.join("sample"))),
        Step::ParseDates(dates) => faults.extend(shaping::check_dates(dates, &at.join("parse_dates"))),
        Step::SplitColumn(split) => faults.extend(shaping::check_split(split, &at.join("split_column"))),
        Step::Bin(bin) => faults.extend(shaping::check_bin(bin, &at.join("bin"))),
        Step::Clip(clip) => faults.extend(shaping::check_clip(clip, &at.join("clip"))),
        Step::Replace(replace) => faults.extend(shaping::check_replace(replace, &at.join("replace"))),
        Step::Resize(resize) => faults.extend(shaping::check_size(resize.size, &at.join("resize"))),
        Step::Crop(crop) => faults.extend(shaping::check_size(crop.size, &at.join("crop"))),
        Step::DecodeImages(decode) => faults.extend(shaping::check_size(decode.size, &at.join("decode_images"))),
        Step::Sql(text) if text.trim().is_empty() => faults.push(
            Fault::error("data::expression", "the query is empty")
                .help("for example `sql: \"SELECT carrier, count(*) AS flights FROM data GROUP BY carrier\"`")
                .at(at.join("sql")),
        ),
        _ => {}
    }
    faults
}

/// `fill_missing: { with: mean }` would have to be fitted.
fn fitted(fill: &FillMissing, at: &Route) -> Option<Fault> {
    let Scalar::Text(text) = &fill.with else { return None };
    let known = ["mean", "median", "mode", "most_frequent", "average"];
    known.contains(&text.to_lowercase().as_str()).then(|| {
        Fault::error("data::fitted_step", format!("`{text}` has to be learned from the data, and here test rows would shape it"))
            .help(format!(
                "leave the cells missing: `features:` of `train` fills them with what it learns from the training part (`standard`, \
                 `robust`). Where the text `{text}` is meant: `derive: {{ column: \"coalesce(column, '{text}')\" }}`"
            ))
            .at(at.join("fill_missing").join("with"))
    })
}

/// Carries the columns over a step. Row counts become unknown where the step may drop rows.
/// `others` are the data sets at the other input ports.
///
/// What a step mixes is added to the lineage without the name of a stage, which only the stage knows.
pub fn apply(step: &Step, dataset: &mut DatasetType, others: &Types, at: &Route, ask: &Ask<'_>) -> Vec<Fault> {
    let before: Option<Vec<String>> =
        dataset.columns.as_ref().map(|columns| names(columns).into_iter().map(str::to_owned).collect());
    let mixed = std::mem::take(&mut dataset.mixed);
    let faults = carry(step, dataset, others, at, ask);
    let mixed = mixed.into_iter().filter_map(|mixed| follow(step, mixed, before.as_deref(), dataset));
    let mixed: Vec<Mixed> = mixed.collect();
    crate::columns::lineage::mix(dataset, mixed);
    faults
}

/// Mixed columns after a step: under their new names, with the columns that were made beside them, which may be made of them.
/// `None` when none of them is left.
fn follow(step: &Step, mut mixed: Mixed, before: Option<&[String]>, dataset: &DatasetType) -> Option<Mixed> {
    if mixed.columns.is_empty() {
        return Some(mixed);
    }
    let (Some(before), Some(after)) = (before, &dataset.columns) else {
        // Which columns there are is not known any more.
        mixed.columns.clear();
        return Some(mixed);
    };
    let (mut derived, mut replaced) = (Vec::new(), Vec::new());
    let brought = |name: &&str| !dataset.mixed.iter().any(|new| new.columns.iter().any(|column| column == name));
    if let Step::Rename(new) = step {
        for name in mixed.columns.iter_mut().chain(&mut mixed.within) {
            if let Some(new) = new.get(name) {
                name.clone_from(new);
            }
        }
    } else if let Step::Derive(expressions) = step {
        // A column is made of those that its expression names, also where it takes the place of an old one.
        for (name, text) in expressions {
            let made = mixed.columns.iter().any(|column| mentions(text, column));
            let known = mixed.columns.iter().position(|column| column == name);
            match (made, known) {
                (true, None) => derived.push(name.clone()),
                (false, Some(_)) => replaced.push(name.clone()),
                _ => {}
            }
        }
        mixed.columns.retain(|name| !replaced.contains(name));
        mixed.columns.append(&mut derived);
    } else {
        let made = names(after).into_iter().filter(|name| !before.iter().any(|old| old == name)).filter(brought);
        mixed.columns.extend(made.map(str::to_owned));
    }
    mixed.columns.retain(|name| after.iter().any(|column| column.name == *name));
    (!mixed.columns.is_empty()).then_some(mixed)
}

/// Whether an expression has the name of a column in it.
fn mentions(text: &str, name: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name)
        .any(|(at, _)| !part(text[..at].chars().next_back()) && !part(text[at + name.len()..].chars().next()))
}

fn carry(step: &Step, dataset: &mut DatasetType, others: &Types, at: &Route, ask: &Ask<'_>) -> Vec<Fault> {
    match step {
        Step::DropDuplicates(some) => {
            dataset.rows = None;
            named(some, dataset, &at.join("drop_duplicates")).map_or_else(|faults| faults, |_| Vec::new())
        }
        Step::DropMissing(some) => drop_missing(some, dataset, &at.join("drop_missing")),
        Step::FillMissing(fill) => fill_missing(fill, dataset, &at.join("fill_missing")),
        Step::Rename(names) => rename(names, dataset, &at.join("rename")),
        Step::Select(entries) => select(entries, dataset, &at.join("select")),
        Step::Drop(entries) => drop(entries, dataset, &at.join("drop")),
        Step::Cast(types) => cast(types, dataset, &at.join("cast")),
        Step::Filter(text) => filter(text, dataset, &at.join("filter"), ask),
        Step::Pack(pack) => self::pack(pack, dataset, &at.join("pack")),
        Step::DropNearDuplicates(options) => shaping::near(options, dataset, &at.join("drop_near_duplicates")),
        Step::Sample(options) => {
            dataset.rows = dataset.rows.map(|rows| shaping::sampled(options, rows));
            Vec::new()
        }
        Step::Sort(options) => shaping::sort(options, dataset, &at.join("sort")),
        Step::ParseDates(options) => shaping::dates(options, dataset, &at.join("parse_dates")),
        Step::Derive(expressions) => tables::derive(expressions, dataset, &at.join("derive"), ask),
        Step::SplitColumn(options) => {
            let at = at.join("split_column");
            let mut faults = compiles(options.pattern.as_deref(), Some(options.into.len()), &at, ask);
            faults.extend(shaping::split(options, dataset, &at));
            faults
        }
        Step::JoinColumns(options) => shaping::join_columns(options, dataset, &at.join("join_columns")),
        Step::OneHot(options) => shaping::one_hot(options, dataset, &at.join("one_hot")),
        Step::Bin(options) => shaping::bin(options, dataset, &at.join("bin")),
        Step::Clip(options) => shaping::clip(options, dataset, &at.join("clip")),
        Step::Replace(options) => {
            let at = at.join("replace");
            let mut faults = compiles(options.pattern.as_deref(), None, &at, ask);
            if faults.is_empty() {
                faults.extend(replaces(options, &at, ask));
            }
            faults.extend(shaping::replace(options, dataset, &at));
            faults
        }
        Step::CleanText(options) => shaping::clean_text(options, dataset, &at.join("clean_text")),
        Step::Language(options) => shaping::language(options, dataset, &at.join("language")),
        Step::Resize(options) => shaping::resize(options, dataset, &at.join("resize")),
        Step::Crop(options) => shaping::crop(options, dataset, &at.join("crop")),
        Step::Greyscale(some) => shaping::greyscale(some.columns.as_ref(), dataset, &at.join("greyscale")),
        Step::DecodeImages(options) => shaping::decode_images(options, dataset, &at.join("decode_images")),
        Step::DropDuplicateImages(options) => {
            shaping::duplicate_images(options, dataset, &at.join("drop_duplicate_images"))
        }
        Step::Join(options) => tables::join(options, dataset, others, &at.join("join")),
        Step::GroupBy(options) => tables::group_by(options, dataset, &at.join("group_by")),
        Step::Window(options) => tables::window(options, dataset, &at.join("window")),
        Step::Sql(text) => tables::sql(text, dataset, others, &at.join("sql"), ask),
    }
}

/// Whether the regular expression `pattern` of a step is one.
fn compiles(text: Option<&str>, groups: Option<usize>, at: &Route, ask: &Ask<'_>) -> Vec<Fault> {
    let Some(text) = text else { return Vec::new() };
    let asked = Expression::Pattern(Pattern { text: text.to_owned(), groups, with: None });
    ask(&asked, &Types::new()).err().map_or_else(Vec::new, |faults| placed(faults, &at.join("pattern")))
}

/// Whether the groups that `with` of a `replace` names are groups of its pattern.
fn replaces(options: &Replace, at: &Route, ask: &Ask<'_>) -> Vec<Fault> {
    let (Some(text), Some(with)) = (&options.pattern, &options.with) else { return Vec::new() };
    if !with.contains('$') {
        return Vec::new();
    }
    let asked = Expression::Pattern(Pattern { text: text.clone(), groups: None, with: Some(with.clone()) });
    ask(&asked, &Types::new()).err().map_or_else(Vec::new, |faults| placed(faults, &at.join("with")))
}

/// The worker knows an expression, not where it stands.
fn placed(faults: Vec<Fault>, at: &Route) -> Vec<Fault> {
    faults.into_iter().map(|fault| Fault { route: Some(at.clone()), ..fault }).collect()
}

/// The columns a step is about: those named, or all. `None` when the columns are not known.
fn named(some: &SomeColumns, dataset: &DatasetType, at: &Route) -> Result<Option<Vec<usize>>, Vec<Fault>> {
    let Some(columns) = &dataset.columns else { return Ok(None) };
    match &some.columns {
        None => Ok(Some((0..columns.len()).collect())),
        Some(entries) => pattern::select(entries, &names(columns), &at.join("columns")).map(Some),
    }
}

fn names(columns: &[Column]) -> Vec<&str> {
    columns.iter().map(|column| column.name.as_str()).collect()
}

fn drop_missing(some: &SomeColumns, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let chosen = named(some, dataset, at);
    dataset.rows = None;
    match chosen {
        Err(faults) => faults,
        Ok(None) => Vec::new(),
        Ok(Some(positions)) => {
            if let Some(columns) = &mut dataset.columns {
                positions.into_iter().for_each(|at| columns[at].nullable = false);
            }
            Vec::new()
        }
    }
}

fn fill_missing(fill: &FillMissing, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let chosen = match named(&SomeColumns { columns: fill.columns.clone() }, dataset, at) {
        Err(faults) => return faults,
        Ok(None) => return Vec::new(),
        Ok(Some(positions)) => positions,
    };
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let (fitting, others): (Vec<usize>, Vec<usize>) =
        chosen.into_iter().partition(|at| fits(&columns[*at], &fill.with));
    let mut faults = Vec::new();
    if fill.columns.is_some() {
        faults.extend(others.into_iter().map(|position| {
            let column = &columns[position];
            Fault::error(
                "data::fill_type",
                format!("{} does not fit `{}`, which is {}", scalar(&fill.with), column.name, column.type_name()),
            )
            .help(if column.shape.is_empty() {
                "fill with a value of the column's type, or `cast` the column first"
            } else {
                "a tensor column has no missing cells"
            })
            .at(at.join("with"))
        }));
    } else if !fitting.iter().any(|at| columns[*at].nullable) {
        faults.push(
            Fault::warning(
                "data::nothing_to_fill",
                format!("no column that {} fits has missing cells", scalar(&fill.with)),
            )
            .help("name the columns, or remove the step")
            .at(at.join("with")),
        );
    }
    for position in fitting {
        let column = &mut columns[position];
        if !column.nullable {
            continue;
        }
        column.nullable = false;
        if let Some(classes) = &mut column.classes {
            add_class(classes, &text(&fill.with), column.dtype);
        }
    }
    faults
}

/// Whether a constant can stand in a column.
pub fn fits(column: &Column, value: &Scalar) -> bool {
    if !column.shape.is_empty() {
        return false;
    }
    match (value, column.dtype) {
        (Scalar::Bool(_), DType::Bool) | (Scalar::Text(_), DType::String) => true,
        (Scalar::Int(_) | Scalar::Float(_), dtype) if dtype.is_float() => true,
        (Scalar::Int(value), dtype) => in_range(*value, dtype),
        (Scalar::Float(value), dtype) => value.fract() == 0.0 && in_range(*value as i64, dtype),
        (Scalar::Text(text), DType::Date) => is_date(text),
        (Scalar::Text(text), DType::Datetime) => text.get(..10).is_some_and(is_date),
        _ => false,
    }
}

/// Whether a text has the form `2024-02-29`; that the day exists is found when the stage runs.
fn is_date(text: &str) -> bool {
    let digits = |at: &[usize]| at.iter().all(|at| text.as_bytes()[*at].is_ascii_digit());
    text.len() == 10 && digits(&[0, 1, 2, 3, 5, 6, 8, 9]) && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-'
}

fn in_range(value: i64, dtype: DType) -> bool {
    match dtype {
        DType::Int8 => i8::try_from(value).is_ok(),
        DType::Int16 => i16::try_from(value).is_ok(),
        DType::Int32 => i32::try_from(value).is_ok(),
        DType::Int64 => true,
        DType::UInt8 => u8::try_from(value).is_ok(),
        DType::UInt16 => u16::try_from(value).is_ok(),
        DType::UInt32 => u32::try_from(value).is_ok(),
        DType::UInt64 => value >= 0,
        _ => false,
    }
}

/// How a message shows a constant.
pub(crate) fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Text(text) => format!("the text `{text}`"),
        other => format!("`{}`", text(other)),
    }
}

fn text(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::Text(value) => value.clone(),
    }
}

fn add_class(classes: &mut Classes, value: &str, dtype: DType) {
    if classes.values.is_empty() {
        classes.count += 1;
    } else if !classes.values.iter().any(|known| known == value) {
        classes.count += 1;
        classes.values.push(value.to_owned());
        if dtype.is_integer() {
            classes.values.sort_by_key(|value| value.parse::<i128>().unwrap_or_default());
        } else {
            classes.values.sort();
        }
    }
}

fn rename(names: &BTreeMap<String, String>, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let known: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let mut faults = Vec::new();
    for old in names.keys().filter(|old| !known.contains(old)) {
        let fault = Fault::error("data::unknown_column", format!("there is no column `{old}` to rename"));
        let help = suggest(old, known.iter().map(String::as_str)).unwrap_or_else(|| "the data has no columns".into());
        faults.push(fault.help(help).at_key(at.join(old.as_str())));
    }
    for column in columns.iter_mut() {
        if let Some(new) = names.get(&column.name) {
            column.name.clone_from(new);
        }
    }
    // All names change at once, so that two columns can change places; what counts is that none is there twice afterwards.
    for (old, new) in names.iter().filter(|(old, _)| known.contains(old)) {
        if columns.iter().filter(|column| column.name == *new).count() > 1 {
            faults.push(
                Fault::error(
                    "data::duplicate_column",
                    format!("`{old}` cannot become `{new}`: another column has that name"),
                )
                .help(format!("choose another name, or drop the other `{new}` first"))
                .at(at.join(old.as_str())),
            );
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    columns.retain(|column| seen.insert(column.name.clone()));
    faults
}

fn select(entries: &OneOrMany<String>, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    match pattern::select(entries, &names(columns), at) {
        Ok(positions) => {
            *columns = positions.into_iter().map(|at| columns[at].clone()).collect();
            none_left(columns, at).into_iter().collect()
        }
        Err(faults) => faults,
    }
}

fn drop(entries: &OneOrMany<String>, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    match pattern::select(entries, &names(columns), at) {
        Ok(positions) => {
            let mut position = 0;
            columns.retain(|_| {
                position += 1;
                !positions.contains(&(position - 1))
            });
            none_left(columns, at).into_iter().collect()
        }
        Err(faults) => faults,
    }
}

fn none_left(columns: &[Column], at: &Route) -> Option<Fault> {
    columns
        .is_empty()
        .then(|| Fault::error("data::no_columns", "no column is left").help("keep at least one column").at(at.clone()))
}

fn cast(types: &BTreeMap<String, CastTo>, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    if types.values().any(|cast| cast.on_error == OnError::Reject) {
        dataset.rows = None;
    }
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let mut faults = Vec::new();
    for (position, entry, CastTo { to: dtype, on_error }) in targets(types, columns, at, &mut faults) {
        let column = &mut columns[position];
        match castable(column, dtype) {
            Ok(()) if column.dtype == dtype => {}
            Ok(()) if on_error == OnError::Fill && !column.shape.is_empty() => faults.push(
                Fault::error(
                    "data::cannot_cast",
                    format!("`{}` holds tensors, whose cells are never missing", column.name),
                )
                .help("write `on_error: reject`, which drops their rows")
                .at(at.join(entry).join("on_error")),
            ),
            Ok(()) => {
                retype(column, dtype);
                column.nullable |= on_error == OnError::Fill;
            }
            Err(why) => faults.push(
                Fault::error(
                    "data::cannot_cast",
                    format!("`{}` is {} and cannot become {}: {why}", column.name, column.type_name(), dtype.name()),
                )
                .help("numbers and true/false become each other, dates and datetimes too; everything becomes a string")
                .at(at.join(entry)),
            ),
        }
    }
    faults
}

/// Which column gets which type: a name goes before a pattern; two patterns that disagree are a fault.
fn targets<'a>(
    types: &'a BTreeMap<String, CastTo>,
    columns: &[Column],
    at: &Route,
    faults: &mut Vec<Fault>,
) -> Vec<(usize, &'a str, CastTo)> {
    let names = names(columns);
    let mut by_pattern: BTreeMap<usize, (&str, CastTo)> = BTreeMap::new();
    let mut by_name: BTreeMap<usize, (&str, CastTo)> = BTreeMap::new();
    for (entry, dtype) in types {
        match pattern::find(entry, &names) {
            None => faults.push(pattern::unknown(entry, &names).at_key(at.join(entry.as_str()))),
            Some(Matched::Name(position)) => {
                by_name.insert(position, (entry, *dtype));
            }
            Some(Matched::Pattern(positions)) => {
                for position in positions {
                    let before = by_pattern.insert(position, (entry, *dtype));
                    if let Some((other, different)) = before
                        && different != *dtype
                        && !types.contains_key(names[position])
                    {
                        faults.push(
                            Fault::error(
                                "data::cast_twice",
                                format!(
                                    "`{}` matches `{other}` ({}) and `{entry}` ({})",
                                    names[position],
                                    different.to.name(),
                                    dtype.to.name()
                                ),
                            )
                            .help("name the column itself: a name goes before a pattern")
                            .at_key(at.join(entry.as_str())),
                        );
                    }
                }
            }
        }
    }
    by_pattern.extend(by_name);
    by_pattern.into_iter().map(|(position, (entry, dtype))| (position, entry, dtype)).collect()
}

/// Whether the values of a column can become another type at all. A single value may still not (the text `abc` is
/// no number): that is found when the stage runs.
///
/// # Errors
/// Why not.
pub fn castable(column: &Column, to: DType) -> Result<(), &'static str> {
    use DType::{Binary, Bool, Date, Datetime, Float32, String, UInt8};
    let from = column.dtype;
    if from == to {
        return Ok(());
    }
    if !column.shape.is_empty() {
        return if matches!(to, Float32 | UInt8) { Ok(()) } else { Err("a tensor holds float32 or uint8") };
    }
    let plain = |dtype: DType| dtype.is_numeric() || dtype == Bool;
    match (from, to) {
        (from, to) if plain(from) && plain(to) => Ok(()),
        (Binary, String) | (String, _) | (Date, Datetime) | (Datetime, Date) => Ok(()),
        (Binary, _) => Err("bytes become nothing but text"),
        (_, Binary) => Err("only text becomes bytes"),
        (_, String) => Ok(()),
        _ => Err("dates are not numbers"),
    }
}

fn filter(text: &str, dataset: &mut DatasetType, at: &Route, ask: &Ask<'_>) -> Vec<Fault> {
    dataset.rows = None;
    if dataset.columns.is_none() {
        return Vec::new();
    }
    let asked = DatasetType { columns: dataset.columns.clone(), ..DatasetType::default() };
    let inputs: Types = [("data".to_owned(), ArtifactType::Dataset(asked.into()))].into();
    let answer = match ask(&Expression::Filter(text.to_owned()), &inputs) {
        Err(faults) => return placed(faults, at),
        Ok(answer) => answer.and_then(|value| serde_json::from_value::<ExpressionType>(value).ok()),
    };
    match answer {
        Some(answer) if answer.dtype != DType::Bool => vec![
            Fault::error(
                "data::filter_type",
                format!("the expression gives {}, not true or false", answer.dtype.name()),
            )
            .help("compare it with something: `x > 0`, `x IS NOT NULL`")
            .at(at.clone()),
        ],
        _ => Vec::new(),
    }
}

fn pack(pack: &Pack, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let positions = match pattern::select_sorted(&pack.columns, &names(columns), &at.join("columns")) {
        Ok(positions) => positions,
        Err(faults) => return faults,
    };
    let mut faults = Vec::new();
    let unfit: Vec<&Column> = positions
        .iter()
        .map(|at| &columns[*at])
        .filter(|column| !(column.dtype.is_numeric() || column.dtype == DType::Bool))
        .collect();
    if let Some(first) = unfit.first() {
        let more = if unfit.len() > 1 { format!(" (and {} more columns)", unfit.len() - 1) } else { String::new() };
        faults.push(
            Fault::error(
                "data::pack_type",
                format!("`{}` is {}, only numbers are packed{more}", first.name, first.type_name()),
            )
            .help(format!("`cast: {{ {}: float32 }}` first, or leave it out of the pattern", first.name))
            .at(at.join("columns")),
        );
    }
    let missing: Vec<&str> = positions
        .iter()
        .map(|at| &columns[*at])
        .filter(|column| column.nullable)
        .map(|column| column.name.as_str())
        .collect();
    if let Some(first) = missing.first() {
        let more = if missing.len() > 1 { format!(" and {} more columns", missing.len() - 1) } else { String::new() };
        faults.push(
            Fault::warning(
                "data::pack_missing",
                format!("`{first}`{more} may have missing cells, which cannot be packed"),
            )
            .help("put `drop_missing` or `fill_missing` before this step")
            .at(at.join("columns")),
        );
    }
    // A tensor column gives all its elements.
    let count = positions.iter().fold(0u64, |sum, at| sum.saturating_add(product(&columns[*at].shape)));
    let shape: Vec<u64> = match (&pack.shape, positions.as_slice()) {
        (Some(shape), _) => shape.iter().map(|side| u64::from(*side)).collect(),
        (None, [one]) if !columns[*one].shape.is_empty() => columns[*one].shape.clone(),
        (None, _) => vec![count],
    };
    if product(&shape) != count {
        faults.push(
            Fault::error(
                "data::pack_shape",
                format!("{count} values do not fill the shape {}, which holds {}", shown(&shape), product(&shape)),
            )
            .help("the product of the sides is the number of packed columns; check the pattern")
            .at(at.join("shape")),
        );
    }
    let clash = |(position, column): (usize, &Column)| column.name == pack.into && !positions.contains(&position);
    if columns.iter().enumerate().any(clash) {
        faults.push(
            Fault::error("data::duplicate_column", format!("there is a column `{}` already", pack.into))
                .help("choose another name under `into`")
                .at(at.join("into")),
        );
        return faults;
    }
    // The packed column stands where the first of its parts stood in the data.
    let first = positions.iter().copied().min().unwrap_or_default();
    let packed = Column {
        name: pack.into.clone(),
        dtype: DType::Float32,
        shape,
        role: Role::Feature,
        unit: None,
        nullable: false,
        classes: None,
    };
    *columns = columns
        .drain(..)
        .enumerate()
        .filter_map(|(position, column)| {
            if position == first {
                Some(packed.clone())
            } else if positions.contains(&position) {
                None
            } else {
                Some(column)
            }
        })
        .collect();
    faults
}
