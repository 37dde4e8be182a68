//! From a document's model to a [`Network`]: shapes carried from layer to layer, every misfit found and placed.

use contract::fault::{Fault, Faults, Route};
use contract::route;

use super::layers::{self, Conv2d, Dropout, Linear, MaxPool2d, Table};
use super::place::Place;
use super::shape::{product, shown};
use super::{Network, Node, Op};
use crate::params::network::{BatchNorm, Cnn, Layer, Mlp, Model};

/// A network larger than this (in parameters) is refused: 64 GiB of 32-bit floats is a mistake in a number.
const MOST_PARAMETERS: u64 = 1 << 34;

impl Network {
    /// The model a stage trains when it names none: `cnn` for an image of at least 4×4, else `mlp`.
    pub fn default_model(input: &[u64]) -> Model {
        match input {
            [_, height, width] if *height >= 4 && *width >= 4 => Model::Cnn(Cnn::default()),
            _ => Model::Mlp(Mlp::default()),
        }
    }

    /// Expands a model for rows of the shape `input` (`[d]` or `[channels, height, width]`).
    ///
    /// The output layer, a linear one of width `outputs`, is added unless the last of `layers` already is that.
    /// A linear layer that meets `[c, h, w]` gets a `flatten` before it.
    ///
    /// # Errors
    /// Every layer that does not fit what it meets; routes start at `model`.
    pub fn resolve(model: &Model, input: &[u64], outputs: u64) -> Result<Network, Faults> {
        Self::resolve_embedded(model, input, &[], outputs)
    }

    /// The same for rows that hold indices of embedded columns, whose vectors the model meets in their places. Tables are in
    /// the order of their positions; rows are flat where there are any.
    ///
    /// # Errors
    /// As [`Network::resolve`].
    pub fn resolve_embedded(model: &Model, input: &[u64], tables: &[Table], outputs: u64) -> Result<Network, Faults> {
        let mut chain = Chain::new("", input.to_vec());
        chain.embed(tables);
        match model {
            Model::Linear(_) => {}
            Model::Mlp(mlp) => chain.mlp(mlp),
            Model::Cnn(cnn) => chain.cnn(cnn, &route!["model", "cnn"]),
            Model::Layers(layers) => chain.layers(layers, &route!["model", "layers"]),
        }
        if !chain.faults.is_empty() {
            return Err(Faults::from(chain.faults));
        }
        let fits = matches!(model, Model::Layers(_))
            && matches!(chain.nodes.last(), Some(Node { op: Op::Linear(Linear { outputs: last, .. }), .. }) if *last == outputs);
        if !fits {
            chain.linear(outputs, true);
        }
        let network = Network { input: input.to_vec(), nodes: chain.nodes };
        let parameters = network.parameters();
        if parameters > MOST_PARAMETERS {
            return Err(Faults::from(
                Fault::error(
                    contract::code!("model::too_large"),
                    format!("the model would have {parameters} parameters"),
                )
                .help("a width, a number of channels or the `dimensions` of an embedding is too large")
                .at(route!["model"]),
            ));
        }
        Ok(network)
    }
}

/// A chain of nodes that grows at its end.
struct Chain {
    /// Put before every name: empty, or `3.` inside the residual `3`.
    prefix: String,
    nodes: Vec<Node>,
    shape: Vec<u64>,
    faults: Vec<Fault>,
}

impl Chain {
    fn new(prefix: &str, shape: Vec<u64>) -> Self {
        Self { prefix: prefix.to_owned(), nodes: Vec::new(), shape, faults: Vec::new() }
    }

    fn push(&mut self, op: Op, output: Vec<u64>) {
        let name = format!("{}{}", self.prefix, self.nodes.len());
        let input = std::mem::replace(&mut self.shape, output.clone());
        self.nodes.push(Node { name, op, input, output });
    }

    fn pointwise(&mut self, op: Op) {
        let shape = self.shape.clone();
        self.push(op, shape);
    }

    fn embed(&mut self, tables: &[Table]) {
        if !tables.is_empty() {
            let numbers = product(&self.shape).saturating_sub(tables.len() as u64);
            let width = tables.iter().fold(numbers, |width, table| width.saturating_add(table.dimensions));
            self.push(Op::Embed(tables.to_vec()), vec![width]);
        }
    }

    /// Flattens an image, for a layer that wants flat rows.
    fn flatten_image(&mut self) {
        if self.shape.len() != 1 {
            let width = product(&self.shape);
            self.push(Op::Flatten, vec![width]);
        }
    }

    fn linear(&mut self, outputs: u64, bias: bool) {
        self.flatten_image();
        self.push(Op::Linear(Linear { inputs: self.shape[0], outputs, bias }), vec![outputs]);
    }

    fn dropout(&mut self, p: f64) {
        if p > 0.0 {
            self.pointwise(Op::Dropout(Dropout { p }));
        }
    }

    /// Batch normalisation as it is when nothing is said.
    fn batch_norm(&mut self) {
        let BatchNorm { momentum, eps } = BatchNorm::default();
        let op = layers::BatchNorm { channels: self.shape[0], momentum, eps };
        self.pointwise(Op::BatchNorm(op));
    }

