//! The torch side of a [`Network`]: its tensors, their first values, and the pass forward.

use std::collections::BTreeMap;

use catalog::network::{Network, Node, Op};
use model::array::unknown_layer;
use model::embed::{Layout, tensor_name};
use model::random::Random;
use tch::{Device, Kind, Tensor};

use crate::fault::{During, Outcome, shape};
use crate::raw;

pub mod layer;
pub mod layers;

use layer::{Construct, Layer, Lookup, Part, Pass, misfit};
use layers::{construct, embed};

/// A network with weights.
#[derive(Debug)]
pub struct Net {
    network: Network,
    layers: Vec<Layer>,
    device: Device,
}

/// A tensor of a network and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// `3.weight`.
    pub name: String,
    /// As libtorch wants it.
    pub shape: Vec<i64>,
    /// Whether training changes it by gradient (running statistics are not).
    pub trained: bool,
}

/// The tensors of one node (not of those inside a residual), in order.
fn parts(node: &Node) -> Vec<Part> {
    construct(&node.op).map(Construct::tensors).unwrap_or_default()
}

/// Every tensor a network has, in the order of its layers.
pub fn tensor_specs(network: &Network) -> Vec<TensorSpec> {
    fn walk(nodes: &[Node], out: &mut Vec<TensorSpec>) {
        for node in nodes {
            for Part { suffix, size, trained } in parts(node) {
                out.push(TensorSpec { name: format!("{}.{suffix}", node.name), shape: size, trained });
            }
            if let Op::Residual(inner) = &node.op {
                walk(inner, out);
            }
        }
    }
    let mut specs = Vec::new();
    walk(&network.nodes, &mut specs);
    specs
}

