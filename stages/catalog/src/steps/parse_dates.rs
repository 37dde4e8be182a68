//! `parse_dates`: texts become dates.

use contract::artifact::{DType, DatasetType};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{is_text, names, only};
use super::{Around, Rules};
use crate::columns::dates::Format;
use crate::columns::pattern;
use crate::params::on_error::OnError;
use crate::params::shape::OneOrMany;

/// Options of `parse_dates`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParseDates {
    /// Names or patterns with `*` of text columns.
    pub columns: OneOrMany<String>,
    /// Tried in order: `%d.%m.%Y`, `%Y-%m-%d %H:%M:%S`, `%b %d, %Y`. Known are `%Y %y %m %d %e %b %B %H %I %M %S %f %p %j %s %%`.
    pub formats: OneOrMany<String>,
    /// What the cells become. Default: `datetime` when a format has a time of day, else `date`.
    #[serde(default)]
    pub into: Option<Instant>,
    /// What happens to texts that no format fits.
    #[serde(default)]
    pub on_error: OnError,
}

/// A date, or a date with the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Instant {
    /// A day.
    Date,
    /// A day and the time.
    Datetime,
}

impl Rules for ParseDates {
    fn check(&self, at: &Route) -> Vec<Fault> {
        self.formats
            .iter()
            .enumerate()
            .filter_map(|(index, format)| {
                let why = Format::new(format).err()?;
                Some(
                    Fault::error(
                        contract::code!("data::date_format"),
                        format!("the format `{format}` cannot be used: {why}"),
                    )
                    .help("for example `%Y-%m-%d`, `%d.%m.%Y`, `%m/%d/%y %H:%M`, `%b %d, %Y`")
                    .at(pattern::entry_route(&self.formats, index, &at.join("formats"))),
                )
            })
            .collect()
    }

    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        if self.on_error == OnError::Reject {
            dataset.rows = None;
        }
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let at = at.join("columns");
        let positions = match pattern::select(&self.columns, &names(columns), &at) {
            Ok(positions) => positions,
            Err(faults) => return faults.into_vec(),
        };
        let help = "only texts are read as dates; `cast` turns dates and datetimes into each other";
        let faults = only(columns, &positions, is_text, contract::code!("data::date_type"), "text", help, &at);
        for position in positions {
            let column = &mut columns[position];
            column.dtype = self.instant();
            column.classes = None;
            column.unit = None;
            // A blank text is a missing date.
            column.nullable = true;
        }
        faults
    }
}

impl ParseDates {
    /// The type of the new cells.
    pub fn instant(&self) -> DType {
        let timed = || self.formats.iter().filter_map(|text| Format::new(text).ok()).any(|format| format.has_time());
        match self.into {
            Some(Instant::Date) => DType::Date,
            Some(Instant::Datetime) => DType::Datetime,
            None if timed() => DType::Datetime,
            None => DType::Date,
        }
    }
}
