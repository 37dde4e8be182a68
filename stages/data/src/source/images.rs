//! A folder of images, one folder below it for each class.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, FixedSizeListArray, StringArray, UInt8Array};
use arrow::datatypes::DataType;
use catalog::params::collect::{ColorMode, Images};
use engine::artifact::{Classes, Column, DType, Role};
use engine::error::{Fault, Place, suggest};
use engine::protocol::{InputFile, Progress};
use engine::worker::Channel;
use image::{DynamicImage, ImageReader};

use super::bytes::Limits;
use super::listing::{Entry, list};
use crate::dataset::{Table, batch, item};
use crate::fault::{Faults, Outcome, place, unreadable};
use crate::threads;

/// No side of an image may be longer.
const SIDE: u32 = 16_384;
/// Decoding one image may take so many bytes.
const MEMORY: u64 = 512 << 20;
/// Elements that fit into one column of one batch.
const ELEMENTS: usize = i32::MAX as usize;
/// What files of images end in.
pub const IMAGES: &[&str] = &[".png", ".jpg", ".jpeg"];

/// Reads all images: columns `image` (tensor of bytes, `[channels, height, width]`), `label` (the name of the folder, when there are
/// folders) and `file` (where it came from, an id). Rows are in the natural order of classes, then of files.
///
/// # Errors
/// Images that are broken or too large, each with its file; sizes that differ when no size is stated.
pub fn read(folder: &InputFile, options: &Images, limits: &Limits, channel: &Channel) -> Outcome<Table> {
    let entries = list(folder, IMAGES)?;
    let (image, pixels) = tensors(&entries, folder, options, limits, channel)?;
    let columns = columns(&entries, image);
    let mut arrays: Vec<ArrayRef> = vec![pixels];
    if columns.len() == 3 {
        let labels = entries.iter().map(|entry| entry.class.as_deref().unwrap_or_default());
        arrays.push(Arc::new(StringArray::from_iter_values(labels)));
    }
    arrays.push(Arc::new(StringArray::from_iter_values(entries.iter().map(|entry| entry.name.as_str()))));
    let batches = vec![batch(&columns, arrays)?];
    Ok(Table { columns, batches })
}

/// The pixels of all entries.
fn tensors(
    entries: &[Entry],
    folder: &InputFile,
    options: &Images,
    limits: &Limits,
    channel: &Channel,
) -> Outcome<(Column, ArrayRef)> {
    let size = size(&entries[0], options, &folder.shown)?;
    let first = format!("`{}`", entries[0].name);
    let frame = Frame { mode: options.mode, size, stated: options.size.is_some(), first: &first };
    let done = AtomicU64::new(0);
    let open = |index: usize| {
        let image = decode(&entries[index], &folder.shown);
        channel.progress(Progress {
            done: done.fetch_add(1, Ordering::Relaxed) + 1,
            total: Some(entries.len() as u64),
            unit: "image".into(),
            message: String::new(),
            rate: None,
        });
        image
    };
    let name = |index: usize| {
        let shown = format!("{}/{}", folder.shown, entries[index].name);
        (format!("`{shown}`"), place(&shown, None, None))
    };
    let pixels = gather(entries.len(), &frame, limits.threads, open, name)?;
    Ok((image_column("image", options.mode, size.0, size.1), pixels))
}

/// What the images of a column have in common.
pub struct Frame<'a> {
    /// How pixels are kept.
    pub mode: ColorMode,
    /// Height and width.
    pub size: (u32, u32),
    /// Whether the size is stated, so that images of another one are resized. Otherwise they are faults.
    pub stated: bool,
    /// How messages call the image that the size is of.
    pub first: &'a str,
}