impl Net {
    /// A network with fresh weights, as PyTorch's `nn.Linear` and `nn.Conv2d` start: uniform in ±1/√fan_in for weight
    /// and bias (Kaiming uniform with a = √5; He et al. 2015); batch normalisation starts as the identity. The vectors of
    /// embedded columns are normal with deviation 1/√dimensions, about as long as the one-hot vectors they stand for whatever
    /// `dimensions` is; at `nn.Embedding`'s deviation of 1 their length, which is noise at first, would grow with its root. The
    /// vector of values never seen starts at their mean, 0.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn fresh(network: &Network, random: &mut Random, device: Device) -> Outcome<Self> {
        let mut tensors = BTreeMap::new();
        fill(&network.nodes, random, &mut tensors)?;
        Self::from_tensors(network, tensors, device)
    }

    /// A network with given weights, moved to the device. The tensors become its own.
    ///
    /// # Errors
    /// `model::tensors` when one is missing, too many, or of another shape.
    pub fn from_tensors(network: &Network, mut tensors: BTreeMap<String, Tensor>, device: Device) -> Outcome<Self> {
        let layers = build(&network.nodes, &mut tensors, device)?;
        if let Some(name) = tensors.keys().next() {
            return Err(misfit(format!("it has a tensor `{name}` that no layer wants")));
        }
        Ok(Self { network: network.clone(), layers, device })
    }

    /// What it is.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Its layers in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Where its tensors are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The tensors that training changes by gradient, in the order of the layers.
    pub fn parameters(&self) -> Vec<(String, &Tensor)> {
        self.collect(|layer, out| {
            for (place, table) in layer.lookup.iter().flat_map(|lookup| &lookup.tables).enumerate() {
                out.push((tensor_name(&layer.node, place), table));
            }
            let tensors = [("weight", layer.weight.as_ref()), ("bias", layer.bias.as_ref())];
            for (suffix, tensor) in tensors {
                out.extend(tensor.map(|tensor| (format!("{}.{suffix}", layer.node.name), tensor)));
            }
        })
    }

    /// The running statistics, in the order of the layers.
    pub fn buffers(&self) -> Vec<(String, &Tensor)> {
        self.collect(|layer, out| {
            if let Some((mean, variance)) = &layer.running {
                out.push((format!("{}.running_mean", layer.node.name), mean));
                out.push((format!("{}.running_var", layer.node.name), variance));
            }
        })
    }

    fn collect<'a>(&'a self, take: impl Fn(&'a Layer, &mut Vec<(String, &'a Tensor)>)) -> Vec<(String, &'a Tensor)> {
        fn walk<'a, F>(layers: &'a [Layer], take: &F, out: &mut Vec<(String, &'a Tensor)>)
        where
            F: Fn(&'a Layer, &mut Vec<(String, &'a Tensor)>),
        {
            for layer in layers {
                take(layer, out);
                walk(&layer.inner, take, out);
            }
        }
        let mut out = Vec::new();
        walk(&self.layers, &take, &mut out);
        out
    }

    /// Copies of all tensors, on the CPU and contiguous, by name.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn state(&self) -> Outcome<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for (name, tensor) in self.parameters().into_iter().chain(self.buffers()) {
            state.insert(name, copy(tensor, Device::Cpu)?);
        }
        Ok(state)
    }

    /// Overwrites all tensors, keeping the storage.
    ///
    /// # Errors
    /// `model::tensors` when one is missing or of another shape.
    pub fn set_state(&mut self, state: &BTreeMap<String, Tensor>) -> Outcome<()> {
        let _guard = tch::no_grad_guard();
        for (name, tensor) in self.parameters().into_iter().chain(self.buffers()) {
            let value = state.get(&name).ok_or_else(|| misfit(format!("tensor `{name}` is missing")))?;
            if value.size() != tensor.size() {
                return Err(misfit(format!(
                    "tensor `{name}` has the shape {} and not {}",
                    shape(&value.size()),
                    shape(&tensor.size())
                )));
            }
            tensor.shallow_clone().f_copy_(value).during(|| format!("setting `{name}`"))?;
        }
        Ok(())
    }

    /// Whether gradients are wanted for its parameters.
    pub fn require_gradients(&self, wanted: bool) {
        for (_, tensor) in self.parameters() {
            let _ = tensor.set_requires_grad(wanted);
        }
    }

    /// Rows `[n, input...]` to outputs `[n, output]` (logits, or standardised numbers).
    ///
    /// # Errors
    /// `torch::operator` naming the layer and the shapes.
    pub fn forward(&self, rows: &Tensor, pass: &mut Pass<'_>) -> Outcome<Tensor> {
        run(&self.layers, rows, pass, &mut |_, _, _| ())
    }

    /// The same without dropout, showing every layer with what goes in and what comes out: calibration, ranking of
    /// units, and finding the first layer that is not finite.
    ///
    /// # Errors
    /// As [`Net::forward`].
    pub fn forward_observed(
        &self,
        rows: &Tensor,
        observer: &mut dyn FnMut(&Node, &Tensor, &Tensor),
    ) -> Outcome<Tensor> {
        run(&self.layers, rows, &mut Pass::Eval, observer)
    }

    /// Gives the vectors that stand for values never seen the mean over these rows; see [`embed::settle`].
    ///
    /// # Errors
    /// libtorch's.
    pub fn settle(&self, rows: &Tensor) -> Outcome<()> {
        match self.layers.first().and_then(|layer| layer.lookup.as_ref()) {
            Some(lookup) => embed::settle(self.network.tables(), &lookup.tables, rows),
            None => Ok(()),
        }
    }

    /// Whether some layer normalises over the batch: such a network cannot be trained on one row.
    pub fn normalises(&self) -> bool {
        !self.buffers().is_empty()
    }
}

/// A contiguous copy that shares nothing and has no history.
///
/// # Errors
/// When libtorch cannot allocate.
pub fn copy(tensor: &Tensor, device: Device) -> Outcome<Tensor> {
    let _guard = tch::no_grad_guard();
    let fill = || -> Result<Tensor, tch::TchError> {
        let mut fresh = Tensor::f_empty(tensor.size(), (tensor.f_kind()?, device))?;
        fresh.f_copy_(tensor)?;
        Ok(fresh)
    };
    fill().during(|| "copying a tensor".to_owned())
}

