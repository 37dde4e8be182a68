//! `crop`: a part of each image stays.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::{check_size, images};
use super::{Around, Rules};
use crate::params::shape::OneOrMany;

/// Options of `crop`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Names or patterns with `*` of image columns: tensors `[channels, height, width]`.
    pub columns: OneOrMany<String>,
    /// Height and width of what is kept.
    pub size: [u32; 2],
    /// The upper left corner (y, x). Default: the middle is kept.
    #[serde(default)]
    pub from: Option<[u32; 2]>,
}

impl Rules for Crop {
    fn check(&self, at: &Route) -> Vec<Fault> {
        check_size(self.size, at)
    }

    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        images(&self.columns, dataset, &at.join("columns"), |column| {
            let from = self.from.unwrap_or_default();
            let fits = (0..2).all(|side| u64::from(self.size[side]) + u64::from(from[side]) <= column.shape[side + 1]);
            let fault = (!fits).then(|| {
                Fault::error(
                    contract::code!("data::image_size"),
                    format!(
                        "{}×{} pixels cannot be cut from `{}`, which is {}",
                        self.size[0],
                        self.size[1],
                        column.name,
                        column.type_name()
                    ),
                )
                .help("choose a smaller size, or `resize` first")
                .at(at.join("size"))
            });
            column.shape = vec![column.shape[0], u64::from(self.size[0]), u64::from(self.size[1])];
            fault.into_iter().collect()
        })
    }
}
