//! Models as ONNX files: the messages, the writer, and the check in another runtime.

pub mod check;
pub mod encoders;
pub mod graph;
pub mod messages;
pub mod writer;
