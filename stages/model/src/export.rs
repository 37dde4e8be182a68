//! A model as an ONNX file: the writer, and the check in another runtime.

pub mod check;
pub mod encoders;
pub mod writer;
