//! `resize`: images get another size.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::{check_size, images};
use super::{Around, Rules};
use crate::params::shape::OneOrMany;

/// Options of `resize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Names or patterns with `*` of image columns: tensors `[channels, height, width]` of uint8.
    pub columns: OneOrMany<String>,
    /// Height and width.
    pub size: [u32; 2],
}

impl Rules for Resize {
    fn check(&self, at: &Route) -> Vec<Fault> {
        check_size(self.size, at)
    }

    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        images(&self.columns, dataset, &at.join("columns"), |column| {
            column.shape = vec![column.shape[0], u64::from(self.size[0]), u64::from(self.size[1])];
            Vec::new()
        })
    }
}
