//! The network that a trained model computes when it only predicts: without dropout, with batch normalisation folded into
//! the layer before it. Quantisation and export start from here.

use catalog::network::layers::{BatchNorm, Conv2d, Linear};
use catalog::network::{Network, Node, Op};

use crate::array::{Array, Weights, array};
use crate::embed::tensor_name;
use crate::fault::Outcome;

/// A network for prediction and its weights. Every linear and convolution layer has a bias.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// Layers keep their names.
    pub network: Network,
    /// Only the tensors of the layers left.
    pub weights: Weights,
}

/// Folds. Batch normalisation that does not follow a linear layer or a convolution (dropout between them does not
/// matter) stays a layer of its own.
///
/// With g = weight / √(running_var + eps): W' = g·W, b' = g·(b − running_mean) + bias.
///
/// # Errors
/// `model::damaged` when a tensor is missing or does not fit its layer.
pub fn fold(network: &Network, weights: &Weights) -> Outcome<Folded> {
    let mut out = Weights::new();
    let nodes = chain(&network.nodes, weights, &mut out)?;
    Ok(Folded { network: Network { input: network.input.clone(), nodes }, weights: out })
}

fn chain(nodes: &[Node], weights: &Weights, out: &mut Weights) -> Outcome<Vec<Node>> {
    let mut kept: Vec<Node> = Vec::new();
    for node in nodes {
        match &node.op {
            Op::Dropout(_) => {}
            Op::Embed(tables) => {
                for (place, table) in tables.iter().enumerate() {
                    let name = tensor_name(node, place);
                    let vectors = array(weights, &name, (table.values * table.dimensions) as usize)?.clone();
                    out.insert(name, vectors);
                }
                kept.push(node.clone());
            }
            Op::Linear(Linear { inputs, outputs, bias }) => {
                take_layer(&node.name, (*inputs * *outputs) as usize, *outputs as usize, *bias, weights, out)?;
                let op = Op::Linear(Linear { inputs: *inputs, outputs: *outputs, bias: true });
                kept.push(Node { op, ..node.clone() });
            }
            Op::Conv2d(Conv2d { inputs, outputs, kernel, stride, padding, bias }) => {
                let values = (inputs * outputs * kernel * kernel) as usize;
                take_layer(&node.name, values, *outputs as usize, *bias, weights, out)?;
                let op = Op::Conv2d(Conv2d {
                    inputs: *inputs,
                    outputs: *outputs,
                    kernel: *kernel,
                    stride: *stride,
                    padding: *padding,
                    bias: true,
                });
                kept.push(Node { op, ..node.clone() });
            }
            Op::BatchNorm(BatchNorm { channels, eps, .. }) => {
                let (scale, shift) = affine(&node.name, *channels as usize, *eps, weights)?;
                match kept.last() {
                    Some(Node { name, op: Op::Linear(_) | Op::Conv2d(_), .. }) => {
                        fold_into(name, &scale, &shift, out);
                    }
                    _ => {
                        for part in ["weight", "bias", "running_mean", "running_var"] {
                            let name = format!("{}.{part}", node.name);
                            out.insert(name.clone(), array(weights, &name, *channels as usize)?.clone());
                        }
                        kept.push(node.clone());
                    }
                }
            }
            Op::Residual(inner) => {
                let inner = chain(inner, weights, out)?;
                kept.push(Node { op: Op::Residual(inner), ..node.clone() });
            }
            // Any other layer stays as it is, with its tensors.
            _ => {
                let own = |name: &String| name.rsplit_once('.').is_some_and(|(layer, _)| layer == node.name);
                let tensors = weights.iter().filter(|(name, _)| own(name));
                out.extend(tensors.map(|(name, array)| (name.clone(), array.clone())));
                kept.push(node.clone());
            }
        }
    }
    Ok(kept)
}

fn take_layer(
    name: &str,
    values: usize,
    outputs: usize,
    bias: bool,
    weights: &Weights,
    out: &mut Weights,
) -> Outcome<()> {
    let weight = format!("{name}.weight");
    out.insert(weight.clone(), array(weights, &weight, values)?.clone());
    let key = format!("{name}.bias");
    let bias = if bias { array(weights, &key, outputs)?.clone() } else { Array::new([outputs], vec![0.0; outputs]) };
    out.insert(key, bias);
    Ok(())
}

/// Batch normalisation while predicting: y = scale·x + shift, by channel.
///
/// # Errors
/// `model::damaged` when a tensor is missing or does not fit.
pub fn affine(name: &str, channels: usize, eps: f64, weights: &Weights) -> Outcome<(Vec<f32>, Vec<f32>)> {
    let part = |part: &str| array(weights, &format!("{name}.{part}"), channels);
    let (weight, bias, mean, var) = (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
    let mut scale = Vec::with_capacity(channels);
    let mut shift = Vec::with_capacity(channels);
    for channel in 0..channels {
        let factor = f64::from(weight.values[channel]) / (f64::from(var.values[channel]) + eps).sqrt();
        scale.push(factor as f32);
        shift.push((f64::from(bias.values[channel]) - f64::from(mean.values[channel]) * factor) as f32);
    }
    Ok((scale, shift))
}

fn fold_into(name: &str, scale: &[f32], shift: &[f32], out: &mut Weights) {
    if let Some(weight) = out.get_mut(&format!("{name}.weight")) {
        let width = weight.values.len() / scale.len().max(1);
        for (row, factor) in weight.values.chunks_mut(width.max(1)).zip(scale) {
            row.iter_mut().for_each(|value| *value *= factor);
        }
    }
    if let Some(bias) = out.get_mut(&format!("{name}.bias")) {
        for ((value, factor), add) in bias.values.iter_mut().zip(scale).zip(shift) {
            *value = *value * factor + add;
        }
    }
}
