//! A folder of images, one folder below it for each class.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, FixedSizeListArray, StringArray, UInt8Array};
use arrow::datatypes::DataType;
use catalog::params::collect::{ColorMode, Images};
use catalog::pattern::natural;
use engine::artifact::{Classes, Column, DType, Role};
use engine::error::Fault;
use engine::protocol::{InputFile, Progress};
use engine::worker::Channel;
use image::{DynamicImage, ImageReader};

use super::bytes::Limits;
use crate::dataset::{Table, batch, item};
use crate::fault::{Faults, Outcome, empty, place, unreadable};
use crate::threads;

/// No side of an image may be longer.
const SIDE: u32 = 16_384;
/// Decoding one image may take so many bytes.
const MEMORY: u64 = 512 << 20;
/// Elements that fit into one column of one batch.
const ELEMENTS: usize = i32::MAX as usize;

/// One image in the folder.
struct Entry {
    path: PathBuf,
    /// Relative to the folder, with `/`.
    name: String,
    class: Option<String>,
}

/// Reads all images: columns `image` (tensor of bytes, `[channels, height, width]`), `label` (the name of the folder, when there are
/// folders) and `file` (where it came from, an id). Rows are in the natural order of classes, then of files.
///
/// # Errors
/// Images that are broken or too large, each with its file; sizes that differ when no size is stated.
pub fn read(folder: &InputFile, options: &Images, limits: &Limits, channel: &Channel) -> Outcome<Table> {
    let entries = list(folder)?;
    let (height, width) = size(&entries[0], options, &folder.shown)?;
    let channels = channels(options);
    let each = channels * height as usize * width as usize;
    if each.checked_mul(entries.len()).is_none_or(|all| all > ELEMENTS) {
        let text = format!("{} images of {channels}×{height}×{width} do not fit into one data set", entries.len());
        return Err(vec![
            Fault::error("data::too_large", text)
                .help("state a smaller `size:`")
                .at(engine::route!["from", "images", "size"]),
        ]);
    }
    let done = AtomicU64::new(0);
    let decoded = threads::map(entries.len(), limits.threads, |index| {
        let pixels = pixels(&entries[index], options, (height, width), &entries[0], &folder.shown);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        channel.progress(Progress {
            done,
            total: Some(entries.len() as u64),
            unit: "image".into(),
            message: String::new(),
            rate: None,
        });
        pixels
    });
    let mut faults = Faults::default();
    let mut all = Vec::with_capacity(each * entries.len());
    for pixels in decoded {
        match pixels {
            Ok(pixels) => all.extend_from_slice(&pixels),
            Err(fault) => faults.add(|| fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    let columns = columns(&entries, channels, height, width);
    let image = FixedSizeListArray::new(item(DataType::UInt8), each as i32, Arc::new(UInt8Array::from(all)), None);
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(image)];
    if columns.len() == 3 {
        let labels = entries.iter().map(|entry| entry.class.as_deref().unwrap_or_default());
        arrays.push(Arc::new(StringArray::from_iter_values(labels)));
    }
    arrays.push(Arc::new(StringArray::from_iter_values(entries.iter().map(|entry| entry.name.as_str()))));
    let batches = vec![batch(&columns, arrays)?];
    Ok(Table { columns, batches })
}

/// What [`read`] would give, from the folder's listing and its first image.
///
/// # Errors
/// A folder without images, and a first image that is broken.
pub fn peek(folder: &InputFile, options: &Images) -> Outcome<(Vec<Column>, u64)> {
    let entries = list(folder)?;
    let (height, width) = size(&entries[0], options, &folder.shown)?;
    let mut columns = columns(&entries, channels(options), height, width);
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

fn channels(options: &Images) -> usize {
    match options.mode {
        ColorMode::Grey => 1,
        ColorMode::Rgb => 3,
    }
}

fn columns(entries: &[Entry], channels: usize, height: u32, width: u32) -> Vec<Column> {
    let mut image = Column::new("image", DType::UInt8);
    image.shape = vec![channels as u64, u64::from(height), u64::from(width)];
    let mut columns = vec![image];
    if entries.iter().any(|entry| entry.class.is_some()) {
        columns.push(Column::new("label", DType::String));
    }
    let mut file = Column::new("file", DType::String);
    file.role = Role::Id;
    columns.push(file);
    columns
}

fn list(folder: &InputFile) -> Outcome<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut loose = None;
    for (path, name, is_folder) in children(&folder.path, &folder.shown)? {
        if is_folder {
            let shown = format!("{}/{name}", folder.shown);
            for (path, file, is_folder) in children(&path, &shown)? {
                if is_folder {
                    let text = format!("`{shown}/{file}` is a folder inside a class folder");
                    return Err(vec![
                        Fault::error("data::nested_folder", text)
                            .help("keep the images of a class directly in its folder")
                            .place(place(&format!("{shown}/{file}"), None, None)),
                    ]);
                }
                if is_image(&file) {
                    entries.push(Entry { path, name: format!("{name}/{file}"), class: Some(name.clone()) });
                }
            }
        } else if is_image(&name) {
            loose.get_or_insert_with(|| name.clone());
            entries.push(Entry { path, name, class: None });
        }
    }
    if entries.is_empty() {
        return Err(vec![empty(&folder.shown, "there is no `.png`, `.jpg` or `.jpeg` file in it or one folder below")]);
    }
    if let Some(name) = loose
        && entries.iter().any(|entry| entry.class.is_some())
    {
        let shown = format!("{}/{name}", folder.shown);
        return Err(vec![
            Fault::error("data::no_class", format!("`{shown}` lies beside the class folders, so it has no label"))
                .help("move it into the folder of its class, or out of here")
                .place(place(&shown, None, None)),
        ]);
    }
    Ok(entries)
}

/// What is in a folder, in natural order, without hidden files.
fn children(folder: &Path, shown: &str) -> Outcome<Vec<(PathBuf, String, bool)>> {
    let fault = |error: std::io::Error| vec![unreadable(shown, &error)];
    let mut children = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let Ok(name) = entry.file_name().into_string() else {
            let text = format!("a file in `{shown}` has a name that is not UTF-8");
            return Err(vec![Fault::error("data::encoding", text).help("rename it").place(place(shown, None, None))]);
        };
        if !name.starts_with('.') {
            let is_folder = entry.path().is_dir();
            children.push((entry.path(), name, is_folder));
        }
    }
    children.sort_by(|a, b| natural(&a.1, &b.1));
    Ok(children)
}

fn is_image(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
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
    let broken = |why: String| {
        Fault::error("data::damaged_image", format!("`{shown}` cannot be read as an image: {why}"))
            .help("it is cut off, damaged, or not what its name says: replace or remove it")
            .place(place(&shown, None, None))
    };
    let file = File::open(&entry.path).map_err(|error| unreadable(&shown, &error))?;
    let mut reader =
        ImageReader::new(BufReader::new(file)).with_guessed_format().map_err(|error| unreadable(&shown, &error))?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(SIDE);
    limits.max_image_height = Some(SIDE);
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    reader.decode().map_err(|error| broken(error.to_string().lines().next().unwrap_or_default().to_owned()))
}

/// The bytes of one row, channel by channel.
fn pixels(
    entry: &Entry,
    options: &Images,
    (height, width): (u32, u32),
    first: &Entry,
    folder: &str,
) -> Result<Vec<u8>, Fault> {
    let mut image = decode(entry, folder)?;
    if (image.height(), image.width()) != (height, width) {
        if options.size.is_none() {
            let shown = format!("{folder}/{}", entry.name);
            let text = format!(
                "`{shown}` is {}×{}, `{}` is {height}×{width} (height×width)",
                image.height(),
                image.width(),
                first.name
            );
            return Err(Fault::error("data::sizes_differ", text)
                .help(format!("let all be resized: `size: [{height}, {width}]`"))
                .place(place(&shown, None, None)));
        }
        image = image.resize_exact(width, height, image::imageops::FilterType::Triangle);
    }
    match options.mode {
        ColorMode::Grey => Ok(image.into_luma8().into_raw()),
        ColorMode::Rgb => {
            let mixed = image.into_rgb8().into_raw();
            let each = mixed.len() / 3;
            let mut planes = vec![0; mixed.len()];
            for (position, pixel) in mixed.chunks_exact(3).enumerate() {
                for (channel, value) in pixel.iter().enumerate() {
                    planes[channel * each + position] = *value;
                }
            }
            Ok(planes)
        }
    }
}
