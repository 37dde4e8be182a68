//! The plan and the run. It knows no YAML, no terminal, and no library that a worker links.
//!
//! Each room knows those above it in this list: [`graph`], [`plan`], [`key`], [`event`], [`execute`], [`run`].

use contract::fault::{Code, Fault};

pub mod event;
pub mod execute;
pub mod graph;
pub mod key;
pub mod plan;
pub mod run;

/// What the store ran into, as a fault.
pub fn store_fault(error: &cache::StoreError) -> Fault {
    // The store knows no table of codes; the test below keeps its codes in it.
    let code = Code::find(error.code()).unwrap_or(contract::code!("store::io"));
    Fault::error(code, error.to_string()).help(error.help())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_store_is_in_the_table() {
        for code in cache::StoreError::CODES {
            assert!(Code::find(code).is_some(), "{code}");
        }
        let error = cache::StoreError::Busy { path: "x".into() };
        assert_eq!(store_fault(&error).code, "store::busy");
    }
}
