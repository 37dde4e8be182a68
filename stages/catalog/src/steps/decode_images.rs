//! `decode_images`: encoded images become tensors.

use contract::artifact::{Column, DType, DatasetType};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{one, only};
use super::image::check_size;
use super::{Around, Rules};
use crate::params::on_error::OnError;

/// Options of `decode_images`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecodeImages {
    /// The column of bytes; it is replaced by the images.
    pub column: String,
    /// Height and width all images get.
    pub size: [u32; 2],
    /// One channel in place of three.
    #[serde(default)]
    pub grey: bool,
    /// What happens to broken images (`fill` is not possible: a tensor has no missing elements).
    #[serde(default)]
    pub on_error: OnError,
}

impl Rules for DecodeImages {
    fn check(&self, at: &Route) -> Vec<Fault> {
        check_size(self.size, at)
    }

    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        if self.on_error == OnError::Reject {
            dataset.rows = None;
        }
        let mut faults = Vec::new();
        if self.on_error == OnError::Fill {
            faults.push(
                Fault::error(
                    contract::code!("data::image_fill"),
                    "a broken image cannot become missing: a tensor has no missing elements",
                )
                .help("write `on_error: reject` to drop its row")
                .at(at.join("on_error")),
            );
        }
        let Some(columns) = &mut dataset.columns else { return faults };
        match one(&self.column, columns, &at.join("column")) {
            Ok(position) => {
                let bytes = |column: &Column| column.dtype == DType::Binary && column.shape.is_empty();
                let help = "encoded images are columns of bytes (`binary`)";
                faults.extend(only(
                    columns,
                    &[position],
                    bytes,
                    contract::code!("data::image_type"),
                    "bytes",
                    help,
                    &at.join("column"),
                ));
                let column = &mut columns[position];
                column.dtype = DType::UInt8;
                column.unit = None;
                column.shape = vec![if self.grey { 1 } else { 3 }, u64::from(self.size[0]), u64::from(self.size[1])];
                column.nullable = false;
                column.classes = None;
            }
            Err(fault) => faults.push(fault),
        }
        faults
    }
}
