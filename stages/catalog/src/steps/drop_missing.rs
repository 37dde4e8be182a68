//! `drop_missing`: rows with a missing cell go.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use serde::{Deserialize, Serialize};

use super::chosen::{SomeColumns, named};
use super::{Around, Rules};

/// The columns whose cells must be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DropMissing(pub SomeColumns);

schema_of!(DropMissing, SomeColumns);

impl Rules for DropMissing {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let chosen = named(&self.0, dataset, at);
        dataset.rows = None;
        match chosen {
            Err(faults) => faults.into_vec(),
            Ok(None) => Vec::new(),
            Ok(Some(positions)) => {
                if let Some(columns) = &mut dataset.columns {
                    positions.into_iter().for_each(|at| columns[at].nullable = false);
                }
                Vec::new()
            }
        }
    }
}
