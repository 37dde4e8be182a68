//! NumPy's `.npy` (NumPy enhancement proposal 1, format versions 1 to 3): a header that is a Python literal, then the elements.
//!
//! The header is read by a reader of exactly the three keys it may have; nothing is evaluated, and arrays of Python objects
//! (which are pickled) are refused.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::DataType;
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults};
use contract::worker::protocol::InputFile;

use super::bytes::{Limits, Stream};
use crate::fault::{Outcome, empty, place};
use crate::table::dataset::{Table, batch, item};

/// A header may be so long.
const HEADER: usize = 1 << 16;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

/// Reads one array as a column: scalars of its own type when it has one dimension, else tensors of bytes or of 32-bit floats.
///
/// # Errors
/// `data::damaged_npy` for headers that lie or cannot be read, `data::unsupported_type` for objects, complex numbers and
/// records.
pub fn column(file: &InputFile, name: &str, limits: &Limits) -> Outcome<(Column, ArrayRef)> {
    let shown = file.shown.as_str();
    let mut stream = Stream::open(file, limits)?;
    let mut start = [0; 8];
    if stream.fill(&mut start)? < 8 || &start[..6] != b"\x93NUMPY" {
        return Err(damaged(shown, "it does not start as `.npy` files do", "is it another format?"));
    }
    let width = if start[6] == 1 { 2 } else { 4 };
    if !(1..=3).contains(&start[6]) {
        return Err(damaged(shown, &format!("its format version is {}", start[6]), "save it with `numpy.save`"));
    }
    let short = || damaged(shown, "it ends inside its header", "the file was cut off: copy or download it again");
    let mut length = [0; 4];
    if stream.fill(&mut length[..width])? < width {
        return Err(short());
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > HEADER {
        return Err(damaged(shown, &format!("its header claims {length} bytes"), "copy or download it again"));
    }
    let mut text = vec![0; length];
    if stream.fill(&mut text)? < length {
        return Err(short());
    }
    let text = String::from_utf8_lossy(&text);
    if text.contains("'descr': [") {
        return Err(unsupported(shown, "it holds records of several fields", "save each field as an array of its own"));
    }
    let header = header(&text)
        .ok_or_else(|| damaged(shown, "its header cannot be read", "save the array again with `numpy.save`"))?;
    let element = element(&header.descr, shown)?;
    let Some((rows, cell)) = header.shape.split_first() else {
        return Err(unsupported(shown, "it is a single number, not an array", "a data set needs rows"));
    };
    if *rows == 0 || cell.contains(&0) {
        return Err(Faults::from(empty(shown, "its header says 0 elements")));
    }
    let each = cell.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
    let wanted = each.and_then(|each| each.checked_mul(*rows)).and_then(|count| count.checked_mul(element.width));
    let (Some(each), Some(wanted)) = (each, wanted.filter(|wanted| *wanted <= 1 << 42)) else {
        return Err(damaged(
            shown,
            "its header claims more elements than any file can hold",
            "copy or download it again",
        ));
    };
    let bytes = stream.all()?;
    if bytes.len() != wanted {
        let dims: Vec<String> = header.shape.iter().map(usize::to_string).collect();
        let why = format!("its header says {} elements, {wanted} bytes, but {} follow", dims.join(" × "), bytes.len());
        return Err(damaged(shown, &why, "the file was cut off or something was added: copy or download it again"));
    }
    let bytes =
        if header.fortran && header.shape.len() > 1 { rows_first(&bytes, &header.shape, element.width) } else { bytes };
    if cell.is_empty() {
        let array = element.scalars(&bytes, shown)?;
        let dtype = super::normal::scalar(array.data_type())
            .ok_or_else(|| unsupported(shown, "its type has no counterpart", "save it as plain numbers"))?;
        return Ok((Column::new(name, dtype), array));
    }
    let size =
        i32::try_from(each).map_err(|_| damaged(shown, "one row is too large", "cut the rows into smaller ones"))?;
    let (dtype, values): (DType, ArrayRef) = if element.kind == 'u' && element.width == 1 {
        (DType::UInt8, Arc::new(UInt8Array::from(bytes)))
    } else {
        let wide = arrow::compute::cast(&element.scalars(&bytes, shown)?, &DataType::Float64)
            .map_err(|_| unsupported(shown, "tensors are made of numbers", "save text as an array of one dimension"))?;
        let wide =
            wide.as_any().downcast_ref::<Float64Array>().cloned().unwrap_or_else(|| Float64Array::from(vec![0.0; 0]));
        if matches!(element.kind, 'i' | 'u')
            && let Some(at) = wide.values().iter().position(|value| f64::from(*value as f32) != *value)
        {
            let text =
                format!("row {} of `{shown}` holds {}, which 32-bit floats cannot", at / each + 1, wide.value(at));
            return Err(Faults::from(
                Fault::error(contract::code!("data::cell"), text)
                    .help("tensors are kept as bytes or as 32-bit floats; scale the numbers before they are saved")
                    .place(place(shown, None, None)),
            ));
        }
        (DType::Float32, Arc::new(Float32Array::from_iter_values(wide.values().iter().map(|value| *value as f32))))
    };
    let mut column = Column::new(name, dtype);
    column.shape = cell.iter().map(|dim| *dim as u64).collect();
    let data_type = values.data_type().clone();
    Ok((column, Arc::new(FixedSizeListArray::new(item(data_type), size, values, None))))
}

/// One file as a table of one column.
///
/// # Errors
/// As [`column`].
pub fn read(file: &InputFile, name: &str, limits: &Limits) -> Outcome<Table> {
    let (column, array) = column(file, name, limits)?;
    let columns = vec![column];
    let batches = vec![batch(&columns, vec![array])?];
    Ok(Table { columns, batches })
}

/// Several arrays of one length as columns, under the names that `named` gives.
///
/// # Errors
/// As [`column`]; arrays of different lengths.
pub fn beside(files: &[InputFile], named: impl Fn(&InputFile) -> String, limits: &Limits) -> Outcome<Table> {
    let mut columns: Vec<Column> = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for file in files {
        let (column, array) = column(file, &named(file), limits)?;
        if let Some(first) = arrays.first()
            && first.len() != array.len()
        {
            let text = format!("`{}` has {} rows, `{}` has {}", files[0].shown, first.len(), file.shown, array.len());
            return Err(Faults::from(
                Fault::error(contract::code!("data::rows_differ"), text)
                    .help("arrays that become columns of one data set need one length; of an `.npz`, choose with `inside: [\"x*\"]`")
                    .place(place(&file.shown, None, None))));
        }
        columns.push(column);
        arrays.push(array);
    }
    let batches = vec![batch(&columns, arrays)?];
    Ok(Table { columns, batches })
}

fn damaged(shown: &str, why: &str, help: &str) -> Faults {
    Faults::from(
        Fault::error(contract::code!("data::damaged_npy"), format!("`{shown}` cannot be read as a NumPy array: {why}"))
            .help(help.to_owned())
            .place(place(shown, None, None)),
    )
}

fn unsupported(shown: &str, why: &str, help: &str) -> Faults {
    Faults::from(
        Fault::error(
            contract::code!("data::unsupported_type"),
            format!("`{shown}` cannot be kept in a data set: {why}"),
        )
        .help(help.to_owned())
        .place(place(shown, None, None)),
    )
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, in any order of keys.
fn header(text: &str) -> Option<Header> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        rest = after.trim_start().strip_prefix(':')?.trim_start();
        match key {
            "descr" => {
                let (value, after) = quoted(rest)?;
                descr = Some(value.to_owned());
                rest = after;
            }
            "fortran_order" => {
                let yes = rest.strip_prefix("True");
                fortran = Some(yes.is_some());
                rest = yes.or_else(|| rest.strip_prefix("False"))?;
            }
            "shape" => {
                let (inside, after) = rest.strip_prefix('(')?.split_once(')')?;
                let dims = inside.split(',').map(str::trim).filter(|dim| !dim.is_empty());
                shape = Some(dims.map(|dim| dim.parse().ok()).collect::<Option<Vec<usize>>>()?);
                rest = after;
            }
            _ => return None,
        }
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(Header { descr: descr?, fortran: fortran?, shape: shape? })
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}

#[derive(Debug, Clone, Copy)]
struct Element {
    kind: char,
    width: usize,
    big: bool,
    /// Of `M`: how a tick becomes microseconds, as a factor and a divisor.
    tick: (i64, i64),
}

fn element(descr: &str, shown: &str) -> Outcome<Element> {
    let bad = || damaged(shown, &format!("its type `{descr}` is not known"), "save it as plain numbers");
    let mut chars = descr.chars();
    let order = chars.next().filter(|order| "<>|=".contains(*order)).ok_or_else(bad)?;
    let kind = chars.next().ok_or_else(bad)?;
    let rest = chars.as_str();
    let (digits, unit) = rest.split_at(rest.find('[').unwrap_or(rest.len()));
    let number: usize = if digits.is_empty() && kind == 'O' { 8 } else { digits.parse().map_err(|_| bad())? };
    let tick = match unit {
        "" | "[us]" => (1, 1),
        "[D]" => (86_400_000_000, 1),
        "[h]" => (3_600_000_000, 1),
        "[m]" => (60_000_000, 1),
        "[s]" => (1_000_000, 1),
        "[ms]" => (1_000, 1),
        "[ns]" => (1, 1_000),
        _ => return Err(bad()),
    };
    let fits = match kind {
        'b' => number == 1,
        'i' | 'u' => matches!(number, 1 | 2 | 4 | 8),
        'f' => matches!(number, 2 | 4 | 8),
        'M' => number == 8 && !unit.is_empty(),
        'U' | 'S' => (1..=1 << 24).contains(&number),
        'O' => {
            let help = "Python objects are pickled, and loading a pickle may run anything: save numbers or text";
            return Err(unsupported(shown, "it holds Python objects", help));
        }
        'c' => {
            return Err(unsupported(shown, "it holds complex numbers", "save the real and the imaginary part"));
        }
        _ => return Err(bad()),
    };
    if !fits {
        return Err(bad());
    }
    let width = if kind == 'U' { number * 4 } else { number };
    Ok(Element { kind, width, big: order == '>', tick })
}

impl Element {
    fn scalars(self, bytes: &[u8], shown: &str) -> Outcome<ArrayRef> {
        macro_rules! numbers {
            ($array:ident, $number:ty) => {{
                const WIDTH: usize = size_of::<$number>();
                let cells = bytes.as_chunks::<WIDTH>().0.iter();
                Arc::new($array::from_iter_values(cells.map(|cell| {
                    if self.big { <$number>::from_be_bytes(*cell) } else { <$number>::from_le_bytes(*cell) }
                }))) as ArrayRef
            }};
        }
        Ok(match (self.kind, self.width) {
            ('b', _) => Arc::new(BooleanArray::from_iter(bytes.iter().map(|byte| Some(*byte != 0)))),
            ('i', 1) => numbers!(Int8Array, i8),
            ('i', 2) => numbers!(Int16Array, i16),
            ('i', 4) => numbers!(Int32Array, i32),
            ('i', _) => numbers!(Int64Array, i64),
            ('u', 1) => numbers!(UInt8Array, u8),
            ('u', 2) => numbers!(UInt16Array, u16),
            ('u', 4) => numbers!(UInt32Array, u32),
            ('u', _) => numbers!(UInt64Array, u64),
            ('f', 2) => Arc::new(Float32Array::from_iter_values(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|cell| half(if self.big { u16::from_be_bytes(*cell) } else { u16::from_le_bytes(*cell) })),
            )),
            ('f', 4) => numbers!(Float32Array, f32),
            ('f', _) => numbers!(Float64Array, f64),
            ('M', _) => {
                let (factor, divisor) = self.tick;
                let cells = bytes.as_chunks::<8>().0.iter().enumerate().map(|(row, cell)| {
                    let tick = if self.big { i64::from_be_bytes(*cell) } else { i64::from_le_bytes(*cell) };
                    if tick == i64::MIN {
                        return Ok(None);
                    }
                    tick.checked_mul(factor).map(|micros| Some(micros.div_euclid(divisor))).ok_or(row)
                });
                let cells = cells.collect::<Result<Vec<_>, usize>>().map_err(|row| {
                    damaged(shown, &format!("the time in row {} is beyond all calendars", row + 1), "save it anew")
                })?;
                Arc::new(TimestampMicrosecondArray::from(cells))
            }
            (kind, width) => {
                let mut texts = Vec::with_capacity(bytes.len() / width);
                for (row, cell) in bytes.chunks_exact(width).enumerate() {
                    let text = if kind == 'S' {
                        let end = cell.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                        String::from_utf8(cell[..end].to_vec()).ok()
                    } else {
                        let codes =
                            cell.as_chunks::<4>().0.iter().map(|code| {
                                if self.big { u32::from_be_bytes(*code) } else { u32::from_le_bytes(*code) }
                            });
                        let text: Option<String> = codes.map(char::from_u32).collect();
                        text.map(|text| text.trim_end_matches('\0').to_owned())
                    };
                    texts.push(text.ok_or_else(|| {
                        damaged(shown, &format!("the text in row {} is not Unicode", row + 1), "save it anew")
                    })?);
                }
                Arc::new(StringArray::from_iter_values(texts))
            }
        })
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    match (bits >> 10) & 0x1f {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    }
}

/// Fortran keeps the first dimension fastest; rows want the last.
fn rows_first(bytes: &[u8], shape: &[usize], width: usize) -> Vec<u8> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = width;
    for dim in shape {
        strides.push(stride);
        stride *= dim;
    }
    let mut turned = Vec::with_capacity(bytes.len());
    let mut index = vec![0; shape.len()];
    for _ in 0..bytes.len() / width {
        let at: usize = index.iter().zip(&strides).map(|(index, stride)| index * stride).sum();
        turned.extend_from_slice(&bytes[at..at + width]);
        for (index, dim) in index.iter_mut().zip(shape).rev() {
            *index += 1;
            if *index < *dim {
                break;
            }
            *index = 0;
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_in_any_order_and_nothing_else_is() {
        let read = header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n").unwrap();
        assert_eq!(read, Header { descr: "<f4".into(), fortran: false, shape: vec![3, 4] });
        let read = header("{\"shape\": (5,), 'fortran_order': True, 'descr': '|b1'}").unwrap();
        assert_eq!(read, Header { descr: "|b1".into(), fortran: true, shape: vec![5] });
        for bad in
            ["", "{}", "{'descr': exit(), 'fortran_order': False, 'shape': (1,)}", "{'shape': (-1,)}", "{'x': 'y'}"]
        {
            assert_eq!(header(bad), None, "{bad}");
        }
    }

    #[test]
    fn half_floats() {
        let cases =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8), (0x3555, 0.333_251_95)];
        for (bits, value) in cases {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan() && half(0xfc00) == f32::NEG_INFINITY);
    }

    #[test]
    fn fortran_order_is_turned() {
        assert_eq!(rows_first(&[1, 4, 2, 5, 3, 6], &[2, 3], 1), [1, 2, 3, 4, 5, 6]);
    }
}
