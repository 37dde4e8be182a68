//! What the engine, the kinds of stages and the worker programs agree on.
//!
//! A kind ([`kind`]) says what a stage is; a worker program ([`worker`]) carries it out; the engine brings the two together.
//! What they exchange is plain data: [`artifact`] types, [`fault`]s, proposals of children ([`expansion`]). This crate
//! knows neither the graph nor the store, so that a change of the engine rebuilds no worker.

pub mod artifact;
pub mod calendar;
pub mod expansion;
pub mod fault;
pub mod kind;
pub mod name;
pub mod natural;
pub mod pattern;
pub mod remote;
pub mod worker;
