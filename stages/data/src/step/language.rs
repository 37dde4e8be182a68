//! `language`: texts in some languages stay, or are marked.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use catalog::steps::language::Language;

use super::chain::Link;
use super::{Input, Transform};
use crate::fault::Outcome;

impl Transform for Language {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let index = input.one(&self.column)?;
        Ok(Link::new(after, move |rows, _| {
            let mut arrays = rows.columns().to_vec();
            let texts = arrays[index].as_string::<i32>().clone();
            let told: Vec<Option<&'static str>> =
                texts.iter().map(|text| text.and_then(|text| language(text, self.confidence))).collect();
            let mut gone = Vec::new();
            if let Some(keep) = &self.keep {
                for (row, code) in told.iter().enumerate() {
                    match code {
                        None => gone.push((row, "its language cannot be told".to_owned())),
                        Some(code) if !keep.iter().any(|kept| kept == code) => {
                            gone.push((row, format!("its language is `{code}`")))
                        }
                        Some(_) => {}
                    }
                }
            }
            if self.into.is_some() {
                arrays.push(Arc::new(told.into_iter().collect::<StringArray>()));
            }
            Ok((arrays, gone))
        }))
    }
}

/// The language of a text by ISO 639-3, where it can be told with this confidence.
fn language(text: &str, confidence: f64) -> Option<&'static str> {
    whatlang::detect(text).filter(|info| info.confidence() >= confidence).map(|info| info.lang().code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_the_catalog_are_those_that_can_be_told() {
        let mut codes: Vec<&str> = whatlang::Lang::all().iter().map(|lang| lang.code()).collect();
        codes.sort_unstable();
        assert_eq!(codes, catalog::steps::language::LANGUAGES);
        assert_eq!(language("Alle Menschen sind frei und gleich an Würde und Rechten geboren.", 0.0), Some("deu"));
        assert_eq!(language("", 0.0), None);
    }
}
