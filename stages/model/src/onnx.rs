//! ONNX as a format: its messages, and a graph that is built node by node.

pub mod cell;
pub mod graph;
pub mod messages;
