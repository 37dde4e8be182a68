//! `crop`: a part of each image stays.

use catalog::steps::crop::Crop;

use super::chain::{Link, cells};
use super::{Input, Transform, picture};
use crate::fault::Outcome;

impl Transform for Crop {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let before = input.columns().to_vec();
        let chosen = input.chosen(&self.columns)?;
        let [height, width] = self.size.map(|side| side as usize);
        Ok(cells(after, chosen, move |array, index| {
            let from = picture::shape(&before[index].shape);
            let middle = [(from[1] - height) / 2, (from[2] - width) / 2];
            let corner = self.from.map_or(middle, |from| from.map(|side| side as usize));
            Ok(picture::each(array, [from[0], height, width], |pixels| {
                picture::crop(pixels, from, corner, height, width)
            }))
        }))
    }
}
