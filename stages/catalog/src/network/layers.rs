//! The layers: one file for each, with what it computes, what it costs, and where it fits.

pub mod activation;
pub mod avg_pool2d;
pub mod batch_norm;
pub mod conv2d;
pub mod dropout;
pub mod embed;
pub mod flatten;
pub mod global_avg_pool;
pub mod linear;
pub mod max_pool2d;
pub mod operation;
mod window;

pub use avg_pool2d::AvgPool2d;
pub use batch_norm::BatchNorm;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use embed::Table;
pub use flatten::Flatten;
pub use global_avg_pool::GlobalAvgPool;
pub use linear::Linear;
pub use max_pool2d::MaxPool2d;
