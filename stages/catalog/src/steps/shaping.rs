//! Types of the steps that make columns out of columns: dates, texts, bins, categories, images.

use contract::artifact::{Classes, Column, DType, DatasetType};
use contract::fault::{Fault, Route};

use super::{names, text as shown_scalar};
use crate::columns::dates::Format;
use crate::columns::pattern::{self, unknown};
use crate::kinds::preprocess::params::{
    Bin, CleanText, Clip, Crop, DecodeImages, DuplicateImages, Instant, JoinColumns, Language, NearDuplicates, OnError,
    OneHot, ParseDates, Replace, Resize, Sample, Scalar, Sort, SplitColumn,
};
use crate::params::shape::OneOrMany;

/// The languages that can be told apart, by ISO 639-3.
pub const LANGUAGES: &[&str] = &[
    "afr", "aka", "amh", "ara", "aze", "bel", "ben", "bul", "cat", "ces", "cmn", "cym", "dan", "deu", "ell", "eng",
    "epo", "est", "fin", "fra", "guj", "heb", "hin", "hrv", "hun", "hye", "ind", "ita", "jav", "jpn", "kan", "kat",
    "khm", "kor", "lat", "lav", "lit", "mal", "mar", "mkd", "mya", "nep", "nld", "nob", "ori", "pan", "pes", "pol",
    "por", "ron", "rus", "sin", "slk", "slv", "sna", "spa", "srp", "swe", "tam", "tel", "tgl", "tha", "tuk", "tur",
    "ukr", "urd", "uzb", "vie", "yid", "zul",
];

/// What a numeric column is asked for, in a message.
const NUMBERS: &str = "`cast` it to a number first, or leave it out";

/// The position of one column.
pub(super) fn one(name: &str, columns: &[Column], at: &Route) -> Result<usize, Fault> {
    columns.iter().position(|column| column.name == name).ok_or_else(|| unknown(name, &names(columns)).at(at.clone()))
}

/// Refuses columns that are not of a sort.
fn only(
    columns: &[Column],
    positions: &[usize],
    fits: impl Fn(&Column) -> bool,
    code: &str,
    wanted: &str,
    help: &str,
    at: &Route,
) -> Vec<Fault> {
    positions
        .iter()
        .map(|position| &columns[*position])
        .filter(|column| !fits(column))
        .map(|column| {
            Fault::error(code, format!("`{}` is {}, not {wanted}", column.name, column.type_name()))
                .help(help)
                .at(at.clone())
        })
        .collect()
}

pub(super) fn is_text(column: &Column) -> bool {
    column.dtype == DType::String && column.shape.is_empty()
}

pub(super) fn is_number(column: &Column) -> bool {
    column.dtype.is_numeric() && column.shape.is_empty()
}

fn is_image(column: &Column) -> bool {
    column.shape.len() == 3 && column.dtype == DType::UInt8
}

/// Puts a new column behind all others, unless its name is taken.
pub(super) fn add(columns: &mut Vec<Column>, column: Column, at: &Route) -> Vec<Fault> {
    if column.name.trim().is_empty() {
        return vec![Fault::error("data::empty_name", "the new column has no name").help("name it").at(at.clone())];
    }
    if columns.iter().any(|other| other.name == column.name) {
        return vec![
            Fault::error("data::duplicate_column", format!("there is a column `{}` already", column.name))
                .help("choose another name, or drop or rename that column before")
                .at(at.clone()),
        ];
    }
    columns.push(column);
    Vec::new()
}

fn nullable(name: &str, dtype: DType) -> Column {
    Column { nullable: true, ..Column::new(name, dtype) }
}

pub(super) fn near(options: &NearDuplicates, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    dataset.rows = None;
    let (Some(columns), Some(entries)) = (&dataset.columns, &options.columns) else { return Vec::new() };
    let at = at.join("columns");
    match pattern::select(entries, &names(columns), &at) {
        Ok(positions) => only(
            columns,
            &positions,
            |column| column.shape.is_empty(),
            "data::near_type",
            "cells that can be compared",
            "images are compared by `drop_duplicate_images`",
            &at,
        ),
        Err(faults) => faults,
    }
}

