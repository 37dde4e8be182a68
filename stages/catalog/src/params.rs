//! What the parameters of several kinds have in common. The parameters of one kind are in its folder: typed, documented, with
//! defaults. The doc comments are what editors and the reference show. Choices are externally tagged enums:
//! `{ adam: { lr: 0.01 } }`, or the bare name where the payload has no required key.

pub mod encoder;
pub mod network;
pub mod on_error;
pub mod scalar;
pub mod shape;
pub(crate) mod typed;
