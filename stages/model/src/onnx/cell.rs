//! The cells of one column in a graph: what encoders build their encodings from.

use contract::artifact::Column;

use super::graph::{Attribute, Graph};
use super::messages::DataType;

/// A column as it enters a graph.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// The name of the input.
    pub input: &'a str,
    /// Its type.
    pub dtype: DataType,
    /// The raw column.
    pub column: &'a Column,
}

/// The encoding, and whether the cell is missing, side by side.
pub fn flagged(graph: &mut Graph, encoded: String, missing: &str, indicator: bool) -> String {
    if !indicator {
        return encoded;
    }
    let flag = graph.cast(missing, DataType::Float);
    graph.node("Concat", &[&encoded, &flag], &[("axis", Attribute::Int(1))])
}

/// True and false become 1 and 0 (only `identity` and `standard` meet them here).
pub fn number(graph: &mut Graph, cell: &Cell<'_>) -> String {
    if cell.dtype == DataType::Double { cell.input.to_owned() } else { graph.cast(cell.input, DataType::Double) }
}

/// Which cells of a float64 column are NaN. Asked in float32: not every runtime has the question for float64.
pub fn missing(graph: &mut Graph, input: &str) -> String {
    let narrow = graph.cast(input, DataType::Float);
    graph.node("IsNaN", &[&narrow], &[])
}

/// 0 where missing, as float32.
pub fn fill(graph: &mut Graph, missing: &str, values: &str) -> String {
    let zero = graph.doubles("zero", &[1, 1], &[0.0]);
    let filled = graph.node("Where", &[missing, &zero, values], &[]);
    graph.cast(&filled, DataType::Float)
}

/// Whether a cell is each of the values, as float32 `[rows, values]`.
pub fn matches(graph: &mut Graph, cell: &Cell<'_>, values: &[String]) -> String {
    let dims = [1, values.len()];
    let equal = match cell.dtype {
        // Equal on truth values is in no runtime's way, but a vocabulary of two is simpler by number.
        DataType::Bool | DataType::Double => {
            let parse = |value: &String| match value.as_str() {
                "true" => 1.0,
                "false" => 0.0,
                text => text.parse::<f64>().unwrap_or(f64::NAN),
            };
            let values = graph.doubles("values", &dims, &values.iter().map(parse).collect::<Vec<f64>>());
            let input = number(graph, cell);
            graph.node("Equal", &[&input, &values], &[])
        }
        _ => {
            let values = graph.texts("values", &dims, values);
            graph.node("Equal", &[cell.input, &values], &[])
        }
    };
    graph.cast(&equal, DataType::Float)
}

/// Whether the cell of a category is missing: the empty string, or NaN.
pub fn missing_category(graph: &mut Graph, cell: &Cell<'_>) -> String {
    if cell.dtype == DataType::String {
        let empty = graph.texts("empty", &[1, 1], &[String::new()]);
        return graph.node("Equal", &[cell.input, &empty], &[]);
    }
    let input = number(graph, cell);
    missing(graph, &input)
}
