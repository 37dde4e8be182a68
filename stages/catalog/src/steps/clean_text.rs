//! `clean_text`: HTML, Unicode forms, case and white space.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{is_text, names, only};
use super::{Around, Rules};
use crate::columns::pattern;
use crate::params::shape::OneOrMany;

/// Options of `clean_text`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanText {
    /// Names or patterns with `*`. Default: all text columns.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
    /// Removes tags, comments, scripts and styles, and reads entities such as `&amp;`.
    #[serde(default)]
    pub strip_html: bool,
    /// The Unicode form.
    #[serde(default)]
    pub unicode: Option<UnicodeForm>,
    /// Upper or lower case.
    #[serde(default)]
    pub case: Option<Case>,
    /// Runs of white space become one space, and none is left at the ends.
    #[serde(default)]
    pub whitespace: bool,
}

/// A Unicode normalisation form (UAX #15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnicodeForm {
    /// Composed: `é` is one character.
    Nfc,
    /// Composed, and compatible forms unified: `ﬁ` becomes `fi`, `²` becomes `2`.
    Nfkc,
}

/// Letter case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// All small.
    Lower,
    /// All capital.
    Upper,
}

impl Rules for CleanText {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !self.strip_html && !self.whitespace && self.case.is_none() && self.unicode.is_none() {
            faults.push(
                Fault::warning(contract::code!("data::nothing_to_clean"), "`clean_text` does nothing")
                    .help(
                        "say what it shall do: `strip_html: true`, `unicode: nfkc`, `case: lower`, `whitespace: true`",
                    )
                    .at(at.clone()),
            );
        }
        let Some(columns) = &mut dataset.columns else { return faults };
        let positions = match &self.columns {
            Some(entries) => match pattern::select(entries, &names(columns), &at.join("columns")) {
                Ok(positions) => {
                    let help = "leave it out, or `cast` it to `string` first";
                    faults.extend(only(
                        columns,
                        &positions,
                        is_text,
                        contract::code!("data::text_type"),
                        "text",
                        help,
                        &at.join("columns"),
                    ));
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
}
