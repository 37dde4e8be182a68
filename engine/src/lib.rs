//! The plan and the run: no YAML, no torch, no terminal.

pub mod artifact;
pub mod cancel;
mod command;
mod conversation;
pub mod dag;
pub mod driver;
pub mod error;
pub mod event;
pub mod expand;
pub mod explain;
pub mod files;
pub mod graph;
pub mod key;
pub mod kind;
pub mod lockfile;
pub mod oracle;
pub mod paths;
pub mod pattern;
pub mod plan;
mod pool;
pub mod preview;
pub mod protocol;
pub mod scheduler;
mod seal;
pub mod toolchain;
pub mod worker;
