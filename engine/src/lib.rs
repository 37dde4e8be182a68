//! The plan and the run: no YAML, no torch, no terminal.

pub mod artifact;
pub mod dag;
pub mod error;
pub mod event;
pub mod explain;
pub mod graph;
pub mod kind;
pub mod plan;
pub mod protocol;
pub mod toolchain;
pub mod worker;
