//! What can be computed over many cells of a column.

use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults, Route};

use super::chosen::{is_number, names};
use crate::columns::pattern;
use crate::params::shape::OneOrMany;

/// What a function over many cells of a column gives, or the fault of a column it cannot be computed over.
pub(super) fn over(function: &str, column: &Column, at: &Route) -> Result<DType, Fault> {
    let refuse = |wanted: &str| {
        Fault::error(
            contract::code!("data::aggregate_type"),
            format!("`{function}` is not defined for `{}`, which is {}", column.name, column.type_name()),
        )
        .help(format!("it wants {wanted}; `count`, `distinct`, `first` and `last` work on every column"))
        .at(at.clone())
    };
    if !column.shape.is_empty() {
        return Err(refuse("plain cells, not tensors"));
    }
    match function {
        "count" | "distinct" => Ok(DType::Int64),
        // Of true/false: how many are true, and their share.
        "sum" if column.dtype == DType::Bool => Ok(DType::Int64),
        "mean" if column.dtype == DType::Bool => Ok(DType::Float64),
        "sum" if is_number(column) => Ok(sum_type(column.dtype)),
        "mean" | "median" | "std" if is_number(column) => Ok(DType::Float64),
        "difference" if is_number(column) => Ok(if column.dtype.is_float() { DType::Float64 } else { DType::Int64 }),
        "sum" | "mean" => Err(refuse("numbers or true/false")),
        "median" | "std" | "difference" => Err(refuse("numbers")),
        "min" | "max" if matches!(column.dtype, DType::Binary | DType::Bool) => Err(refuse("numbers, texts or dates")),
        _ => Ok(column.dtype),
    }
}

pub(super) fn keys(entries: &OneOrMany<String>, columns: &[Column], at: &Route) -> Result<Vec<usize>, Faults> {
    let positions = pattern::select(entries, &names(columns), at)?;
    let tensors: Vec<Fault> = positions
        .iter()
        .map(|position| &columns[*position])
        .filter(|column| !column.shape.is_empty())
        .map(|column| {
            Fault::error(
                contract::code!("data::key_type"),
                format!("`{}` is {}, which is no key", column.name, column.type_name()),
            )
            .help("keys are numbers, texts, dates or true/false")
            .at(at.clone())
        })
        .collect();
    if tensors.is_empty() { Ok(positions) } else { Err(Faults::from(tensors)) }
}

fn sum_type(dtype: DType) -> DType {
    match dtype {
        dtype if dtype.is_float() => DType::Float64,
        DType::UInt8 | DType::UInt16 | DType::UInt32 | DType::UInt64 => DType::UInt64,
        _ => DType::Int64,
    }
}