/// Draws in the order of the layers, weight before bias: the order is part of what a seed means.
fn fill(nodes: &[Node], random: &mut Random, out: &mut BTreeMap<String, Tensor>) -> Outcome<()> {
    for node in nodes {
        for part in parts(node) {
            let options = (Kind::Float, Device::Cpu);
            let name = format!("{}.{}", node.name, part.suffix);
            let mut tensor = Tensor::f_zeros(&part.size, options).during(|| format!("making `{name}`"))?;
            if let Some(construct) = construct(&node.op) {
                construct.fill(&part, raw::floats_mut(&mut tensor), random);
            }
            out.insert(name, tensor);
        }
        if let Op::Residual(inner) = &node.op {
            fill(inner, random, out)?;
        }
    }
    Ok(())
}

fn build(nodes: &[Node], tensors: &mut BTreeMap<String, Tensor>, device: Device) -> Outcome<Vec<Layer>> {
    let mut layers = Vec::with_capacity(nodes.len());
    for node in nodes {
        let mut layer =
            Layer { node: node.clone(), weight: None, bias: None, running: None, inner: Vec::new(), lookup: None };
        let mut running = Vec::new();
        let mut tables = Vec::new();
        for Part { suffix, size, .. } in parts(node) {
            let name = format!("{}.{suffix}", node.name);
            let tensor = tensors.remove(&name).ok_or_else(|| misfit(format!("tensor `{name}` is missing")))?;
            if tensor.size() != size {
                return Err(misfit(format!(
                    "tensor `{name}` has the shape {} and not {}",
                    shape(&tensor.size()),
                    shape(&size)
                )));
            }
            let tensor = tensor
                .f_to_device(device)
                .and_then(|tensor| tensor.f_to_kind(Kind::Float))
                .and_then(|tensor| tensor.f_contiguous())
                .during(|| format!("moving `{name}` to the device"))?;
            match suffix.as_ref() {
                _ if matches!(node.op, Op::Embed(_)) => tables.push(tensor),
                "weight" => layer.weight = Some(tensor),
                "bias" => layer.bias = Some(tensor),
                _ => running.push(tensor),
            }
        }
        if let (Some(variance), Some(mean)) = (running.pop(), running.pop()) {
            layer.running = Some((mean, variance));
        }
        if let Op::Embed(shapes) = &node.op {
            let layout = Layout::new(shapes, node.input.iter().product());
            layer.lookup = Some(Lookup { tables, layout });
        }
        if let Op::Residual(inner) = &node.op {
            layer.inner = build(inner, tensors, device)?;
        }
        layers.push(layer);
    }
    Ok(layers)
}

fn run(
    layers: &[Layer],
    rows: &Tensor,
    pass: &mut Pass<'_>,
    observer: &mut dyn FnMut(&Node, &Tensor, &Tensor),
) -> Outcome<Tensor> {
    let mut value: Option<Tensor> = None;
    for layer in layers {
        let input = value.as_ref().unwrap_or(rows);
        let output = apply(layer, input, pass, observer)?;
        observer(&layer.node, input, &output);
        value = Some(output);
    }
    Ok(value.unwrap_or_else(|| rows.shallow_clone()))
}

fn apply(
    layer: &Layer,
    x: &Tensor,
    pass: &mut Pass<'_>,
    observer: &mut dyn FnMut(&Node, &Tensor, &Tensor),
) -> Outcome<Tensor> {
    if let Op::Residual(_) = &layer.node.op {
        let branch = run(&layer.inner, x, pass, observer)?;
        return x
            .f_add(&branch)
            .during(|| format!("layer `{}` (residual) given {}", layer.node.name, shape(&x.size())));
    }
    match construct(&layer.node.op) {
        Some(construct) => construct.apply(layer, x, pass),
        None => Err(unknown_layer(&layer.node.name)),
    }
}
