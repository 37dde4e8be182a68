//! Fitted encoders as ONNX nodes: from raw columns to the tensor the network reads.
//!
//! One input for each raw column, `[rows, 1]` for a scalar: numbers and dates (days or seconds since 1970) as float64 with
//! NaN for a missing cell, text as strings with the empty string for a missing cell, true/false as bool (as text where
//! cells may be missing), tensors as float32 `[rows, shape...]`.

use contract::artifact::DType;

use super::graph::{Attribute, Graph};
use super::messages::DataType;
use crate::encode::{Encoders, Fitted, FittedEncoder, NumberForm, Spread};

/// How a column enters the graph.
pub fn input_type(fitted: &Fitted) -> DataType {
    if !fitted.column.shape.is_empty() {
        return DataType::Float;
    }
    match (&fitted.column.dtype, &fitted.encoder) {
        (DType::String | DType::Binary, _) => DataType::String,
        // A date is a category by its text.
        (DType::Date | DType::Datetime, FittedEncoder::OneHot { .. } | FittedEncoder::Embedding { .. }) => {
            DataType::String
        }
        (
            DType::Bool,
            FittedEncoder::OneHot { indicator: false, .. } | FittedEncoder::Embedding { indicator: false, .. },
        ) => DataType::Bool,
        (DType::Bool, FittedEncoder::OneHot { .. } | FittedEncoder::Embedding { .. }) => DataType::String,
        _ => DataType::Double,
    }
}

/// The name of an encoder that has no form in ONNX's operators here.
pub fn unsupported(fitted: &Fitted) -> Option<&'static str> {
    match &fitted.encoder {
        FittedEncoder::Number { form: NumberForm::Quantile { .. }, .. } => Some("quantile"),
        FittedEncoder::Hashed { .. } => Some("hashed"),
        FittedEncoder::Target(_) => Some("target"),
        FittedEncoder::Cyclic { .. } => Some("cyclic"),
        FittedEncoder::Text(_) => Some("tf_idf"),
        FittedEncoder::Number { .. }
        | FittedEncoder::Identity
        | FittedEncoder::Standard { .. }
        | FittedEncoder::OneHot { .. }
        | FittedEncoder::Embedding { .. } => None,
    }
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
        let encoded = match &fitted.encoder {
            _ if !fitted.column.shape.is_empty() => tensor(graph, fitted, input, image),
            FittedEncoder::OneHot { values, indicator } => one_hot(graph, fitted, input, values, *indicator),
            FittedEncoder::Embedding { values, indicator, .. } => index(graph, fitted, input, values, *indicator),
            FittedEncoder::Identity => {
                let input = number(graph, fitted, input);
                let missing = missing(graph, &input);
                fill(graph, &missing, &input)
            }
            FittedEncoder::Standard { mean, deviation, indicator } => {
                let input = number(graph, fitted, input);
                let missing = missing(graph, &input);
                let mean = graph.doubles("mean", &[1, 1], mean);
                let deviation = graph.doubles("deviation", &[1, 1], deviation);
                let centred = graph.node("Sub", &[&input, &mean], &[]);
                let scaled = graph.node("Div", &[&centred, &deviation], &[]);
                let filled = fill(graph, &missing, &scaled);
                flagged(graph, filled, &missing, *indicator)
            }
            FittedEncoder::Number { form, indicator } => {
                let input = number(graph, fitted, input);
                let missing = missing(graph, &input);
                let encoded = form_of(graph, form, &input);
                let zero = graph.floats("zero", &[1, 1], &[0.0]);
                let filled = graph.node("Where", &[&missing, &zero, &encoded], &[]);
                flagged(graph, filled, &missing, *indicator)
            }
            FittedEncoder::Hashed { .. }
            | FittedEncoder::Target(_)
            | FittedEncoder::Cyclic { .. }
            | FittedEncoder::Text(_) => unreachable!("`export` refuses what `unsupported` names"),
        };
        parts.push(encoded);
    }
    if let [one] = parts.as_slice() {
        return one.clone();
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    graph.node("Concat", &parts, &[("axis", Attribute::Int(1))])
}

