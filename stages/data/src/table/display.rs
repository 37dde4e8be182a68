//! A cell in a message, in a table for people, and as JSON.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

/// How a message shows a cell.
pub fn shown(array: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::default().with_null("missing");
    let text =
        ArrayFormatter::try_new(array, &options).map(|formatter| formatter.value(row).to_string()).unwrap_or_default();
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// One cell as text; of a tensor, the first `elements`.
pub fn cell(array: &ArrayRef, row: usize, elements: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    if array.data_type().is_nested() {
        let values = array.as_fixed_size_list().value(row);
        let mut texts: Vec<String> =
            (0..values.len().min(elements)).filter_map(|index| cell(&values, index, 0)).collect();
        if values.len() > elements {
            texts.push("…".into());
        }
        return Some(format!("[{}]", texts.join(", ")));
    }
    let options = FormatOptions::default();
    Some(ArrayFormatter::try_new(array, &options).map(|formatter| formatter.value(row).to_string()).unwrap_or_default())
}

/// A cell as JSON: numbers and bools as such, everything else as text (bytes as Base64), of tensors the first so many elements. Of
/// bytes only how many there are is said when not everything is wanted.
pub fn value(array: &ArrayRef, row: usize, elements: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::FixedSizeList(..) => {
            let cells = array.as_fixed_size_list().value(row);
            let mut values: Vec<Value> = (0..cells.len().min(elements)).map(|index| value(&cells, index, 0)).collect();
            if cells.len() > elements {
                values.push(Value::String("…".into()));
            }
            Value::Array(values)
        }
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(row);
            Value::String(if elements == usize::MAX { base64(bytes) } else { format!("{} bytes", bytes.len()) })
        }
        DataType::Utf8 => Value::String(array.as_string::<i32>().value(row).to_owned()),
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 if array.as_primitive::<Float64Type>().value(row).is_finite() => {
            Value::from(array.as_primitive::<Float64Type>().value(row))
        }
        other => {
            let options = FormatOptions::default();
            let text = ArrayFormatter::try_new(array, &options)
                .map(|formatter| formatter.value(row).to_string())
                .unwrap_or_default();
            let plain = other.is_numeric() || *other == DataType::Boolean;
            match serde_json::from_str::<Value>(&text) {
                Ok(value) if plain => value,
                _ => Value::String(text),
            }
        }
    }
}

/// Bytes as text (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_standard() {
        // RFC 4648, section 10.
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
