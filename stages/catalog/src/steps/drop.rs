//! `drop`: some columns go.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use serde::{Deserialize, Serialize};

use super::chosen::{names, none_left};
use super::{Around, Rules};
use crate::columns::pattern;
use crate::params::shape::OneOrMany;

/// Names or patterns with `*`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Drop(pub OneOrMany<String>);

schema_of!(Drop, OneOrMany<String>);

impl Rules for Drop {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        match pattern::select(&self.0, &names(columns), at) {
            Ok(positions) => {
                let mut position = 0;
                columns.retain(|_| {
                    position += 1;
                    !positions.contains(&(position - 1))
                });
                none_left(columns, at).into_iter().collect()
            }
            Err(faults) => faults.into_vec(),
        }
    }
}