/// So many images as one column of tensors, decoded in parallel: the one place where that happens. `open` decodes one, `name` says
/// how messages call it and where it is.
///
/// # Errors
/// All that `open` refuses, sizes that differ, and more pixels than fit.
pub fn gather(
    count: usize,
    frame: &Frame<'_>,
    threads: usize,
    open: impl Fn(usize) -> Result<DynamicImage, Fault> + Sync,
    name: impl Fn(usize) -> (String, Place) + Sync,
) -> Outcome<ArrayRef> {
    let (height, width) = frame.size;
    let channels = channels(frame.mode);
    let each = channels * height as usize * width as usize;
    if each.checked_mul(count).is_none_or(|all| all > ELEMENTS) {
        let text = format!("{count} images of {channels}×{height}×{width} do not fit into one data set");
        let (_, at) = name(0);
        return Err(vec![Fault::error("data::too_large", text).help("state a smaller `size:`").place(at)]);
    }
    let decoded = threads::map(count, threads, |index| {
        let image = open(index)?;
        if !frame.stated && (image.height(), image.width()) != frame.size {
            let (what, at) = name(index);
            let text = format!(
                "{what} is {}×{}, {} is {height}×{width} (height×width)",
                image.height(),
                image.width(),
                frame.first
            );
            return Err(Fault::error("data::sizes_differ", text)
                .help(format!("let all be resized: `size: [{height}, {width}]`"))
                .place(at));
        }
        Ok(planes(image, frame.mode, frame.size))
    });
    let mut faults = Faults::default();
    let mut all = Vec::with_capacity(each * count);
    for pixels in decoded {
        match pixels {
            Ok(pixels) => all.extend_from_slice(&pixels),
            Err(fault) => faults.add(|| fault),
        }
    }
    faults.or(())?;
    let list = FixedSizeListArray::new(item(DataType::UInt8), each as i32, Arc::new(UInt8Array::from(all)), None);
    Ok(Arc::new(list))
}

/// What [`read`] would give, from the folder's listing and its first image.
///
/// # Errors
/// A folder without images, and a first image that is broken.
pub fn peek(folder: &InputFile, options: &Images) -> Outcome<(Vec<Column>, u64)> {
    let entries = list(folder, IMAGES)?;
    let (height, width) = size(&entries[0], options, &folder.shown)?;
    let mut columns = columns(&entries, image_column("image", options.mode, height, width));
    if let [_, label, _] = columns.as_mut_slice() {
        let mut values: Vec<String> = entries.iter().filter_map(|entry| entry.class.clone()).collect();
        values.sort_unstable();
        values.dedup();
        let count = values.len() as u64;
        label.classes =
            Some(Classes { count, values: if values.len() <= crate::classes::LISTED { values } else { Vec::new() } });
    }
    Ok((columns, entries.len() as u64))
}

fn channels(mode: ColorMode) -> usize {
    match mode {
        ColorMode::Grey => 1,
        ColorMode::Rgb => 3,
    }
}

/// The column of decoded images of one size.
pub fn image_column(name: &str, mode: ColorMode, height: u32, width: u32) -> Column {
    let mut image = Column::new(name, DType::UInt8);
    image.shape = vec![channels(mode) as u64, u64::from(height), u64::from(width)];
    image
}

fn columns(entries: &[Entry], image: Column) -> Vec<Column> {
    let mut columns = vec![image];
    if entries.iter().any(|entry| entry.class.is_some()) {
        columns.push(Column::new("label", DType::String));
    }
    let mut file = Column::new("file", DType::String);
    file.role = Role::Id;
    columns.push(file);
    columns
}

/// Height and width of every row.
fn size(first: &Entry, options: &Images, shown: &str) -> Outcome<(u32, u32)> {
    match options.size {
        Some([height, width]) => Ok((height, width)),
        None => {
            let image = decode(first, shown).map_err(|fault| vec![fault])?;
            Ok((image.height(), image.width()))
        }
    }
}

fn decode(entry: &Entry, folder: &str) -> Result<DynamicImage, Fault> {
    let shown = format!("{folder}/{}", entry.name);
    let file = File::open(&entry.path).map_err(|error| unreadable(&shown, &error))?;
    decode_from(BufReader::new(file), &shown, place(&shown, None, None))
}

