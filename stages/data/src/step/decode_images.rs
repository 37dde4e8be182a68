//! `decode_images`: encoded images become tensors.

use arrow::array::{Array, AsArray};
use catalog::steps::decode_images::DecodeImages;
use contract::fault::Fault;

use super::chain::{Link, policy};
use super::{Input, Transform, picture};
use crate::fault::Outcome;

impl Transform for DecodeImages {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let route = input.route.clone();
        let index = input.one(&self.column)?;
        let shape = picture::shape(&after[index].shape);
        Ok(Link::new(after, move |rows, start| {
            let mut arrays = rows.columns().to_vec();
            let bytes = arrays[index].as_binary::<i32>().clone();
            let mut wrong = Vec::new();
            let mut pixels = Vec::with_capacity(bytes.len() * shape.iter().product::<usize>());
            for (row, cell) in bytes.iter().enumerate() {
                let read = cell.ok_or_else(|| "it is missing".to_owned());
                let read = read.and_then(|cell| picture::decode(cell, self.size[0], self.size[1], self.grey));
                match read {
                    Ok(image) => pixels.extend(image),
                    Err(why) => {
                        wrong.push((row, format!("the image in column `{}` is broken: {why}", self.column)));
                        pixels.resize(pixels.len() + shape.iter().product::<usize>(), 0);
                    }
                }
            }
            let gone = policy(self.on_error, wrong, |row, reason| {
                Fault::error(contract::code!("data::broken_image"), format!("row {}: {reason}", start + row + 1))
                    .help("write `on_error: reject` to drop such rows")
                    .at(route.join("column"))
            })?;
            arrays[index] = picture::tensor(pixels, shape);
            Ok((arrays, gone))
        }))
    }
}
