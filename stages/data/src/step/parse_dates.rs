//! `parse_dates`: texts become dates.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use catalog::columns::dates::Format;
use catalog::params::on_error::OnError;
use catalog::steps::parse_dates::ParseDates;
use contract::artifact::DType;
use contract::fault::Fault;

use super::chain::{Link, Lost, policy};
use super::{Input, Transform};
use crate::fault::{Outcome, kernel};
use crate::table::convert::convert;
use crate::table::display::shown;

impl Transform for ParseDates {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let before = input.columns().to_vec();
        let route = input.route.clone();
        let chosen = input.chosen(&self.columns)?;
        let formats: Vec<Format> = self.formats.iter().filter_map(|text| Format::new(text).ok()).collect();
        let into = self.instant();
        let lost = Arc::new(Lost::default());
        let told = Arc::clone(&lost);
        let link = Link::new(after, move |rows, start| {
            let mut arrays = rows.columns().to_vec();
            let mut wrong: BTreeMap<usize, String> = BTreeMap::new();
            let mut missing: Vec<(usize, String)> = Vec::new();
            for index in &chosen {
                let (array, rows_wrong) = dates(&arrays[*index], &formats, into)?;
                for row in rows_wrong {
                    let text = shown(&arrays[*index], row);
                    let reason = format!("`{text}` in column `{}` fits no format", before[*index].name);
                    if self.on_error == OnError::Fill {
                        missing.push((row, reason));
                    } else {
                        wrong.entry(row).or_insert(reason);
                    }
                }
                arrays[*index] = array;
            }
            told.add(start, &missing);
            let gone = policy(self.on_error, wrong.into_iter().collect(), |row, reason| {
                Fault::error(contract::code!("data::cell"), format!("row {}: {reason}", start + row + 1))
                    .help("add its format to `formats`, or write `on_error: reject` or `on_error: fill`")
                    .at(route.join("formats"))
            })?;
            Ok((arrays, gone))
        });
        Ok(link.losing(lost))
    }
}

/// Texts as dates or datetimes by the first format that fits, and the rows whose text no format fits (their cells are missing).
fn dates(array: &ArrayRef, formats: &[Format], into: DType) -> Outcome<(ArrayRef, Vec<usize>)> {
    let mut wrong = Vec::new();
    let mut micros: Vec<Option<i64>> = Vec::with_capacity(array.len());
    for (row, text) in array.as_string::<i32>().iter().enumerate() {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let read = text.and_then(|text| formats.iter().find_map(|format| format.parse(text)));
        if text.is_some() && read.is_none() {
            wrong.push(row);
        }
        micros.push(read);
    }
    let micros = Int64Array::from(micros);
    let stamps = cast(&micros, &DataType::Timestamp(TimeUnit::Microsecond, None))
        .map_err(|error| kernel("reading dates", &error))?;
    let array = convert(&stamps, into).map_err(|_| kernel("reading dates", &"a year is out of range"))?;
    Ok((array, wrong))
}
