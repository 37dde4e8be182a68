//! What is learnt of the cells of one column: distinct values, mean and deviation, whether all are finite.

use std::collections::BTreeSet;

use contract::artifact::{Column, DType};
use contract::fault::Fault;

use crate::dataset::{Dataset, Packed};
use crate::fault::Outcome;

/// The distinct values of a column, and whether cells of it are missing.
///
/// # Errors
/// As [`Dataset::texts`].
pub fn seen(data: &Dataset, name: &str, dtype: DType) -> Outcome<(Vec<String>, bool)> {
    let (mut values, mut missing) = (BTreeSet::new(), false);
    for block in data.blocks() {
        for text in block.texts(name)? {
            match text {
                Some(text) => _ = values.insert(text),
                None => missing = true,
            }
        }
    }
    Ok((distinct(values.into_iter(), dtype), missing))
}

/// Distinct values in the order classes have: numbers numerically, false before true, text by its bytes.
pub fn distinct(texts: impl Iterator<Item = String>, dtype: DType) -> Vec<String> {
    let set: BTreeSet<String> = texts.collect();
    let mut values: Vec<String> = set.into_iter().collect();
    if dtype.is_integer() {
        values.sort_by_key(|value| value.parse::<i128>().unwrap_or(i128::MAX));
    } else if dtype.is_float() {
        let number = |value: &String| value.parse::<f64>().unwrap_or(f64::NAN);
        values.sort_by(|left, right| number(left).total_cmp(&number(right)));
    }
    values
}

/// Mean and population deviation in two passes; a deviation that is only rounding becomes 1.
pub fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (mut count, mut sum) = (0f64, 0f64);
    for value in values.clone() {
        count += 1.0;
        sum += value;
    }
    if count == 0.0 {
        return (0.0, 1.0);
    }
    let mean = sum / count;
    let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
    let deviation = (squares / count).sqrt();
    // As scikit-learn: a constant column stays finite whatever rounding did to its mean.
    let constant = deviation <= 10.0 * f64::EPSILON * mean.abs() || deviation == 0.0;
    (mean, if constant { 1.0 } else { deviation })
}

fn infinite(name: &str, data: &Dataset, row: usize, what: &str) -> Fault {
    Fault::error(
        contract::code!("data::not_finite"),
        format!("column `{name}` at `{}` holds {what} in row {}", data.name(), data.before() + row + 1),
    )
    .help("remove such rows with `filter`, or make them missing, in a `preprocess` stage")
}

/// Refuses infinite numbers.
///
/// # Errors
/// `data::not_finite` with the first row.
pub fn finite_scalar(name: &str, data: &Dataset, values: &[f64]) -> Outcome<()> {
    match values.iter().position(|value| value.is_infinite()) {
        Some(row) => Err(infinite(name, data, row, "an infinite number")),
        None => Ok(()),
    }
}

/// Refuses numbers that are not finite, in packed cells of `cell` numbers.
///
/// # Errors
/// `data::not_finite` with the first row.
pub fn finite(name: &str, data: &Dataset, values: &[f32], cell: usize) -> Outcome<()> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(infinite(name, data, place / cell.max(1), "a value that is not finite")),
        None => Ok(()),
    }
}

/// The packed cells of a column, in the shape that training saw.
///
/// # Errors
/// `data::other_shape`, and those of [`Dataset::packed`].
pub fn packed(wanted: &Column, data: &Dataset) -> Outcome<Packed> {
    let column = data.column(&wanted.name)?;
    if column.shape != wanted.shape {
        return Err(Fault::error(
            contract::code!("data::other_shape"),
            format!(
                "column `{}` at `{}` is {}, the model was trained on {}",
                column.name,
                data.name(),
                column.type_name(),
                wanted.type_name()
            ),
        )
        .help("prepare this data as the training data was"));
    }
    data.packed(&wanted.name)
}