    fn mlp(&mut self, mlp: &Mlp) {
        for width in &mlp.hidden {
            self.linear(u64::from(*width), !mlp.batch_norm);
            if mlp.batch_norm {
                self.batch_norm();
            }
            self.pointwise(Op::Activation(mlp.activation));
            self.dropout(mlp.dropout);
        }
    }

    fn cnn(&mut self, cnn: &Cnn, route: &Route) {
        let &[_, height, width] = self.shape.as_slice() else {
            self.faults.push(
                Fault::error(
                    contract::code!("model::not_an_image"),
                    format!("`cnn` wants an image `[channels, height, width]`, the features give {}", shown(&self.shape)),
                )
                .help("make one image column the only feature (`preprocess` packs pixels: `pack: { columns: \"pixel_*\", into: image, shape: [1, 8, 8] }`), or use `mlp`")
                .at(route.clone()),
            );
            return;
        };
        if cnn.kernel.is_multiple_of(2) {
            self.faults.push(
                Fault::error(
                    contract::code!("model::even_kernel"),
                    format!("a kernel of {} does not keep the size of the image", cnn.kernel),
                )
                .help(format!("use an odd side, such as {}", cnn.kernel + 1))
                .at(route.join("kernel")),
            );
            return;
        }
        let (mut height, mut width) = (height, width);
        let kernel = u64::from(cnn.kernel);
        for channels in &cnn.channels {
            let outputs = u64::from(*channels);
            let conv = Op::Conv2d(Conv2d {
                inputs: self.shape[0],
                outputs,
                kernel,
                stride: 1,
                padding: (kernel - 1) / 2,
                bias: !cnn.batch_norm,
            });
            self.push(conv, vec![outputs, height, width]);
            if cnn.batch_norm {
                self.batch_norm();
            }
            self.pointwise(Op::Activation(cnn.activation));
            if height >= 4 && width >= 4 {
                (height, width) = (height / 2, width / 2);
                self.push(Op::MaxPool2d(MaxPool2d { size: 2, stride: 2 }), vec![outputs, height, width]);
            }
        }
        let flat = product(&self.shape);
        self.push(Op::Flatten, vec![flat]);
        for width in &cnn.hidden {
            self.dropout(cnn.dropout);
            self.linear(u64::from(*width), true);
            self.pointwise(Op::Activation(cnn.activation));
        }
        self.dropout(cnn.dropout);
    }

    fn layers(&mut self, layers: &[Layer], route: &Route) {
        for (position, layer) in layers.iter().enumerate() {
            let at = route.join(position);
            if let Err(fault) = self.layer(layer, &at) {
                self.faults.push(*fault);
                // The shape that would come out is not known, so later layers cannot be judged.
                return;
            }
        }
    }

    /// Adds a layer of the document, when it fits where it stands.
    fn layer(&mut self, layer: &Layer, at: &Route) -> Result<(), Box<Fault>> {
        match layer {
            Layer::Residual(inner) => return self.residual(inner, at),
            Layer::Linear(_) => self.flatten_image(),
            _ => {}
        }
        let first = self.nodes.iter().all(|node| matches!(node.op, Op::Embed(_)));
        let place = Place { shape: &self.shape, at, first };
        if let Some(placed) = Op::named(layer, &place) {
            let (op, output) = placed?;
            self.push(op, output);
        }
        Ok(())
    }

    fn residual(&mut self, inner: &[Layer], at: &Route) -> Result<(), Box<Fault>> {
        let at = at.join("residual");
        if inner.is_empty() {
            return Err(Box::new(
                Fault::error(contract::code!("model::empty_residual"), "`residual` has no layers")
                    .help("list the layers of f in x + f(x)")
                    .at(at),
            ));
        }
        let mut branch = Chain::new(&format!("{}{}.", self.prefix, self.nodes.len()), self.shape.clone());
        branch.layers(inner, &at);
        if !branch.faults.is_empty() {
            self.faults.append(&mut branch.faults);
        } else if branch.shape != self.shape {
            self.faults.push(
                Fault::error(
                    contract::code!("model::residual_shape"),
                    format!(
                        "`residual` adds {} to {}: the layers inside must keep the shape",
                        shown(&branch.shape),
                        shown(&self.shape)
                    ),
                )
                .help(match (self.shape.as_slice(), branch.shape.as_slice()) {
                    ([channels, _, _], [other, _, _]) if channels != other => {
                        format!("end the branch with {channels} channels")
                    }
                    ([_, _, _], [_, _, _]) => "use stride 1, no pooling and padding (kernel − 1) / 2 inside".to_owned(),
                    ([width], _) => format!("end the branch with `linear: {{ units: {width} }}`"),
                    _ => "the branch must not flatten".to_owned(),
                })
                .at(at),
            );
        }
        // Whatever is wrong inside, what a residual gives has the shape it was given: later layers can be judged.
        self.pointwise(Op::Residual(branch.nodes));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
