//! The graph a document lowers into: stages, references, order. It knows no YAML and no kind.

pub mod dag;
mod family;
pub mod matrix;
pub mod selector;
mod spec;

pub use family::once_per_family;
pub use spec::{Child, PipelineSpec, Reference, ReferenceSpec, StageSpec};
