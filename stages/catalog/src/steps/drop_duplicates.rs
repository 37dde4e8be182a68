//! `drop_duplicates`: the first of equal rows stays.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Faults, Route};
use serde::{Deserialize, Serialize};

use super::chosen::{SomeColumns, named};
use super::{Around, Rules};

/// The columns that must be equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DropDuplicates(pub SomeColumns);

schema_of!(DropDuplicates, SomeColumns);

impl Rules for DropDuplicates {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        dataset.rows = None;
        named(&self.0, dataset, at).map_or_else(Faults::into_vec, |_| Vec::new())
    }
}
