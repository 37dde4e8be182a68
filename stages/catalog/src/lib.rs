//! What each kind of stage is: parameters, ports, static checks, type inference. No torch, no tables, no I/O.
//!
//! A kind is one folder under [`kinds`](mod@kinds), which has the list of all. What the kinds share with the programs that carry
//! them out is here, too: [`columns`] (names, casts, lineage, what a model sees), [`steps`] (of `preprocess`), [`network`]
//! (shapes), [`condition`] (gates), [`metric`] (names), [`question`] (what only a worker can answer).

pub mod columns;
pub mod condition;
pub mod kinds;
pub mod metric;
pub mod network;
pub mod params;
pub mod question;
pub mod reference;
pub mod steps;

pub use kinds::kinds;
