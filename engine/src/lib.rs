//! The plan and the run. It knows no YAML, no terminal, and no library that a worker links.
//!
//! Each room knows those above it in this list: [`graph`], [`plan`], [`key`], [`event`], [`execute`], [`run`].

pub mod event;
pub mod execute;
pub mod graph;
pub mod key;
pub mod plan;
pub mod run;

/// What the store ran into, as a fault.
pub fn store_fault(error: &cache::StoreError) -> contract::fault::Fault {
    contract::fault::Fault::error(error.code(), error.to_string()).help(error.help())
}
