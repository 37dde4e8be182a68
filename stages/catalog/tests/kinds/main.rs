//! What the kinds accept, refuse and infer. Every case is a stage as JSON, types at its inputs, and what must be found.

#![expect(clippy::disallowed_methods, reason = "a test reads the files that it compares")]

mod canonical;
mod codes;
mod data;
mod learning;
mod lineage;
mod ports;
mod reference;
mod sampled;
mod scene;
