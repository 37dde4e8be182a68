//! The parameters of every kind: typed, documented, with defaults. The doc comments are what editors and the
//! reference show. Choices are externally tagged enums: `{ adam: { lr: 0.01 } }`, or the bare name
//! where the payload has no required key.

pub mod collect;
pub mod command;
pub mod compress;
pub mod evaluate;
pub mod export;
pub mod network;
pub mod preprocess;
pub mod profile;
pub mod shape;
pub mod split;
pub mod train;
