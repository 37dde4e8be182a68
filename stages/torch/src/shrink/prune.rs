//! Structured pruning: whole channels and units go, and with them every weight that reads or feeds them, so shapes
//! and work really shrink.
//!
//! A *group* is what must go together (the dependency groups of Fang et al. 2023, "DepGraph"): the outputs of one linear
//! layer or convolution, the batch normalisations on their way, and the inputs of the layer that reads them, where
//! flatten has made a block of h·w inputs of each channel. Channels that meet a residual sum are tied to everything on the other
//! side of it and are kept, and so is the output layer.

use std::collections::BTreeMap;

use catalog::kinds::compress::params::Criterion;
use catalog::network::layers::{BatchNorm, Conv2d, Linear};
use catalog::network::{Network, Node, Op, product};
use contract::artifact::Task;
use contract::fault::Fault;
use model::array::{Array, Weights, array};
use model::fold::affine;
use tch::{Device, Kind, Reduction, Tensor};

use crate::fault::{During, Outcome};
use crate::network::Net;
use crate::weights::{array_of, tensors_of};

/// Rows that Taylor's criterion looks at.
pub const TAYLOR_ROWS: i64 = 512;
/// At least this share of a group stays.
const FLOOR: f64 = 0.1;

/// Channels or units that can be removed, with all that hangs on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The linear layer or convolution that makes them.
    pub producer: String,
    /// How many there are.
    pub channels: usize,
    /// Batch normalisations on the way: name, and how many of its channels belong to each channel.
    norms: Vec<(String, usize, u64)>,
    /// The layer that reads them, and how many of its inputs belong to each channel.
    pub consumer: String,
    /// See `consumer`.
    pub block: usize,
}

/// The groups of a network, in order.
pub fn groups(network: &Network) -> Vec<Group> {
    let mut out = Vec::new();
    chain(&network.nodes, &mut out);
    out
}

/// A group whose reader has not been met.
struct Open {
    producer: String,
    channels: usize,
    norms: Vec<(String, usize, u64)>,
    block: usize,
}

fn chain(nodes: &[Node], out: &mut Vec<Group>) {
    let mut open: Option<Open> = None;
    for node in nodes {
        match &node.op {
            Op::Linear(Linear { outputs, .. }) | Op::Conv2d(Conv2d { outputs, .. }) => {
                if let Some(Open { producer, channels, norms, block }) = open.take() {
                    out.push(Group { producer, channels, norms, consumer: node.name.clone(), block });
                }
                let channels = *outputs as usize;
                open = Some(Open { producer: node.name.clone(), channels, norms: Vec::new(), block: 1 });
            }
            Op::BatchNorm(BatchNorm { eps, .. }) => {
                if let Some(open) = &mut open {
                    open.norms.push((node.name.clone(), open.block, eps.to_bits()));
                }
            }
            Op::Flatten => {
                if let Some(open) = &mut open {
                    open.block *= product(&node.input[1..]) as usize;
                }
            }
            Op::Residual(inner) => {
                // The channels go into the sum as they are; the branch ends in it.
                open = None;
                chain(inner, out);
            }
            // The dimensions of vectors are as asked for.
            Op::Embed(_)
            | Op::Activation(_)
            | Op::Dropout(_)
            | Op::MaxPool2d(_)
            | Op::AvgPool2d(_)
            | Op::GlobalAvgPool => {}
            // Nothing is known of what this layer does with single channels, so those that meet it are kept.
            _ => open = None,
        }
    }
}

/// How many channels of a group of `channels` stay when `share` of them should go: at least a tenth and at least
/// one, in multiples of 8 (of 4 from 16 channels on, of 1 below), which the kernels like.
pub fn kept_count(channels: usize, share: f64) -> usize {
    let wanted = (1.0 - share) * channels as f64;
    let multiple = match channels {
        32.. => 8,
        16.. => 4,
        _ => 1,
    };
    let floor = ((FLOOR * channels as f64).ceil() as usize).max(1);
    let kept = ((wanted / multiple as f64).round() as usize * multiple).max(multiple);
    kept.max(floor).min(channels)
}

/// The importance of every channel of every group, divided by the mean of its group.
pub type Importance = BTreeMap<String, Vec<f64>>;

