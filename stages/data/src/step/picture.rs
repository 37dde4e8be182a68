//! Steps over images: tensors of bytes `[channels, height, width]`.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, UInt8Array};
use arrow::datatypes::{DataType, UInt8Type};
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageReader};

use crate::table::dataset::item;

/// Channels, height and width.
pub type Shape = [usize; 3];

/// The shape of an image column.
pub fn shape(sides: &[u64]) -> Shape {
    let side = |index: usize| sides.get(index).copied().unwrap_or(1) as usize;
    [side(0), side(1), side(2)]
}

/// All images of a batch through a function that gives images of another size.
pub fn each(array: &ArrayRef, to: Shape, f: impl Fn(&[u8]) -> Vec<u8>) -> ArrayRef {
    let list = array.as_fixed_size_list();
    let size = list.value_length() as usize;
    let bytes = list.values().as_primitive::<UInt8Type>().values();
    let start = list.value_offset(0) as usize;
    let mut all = Vec::with_capacity(list.len() * to.iter().product::<usize>());
    for row in 0..list.len() {
        all.extend(f(&bytes[start + row * size..start + (row + 1) * size]));
    }
    tensor(all, to)
}

/// Pixels of many images as a column.
pub fn tensor(pixels: Vec<u8>, shape: Shape) -> ArrayRef {
    let size = shape.iter().product::<usize>() as i32;
    Arc::new(FixedSizeListArray::new(item(DataType::UInt8), size, Arc::new(UInt8Array::from(pixels)), None))
}

/// Another size, by a triangle filter (which averages when it shrinks).
pub fn resize(pixels: &[u8], from: Shape, height: usize, width: usize) -> Vec<u8> {
    pixels
        .chunks_exact(from[1] * from[2])
        .flat_map(|channel| {
            let plane = GrayImage::from_raw(from[2] as u32, from[1] as u32, channel.to_vec()).unwrap_or_default();
            image::imageops::resize(&plane, width as u32, height as u32, FilterType::Triangle).into_raw()
        })
        .collect()
}

/// A rectangle.
pub fn crop(pixels: &[u8], from: Shape, corner: [usize; 2], height: usize, width: usize) -> Vec<u8> {
    let mut cut = Vec::with_capacity(from[0] * height * width);
    for channel in pixels.chunks_exact(from[1] * from[2]) {
        for row in channel.chunks_exact(from[2]).skip(corner[0]).take(height) {
            cut.extend_from_slice(&row[corner[1]..corner[1] + width]);
        }
    }
    cut
}

/// One channel: the luma of ITU-R BT.601, rounded.
pub fn grey(pixels: &[u8], from: Shape) -> Vec<u8> {
    let size = from[1] * from[2];
    if from[0] == 1 {
        return pixels.to_vec();
    }
    (0..size)
        .map(|at| {
            let channel = |index: usize| u32::from(pixels[index * size + at]);
            ((299 * channel(0) + 587 * channel(1) + 114 * channel(2) + 500) / 1000) as u8
        })
        .collect()
}

/// The difference hash: of a grey image of 9×8 pixels, whether each pixel is darker than its right neighbour (N. Krawetz, Kind of
/// like that, 2013).
pub fn dhash(pixels: &[u8], from: Shape) -> u64 {
    let small = resize(&grey(pixels, from), [1, from[1], from[2]], 8, 9);
    small
        .chunks_exact(9)
        .flat_map(|row| row.windows(2).map(|pair| pair[0] < pair[1]))
        .fold(0, |hash, bit| hash << 1 | u64::from(bit))
}

/// Decodes PNG or JPEG. A header that lies about the size is refused before memory is taken.
///
/// # Errors
/// Why it is no image, as the end of a sentence.
pub fn decode(bytes: &[u8], height: u32, width: u32, grey: bool) -> Result<Vec<u8>, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(16_384), Some(16_384));
    limits.max_alloc = Some(512 << 20);
    reader.limits(limits);
    let decoded = reader.decode().map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
    let decoded = if (decoded.height(), decoded.width()) == (height, width) {
        decoded
    } else {
        decoded.resize_exact(width, height, FilterType::Triangle)
    };
    Ok(planes(&decoded, grey))
}

fn planes(image: &DynamicImage, grey: bool) -> Vec<u8> {
    if grey {
        return image.to_luma8().into_raw();
    }
    let pixels = image.to_rgb8().into_raw();
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_go_where_they_belong() {
        let image: Vec<u8> = (0..16).collect();
        assert_eq!(crop(&image, [1, 4, 4], [1, 2], 2, 2), [6, 7, 10, 11]);
        assert_eq!(grey(&[255, 0, 0, 255, 0, 0], [3, 1, 2]), [76, 150]);
        assert_eq!(resize(&[0, 0, 100, 100], [1, 2, 2], 1, 1), [50]);
    }

    #[test]
    fn the_hash_sees_likeness() {
        let wave = |at: usize, noise: u8| (((at % 16) * 37 + (at / 16) * 11) % 200) as u8 + noise;
        let one: Vec<u8> = (0..256).map(|at| wave(at, 0)).collect();
        let brighter: Vec<u8> = (0..256).map(|at| wave(at, 9)).collect();
        let other: Vec<u8> = (0..256).rev().map(|at| wave(at, 0)).collect();
        let hash = |pixels: &[u8]| dhash(pixels, [1, 16, 16]);
        assert!((hash(&one) ^ hash(&brighter)).count_ones() <= 2);
        assert!((hash(&one) ^ hash(&other)).count_ones() > 8);
    }

    #[test]
    fn broken_images_are_refused() {
        for bytes in [&b""[..], b"not an image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(decode(bytes, 4, 4, false).is_err());
        }
    }
}
