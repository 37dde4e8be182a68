//! A folder of images, one folder below it for each class.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeListArray, RecordBatch, StringArray, UInt8Array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::DataType;
use catalog::kinds::collect::params::{ColorMode, Images};
use contract::artifact::{Classes, Column, DType, Role};
use contract::fault::{Fault, Faults, Place, suggest};
use contract::worker::protocol::{InputFile, Progress};
use image::{DynamicImage, ImageReader};

use super::listing::{Entry, list, notice};
use super::origin::Span;
use super::reading::{Reading, Refused, Sieved, original};
use crate::fault::{FaultList, Outcome, kernel, place, unreadable};
use crate::table::classes;
use crate::table::dataset::{Table, batch, item};
use crate::threads;

/// No side of an image may be longer.
const SIDE: u32 = 16_384;
/// Decoding one image may take so many bytes.
const MEMORY: u64 = 512 << 20;
/// Elements that fit into one column of one batch.
const ELEMENTS: usize = i32::MAX as usize;
/// Encoded bytes of one batch: their offsets have 32 bits.
const ENCODED: u64 = 1 << 30;
/// What files of images end in.
pub const IMAGES: &[&str] = &[".png", ".jpg", ".jpeg"];

/// Reads all images: columns `image` (tensor of bytes, `[channels, height, width]`, or the encoded bytes), `label` (the name of the
/// folder, when there are folders) and `file` (where it came from, an id). Rows are in the natural order of classes, then of files;
/// each is a file.
///
/// # Errors
/// Images that are broken or too large, each with its file; sizes that differ when no size is stated.
pub fn read(folder: &InputFile, options: &Images, reading: &Reading<'_>) -> Outcome<(Table, Vec<Span>)> {
    let listing = list(folder, IMAGES)?;
    if let Some(fault) = notice(&folder.shown, &listing.others, IMAGES) {
        reading.warn(fault);
    }
    let (image, pieces, kept) = pixels(&listing.entries, folder, options, reading)?;
    let columns = columns(&listing.entries, image);
    let kept: Vec<&Entry> = kept.into_iter().map(|index| &listing.entries[index]).collect();
    let mut batches = Vec::with_capacity(pieces.len());
    let mut rest = kept.as_slice();
    for piece in pieces {
        let (entries, after) = rest.split_at(piece.len());
        rest = after;
        let mut arrays: Vec<ArrayRef> = vec![piece];
        if columns.len() == 3 {
            let labels = entries.iter().map(|entry| entry.class.as_deref().unwrap_or_default());
            arrays.push(Arc::new(StringArray::from_iter_values(labels)));
        }
        arrays.push(Arc::new(StringArray::from_iter_values(entries.iter().map(|entry| entry.name.as_str()))));
        batches.push(batch(&columns, arrays)?);
    }
    Ok((Table { columns, batches }, spans(&kept, folder)))
}

/// Each file as the one row that it is.
fn spans(entries: &[&Entry], folder: &InputFile) -> Vec<Span> {
    entries.iter().map(|entry| Span::whole(format!("{}/{}", folder.shown, entry.name), 1)).collect()
}

