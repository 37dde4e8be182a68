//! Computing with 8-bit whole numbers: the kernel, the order of work, and the runtime.

pub mod kernel;
pub mod packed;
pub mod program;
pub mod quantized;
pub mod runtime;
pub mod store;
