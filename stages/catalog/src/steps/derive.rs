//! `derive`: columns computed by expressions.

use std::collections::BTreeMap;

use contract::artifact::{ArtifactType, Column, DType, DatasetType, Mixed, Types};
use contract::fault::{Fault, Route};
use serde::{Deserialize, Serialize};

use super::expression::placed;
use super::{Around, Rules};
use crate::question::{Expression, ExpressionType};

/// New column to SQL expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Derive(pub BTreeMap<String, String>);

schema_of!(Derive, BTreeMap<String, String>);

impl Rules for Derive {
    fn infer(&self, dataset: &mut DatasetType, around: &Around<'_>, at: &Route) -> Vec<Fault> {
        let Some(columns) = dataset.columns.clone() else { return Vec::new() };
        let asked = DatasetType { columns: Some(columns), ..DatasetType::default() };
        let inputs: Types = [("data".to_owned(), ArtifactType::Dataset(asked.into()))].into();
        let mut faults = Vec::new();
        for (name, text) in &self.0 {
            let answer = match (around.ask)(&Expression::Value(text.clone()), &inputs) {
                Ok(answer) => answer.and_then(|value| serde_json::from_value::<ExpressionType>(value).ok()),
                Err(more) => {
                    faults.extend(placed(more.into_vec(), &at.join(name.as_str())));
                    None
                }
            };
            let Some(columns) = &mut dataset.columns else { continue };
            let Some(answer) = answer else {
                if faults.is_empty() {
                    // Nobody answered: what the later steps meet is not known.
                    dataset.columns = None;
                } else if !columns.iter().any(|column| column.name == *name) {
                    columns.push(Column { nullable: true, ..Column::new(name, DType::Float64) });
                }
                continue;
            };
            let new = Column { nullable: answer.missing, ..Column::new(name, answer.dtype) };
            match columns.iter_mut().find(|column| column.name == *name) {
                Some(column) => *column = Column { role: column.role, ..new },
                None => columns.push(new),
            }
        }
        faults
    }

    /// A column is made of those that its expression names, also where it takes the place of an old one.
    fn follow(&self, mixed: &mut Mixed, _: &[&str]) {
        let (mut derived, mut replaced) = (Vec::new(), Vec::new());
        for (name, text) in &self.0 {
            let made = mixed.columns.iter().any(|column| mentions(text, column));
            let known = mixed.columns.iter().any(|column| column == name);
            match (made, known) {
                (true, false) => derived.push(name.clone()),
                (false, true) => replaced.push(name.clone()),
                _ => {}
            }
        }
        mixed.columns.retain(|name| !replaced.contains(name));
        mixed.columns.append(&mut derived);
    }
}

/// Whether an expression has the name of a column in it.
fn mentions(text: &str, name: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name)
        .any(|(at, _)| !part(text[..at].chars().next_back()) && !part(text[at + name.len()..].chars().next()))
}
