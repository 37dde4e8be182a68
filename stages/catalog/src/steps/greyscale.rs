//! `greyscale`: images of three channels become grey.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use serde::{Deserialize, Serialize};

use super::chosen::SomeColumns;
use super::image::{images, is_image};
use super::{Around, Rules};
use crate::params::shape::OneOrMany;

/// The image columns. Default: all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Greyscale(pub SomeColumns);

schema_of!(Greyscale, SomeColumns);

impl Rules for Greyscale {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let all;
        let entries = match &self.0.columns {
            Some(entries) => entries,
            None => {
                let names = dataset.columns.iter().flatten().filter(|column| is_image(column));
                all = OneOrMany(names.map(|column| column.name.clone()).collect());
                &all
            }
        };
        images(entries, dataset, &at.join("columns"), |column| {
            if !matches!(column.shape[0], 1 | 3) {
                let text = format!("`{}` has {} channels, not 3", column.name, column.shape[0]);
                let help = "only images in red, green and blue become grey";
                return vec![Fault::error(contract::code!("data::image_type"), text).help(help).at(at.join("columns"))];
            }
            column.shape[0] = 1;
            Vec::new()
        })
    }
}
