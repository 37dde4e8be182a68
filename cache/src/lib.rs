//! temporary
pub mod digest;
pub mod fold;
pub use digest::Digest;
