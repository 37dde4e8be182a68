//! YAML as a tree in which every key and value knows its bytes.

pub mod file;
pub mod limits;
pub mod node;
pub mod source;
pub mod syntax;
pub mod write;