pub(super) fn check_sample(options: &Sample, at: &Route) -> Vec<Fault> {
    if options.rows.is_some() != options.share.is_some() {
        return Vec::new();
    }
    vec![
        Fault::error("data::sample_size", "a sample has either `rows` or a `share`")
            .help("for example `sample: { rows: 1000 }` or `sample: { share: 0.1 }`")
            .at(at.clone()),
    ]
}

/// How many rows a sample of so many has.
pub fn sampled(options: &Sample, rows: u64) -> u64 {
    match (options.rows, options.share) {
        (Some(count), _) => count.min(rows),
        (None, Some(share)) => ((rows as f64 * share).round() as u64).clamp(u64::from(rows > 0), rows),
        (None, None) => rows,
    }
}

pub(super) fn sort(options: &Sort, dataset: &DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &dataset.columns else { return Vec::new() };
    let at = at.join("by");
    match pattern::select(&options.by, &names(columns), &at) {
        Ok(positions) => only(
            columns,
            &positions,
            |column| column.shape.is_empty(),
            "data::sort_type",
            "a cell that has an order",
            "sort by numbers, texts or dates",
            &at,
        ),
        Err(faults) => faults,
    }
}

pub(super) fn check_dates(options: &ParseDates, at: &Route) -> Vec<Fault> {
    options
        .formats
        .iter()
        .enumerate()
        .filter_map(|(index, format)| {
            let why = Format::new(format).err()?;
            Some(
                Fault::error("data::date_format", format!("the format `{format}` cannot be used: {why}"))
                    .help("for example `%Y-%m-%d`, `%d.%m.%Y`, `%m/%d/%y %H:%M`, `%b %d, %Y`")
                    .at(pattern::entry_route(&options.formats, index, &at.join("formats"))),
            )
        })
        .collect()
}

/// What `parse_dates` makes.
pub fn instant(options: &ParseDates) -> DType {
    let timed = || options.formats.iter().filter_map(|text| Format::new(text).ok()).any(|format| format.has_time());
    match options.into {
        Some(Instant::Date) => DType::Date,
        Some(Instant::Datetime) => DType::Datetime,
        None if timed() => DType::Datetime,
        None => DType::Date,
    }
}

pub(super) fn dates(options: &ParseDates, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    if options.on_error == OnError::Reject {
        dataset.rows = None;
    }
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let at = at.join("columns");
    let positions = match pattern::select(&options.columns, &names(columns), &at) {
        Ok(positions) => positions,
        Err(faults) => return faults,
    };
    let help = "only texts are read as dates; `cast` turns dates and datetimes into each other";
    let faults = only(columns, &positions, is_text, "data::date_type", "text", help, &at);
    for position in positions {
        let column = &mut columns[position];
        column.dtype = instant(options);
        column.classes = None;
        column.unit = None;
        // A blank text is a missing date.
        column.nullable = true;
    }
    faults
}

pub(super) fn check_split(options: &SplitColumn, at: &Route) -> Vec<Fault> {
    match (&options.by, &options.pattern) {
        (Some(by), None) if !by.is_empty() => Vec::new(),
        (None, Some(_)) => Vec::new(),
        _ => vec![
            Fault::error("data::split_by", "a column is split either `by` a text or with a `pattern`")
                .help("for example `by: \"-\"`, or `pattern: \"(\\\\d+)x(\\\\d+)\"` with one group for each new column")
                .at(at.clone()),
        ],
    }
}

