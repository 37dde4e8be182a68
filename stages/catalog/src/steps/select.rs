//! `select`: only some columns, in a stated order.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use serde::{Deserialize, Serialize};

use super::chosen::{names, none_left};
use super::{Around, Rules};
use crate::columns::pattern;
use crate::params::shape::OneOrMany;

/// Names or patterns with `*`, in the order in which the columns are to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Select(pub OneOrMany<String>);

schema_of!(Select, OneOrMany<String>);

impl Rules for Select {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        match pattern::select(&self.0, &names(columns), at) {
            Ok(positions) => {
                *columns = positions.into_iter().map(|at| columns[at].clone()).collect();
                none_left(columns, at).into_iter().collect()
            }
            Err(faults) => faults.into_vec(),
        }
    }
}
