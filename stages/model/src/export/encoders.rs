//! Fitted encoders as ONNX nodes: from raw columns to the tensor the network reads.
//!
//! One input for each raw column, `[rows, 1]` for a scalar: numbers and dates (days or seconds since 1970) as float64 with
//! NaN for a missing cell, text as strings with the empty string for a missing cell, true/false as bool (as text where
//! cells may be missing), tensors as float32 `[rows, shape...]`.

use contract::artifact::DType;

use crate::encode::{Encoders, Fitted};
use crate::onnx::cell::Cell;
use crate::onnx::graph::{Attribute, Graph};
use crate::onnx::messages::DataType;

/// How a column enters the graph.
pub fn input_type(fitted: &Fitted) -> DataType {
    if !fitted.column.shape.is_empty() {
        return DataType::Float;
    }
    match (&fitted.column.dtype, fitted.encoder().vocabulary()) {
        (DType::String | DType::Binary, _) => DataType::String,
        // A date is a category by its text.
        (DType::Date | DType::Datetime, Some(_)) => DataType::String,
        (DType::Bool, Some(vocabulary)) if !vocabulary.indicator => DataType::Bool,
        (DType::Bool, Some(_)) => DataType::String,
        _ => DataType::Double,
    }
}

/// The name of an encoder that has no form in ONNX's operators here.
pub fn unsupported(fitted: &Fitted) -> Option<&'static str> {
    fitted.encoder().not_in_onnx()
}

/// Whether the graph of these encoders computes on text, which few runtimes can.
pub fn uses_text(encoders: &Encoders) -> bool {
    encoders.columns.iter().any(|fitted| input_type(fitted) == DataType::String)
}

/// Declares an input for each column and encodes them; gives the name of the encoded rows.
pub fn encode(graph: &mut Graph, encoders: &Encoders) -> String {
    let inputs: Vec<String> = encoders
        .columns
        .iter()
        .map(|fitted| {
            let shape = if fitted.column.shape.is_empty() { vec![1] } else { fitted.column.shape.clone() };
            graph.input(&fitted.column.name, input_type(fitted), &shape)
        })
        .collect();
    let image = encoders.shape().len() == 3;
    let mut parts = Vec::new();
    for (fitted, input) in encoders.columns.iter().zip(&inputs) {
        let cell = Cell { input, dtype: input_type(fitted), column: &fitted.column };
        let encoded = match fitted.column.shape.len() {
            0 => fitted.encoder().graph(graph, &cell),
            sides => {
                let encoded = fitted.encoder().graph_packed(graph, &cell);
                let flatten = !image && sides > 1;
                if flatten { graph.node("Flatten", &[&encoded], &[("axis", Attribute::Int(1))]) } else { encoded }
            }
        };
        parts.push(encoded);
    }
    if let [one] = parts.as_slice() {
        return one.clone();
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    graph.node("Concat", &parts, &[("axis", Attribute::Int(1))])
}