/// The images of all entries, in pieces, and which entries they are of: those that could be read.
fn pixels(
    entries: &[Entry],
    folder: &InputFile,
    options: &Images,
    reading: &Reading<'_>,
) -> Outcome<(Column, Vec<ArrayRef>, Vec<usize>)> {
    if !options.decode {
        let pieces = encoded(entries, folder)?;
        return Ok((Column::new("image", DType::Binary), pieces, (0..entries.len()).collect()));
    }
    let lenient = reading.refusals.reject();
    let (size, first) = size(entries, options, &folder.shown, lenient)?;
    let first = format!("`{}`", first.name);
    let frame = Frame { mode: options.mode, size, stated: options.size.is_some(), first: &first, lenient };
    let done = AtomicU64::new(0);
    let open = |index: usize| {
        let image = decode(&entries[index], &folder.shown);
        reading.channel.progress(Progress {
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
    let (pixels, bad) = gather(entries.len(), &frame, reading.limits.threads, open, name)?;
    let mut kept = vec![true; entries.len()];
    for (index, fault) in bad {
        kept[index] = false;
        let shown = format!("{}/{}", folder.shown, entries[index].name);
        reading.refusals.rejected(&shown, Refused::new(None, fault.message))?;
    }
    let kept = (0..entries.len()).filter(|index| kept[*index]).collect();
    Ok((image_column("image", options.mode, size.0, size.1), vec![pixels], kept))
}

/// The bytes of all files, a few at a time.
fn encoded(entries: &[Entry], folder: &InputFile) -> Outcome<Vec<ArrayRef>> {
    let (mut pieces, mut held): (Vec<ArrayRef>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    let mut size = 0;
    let mut faults = FaultList::default();
    for entry in entries {
        let shown = || format!("{}/{}", folder.shown, entry.name);
        match std::fs::read(&entry.path) {
            Ok(bytes) if bytes.len() as u64 > ENCODED => faults.add(|| {
                Fault::error(
                    contract::code!("data::too_large"),
                    format!("`{}` is longer than {ENCODED} bytes", shown()),
                )
                .help("is it an image? move it out of the folder")
                .place(place(&shown(), None, None))
            }),
            Ok(bytes) => {
                size += bytes.len() as u64;
                if size > ENCODED {
                    pieces.push(Arc::new(BinaryArray::from_iter_values(held.drain(..))));
                    size = bytes.len() as u64;
                }
                held.push(bytes);
            }
            Err(error) => faults.add(|| unreadable(&shown(), &error)),
        }
    }
    pieces.push(Arc::new(BinaryArray::from_iter_values(held)));
    faults.or(pieces)
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
    /// Whether images that cannot be read are left out. Otherwise they are faults.
    pub lenient: bool,
}

/// So many images as one column of tensors, decoded in parallel: the one place where that happens. `open` decodes one, `name` says
/// how messages call it and where it is. Those that are left out come with the reason.
///
/// # Errors
/// All that `open` refuses and sizes that differ, unless they are left out, and more pixels than fit.
pub fn gather(
    count: usize,
    frame: &Frame<'_>,
    threads: usize,
    open: impl Fn(usize) -> Result<DynamicImage, Fault> + Sync,
    name: impl Fn(usize) -> (String, Place) + Sync,
) -> Outcome<(ArrayRef, Vec<(usize, Fault)>)> {
    let (height, width) = frame.size;
    let channels = channels(frame.mode);
    let each = channels * height as usize * width as usize;
    if each.checked_mul(count).is_none_or(|all| all > ELEMENTS) {
        let text = format!("{count} images of {channels}×{height}×{width} do not fit into one data set");
        let (_, at) = name(0);
        return Err(Faults::from(
            Fault::error(contract::code!("data::too_large"), text).help("state a smaller `size:`").place(at),
        ));
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
            return Err(Fault::error(contract::code!("data::sizes_differ"), text)
                .help(format!(
                    "let all be resized: `size: [{height}, {width}]`; or leave others out with `on_error: reject`"
                ))
                .place(at));
        }
        Ok(planes(image, frame.mode, frame.size))
    });
    let mut faults = FaultList::default();
    let mut bad = Vec::new();
    let mut all = Vec::with_capacity(each * count);
    for (index, pixels) in decoded.into_iter().enumerate() {
        match pixels {
            Ok(pixels) => all.extend_from_slice(&pixels),
            Err(fault) if frame.lenient => bad.push((index, fault)),
            Err(fault) => faults.add(|| fault),
        }
    }
    faults.or(())?;
    let list = FixedSizeListArray::new(item(DataType::UInt8), each as i32, Arc::new(UInt8Array::from(all)), None);
    Ok((Arc::new(list), bad))
}

/// What [`read`] would give, from the folder's listing and its first image.
///
/// # Errors
/// A folder without images, and a first image that is broken (with `lenient`, when all are).
pub fn peek(folder: &InputFile, options: &Images, lenient: bool) -> Outcome<(Vec<Column>, u64)> {
    let entries = list(folder, IMAGES)?.entries;
    let image = if options.decode {
        let ((height, width), _) = size(&entries, options, &folder.shown, lenient)?;
        image_column("image", options.mode, height, width)
    } else {
        Column::new("image", DType::Binary)
    };
    let mut columns = columns(&entries, image);
    if let [_, label, _] = columns.as_mut_slice() {
        label.classes = distinct(entries.iter().filter_map(|entry| entry.class.clone()).collect());
    }
    // With `lenient` some of them may be left out.
    if let Some(file) = columns.last_mut().filter(|_| !lenient) {
        file.classes = distinct(entries.iter().map(|entry| entry.name.clone()).collect());
    }
    Ok((columns, entries.len() as u64))
}

/// What a column of these texts is known to hold.
fn distinct(mut values: Vec<String>) -> Option<Classes> {
    values.sort_unstable();
    values.dedup();
    let count = values.len();
    let listed = if count <= classes::LISTED { values } else { Vec::new() };
    (count <= classes::COUNTED).then_some(Classes { count: count as u64, values: listed })
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

/// Height and width of every row, and the image they are of.
fn size<'a>(entries: &'a [Entry], options: &Images, shown: &str, lenient: bool) -> Outcome<((u32, u32), &'a Entry)> {
    if let Some([height, width]) = options.size {
        return Ok(((height, width), &entries[0]));
    }
    let mut wrong = None;
    for entry in entries {
        match decode(entry, shown) {
            Ok(image) => return Ok(((image.height(), image.width()), entry)),
            Err(fault) => {
                wrong.get_or_insert(fault);
            }
        }
        if !lenient {
            break;
        }
    }
    Err(wrong.into_iter().collect())
}

fn decode(entry: &Entry, folder: &str) -> Result<DynamicImage, Fault> {
    let shown = format!("{folder}/{}", entry.name);
    let file = File::open(&entry.path).map_err(|error| unreadable(&shown, &error))?;
    decode_from(BufReader::new(file), &format!("`{shown}`"), place(&shown, None, None))
}

/// An image from its encoded bytes; `what` is how messages call it. What the header claims is bounded before anything is made room for.
///
/// # Errors
/// `data::damaged_image`, at `at`.
pub fn decode_from(from: impl BufRead + Seek, what: &str, at: Place) -> Result<DynamicImage, Fault> {
    let mut reader = ImageReader::new(from).with_guessed_format().map_err(|error| unreadable(&at.file, &error))?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(SIDE);
    limits.max_image_height = Some(SIDE);
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    reader.decode().map_err(|error| {
        let why = error.to_string().lines().next().unwrap_or_default().to_owned();
        Fault::error(contract::code!("data::damaged_image"), format!("{what} cannot be read as an image: {why}"))
            .help("it is cut off, damaged, or not what its name says: replace or remove it, or leave such images out with `on_error: reject`")
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
    labels: (&InputFile, Sieved),
    options: &Images,
    reading: &Reading<'_>,
) -> Outcome<(Table, Vec<Span>)> {
    let (file, Sieved { mut table, gone }) = labels;
    let wanted = options.labels.as_ref().map_or("file", |labels| labels.0.file.as_str());
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let Some(at) = names.iter().position(|name| *name == wanted) else {
        let help =
            suggest(wanted, names).unwrap_or_else(|| "say which column holds paths: `labels: { file: NAME }`".into());
        let text = format!("`{}` has no column `{wanted}`", file.shown);
        return Err(Faults::from(Fault::error(contract::code!("data::unknown_column"), text).help(help).place(place(
            &file.shown,
            Some(1),
            None,
        ))));
    };
    let mut faults = FaultList::default();
    let mut entries = Vec::with_capacity(table.rows());
    let mut kept = Vec::with_capacity(table.rows());
    for piece in table.pieces(at) {
        for row in 0..piece.len() {
            let name = crate::table::display::shown(&piece, row);
            let path = folder.path.join(&name);
            let safe = !piece.is_null(row)
                && Path::new(&name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            let there = safe && path.is_file();
            if !there {
                let row = original(&gone, kept.len() as u64);
                let why = if safe { "is not there" } else { "is no path inside the folder" };
                let text = format!("`{name}` in row {} of `{}` {why}", row + 1, file.shown);
                if reading.refusals.reject() {
                    reading.refusals.rejected(&file.shown, Refused::new(Some(row), text))?;
                } else {
                    faults.add(|| {
                        Fault::error(contract::code!("data::missing_image"), text)
                            .help(format!("paths start from `{}`: correct the row or add the image", folder.shown))
                            .place(place(&file.shown, Some(row + 2), Some(at as u64 + 1)))
                    });
                }
            }
            kept.push(there);
            if there {
                entries.push(Entry { path, name, class: None });
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    if entries.is_empty() {
        return Err(Faults::from(crate::fault::empty(&file.shown, "none of its images is there")));
    }
    let (image, pieces, read) = pixels(&entries, folder, options, reading)?;
    if table.columns.iter().any(|column| column.name == "image") {
        let text = format!("`{}` has a column `image`, which is what the pixels will be called", file.shown);
        return Err(Faults::from(
            Fault::error(contract::code!("data::duplicate_column"), text).help("rename it").place(place(
                &file.shown,
                Some(1),
                None,
            )),
        ));
    }
    table.columns[at].role = Role::Id;
    let mut columns = vec![image];
    columns.extend(table.columns.iter().cloned());
    // Of the rows whose images are there, those whose images could be read.
    let mut places = read.iter().peekable();
    let mut there = 0..;
    for kept in kept.iter_mut().filter(|kept| **kept) {
        *kept = there.next().is_some_and(|index| places.next_if_eq(&&index).is_some());
    }
    let rows = arrow::compute::concat_batches(&crate::table::dataset::schema(&table.columns), &table.batches)
        .and_then(|rows| filter_record_batch(&rows, &BooleanArray::from(kept)))
        .map_err(|error| kernel("joining images", &error))?;
    let mut before = 0;
    let mut batches: Vec<RecordBatch> = Vec::new();
    for piece in pieces {
        let mut arrays = vec![piece];
        arrays.extend(rows.slice(before, arrays[0].len()).columns().iter().cloned());
        before += arrays[0].len();
        batches.push(batch(&columns, arrays)?);
    }
    let read: Vec<&Entry> = read.into_iter().map(|index| &entries[index]).collect();
    Ok((Table { columns, batches }, spans(&read, folder)))
}
