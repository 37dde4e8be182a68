//! One layer with its tensors, and what libtorch must know of its kind.

use std::borrow::Cow;

use catalog::network::Node;
use contract::fault::Fault;
use model::embed::Layout;
use model::random::Random;
use tch::Tensor;

use crate::fault::{Outcome, shape};

/// One layer with its tensors.
#[derive(Debug)]
pub struct Layer {
    /// What it is.
    pub node: Node,
    /// `weight`, when the layer has one.
    pub weight: Option<Tensor>,
    /// `bias`, when the layer has one.
    pub bias: Option<Tensor>,
    /// `running_mean` and `running_var` of a batch normalisation.
    pub running: Option<(Tensor, Tensor)>,
    /// The layers inside a residual branch.
    pub inner: Vec<Layer>,
    /// The vectors of embedded columns, and where they go.
    pub lookup: Option<Lookup>,
}

/// Tables of vectors, `[values, dimensions]` each, and the rows they make.
#[derive(Debug)]
pub struct Lookup {
    /// In the order of the columns.
    pub tables: Vec<Tensor>,
    /// Rows before and after.
    pub layout: Layout,
}

/// The mode of a pass through a network.
pub enum Pass<'a> {
    /// Running statistics, no dropout.
    Eval,
    /// Batch statistics (and running ones moved), dropout masks drawn from here.
    Train(&'a mut Random),
}

/// A tensor of a layer, before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What follows the name of the layer: `weight`, or `0.weight`.
    pub suffix: Cow<'static, str>,
    /// As libtorch wants it.
    pub size: Vec<i64>,
    /// Whether training changes it by gradient (running statistics are not).
    pub trained: bool,
}

impl Part {
    /// A tensor that is trained.
    pub fn trained(suffix: impl Into<Cow<'static, str>>, size: Vec<i64>) -> Self {
        Self { suffix: suffix.into(), size, trained: true }
    }
}

/// How a kind of layer is built and applied. A residual is none: it runs a network of its own.
pub trait Construct {
    /// The name of the operation in messages.
    fn name(&self) -> &'static str;

    /// Its tensors, in the order in which they are drawn.
    fn tensors(&self) -> Vec<Part> {
        Vec::new()
    }

    /// First values of a tensor of the layer, which holds zeros. The order of draws is part of what a seed means.
    fn fill(&self, _part: &Part, _values: &mut [f32], _random: &mut Random) {}

    /// Computes rows from rows.
    ///
    /// # Errors
    /// `torch::operator` naming the layer.
    fn apply(&self, layer: &Layer, x: &Tensor, pass: &mut Pass<'_>) -> Outcome<Tensor>;

    /// How messages name a layer and what it was given.
    fn given(&self, layer: &Layer, x: &Tensor) -> String {
        format!("layer `{}` ({}) given {}", layer.node.name, self.name(), shape(&x.size()))
    }
}

impl Layer {
    /// The tensor `weight`.
    ///
    /// # Errors
    /// `model::tensors` when there is none.
    pub fn weight(&self) -> Outcome<&Tensor> {
        self.weight.as_ref().ok_or_else(|| misfit(format!("`{}.weight` is missing", self.node.name)))
    }
}

/// The fault of tensors that do not fit a network.
pub fn misfit(what: String) -> Fault {
    Fault::error(contract::code!("model::tensors"), format!("the model's weights do not fit its network: {what}"))
        .help("the model is damaged or was made by another version; run the stage that makes it again")
}