pub(super) fn split(options: &SplitColumn, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let position = match one(&options.column, columns, &at.join("column")) {
        Ok(position) => position,
        Err(fault) => return vec![fault],
    };
    let mut faults = only(
        columns,
        &[position],
        is_text,
        "data::text_type",
        "text",
        "`cast` it to `string` first",
        &at.join("column"),
    );
    if !options.keep {
        columns.remove(position);
    }
    for (index, name) in options.into.iter().enumerate() {
        faults.extend(add(columns, nullable(name, DType::String), &at.join("into").join(index)));
    }
    faults
}

pub(super) fn join_columns(options: &JoinColumns, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let at_columns = at.join("columns");
    let positions = match pattern::select(&options.columns, &names(columns), &at_columns) {
        Ok(positions) => positions,
        Err(faults) => return faults,
    };
    let plain = |column: &Column| column.shape.is_empty() && column.dtype != DType::Binary;
    let mut faults = only(
        columns,
        &positions,
        plain,
        "data::text_type",
        "something that can be written as text",
        "leave it out",
        &at_columns,
    );
    let all_missing = positions.iter().all(|position| columns[*position].nullable);
    if !options.keep {
        let mut position = 0;
        columns.retain(|_| {
            position += 1;
            !positions.contains(&(position - 1))
        });
    }
    let column = Column { nullable: all_missing, ..Column::new(&options.into, DType::String) };
    faults.extend(add(columns, column, &at.join("into")));
    faults
}

/// The column of one category.
pub fn category(column: &str, value: &Scalar) -> String {
    format!("{column}_{}", shown_scalar(value))
}

pub(super) fn one_hot(options: &OneHot, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    if options.on_error == OnError::Reject {
        dataset.rows = None;
    }
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let position = match one(&options.column, columns, &at.join("column")) {
        Ok(position) => position,
        Err(fault) => return vec![fault],
    };
    let column = columns[position].clone();
    let mut faults = Vec::new();
    for (index, value) in options.categories.iter().enumerate() {
        if !super::fits(&column, value) {
            faults.push(
                Fault::error(
                    "data::fill_type",
                    format!(
                        "`{}` is no value of `{}`, which is {}",
                        shown_scalar(value),
                        column.name,
                        column.type_name()
                    ),
                )
                .help("categories are values of the column")
                .at(at.join("categories").join(index)),
            );
        }
    }
    if let Some(classes) = &column.classes
        && !classes.values.is_empty()
    {
        let stated: Vec<String> = options.categories.iter().map(shown_scalar).collect();
        let missing: Vec<&str> =
            classes.values.iter().filter(|value| !stated.contains(value)).map(String::as_str).take(5).collect();
        if options.on_error == OnError::Fail && !missing.is_empty() {
            faults.push(
                Fault::error(
                    "data::category",
                    format!(
                        "`{}` has other values than the stated categories: `{}`",
                        column.name,
                        missing.join("`, `")
                    ),
                )
                .help("state them, too, or write `on_error: fill` (all columns 0) or `on_error: reject`")
                .at(at.join("categories")),
            );
        }
    }
    if !options.keep {
        columns.remove(position);
    }
    for (index, value) in options.categories.iter().enumerate() {
        let new = Column {
            classes: Some(Classes { count: 2, values: vec!["0".into(), "1".into()] }),
            ..Column::new(category(&column.name, value), DType::UInt8)
        };
        faults.extend(add(columns, new, &at.join("categories").join(index)));
    }
    faults
}

pub(super) fn check_bin(options: &Bin, at: &Route) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !options.edges.windows(2).all(|pair| pair[0] < pair[1]) || options.edges.iter().any(|edge| !edge.is_finite()) {
        faults.push(
            Fault::error("data::bin_edges", "the edges of the bins do not ascend")
                .help("for example `edges: [0, 18, 65]`, which makes four bins")
                .at(at.join("edges")),
        );
    }
    if let Some(labels) = &options.labels
        && labels.len() != options.edges.len() + 1
    {
        faults.push(
            Fault::error(
                "data::bin_labels",
                format!("{} edges make {} bins, not {}", options.edges.len(), options.edges.len() + 1, labels.len()),
            )
            .help("there is a bin below the first edge and one from the last edge on")
            .at(at.join("labels")),
        );
    }
    faults
}