/// Euclidean norm of all weights of a channel: those that make it (with batch normalisation multiplied in) and those
/// that read it.
///
/// # Errors
/// `model::damaged` when a tensor is missing.
pub fn l2(groups: &[Group], weights: &Weights) -> Outcome<Importance> {
    let mut out = Importance::new();
    for group in groups {
        let producer = tensor(weights, &group.producer, "weight")?;
        let mut factors = vec![1f64; group.channels];
        for (name, block, eps) in &group.norms {
            let (scale, _) = affine(name, group.channels * block, f64::from_bits(*eps), weights)?;
            for (factor, scale) in factors.iter_mut().zip(scale.chunks(*block)) {
                let squares: f64 = scale.iter().map(|scale| f64::from(*scale).powi(2)).sum();
                *factor *= (squares / *block as f64).sqrt();
            }
        }
        let mut squares: Vec<f64> =
            (0..group.channels).map(|channel| factors[channel].powi(2) * square(producer.row(channel))).collect();
        let consumer = tensor(weights, &group.consumer, "weight")?;
        let span = consumer.values.len() / consumer.shape[0].max(1) / group.channels;
        for output in 0..consumer.shape[0] {
            for (sum, values) in squares.iter_mut().zip(consumer.row(output).chunks(span)) {
                *sum += square(values);
            }
        }
        out.insert(group.producer.clone(), normalised(squares.into_iter().map(f64::sqrt).collect()));
    }
    Ok(out)
}

fn square(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum()
}

fn normalised(values: Vec<f64>) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    if mean > 0.0 { values.into_iter().map(|value| value / mean).collect() } else { values }
}

/// |activation × gradient of the loss| of each channel where the next layer reads it, summed over rows (Molchanov et al.
/// 2019, "Importance estimation for neural network pruning", the first-order form by feature map).
///
/// `rows` are encoded features, `targets` as `Target::encode` gives them.
///
/// # Errors
/// What libtorch refuses.
pub fn taylor(
    groups: &[Group],
    network: &Network,
    weights: &Weights,
    task: Task,
    rows: &Tensor,
    targets: &Tensor,
) -> Outcome<Importance> {
    let what = || "ranking units by their gradient".to_owned();
    let net = Net::from_tensors(network, tensors_of(weights)?, Device::Cpu)?;
    net.require_gradients(true);
    let mut seen: BTreeMap<String, Tensor> = BTreeMap::new();
    let outputs = net.forward_observed(rows, &mut |node, input, _| {
        if groups.iter().any(|group| group.consumer == node.name) {
            seen.insert(node.name.clone(), input.shallow_clone());
        }
    })?;
    let loss = match task {
        Task::Classification => outputs.f_cross_entropy_loss::<Tensor>(targets, None, Reduction::Sum, -100, 0.0),
        Task::Regression => outputs.f_view([-1]).and_then(|outputs| outputs.f_mse_loss(targets, Reduction::Sum)),
    }
    .during(what)?;
    let inputs: Vec<&Tensor> = groups.iter().map(|group| &seen[&group.consumer]).collect();
    let gradients = Tensor::f_run_backward(&[loss], &inputs, false, false).during(what)?;
    let _guard = tch::no_grad_guard();
    let mut out = Importance::new();
    for ((group, input), gradient) in groups.iter().zip(inputs).zip(&gradients) {
        let sums = input
            .f_mul(gradient)
            .and_then(|product| product.f_reshape([rows.size()[0], group.channels as i64, -1]))
            .and_then(|product| product.f_sum_dim_intlist([2i64].as_slice(), false, Kind::Float))
            .and_then(|sums| sums.f_abs())
            .and_then(|sums| sums.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float))
            .during(what)?;
        let sums = array_of(&sums)?.values.into_iter().map(f64::from).collect();
        out.insert(group.producer.clone(), normalised(sums));
    }
    Ok(out)
}

/// Which criterion needs rows and targets.
pub fn needs_rows(criterion: Criterion) -> bool {
    criterion == Criterion::Taylor
}

/// Which channels stay, by producer, ascending: the most important ones of each group, ties by position.
pub fn choose(
    groups: &[Group],
    importance: &Importance,
    kept: &BTreeMap<String, usize>,
) -> BTreeMap<String, Vec<usize>> {
    let mut out = BTreeMap::new();
    for group in groups {
        let mut order: Vec<usize> = (0..group.channels).collect();
        if let Some(values) = importance.get(&group.producer) {
            order.sort_by(|left, right| values[*right].total_cmp(&values[*left]).then(left.cmp(right)));
        }
        order.truncate(kept.get(&group.producer).copied().unwrap_or(group.channels));
        order.sort_unstable();
        out.insert(group.producer.clone(), order);
    }
    out
}

