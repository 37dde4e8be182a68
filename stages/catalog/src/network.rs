//! A network with every shape resolved: what training, pruning, quantisation and export share, and what a model
//! bundle holds. Pruned shapes live here, in the artifact, never in code.
//!
//! [`Network::resolve`] expands what a document says (`mlp`, `cnn`, `linear`, `layers`) into a chain of [`Node`]s.

use serde::{Deserialize, Serialize};

pub mod layers;
mod place;
mod resolve;
mod shape;

use layers::operation::Operation;
pub use layers::{Node, Op, Table};
pub use shape::{product, shown};

/// A chain of layers (with residual branches inside), every shape known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Shape of one encoded row: `[d]`, or `[channels, height, width]`.
    pub input: Vec<u64>,
    /// In order.
    pub nodes: Vec<Node>,
}

impl Network {
    /// The vectors it looks up before anything else; none when no column is embedded.
    pub fn tables(&self) -> &[Table] {
        match self.nodes.first() {
            Some(Node { op: Op::Embed(tables), .. }) => tables,
            _ => &[],
        }
    }

    /// Shape of one row coming out: `[outputs]`.
    pub fn output(&self) -> &[u64] {
        self.nodes.last().map_or(&self.input, |node| &node.output)
    }

    /// Number of trained parameters. Running statistics of batch normalisation are not trained and do not count.
    pub fn parameters(&self) -> u64 {
        self.nodes.parameters()
    }

    /// Multiply-adds of convolutions and linear layers for one row. The rest (batch normalisation folds into the layer
    /// before it, pointwise operations, pooling, looking vectors up) is left out, as is usual.
    pub fn operations(&self) -> u64 {
        self.nodes.operations(self.output())
    }

    /// All nodes depth first, those inside residual branches after the node that holds them.
    pub fn walk(&self) -> Vec<&Node> {
        fn visit<'a>(nodes: &'a [Node], out: &mut Vec<&'a Node>) {
            for node in nodes {
                out.push(node);
                if let Op::Residual(inner) = &node.op {
                    visit(inner, out);
                }
            }
        }
        let mut out = Vec::new();
        visit(&self.nodes, &mut out);
        out
    }
}
