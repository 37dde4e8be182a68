//! `language`: texts in some languages stay, or are marked.

use contract::artifact::{DType, DatasetType};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{add, is_text, nullable, one, only};
use super::{Around, Rules};
use crate::columns::pattern;
use crate::params::shape::OneOrMany;

/// Options of `language`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// The text column.
    pub column: String,
    /// Languages to keep, by ISO 639-3: `eng`, `deu`. Other rows, and texts of which the language cannot be told, are rejected.
    #[serde(default)]
    pub keep: Option<OneOrMany<String>>,
    /// A new column for the language's code; missing where it cannot be told.
    #[serde(default)]
    pub into: Option<String>,
    /// Less certain answers (0 to 1) count as not told.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: f64,
}

impl Rules for Language {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.keep.is_none() && self.into.is_none() {
            faults.push(
                Fault::error(contract::code!("data::language_what"), "`language` needs `keep`, `into` or both")
                    .help("for example `keep: [eng, deu]`, or `into: language`")
                    .at(at.clone()),
            );
        }
        if let Some(keep) = &self.keep {
            dataset.rows = None;
            for (index, code) in keep.iter().enumerate().filter(|(_, code)| !LANGUAGES.contains(&code.as_str())) {
                faults.push(
                    Fault::error(
                        contract::code!("data::unknown_language"),
                        format!("no language that can be told has the code `{code}`"),
                    )
                    .help(contract::fault::nearest(code, LANGUAGES.iter().copied()).map_or_else(
                        || "use ISO 639-3: `eng`, `deu`, `fra`".into(),
                        |near| format!("did you mean `{near}`?"),
                    ))
                    .at(pattern::entry_route(keep, index, &at.join("keep"))),
                );
            }
        }
        let Some(columns) = &mut dataset.columns else { return faults };
        match one(&self.column, columns, &at.join("column")) {
            Ok(position) => {
                let help = "`cast` it to `string` first";
                faults.extend(only(
                    columns,
                    &[position],
                    is_text,
                    contract::code!("data::text_type"),
                    "text",
                    help,
                    &at.join("column"),
                ));
            }
            Err(fault) => faults.push(fault),
        }
        if let Some(into) = &self.into {
            faults.extend(add(columns, nullable(into, DType::String), &at.join("into")));
        }
        faults
    }
}

/// The languages that can be told apart, by ISO 639-3.
pub const LANGUAGES: &[&str] = &[
    "afr", "aka", "amh", "ara", "aze", "bel", "ben", "bul", "cat", "ces", "cmn", "cym", "dan", "deu", "ell", "eng",
    "epo", "est", "fin", "fra", "guj", "heb", "hin", "hrv", "hun", "hye", "ind", "ita", "jav", "jpn", "kan", "kat",
    "khm", "kor", "lat", "lav", "lit", "mal", "mar", "mkd", "mya", "nep", "nld", "nob", "ori", "pan", "pes", "pol",
    "por", "ron", "rus", "sin", "slk", "slv", "sna", "spa", "srp", "swe", "tam", "tel", "tgl", "tha", "tuk", "tur",
    "ukr", "urd", "uzb", "vie", "yid", "zul",
];