/// Removes all but the chosen channels.
///
/// # Errors
/// `model::damaged` when a tensor is missing.
pub fn remove(
    network: &Network,
    weights: &Weights,
    groups: &[Group],
    kept: &BTreeMap<String, Vec<usize>>,
) -> Outcome<(Network, Weights)> {
    let mut weights = weights.clone();
    let mut counts = BTreeMap::new();
    for group in groups {
        let Some(kept) = kept.get(&group.producer) else { continue };
        counts.insert(group.producer.clone(), kept.len() as u64);
        for part in ["weight", "bias"] {
            let name = format!("{}.{part}", group.producer);
            if let Some(array) = weights.get_mut(&name) {
                *array = array.keep_rows(kept);
            }
        }
        for (norm, block, _) in &group.norms {
            let kept = spread(kept, *block);
            for part in ["weight", "bias", "running_mean", "running_var"] {
                if let Some(array) = weights.get_mut(&format!("{norm}.{part}")) {
                    *array = array.keep_rows(&kept);
                }
            }
        }
        let consumer = tensor(&weights, &group.consumer, "weight")?.keep_columns(&spread(kept, group.block));
        weights.insert(format!("{}.weight", group.consumer), consumer);
    }
    let network = Network { input: network.input.clone(), nodes: reshaped(&network.nodes, &network.input, &counts) };
    Ok((network, weights))
}

fn spread(kept: &[usize], block: usize) -> Vec<usize> {
    kept.iter().flat_map(|channel| channel * block..(channel + 1) * block).collect()
}

/// The nodes with new widths, shapes carried from layer to layer.
fn reshaped(nodes: &[Node], input: &[u64], counts: &BTreeMap<String, u64>) -> Vec<Node> {
    let mut shape = input.to_vec();
    let mut out = Vec::with_capacity(nodes.len());
    for node in nodes {
        let input = shape.clone();
        let count = |outputs: &u64| counts.get(&node.name).copied().unwrap_or(*outputs);
        let op = match &node.op {
            Op::Embed(_) => {
                shape = node.output.clone();
                node.op.clone()
            }
            Op::Linear(Linear { outputs, bias, .. }) => {
                shape = vec![count(outputs)];
                Op::Linear(Linear { inputs: input[0], outputs: shape[0], bias: *bias })
            }
            Op::Conv2d(Conv2d { outputs, kernel, stride, padding, bias, .. }) => {
                shape = vec![count(outputs), node.output[1], node.output[2]];
                let (kernel, stride, padding) = (*kernel, *stride, *padding);
                Op::Conv2d(Conv2d { inputs: input[0], outputs: shape[0], kernel, stride, padding, bias: *bias })
            }
            Op::BatchNorm(BatchNorm { momentum, eps, .. }) => {
                Op::BatchNorm(BatchNorm { channels: input[0], momentum: *momentum, eps: *eps })
            }
            Op::MaxPool2d(_) | Op::AvgPool2d(_) => {
                shape = vec![input[0], node.output[1], node.output[2]];
                node.op.clone()
            }
            Op::GlobalAvgPool => {
                shape.truncate(1);
                node.op.clone()
            }
            Op::Flatten => {
                shape = vec![product(&input)];
                node.op.clone()
            }
            Op::Residual(inner) => Op::Residual(reshaped(inner, &input, counts)),
            Op::Activation(_) | Op::Dropout(_) => node.op.clone(),
            // Its input was kept whole.
            _ => {
                shape = node.output.clone();
                node.op.clone()
            }
        };
        out.push(Node { name: node.name.clone(), op, input, output: shape.clone() });
    }
    out
}

fn tensor<'a>(weights: &'a Weights, name: &str, part: &str) -> Outcome<&'a Array> {
    let key = format!("{name}.{part}");
    let length = weights.get(&key).map_or(0, |array| array.values.len());
    array(weights, &key, length)
}

