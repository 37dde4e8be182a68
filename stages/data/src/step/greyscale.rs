//! `greyscale`: images of three channels become grey.

use catalog::steps::greyscale::Greyscale;

use super::chain::{Link, cells};
use super::{Input, Transform, picture};
use crate::fault::Outcome;

impl Transform for Greyscale {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let before = input.columns().to_vec();
        let chosen = match &self.0.columns {
            Some(patterns) => input.chosen(patterns)?,
            None => (0..before.len()).filter(|index| before[*index].shape != after[*index].shape).collect(),
        };
        Ok(cells(after, chosen, move |array, index| {
            let from = picture::shape(&before[index].shape);
            Ok(picture::each(array, [1, from[1], from[2]], |pixels| picture::grey(pixels, from)))
        }))
    }
}
