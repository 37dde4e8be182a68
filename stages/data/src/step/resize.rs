//! `resize`: images get another size.

use catalog::steps::resize::Resize;

use super::chain::{Link, cells};
use super::{Input, Transform, picture};
use crate::fault::Outcome;

impl Transform for Resize {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let before = input.columns().to_vec();
        let chosen = input.chosen(&self.columns)?;
        let [height, width] = self.size.map(|side| side as usize);
        Ok(cells(after, chosen, move |array, index| {
            let from = picture::shape(&before[index].shape);
            Ok(picture::each(array, [from[0], height, width], |pixels| picture::resize(pixels, from, height, width)))
        }))
    }
}
