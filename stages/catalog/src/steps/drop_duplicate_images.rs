//! `drop_duplicate_images`: images that look like an earlier one go.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::images;
use super::{Around, Rules};
use crate::params::shape::OneOrMany;

/// Options of `drop_duplicate_images`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuplicateImages {
    /// The image column: a tensor `[channels, height, width]`.
    pub column: String,
    /// Images whose hashes differ in no more bits are duplicates.
    #[serde(default = "distance")]
    #[schemars(range(max = 32))]
    pub distance: u32,
}

impl Rules for DuplicateImages {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        dataset.rows = None;
        images(&OneOrMany(vec![self.column.clone()]), dataset, &at.join("column"), |_| Vec::new())
    }
}

fn distance() -> u32 {
    4
}
