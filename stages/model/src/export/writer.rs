//! Writes a model as ONNX: from raw columns to `probabilities` and `label`, or to `prediction`.
//!
//! A quantised model keeps its bytes: weights are int8 constants behind `DequantizeLinear` (one scale for each output), and
//! with fixed ranges every rounding point is a `QuantizeLinear`/`DequantizeLinear` pair, which runtimes fuse into whole-number
//! kernels. With ranges of each row only the weights are rounded: there is no standard operator for the rest, and leaving it out
//! only makes the answer more exact.

use catalog::kinds::compress::params::Int8;
use catalog::network::layers::{AvgPool2d, BatchNorm, Conv2d, MaxPool2d};
use catalog::network::{Node, Op};
use catalog::params::network::Activation;
use contract::artifact::DType;

use crate::array::{Weights, array, unknown_layer};
use crate::embed::{Layout, Piece, table_name, tensor_name};
use crate::encode::Encoders;
use crate::fault::Outcome;
use crate::fold::Folded;
use crate::int8::program::{Program, Step};
use crate::int8::quantized::{Layer8, Point, Quantized};
use crate::onnx::graph::{Attribute, Graph};
use crate::onnx::messages::{DataType, ModelProto};
use crate::target::{Scale, Target};

/// What is written.
pub enum Source<'a> {
    /// Real weights.
    Real(&'a Folded),
    /// 8-bit weights.
    Whole(&'a Quantized),
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// From raw columns to the answer.
    Whole,
    /// Without the `label` output, where it would be text.
    Numbers,
    /// From encoded rows `features` to the network's bare output `outputs`.
    Core,
}

/// Writes a model.
///
/// # Errors
/// `model::damaged` when tensors are missing.
pub fn write(source: &Source<'_>, encoders: &Encoders, target: &Target, extent: Extent) -> Outcome<ModelProto> {
    let mut graph = Graph::new("model");
    let network = match source {
        Source::Real(folded) => &folded.network,
        Source::Whole(quantized) => &quantized.network,
    };
    let rows = match extent {
        Extent::Core => graph.input("features", DataType::Float, &network.input),
        _ => super::encoders::encode(&mut graph, encoders),
    };
    let program = Program::new(network);
    let points = match source {
        Source::Whole(quantized) if quantized.mode == Int8::Static => Some(quantized.points.as_slice()),
        _ => None,
    };
    let mut writer = Writer { graph: &mut graph, source, points };
    let rows = match &program.embed {
        Some(node) => writer.embed(node, &rows)?,
        None => rows,
    };
    let rows = writer.round(&rows, 0);
    let outputs = writer.chain(&program.steps, rows)?;
    let width = network.output().iter().product::<u64>();
    if extent == Extent::Core {
        graph.output(&outputs, "outputs", DataType::Float, &[width]);
    } else {
        answer(&mut graph, &outputs, target, width, extent);
    }
    let description = format!("Predicts `{}`. Written by pipeline.", target.column.name);
    let metadata = [("target", target.column.name.clone())];
    Ok(graph.finish(&description, &metadata))
}

fn answer(graph: &mut Graph, outputs: &str, target: &Target, width: u64, extent: Extent) {
    match &target.scale {
        Scale::Number { mean, deviation } => {
            let deviation = graph.doubles("deviation", &[1, 1], &[*deviation]);
            let mean = graph.doubles("mean", &[1, 1], &[*mean]);
            let value = graph.cast(outputs, DataType::Double);
            let value = graph.node("Mul", &[&value, &deviation], &[]);
            let value = graph.node("Add", &[&value, &mean], &[]);
            graph.output(&value, "prediction", DataType::Double, &[width]);
        }
        Scale::Classes(classes) => {
            let probabilities = graph.node("Softmax", &[outputs], &[("axis", Attribute::Int(1))]);
            graph.output(&probabilities, "probabilities", DataType::Float, &[width]);
            let dims = [classes.len()];
            let numbers: Option<Vec<i64>> = if target.column.dtype.is_integer() {
                classes.iter().map(|class| class.parse().ok()).collect()
            } else {
                None
            };
            let (table, dtype) = match numbers {
                Some(numbers) => (graph.longs("classes", &dims, &numbers), DataType::Int64),
                None if target.column.dtype == DType::Bool => {
                    let flags: Vec<bool> = classes.iter().map(|class| class == "true").collect();
                    (graph.flags("classes", &dims, &flags), DataType::Bool)
                }
                None if extent == Extent::Numbers => return,
                None => (graph.texts("classes", &dims, classes), DataType::String),
            };
            let best =
                graph.node("ArgMax", &[outputs], &[("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(0))]);
            let label = graph.node("Gather", &[&table, &best], &[("axis", Attribute::Int(0))]);
            graph.output(&label, "label", dtype, &[]);
        }
    }
}

struct Writer<'a> {
    graph: &'a mut Graph,
    source: &'a Source<'a>,
    /// With fixed ranges.
    points: Option<&'a [Point]>,
}

impl Writer<'_> {
    fn chain(&mut self, steps: &[Step], mut value: String) -> Outcome<String> {
        for step in steps {
            value = self.step(step, value)?;
            if let Some(activation) = step.activation {
                value = self.activation(activation, &value);
            }
            if let Some(point) = step.to.filter(|to| *to != step.from) {
                value = self.round(&value, point);
            }
        }
        Ok(value)
    }

    fn round(&mut self, value: &str, point: usize) -> String {
        let Some(point) = self.points.and_then(|points| points.get(point)) else { return value.to_owned() };
        let scale = self.graph.floats("scale", &[], &[point.scale]);
        let zero = self.graph.byte("zero_point", point.zero);
        let rounded = self.graph.node("QuantizeLinear", &[value, &scale, &zero], &[]);
        self.graph.node("DequantizeLinear", &[&rounded, &scale, &zero], &[])
    }

    fn step(&mut self, step: &Step, value: String) -> Outcome<String> {
        let Node { name, op, .. } = &step.node;
        let square = |side: u64| Attribute::Ints(vec![side as i64; 2]);
        Ok(match op {
            Op::Linear(_) => {
                let (weight, bias) = self.parameters(name)?;
                self.graph.node("Gemm", &[&value, &weight, &bias], &[("transB", Attribute::Int(1))])
            }
            Op::Conv2d(Conv2d { kernel, stride, padding, .. }) => {
                let (weight, bias) = self.parameters(name)?;
                let attributes = [
                    ("kernel_shape", square(*kernel)),
                    ("strides", square(*stride)),
                    ("pads", Attribute::Ints(vec![*padding as i64; 4])),
                ];
                self.graph.node("Conv", &[&value, &weight, &bias], &attributes)
            }
            Op::BatchNorm(BatchNorm { channels, eps, .. }) => {
                let norms: &Weights = match self.source {
                    Source::Real(folded) => &folded.weights,
                    Source::Whole(quantized) => &quantized.norms,
                };
                let mut inputs = vec![value];
                for part in ["weight", "bias", "running_mean", "running_var"] {
                    let name = format!("{name}.{part}");
                    let values = array(norms, &name, *channels as usize)?;
                    inputs.push(self.graph.floats(&name, &[values.values.len()], &values.values));
                }
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                self.graph.node("BatchNormalization", &inputs, &[("epsilon", Attribute::Float(*eps as f32))])
            }
            Op::Activation(activation) => self.activation(*activation, &value),
            Op::MaxPool2d(MaxPool2d { size, stride }) => {
                self.graph.node("MaxPool", &[&value], &[("kernel_shape", square(*size)), ("strides", square(*stride))])
            }
            Op::AvgPool2d(AvgPool2d { size, stride }) => self.graph.node(
                "AveragePool",
                &[&value],
                &[("kernel_shape", square(*size)), ("strides", square(*stride))],
            ),
            Op::GlobalAvgPool => {
                let value = self.graph.node("GlobalAveragePool", &[&value], &[]);
                self.graph.node("Flatten", &[&value], &[("axis", Attribute::Int(1))])
            }
            Op::Flatten => self.graph.node("Flatten", &[&value], &[("axis", Attribute::Int(1))]),
            // The first node is written before the steps.
            Op::Dropout(_) | Op::Embed(_) => value,
            Op::Residual(_) => {
                let branch = self.chain(&step.inner, value.clone())?;
                self.graph.node("Add", &[&value, &branch], &[])
            }
            _ => return Err(unknown_layer(name)),
        })
    }

    /// Puts vectors in the place of indices.
    fn embed(&mut self, node: &Node, rows: &str) -> Outcome<String> {
        let Op::Embed(tables) = &node.op else { return Ok(rows.to_owned()) };
        let layout = Layout::new(tables, node.input.iter().product());
        let mut parts = Vec::with_capacity(layout.pieces.len());
        for piece in &layout.pieces {
            parts.push(match *piece {
                Piece::Numbers { from, length, .. } => {
                    let [begin, end, axis] = [("begin", from), ("end", from + length), ("axis", 1)]
                        .map(|(name, value)| self.graph.longs(name, &[1], &[value as i64]));
                    self.graph.node("Slice", &[rows, &begin, &end, &axis], &[])
                }
                Piece::Vector { table, from, .. } => {
                    let vectors = self.table(node, table)?;
                    let position = self.graph.longs("position", &[], &[from as i64]);
                    let index = self.graph.node("Gather", &[rows, &position], &[("axis", Attribute::Int(1))]);
                    let index = self.graph.cast(&index, DataType::Int64);
                    self.graph.node("Gather", &[&vectors, &index], &[("axis", Attribute::Int(0))])
                }
            });
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        Ok(match parts.as_slice() {
            [one] => (*one).to_owned(),
            parts => self.graph.node("Concat", parts, &[("axis", Attribute::Int(1))]),
        })
    }

    /// The vectors of a table.
    fn table(&mut self, node: &Node, place: usize) -> Outcome<String> {
        let (name, layer) = (tensor_name(node, place), table_name(node, place));
        Ok(match self.source {
            Source::Real(folded) => {
                let length = folded.weights.get(&name).map_or(0, |array| array.values.len());
                let vectors = array(&folded.weights, &name, length)?;
                self.graph.floats(&name, &vectors.shape, &vectors.values)
            }
            Source::Whole(quantized) => self.whole(&layer, quantized.layer(&layer)?),
        })
    }

    /// 8-bit weights with a scale for each of the first side.
    fn whole(&mut self, name: &str, layer: &Layer8) -> String {
        let rounded = self.graph.bytes(&format!("{name}.weight"), &layer.shape, &layer.weight);
        let scale = self.graph.floats(&format!("{name}.scale"), &[layer.scale.len()], &layer.scale);
        let zero = self.graph.bytes(&format!("{name}.zero"), &[layer.scale.len()], &vec![0; layer.scale.len()]);
        self.graph.node("DequantizeLinear", &[&rounded, &scale, &zero], &[("axis", Attribute::Int(0))])
    }

    /// Weight and bias of a layer.
    fn parameters(&mut self, name: &str) -> Outcome<(String, String)> {
        let (weight_name, bias_name) = (format!("{name}.weight"), format!("{name}.bias"));
        Ok(match self.source {
            Source::Real(folded) => {
                let length = |name: &str| folded.weights.get(name).map_or(0, |array| array.values.len());
                let weight = array(&folded.weights, &weight_name, length(&weight_name))?;
                let bias = array(&folded.weights, &bias_name, length(&bias_name))?;
                (
                    self.graph.floats(&weight_name, &weight.shape, &weight.values),
                    self.graph.floats(&bias_name, &bias.shape, &bias.values),
                )
            }
            Source::Whole(quantized) => {
                let layer = quantized.layer(name)?;
                let weight = self.whole(name, layer);
                (weight, self.graph.floats(&bias_name, &[layer.bias.len()], &layer.bias))
            }
        })
    }

    fn activation(&mut self, activation: Activation, x: &str) -> String {
        match activation {
            Activation::Relu => self.graph.node("Relu", &[x], &[]),
            Activation::Tanh => self.graph.node("Tanh", &[x], &[]),
            Activation::Sigmoid => self.graph.node("Sigmoid", &[x], &[]),
            Activation::Silu => {
                let gate = self.graph.node("Sigmoid", &[x], &[]);
                self.graph.node("Mul", &[x, &gate], &[])
            }
            Activation::Gelu => {
                // `Gelu` itself is an operator only from opset 20 on.
                let root = self.graph.floats("half_root", &[], &[std::f32::consts::FRAC_1_SQRT_2]);
                let one = self.graph.floats("one", &[], &[1.0]);
                let half = self.graph.floats("half", &[], &[0.5]);
                let scaled = self.graph.node("Mul", &[x, &root], &[]);
                let erf = self.graph.node("Erf", &[&scaled], &[]);
                let raised = self.graph.node("Add", &[&erf, &one], &[]);
                let product = self.graph.node("Mul", &[x, &raised], &[]);
                self.graph.node("Mul", &[&product, &half], &[])
            }
        }
    }
}