/// The names of the bins, from below.
pub fn bins(options: &Bin) -> Vec<String> {
    if let Some(labels) = &options.labels {
        return labels.clone();
    }
    let first = options.edges.first().map(|edge| format!("< {edge}"));
    let last = options.edges.last().map(|edge| format!(">= {edge}"));
    let middle = options.edges.windows(2).map(|pair| format!("{} to {}", pair[0], pair[1]));
    first.into_iter().chain(middle).chain(last).collect()
}

pub(super) fn bin(options: &Bin, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let position = match one(&options.column, columns, &at.join("column")) {
        Ok(position) => position,
        Err(fault) => return vec![fault],
    };
    let mut faults =
        only(columns, &[position], is_number, "data::number_type", "a number", NUMBERS, &at.join("column"));
    let mut values = bins(options);
    values.sort();
    values.dedup();
    let classes = Some(Classes { count: values.len() as u64, values });
    // NaN is in no bin.
    let missing = columns[position].nullable || columns[position].dtype.is_float();
    let new = |name: &str| Column { classes: classes.clone(), nullable: missing, ..Column::new(name, DType::String) };
    match &options.into {
        Some(into) => faults.extend(add(columns, new(into), &at.join("into"))),
        None => {
            let role = columns[position].role;
            columns[position] = Column { role, ..new(&options.column) };
        }
    }
    faults
}

pub(super) fn check_clip(options: &Clip, at: &Route) -> Vec<Fault> {
    let wrong = match (options.min, options.max) {
        (None, None) => "`clip` needs `min`, `max` or both",
        (Some(min), Some(max)) if min > max => "`min` is larger than `max`",
        _ => return Vec::new(),
    };
    vec![Fault::error("data::clip_range", wrong).help("for example `min: 0, max: 100`").at(at.clone())]
}

pub(super) fn clip(options: &Clip, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let at_columns = at.join("columns");
    match pattern::select(&options.columns, &names(columns), &at_columns) {
        Ok(positions) => {
            let mut faults =
                only(columns, &positions, is_number, "data::number_type", "a number", NUMBERS, &at_columns);
            for position in positions {
                let column = &mut columns[position];
                for (key, bound) in [("min", options.min), ("max", options.max)] {
                    if let Some(bound) = bound
                        && column.dtype.is_integer()
                        && (bound.fract() != 0.0 || !super::in_range(bound as i64, column.dtype))
                    {
                        faults.push(
                            Fault::error(
                                "data::clip_range",
                                format!("{bound} does not fit `{}`, which is {}", column.name, column.type_name()),
                            )
                            .help("choose a value of the column's type, or `cast` the column first")
                            .at(at.join(key)),
                        );
                    }
                }
                column.classes = None;
            }
            faults
        }
        Err(faults) => faults,
    }
}

pub(super) fn check_replace(options: &Replace, at: &Route) -> Vec<Fault> {
    let wrong = match (options.values.is_empty(), &options.pattern, &options.with) {
        (false, None, None) | (true, Some(_), Some(_)) => return Vec::new(),
        (true, None, _) => "`replace` needs `values`, or `pattern` and `with`",
        (true, Some(_), None) => "`pattern` needs `with`: what matches become",
        (false, ..) => "`values` and `pattern` are two steps",
    };
    vec![
        Fault::error("data::replace_what", wrong)
            .help("for example `values: { \"-999\": null }`, or `pattern: \"[0-9]\"` with `with: \"#\"`")
            .at(at.clone()),
    ]
}

