//! `rename`: columns under new names.

use std::collections::BTreeMap;

use contract::artifact::{DatasetType, Mixed};
use contract::fault::{Fault, Route, suggest};
use serde::{Deserialize, Serialize};

use super::{Around, Rules};

/// Old name to new name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rename(pub BTreeMap<String, String>);

schema_of!(Rename, BTreeMap<String, String>);

impl Rules for Rename {
    fn check(&self, at: &Route) -> Vec<Fault> {
        self.0
            .iter()
            .filter(|(_, new)| new.is_empty())
            .map(|(old, new)| {
                Fault::error(
                    contract::code!("data::empty_name"),
                    format!("`{old}` would lose its name: `{new}` is empty"),
                )
                .help("to remove a column, use `drop`")
                .at(at.join(old.as_str()))
            })
            .collect()
    }

    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let known: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let mut faults = Vec::new();
        for old in self.0.keys().filter(|old| !known.contains(old)) {
            let fault =
                Fault::error(contract::code!("data::unknown_column"), format!("there is no column `{old}` to rename"));
            let help =
                suggest(old, known.iter().map(String::as_str)).unwrap_or_else(|| "the data has no columns".into());
            faults.push(fault.help(help).at_key(at.join(old.as_str())));
        }
        for column in columns.iter_mut() {
            if let Some(new) = self.0.get(&column.name) {
                column.name.clone_from(new);
            }
        }
        // All names change at once, so that two columns can change places; what counts is that none is there twice afterwards.
        for (old, new) in self.0.iter().filter(|(old, _)| known.contains(old)) {
            if columns.iter().filter(|column| column.name == *new).count() > 1 {
                faults.push(
                    Fault::error(
                        contract::code!("data::duplicate_column"),
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

    fn follow(&self, mixed: &mut Mixed, _: &[&str]) {
        for name in mixed.columns.iter_mut().chain(&mut mixed.within) {
            if let Some(new) = self.0.get(name) {
                name.clone_from(new);
            }
        }
    }
}
