//! A trained model without libtorch: its file, its encoders, its predictions, its 8-bit form and its ONNX form.
//!
//! Nothing here may name `tch`: what needs no libtorch is predicted and served without loading it.

pub mod array;
pub mod bundle;
pub mod cells;
pub mod dataset;
pub mod embed;
pub mod encode;
pub mod export;
pub mod fault;
pub mod file;
pub mod fold;
pub mod int8;
pub mod map;
pub mod metrics;
pub mod normal;
pub mod onnx;
pub mod predict;
pub mod random;
pub mod room;
pub mod sheet;
pub mod target;
pub mod verdict;
