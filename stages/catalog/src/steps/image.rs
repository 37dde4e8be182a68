//! Columns of images.

use contract::artifact::{Column, DType, DatasetType};
use contract::fault::{Fault, Route};

use super::chosen::{names, only};
use crate::columns::pattern;
use crate::params::shape::OneOrMany;

const IMAGES: &str = "images are tensors of uint8 `[channels, height, width]`; `decode_images` makes them from bytes";

pub(super) fn is_image(column: &Column) -> bool {
    column.shape.len() == 3 && column.dtype == DType::UInt8
}

pub(super) fn images(
    entries: &OneOrMany<String>,
    dataset: &mut DatasetType,
    at: &Route,
    mut change: impl FnMut(&mut Column) -> Vec<Fault>,
) -> Vec<Fault> {
    let Some(columns) = &mut dataset.columns else { return Vec::new() };
    match pattern::select(entries, &names(columns), at) {
        Ok(positions) => {
            let mut faults =
                only(columns, &positions, is_image, contract::code!("data::image_type"), "an image", IMAGES, at);
            for position in positions {
                if is_image(&columns[position]) {
                    faults.extend(change(&mut columns[position]));
                }
            }
            faults
        }
        Err(faults) => faults.into_vec(),
    }
}

/// Sizes that no image has.
pub(super) fn check_size(size: [u32; 2], at: &Route) -> Vec<Fault> {
    if size.iter().all(|side| (1..=16_384).contains(side)) {
        return Vec::new();
    }
    vec![
        Fault::error(contract::code!("data::image_size"), format!("no image is {}×{}", size[0], size[1]))
            .help("height and width are from 1 to 16384")
            .at(at.join("size")),
    ]
}