/// The fault when there is nothing to remove.
pub fn nothing() -> Fault {
    Fault::error(
        contract::code!("compress::nothing_to_prune"),
        "this model has no channels or units that could be removed",
    )
    .help("a linear model has only its output layer, and channels that meet a residual sum are kept; leave `prune` out")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::network::layer::Pass;
    use crate::tests::sample;

    fn model() -> Network {
        let layers = json!({ "layers": [
            { "conv2d": { "channels": 8, "bias": false } }, { "batch_norm": {} }, "relu", { "max_pool2d": {} },
            { "conv2d": { "channels": 6 } }, "silu",
            { "residual": [{ "conv2d": { "channels": 10 } }, { "batch_norm": {} }, "relu", { "conv2d": { "channels": 6 } }] },
            { "conv2d": { "channels": 12 } }, "flatten", { "batch_norm": {} }, { "dropout": {} },
            { "linear": { "units": 20 } }, "tanh"
        ]});
        sample::network(layers, &[2, 6, 6], 4)
    }

    #[test]
    fn groups_follow_the_layers_and_spare_sums_and_outputs() {
        let network = model();
        let found: Vec<(String, usize, String, usize)> =
            groups(&network).into_iter().map(|g| (g.producer, g.channels, g.consumer, g.block)).collect();
        let group = |producer: &str, channels, consumer: &str, block| {
            (producer.to_owned(), channels, consumer.to_owned(), block)
        };
        assert_eq!(
            found,
            [group("0", 8, "4", 1), group("6.0", 10, "6.3", 1), group("7", 12, "11", 9), group("11", 20, "13", 1)]
        );
    }

    /// A channel that its reader ignores might as well not be there.
    #[test]
    fn a_pruned_net_computes_what_the_dense_one_does_without_those_channels() {
        let network = model();
        let weights = sample::weights(&network, 1);
        let groups = groups(&network);
        let counts = groups.iter().map(|group| (group.producer.clone(), group.channels / 2)).collect();
        let kept = choose(&groups, &l2(&groups, &weights).unwrap(), &counts);
        let (pruned, less) = remove(&network, &weights, &groups, &kept).unwrap();

        let mut zeroed = weights.clone();
        for group in &groups {
            let consumer = zeroed.get_mut(&format!("{}.weight", group.consumer)).unwrap();
            let inner: usize = consumer.shape[2..].iter().product();
            let columns = consumer.shape[1];
            for (index, value) in consumer.values.iter_mut().enumerate() {
                let channel = index / inner % columns / group.block;
                if !kept[&group.producer].contains(&channel) {
                    *value = 0.0;
                }
            }
        }
        let rows = sample::rows(&network, 9, 2);
        let dense = sample::net(&network, &zeroed).forward(&rows, &mut Pass::Eval).unwrap();
        let small = sample::net(&pruned, &less).forward(&rows, &mut Pass::Eval).unwrap();
        assert!((dense - small).abs().max().double_value(&[]) < 1e-5);
        assert!(
            pruned.parameters() * 3 < network.parameters() * 2,
            "{} of {}",
            pruned.parameters(),
            network.parameters()
        );
        assert!(pruned.operations() < network.operations());
        let total: usize =
            less.iter().filter(|(name, _)| !name.contains("running")).map(|(_, array)| array.values.len()).sum();
        assert_eq!(total as u64, pruned.parameters());
    }

    #[test]
    fn dead_channels_go_first() {
        let network = sample::network(json!({ "mlp": { "hidden": [8] } }), &[5], 3);
        let mut weights = sample::weights(&network, 1);
        let groups = groups(&network);
        let dead = [1, 4, 6];
        for channel in dead {
            weights.get_mut("0.weight").unwrap().values[channel * 5..(channel + 1) * 5].fill(0.0);
            weights.get_mut("0.bias").unwrap().values[channel] = 0.0;
            for output in 0..3 {
                weights.get_mut("2.weight").unwrap().values[output * 8 + channel] *= 1e-3;
            }
        }
        let rows = sample::rows(&network, 64, 2);
        let targets = Tensor::from_slice(&(0..64).map(|row| row % 3).collect::<Vec<i64>>());
        let counts = BTreeMap::from([("0".to_owned(), 5)]);
        let by_gradient = taylor(&groups, &network, &weights, Task::Classification, &rows, &targets).unwrap();
        for importance in [l2(&groups, &weights).unwrap(), by_gradient] {
            assert_eq!(choose(&groups, &importance, &counts)["0"], [0, 2, 3, 5, 7]);
        }
    }

    #[test]
    fn batch_normalisation_counts() {
        let network = sample::network(json!({ "mlp": { "hidden": [4], "batch_norm": true } }), &[3], 2);
        let mut weights = sample::weights(&network, 1);
        weights.get_mut("1.weight").unwrap().values[2] = 1e-6;
        let last = weights.get_mut("3.weight").unwrap();
        last.values.fill(0.1);
        let importance = l2(&groups(&network), &weights).unwrap();
        let least = importance["0"].iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        assert_eq!(least, 2);
    }

    #[test]
    fn at_least_a_tenth_stays_and_wide_layers_stay_even() {
        assert_eq!(kept_count(64, 0.5), 32);
        assert_eq!(kept_count(100, 0.5), 48);
        assert_eq!(kept_count(20, 0.5), 12);
        assert_eq!(kept_count(10, 0.5), 5);
        assert_eq!(kept_count(1000, 0.95), 100);
        assert_eq!(kept_count(1, 0.95), 1);
        assert_eq!(kept_count(3, 0.95), 1);
    }
}