pub(super) fn replace(options: &Replace, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    let at_columns = at.join("columns");
    let positions = match pattern::select(&options.columns, &names(columns), &at_columns) {
        Ok(positions) => positions,
        Err(faults) => return faults,
    };
    let plain = |column: &Column| column.shape.is_empty() && column.dtype != DType::Binary;
    let mut faults = if options.pattern.is_some() {
        only(columns, &positions, is_text, "data::text_type", "text", "patterns are for texts", &at_columns)
    } else {
        only(columns, &positions, plain, "data::text_type", "a plain cell", "leave it out", &at_columns)
    };
    for position in positions {
        let column = &mut columns[position];
        for (old, new) in &options.values {
            match new {
                None => column.nullable = true,
                Some(value) if super::fits(column, value) => {}
                Some(value) => faults.push(
                    Fault::error(
                        "data::fill_type",
                        format!(
                            "`{}` does not fit `{}`, which is {}",
                            shown_scalar(value),
                            column.name,
                            column.type_name()
                        ),
                    )
                    .help("replace by a value of the column's type, or `cast` the column first")
                    .at(at.join("values").join(old.as_str())),
                ),
            }
        }
        column.classes = None;
    }
    faults
}

pub(super) fn clean_text(options: &CleanText, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !options.strip_html && !options.whitespace && options.case.is_none() && options.unicode.is_none() {
        faults.push(
            Fault::warning("data::nothing_to_clean", "`clean_text` does nothing")
                .help("say what it shall do: `strip_html: true`, `unicode: nfkc`, `case: lower`, `whitespace: true`")
                .at(at.clone()),
        );
    }
    let Some(columns) = &mut dataset.columns else { return faults };
    let positions = match &options.columns {
        Some(entries) => match pattern::select(entries, &names(columns), &at.join("columns")) {
            Ok(positions) => {
                let help = "leave it out, or `cast` it to `string` first";
                faults.extend(only(columns, &positions, is_text, "data::text_type", "text", help, &at.join("columns")));
                positions
            }
            Err(more) => {
                faults.extend(more);
                return faults;
            }
        },
        None => (0..columns.len()).filter(|position| is_text(&columns[*position])).collect(),
    };
    for position in positions {
        columns[position].classes = None;
    }
    faults
}

pub(super) fn language(options: &Language, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let mut faults = Vec::new();
    if options.keep.is_none() && options.into.is_none() {
        faults.push(
            Fault::error("data::language_what", "`language` needs `keep`, `into` or both")
                .help("for example `keep: [eng, deu]`, or `into: language`")
                .at(at.clone()),
        );
    }
    if let Some(keep) = &options.keep {
        dataset.rows = None;
        for (index, code) in keep.iter().enumerate().filter(|(_, code)| !LANGUAGES.contains(&code.as_str())) {
            faults.push(
                Fault::error("data::unknown_language", format!("no language that can be told has the code `{code}`"))
                    .help(contract::fault::nearest(code, LANGUAGES.iter().copied()).map_or_else(
                        || "use ISO 639-3: `eng`, `deu`, `fra`".into(),
                        |near| format!("did you mean `{near}`?"),
                    ))
                    .at(pattern::entry_route(keep, index, &at.join("keep"))),
            );
        }
    }
    let Some(columns) = &mut dataset.columns else { return faults };
    match one(&options.column, columns, &at.join("column")) {
        Ok(position) => {
            let help = "`cast` it to `string` first";
            faults.extend(only(columns, &[position], is_text, "data::text_type", "text", help, &at.join("column")));
        }
        Err(fault) => faults.push(fault),
    }
    if let Some(into) = &options.into {
        faults.extend(add(columns, nullable(into, DType::String), &at.join("into")));
    }
    faults
}

const IMAGES: &str = "images are tensors of uint8 `[channels, height, width]`; `decode_images` makes them from bytes";

fn images(
    entries: &OneOrMany<String>,
    dataset: &mut DatasetType,
    at: &Route,
    mut change: impl FnMut(&mut Column) -> Vec<Fault>,
) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    match pattern::select(entries, &names(columns), at) {
        Ok(positions) => {
            let mut faults = only(columns, &positions, is_image, "data::image_type", "an image", IMAGES, at);
            for position in positions {
                if is_image(&columns[position]) {
                    faults.extend(change(&mut columns[position]));
                }
            }
            faults
        }
        Err(faults) => faults,
    }
}