/// The encoding, and whether the cell is missing, side by side.
fn flagged(graph: &mut Graph, encoded: String, missing: &str, indicator: bool) -> String {
    if !indicator {
        return encoded;
    }
    let flag = graph.cast(missing, DataType::Float);
    graph.node("Concat", &[&encoded, &flag], &[("axis", Attribute::Int(1))])
}

/// A form of a float64 column `[rows, 1]` as float32 `[rows, width]`. Differences are taken in float64.
fn form_of(graph: &mut Graph, form: &NumberForm, input: &str) -> String {
    let place = |graph: &mut Graph, spread: &Spread| {
        let centre = graph.doubles("centre", &[1, 1], &[spread.centre]);
        let factor = graph.doubles("factor", &[1, 1], &[spread.factor]);
        let centred = graph.node("Sub", &[input, &centre], &[]);
        graph.node("Mul", &[&centred, &factor], &[])
    };
    match form {
        NumberForm::Robust(spread) => {
            let z = place(graph, spread);
            let z = graph.cast(&z, DataType::Float);
            let third = graph.floats("third", &[1, 1], &[1.0 / 3.0]);
            let one = graph.floats("one", &[1, 1], &[1.0]);
            let third = graph.node("Mul", &[&z, &third], &[]);
            let square = graph.node("Mul", &[&third, &third], &[]);
            let sum = graph.node("Add", &[&square, &one], &[]);
            let root = graph.node("Sqrt", &[&sum], &[]);
            graph.node("Div", &[&z, &root], &[])
        }
        NumberForm::Piecewise { edges } => {
            let bins = edges.len() - 1;
            let widths: Vec<f64> = edges.windows(2).map(|bin| bin[1] - bin[0]).collect();
            let begin = graph.doubles("begin", &[1, bins], &edges[..bins]);
            let widths = graph.doubles("width", &[1, bins], &widths);
            let past = graph.node("Sub", &[input, &begin], &[]);
            let share = graph.node("Div", &[&past, &widths], &[]);
            let share = graph.cast(&share, DataType::Float);
            let zero = graph.floats("zero", &[1, 1], &[0.0]);
            let one = graph.floats("one", &[1, 1], &[1.0]);
            let above = graph.node("Max", &[&share, &zero], &[]);
            graph.node("Min", &[&above, &one], &[])
        }
        NumberForm::Periodic { spread, frequencies, phases } => {
            let z = place(graph, spread);
            let turn = |values: &[f64]| values.iter().map(|value| value * std::f64::consts::TAU).collect::<Vec<f64>>();
            let frequency = graph.doubles("frequency", &[1, frequencies.len()], &turn(frequencies));
            let phase = graph.doubles("phase", &[1, phases.len()], &turn(phases));
            let angle = graph.node("Mul", &[&z, &frequency], &[]);
            let angle = graph.node("Add", &[&angle, &phase], &[]);
            let angle = graph.cast(&angle, DataType::Float);
            let waves = graph.node("Cos", &[&angle], &[]);
            let z = graph.cast(&z, DataType::Float);
            graph.node("Concat", &[&z, &waves], &[("axis", Attribute::Int(1))])
        }
        NumberForm::Quantile { .. } => unreachable!("`export` refuses what `unsupported` names"),
    }
}

/// True and false become 1 and 0 (only `identity` and `standard` meet them here).
fn number(graph: &mut Graph, fitted: &Fitted, input: &str) -> String {
    if input_type(fitted) == DataType::Double { input.to_owned() } else { graph.cast(input, DataType::Double) }
}

/// Which cells of a float64 column are NaN. Asked in float32: not every runtime has the question for float64.
fn missing(graph: &mut Graph, input: &str) -> String {
    let narrow = graph.cast(input, DataType::Float);
    graph.node("IsNaN", &[&narrow], &[])
}

/// 0 where missing, as float32.
fn fill(graph: &mut Graph, missing: &str, values: &str) -> String {
    let zero = graph.doubles("zero", &[1, 1], &[0.0]);
    let filled = graph.node("Where", &[missing, &zero, values], &[]);
    graph.cast(&filled, DataType::Float)
}