/// An image from its encoded bytes. What the header claims is bounded before anything is made room for.
///
/// # Errors
/// `data::damaged_image`, at `at`.
pub fn decode_from(from: impl BufRead + Seek, shown: &str, at: Place) -> Result<DynamicImage, Fault> {
    let mut reader = ImageReader::new(from).with_guessed_format().map_err(|error| unreadable(shown, &error))?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(SIDE);
    limits.max_image_height = Some(SIDE);
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    reader.decode().map_err(|error| {
        let why = error.to_string().lines().next().unwrap_or_default().to_owned();
        Fault::error("data::damaged_image", format!("`{shown}` cannot be read as an image: {why}"))
            .help("it is cut off, damaged, or not what its name says: replace or remove it")
            .place(at)
    })
}

/// An image as bytes, channel by channel, resized where its size is another.
fn planes(mut image: DynamicImage, mode: ColorMode, (height, width): (u32, u32)) -> Vec<u8> {
    if (image.height(), image.width()) != (height, width) {
        image = image.resize_exact(width, height, image::imageops::FilterType::Triangle);
    }
    match mode {
        ColorMode::Grey => image.into_luma8().into_raw(),
        ColorMode::Rgb => {
            let mixed = image.into_rgb8().into_raw();
            let each = mixed.len() / 3;
            let mut planes = vec![0; mixed.len()];
            for (position, pixel) in mixed.chunks_exact(3).enumerate() {
                for (channel, value) in pixel.iter().enumerate() {
                    planes[channel * each + position] = *value;
                }
            }
            planes
        }
    }
}

/// Reads the images that a table names, in its order: its columns behind the column `image`.
///
/// # Errors
/// A table without the column of paths, paths that leave the folder or name nothing (with their row), and as [`read`].
pub fn labelled(
    folder: &InputFile,
    labels: (&InputFile, Table),
    options: &Images,
    limits: &Limits,
    channel: &Channel,
) -> Outcome<Table> {
    let (file, mut table) = labels;
    let wanted = options.labels.as_ref().map_or("file", |labels| labels.0.file.as_str());
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let Some(at) = names.iter().position(|name| *name == wanted) else {
        let help =
            suggest(wanted, names).unwrap_or_else(|| "say which column holds paths: `labels: { file: NAME }`".into());
        let text = format!("`{}` has no column `{wanted}`", file.shown);
        return Err(vec![Fault::error("data::unknown_column", text).help(help).place(place(
            &file.shown,
            Some(1),
            None,
        ))]);
    };
    let mut faults = Faults::default();
    let mut entries = Vec::with_capacity(table.rows());
    for piece in table.pieces(at) {
        for row in 0..piece.len() {
            let name = crate::convert::shown(&piece, row);
            let path = folder.path.join(&name);
            let safe = !piece.is_null(row)
                && Path::new(&name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if !safe || !path.is_file() {
                let row = entries.len() as u64 + 1;
                let why = if safe { "is not there" } else { "is no path inside the folder" };
                let text = format!("`{name}` in row {row} of `{}` {why}", file.shown);
                faults.add(|| {
                    Fault::error("data::missing_image", text)
                        .help(format!("paths start from `{}`: correct the row or add the image", folder.shown))
                        .place(place(&file.shown, Some(row + 1), Some(at as u64 + 1)))
                });
            }
            entries.push(Entry { path, name, class: None });
        }
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    let images = tensors(&entries, folder, options, limits, channel)?;
    if table.columns.iter().any(|column| column.name == "image") {
        let text = format!("`{}` has a column `image`, which is what the pixels will be called", file.shown);
        return Err(vec![Fault::error("data::duplicate_column", text).help("rename it").place(place(
            &file.shown,
            Some(1),
            None,
        ))]);
    }
    table.columns[at].role = Role::Id;
    let mut columns = vec![images.0];
    columns.extend(table.columns);
    let mut batches = Vec::new();
    let mut before = 0;
    for rows in &table.batches {
        let mut arrays = vec![images.1.slice(before, rows.num_rows())];
        arrays.extend(rows.columns().iter().cloned());
        before += rows.num_rows();
        batches.push(batch(&columns, arrays)?);
    }
    Ok(Table { columns, batches })
}
