//! The order of work of a folded network in 8 bits: which layers take their activation along, and where values
//! are rounded. Calibration, the runtime and the ONNX writer walk the same steps and so agree on every rounding.

use catalog::network::{Network, Node, Op};
use catalog::params::network::Activation;

/// The steps of a network and its rounding points.
///
/// Vectors of embedded columns are looked up before the first step: indices are no values to round. Values are rounded to 8 bits at *points*: the input, with the vectors in it, is point 0, and every step that computes (a linear layer, a
/// convolution, a batch normalisation that was not folded, an activation, a mean over windows, a residual sum) has one for
/// its result. Steps that only move values (largest of a window, flatten) keep the point they are given. The result of a last
/// linear layer is not rounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// The node that looks vectors up, when there is one.
    pub embed: Option<Node>,
    /// In order.
    pub steps: Vec<Step>,
    /// How many points there are.
    pub points: usize,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The layer; a residual's inner layers are in `inner`.
    pub node: Node,
    /// The activation layer that follows and is computed along.
    pub activation: Option<Activation>,
    /// The point of its input.
    pub from: usize,
    /// The point of its result; `None` for real numbers (the last linear layer).
    pub to: Option<usize>,
    /// The branch of a residual.
    pub inner: Vec<Step>,
}

impl Program {
    /// The steps of a folded network.
    pub fn new(network: &Network) -> Self {
        let mut points = 1;
        let (embed, nodes) = match network.nodes.split_first() {
            Some((first @ Node { op: Op::Embed(_), .. }, rest)) => (Some(first.clone()), rest),
            _ => (None, network.nodes.as_slice()),
        };
        let (mut steps, _) = chain(nodes, 0, &mut points);
        if let Some(Step { node: Node { op: Op::Linear(_), .. }, to, .. }) = steps.last_mut() {
            *to = None;
            points -= 1;
        }
        Self { embed, steps, points }
    }

    /// All steps in the order they are computed, those of a branch before their sum.
    pub fn walk(&self) -> Vec<&Step> {
        fn visit<'a>(steps: &'a [Step], out: &mut Vec<&'a Step>) {
            for step in steps {
                visit(&step.inner, out);
                out.push(step);
            }
        }
        let mut out = Vec::new();
        visit(&self.steps, &mut out);
        out
    }
}

fn chain(nodes: &[Node], mut at: usize, points: &mut usize) -> (Vec<Step>, usize) {
    let mut steps: Vec<Step> = Vec::new();
    let mut nodes = nodes.iter().peekable();
    while let Some(node) = nodes.next() {
        let from = at;
        let mut inner = Vec::new();
        if let Op::Residual(branch) = &node.op {
            (inner, _) = chain(branch, from, points);
        }
        let computes = !matches!(node.op, Op::MaxPool2d(_) | Op::Flatten | Op::Dropout(_));
        if computes {
            at = *points;
            *points += 1;
        }
        let takes = matches!(node.op, Op::Linear(_) | Op::Conv2d(_) | Op::BatchNorm(_) | Op::Residual(_));
        let mut activation = None;
        if takes && let Some(Node { op: Op::Activation(next), .. }) = nodes.peek() {
            activation = Some(*next);
            nodes.next();
        }
        steps.push(Step { node: node.clone(), activation, from, to: Some(at), inner });
    }
    (steps, at)
}

/// An activation of one number. Computed with `libm`, so that it gives the same bits on every machine.
pub fn activate(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Gelu => 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
        Activation::Silu => x / (1.0 + libm::expf(-x)),
        Activation::Tanh => libm::tanhf(x),
        Activation::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
    }
}