fn tensor(graph: &mut Graph, fitted: &Fitted, input: &str, image: bool) -> String {
    let mut value = input.to_owned();
    if let FittedEncoder::Standard { mean, deviation, .. } = &fitted.encoder {
        // One for a channel, for everything, or for an element: always the first side after the rows.
        let mut dims = vec![1usize; fitted.column.shape.len() + 1];
        if mean.len() > 1 {
            dims[1] = mean.len();
        }
        let narrow = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<f32>>();
        let mean = graph.floats("mean", &dims, &narrow(mean));
        let deviation = graph.floats("deviation", &dims, &narrow(deviation));
        value = graph.node("Sub", &[&value, &mean], &[]);
        value = graph.node("Div", &[&value, &deviation], &[]);
    }
    if !image && fitted.column.shape.len() > 1 {
        value = graph.node("Flatten", &[&value], &[("axis", Attribute::Int(1))]);
    }
    value
}

fn one_hot(graph: &mut Graph, fitted: &Fitted, input: &str, values: &[String], indicator: bool) -> String {
    let mut parts = Vec::new();
    if !values.is_empty() {
        parts.push(matches(graph, fitted, input, values));
    }
    if indicator {
        let missing = missing_category(graph, fitted, input);
        parts.push(graph.cast(&missing, DataType::Float));
    }
    match parts.as_slice() {
        [one] => one.clone(),
        [values, flag] => graph.node("Concat", &[values, flag], &[("axis", Attribute::Int(1))]),
        // A column that was empty in training has no values and no indicator: nothing is encoded, and `Fitted::width` is 0.
        _ => {
            let empty = graph.doubles("values", &[1, 0], &[]);
            let input = self::number(graph, fitted, input);
            let none = graph.node("Mul", &[&input, &empty], &[]);
            graph.cast(&none, DataType::Float)
        }
    }
}

/// The index of a cell's value as float32 `[rows, 1]`: the product of its one-hot vector and 1, 2, …, which gives 0 where no value
/// matches.
fn index(graph: &mut Graph, fitted: &Fitted, input: &str, values: &[String], indicator: bool) -> String {
    let index = if values.is_empty() {
        // Training had missing cells only.
        let missing = missing_category(graph, fitted, input);
        let flag = graph.cast(&missing, DataType::Float);
        let zero = graph.floats("zero", &[1, 1], &[0.0]);
        graph.node("Mul", &[&flag, &zero], &[])
    } else {
        let matches = matches(graph, fitted, input, values);
        let places: Vec<f32> = (1..=values.len()).map(|place| place as f32).collect();
        let places = graph.floats("places", &[places.len(), 1], &places);
        graph.node("MatMul", &[&matches, &places], &[])
    };
    if !indicator {
        return index;
    }
    let missing = missing_category(graph, fitted, input);
    let last = graph.floats("last", &[1, 1], &[(values.len() + 1) as f32]);
    graph.node("Where", &[&missing, &last, &index], &[])
}

/// Whether a cell is each of the values, as float32 `[rows, values]`.
fn matches(graph: &mut Graph, fitted: &Fitted, input: &str, values: &[String]) -> String {
    let dims = [1, values.len()];
    let equal = match input_type(fitted) {
        // Equal on truth values is in no runtime's way, but a vocabulary of two is simpler by number.
        DataType::Bool | DataType::Double => {
            let number = |value: &String| match value.as_str() {
                "true" => 1.0,
                "false" => 0.0,
                text => text.parse::<f64>().unwrap_or(f64::NAN),
            };
            let values = graph.doubles("values", &dims, &values.iter().map(number).collect::<Vec<f64>>());
            let input = self::number(graph, fitted, input);
            graph.node("Equal", &[&input, &values], &[])
        }
        _ => {
            let values = graph.texts("values", &dims, values);
            graph.node("Equal", &[input, &values], &[])
        }
    };
    graph.cast(&equal, DataType::Float)
}

/// Whether the cell of a category is missing: the empty string, or NaN.
fn missing_category(graph: &mut Graph, fitted: &Fitted, input: &str) -> String {
    if input_type(fitted) == DataType::String {
        let empty = graph.texts("empty", &[1, 1], &[String::new()]);
        return graph.node("Equal", &[input, &empty], &[]);
    }
    let input = self::number(graph, fitted, input);
    self::missing(graph, &input)
}
