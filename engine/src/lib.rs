//! The plan and the run: no YAML, no torch, no terminal.

pub mod artifact;
pub mod cancel;
pub mod dag;
pub mod driver;
pub mod error;
pub mod event;
pub mod explain;
pub mod files;
pub mod graph;
pub mod kind;
pub mod paths;
pub mod pattern;
pub mod plan;
pub mod protocol;
mod seal;
pub mod scheduler;
pub mod toolchain;
pub mod worker;
