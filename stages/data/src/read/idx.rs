//! IDX, the format of MNIST (Y. LeCun, "The MNIST database"): two zero bytes, a type, the number of dimensions, each
//! dimension as a 32-bit big-endian number, then the elements, big-endian, the last dimension fastest.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, UInt8Array};
use arrow::datatypes::DataType;
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults};
use contract::worker::protocol::InputFile;

use super::bytes::{Limits, Stream};
use crate::fault::{Outcome, empty, place};
use crate::table::classes::classes;
use crate::table::dataset::{Table, batch, item};

/// The head of a file.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    element: Element,
    dims: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Element {
    fn width(self) -> u64 {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The type of a scalar column, and of the elements of a tensor column.
    fn dtypes(self) -> (DType, DType) {
        match self {
            Self::U8 => (DType::Int64, DType::UInt8),
            Self::I8 | Self::I16 | Self::I32 => (DType::Int64, DType::Float32),
            Self::F32 | Self::F64 => (DType::Float64, DType::Float32),
        }
    }
}

impl Head {
    fn rows(&self) -> u64 {
        self.dims.first().copied().unwrap_or_default()
    }

    /// `[n, h, w]` are images of one channel.
    fn column(&self, name: &str) -> Column {
        let (scalar, tensor) = self.element.dtypes();
        let mut column = Column::new(name, if self.dims.len() > 1 { tensor } else { scalar });
        column.shape = match &self.dims[1..] {
            [height, width] => vec![1, *height, *width],
            rest => rest.to_vec(),
        };
        column
    }
}

fn damaged(shown: &str, why: &str, help: &str) -> Faults {
    Faults::from(
        Fault::error(contract::code!("data::damaged_idx"), format!("`{shown}` cannot be read as IDX: {why}"))
            .help(help.to_owned())
            .place(place(shown, None, None)),
    )
}

fn head(stream: &mut Stream) -> Outcome<Head> {
    let shown = stream.shown.clone();
    let short = || damaged(&shown, "it ends inside its header", "the file was cut off: copy or download it again");
    let mut magic = [0; 4];
    if stream.fill(&mut magic)? < 4 {
        return Err(short());
    }
    let element = match magic {
        [0, 0, 0x08, _] => Element::U8,
        [0, 0, 0x09, _] => Element::I8,
        [0, 0, 0x0b, _] => Element::I16,
        [0, 0, 0x0c, _] => Element::I32,
        [0, 0, 0x0d, _] => Element::F32,
        [0, 0, 0x0e, _] => Element::F64,
        _ => {
            let help =
                "is it another format? IDX files start with two zero bytes, such as MNIST's `train-images-idx3-ubyte`";
            return Err(damaged(&shown, "it does not start as IDX files do", help));
        }
    };
    let mut dims = Vec::new();
    for _ in 0..magic[3] {
        let mut dim = [0; 4];
        if stream.fill(&mut dim)? < 4 {
            return Err(short());
        }
        dims.push(u64::from(u32::from_be_bytes(dim)));
    }
    if dims.is_empty() || dims[1..].contains(&0) {
        return Err(damaged(&shown, "its header has no dimensions, or one that is zero", "copy or download it again"));
    }
    Ok(Head { element, dims })
}

/// The number of elements, with a fault for sizes no file can have.
fn elements(head: &Head, shown: &str) -> Outcome<u64> {
    head.dims
        .iter()
        .try_fold(1u64, |product, dim| product.checked_mul(*dim))
        .filter(|count| *count <= 1 << 40)
        .ok_or_else(|| {
            damaged(shown, "its header claims more elements than any file can hold", "copy or download it again")
        })
}

/// Reads images and, beside them, labels: a tensor column `image` (a plain column when there is one dimension) and an integer
/// column `label`.
///
/// # Errors
/// Headers that lie about the size, and labels of another number than images.
pub fn read(images: &InputFile, labels: Option<&InputFile>, limits: &Limits) -> Outcome<Table> {
    let (image, pixels) = column(images, "image", limits)?;
    let mut columns = vec![image];
    let mut arrays = vec![pixels];
    if let Some(labels) = labels {
        let (label, numbers) = column(labels, "label", limits)?;
        same_rows(images, arrays[0].len() as u64, labels, numbers.len() as u64)?;
        columns.push(label);
        arrays.push(numbers);
    }
    let batches = vec![batch(&columns, arrays)?];
    Ok(Table { columns, batches })
}

/// What [`read`] would give, from the headers alone (labels are few: their classes are found).
///
/// # Errors
/// As [`read`], as far as headers tell.
pub fn peek(images: &InputFile, labels: Option<&InputFile>, limits: &Limits) -> Outcome<(Vec<Column>, u64)> {
    let head = head(&mut Stream::open(images, limits)?)?;
    let mut columns = vec![head.column("image")];
    if head.rows() == 0 {
        return Err(Faults::from(empty(&images.shown, "its header says 0 rows")));
    }
    if let Some(labels) = labels {
        let (mut label, numbers) = column(labels, "label", limits)?;
        same_rows(images, head.rows(), labels, numbers.len() as u64)?;
        label.classes = if label.shape.is_empty() { classes(&[numbers]) } else { None };
        columns.push(label);
    }
    Ok((columns, head.rows()))
}

fn same_rows(images: &InputFile, rows: u64, labels: &InputFile, others: u64) -> Outcome<()> {
    if rows == others {
        return Ok(());
    }
    let text = format!("`{}` has {rows} images, `{}` has {others} labels", images.shown, labels.shown);
    Err(Faults::from(
        Fault::error(contract::code!("data::rows_differ"), text)
            .help("take the two files of one set: `train-images…` goes with `train-labels…`")
            .place(place(&labels.shown, None, None)),
    ))
}

fn column(file: &InputFile, name: &str, limits: &Limits) -> Outcome<(Column, ArrayRef)> {
    let mut stream = Stream::open(file, limits)?;
    let head = head(&mut stream)?;
    if head.rows() == 0 {
        return Err(Faults::from(empty(&file.shown, "its header says 0 rows")));
    }
    let count = elements(&head, &file.shown)?;
    // Read what is there before room for what is claimed is made.
    let bytes = stream.all()?;
    let wanted = count * head.element.width();
    if bytes.len() as u64 != wanted {
        let dims: Vec<String> = head.dims.iter().map(u64::to_string).collect();
        let why = format!("its header says {} elements, {wanted} bytes, but {} follow", dims.join(" × "), bytes.len());
        let help = if (bytes.len() as u64) < wanted {
            "the file was cut off: copy or download it again"
        } else {
            "something was added to the file: copy or download it again"
        };
        return Err(damaged(&file.shown, &why, help));
    }
    let column = head.column(name);
    let values = values(head.element, bytes, column.dtype);
    if column.shape.is_empty() {
        return Ok((column, values));
    }
    let size = i32::try_from(column.shape.iter().product::<u64>())
        .map_err(|_| damaged(&file.shown, "one row is too large", "cut the rows into smaller ones"))?;
    let data_type = if column.dtype == DType::UInt8 { DataType::UInt8 } else { DataType::Float32 };
    let list = FixedSizeListArray::new(item(data_type), size, values, None);
    Ok((column, Arc::new(list)))
}

fn values(element: Element, bytes: Vec<u8>, dtype: DType) -> ArrayRef {
    fn of<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64, dtype: DType) -> ArrayRef {
        let values = bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk));
        match dtype {
            DType::Int64 => Arc::new(Int64Array::from_iter_values(values.map(|value| value as i64))),
            DType::Float64 => Arc::new(Float64Array::from_iter_values(values)),
            _ => Arc::new(Float32Array::from_iter_values(values.map(|value| value as f32))),
        }
    }
    match element {
        Element::U8 if dtype == DType::UInt8 => Arc::new(UInt8Array::from(bytes)),
        Element::U8 => of::<1>(&bytes, |[byte]| f64::from(byte), dtype),
        Element::I8 => of::<1>(&bytes, |byte| f64::from(i8::from_be_bytes(byte)), dtype),
        Element::I16 => of::<2>(&bytes, |bytes| f64::from(i16::from_be_bytes(bytes)), dtype),
        Element::I32 => of::<4>(&bytes, |bytes| f64::from(i32::from_be_bytes(bytes)), dtype),
        Element::F32 => of::<4>(&bytes, |bytes| f64::from(f32::from_be_bytes(bytes)), dtype),
        Element::F64 => of::<8>(&bytes, f64::from_be_bytes, dtype),
    }
}