pub(super) fn resize(options: &Resize, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    images(&options.columns, dataset, &at.join("columns"), |column| {
        column.shape = vec![column.shape[0], u64::from(options.size[0]), u64::from(options.size[1])];
        Vec::new()
    })
}

/// Sizes that no image has.
pub(super) fn check_size(size: [u32; 2], at: &Route) -> Vec<Fault> {
    if size.iter().all(|side| (1..=16_384).contains(side)) {
        return Vec::new();
    }
    vec![
        Fault::error("data::image_size", format!("no image is {}×{}", size[0], size[1]))
            .help("height and width are from 1 to 16384")
            .at(at.join("size")),
    ]
}

pub(super) fn crop(options: &Crop, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    images(&options.columns, dataset, &at.join("columns"), |column| {
        let from = options.from.unwrap_or_default();
        let fits = (0..2).all(|side| u64::from(options.size[side]) + u64::from(from[side]) <= column.shape[side + 1]);
        let fault = (!fits).then(|| {
            Fault::error(
                "data::image_size",
                format!(
                    "{}×{} pixels cannot be cut from `{}`, which is {}",
                    options.size[0],
                    options.size[1],
                    column.name,
                    column.type_name()
                ),
            )
            .help("choose a smaller size, or `resize` first")
            .at(at.join("size"))
        });
        column.shape = vec![column.shape[0], u64::from(options.size[0]), u64::from(options.size[1])];
        fault.into_iter().collect()
    })
}

pub(super) fn greyscale(entries: Option<&OneOrMany<String>>, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    let all;
    let entries = match entries {
        Some(entries) => entries,
        None => {
            let names = dataset.columns.iter().flatten().filter(|column| is_image(column));
            all = OneOrMany(names.map(|column| column.name.clone()).collect());
            &all
        }
    };
    images(entries, dataset, &at.join("columns"), |column| {
        if !matches!(column.shape[0], 1 | 3) {
            let text = format!("`{}` has {} channels, not 3", column.name, column.shape[0]);
            let help = "only images in red, green and blue become grey";
            return vec![Fault::error("data::image_type", text).help(help).at(at.join("columns"))];
        }
        column.shape[0] = 1;
        Vec::new()
    })
}

pub(super) fn decode_images(options: &DecodeImages, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    if options.on_error == OnError::Reject {
        dataset.rows = None;
    }
    let mut faults = Vec::new();
    if options.on_error == OnError::Fill {
        faults.push(
            Fault::error("data::image_fill", "a broken image cannot become missing: a tensor has no missing elements")
                .help("write `on_error: reject` to drop its row")
                .at(at.join("on_error")),
        );
    }
    let Some(columns) = &mut dataset.columns else { return faults };
    match one(&options.column, columns, &at.join("column")) {
        Ok(position) => {
            let bytes = |column: &Column| column.dtype == DType::Binary && column.shape.is_empty();
            let help = "encoded images are columns of bytes (`binary`)";
            faults.extend(only(columns, &[position], bytes, "data::image_type", "bytes", help, &at.join("column")));
            let column = &mut columns[position];
            column.dtype = DType::UInt8;
            column.unit = None;
            column.shape =
                vec![if options.grey { 1 } else { 3 }, u64::from(options.size[0]), u64::from(options.size[1])];
            column.nullable = false;
            column.classes = None;
        }
        Err(fault) => faults.push(fault),
    }
    faults
}

pub(super) fn duplicate_images(options: &DuplicateImages, dataset: &mut DatasetType, at: &Route) -> Vec<Fault> {
    dataset.rows = None;
    images(&OneOrMany(vec![options.column.clone()]), dataset, &at.join("column"), |_| Vec::new())
}
