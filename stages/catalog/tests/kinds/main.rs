//! What the kinds accept, refuse and infer. Every case is a stage as JSON, types at its inputs, and what must be found.

mod canonical;
mod codes;
mod data;
mod learning;
mod lineage;
mod ports;
mod reference;
mod sampled;
mod scene;
