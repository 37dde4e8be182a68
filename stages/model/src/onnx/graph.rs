//! Builds an ONNX graph node by node: names that never clash, constants stored once, shapes with a free number of rows.

use std::collections::BTreeSet;

use super::messages::{
    AttributeProto, DataType, Dimension, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// The name of the free side.
pub const ROWS: &str = "rows";

/// A graph being built.
#[derive(Debug, Default)]
pub struct Graph {
    proto: GraphProto,
    taken: BTreeSet<String>,
}

/// An attribute's value.
pub enum Attribute {
    /// A number.
    Float(f32),
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(Vec<i64>),
}

impl Graph {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self { proto: GraphProto { name: name.to_owned(), ..GraphProto::default() }, taken: BTreeSet::new() }
    }

    /// A name nothing else has: `wanted`, or with a number behind it.
    pub fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut count = 1;
        while !self.taken.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}_{count}");
        }
        name
    }

    /// Declares an input `[rows, shape...]` with exactly this name (inputs come first, so none is taken).
    pub fn input(&mut self, name: &str, dtype: DataType, shape: &[u64]) -> String {
        let name = self.unique(name);
        self.proto.input.push(value_info(&name, dtype, shape));
        name
    }

    /// Declares an output `[rows, shape...]`: a value gets the wanted name.
    pub fn output(&mut self, value: &str, wanted: &str, dtype: DataType, shape: &[u64]) {
        let name = self.unique(wanted);
        self.node_named("Identity", &[value], &[], name.clone());
        self.proto.output.push(value_info(&name, dtype, shape));
    }

    /// Applies an operator; gives the name of its result.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> String {
        let name = self.unique(&op.to_lowercase());
        self.node_named(op, inputs, attributes, name.clone());
        name
    }

    fn node_named(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attribute)], name: String) {
        let attribute = attributes
            .iter()
            .map(|(name, value)| {
                let mut attribute = AttributeProto { name: (*name).to_owned(), ..AttributeProto::default() };
                match value {
                    Attribute::Float(value) => (attribute.f, attribute.kind) = (*value, 1),
                    Attribute::Int(value) => (attribute.i, attribute.kind) = (*value, 2),
                    Attribute::Ints(values) => (attribute.ints, attribute.kind) = (values.clone(), 7),
                }
                attribute
            })
            .collect();
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![name.clone()],
            name: format!("{op}/{name}"),
            op_type: op.to_owned(),
            attribute,
        });
    }

    /// Casts.
    pub fn cast(&mut self, value: &str, to: DataType) -> String {
        self.node("Cast", &[value], &[("to", Attribute::Int(to as i64))])
    }

    fn constant(&mut self, name: &str, dtype: DataType, dims: &[usize], raw: Vec<u8>) -> String {
        let name = self.unique(name);
        self.proto.initializer.push(TensorProto {
            dims: dims.iter().map(|side| *side as i64).collect(),
            data_type: dtype as i32,
            name: name.clone(),
            raw_data: Some(raw),
            ..TensorProto::default()
        });
        name
    }

    /// A constant of 32-bit floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, DataType::Float, dims, raw)
    }

    /// A constant of 64-bit floats.
    pub fn doubles(&mut self, name: &str, dims: &[usize], values: &[f64]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, DataType::Double, dims, raw)
    }

    /// A constant of 64-bit whole numbers.
    pub fn longs(&mut self, name: &str, dims: &[usize], values: &[i64]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, DataType::Int64, dims, raw)
    }

    /// A constant of signed bytes.
    pub fn bytes(&mut self, name: &str, dims: &[usize], values: &[i8]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, DataType::Int8, dims, raw)
    }

    /// A constant unsigned byte.
    pub fn byte(&mut self, name: &str, value: u8) -> String {
        self.constant(name, DataType::Uint8, &[], vec![value])
    }

    /// A constant of truth values.
    pub fn flags(&mut self, name: &str, dims: &[usize], values: &[bool]) -> String {
        self.constant(name, DataType::Bool, dims, values.iter().map(|value| u8::from(*value)).collect())
    }

    /// A constant of texts.
    pub fn texts(&mut self, name: &str, dims: &[usize], values: &[String]) -> String {
        let name = self.unique(name);
        self.proto.initializer.push(TensorProto {
            dims: dims.iter().map(|side| *side as i64).collect(),
            data_type: DataType::String as i32,
            string_data: values.iter().map(|value| value.clone().into_bytes()).collect(),
            name: name.clone(),
            raw_data: None,
        });
        name
    }

    /// The finished model. Text needs opset 19 (`Equal` on strings); everything else 17.
    pub fn finish(self, description: &str, metadata: &[(&str, String)]) -> ModelProto {
        let text = self.proto.node.iter().any(|node| node.op_type == "Equal")
            && self.proto.initializer.iter().any(|tensor| tensor.data_type == DataType::String as i32);
        let (ir_version, version) = if text { (9, 19) } else { (8, 17) };
        ModelProto {
            ir_version,
            producer_name: "pipeline".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: description.to_owned(),
            graph: Some(self.proto),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version }],
            metadata_props: metadata
                .iter()
                .map(|(key, value)| StringStringEntryProto { key: (*key).to_owned(), value: value.clone() })
                .collect(),
        }
    }
}

fn value_info(name: &str, dtype: DataType, shape: &[u64]) -> ValueInfoProto {
    let mut dim = vec![DimensionProto { value: Some(Dimension::Param(ROWS.to_owned())) }];
    dim.extend(shape.iter().map(|side| DimensionProto { value: Some(Dimension::Value(*side as i64)) }));
    let tensor_type = TensorTypeProto { elem_type: dtype as i32, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}
