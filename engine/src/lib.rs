//! The plan and the run: no YAML, no torch, no terminal.

pub mod cancel;
pub mod capacity;
mod command;
mod conversation;
pub mod dag;
pub mod difference;
pub mod driver;
pub mod event;
pub mod expand;
pub mod explain;
pub mod files;
pub mod graph;
pub mod inside;
pub mod key;
pub mod lockfile;
pub mod oracle;
pub mod paths;
pub mod plan;
mod pool;
pub mod preview;
pub mod remote;
pub mod scheduler;
mod seal;
pub mod selection;
pub mod snapshot;
pub mod toolchain;

/// What the store ran into, as a fault.
pub fn store_fault(error: &cache::StoreError) -> contract::fault::Fault {
    contract::fault::Fault::error(error.code(), error.to_string()).help(error.help())
}
